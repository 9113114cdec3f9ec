#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Guards: docs/files.md, stats
#
# What enters and leaves a target by its edges: the rows in and out of stats, for
# each way in which devices can stand on one another. They are compared with the
# statistics of the devices at the other ends, to the byte, and where a tunnel is
# an edge of its own, with those of the tunnel.
#
#   target                                  outside
#   +--------------------------+           +----------------------+
#   | what stands on v0 and v1 | v0 --- p0 | what the other end   |
#   |          10.9.1.1        | v1 --- p1 | of that is: 10.9.1.2 |
#   |          fd09:1::1       |           | fd09:1::2            |
#   +--------------------------+           +----------------------+

# shellcheck source=edges_lib.sh
source "$(dirname "$(realpath "$0")")/edges_lib.sh"

ALL_TESTS="rows_stand veth_is_edge loopback_is_none vlan_is_none qinq_is_none bridge_is_none
	bridge_with_netfilter_is_none bond_is_none team_is_none vrf_is_none macvlan_is_edge
	ipvlan_is_edge macvlan_above_edge_is_none ipvlan_above_edge_is_none tunnels_count_twice wireguard_counts_twice
	tun_is_edge own_multicast_is_no_in own_multicast_by_loopback_is_no_in
	frames_for_others_are_in flows_are_of_edges forwarded_flows_count_once flowtable_hides_nothing
	last_figures_are_logged"

# ---- devices ----

rows_stand()
{
	check_equal "rows" "in netdev all 0 0 0 0 out netdev all 0 0 0 0" \
		"$(grep -E '^(in|out) ' "$dir/stats" | paste -sd ' ')"
	log_test "the rows in and out stand"
}

veth_is_edge()
{
	new_target
	veth 0 1
	address "$target" v0 1
	address "$outside" p0 2
	exchange
	check_ends p0 p1
	check_equal "in, like ingress, has ARP" "$(awk '$1 == "ingress" && $3 == "arp" { print $4 }' "$dir/stats")" \
		"$(awk '$1 == "in" && $3 == "arp" { print $4 }' "$dir/stats")"
	log_test "veth is an edge"
}

loopback_is_none()
{
	in_ns "$target" "${traffic[@]}" 127.0.0.1 >/dev/null || check_err 1 "127.0.0.1 is reached"
	in_ns "$target" "${traffic[@]}" 10.9.1.1 >/dev/null || check_err 1 "10.9.1.1 is reached"
	check_ends p0 p1
	log_test "loopback is none"
}

vlan_is_none()
{
	new_target
	veth 0
	ip -n "$target" link add link v0 name v0.5 type vlan id 5
	ip -n "$outside" link add link p0 name p0.5 type vlan id 5
	address "$target" v0.5 1
	address "$outside" p0.5 2
	exchange
	check_ends p0
	log_test "a VLAN on it is none"
}

qinq_is_none()
{
	new_target
	veth 0
	ip -n "$target" link add link v0 name q type vlan protocol 802.1ad id 7
	ip -n "$target" link add link q name q5 type vlan id 5
	ip -n "$outside" link add link p0 name q type vlan protocol 802.1ad id 7
	ip -n "$outside" link add link q name q5 type vlan id 5
	ip -n "$target" link set q up
	ip -n "$outside" link set q up
	address "$target" q5 1
	address "$outside" q5 2
	exchange
	check_ends p0
	log_test "VLANs on a VLAN are none"
}

# A bridge of both, and what it forwards counts once at each edge.
make_bridge()
{
	new_target
	setup_ns far
	veth 0
	ip -n "$target" link add v1 type veth peer name p1 netns "$far"
	ip -n "$far" link set p1 up
	ip -n "$target" link set v1 up
	ip -n "$target" link add br0 type bridge
	ip -n "$target" link set v0 master br0
	ip -n "$target" link set v1 master br0
	address "$target" br0 1
	address "$outside" p0 2
	address "$far" p1 3
	exchange
	in_ns "$far" "${traffic[@]}" 10.9.1.2 >/dev/null || check_err 1 "10.9.1.2 is reached by the bridge"
	check_same in 0 "$outside" p0 tx 0 "$far" p1 tx
	[[ ! $egress ]] || check_same out 0 "$outside" p0 rx 0 "$far" p1 rx
	cleanup_ns "$far"
}

