#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/limits.md, What gets past a closed gate
#
# What gets past a closed gate, as no hook of netfilter sees it. Each row of the
# table is tried, so that one that is no limit any more doesn't stay there.

# shellcheck source=gate_escape_lib.sh
source "$(dirname "$(realpath "$0")")/gate_escape_lib.sh"

ALL_TESTS="limit_tc limit_packet_socket_hears limit_xdp limit_pktgen limit_qdisc
	limit_moved_device"

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

setup
setup_child
tests_run
