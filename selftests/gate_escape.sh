#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The root of a gated namespace tries to get out, and to be reached, in all the
# ways that we know of. He has all capabilities and no user namespace: less can
# only be tried with less. Each try has to work while the gate is open, which
# proves that it is one; then the gate is closed.
#
# Some get through a closed gate, as no hook of netfilter sees them, or as this
# kernel has no egress hook. Those are known, stand in README.md, and are
# tested for, too: a limit that is gone should not stand there.

# shellcheck source=gate_lib.sh
source "$(dirname "$(realpath "$0")")/gate_lib.sh"

ALL_TESTS="sockets ruleset_is_flushed chains_before_the_gate policy_routing
	fragments_and_options later_fragments_of_exceptions packet_sockets split_frames
	arp tunnels stacked_devices child_behind_veth child_on_our_device
	bridge flowtable netdev_fwd address_translation forged_source
	loopback ifb xfrm written_files
	limit_tc limit_packet_socket_hears limit_xdp limit_pktgen limit_qdisc
	limit_moved_device dying_target"

child=''
closed=drop
to=
said=

# try ACTOR COMMAND... with @ for a token; tells how many of what was sent got
# to $watcher in $answer, and what the actor said in $said.
try()
{
	new_token
	ask "${@//@/$token}"
	said=$answer
	flush
	ask "$watcher" seen "$token$to"
	[[ $answer == +([0-9]) ]] || die "$watcher: $answer"
}

# All that came out of target, in $answer.
frames()
{
	local n0

	ask watch seen n0
	n0=$answer
	ask watch seen n1
	answer=$((n0 + answer))
}

# attempt stopped|passes NAME ACTOR COMMAND...: does the first happen?
attempt()
{
	local before

	gate accept
	try "${@:3}"
	((answer)) || check_err 1 "$2 does not get through an open gate, either: $said"

	gate "$closed"
	flush
	frames
	before=$answer
	try "${@:3}"
	case $1 in
	passes)
		((answer)) || check_err 1 "$2 is said to get through, but does not"
		return
		;;
	stopped)
		((!answer)) || check_err 1 "$2 gets through"
		;;
	*)
		die "attempt $1"
		;;
	esac
	frames
	[[ $closed != drop || $answer == "$before" ]] ||
		check_err 1 "$2: $((answer - before)) frames get through"
}

# What only the egress of a device can stop.
at_egress()
{
	if has_hook egress; then
		attempt stopped "$@"
	else
		attempt passes "$@"
	fi
}

# tenant COMMAND...: what he does. Errors are no fault of nsgate.
tenant()
{
	in_ns "$target" "$@" || die "could not: $*"
}

setup()
{
	setup_gate
	setup_ns child
	actor child "$child"
	must watch watching watch
	must tenant receiving receive "$own" 4242
	must tenant receiving receive "$own6" 4242
	must tenant receiving receive 127.0.0.1 4242
	must tenant receiving receive ::1 4242
	tenant sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	watcher=watch
	excepted=$(program "host $friend and udp port 4242")
	excepted6=$(program "host $friend6 and udp port 4242")
}

# ---- what the gate stops ----

sockets()
{
	attempt stopped "UDP" tenant udp "$foe" 4242 @
	attempt stopped "UDP of IPv6" tenant udp "$foe6" 4242 @
	attempt stopped "a raw socket" tenant raw tcp "$own" "$foe" 4242 @
	attempt stopped "a raw socket of IPv6" tenant raw tcp "$own6" "$foe6" 4242 @
	log_test "sockets: UDP and raw, IPv4 and IPv6, send nothing"

	watcher=tenant
	attempt stopped "UDP" friend udp "$own" 4242 @
	attempt stopped "UDP of IPv6" friend udp "$own6" 4242 @
	watcher=watch
	log_test "sockets: UDP, IPv4 and IPv6, receive nothing"
}

ruleset_is_flushed()
{
	tenant nft add table inet mine
	tenant nft flush ruleset
	tenant iptables -F
	tenant iptables -P OUTPUT ACCEPT
	tenant ip6tables -F
	attempt stopped "UDP" tenant udp "$foe" 4242 @
	attempt stopped "UDP of IPv6" tenant udp "$foe6" 4242 @
	log_test "nft flush ruleset and iptables -F change nothing"
}

