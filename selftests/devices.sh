#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, stats
#
# What passes the devices of a target counts at ingress and egress, whatever kind
# they are, and whenever they came. That is compared with the statistics of the
# devices, and with counters of nft right behind nsgate at the same hooks.
#
# The last target forwards:
#
#   outside          target             far
#   +------+        +---------+        +------+
#   |   p1 |--------| v0   r0 |--------| f0   |
#   |   .2 |10.9.1  | .1   .1 | 10.9.2 | .2   |
#   +------+        +---------+        +------+

# shellcheck source=devices_lib.sh
source "$(dirname "$(realpath "$0")")/devices_lib.sh"

ALL_TESTS="hooks_are_told kinds_count early_and_late_devices release_unhooks
	flowtable_is_seen"

# Each kind of device is made by make_KIND, and by connect_KIND after all is in
# place that counts its packets. Frames go through the devices inner and outer.

make_loopback()
{
	inner=lo outer=
}

connect_loopback()
{
	:
}

connect_veth()
{
	ip -n "$outside" link set p1 up
	ip -n "$target" link set v0 up
	add_addresses "$outside" p1 2
	add_addresses "$target" v0 1
}

# Nothing comes in by it.
make_dummy()
{
	inner=d0 outer='' header[d0]=14
	ip -n "$target" link add d0 type dummy
}

connect_dummy()
{
	ip -n "$target" link set d0 up
	add_addresses "$target" d0 1
}

# over_veth ARGUMENTS...: a device of the target over one that is outside.
over_veth()
{
	inner=u0 outer=p1 header[u0]=14
	ip -n "$outside" -batch - <<-END
		link add p1 type veth peer name h0
		link add link h0 name u0 netns $target type $*
		link set h0 up
		link set p1 up
	END
}

connect_over_veth()
{
	ip -n "$target" link set u0 up
	add_addresses "$outside" p1 2
	add_addresses "$target" u0 1
}

make_macvlan()
{
	over_veth macvlan mode bridge
}

connect_macvlan()
{
	connect_over_veth
}

make_ipvlan()
{
	over_veth ipvlan mode l2
}

connect_ipvlan()
{
	connect_over_veth
}

# Drops what is no unicast of IP, and its statistics don't tell the bytes. What
# it sends is routed outside, so that the other end has to be farther.
make_ipvlan_l3()
{
	in_ns "$target" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	over_veth ipvlan mode l3
	inner='' outer=''
	ip -n "$outside" link set p1 netns "$far"
	ip -n "$far" link set p1 up
}

# mac_of NAMESPACE DEVICE
mac_of()
{
	ip -n "$1" -br link show "$2" | awk '{ print $3 }'
}

# Nobody answers who asks for its address.
connect_ipvlan_l3()
{
	ip -n "$outside" -batch - <<-END
		route add 10.9.1.0/24 dev h0
		neigh add 10.9.1.2 lladdr $(mac_of "$far" p1) dev h0
	END
	ip -n "$far" -batch - <<-END
		addr add 10.9.1.2/24 dev p1
		neigh add 10.9.1.1 lladdr $(mac_of "$outside" h0) dev p1
	END
	ip -n "$target" -batch - <<-END
		link set u0 up
		addr add 10.9.1.1/24 dev u0
	END
}

# It would join a group of its own, and send reports of that.
make_bridge()
{
	make_veth
	inner=br0 header[br0]=0
	ip -n "$target" -batch - <<-END
		link add br0 type bridge mcast_snooping 0
		link set v0 master br0
	END
}

connect_bridge()
{
	ip -n "$outside" link set p1 up
	ip -n "$target" -batch - <<-END
		link set v0 up
		link set br0 up
	END
	add_addresses "$outside" p1 2
	add_addresses "$target" br0 1
}

make_vlan()
{
	make_veth
	inner=vl0 outer=vl1 header[vl0]=0
	ip -n "$target" link add link v0 name vl0 type vlan id 5
	ip -n "$outside" link add link p1 name vl1 type vlan id 5
}

connect_vlan()
{
	ip -n "$outside" -batch - <<-END
		link set p1 up
		link set vl1 up
	END
	ip -n "$target" -batch - <<-END
		link set v0 up
		link set vl0 up
	END
	add_addresses "$outside" vl1 2
	add_addresses "$target" vl0 1
}

