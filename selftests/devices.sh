#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What passes the devices of a target counts at ingress and egress. It is
# compared with the statistics of the devices, with counters of nft right behind
# nsgate at the same hooks, and with what was sent.
#
#   target                       outside
#   +-----------+               +----------------------------+
#   | device of |               | p1, or what else the other |
#   | each kind |---------------| end of that kind is        |
#   |        .1 |  10.9.1.0/24  | .2                         |
#   |       ::1 |  fd09:1::/64  | ::2                        |
#   +-----------+               +----------------------------+
#
# There is a new target for each kind of device, then some for frames of known
# number, where nothing has an address; and the last one forwards:
#
#   outside          target             far
#   +------+        +---------+        +------+
#   |   p1 |--------| v0   r0 |--------| f0   |
#   |   .2 |10.9.1  | .1   .1 | 10.9.2 | .2   |
#   +------+        +---------+        +------+

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="hooks_are_told kinds_count arp_counts frames_count bypass_counts
	vlan_tags_do_not_hide stacked_vlans_count claims_are_not_believed
	claims_without_ethernet early_and_late_devices release_unhooks flowtable_is_seen"

here=$(dirname "$(realpath "$0")")
target='' outside='' far='' tunnel_pid='' sender=()

# What rx_bytes of each device of the target have that its ingress hook has
# not: the Ethernet header, where the statistics count it.
declare -A header

# ---- the target and its devices ----

# new_target [MAKE...]: another one, with the devices that MAKE makes.
new_target()
{
	remove_devices
	[[ ! $target ]] || cleanup_ns "$target"
	setup_ns target
	stats=$HOST_VIEW/$(ns_inode "$target")/stats
	write_inode "$(ns_inode "$target")"
	header=([lo]=0)
	"$@"
}

# A namespace goes some time after it was deleted, but names have to be free.
remove_devices()
{
	if [[ $tunnel_pid ]]; then
		kill "$tunnel_pid"
		exec {tunnel}<&-
		tunnel_pid=
	fi
	ip -n "$outside" link delete p1 2>/dev/null || ip -n "$far" link delete p1 2>/dev/null || true
}

# add_addresses NAMESPACE DEVICE NUMBER
add_addresses()
{
	ip -n "$1" -batch - <<-END
		addr add 10.9.1.$3/24 dev $2
		addr add fd09:1::$3/64 dev $2 nodad
	END
}

# Neither end sends anything by itself.
make_quiet()
{
	in_ns "$target" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	make_veth
	ip -n "$outside" link set p1 addrgenmode none
	ip -n "$outside" link set p1 up
	ip -n "$target" link set v0 up
}

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