bridge_is_none()
{
	make_bridge
	log_test "a bridge is none, its ports are"
}

bridge_with_netfilter_is_none()
{
	if ! modprobe -q br_netfilter; then
		log_test_skip "a bridge with br_netfilter is none" "no br_netfilter"
		return
	fi
	make_bridge
	log_test "a bridge with br_netfilter is none"
}

# join N...: the pairs N become ports of agg at both ends and go up. The ends outside
# come first: what a device of the target sends to an end that is down is lost between
# the two, after it was counted.
join()
{
	local n

	for n; do
		ip -n "$outside" link set "p$n" master agg
		ip -n "$outside" link set "p$n" up
	done
	for n; do
		ip -n "$target" link set "v$n" master agg
		ip -n "$target" link set "v$n" up
	done
	address "$outside" agg 2
	address "$target" agg 1
}

# gathered KIND ARGUMENT...: a device in the target and one outside, over the veths.
gathered()
{
	local kind=$1
	shift

	new_target
	pair 0 1
	ip -n "$target" link add agg type "$kind" "$@" 2>/dev/null || return
	ip -n "$outside" link add agg type "$kind" "$@" || return
	join 0 1
	exchange
	check_ends p0 p1
}

bond_is_none()
{
	if gathered bond mode balance-rr miimon 50; then
		log_test "a bond is none"
	else
		log_test_skip "a bond is none" "no bonds"
	fi
}

# A team does nothing until it is told how to share, by a way of netlink of its own.
team_is_none()
{
	local ns

	if ! command -v teamnl >/dev/null || ! ip -n "$outside" link add try type team 2>/dev/null; then
		log_test_skip "a team is none" "no teams"
		return
	fi
	ip -n "$outside" link del try
	new_target
	pair 0
	for ns in "$target" "$outside"; do
		ip -n "$ns" link add agg type team
		in_ns "$ns" teamnl agg setoption mode roundrobin
	done
	join 0
	exchange
	check_ends p0
	log_test "a team is none"
}

vrf_is_none()
{
	new_target
	veth 0
	if ! ip -n "$target" link add red type vrf table 10 2>/dev/null; then
		log_test_skip "a VRF is none" "no VRFs"
		return
	fi
	ip -n "$target" link set red up
	ip -n "$target" link set v0 master red
	address "$target" v0 1
	address "$outside" p0 2
	in_ns "$outside" "${traffic[@]}" 10.9.1.1 >/dev/null || check_err 1 "10.9.1.1 is reached"
	in_ns "$outside" "${traffic[@]}" fd09:1::1 >/dev/null || check_err 1 "fd09:1::1 is reached"
	check_ends p0
	log_test "a VRF is none"
}

# A device of kind $1 over p0 of outside's other end, moved into the target.
make_child()
{
	local kind=$1
	shift

	new_target
	ip -n "$outside" link add p0 type veth peer name q0
	ip -n "$outside" link set p0 up
	ip -n "$outside" link set q0 up
	ip -n "$outside" link add link q0 name child type "$kind" "$@" 2>/dev/null || return
	ip -n "$outside" link set child netns "$target"
	address "$target" child 1
	address "$outside" p0 2
	exchange
	check_same in 0 "$target" child rx
	[[ ! $egress ]] || check_same out 0 "$target" child tx
}

macvlan_is_edge()
{
	if make_child macvlan mode bridge; then
		log_test "macvlan over a device elsewhere is an edge"
	else
		log_test_skip "macvlan over a device elsewhere is an edge" "no macvlan"
	fi
}

ipvlan_is_edge()
{
	if make_child ipvlan mode l2; then
		log_test "ipvlan over a device elsewhere is an edge"
	else
		log_test_skip "ipvlan over a device elsewhere is an edge" "no ipvlan"
	fi
}

