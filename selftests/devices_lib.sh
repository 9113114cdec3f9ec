# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests share that look at ingress and egress of devices.
#
#   target                       outside
#   +-----------+               +----------------------------+
#   | device of |               | p1, or what else the other |
#   | each kind |---------------| end of that kind is        |
#   |        .1 |  10.9.1.0/24  | .2                         |
#   |       ::1 |  fd09:1::/64  | ::2                        |
#   +-----------+               +----------------------------+
#
# There is a new target for each test that wants one.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
target='' outside='' far='' tunnel_pid='' sender=()

# What rx_bytes of each device of the target have that its ingress hook has
# not: the Ethernet header, where the statistics count it.
declare -A header

# ---- the target and its devices ----

# new_target [MAKE...]: another one, with the devices that MAKE makes.
# shellcheck disable=SC2120 # none is usual here
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
# shellcheck disable=SC2154 # tunnel, of make_tun
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

# shellcheck disable=SC2034 # for the tests
make_veth()
{
	inner=v0 outer=p1 header[v0]=14
	ip -n "$outside" link add p1 type veth peer name v0 netns "$target"
}

devices_of()
{
	sed -n 's/^devices //p' "${stats%/*}/state"
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
		[[ $family != netdev || $hook == @(in|out) ]] || echo "$hook $proto $packets $bytes"
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
# Before Linux 5.5 a chain is for one device.
count_by_nft()
{
	local hook proto device devices=${*:-${!header[*]}}

	{
		echo "table netdev figures {"
		for hook in $covered; do
			[[ $hook == *gress ]] || continue
			for proto in all ip ip6 arp; do
				echo "counter ${hook}_$proto { }"
			done
			for device in $devices; do
				echo "chain ${hook}_$device {"
				echo "type filter hook $hook device $device priority -2147483647;"
				echo "counter name ${hook}_all"
				for proto in ip ip6 arp; do
					echo "meta protocol $proto counter name ${hook}_$proto"
				done
				echo "}"
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

# ---- before the tests ----

setup()
{
	checktool "nft --version" "run nft"
	checktool "ping -V" "run ping"
	checktool "python3 -c pass" "run python3"
	checktool "modprobe tun" "make tun devices"
	setup_ns outside far
	load_nsgate
	coproc sender { "$here/device_frames.py"; }
	# shellcheck disable=SC2119
	new_target
	covered=$(sed -n 's/^hooks//p' "${stats%/*}/state")
	[[ $covered == *gress* ]] || skip "this kernel has no hooks at devices"
}