make_veth()
{
	inner=v0 outer=p1 header[v0]=14
	ip -n "$outside" link add p1 type veth peer name v0 netns "$target"
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

# ---- frames ----

# Hexadecimal digits of 46 bytes that nobody takes: UDP without a checksum,
# IPv6 with nothing inside, a question for an address that is nobody's.
payload()
{
	local text=

	case $1 in
	ipv4) text=4500002e00000000401100000a0901030a090104 ;;
	ipv6) printf -v text '6000000000063b40fd09%028dfd09%028d' 3 4 ;;
	arp) text=000108000604000102000000f00d0a0901030000000000000a090109 ;;
	esac
	printf '%s%0*d' "$text" $((92 - ${#text})) 0
}

declare -A ethertype=([ipv4]=0800 [ipv6]=86dd [arp]=0806 [other]=88b5)

# frame CLASS [TAGS]: of 60 bytes, and 4 for each VLAN tag.
frame()
{
	echo "ffffffffffff02000000f00d${2-}${ethertype[$1]}$(payload "$1")"
}

# send COMMAND...: see device_frames.py.
send()
{
	local answer

	echo "$*" >&"${sender[1]}"
	read -r answer <&"${sender[0]}" || die "device_frames.py $*"
	[[ $answer == +([0-9]) ]] || check_err 1 "device_frames.py $*: $answer"
}

# ---- what was counted ----

declare -A before now

# What each row has now. Execs nothing, and does not fork.
read_stats()
{
	local hook family proto packets bytes

	now=()
	while read -r hook family proto packets bytes _; do
		now[$hook $family $proto]="$packets $bytes"
	done <"$stats"
}

# From here on counted() tells what is added.
begin()
{
	local row

	read_stats
	before=()
	for row in "${!now[@]}"; do
		before[$row]=${now[$row]}
	done
}

# counted HOOK FAMILY PROTO: packets and bytes since begin().
counted()
{
	local -a old new

	read_stats
	read -ra old <<<"${before[$*]-0 0}"
	read -ra new <<<"${now[$*]-0 0}"
	echo "$((new[0] - old[0])) $((new[1] - old[1]))"
}

# check_counted "PACKETS BYTES" HOOK PROTO: by the devices.
check_counted()
{
	[[ $covered == *" $2"* ]] || return 0
	check_reaches "$1" "${*:2}" counted "$2" netdev "$3"
}

# The rows of the devices, without what the gate dropped.
device_rows()
{
	local hook family proto packets bytes

	while read -r hook family proto packets bytes _; do
		[[ $family != netdev ]] || echo "$hook $proto $packets $bytes"
	done <"$stats"
}

# The same by what the devices themselves have in their statistics, as far as
# they can tell. Where nobody took it, an ipvlan of Linux 7 has a frame as an
# error only, and not its bytes: those are the ones that frame() makes.
statistics_rows()
{
	local name in_bytes in_packets in_errors out_bytes out_packets
	local ingress_packets=0 ingress_bytes=0 egress_packets=0 egress_bytes=0

	while read -r name in_bytes in_packets in_errors _ _ _ _ _ out_bytes out_packets _; do
		[[ $name == *: ]] || continue
		((in_packets += in_errors, in_bytes += in_errors * 60)) || true
		((ingress_packets += in_packets, egress_packets += out_packets)) || true
		((ingress_bytes += in_bytes - in_packets * header[${name%:}])) || true
		((egress_bytes += out_bytes)) || true
		# It counts after the header was taken off.
		[[ $name != lo: ]] || ((egress_bytes += 14 * out_packets)) || true
	done < <(in_ns "$target" cat /proc/net/dev)
	[[ $covered != *" ingress"* ]] || echo "ingress all $ingress_packets $ingress_bytes"
	[[ $covered != *" egress"* ]] || echo "egress all $egress_packets $egress_bytes"
}

rows_of_all()
{
	device_rows | grep ' all '
}

check_same_as_statistics()
{
	check_same_figures "statistics of the devices" statistics_rows rows_of_all
}

# Counters of nft for each row, as early as can be behind nsgate. They end up
# one priority later, as an nft chain with nsgate's own would stand before it.
count_by_nft()
{
	local hook proto devices=${*:-${!header[*]}}

	{
		echo "table netdev figures {"
		for hook in $covered; do
			[[ $hook == *gress ]] || continue
			echo "counter ${hook}_all { }"
			echo "chain $hook {"
			echo "type filter hook $hook devices = { ${devices// /, } } priority -2147483647;"
			echo "counter name ${hook}_all"
			for proto in ip ip6 arp; do
				echo "meta protocol $proto counter name ${hook}_$proto"
			done
			echo "}"
			for proto in ip ip6 arp; do
				echo "counter ${hook}_$proto { }"
			done
		done
		echo "}"
	} | in_ns "$target" nft -f -
}

# Prints the rows of those counters.
nft_rows()
{
	local word name bytes hook proto class packets other_packets other_bytes
	local -A count

	while read -r word name _ bytes _; do
		case $word in
		counter) hook=$name ;;
		packets) count[$hook]="$name $bytes" ;;
		esac
	done < <(in_ns "$target" nft list counters)

	for hook in $covered; do
		[[ $hook == *gress ]] || continue
		read -r other_packets other_bytes <<<"${count[${hook}_all]}"
		echo "$hook all $other_packets $other_bytes"
		for proto in ip ip6 arp; do
			class=${proto/%ip/ipv4}
			read -r packets bytes <<<"${count[${hook}_$proto]}"
			((!packets)) || echo "$hook ${class/ip6/ipv6} $packets $bytes"
			((other_packets -= packets, other_bytes -= bytes)) || true
		done
		((!other_packets)) || echo "$hook other $other_packets $other_bytes"
	done
}

check_same_as_nft()
{
	check_same_figures nft nft_rows device_rows
}

# check_rows HOOK PROTO...: equal figures say nothing if they are zero.
check_rows()
{
	local proto

	[[ $covered == *" $1"* ]] || return 0
	for proto in "${@:2}"; do
		[[ $(stat_of "$stats" "$1" netdev "$proto") != "0 0" ]] ||
			check_err 1 "there was no $proto at $1"
	done
}

# ---- each kind of device ----

