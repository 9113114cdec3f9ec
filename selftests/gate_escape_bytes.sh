#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/limits.md, What gets past a closed gate
#
# The root of a gated namespace steps over hooks, and lies about what he sends: the
# promise of docs/files.md, "gate", that the bytes of a packet are judged, at points
# that nobody of the namespace leads a packet past. What gets by nevertheless is in
# docs/limits.md.

# shellcheck source=gate_escape_lib.sh
source "$(dirname "$(realpath "$0")")/gate_escape_lib.sh"

ALL_TESTS="stopped_queue stopped_queue_at_all_points stopped_queue_and_ipsec
	lying_tun shifted_header skips_ingress rewritten_before"

at_first() # HOOK...: chains there that stand before ours, as they come later
{
	local hook

	echo "table inet mine {"
	for hook; do
		echo "chain $hook { type filter hook $hook priority -2147483648;"
		echo "meta l4proto udp queue num 7; }"
	done
	echo "}"
}

# Verdict 5 is NF_STOP: hooks that stand behind don't see the packet any more.
stopped_queue()
{
	must tenant bound queue 7 5
	attempt_first stopped "$(at_first output)" "UDP" tenant udp "$foe" 4242 @
	attempt_first stopped "$(at_first output)" "UDP of IPv6" tenant udp "$foe6" 4242 @
	attempt_first stopped "$(at_first postrouting)" "UDP, later" tenant udp "$foe" 4242 @
	watcher=tenant
	attempt_first stopped "$(at_first prerouting)" "UDP that comes in" friend udp "$own" 4242 @
	attempt_first stopped "$(at_first prerouting input)" "UDP of IPv6 that comes in" \
		friend udp "$own6" 4242 @
	watcher=watch
	log_test "NFQUEUE takes no packet past the gate, by verdict 5"
}

stopped_queue_at_all_points()
{
	first_at_egress "$(at_first output postrouting)" "UDP" tenant udp "$foe" 4242 @
	if has_hook egress; then
		log_test "nor at all points of IP at once"
	else
		log_test "known limit: without egress it does, at output and postrouting at once"
	fi
}

# What is inside has never been at ingress.
stopped_queue_and_ipsec()
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
	attempt_first stopped "$(at_first prerouting)" "what was encrypted" friend udp "$own" 4242 @
	log_test "what IPsec decrypts is judged, if NFQUEUE takes it past prerouting, too"

	attempt_first passes "$(at_first prerouting input)" "what was encrypted" \
		friend udp "$own" 4242 @
	log_test "known limit: past prerouting and input, by chains that come before ours"

	gate "$closed"
	tenant nft -f - <<<"$(at_first prerouting input)"
	gate "$closed"
	busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "the hooks don't get to the front"
	try friend udp "$own" 4242 @
	check_equal "what was encrypted, after the next gate write" 0 "$answer"
	tenant nft flush ruleset
	watcher=watch
	closed=drop
	for ns in "$target" "$outside"; do
		ip -n "$ns" xfrm policy flush
		ip -n "$ns" xfrm state flush
	done
	log_test "the next gate write puts our hooks before them"
}

setup_tuns()
{
	modprobe -q tun || skip "there is no tun"
	must tenant open tun liar pi
	must tenant open tun bare bare
	ip -n "$target" -batch - <<-END
		link set liar addrgenmode none
		link set bare addrgenmode none
		link set liar up
		link set bare up
	END
}

# What bare sends, its process reads as it is.
lying_tun()
{
	setup_tuns
	tenant nft -f - <<-END
		table netdev mine {
			chain liar {
				type filter hook ingress device liar priority 0;
				fwd to bare
			}
		}
	END
	watcher=tenant
	closed="drop except $excepted"
	at_egress "IP that says it is ARP" tenant write liar 0806 udp "$own" "$foe" 4242 @
	# Those that say they are IP are stopped where they come in.
	attempt stopped "IP that says it is IPv6" tenant write liar 86dd udp "$own" "$foe" 4242 @
	attempt stopped "IP to foe" tenant write liar 0800 udp "$own" "$foe" 4242 @
	at_egress "an excepted packet that says it is ARP" \
		tenant write liar 0806 udp "$own" "$friend" 4242 @
	at_egress "text that says it is ARP" tenant write liar 0806 text "$own" "$foe" 4242 @
	attempt passes "an excepted packet" tenant write liar 0800 udp "$own" "$friend" 4242 @
	closed="accept except $(program "dst host $foe")"
	at_egress "IP to foe that says it is ARP" tenant write liar 0806 udp "$own" "$foe" 4242 @
	closed=drop
	watcher=watch
	tenant nft flush ruleset
	log_test "a tun device that lies about what it sends"
}

