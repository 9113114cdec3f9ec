#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, gate
#
# Gates that are swapped while packets pass on all CPUs, and while their target
# is bound, released and dies. $NSGATE_SWAPS says how often, 1000 unless it is
# set: each takes a grace period.
#
# Two gates take turns, of which one excepts a, the other b: c must never pass.

# shellcheck source=gate_lib.sh
source "$(dirname "$(realpath "$0")")/gate_lib.sh"

# What old_gate_is_over lets pass would be found by those before it.
ALL_TESTS="swaps two_writers old_gate_is_over rebound kept_open death unload"

: "${NSGATE_SWAPS:=1000}"

target_inode=
victim=

# Of target's network, all of them at n0.
a=10.9.1.20 b=10.9.1.21 c=10.9.1.22
a6=fd09:1::20 b6=fd09:1::21 c6=fd09:1::22

setup_addresses()
{
	local address

	for address in $a $b $c; do
		ip -n "$outside" addr add "$address"/24 dev n0
		ip -n "$target" neigh add "$address" lladdr 02:00:00:09:01:0a dev t0
	done
	for address in $a6 $b6 $c6; do
		ip -n "$outside" addr add "$address"/64 dev n0 nodad
		ip -n "$target" neigh add "$address" lladdr 02:00:00:09:01:0a dev t0
	done
}

# counting rules for what has this word of a header at that end of the way.
count_rules()
{
	local name family address

	while read -r name family address; do
		echo "add counter $1 $name"
		echo "add rule $1 $2 $family $3 $address counter name $name"
	done <<-END
		a ip $a
		b ip $b
		c ip $c
		a6 ip6 $a6
		b6 ip6 $b6
		c6 ip6 $c6
	END
}

# What has passed, "name packets" a line.
passed_in()
{
	local word value name

	while read -r word value _; do
		case $word in
		counter) name=$value ;;
		packets) [[ $name == frames ]] || echo "$name $value" ;;
		esac
	done < <(in_ns "$1" nft list counters)
}

# check_passed NAMESPACE WAY: a and b have, c has not.
check_passed()
{
	local name packets

	while read -r name packets; do
		case $name in
		c*) check_equal "packets $2 $name" 0 "$packets" ;;
		*) ((packets)) || check_err 1 "no packet $2 $name has passed" ;;
		esac
	done < <(passed_in "$1")
}

setup()
{
	setup_gate
	watch_by_nft
	setup_addresses
	count_rules "netdev watch" ingress daddr | in_ns "$outside" nft -f -
	{
		echo "add table inet watch"
		echo "add chain inet watch input { type filter hook input priority -2147483647; }"
		count_rules "inet watch" input saddr
	} | in_ns "$target" nft -f -

	# Of different length, so that a mixture of them would be none.
	gate_a="drop except $(program "host $a or host $a6")"
	gate_b=$(program "host $b or host $b6")
	gate_b="drop except $((${gate_b%%,*} + 50)),$(for _ in {1..50}; do
		echo -n '0 0 0 0,'
	done)${gate_b#*,}"
	gate "$gate_a"
	actor flood_out "$target"
	actor flood_in "$outside"
	echo "flood 4242 $own $a $own $b $own $c $own6 $a6 $own6 $b6 $own6 $c6" >&"${actor_in[flood_out]}"
	echo "flood 4242 $a $own $b $own $c $own $a6 $own6 $b6 $own6 $c6 $own6" >&"${actor_in[flood_in]}"
}

# Classic BPF that there is, sockets' too.
programs()
{
	grep -c bpf_prog_alloc /proc/vmallocinfo || true
}

same_programs()
{
	local found

	found=$(programs)
	echo "$found"
	((found == $1))
}

# Bash writes a line that short at once.
swap()
{
	local -i i

	for ((i = 0; i < $1; i += 2)); do
		printf '%s\n' "$gate_b" >"$gate"
		printf '%s\n' "$gate_a" >"$gate"
	done
}

# In both directions.
has_passed()
{
	local ns

	for ns in "$outside" "$target"; do
		passed_in "$ns" | grep "^$1 [1-9]" >/dev/null || return
	done
}