# ping_counts OUT IN HEADER ADDRESS: three pings are so many packets on all
# devices, with so many bytes of header at egress.
ping_counts()
{
	local -a options=(-q -c 3 -i 0.02 -s 1000)

	# Who gets no answer need not wait for it.
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

# ---- frames whose number is known ----

# Who asks for an address of the target gets an answer: 46 bytes in, for they
# are padded, and 28 out.
arp_counts()
{
	local question

	new_target make_quiet
	ip -n "$target" addr add 10.9.1.1/24 dev v0
	begin
	question=$(frame arp)
	send send "$outside" p1 5 0806 "${question/0a090109/0a090101}"
	check_counted "5 230" ingress arp
	check_counted "5 210" egress arp
	check_counted "5 230" ingress all
	check_counted "5 210" egress all
	log_test "ARP: questions and answers count as arp"
}

frames_count()
{
	local class

	new_target make_quiet
	for class in "${!ethertype[@]}"; do
		begin
		send send "$outside" p1 7 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "7 322" ingress "$class"
		send send "$target" v0 9 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "9 540" egress "$class"
		check_counted "7 322" ingress all
		check_counted "9 540" egress all
	done
	log_test "frames count by what they are, and elsewhere in no row"
}

# Since there is an egress hook, such packets go through it as well.
bypass_counts()
{
	local class

	if [[ $covered != *" egress"* ]]; then
		log_test_skip "packet sockets that bypass the queue" "this kernel has no egress hook"
		return
	fi
	for class in "${!ethertype[@]}"; do
		begin
		send bypass "$target" v0 6 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "6 360" egress "$class"
		check_counted "6 360" egress all
	done
	check_same_as_statistics
	log_test "packet sockets that bypass the queue count"
}

# The kernel takes the outermost tag off what comes in, before anybody sees it.
vlan_tags_do_not_hide()
{
	local class tags n

	for tags in 81000005 88a8000681000005 810000068100000581000004; do
		n=$((${#tags} / 8))
		for class in "${!ethertype[@]}"; do
			begin
			send send "$outside" p1 2 "${tags:0:4}" "$(frame "$class" $tags)"
			check_counted "2 $((2 * (46 + 4 * (n - 1))))" ingress "$class"
			send send "$target" v0 3 "${tags:0:4}" "$(frame "$class" $tags)"
			check_counted "3 $((3 * (60 + 4 * n)))" egress "$class"
			check_counted "2 $((2 * (46 + 4 * (n - 1))))" ingress all
			check_counted "3 $((3 * (60 + 4 * n)))" egress all
		done
	done
	begin
	send send "$target" v0 3 8100 "ffffffffffff02000000f00d8100"
	check_counted "3 42" egress other
	log_test "VLAN tags that are part of the frame do not hide what it is"
}

# Here the tag is no part of the frame, but told beside it.
stacked_vlans_count()
{
	local class

	new_target make_quiet
	header[vl0]=0 header[vl1]=0
	ip -n "$target" -batch - <<-END
		link add link v0 name vl0 type vlan proto 802.1ad id 6
		link add link vl0 name vl1 type vlan id 5
		link set vl0 up
		link set vl1 up
	END
	ip -n "$outside" link add link p1 name vl2 type vlan id 7
	ip -n "$outside" link set vl2 addrgenmode none
	ip -n "$outside" link set vl2 up
	for class in "${!ethertype[@]}"; do
		begin
		send send "$outside" vl2 2 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "2 92" ingress "$class"
		check_counted "2 92" ingress all
		# Once on each device; v0 finds the inner tag in the frame.
		send send "$target" vl1 3 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "9 $((3 * (60 + 60 + 64)))" egress "$class"
		check_counted "9 $((3 * (60 + 60 + 64)))" egress all
	done
	log_test "VLAN devices: a frame counts once on each device, as what it is"
}

# What a packet socket says of its frame is not true by that: 0000 and 0003 are
# what sockets say that leave it to the kernel.
claims_are_not_believed()
{
	local class claim

	new_target make_quiet
	while read -r class claim; do
		begin
		send send "$target" v0 2 "$claim" "$(frame "$class")"
		send bypass "$target" v0 2 "$claim" "$(frame "$class")"
		check_counted "4 240" egress "$class"
		check_counted "4 240" egress all
	done <<-END
		ipv4 0806
		ipv4 86dd
		ipv4 88b5
		ipv4 8100
		ipv4 0000
		ipv6 0800
		ipv6 0003
		arp 0800
		arp 88b5
		other 0800
		other 86dd
		other 0806
	END
	log_test "a frame counts as what it is, whatever its sender says it is"
}

# There, IP tells its version, and only of what is no IP the sender can say that it
# were ARP.
claims_without_ethernet()
{
	local class claim inside

	new_target make_quiet
	ip -n "$target" tuntap add dev tun0 mode tun
	ip -n "$target" link set tun0 up addrgenmode none
	while read -r class claim inside; do
		begin
		send send "$target" tun0 2 "$claim" "$(payload "$inside")"
		check_counted "2 92" egress "$class"
		check_counted "2 92" egress all
	done <<-END
		ipv4 0806 ipv4
		ipv4 86dd ipv4
		ipv6 0800 ipv6
		ipv6 88b5 ipv6
		arp 0806 other
		other 0800 other
		other 86dd other
		other 88b5 other
	END
	log_test "without an Ethernet header, too, a frame counts as what it is"
}

# ---- which devices ----

devices_of()
{
	sed -n 's/^devices //p' "${stats%/*}/state"
}

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

# ---- before the tests ----

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

checktool "nft --version" "run nft"
checktool "ping -V" "run ping"
checktool "python3 -c pass" "run python3"
checktool "modprobe tun" "make tun devices"
setup_ns outside far
load_nsgate
coproc sender { "$here/device_frames.py"; }
new_target
covered=$(sed -n 's/^hooks//p' "${stats%/*}/state")
tests_run
