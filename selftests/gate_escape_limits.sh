#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/limits.md, What gets past a closed gate
#
# What gets past a closed gate, as no hook of netfilter sees it. Each row of the
# table is tried, so that one that is no limit any more doesn't stay there.

# shellcheck source=gate_escape_lib.sh
source "$(dirname "$(realpath "$0")")/gate_escape_lib.sh"

ALL_TESTS="limit_tc limit_packet_socket_hears limit_l3s limit_xdp limit_pktgen
	limit_netconsole limit_qdisc limit_loopback limit_moved_device"

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

# The host gives an ipvlan device over f0 to target.
limit_l3s()
{
	local lower

	if ! ip -n "$outside" link add link f0 name l3s type ipvlan mode l3s; then
		log_test_skip "ipvlan in mode l3s" "there is none"
		return
	fi
	read -r _ _ lower _ < <(ip -n "$outside" -br link show dev f0)
	ip -n "$outside" link set l3s netns "$target"
	ip -n "$target" addr add 10.9.9.5/24 dev l3s
	ip -n "$target" link set l3s up
	ip -n "$fence" neigh add 10.9.9.5 lladdr "$lower" dev f1
	actor hearer "$target"
	must hearer receiving receive 10.9.9.5 4242
	watcher=hearer
	attempt passes "UDP" fence udp 10.9.9.5 4242 @
	watcher=watch
	ip -n "$target" link del l3s
	log_test "known limit: an ipvlan device in mode l3s hears what comes in"
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

# How many frames device $1 of target has sent.
sent_by()
{
	local name figures

	while read -r name figures; do
		[[ $name != "$1:" ]] || awk '{ print $10 }' <<<"$figures"
	done < <(in_ns "$target" cat /proc/net/dev)
}

netconsole_sends()
{
	echo "<0>nsgate selftest" >/dev/kmsg
	(($(sent_by d9) > $1))
}

# It is set up by root of the host, in the namespace, and speaks at once. Newer veth
# devices don't let it.
limit_netconsole()
{
	local config=/sys/kernel/config/netconsole/nsgate before

	if ! modprobe -q netconsole; then
		log_test_skip "netconsole" "there is no netconsole"
		return
	fi
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
	ip -n "$target" -batch - <<-END
		link add d9 type dummy
		link set d9 addrgenmode none
		addr add 10.9.6.1/24 dev d9
		link set d9 up
		neigh add 10.9.6.2 lladdr 02:00:00:09:06:02 dev d9
	END
	mkdir "$config"
	echo d9 >"$config/dev_name"
	echo 10.9.6.1 >"$config/local_ip"
	echo 10.9.6.2 >"$config/remote_ip"
	echo 02:00:00:09:06:02 >"$config/remote_mac"
	gate drop
	before=$(sent_by d9)
	ask tenant udp 10.9.6.2 4242 ng00000000
	check_equal "what a socket has sent by it" "$before" "$(sent_by d9)"
	in_ns "$target" bash -c "echo 1 >$config/enabled" || check_err $? "it can't be enabled"
	busywait $BUSYWAIT_TIMEOUT netconsole_sends "$before" ||
		check_err 1 "it is said to send past the gate, but does not"
	echo 0 >"$config/enabled" || true
	rmdir "$config"
	modprobe -r netconsole
	ip -n "$target" link del d9
	log_test "known limit: netconsole sends past the gate, where the host has set it up"
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

# The figure is a second old at most.
tc_is()
{
	gate_value tc "${gate%gate}state"
	[[ $answer == "$1" ]]
}

# The exception of `nsgate gate NS drop --loopback` tells loopback by its addresses.
limit_loopback()
{
	closed="drop except $(program "$loopback_only")"
	attempt passes "a frame" tenant frame t0 queue 0800 0800 udp 127.0.0.1 127.0.0.1 4242 @
	attempt passes "a frame of IPv6" tenant frame t0 queue 86dd 86dd udp ::1 ::1 4242 @
	at_egress "a frame to another" tenant frame t0 queue 0800 0800 udp 127.0.0.1 "$foe" 4242 @
	log_test "known limit: a frame with addresses of loopback leaves with its exception"

	# What tc redirects at egress, the kernel takes past egress of the other device.
	tenant tc qdisc add dev lo clsact
	tenant tc filter add dev lo egress protocol ip matchall \
		action pedit ex munge ip dst set "$foe" pipe action mirred egress redirect dev t0
	to=/$foe
	attempt passes "a packet of loopback" tenant udp 127.0.0.1 4242 @
	to=
	busywait $BUSYWAIT_TIMEOUT tc_is 1 || check_err $? "tc in state: $answer"
	tenant tc qdisc del dev lo clsact
	log_test "known limit: tc leads loopback out, and rewrites it, behind the gate"

	tenant sysctl -qw net.ipv4.conf.t0.route_localnet=1 net.ipv4.conf.t0.accept_local=1
	watcher=tenant
	attempt passes "a frame" friend frame n0 queue 0800 0800 udp 127.0.0.1 127.0.0.1 4242 @
	watcher=watch
	tenant sysctl -qw net.ipv4.conf.t0.route_localnet=0 net.ipv4.conf.t0.accept_local=0
	closed=drop
	log_test "known limit: with route_localnet such a frame is received"
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
	at_egress "a frame" tenant frame t1 queue 0800 0800 udp "$own" "$foe" 4242 @
	log_test "a device that comes is gated"
}

setup
setup_child
tests_run