swaps()
{
	local programs status=0 start end

	((${#gate_b} < 1000)) || die "a gate of ${#gate_b} bytes"
	busywait $BUSYWAIT_TIMEOUT has_passed a || check_err $? "nobody sends"
	programs=$(programs)
	read_clock start
	swap "$NSGATE_SWAPS"
	read_clock end
	flush
	check_passed "$outside" to
	check_passed "$target" from
	log_test "$NSGATE_SWAPS swaps, $(((end - start) / NSGATE_SWAPS)) us each: nothing passes that no gate allows"

	programs=$(busywait $BUSYWAIT_TIMEOUT same_programs "$programs") || status=$?
	check_err $status "there are $programs programs now"
	log_test "swaps: programs are freed"
}

is_excepting()
{
	local excepted

	gate_value excepted
	excepted=$answer
	gate_value excepted
	((answer > excepted))
}

# A program that takes so long that there is always a packet in it: what it says
# of that one counts before the write of the next gate returns.
old_gate_is_over()
{
	local i slow excepted

	slow="drop except 1024,$(printf '48 0 0 0,%.0s' {1..1023})6 0 0 1"
	for i in {1..10}; do
		gate "$slow"
		busywait $BUSYWAIT_TIMEOUT is_excepting || check_err $? "nothing is excepted"
		printf 'drop\n' >"$gate"
		gate_value excepted
		excepted=$answer
		flush
		gate_value excepted
		check_equal "excepted when drop was written, and then" "$excepted" "$answer"
	done
	gate "$gate_a"
	log_test "when a write returns, the old gate judges nothing any more"
}

two_writers()
{
	local writer

	swap $((NSGATE_SWAPS / 10)) &
	writer=$!
	swap $((NSGATE_SWAPS / 10))
	wait $writer || check_err $? "the other writer failed"
	flush
	check_passed "$outside" to
	check_passed "$target" from
	log_test "two writers at once: nothing passes that no gate allows"
}

# swapper GATE: goes on for as long as $running is there, whether the gate is
# or not. Succeeds if some of it worked, and not if all of it did.
swapper()
{
	local line done='' failed=''

	while [[ -e $running ]]; do
		for line in "$gate_a" "$gate_b"; do
			if { printf '%s\n' "$line" >"$1"; } 2>/dev/null; then
				done=yes
			else
				failed=yes
			fi
		done
	done
	[[ $done && $failed ]]
}

start_swapper()
{
	running=$(mktemp)
	swapper "$1" &
	swapper=$!
}

end_swapper()
{
	rm "$running"
	wait "$swapper" || check_err $? "the writer never found the gate, or always"
}

is_swapped()
{
	gate_value except "$1"
	[[ $answer == *,* ]]
}

# While one writes, the other takes the gate away and brings it back.
rebound()
{
	local i

	start_swapper "$gate"
	for ((i = 0; i < NSGATE_SWAPS / 50; i++)); do
		busywait $BUSYWAIT_TIMEOUT is_swapped "$gate" || check_err $? "nobody writes"
		write_inode "-$target_inode"
		write_inode "+$target_inode"
	done
	end_swapper
	gate "$gate_a"
	log_test "bind and release while another one writes"
}

# A file of a target that was released is dead, also if its number is a target
# again.
kept_open()
{
	local fd message status

	exec {fd}>"$gate"
	printf '%s\n' "$gate_b" >&$fd || check_err $? "write"
	write_inode "-$target_inode"
	for _ in released "bound again"; do
		status=0
		message=$({ printf 'accept\n' >&$fd; } 2>&1) || status=$?
		((status)) || check_err 1 "a write of no target succeeds"
		[[ $message == *"Input/output error" ]] || check_err 1 "$message"
		write_inode "+$target_inode"
	done
	exec {fd}>&-
	gate "$gate_a"
	log_test "an open file of a target that was released can't be written"
}

is_gone()
{
	gate_value status "${1%gate}state"
	[[ $answer == gone ]]
}

# The last gate is still told, but is none any more.
death()
{
	local i victim_gate message status

	for ((i = 0; i < NSGATE_SWAPS / 200; i++)); do
		setup_ns victim
		write_inode "+$(ns_inode "$victim")"
		victim_gate=$HOST_VIEW/$(ns_inode "$victim")/gate
		start_swapper "$victim_gate"
		busywait $BUSYWAIT_TIMEOUT is_swapped "$victim_gate" || check_err $? "nobody writes"
		cleanup_ns "$victim"
		busywait $BUSYWAIT_TIMEOUT is_gone "$victim_gate" || check_err $? "it does not die"
		status=0
		message=$({ printf 'accept\n' >"$victim_gate"; } 2>&1) || status=$?
		((status)) || check_err 1 "a write for who is gone succeeds"
		[[ $message == *"No such device or address" ]] || check_err 1 "$message"
		is_swapped "$victim_gate" || check_err $? "its last gate is not told"
		end_swapper
	done
	log_test "death while another one writes"
}

unload()
{
	start_swapper "$gate"
	busywait $BUSYWAIT_TIMEOUT is_swapped "$gate" || check_err $? "nobody writes"
	unload_nsgate
	end_swapper
	log_test "unloading while another one writes"
}

setup
tests_run
