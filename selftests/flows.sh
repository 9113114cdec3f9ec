#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, flows
#
# The flows that nsgate lists, and their figures, are those of a capture that
# tcpdump made in the same namespace; and what they look like.

# shellcheck source=flows_lib.sh
source "$(dirname "$(realpath "$0")")/flows_lib.sh"

ALL_TESTS="begins_empty flows_are_those_of_a_capture rows_look_right
	most_bytes_first views_agree ages_are_true known_is_short cpus_make_one_row
	newcomer_gets_in"

# ---- figures ----

begins_empty()
{
	check_equal "flows" "$header" "$(<"$router_dir/flows")"
	check_equal "flows in the own view" "$header" "$(in_ns "$router" cat /proc/net/nsgate/flows)"
	log_test "only the header stands before the first packet"
	setup_links
}

# The capture is whole at any moment, but for a packet that is being written.
start_capture()
{
	: >"$tmp/tcpdump"
	in_ns "$router" tcpdump -i any -y LINUX_SLL2 -n -Z root -s 128 -B 8192 \
		--immediate-mode -U -w "$tmp/capture" 2>"$tmp/tcpdump" &
	busywait $BUSYWAIT_TIMEOUT grep -q "listening on" "$tmp/tcpdump" ||
		die "tcpdump: $(<"$tmp/tcpdump")"
}

captured()
{
	"$here/flows.py" capture "$tmp/capture" 10.9.1.1 10.9.2.1 fd09:1::1 fd09:2::1 | ours | sort
}

# Nothing may count between two readings, or they can't be compared.
same_as_capture()
{
	local expected found

	found=$(rows "$router_dir/flows" | sort)
	expected=$(captured)
	diff -U 0 <(echo "$expected") <(echo "$found") &&
		[[ $found == "$(rows "$router_dir/flows" | sort)" ]]
}

check_same_as_capture()
{
	local difference status=0

	difference=$(busywait 60000 same_as_capture) || status=$?
	check_err $status "tcpdump (-) and nsgate (+) differ: $difference"
}

# Real ESP: the client sends UDP to port 4 of the server within it.
setup_esp()
{
	local source=10.9.1.2 destination=10.9.2.2

	for source in 10.9.1.2 fd09:1::2; do
		ip -n "$client" xfrm state add src "$source" dst "$destination" proto esp \
			spi 0x909 mode transport \
			aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128
		ip -n "$client" xfrm policy add src "$source" dst "$destination" \
			proto udp dport 4 dir out tmpl proto esp mode transport
		destination=fd09:2::2
	done
}

send_tcp()
{
	local answer sink

	exec {sink}< <(in_ns "$server" "$here/send.py" <<<"sink $2 $3")
	send tcp "$@"
	read -r answer <&"$sink" || true
	[[ $answer == sent ]] || check_err 1 "sink: $answer"
	exec {sink}<&-
}

send_both()
{
	local server_address=$1 router_address=$2 port

	send_tcp "$server_address" 5201 200000
	send_tcp "$server_address" 5202 1000
	for port in {1..8}; do
		send udp "$server_address" $((9 + port % 2)) "$port" $((port * 11)) $((40000 + port))
	done
	send udp "$server_address" 9 3 4000 40100
	send udp "$server_address" 4 3 100
	send raw "$server_address" 4 132 50 47 136 253
	send raw "$router_address" 3 6 17 50
	send udp "$router_address" 9 2 10 40200
	in_ns "$client" ping -q -c 3 -i 0.02 "$server_address" >/dev/null ||
		check_err $? "no answer from $server_address"
	in_ns "$client" ping -q -c 3 -i 0.02 "$router_address" >/dev/null ||
		check_err $? "no answer from $router_address"
	in_ns "$router" "$here/send.py" <<-END >/dev/null || check_err $? "send.py in the router"
		udp $server_address 9 3 50 40300
		raw $server_address 2 132 50
	END
}