# A program carries the packets; the device was made elsewhere.
make_tun()
{
	local said

	inner=tun0 outer=tun1 header[tun0]=0
	exec {tunnel}< <(exec nsenter --net="/run/netns/$outside" "$here/tunnel.py" tun0 tun1)
	tunnel_pid=$!
	read -r said <&"$tunnel"
	check_equal "tunnel.py" ready "$said"
	ip -n "$outside" link set tun0 netns "$target"
}

connect_tun()
{
	ip -n "$outside" link set tun1 up
	ip -n "$target" link set tun0 up
	add_addresses "$outside" tun1 2
	add_addresses "$target" tun0 1
}

# ---- each kind of device ----

# ping_counts OUT IN HEADER ADDRESS: three pings are so many packets on all
# devices, with so many bytes of header at egress.
ping_counts()
{
	local -a options=(-q -c 3 -i 0.02 -s 1000)

	# Where no answer comes, ping need not wait for it.
	(($2)) || options+=(-W 0.1)
	in_ns "$target" ping "${options[@]}" "$4" >/dev/null || check_err $(($2 ? $? : 0)) "no answer from $4"
	check_counted "$1 $(($1 * (1028 + $3)))" egress ipv4
	check_counted "$2 $(($2 * 1028))" ingress ipv4
}

# What ping doesn't send, or not when it is wanted.
send_classes()
{
	local class

	for class in "${@:3}"; do
		if [[ $2 == tun? ]]; then
			send send "$1" "$2" 2 "${ethertype[$class]}" "$(payload "$class")"
		else
			send send "$1" "$2" 2 "${ethertype[$class]}" "$(frame "$class")"
		fi
	done
}

# kind_counts KIND OUT IN HEADER CLASS...: for OUT, IN and HEADER see above.
kind_counts()
{
	local -a classes=("${@:5}")

	new_target "make_$1"
	count_by_nft
	begin
	"connect_$1"
	case $1 in
	loopback) ping_counts "$2" "$3" "$4" 127.0.0.1 ;;
	*) ping_counts "$2" "$3" "$4" 10.9.1.2 ;;
	esac
	if [[ $1 == @(veth|macvlan|ipvlan|bridge|vlan|tun) ]]; then
		in_ns "$target" ping -q -c 3 -i 0.02 fd09:1::2 >/dev/null ||
			check_err $? "no answer from fd09:1::2"
	fi
	[[ ! $inner ]] || send_classes "$target" "$inner" "${classes[@]}"
	[[ ! $outer ]] || send_classes "$outside" "$outer" "${classes[@]}"
	check_same_as_statistics
	check_same_as_nft
	check_rows egress "${classes[@]}"
	(($3 == 0)) || check_rows ingress "${classes[@]}"
	log_kind "$1"
}

# log_kind NAME
log_kind()
{
	local in out

	read -r in _ < <(stat_of "$stats" ingress netdev all)
	read -r out _ < <(stat_of "$stats" egress netdev all)
	log_test "$1: $in in and $out out, as the device and nft say"
}

kinds_count()
{
	#           kind      out in header
	kind_counts loopback    6  6 14 ipv4 ipv6 arp other
	kind_counts veth        3  3 14 ipv4 ipv6 arp other
	kind_counts dummy       3  0 14 ipv4 ipv6 arp other
	kind_counts macvlan     3  3 14 ipv4 ipv6 arp other
	kind_counts ipvlan      3  3 14 ipv4 ipv6 arp other
	kind_counts ipvlan_l3   3  3 14 ipv4
	kind_counts bridge      6  6 14 ipv4 ipv6 arp other
	kind_counts vlan        6  6 14 ipv4 ipv6 arp other
	kind_counts tun         3  3  0 ipv4 ipv6
}

# ---- which devices ----

# Two that are there when it is bound, one that is made, one that is moved in.
early_and_late_devices()
{
	local device

	new_target make_quiet
	write_inode "-$(ns_inode "$target")"
	ip -n "$target" link add d0 up type dummy
	write_inode "+$(ns_inode "$target")"
	ip -n "$target" link add d1 up type dummy
	ip -n "$outside" link add d2 type dummy
	ip -n "$outside" link set d2 netns "$target"
	ip -n "$target" link set d2 up
	check_equal "devices" "$(count_devices "$target")" "$(devices_of)"
	for device in lo v0 d0 d1 d2; do
		begin
		send send "$target" "$device" 3 88b5 "$(frame other)"
		check_counted "3 180" egress other
		check_counted "3 180" egress all
	done
	begin
	send send "$outside" p1 4 88b5 "$(frame other)"
	check_counted "4 184" ingress other
	check_counted "0 0" egress all
	log_test "devices count that were there, were made later, or were moved in"
}