# above_edge_is_none KIND ARGUMENT...: such a device over v0, both in the target.
above_edge_is_none()
{
	local kind=$1
	shift

	new_target
	veth 0
	if ! ip -n "$target" link add link v0 name child type "$kind" "$@" 2>/dev/null; then
		log_test_skip "$kind over an edge is none" "no $kind"
		return
	fi
	address "$target" child 1
	address "$outside" p0 2
	exchange
	check_ends p0
	log_test "$kind over an edge is none"
}

macvlan_above_edge_is_none()
{
	above_edge_is_none macvlan mode bridge
}

ipvlan_above_edge_is_none()
{
	above_edge_is_none ipvlan mode l2
}

# What a tunnel carries counts as it is, and once more as what carries it.
tunnel_counts()
{
	local kind=$1 header=$2 ns n
	shift 2

	new_target
	veth 0
	ip -n "$target" address add 10.9.7.1/24 dev v0
	ip -n "$outside" address add 10.9.7.2/24 dev p0
	for ns in "$target" "$outside"; do
		n=$([[ $ns == "$target" ]] && echo 1 || echo 2)
		ip -n "$ns" link add tun type "$kind" "$@" local "10.9.7.$n" remote 10.9.7.$((3 - n)) \
			2>/dev/null || return
		ip -n "$ns" address add "10.9.1.$n/24" dev tun
		ip -n "$ns" link set tun up
	done
	in_ns "$target" "${traffic[@]}" 10.9.1.2 >/dev/null || check_err 1 "10.9.1.2 is reached by $kind"
	check_same in 0 "$outside" p0 tx "$header" "$target" tun rx
	[[ ! $egress || $kind != ipip ]] || check_same out 0 "$outside" p0 rx "$header" "$target" tun tx
}

tunnels_count_twice()
{
	if tunnel_counts ipip 0; then
		log_test "ipip counts, and what carries it"
	else
		log_test_skip "ipip counts, and what carries it" "no ipip"
	fi
	# Its statistics leave the inner Ethernet header out.
	if tunnel_counts vxlan 14 id 9 dstport 4789; then
		log_test "vxlan counts, and what carries it"
	else
		log_test_skip "vxlan counts, and what carries it" "no vxlan"
	fi
}

wireguard_counts_twice()
{
	local ns n
	local -A keys

	new_target
	veth 0
	ip -n "$target" address add 10.9.7.1/24 dev v0
	ip -n "$outside" address add 10.9.7.2/24 dev p0
	if ! command -v wg >/dev/null || ! ip -n "$target" link add tun type wireguard 2>/dev/null; then
		log_test_skip "wireguard counts, and what carries it" "no wireguard"
		return
	fi
	ip -n "$outside" link add tun type wireguard
	for n in 1 2; do
		wg genkey >"$tmp/$n"
		keys[$n]=$(wg pubkey <"$tmp/$n")
	done
	for n in 1 2; do
		ns=$([[ $n == 1 ]] && echo "$target" || echo "$outside")
		in_ns "$ns" wg set tun private-key "$tmp/$n" listen-port 5182 peer "${keys[$((3 - n))]}" \
			allowed-ips 0.0.0.0/0 endpoint 10.9.7.$((3 - n)):5182
		ip -n "$ns" link set tun addrgenmode none
		ip -n "$ns" address add "10.9.1.$n/24" dev tun
		ip -n "$ns" link set tun up
	done
	in_ns "$target" "${traffic[@]}" 10.9.1.2 >/dev/null || check_err 1 "10.9.1.2 is reached by wireguard"
	# Its own statistics are of what carries it.
	check_same in 0 "$outside" p0 tx 0 - 5 1640
	[[ ! $egress ]] || check_same out 0 "$outside" p0 rx 0 - 5 1640
	log_test "wireguard counts, and what carries it"
}