send_damaged()
{
	local headers

	send ip 10.9.1.2 10.9.2.2 3 6 20 8
	send ip 10.9.1.2 10.9.2.2 3 132 20 40
	send ip 10.9.1.2 10.9.2.2 2 17 3
	send ip 10.9.1.2 10.9.2.2 2 17 4
	send ip 10.9.1.2 10.9.2.2 2 6 0
	for headers in "hop 17" "dest route 6" "first 17" "later 6" "hop later 17" "hop dest 132"; do
		send ip6 fd09:1::2 fd09:2::2 2 "$headers"
	done
}

flows_are_those_of_a_capture()
{
	local family proto found
	local -A count=()

	setup_esp
	start_capture
	send_both 10.9.2.2 10.9.1.1
	send_both fd09:2::2 fd09:1::1
	send_damaged
	check_same_as_capture

	found=$(rows "$router_dir/flows")
	while read -r family proto _; do
		count[$family $proto]=$((${count[$family $proto]-0} + 1))
	done <<<"$found"
	for family in ipv4 ipv6; do
		for proto in tcp udp icmp sctp esp 47 136 253; do
			((${count[$family $proto]-0})) || check_err 1 "no flow of $family $proto"
		done
	done
	(($(wc -l <<<"$found") >= 50)) || check_err 1 "fewer than 50 flows: $found"
	log_test "packets and bytes of $(wc -l <<<"$found") flows are those of tcpdump"
}

# check_row "PACKETS BYTES" FAMILY PROTO SOURCE DESTINATION
check_row()
{
	local packets bytes

	read -r packets bytes _ < <(row "${@:2}") || true
	check_equal "${*:2}" "$1" "$packets $bytes"
}

# The figures are what was sent above: that of the rest is in the capture.
rows_look_right()
{
	local bad

	check_equal "first line" "$header" "$(head -n 1 "$router_dir/flows")"
	check_row "8 $((8 * 116))" ipv4 udp 10.9.1.2:40008 10.9.2.2:9
	check_row "8 $((8 * 136))" ipv6 udp "[fd09:1::2]:40008" "[fd09:2::2]:9"
	check_row "3 252" ipv4 icmp 10.9.1.2 10.9.2.2
	check_row "3 312" ipv6 icmp fd09:1::2 fd09:2::2
	log_test "address:port, [address]:port, and bare addresses without ports"

	check_row "7 $((4 * 40 + 3 * 80))" ipv4 sctp 10.9.1.2:0 10.9.2.2:0
	check_row "4 160" ipv4 136 10.9.1.2:0 10.9.2.2:0
	check_row "4 240" ipv6 136 "[fd09:1::2]:0" "[fd09:2::2]:0"
	check_row "4 160" ipv4 47 10.9.1.2 10.9.2.2
	log_test "port 0 is a port; what has no name is a number"

	# 4008 bytes of UDP: the ports are in the first fragment only.
	check_row "3 4500" ipv4 udp 10.9.1.2:40100 10.9.2.2:9
	check_row "3 4488" ipv6 udp "[fd09:1::2]:40100" "[fd09:2::2]:9"
	check_row "$((6 + 2)) $((3 * 2568 + 2 * 23))" ipv4 udp 10.9.1.2 10.9.2.2
	check_row "$((6 + 2)) $((3 * (1496 + 1160) + 2 * 76))" ipv6 udp fd09:1::2 fd09:2::2
	log_test "later fragments, and what lacks its ports, are a flow without ports"

	bad=$(awk 'NR > 1 && !(NF == 8 && $1 ~ /^ipv[46]$/ && $5 ~ /^[1-9][0-9]*$/ &&
		$6 ~ /^[1-9][0-9]*$/ && $7 ~ /^[0-9]+$/ && $8 ~ /^[0-9]+$/)' "$router_dir/flows")
	check_equal "odd rows" "" "$bad"
	bad=$(cut -d ' ' -f 1-4 "$router_dir/flows" | sort | uniq -d)
	check_equal "flows with more than one row" "" "$bad"
	log_test "every row has its eight columns, every flow its one row"
}