chains_before_the_gate()
{
	local egress=

	has_hook egress && egress='chain e { type filter hook egress device t0 priority -2147483648; accept; }'
	tenant nft -f - <<-END
		table inet mine {
			chain prerouting { type filter hook prerouting priority -2147483648; accept; }
			chain input { type filter hook input priority -2147483648; accept; }
			chain output { type filter hook output priority -2147483648; accept; }
			chain postrouting { type filter hook postrouting priority -2147483648; accept; }
		}
		table netdev mine {
			chain i { type filter hook ingress device t0 priority -2147483648; accept; }
			$egress
		}
	END
	attempt stopped "UDP" tenant udp "$foe" 4242 @
	attempt stopped "UDP of IPv6" tenant udp "$foe6" 4242 @
	watcher=tenant
	attempt stopped "UDP that comes in" friend udp "$own" 4242 @
	attempt stopped "UDP of IPv6 that comes in" friend udp "$own6" 4242 @
	watcher=watch
	tenant nft flush ruleset
	log_test "chains of nft that accept all, before the gate in every hook"
}

policy_routing()
{
	ip -n "$target" -batch - <<-END
		addr add 10.9.1.99/24 dev t0
		route add default via 10.9.2.10 dev t1 table 99
		rule add from 10.9.1.99 table 99
	END
	attempt stopped "from another address by the other device" \
		tenant raw udp 10.9.1.99 "$foe" 4242 @
	ip -n "$target" rule del from 10.9.1.99 table 99
	attempt stopped "from another address" tenant raw udp 10.9.1.99 "$foe" 4242 @
	attempt stopped "by the other device" tenant udp 10.9.2.10 4242 @
	attempt stopped "by the other device, IPv6" tenant udp fd09:2::a 4242 @
	ip -n "$target" addr del 10.9.1.99/24 dev t0
	log_test "policy routing, another device and another address"
}

# With an exception in force, so that there is a program to be fooled.
fragments_and_options()
{
	local kind

	closed="drop except $excepted"
	for kind in fragments tiny later options tunnel; do
		attempt stopped "$kind" tenant raw $kind "$own" "$foe" 4242 @
		at_egress "$kind in frames" tenant frame t0 queue 0800 0800 $kind "$own" "$foe" 4242 @
	done
	closed="drop except $excepted6"
	for kind in fragments tiny later hop; do
		attempt stopped "$kind of IPv6" tenant raw $kind "$own6" "$foe6" 4242 @
		at_egress "$kind of IPv6 in frames" \
			tenant frame t0 queue 86dd 86dd $kind "$own6" "$foe6" 4242 @
	done
	closed=drop
	log_test "fragments, tiny ones, IP options and extension headers"
}

# A filter with ports can't know what a later fragment belongs to.
later_fragments_of_exceptions()
{
	closed="drop except $excepted"
	attempt stopped "a later fragment" tenant raw later "$own" "$friend" 4242 @
	attempt stopped "a later fragment behind a tiny one" \
		tenant raw tiny "$own" "$friend" 4242 @
	attempt passes "the same with options" tenant raw options "$own" "$friend" 4242 @
	closed=drop
	log_test "of an excepted packet's fragments only the first one passes"
}

packet_sockets()
{
	local how

	for how in queue bypass; do
		at_egress "IPv4" tenant frame t0 $how 0800 0800 udp "$own" "$foe" 4242 @
		at_egress "IPv6" tenant frame t0 $how 86dd 86dd udp "$own6" "$foe6" 4242 @
		at_egress "VLAN" tenant frame t0 $how 8100 8100.0800 udp "$own" "$foe" 4242 @
		at_egress "QinQ" tenant frame t0 $how 88a8 88a8.8100.0800 udp "$own" "$foe" 4242 @
		at_egress "SNAP" tenant frame t0 $how 0004 length udp "$own" "$foe" 4242 @
		at_egress "text" tenant frame t0 $how 88b5 88b5 text "$own" "$foe" 4242 @
		log_test "packet socket, $how: IP, with VLAN tags and SNAP too, and text"

		closed="drop except $excepted"
		at_egress "IP that is said to be ARP" \
			tenant frame t0 $how 0806 0800 udp "$own" "$foe" 4242 @
		at_egress "IP that is said to be nothing" \
			tenant frame t0 $how 0000 0800 udp "$own" "$foe" 4242 @
		at_egress "text that is said to be ARP" \
			tenant frame t0 $how 0806 88b5 text "$own" "$foe" 4242 @
		at_egress "IPv6 in a VLAN that is said to be ARP" \
			tenant frame t0 $how 0806 8100.86dd udp "$own6" "$foe6" 4242 @
		at_egress "an excepted packet in a frame of the other family" \
			tenant frame t0 $how 86dd 86dd udp "$own" "$friend" 4242 @
		closed=drop
		log_test "packet socket, $how: that lies about the protocol"
	done
}