# What a program of the target reads and writes: it came in, and left.
tun_is_edge()
{
	local tunnel

	if ! modprobe -q tun; then
		log_test_skip "tun is an edge" "no tun"
		return
	fi
	new_target
	"${0%/*}/tunnel.py" t0 t1 >"$tmp/tunnel" &
	tunnel=$!
	busywait $BUSYWAIT_TIMEOUT grep -q ready "$tmp/tunnel" || die "tunnel.py"
	ip link set t0 netns "$target"
	ip link set t1 netns "$outside"
	address "$target" t0 1
	address "$outside" t1 2
	exchange
	check_same in 0 "$target" t0 rx
	[[ ! $egress ]] || check_same out 0 "$target" t0 tx
	kill $tunnel
	wait $tunnel || :
	log_test "tun is an edge"
}

own_multicast_is_no_in()
{
	local before

	new_target
	veth 0
	address "$target" v0 1
	address "$outside" p0 2
	exchange
	check_ends p0
	before=$(ingress_packets)
	send_multicast
	(($(ingress_packets) >= before + 5)) || check_err 1 "no copies at ingress"
	check_ends p0
	log_test "own multicast that comes back is no in"
}

ingress_packets()
{
	awk '$1 == "ingress" && $3 == "all" { print $4 }' "$dir/stats"
}

# From 10.9.1.1, which hears it.
send_multicast()
{
	in_ns "$target" python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9000))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
             socket.inet_aton("239.9.9.9") + socket.inet_aton("10.9.1.1"))
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.1.1"))
for i in range(5):
    s.sendto(b"x" * 100, ("239.9.9.9", 9))'
}

# By tc, which makes loopback an edge, but not of these.
own_multicast_by_loopback_is_no_in()
{
	local before what="own multicast that tc leads to loopback is no in"

	# They come to ingress of v0 no more.
	if ! {
		in_ns "$target" tc qdisc add dev lo clsact
		in_ns "$target" tc qdisc add dev v0 clsact
		in_ns "$target" tc filter add dev v0 ingress protocol ip u32 match ip dst 239.9.9.9 \
			action mirred ingress redirect dev lo
	} 2>/dev/null; then
		log_test_skip "$what" "no redirection by tc"
		return
	fi
	before=$(ingress_packets)
	send_multicast
	(($(ingress_packets) >= before + 5)) || check_err 1 "no copies at ingress"
	check_ends p0
	[[ ! $egress ]] || check_equal "flow" "10 1280" "$(flow ipv4 udp 10.9.1.1:9000 239.9.9.9:9)"
	in_ns "$target" tc qdisc del dev v0 clsact
	in_ns "$target" tc qdisc del dev lo clsact
	log_test "$what"
}

frames_for_others_are_in()
{
	local before after

	before=$(row in)
	ip -n "$outside" neigh replace 10.9.1.77 lladdr 02:00:00:00:00:77 dev p0
	in_ns "$outside" ping -q -i 0.01 -c 5 -W 1 10.9.1.77 >/dev/null || :
	check_ends p0
	after=$(row in)
	((${after% *} >= ${before% *} + 5)) || check_err 1 "in: $before, then $after"
	log_test "frames for other hosts are in"
}

# flow FAMILY PROTO SOURCE DESTINATION: its packets and bytes.
flow()
{
	awk -v flow="$*" '$1 " " $2 " " $3 " " $4 == flow { print $5, $6 }' "$dir/flows"
}

flows_are_of_edges()
{
	new_target
	veth 0
	address "$target" v0 1
	address "$outside" p0 2
	in_ns "$target" "${traffic[@]}" 10.9.1.2 >/dev/null
	in_ns "$target" "${traffic[@]}" 10.9.1.1 >/dev/null
	check_equal "out" "5 1640" "$(flow ipv4 icmp 10.9.1.1 10.9.1.2)"
	check_equal "in" "5 1640" "$(flow ipv4 icmp 10.9.1.2 10.9.1.1)"
	check_equal "loopback" "" "$(flow ipv4 icmp 10.9.1.1 10.9.1.1)"
	# A tunnel of the namespace that hides its packets from IP: a queue.
	in_ns "$target" nft "add table ip t; add chain ip t c {
		type filter hook prerouting priority -300; }; add rule ip t c drop"
	in_ns "$outside" ping -q -i 0.01 -c 5 -W 1 -s 100 10.9.1.1 >/dev/null || :
	check_equal "in, whatever rules do" "10 2280" "$(flow ipv4 icmp 10.9.1.2 10.9.1.1)"
	log_test "flows are of edges, loopback has none"
}