most_bytes_first()
{
	local found

	found=$(tail -n +2 "$router_dir/flows" | cut -d ' ' -f 6)
	(($(sort -u <<<"$found" | wc -l) >= 20)) || check_err 1 "too few different figures"
	check_equal "bytes of the rows" "$(sort -nr <<<"$found")" "$found"
	log_test "most bytes first"
}

views_are_same()
{
	local host own again

	host=$(cut -d ' ' -f 1-6 "$router_dir/flows")
	own=$(in_ns "$router" cut -d ' ' -f 1-6 /proc/net/nsgate/flows)
	again=$(cut -d ' ' -f 1-6 "$router_dir/flows")
	diff -U 0 <(echo "$host") <(echo "$own") && [[ $host == "$again" ]]
}

views_agree()
{
	local difference status=0

	difference=$(busywait $BUSYWAIT_TIMEOUT views_are_same) || status=$?
	check_err $status "host view (-) and own view (+) differ: $difference"
	log_test "own view and host view say the same"
}

# ---- times ----

now_ms()
{
	local now

	read_clock now
	echo $((now / 1000))
}

# The ticks that the kernel counts by come late at times, never early.
is_idle_for()
{
	local idle

	read -r _ _ _ idle < <(row "${@:2}")
	((idle >= $1))
}

# Readings of the clock on both sides bound what the file may say.
ages_are_true()
{
	local before first again end age idle flow="ipv4 udp 10.9.1.2:40400 10.9.2.2:9"
	local slack=50

	before=$(now_ms)
	send udp 10.9.2.2 9 1 100 40400
	# shellcheck disable=SC2086 # the columns
	busywait $BUSYWAIT_TIMEOUT is_idle_for 300 $flow || check_err $? "$flow does not get idle"
	# shellcheck disable=SC2086
	read -r _ _ age idle < <(row $flow)
	first=$(now_ms)
	((age == idle)) || check_err 1 "one packet: age $age, idle $idle"
	((age >= 300 && age <= first - before + slack)) ||
		check_err 1 "age $age after $((first - before)) ms"

	again=$(now_ms)
	send udp 10.9.2.2 9 1 100 40400
	# shellcheck disable=SC2086
	busywait $BUSYWAIT_TIMEOUT has_packets 2 $flow || check_err $? "no second packet"
	# shellcheck disable=SC2086
	read -r _ _ age idle < <(row $flow)
	end=$(now_ms)
	((idle <= end - again + slack)) || check_err 1 "idle $idle within $((end - again)) ms"
	((age >= again - first + 300 - slack && age <= end - before + slack)) ||
		check_err 1 "age $age after $((end - before)) ms"
	((age >= idle + 300 - slack)) || check_err 1 "age $age, idle $idle"
	log_test "age is since the first packet, idle since the last"
}

# ---- the short way ----

# set_probes FUNCTION...: has the kernel count calls of these, under whatever name the
# compiler has left them.
set_probes()
{
	local name symbol n=0

	mountpoint -q "$tracing" || mount -t tracefs tracefs "$tracing" || return
	[[ -e $tracing/kprobe_profile ]] || return
	for name; do
		symbol=$(awk -v name="$name" '$4 == "[nsgate]" && $3 ~ "^" name "([.]|$)" { print $3; exit }' /proc/kallsyms)
		[[ $symbol ]] || continue
		echo "p:nsgate/$name nsgate:$symbol" >>"$tracing/kprobe_events" || return
		n=$((n + 1))
	done
	((n)) && echo 1 >"$tracing/events/nsgate/enable"
}

# What was counted, a line for each function, in $calls.
take_probes_away()
{
	local name

	calls=$(awk '{ print $1, $2 }' "$tracing/kprobe_profile")
	echo 0 >"$tracing/events/nsgate/enable"
	while read -r name _; do
		echo "-:nsgate/$name" >>"$tracing/kprobe_events"
	done <<<"$calls"
}