# The program has to see what is not in the linear part of the skb.
split_frames()
{
	tenant ip link set t0 mtu 9000
	in_ns "$outside" ip link set n0 mtu 9000
	closed="drop except $excepted"
	at_egress "a frame in parts" tenant frame t0 split 0800 0800 udp "$own" "$foe" 4242 @
	attempt passes "an excepted one" tenant frame t0 split 0800 0800 udp "$own" "$friend" 4242 @
	closed="accept except $(program "dst host $foe and udp port 4242")"
	at_egress "a frame in parts" tenant frame t0 split 0800 0800 udp "$own" "$foe" 4242 @
	at_egress "a frame in parts with a VLAN tag" \
		tenant frame t0 split 8100 8100.0800 udp "$own" "$foe" 4242 @
	# The kernel looks for a tag, and makes it linear, if it is told of one.
	at_egress "a frame in parts with a VLAN tag that nobody told of" \
		tenant frame t0 split 88b5 8100.0800 udp "$own" "$foe" 4242 @
	closed=drop
	log_test "frames whose headers are not in the linear part"
}

# Excepted flows need it.
arp()
{
	at_egress "ARP" tenant frame t0 queue 0806 0806 arp "$own" "$foe" 4242 @
	log_test "ARP is dropped by drop alone"

	closed="drop except $excepted"
	attempt passes "ARP" tenant frame t0 queue 0806 0806 arp "$own" "$foe" 4242 @
	closed=drop
	log_test "known limit: with an exception, ARP passes, with whatever is in it"
}

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
	connect_quietly "$target" v0 "$child" v1 3
	attempt stopped "what is forwarded" child udp "$foe" 4242 @
	watcher=child
	must child watching watch
	ip -n "$outside" route add 10.9.3.0/24 via "$own"
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
	at_egress "what the flowtable forwards" child udp "$friend" 4242 @ 4242
	watcher=child
	at_egress "what the flowtable forwards to it" friend udp 10.9.3.2 4242 @ 4242
	watcher=watch
	tenant nft flush ruleset
	hops=1
	log_test "a flowtable of nft"
}

netdev_fwd()
{
	hops=2
	tenant nft -f - <<-END
		table netdev mine {
			chain v0 {
				type filter hook ingress device v0 priority -2147483648;
				fwd to t0
			}
		}
	END
	at_egress "what comes from a child" child udp "$foe" 4242 @
	tenant nft flush ruleset
	hops=1
	log_test "netdev fwd of nft, before the gate"
}

# An excepted packet is to become another one behind the gate.
address_translation()
{
	closed="drop except $excepted"
	to=/$friend
	attempt passes "an excepted packet" tenant udp "$friend" 4242 @
	to=/$foe
	tenant nft -f - <<-END
		table ip mine {
			chain output {
				type nat hook output priority -100;
				ip daddr $friend dnat to $foe
			}
		}
	END
	at_egress "with another destination by dnat" tenant udp "$friend" 4242 @
	tenant nft flush ruleset
	tenant nft -f - <<-END
		table ip mine {
			chain postrouting {
				type filter hook postrouting priority 2147483647;
				ip daddr $friend ip daddr set $foe
			}
		}
	END
	at_egress "with another destination, at the very end" tenant udp "$friend" 4242 @
	tenant nft flush ruleset
	to=
	closed=drop
	log_test "excepted packets that nft sends elsewhere"
}

