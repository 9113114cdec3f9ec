#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, limit
#
# Rates and quotas of a target. What passes is told by the statistics of the
# device at the other end. How exactly rates are kept is for limit_rates.sh.
#
#   target                outside
#   +----------+         +-----------+
#   |   v0  .1 |---------| p0  .2    |   10.9.1.0/24, fd09:1::/64
#   +----------+         +-----------+

# shellcheck source=limit_lib.sh
source "$(dirname "$(realpath "$0")")/limit_lib.sh"

ALL_TESTS="begins_with_none bad_texts_change_nothing texts_are_taken host_is_not_limited
	quota_ends quota_ends_on_all_cpus quota_ends_inwards used_is_kept zero_lets_nothing_pass neighbours_pass
	exceptions_are_free gate_comes_first dry_run_drops_nothing rate_is_not_exceeded
	rewrites_lose_no_charge members_are_charged gone_takes_none"

# ---- texts ----

begins_with_none()
{
	local expected="mode none" way

	for way in in out; do
		expected+=" ${way}_rate none ${way}_burst none ${way}_quota none"
		expected+=" ${way}_used 0 ${way}_over_packets 0 ${way}_over_bytes 0"
	done
	check_equal "limit" "$expected" "$(paste -sd ' ' "$dir/limit")"
	check_equal "mode of the file" 600 "$(stat -c %a "$dir/limit")"
	log_test "a target begins with no limit"
}

bad_texts_change_nothing()
{
	local text before

	limit "in rate 1000000 quota 5000000000"
	# What the kernel sends by itself may be used meanwhile.
	before=$(grep -v _used "$dir/limit")
	for text in "" "in" "dry" "dry none" "none none" "in rate 0" "in rate -1" "in rate +5" \
		"in rate 1000000000001" "in rate 1 burst 0" "in burst 5" "in quota 1 rate 1" \
		"in quota 18446744073709551616" "in rate 1 used 5" "in quota 5 used" \
		"in rate 5 in rate 5" "in rate 5 out" "in rate 1e6" "in rate 0x10" "in  rate 5" \
		"out rate 5 dry" "in rate 5 " "rate 5" \
		"in quota 5 $(printf '%2000s' x)"; do
		! limit "$text" 2>"$tmp/error" || check_err 1 "\"$text\" is taken"
		grep -q "Invalid argument" "$tmp/error" || check_err 1 "$text: $(<"$tmp/error")"
	done
	check_equal "limit" "$before" "$(grep -v _used "$dir/limit")"
	log_test "bad texts are refused and change nothing"
}

texts_are_taken()
{
	limit "out rate 2000000 in rate 1 burst 7 quota 0 used 3"
	check_equal "in" "1 7 0 3" "$(key in_rate) $(key in_burst) $(key in_quota) $(key in_used)"
	check_equal "out" "2000000 100000 none" "$(key out_rate) $(key out_burst) $(key out_quota)"
	check_equal "mode" on "$(key mode)"
	limit "dry in rate 1000000000000"
	check_equal "mode" dry "$(key mode)"
	check_equal "in" "1000000000000 50000000000" "$(key in_rate) $(key in_burst)"
	# None of what passes meanwhile changes so many digits.
	limit "in quota 18446744073709551615 used 18446744000000000000"
	[[ $(key in_quota) == 18446744073709551615 && $(key in_used) == 18446744000* ]] ||
		check_err 1 "in: $(key in_used) of $(key in_quota)"
	limit "none"
	check_equal "mode" none "$(key mode)"
	log_test "what is written can be read"
}

host_is_not_limited()
{
	local inode

	inode=$(stat -Lc %i /proc/self/ns/net)
	write_inode "+$inode"
	! printf 'in rate 5\n' 2>"$tmp/error" >"$HOST_VIEW/$inode/limit" || check_err 1 "taken"
	grep -q "not permitted" "$tmp/error" || check_err 1 "$(<"$tmp/error")"
	printf 'dry in rate 5\n' >"$HOST_VIEW/$inode/limit" || check_err 1 "a dry run is refused"
	printf 'none\n' >"$HOST_VIEW/$inode/limit" || check_err 1 "none is refused"
	write_inode "-$inode"
	log_test "the initial network namespace is not limited by a slip"
}

# ---- quotas ----

# check_quota in|out BYTES: that it was used, and no more than a packet a CPU over it.
check_quota()
{
	local used

	used=$(key "$1_used")
	((used >= $2 && used <= $2 + $(nproc) * 1100)) || check_err 1 "$1_used $used of $2"
}

