#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, stats
#
# What nsgate counts is what others count: the statistics of the namespace
# itself, counters of nft right behind nsgate in the same hooks, and the
# number of packets that were sent.
#
#   client                 router                  server
#   +-----------+         +---------------+        +----------+
#   |        c0 |---------| r0         r1 |--------| s0       |
#   |        .2 |10.9.1/24| .1         .1 |10.9.2/24 .2       |
#   |       ::2 |fd09:1:: | ::1       ::1 |fd09:2::| ::2      |
#   |           |         |               |        |          |
#   |        c1 |---------| r2            |        |          |
#   +-----------+ mtu 9000+---------------+        +----------+
#                  fd09:3::
#
# Targets: router, which forwards and has a bit of everything; and server, for
# the kernel's IpOutRequests has forwarded packets in it before Linux 6.7.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="begins_at_zero ping_counts fragments_count udp_counts tcp_counts
	transport_protocols_count extension_headers_count
	nonlinear_headers_count damaged_packets_count
	router_counts_as_nft server_counts_as_nft server_counts_as_snmp bridge_counts_once
	lines_agree_under_load"

here=$(dirname "$(realpath "$0")")
hooks="prerouting input forward output postrouting"
addresses="10.9.2.2 fd09:2::2"
client='' router='' server='' sender=() answer=''

# l4proto of nft for each class of nsgate but "other".
declare -A l4proto=([tcp]=tcp [udp]=udp [icmp]="{ 1, 58 }" [sctp]=sctp [esp]=esp)
protos="tcp udp icmp sctp esp"

# A counter for each line of stats, as early as can be behind nsgate. They end
# up one priority later, as an nft chain with nsgate's own would stand before it.
# They have no names, which counters got with Linux 4.10.
nft_ruleset()
{
	local table hook proto

	for table in ip ip6; do
		echo "table $table figures {"
		for hook in $hooks; do
			echo "chain $hook {"
			echo "type filter hook $hook priority -2147483647;"
			echo "counter"
			for proto in $protos; do
				echo "meta l4proto ${l4proto[$proto]} counter"
			done
			echo "}"
		done
		echo "}"
	done
}

# The counters of nft in namespace $1 in the words of stats.
nft_stats()
{
	local line family hook proto packets bytes other_packets other_bytes rules=''
	local -A count

	while read -r line; do
		case $line in
		"table ip "*) family=ipv4 ;;
		"table ip6 "*) family=ipv6 ;;
		"chain "*)
			read -r _ hook _ <<<"$line"
			rules="all $protos"
			;;
		*"counter packets "*)
			proto=${rules%% *} rules=${rules#* }
			read -r packets _ bytes <<<"${line##*counter packets }"
			count[$family ${hook}_$proto]="$packets $bytes"
			;;
		esac
	done < <(in_ns "$1" nft list ruleset)

	echo "hook family proto packets bytes dropped_packets dropped_bytes"
	for hook in $hooks; do
		for family in ipv4 ipv6; do
			read -r other_packets other_bytes <<<"${count[$family ${hook}_all]}"
			echo "$hook $family all $other_packets $other_bytes 0 0"
			for proto in $protos; do
				read -r packets bytes <<<"${count[$family ${hook}_$proto]}"
				((!packets)) || echo "$hook $family $proto $packets $bytes 0 0"
				((other_packets -= packets, other_bytes -= bytes)) || true
			done
			((!other_packets)) ||
				echo "$hook $family other $other_packets $other_bytes 0 0"
		done
	done
}

# The same rows of nsgate.
ip_stats()
{
	grep -v ' netdev ' "$1"
}

setup()
{
	setup_ns client router server
	router_stats=$HOST_VIEW/$(ns_inode "$router")/stats
	server_stats=$HOST_VIEW/$(ns_inode "$server")/stats
	load_nsgate "inode=$(ns_inode "$router"),$(ns_inode "$server")"
	nft_ruleset | in_ns "$router" nft -f -
	nft_ruleset | in_ns "$server" nft -f -
}

# Devices that come ask for no routers, again and again: a slow machine would not find
# two figures that agree.
hush()
{
	local ns

	for ns; do
		in_ns "$ns" sysctl -qw net.ipv6.conf.default.router_solicitations=0
	done
}

setup_links()
{
	hush "$client" "$router" "$server"
	in_ns "$router" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1

	connect "$router" r0 "$client" c0 1
	connect "$router" r1 "$server" s0 2
	ip -n "$router" -batch - <<-END
		link add r2 address 02:00:00:09:03:01 mtu 9000 type veth peer name c1 mtu 9000 netns $client
		addr add fd09:3::1/64 dev r2 nodad
		link set r2 up
	END
	ip -n "$client" -batch - <<-END
		addr add fd09:3::2/64 dev c1 nodad
		link set c1 up
	END
	# Before Linux 4.14 a device may take datagrams that are longer than its frames.
	in_ns "$client" ethtool -K c0 ufo off >/dev/null 2>&1 || true
	coproc sender { in_ns "$client" "$here/send.py"; }
}

