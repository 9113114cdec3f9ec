#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, gate
#
# The root of a gated namespace makes devices, tunnels, bridges and children of his
# own to get around the gate, and in the end his namespace dies. All devices of a
# target are gated, old and new ones.

# shellcheck source=gate_escape_lib.sh
source "$(dirname "$(realpath "$0")")/gate_escape_lib.sh"

ALL_TESTS="tunnels stacked_devices child_behind_veth child_on_our_device bridge
	flowtable netdev_fwd ifb dying_target"

# What is inside is excepted, but not what carries it.
tunnels()
{
	local name type

	closed="drop except $excepted"
	while read -r name type; do
		# shellcheck disable=SC2086 # words
		ip -n "$target" link add $name $type
		ip -n "$target" -batch - <<-END
			link set $name addrgenmode none
			addr add 10.9.4.1/24 dev $name
			link set $name up
			route add $friend/32 dev $name
		END
		[[ $type == @(ipip|gre)* ]] ||
			ip -n "$target" neigh add "$friend" lladdr 02:00:00:09:04:02 dev "$name"
		attempt stopped "$name" tenant udp "$friend" 4242 @
		ip -n "$target" link del "$name"
	done <<-END
		x0 type ipip local $own remote $foe
		x1 type gre local $own remote $foe
		x2 type gretap local $own remote $foe
		x3 type vxlan id 7 local $own remote $foe dstport 4789 dev t0
	END
	closed=drop
	log_test "tunnels: ipip, gre, gretap and vxlan"
}

stacked_devices()
{
	local name type

	while read -r name type; do
		# shellcheck disable=SC2086 # words
		stack "$target" "$name" $type
		attempt stopped "$name" tenant udp 10.9.5.2 4242 @
		at_egress "a packet socket on $name" \
			tenant frame "$name" bypass 0806 0800 udp 10.9.5.1 10.9.5.2 4242 @
		ip -n "$target" link del "$name"
	done <<-END
		y0 type vlan id 5
		y1 type macvlan mode bridge
		y2 type ipvlan mode l2
	END
	log_test "new vlan, macvlan and ipvlan devices"
}

child_behind_veth()
{
	hops=2
	attempt stopped "what is forwarded" child udp "$foe" 4242 @
	watcher=child
	attempt stopped "what is forwarded to it" friend udp 10.9.3.2 4242 @
	watcher=watch
	hops=1
	log_test "a child namespace behind a new veth"
}

# Its devices are not ours, but what they stand on is.
child_on_our_device()
{
	local name type

	while read -r name type; do
		# shellcheck disable=SC2086 # words
		stack "$child" "$name" $type
		at_egress "$name" child udp 10.9.5.2 4242 @
		at_egress "a packet socket on $name" \
			child frame "$name" bypass 0800 0800 udp 10.9.5.1 10.9.5.2 4242 @
		ip -n "$child" link del "$name"
	done <<-END
		y0 type vlan id 5
		y1 type macvlan mode bridge
		y2 type ipvlan mode l2
	END
	log_test "vlan, macvlan and ipvlan devices of a child namespace on ours"
}

bridge()
{
	hops=2
	ip -n "$target" -batch - <<-END
		link add y0 type bridge
		link set y0 addrgenmode none
		link set y0 up
		link set t0 master y0
		link set v0 master y0
	END
	attempt stopped "what is bridged" child frame v1 queue 0800 0800 udp "$own" "$foe" 4242 @
	watcher=child
	attempt stopped "what is bridged to it" friend frame n0 queue 0800 0800 udp "$foe" "$own" 4242 @
	watcher=watch
	ip -n "$target" -batch - <<-END
		link set t0 nomaster
		link set v0 nomaster
		link del y0
	END
	hops=1
	log_test "a bridge to a child namespace"
}

is_offloaded()
{
	new_token
	must child sent udp "$friend" 4242 "$token" 4242
	flush
	must friend sent udp 10.9.3.2 4242 "$token" 4242
	flush
	in_ns "$target" grep -q OFFLOAD /proc/net/nf_conntrack
}

flowtable()
{
	if ! tenant nft -f - <<-END
		table inet mine {
			flowtable fast {
				hook ingress priority -2147483648;
				devices = { v0, t0 };
			}
			chain forward {
				type filter hook forward priority 0;
				meta l4proto udp flow add @fast
			}
		}
	END
	then
		log_test_skip "a flowtable of nft" "this kernel has none"
		return
	fi
	hops=2
	gate accept
	busywait $BUSYWAIT_TIMEOUT is_offloaded || check_err $? "the flow is not offloaded"
	# It stood before us, and now behind: no closed gate lets a flow get that far.
	gate accept
	busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "something stands before us"
	attempt stopped "what the flowtable forwards" child udp "$friend" 4242 @ 4242
	watcher=child
	attempt stopped "what the flowtable forwards to it" friend udp 10.9.3.2 4242 @ 4242
	watcher=watch
	tenant nft flush ruleset
	hops=1
	log_test "a flowtable of nft"
}

netdev_fwd()
{
	local rules="table netdev mine {
		chain v0 {
			type filter hook ingress device v0 priority -2147483648;
			fwd to t0
		}
	}"

	hops=2
	first_at_egress "$rules" "what comes from a child" child udp "$foe" 4242 @
	if has_hook egress; then
		log_test "netdev fwd of nft, before the gate"
	else
		log_test "known limit: without egress, netdev fwd of nft by a chain that comes before ours"
	fi

	tenant nft -f - <<<"$rules"
	gate accept
	busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "something stands before us"
	attempt stopped "what comes from a child" child udp "$foe" 4242 @
	tenant nft flush ruleset
	hops=1
	log_test "the next gate write puts our hooks before it"
}

# It gives packets back behind the hook of the device that they came by.
ifb()
{
	if ! ip -n "$target" link add ifb9 type ifb; then
		log_test_skip "packets that come back from an ifb device" "there is no ifb"
		return
	fi
	ip -n "$target" link set ifb9 up
	tenant tc qdisc add dev t0 clsact
	tenant tc filter add dev t0 ingress matchall action mirred egress redirect dev ifb9
	watcher=tenant hops=3
	attempt stopped "IPv4" friend udp "$own" 4242 @
	attempt stopped "IPv6" friend udp "$own6" 4242 @
	watcher=watch hops=1
	tenant tc qdisc del dev t0 clsact
	ip -n "$target" link del ifb9
	log_test "what comes in by an ifb device is judged"
}

# ---- the end ----

drops_more_than()
{
	gate_value dropped
	((answer > $1))
}

has_no_link()
{
	! ip -n "$outside" link show dev n0 >/dev/null 2>&1
}

# A child sends as fast as it can, while what it is behind dies: its devices go last.
dying_target()
{
	local before

	hops=2
	attempt stopped "what is forwarded" child udp "$foe" 4242 @
	hops=1
	frames
	before=$answer
	actor flooder "$child"
	must flooder sent flood 4242 10.9.3.2 "$foe"
	gate_value dropped
	busywait $BUSYWAIT_TIMEOUT drops_more_than $((answer + 100)) || check_err $? "nobody sends"
	# Bash tells that the tenant is killed.
	cleanup_ns "$target" 2>/dev/null || check_err $? "target can't be deleted"
	busywait $BUSYWAIT_TIMEOUT has_no_link || check_err $? "target lives on"
	frames
	check_equal "frames that came out" "$before" "$answer"
	log_test "a target that dies stays closed to the end"
}

setup
setup_child
tests_run