quota_ends()
{
	local before after got

	limit "out quota 100000 used 0"
	before=$(received)
	flood "$target" 10.9.1.2 20 500
	after=$(received)
	got=$((after - before))
	check_quota out 100000
	check_equal "what passed is what was used" "$(key out_used)" "$got"
	(($(key out_over_packets) >= 390)) || check_err 1 "over: $(key out_over_packets)"
	check_equal "dropped in out" "$(key out_over_packets) $(key out_over_bytes)" \
		"$(row out | cut -d ' ' -f 3-)"
	if grep -qw egress "$dir/state"; then
		check_equal "dropped in egress" "$(row out | cut -d ' ' -f 3-)" \
			"$(row egress | cut -d ' ' -f 3-)"
	fi
	echo "# quota of 100000 outwards: $got passed"
	log_test "a quota outwards is used, and ends"
}

# From each CPU at once, five times.
quota_ends_on_all_cpus()
{
	local before i cpu got over='' pids

	for ((i = 0; i < 5; i++)); do
		limit "out quota 300000 used 0"
		before=$(received)
		pids=()
		for ((cpu = 0; cpu < $(nproc); cpu++)); do
			# shellcheck disable=SC2034 # for flood
			exec="exec taskset -c $cpu" flood "$target" 10.9.1.2 60 1000 &
			pids+=($!)
		done
		wait "${pids[@]}"
		got=$(($(received) - before))
		check_quota out 300000
		check_equal "what passed is what was used" "$(key out_used)" "$got"
		over+=" $((got - 300000))"
	done
	echo "# $(nproc) CPUs, a quota of 300000: bytes over it:$over"
	limit none
	log_test "a quota is used, and ends, on all CPUs at once"
}

quota_ends_inwards()
{
	limit "in quota 100000 used 0"
	flood "$outside" 10.9.1.1 20 500
	check_quota in 100000
	(($(key in_over_packets) >= 390)) || check_err 1 "over: $(key in_over_packets)"
	check_equal "dropped in in" "$(key in_over_packets) $(key in_over_bytes)" \
		"$(row in | cut -d ' ' -f 3-)"
	log_test "a quota inwards is used, and ends"
}

used_is_kept()
{
	local used

	used=$(key in_used)
	limit "in quota 100000000"
	check_equal "used" "$used" "$(key in_used)"
	limit "in quota 100000 used 99000"
	check_equal "used" 99000 "$(key in_used)"
	log_test "a rewrite keeps what was used, or sets it"
}

zero_lets_nothing_pass()
{
	local before

	limit "in quota 0 out quota 0"
	before=$(received)
	flood "$target" 10.9.1.2 10 100
	check_equal "passed" "$before" "$(received)"
	limit "none"
	flood "$target" 10.9.1.2 10 100
	(($(received) >= before + 100000)) || check_err 1 "none lets nothing pass"
	log_test "a quota of 0 lets nothing pass, none all"
}

neighbours_pass()
{
	limit "in quota 0 out quota 0"
	ip -n "$outside" neigh del 10.9.1.1 dev p0
	ip -n "$outside" neigh del fd09:1::1 dev p0
	in_ns "$outside" ping -q -c 1 -W 1 10.9.1.1 >/dev/null && check_err 1 "a ping passes"
	in_ns "$outside" ping -q -c 1 -W 1 fd09:1::1 >/dev/null && check_err 1 "a ping passes, IPv6"
	[[ $(ip -n "$outside" neigh show 10.9.1.1) == *lladdr* ]] || check_err 1 "no ARP"
	[[ $(ip -n "$outside" neigh show fd09:1::1) == *lladdr* ]] ||
		check_err 1 "no neighbour discovery: $(ip -n "$outside" -6 neigh show)"
	(($(key in_used) > 0)) || check_err 1 "neighbours are not charged"
	limit "none"
	know_neighbours
	log_test "neighbours are found with an empty quota"
}

# ---- with the gate ----

exceptions_are_free()
{
	# icmp
	gate "drop except 4,48 0 0 9,21 0 1 1,6 0 0 65535,6 0 0 0 # icmp"
	limit "in quota 0 out quota 0"
	in_ns "$outside" ping -q -c 3 -i 0.1 -W 5 10.9.1.1 >/dev/null || check_err 1 "no ping"
	check_equal "excepted" 6 "$(state_of "$dir/gate" excepted)"
	gate "dry drop except 4,48 0 0 9,21 0 1 1,6 0 0 65535,6 0 0 0 # icmp"
	in_ns "$outside" ping -q -c 3 -i 0.1 -W 5 10.9.1.1 >/dev/null || check_err 1 "no ping in a dry run"
	gate accept
	in_ns "$outside" ping -q -c 1 -W 1 10.9.1.1 >/dev/null && check_err 1 "a ping passes"
	limit none
	log_test "what the gate excepts from dropping is free"
}