# The network header is 14 bytes in, but the device sends from the beginning.
shifted_header()
{
	setup_child
	tenant nft -f - <<-END
		table netdev mine {
			chain v0 {
				type filter hook ingress device v0 priority 0;
				fwd to bare
			}
		}
	END
	watcher=tenant
	closed="drop except $excepted"
	at_egress "a frame that is a packet to foe" child disguise v1 "$foe" "$own" "$friend" 4242 @
	closed=drop
	watcher=watch
	tenant nft flush ruleset
	log_test "a frame whose Ethernet header is the beginning of a packet"
}

# A frame that tc of a child has given to an ifb device, and that came back, isn't
# looked at by tc on the other side of a veth, nor by netfilter at ingress.
skips_ingress()
{
	local sibling

	if ! ip -n "$child" link add ifb9 type ifb; then
		log_test_skip "frames that skip ingress" "there is no ifb"
		return
	fi
	ip -n "$child" link set ifb9 up
	in_ns "$child" tc qdisc add dev v1 clsact
	in_ns "$child" tc filter add dev v1 egress u32 match mark 0 0xffffffff \
		action skbedit mark 1 pipe action mirred egress redirect dev ifb9
	hops=3
	watcher=tenant
	attempt stopped "to its parent" child udp "$own" 4242 @
	watcher=watch
	attempt stopped "through its parent" child udp "$foe" 4242 @
	log_test "what a child leads past ingress is judged where it gets to IP"

	ip -n "$target" -batch - <<-END
		link add y0 type bridge
		link set y0 addrgenmode none
		link set y0 up
		link set t0 master y0
		link set v0 master y0
	END
	# Where br_netfilter is there, it would take the frame to IP.
	[[ ! -e /proc/sys/net/bridge ]] || tenant sysctl -qw net.bridge.bridge-nf-call-iptables=0
	at_egress "through a bridge" child frame v1 queue 0800 0800 udp "$own" "$foe" 4242 @
	ip -n "$target" -batch - <<-END
		link set t0 nomaster
		link set v0 nomaster
		link del y0
	END
	if has_hook egress; then
		log_test "and through a bridge, at egress"
	else
		log_test "known limit: without egress it gets through a bridge that IP doesn't see"
	fi

	setup_ns sibling
	actor sibling "$sibling"
	must sibling watching watch
	ip -n "$target" link add link v0 name y1 netns "$sibling" type macvlan mode passthru
	ip -n "$sibling" link set y1 up
	watcher=sibling
	attempt passes "to a macvlan device" child frame v1 queue 0800 0800 udp "$own" "$foe" 4242 @
	watcher=watch
	hops=1
	ip -n "$sibling" link del y1
	ip -n "$child" link del ifb9
	in_ns "$child" tc qdisc del dev v1 clsact
	log_test "known limit: from child to child, by a macvlan device of the other"
}

# An exception that names both ends, and a chain that makes foe's packets friend's.
rewritten_before()
{
	local chain="table netdev mine {
		chain i { type filter hook ingress device t0 priority -2147483648;
			ip saddr $foe ip saddr set $friend
		}
	}"

	closed="drop except $(program "host $own and host $friend and udp port 4242")"
	watcher=tenant
	come_first "$chain" "$closed"
	try friend raw udp "$foe" "$own" 4242 @
	((answer)) || check_err 1 "it is said to get in, but does not: $said"
	busywait $BUSYWAIT_TIMEOUT preceded_is 1 || check_err $? "preceded doesn't tell"
	log_test "known limit: a chain that came after the gate write rewrites; preceded tells"

	gate "$closed"
	busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "the hooks don't get to the front"
	try friend raw udp "$foe" "$own" 4242 @
	check_equal "what is rewritten behind us" 0 "$answer"
	try friend raw udp "$friend" "$own" 4242 @
	check_equal "an excepted packet" 1 "$answer"
	tenant nft flush ruleset
	watcher=watch
	closed=drop
	log_test "the next gate write puts our hooks before it"
}

setup
tests_run