# Hooks that were left would count twice, or find freed memory.
release_unhooks()
{
	local inode i

	inode=$(ns_inode "$target")
	for i in 1 2 3; do
		write_inode "-$inode"
		send send "$target" d1 2 88b5 "$(frame other)"
		write_inode "+$inode"
	done
	begin
	check_equal "all that was counted before" "0 0" "$(stat_of "$stats" egress netdev all)"
	send send "$target" d1 5 88b5 "$(frame other)"
	send send "$outside" p1 5 88b5 "$(frame other)"
	check_counted "5 300" egress all
	check_counted "5 230" ingress all
	log_test "after release and bind, everything counts once"
}

# ---- the flow table ----

# transfer PORT: 10 MB of TCP through the target.
transfer()
{
	local sink taken size=$((10 << 20))

	exec {sink}< <(in_ns "$far" "$here/send.py" <<<"sink $1 $size")
	in_ns "$outside" "$here/send.py" <<<"tcp 10.9.2.2 $1 $size" | grep -qx sent ||
		check_err 1 "10 MB could not be sent"
	read -r taken <&"$sink"
	exec {sink}<&-
	check_equal "the other end" sent "$taken"
}

make_router()
{
	make_quiet
	header[r0]=14
	ip -n "$far" link add f0 type veth peer name r0 netns "$target"
	ip -n "$far" link set f0 addrgenmode none
	in_ns "$target" sysctl -qw net.ipv4.ip_forward=1
	ip -n "$target" -batch - <<-END
		link set r0 up
		addr add 10.9.1.1/24 dev v0
		addr add 10.9.2.1/24 dev r0
	END
	ip -n "$outside" -batch - <<-END
		addr add 10.9.1.2/24 dev p1
		route add 10.9.2.0/24 via 10.9.1.1
	END
	ip -n "$far" -batch - <<-END
		link set f0 up
		addr add 10.9.2.2/24 dev f0
		route add default via 10.9.2.1
	END
}

# Puts in forwarded what nft has at the forward hook, and nsgate should have.
read_forwarded()
{
	local found

	forwarded=$(in_ns "$target" nft list counter inet flows forwarded |
		sed -n 's/.*packets \([0-9]*\) .*/\1/p')
	read -r found _ < <(stat_of "$stats" forward ipv4 all)
	check_equal "forwarded packets" "$forwarded" "$found"
}

flowtable_is_seen()
{
	local plain slow in

	new_target make_router
	count_by_nft lo v0 r0
	in_ns "$target" nft -f - <<-END
		table inet flows {
			flowtable fast { hook ingress priority 0; devices = { v0, r0 }; }
			counter forwarded { }
			chain forward {
				type filter hook forward priority -2147483647
				counter name forwarded
			}
		}
	END
	transfer 5001
	check_same_as_statistics
	read_forwarded
	plain=$forwarded
	read -r in _ < <(stat_of "$stats" ingress netdev ipv4)
	check_equal "packets at ingress, and forwarded" "$plain" "$in"

	in_ns "$target" nft add rule inet flows forward ip protocol tcp flow add @fast
	transfer 5002
	check_same_as_statistics
	check_same_as_nft
	read_forwarded
	slow=$((forwarded - plain))
	in=$(($(stat_of "$stats" ingress netdev ipv4 | cut -d ' ' -f 1) - in))
	((slow < in / 4)) || check_err 1 "$slow of $in packets were forwarded"
	log_test "flow table: $slow of $in packets at forward, all at the devices"
}

# ---- what is covered ----

# What is covered, by what nft can do on this kernel.
hooks_are_told()
{
	local hook expected="ipv4"

	[[ ! -e /proc/net/if_inet6 ]] || expected+=" ipv6"
	for hook in ingress egress; do
		! in_ns "$outside" nft "add table netdev try; add chain netdev try $hook {
			type filter hook $hook device lo priority 0; }" 2>/dev/null || expected+=" $hook"
	done
	in_ns "$outside" nft delete table netdev try
	check_equal "hooks" " $expected" "$covered"
	check_equal "devices" "$(count_devices "$target")" "$(devices_of)"
	log_test "state tells the hooks and the devices:$covered"
}

setup
tests_run