# ---- packets whose number is known ----

# From here on counted() tells what is added.
begin()
{
	local hook family proto packets bytes

	stats=$1
	before=()
	while read -r hook family proto packets bytes _; do
		before[$hook $family $proto]="$packets $bytes"
	done <"$stats"
}

# counted HOOK FAMILY PROTO: packets and bytes since begin().
counted()
{
	local packets bytes old_packets old_bytes

	read -r packets bytes < <(stat_of "$stats" "$@")
	read -r old_packets old_bytes <<<"${before[$*]-0 0}"
	echo "$((packets - old_packets)) $((bytes - old_bytes))"
}

# check_counted "PACKETS BYTES" HOOK FAMILY PROTO
check_counted()
{
	check_reaches "$1" "${*:2}" counted "${@:2}"
}

# send COMMAND...: from the client, see send.py.
send()
{
	ask_sender "$@"
	[[ $answer == sent ]] || check_err 1 "send.py $*: $answer"
}

# ask_sender COMMAND...: what it says is in $answer.
ask_sender()
{
	echo "$*" >&"${sender[1]}"
	read -r answer <&"${sender[0]}" || die "send.py $*"
}

declare -A before

begins_at_zero()
{
	local file expected

	expected=$(nft_stats "$router")
	[[ ${expected//ipv[46]/} != *[1-9]* ]] ||
		check_err 1 "something was sent before anything was set up: $expected"
	for file in "$router_stats" "$server_stats"; do
		check_equal "$file" "$expected" "$(ip_stats "$file")"
	done
	log_test "all rows stand, and are zero, before the first packet"
	setup_links
}

ping_counts()
{
	local address

	begin "$router_stats"
	for address in $addresses; do
		in_ns "$client" ping -q -c 5 -i 0.02 -s 56 "$address" >/dev/null ||
			check_err $? "no answer from $address"
	done
	# There and back; there are neither ARP nor neighbours in forward.
	check_counted "10 840" forward ipv4 icmp
	check_counted "10 1040" forward ipv6 icmp
	log_test "ping: both families count as icmp, there and back"
}

# 4008 bytes of ICMP, or UDP, are three fragments: 1480 + 1480 + 1048 of IPv4,
# 1448 + 1448 + 1112 of IPv6.
fragments_count()
{
	local address

	begin "$router_stats"
	for address in $addresses; do
		in_ns "$client" ping -q -c 3 -i 0.02 -s 4000 "$address" >/dev/null ||
			check_err $? "no answer from $address"
	done
	check_counted "18 $((6 * (4008 + 3 * 20)))" prerouting ipv4 icmp
	check_counted "18 $((6 * (4008 + 3 * 48)))" forward ipv6 icmp
	for address in $addresses; do
		send udp "$address" 9 3 4000
	done
	check_counted "9 $((3 * (4008 + 3 * 20)))" prerouting ipv4 udp
	check_counted "9 $((3 * (4008 + 3 * 20)))" postrouting ipv4 udp
	check_counted "9 $((3 * (4008 + 3 * 48)))" prerouting ipv6 udp
	check_counted "9 $((3 * (4008 + 3 * 48)))" postrouting ipv6 udp
	check_counted "0 0" forward ipv4 other
	check_counted "0 0" forward ipv6 other
	log_test "fragments: later ones count under the protocol of the first"
}

udp_counts()
{
	local address

	begin "$server_stats"
	for address in $addresses; do
		send udp "$address" 9 50 100
	done
	check_counted "50 6400" input ipv4 udp
	check_counted "50 7400" input ipv6 udp
	log_test "UDP: every datagram counts"
}

tcp_counts()
{
	local address packets bytes family=ipv4 size=$((10 << 20)) sink taken

	for address in $addresses; do
		begin "$server_stats"
		exec {sink}< <(in_ns "$server" "$here/send.py" <<<"sink 5201 $size")
		send tcp "$address" 5201 "$size"
		read -r taken <&"$sink"
		exec {sink}<&-
		check_equal "the other end" sent "$taken"
		[[ $address != *:* ]] || family=ipv6
		read -r packets bytes < <(counted input $family tcp)
		((packets > 0 && bytes > size + 40 * packets)) ||
			check_err 1 "$address: only $packets packets, $bytes bytes"
	done
	log_test "TCP: 10 MB of payload are in the bytes"
}

# 20 bytes each of SCTP, ESP; and GRE, UDP-Lite and one that has no name.
transport_protocols_count()
{
	local address

	begin "$router_stats"
	for address in $addresses; do
		send raw "$address" 4 132 50 47 136 253
	done
	check_counted "4 160" forward ipv4 sctp
	check_counted "4 160" forward ipv4 esp
	check_counted "12 480" forward ipv4 other
	check_counted "4 240" forward ipv6 sctp
	check_counted "4 240" forward ipv6 esp
	check_counted "12 720" forward ipv6 other
	log_test "SCTP, ESP and others count under their names"

	begin "$router_stats"
	send ip 10.9.1.2 10.9.2.2 3 6 20 8
	send ip 10.9.1.2 10.9.2.2 3 132 20 40
	check_counted "3 144" forward ipv4 tcp
	check_counted "3 240" forward ipv4 sctp
	log_test "IPv4 options do not hide the protocol"
}

extension_headers_count()
{
	local headers n=0

	begin "$router_stats"
	while read -r headers; do
		send ip6 fd09:1::2 fd09:2::2 2 "$headers"
		n=$((n + 1))
	done <<-END
		hop 6
		dest 6
		route 6
		hop dest route dest 6
		first 6
		hop route first 6
		later 6
		hop dest later 6
	END
	# 20 bytes of TCP, 8 for each of 15 headers, 40 for IPv6.
	check_counted "$((2 * n)) $((2 * (n * 60 + 15 * 8)))" prerouting ipv6 tcp
	check_counted "$((2 * n)) $((2 * (n * 60 + 15 * 8)))" forward ipv6 tcp

	send ip6 fd09:1::2 fd09:2::2 2 dest 132
	send ip6 fd09:1::2 fd09:2::2 2 hop 50
	send ip6 fd09:1::2 fd09:2::2 2 hop dest 253
	send ip6 fd09:1::2 fd09:2::2 2 dest
	check_counted "2 136" forward ipv6 sctp
	check_counted "2 136" forward ipv6 esp
	check_counted "4 $((2 * 76 + 2 * 48))" forward ipv6 other
	log_test "IPv6 extension headers do not hide the protocol"
}

nonlinear_headers_count()
{
	local name="headers outside the linear part of a packet are found"

	begin "$router_stats"
	ask_sender frame c1 02:00:00:09:03:01 fd09:3::2 fd09:3::1 3 5000 dest route 132
	if [[ $answer == *"Invalid argument" ]]; then
		log_test_skip "$name" "no packet socket of this kernel takes such a frame"
		return
	fi
	check_equal "send.py" sent "$answer"
	check_counted "3 $((3 * 5076))" prerouting ipv6 sctp
	check_counted "3 $((3 * 5076))" input ipv6 sctp
	log_test "$name"
}

damaged_packets_count()
{
	local header name="IPv6: packets cut within a header count as other"

	begin "$router_stats"
	# On Linux 3.10 nft drops them in all namespaces, once there is a chain in one.
	ask_sender ip6 fd09:1::2 fd09:2::2 2 dest/1
	if [[ $answer == *"Operation not permitted" ]]; then
		log_test_skip "$name" "nft of this kernel drops them before they are sent"
		damaged_ipv4_counts
		return
	fi
	check_equal "send.py" sent "$answer"
	for header in dest/7 route/2 first/3 later/7 "dest route/5"; do
		send ip6 fd09:1::2 fd09:2::2 2 "$header"
	done
	check_counted "12 $((12 * 40 + 2 * (1 + 7 + 2 + 3 + 7 + 13)))" prerouting ipv6 other
	check_counted "0 0" prerouting ipv6 tcp
	log_test "$name"
	damaged_ipv4_counts
}

damaged_ipv4_counts()
{
	begin "$router_stats"
	send ip 10.9.1.2 10.9.2.2 2 6 0
	send ip 10.9.1.2 10.9.2.2 2 17 3
	check_counted "2 40" prerouting ipv4 tcp
	check_counted "2 46" prerouting ipv4 udp
	log_test "IPv4: packets without a transport header count"
}

# ---- figures of others ----

# check_same_as_nft NAMESPACE FILE
check_same_as_nft()
{
	check_same_figures nft "nft_stats $1" "ip_stats $2"
}

# Both families at all hooks, and all the protocols that were sent, with input
# and output by what the router itself sends and gets.
router_counts_as_nft()
{
	local address proto

	for address in 10.9.1.1 fd09:1::1; do
		in_ns "$client" ping -q -c 2 -i 0.02 -s 4000 "$address" >/dev/null ||
			check_err $? "no answer from $address"
		send udp "$address" 9 2 100
		send raw "$address" 2 132 50 253
	done
	check_same_as_nft "$router" "$router_stats"
	for proto in $protos other; do
		for address in ipv4 ipv6; do
			[[ $(stat_of "$router_stats" postrouting "$address" "$proto") != "0 0" ]] ||
				check_err 1 "there was no $proto in $address"
		done
	done
	log_test "router: packets and bytes of all rows are those of nft"
}

server_counts_as_nft()
{
	check_same_as_nft "$server" "$server_stats"
	log_test "server: packets and bytes of all rows are those of nft"
}

server_counts_as_snmp()
{
	check_same_as_snmp "$server" "$server_stats"
	log_test "server: prerouting and output are those of /proc/net/snmp and snmp6"
}

# br_netfilter leads a bridged packet through prerouting, and past it when it comes
# there again, by a hook that stands before or behind ours.
setup_bridge()
{
	ip -n "$bridged" -batch - <<-END
		link add name br0 type bridge
		link add name b0 master br0 type veth peer name g0 netns $guest
		addr add 10.9.7.1/24 dev br0
		addr add fd09:7::1/64 dev br0 nodad
	END
	ip -n "$guest" -batch - <<-END
		addr add 10.9.7.2/24 dev g0
		addr add fd09:7::2/64 dev g0 nodad
	END
}

bridge_counts_once()
{
	local bridged guest order number address

	if ! modprobe -q br_netfilter; then
		log_test_skip "a bridge" "there is no br_netfilter"
		return
	fi
	for order in older younger; do
		setup_ns bridged guest
		hush "$bridged" "$guest"
		number=$(ns_inode "$bridged")
		[[ $order == younger ]] || setup_bridge
		write_inode "+$number"
		nft_ruleset | in_ns "$bridged" nft -f -
		[[ $order == older ]] || setup_bridge
		ip -n "$bridged" -batch - <<<$'link set b0 up\nlink set br0 up'
		ip -n "$guest" link set g0 up
		for address in 10.9.7.1 fd09:7::1; do
			in_ns "$guest" ping -q -c 3 -i 0.02 "$address" >/dev/null ||
				check_err $? "no answer from $address"
		done
		check_equal "pings" 3 "$(stat_of "$HOST_VIEW/$number/stats" prerouting ipv4 icmp | cut -d " " -f 1)"
		check_same_as_nft "$bridged" "$HOST_VIEW/$number/stats"
		log_test "a bridge that is $order than the bind: figures are those of nft"
	done
}

# stats_line_by_line COUNT: so many reads of a line, over and over. Execs nothing.
stats_line_by_line()
{
	local line left=$1

	while ((left > 0)); do
		while ((left > 0)) && IFS= read -r line; do
			echo "$line"
			left=$((left - 1))
		done <"$router_stats"
	done
}

# Line by line, all of what a file said at one moment: its rows are whole, and of each
# hook and family the row "all" is the sum of the others.
lines_agree_under_load()
{
	local pid reads=10000 before after said

	in_ns "$client" ping -q -f 10.9.2.2 >/dev/null &
	pid=$!
	before=$(stat_of "$router_stats" forward ipv4 icmp)
	[[ $tmp ]] || setup_tmp
	stats_line_by_line $reads >"$tmp/lines"
	after=$(stat_of "$router_stats" forward ipv4 icmp)
	kill $pid
	wait $pid || :
	((${after% *} > ${before% *} + 1000)) || check_err 1 "no flood: $before, then $after"
	check_equal "lines" $reads "$(wc -l <"$tmp/lines")"
	said=$(awk '
		function fail(what) { print what ", line " NR ": " $0; failed = 1; exit }
		function check_sums() {
			for (key in all)
				if (sum[key] + 0 != all[key])
					fail(key ": " all[key] " are not " sum[key] + 0)
			delete all
			delete sum
		}
		function add(key, field) {
			if ($3 == "all")
				all[key] = $field
			else
				sum[key] += $field
		}
		$1 == "hook" { check_sums(); tables++; width = NF; next }
		NF != width || $0 !~ /^[a-z]+ (ipv4|ipv6|netdev) [a-z0-9]+( [0-9]+)+$/ { fail("a broken line") }
		{
			for (i = 4; i <= NF; i++)
				add($1 " " $2 " " i, i)
		}
		END { if (!failed) print tables " tables" }' "$tmp/lines")
	[[ $said == *" tables" ]] || check_err 1 "$said"
	echo "# $reads reads of a line, $said, $((${after% *} - ${before% *})) packets meanwhile"
	log_test "what is read line by line under load agrees"
}

checktool "nft --version" "run nft"
checktool "ping -V" "run ping"
checktool "python3 -c pass" "run python3"
setup
tests_run