make_router()
{
	new_target
	setup_ns far
	veth 0
	ip -n "$target" link add v1 type veth peer name f0 netns "$far"
	address "$target" v0 1
	address "$outside" p0 2
	ip -n "$target" address add 10.9.2.1/24 dev v1
	ip -n "$target" link set v1 up
	ip -n "$far" address add 10.9.2.2/24 dev f0
	ip -n "$far" link set f0 up
	ip -n "$far" route add default via 10.9.2.1
	ip -n "$outside" route add 10.9.2.0/24 via 10.9.1.1
	in_ns "$target" sysctl -qw net.ipv4.ip_forward=1
}

forwarded_flows_count_once()
{
	make_router
	in_ns "$outside" "${traffic[@]}" 10.9.2.2 >/dev/null || check_err 1 "10.9.2.2 is reached"
	check_equal "there" "5 1640" "$(flow ipv4 icmp 10.9.1.2 10.9.2.2)"
	check_equal "back" "5 1640" "$(flow ipv4 icmp 10.9.2.2 10.9.1.2)"
	log_test "a forwarded packet counts once"
}

# What it forwards passes no hook of IP, but the edges.
flowtable_hides_nothing()
{
	local in forwarded

	cleanup_ns "$far"
	make_router
	if ! in_ns "$target" nft -f - 2>/dev/null <<-END
		table inet t {
			flowtable fast { hook ingress priority 0; devices = { v0, v1 }; }
			chain forward { type filter hook forward priority 0; ip protocol tcp flow add @fast; }
		}
	END
	then
		log_test_skip "a flowtable hides nothing" "no flowtables"
		return
	fi
	in_ns "$far" iperf3 -s -1 >/dev/null 2>&1 &
	busywait $BUSYWAIT_TIMEOUT in_ns "$far" ss -Hltn "sport = 5201" | grep -q 5201 || :
	in_ns "$outside" iperf3 -c 10.9.2.2 -n 20M >/dev/null || check_err 1 "no transfer"
	wait $!
	check_same in 0 "$outside" p0 tx 0 "$far" f0 tx
	[[ ! $egress ]] || check_same out 0 "$outside" p0 rx 0 "$far" f0 rx
	read -r in _ < <(row in)
	forwarded=$(awk '$1 == "forward" && $3 == "tcp" { print $4 }' "$dir/stats")
	((forwarded < in / 2)) || check_err 1 "$forwarded of $in packets were forwarded by IP"
	log_test "a flowtable hides nothing: $forwarded of $in packets at forward"
}

has_died()
{
	grep -qx "status gone" "$dir/state"
}

last_figures_are_logged()
{
	local mark inode expected

	inode=$(ns_inode "$target")
	mark=$(log_mark)
	cleanup_ns "$target"
	busywait $BUSYWAIT_TIMEOUT has_died || check_err 1 "it isn't gone"
	expected=$(awk '($1 == "in" || $1 == "out") && $3 == "all" { printf " %s %s/%s", $1, $4, $5 }' "$dir/stats")
	# Devices go after the namespace, and then it is told.
	busywait $BUSYWAIT_TIMEOUT is_logged "$mark" "net:\[$inode\], .* is gone; .*$expected\$" ||
		check_err 1 "expected$expected, found $(log_since "$mark" | grep "is gone")"
	target=''
	cleanup_ns "$outside"
	log_test "the log has the last figures of in and out"
}

is_logged()
{
	log_since "$1" | grep -q "$2"
}

checktool "ping -V" "run ping"
checktool "python3 -c pass" "run python3"
checktool "nft --version" "run nft"
checktool "iperf3 --version" "run iperf3"
setup_tmp
load_nsgate
new_target
egress=$(grep -ow egress "$dir/state" || :)
tests_run