# All figures are right, too, if each packet goes the long way, as it does where what is
# looked for isn't what is stored, with its bytes in another order, say. What others
# send may go it, and errors that come back.
known_is_short()
{
	local name="packets of a known flow go the short way"
	local tracing=/sys/kernel/tracing calls function count address

	if ! set_probes touch_any ingress_slow egress_slow 2>/dev/null; then
		log_test_skip "$name" "the kernel doesn't count calls by kprobe_events"
		return
	fi
	send cpu "$(online_cpus | head -n 1)"
	for address in 10.9.2.2 fd09:2::2; do
		send udp $address 9 200 100 40600
	done
	busywait $BUSYWAIT_TIMEOUT has_packets 200 ipv6 udp "[fd09:1::2]:40600" "[fd09:2::2]:9" ||
		check_err $? "not all packets are listed"
	take_probes_away
	[[ $calls =~ touch_any\ [1-9] ]] || check_err 1 "no flow was new: $calls"
	while read -r function count; do
		((count < 100)) || check_err 1 "$count calls of $function for 2 flows of 200 packets"
	done <<<"$calls"
	log_test "$name"
}

# ---- processors ----

# Packets of all other flows than that from address and port $1.
packets_but_of()
{
	local source packets sum=0

	while read -r _ _ source _ packets _; do
		[[ $source == "$1" || $packets == packets ]] || sum=$((sum + packets))
	done <"$router_dir/flows"
	echo $sum
}

# The packet is handled by the CPU that sent it. The entries are 2 more, unless
# somebody else sends meanwhile, such as who waits for an acknowledgement.
cpus_make_one_row()
{
	local cpus before others entries age idle flow="ipv4 udp 10.9.1.2:40500 10.9.2.2:9"

	mapfile -t cpus < <(online_cpus)
	if ((${#cpus[@]} < 2)); then
		log_test_skip "flows of several CPUs are one row" "there is one CPU only"
		return
	fi
	others=$(packets_but_of 10.9.1.2:40500)
	before=$(state_of "$router_dir/state" flow_entries)
	send cpu "${cpus[0]}"
	send udp 10.9.2.2 9 5 100 40500
	# shellcheck disable=SC2086 # the columns
	busywait $BUSYWAIT_TIMEOUT is_idle_for 300 $flow || check_err $? "$flow does not get idle"
	send cpu "${cpus[1]}"
	send udp 10.9.2.2 9 7 100 40500
	# shellcheck disable=SC2086
	busywait $BUSYWAIT_TIMEOUT has_packets 12 $flow || check_err $? "no row has 12 packets"
	check_equal "rows" 1 "$(grep -c "^$flow " "$router_dir/flows")"
	# shellcheck disable=SC2086
	check_row "12 $((12 * 128))" $flow
	# The age is of the one that saw it first, the idleness of the one that saw
	# it last.
	# shellcheck disable=SC2086
	read -r _ _ age idle < <(row $flow)
	((age >= idle + 250)) || check_err 1 "age $age, idle $idle"
	entries=$(state_of "$router_dir/state" flow_entries)
	[[ $entries -gt $((before + 2)) && $(packets_but_of 10.9.1.2:40500) != "$others" ]] ||
		check_equal "entries" $((before + 2)) "$entries"
	log_test "a flow that two CPUs have seen is one row"
	check_same_as_capture
	check_equal "evicted" 0 "$(state_of "$router_dir/state" flow_evicted)"
	log_test "the flows are still those of tcpdump, and all of them"
}

newcomer_has()
{
	local packets=0

	read -r packets _ < <(row ipv4 udp 10.9.1.2:41100 10.9.2.2:9) || true
	((packets >= $1))
}

# Each of so many flows weighs more than what has no entry can be known to weigh.
newcomer_gets_in()
{
	local port

	reload flows=16
	send cpu "$(online_cpus | head -n 1)"
	for ((port = 41000; port < 41016; port++)); do
		send udp 10.9.2.2 9 300 100 $port
	done
	send udp 10.9.2.2 9 1000 100 41100
	busywait $BUSYWAIT_TIMEOUT newcomer_has 500 || check_err $? "of 1000 packets not 500 are listed"
	log_test "into a table of large flows that are idle a new one gets in"
}

checktool "tcpdump --version" "run tcpdump"
checktool "ping -V" "run ping"
checktool "python3 -c pass" "run python3"
setup
tests_run