# "host A" is true of source and destination.
forged_source()
{
	closed="drop except $excepted"
	attempt passes "from a forged address" tenant raw udp "$friend" "$foe" 4242 @
	log_test "known limit: an exception that names one end lets it be forged"

	closed="drop except $(program "host $own and host $friend and udp port 4242")"
	attempt stopped "from a forged address" tenant raw udp "$friend" "$foe" 4242 @
	attempt passes "an excepted packet" tenant udp "$friend" 4242 @
	closed=drop
	log_test "an exception that names both ends can't be forged"
}

loopback()
{
	watcher=tenant
	attempt stopped "127.0.0.1" tenant udp 127.0.0.1 4242 @
	attempt stopped "::1" tenant udp ::1 4242 @
	attempt stopped "our own address" tenant udp "$own" 4242 @
	watcher=watch
	log_test "loopback is cut off as well"
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

# What is inside is decrypted behind the hook of the device.
xfrm()
{
	local ns

	for ns in "$target" "$outside"; do
		ip -n "$ns" -batch - <<-END
			xfrm state add src $friend dst $own proto esp spi 0x6e67 mode transport enc cipher_null "" auth hmac(sha256) 0x$(printf '%064x' 7)
		END
	done
	ip -n "$outside" xfrm policy add src "$friend" dst "$own" dir out \
		tmpl proto esp mode transport
	ip -n "$target" xfrm policy add src "$friend" dst "$own" dir in \
		tmpl proto esp mode transport level use
	closed="drop except $(program "esp or ip proto 50")"
	watcher=tenant
	attempt stopped "what was encrypted" friend udp "$own" 4242 @
	watcher=watch
	closed=drop
	for ns in "$target" "$outside"; do
		ip -n "$ns" xfrm policy flush
		ip -n "$ns" xfrm state flush
	done
	log_test "what IPsec decrypts is judged again"
}

# Root can open nearly everything; what counts is that it has no effect.
written_files()
{
	local file before

	gate "drop except $excepted # mine"
	before=$(<"$gate")
	in_ns "$target" bash -s -- "$target_inode" >/dev/null 2>&1 <<-'END'
		for file in /proc/net/nsgate /proc/net/nsgate/* /proc/1/net/nsgate/* /proc/1/net/nsgate/$1/*; do
			for line in accept "-$1" ""; do
				echo "$line" >$file
			done
		done
		for file in $(find /sys/module/nsgate -type f); do
			for line in "-$1" "" accept 1; do
				echo "$line" >$file
			done
		done
		echo accept >/proc/net/nsgate/gate
		mkdir /proc/net/nsgate/$1
		rm -f /proc/1/net/nsgate/$1/gate
		true
	END
	check_equal "the gate" "${before%excepted*}" "$(sed '/^excepted/,$d' "$gate")"$'\n'
	check_equal "the target" "$target_inode" "$(<$INODE_PARAM)"
	log_test "nothing can be written under /proc/net/nsgate and /sys/module/nsgate"
}

# ---- what it can't ----

# tc comes before ingress and behind egress, and what it redirects skips both.
limit_tc()
{
	closed="drop except $excepted"
	to=/$foe
	tenant tc qdisc add dev t0 clsact
	tenant tc filter add dev t0 egress matchall action pedit ex munge ip dst set "$foe"
	# What was for foe before stays so: only this tells that the gate is open.
	attempt passes "an excepted packet that is rewritten" tenant udp "$friend" 4242 @
	tenant tc filter del dev t0 egress
	to=
	closed=drop
	log_test "known limit: tc rewrites an excepted packet behind the gate"

	hops=2
	tenant tc filter add dev t0 ingress matchall action mirred egress redirect dev v0
	tenant tc qdisc add dev v0 clsact
	tenant tc filter add dev v0 ingress matchall action mirred egress redirect dev t0
	attempt passes "from a child" child frame v1 queue 0800 0800 udp "$own" "$foe" 4242 @
	watcher=child
	attempt passes "to a child" friend udp "$own" 4242 @
	watcher=watch
	tenant tc qdisc del dev t0 clsact
	tenant tc qdisc del dev v0 clsact
	hops=1
	log_test "known limit: tc redirects frames of a child around the gate"
}

# It has heard the frame before the gate is asked.
limit_packet_socket_hears()
{
	actor spy "$target"
	must spy watching watch
	watcher=spy
	attempt passes "a frame" friend udp "$own" 4242 @
	watcher=watch
	log_test "known limit: a packet socket hears what is then dropped"
}

limit_xdp()
{
	if [[ $(in_ns "$target" python3 -c 'import ctypes, mmap; print(44)' 2>&1) != 44 ]]; then
		log_test_skip "AF_XDP" "python3 has no ctypes"
		return
	fi
	ask tenant xdp t0 "$own" "$foe" 4242 ng00000000
	if [[ $answer != sent ]]; then
		log_test_skip "AF_XDP" "$answer"
		return
	fi
	attempt passes "AF_XDP" tenant xdp t0 "$own" "$foe" 4242 @
	log_test "known limit: AF_XDP sends past the gate"

	must tenant sent reflect t0 yes
	hops=2
	attempt passes "a frame" friend frame n0 queue 0800 0800 udp "$foe" "$own" 4242 @
	must tenant sent reflect t0 no
	hops=1
	log_test "known limit: an XDP program sends back what comes in"
}

limit_pktgen()
{
	local before

	if ! modprobe -q pktgen; then
		log_test_skip "pktgen" "there is no pktgen"
		return
	fi
	gate drop
	flush
	frames
	before=$answer
	in_ns "$target" bash -e <<-END
		cd /proc/net/pktgen
		echo add_device t0 >kpktgend_0
		echo count 5 >t0
		echo dst $foe >t0
		echo start >pgctrl
		echo rem_device_all >kpktgend_0
	END
	flush
	frames
	check_equal "frames of pktgen" 5 $((answer - before))
	modprobe -r pktgen
	log_test "known limit: pktgen sends past the gate, where the host has loaded it"
}

# A plug stands for all that holds packets back for long.
limit_qdisc()
{
	if ! in_ns "$target" tc qdisc add dev t0 root plug limit 1000000; then
		log_test_skip "a queue of packets" "there is no sch_plug"
		return
	fi
	gate accept
	tenant tc qdisc change dev t0 root plug block
	new_token
	must tenant sent udp "$foe" 4242 "$token"
	gate drop
	flush
	must watch 0 seen "$token"
	tenant tc qdisc change dev t0 root plug release_indefinite
	flush
	must watch 1 seen "$token"
	log_test "known limit: what is in a device's queue when the gate closes goes out"

	attempt stopped "what is sent then" tenant udp "$foe" 4242 @
	tenant tc qdisc del dev t0 root
	log_test "behind a queue that holds packets back, later ones are stopped"
}

limit_moved_device()
{
	ip -n "$target" link set t1 netns "$child"
	ip -n "$child" link set t1 up
	attempt passes "a frame" child frame t1 queue 0800 0800 udp "$own" "$foe" 4242 @
	gate_value devices "${gate%gate}state"
	check_equal "devices of target" "$(ip -n "$target" -br link | wc -l)" "$answer"
	log_test "known limit: a device that is moved to a child takes no gate along"

	ip -n "$child" link set t1 netns "$target"
	ip -n "$target" link set t1 up
	at_egress "a frame" tenant frame t1 bypass 0800 0800 udp "$own" "$foe" 4242 @
	log_test "a device that comes is gated"
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

	ip -n "$target" link show dev v0 >/dev/null 2>&1 ||
		connect_quietly "$target" v0 "$child" v1 3
	hops=2
	attempt stopped "what is forwarded" child udp "$foe" 4242 @
	hops=1
	nft_counter frames
	before=$answer
	actor flooder "$child"
	must flooder sent flood 4242 10.9.3.2 "$foe"
	gate_value dropped
	busywait $BUSYWAIT_TIMEOUT drops_more_than $((answer + 100)) || check_err $? "nobody sends"
	# Bash tells that the tenant is killed.
	cleanup_ns "$target" 2>/dev/null || check_err $? "target can't be deleted"
	busywait $BUSYWAIT_TIMEOUT has_no_link || check_err $? "target lives on"
	nft_counter frames
	check_equal "frames that came out" "$before" "$answer"
	log_test "a target that dies stays closed to the end"
}

setup
tests_run