gate_comes_first()
{
	local over

	gate drop
	over=$(key out_over_packets)
	limit "in rate 100000 out rate 100000"
	flood "$outside" 10.9.1.1 10 100
	check_equal "used, over" "0 $over" "$(key in_used) $(key out_over_packets)"
	gate accept
	limit none
	log_test "what the gate drops isn't charged"
}

dry_run_drops_nothing()
{
	local before after

	limit "none"
	limit "dry out quota 50000 in rate 1"
	before=$(received)
	flood "$target" 10.9.1.2 10 200
	after=$(received)
	((after - before >= 200000)) || check_err 1 "$((after - before)) bytes passed"
	check_equal "used" "$((after - before))" "$(key out_used)"
	(($(key out_over_packets) >= 100)) || check_err 1 "over: $(key out_over_packets)"
	limit "none"
	log_test "a dry run counts and drops nothing"
}

# ---- rates ----

# Whatever time it takes: never may more pass than rate, burst, and a packet a CPU.
rate_is_not_exceeded()
{
	local over

	limit "out rate 125000 burst 65536"
	passed_rate "$target" 10.9.1.2 received >/dev/null
	over=$(worst_second 125000 65536)
	((over <= $(nproc) * 1014)) || check_err 1 "outwards: $over bytes over rate and burst"
	limit none
	limit "in rate 125000 burst 65536"
	passed_rate "$outside" 10.9.1.1 received_inside >/dev/null
	over=$(worst_second 125000 65536)
	((over <= $(nproc) * 1014)) || check_err 1 "inwards: $over bytes over rate and burst"
	limit none
	log_test "no more than rate and burst passes, either way"
}

# Since the limit was set, what was used is what the other end received.
charged_is_passed()
{
	echo "used $(key out_used), received $(($(received) - $1))"
	(($(key out_used) == $(received) - $1))
}

# Each CPU sends, and another process reads, while the limit is written again and again.
rewrites_lose_no_charge()
{
	local i before said cpu pids=()

	limit none
	before=$(received)
	limit "out quota 1000000000"
	for ((cpu = 0; cpu < $(nproc); cpu++)); do
		# shellcheck disable=SC2034 # for flood
		exec="exec taskset -c $cpu" flood "$target" 10.9.1.2 600 &
		pids+=($!)
	done
	while :; do
		key out_used
	done >/dev/null &
	pids+=($!)
	busywait $BUSYWAIT_TIMEOUT has_grown received $((before + 1000000)) >/dev/null ||
		check_err 1 "no flood"
	for ((i = 0; i < 500; i++)); do
		limit "out rate 50000000 quota 1000000000"
		limit "out quota 1000000000"
	done
	kill "${pids[@]}"
	wait "${pids[@]}" || :
	said=$(busywait 5000 charged_is_passed "$before") || check_err 1 "$said"
	echo "# 1,000 rewrites: $said"
	limit none
	log_test "1,000 rewrites under load lose no charge"
}

used_both_ways()
{
	echo "in $(key in_used), out $(key out_used)"
	(($(key in_used) == $(key out_used)))
}

# What one member sends to another is charged as out of one and as in to the other, and
# so are the answers that nobody listens.
members_are_charged()
{
	local said used

	make_member
	connect_quietly "$target" m0 "$member" m1 5
	limit "in quota 1000000 used 0 out quota 1000000 used 0"
	flood "$target" 10.9.5.2 20 10
	said=$(busywait 5000 used_both_ways) || [[ ! $egress ]] || check_err 1 "$said"
	(($(key out_used) >= 10 * length && $(key in_used) >= 10 * frame)) || check_err 1 "$said"
	limit "out quota 0"
	used=$(key out_used)
	flood "$target" 10.9.5.2 20 10
	check_equal "used" "$used" "$(key out_used)"
	limit none
	cleanup_ns "$member"
	log_test "what one member sends to another is charged to both"
}

gone_takes_none()
{
	cleanup_ns "$target"
	busywait $BUSYWAIT_TIMEOUT grep -qx "status gone" "$dir/state" || check_err 1 "not gone"
	! limit none 2>"$tmp/error" || check_err 1 "taken"
	grep -q "No such device or address" "$tmp/error" || check_err 1 "$(<"$tmp/error")"
	log_test "a gone target takes no limit"
}

checktool "python3 -c pass" "run python3"
checktool "ethtool --version" "run ethtool"
setup_tmp
setup
egress=$(grep -ow egress "$dir/state" || :)
tests_run
