#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, limit
#
# Rates and quotas of a target. What passes is told by the statistics of the
# device at the other end; tc police limits the same load beside it.
#
#   target                outside
#   +----------+         +-----------+
#   |   v0  .1 |---------| p0  .2    |   10.9.1.0/24, fd09:1::/64
#   +----------+         +-----------+

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="begins_with_none bad_texts_change_nothing texts_are_taken host_is_not_limited
	quota_ends quota_ends_inwards used_is_kept zero_lets_nothing_pass neighbours_pass
	exceptions_are_free gate_comes_first dry_run_drops_nothing rate_is_kept
	rate_is_kept_inwards tcp_gets_the_rate family_shares_a_rate rewrites_lose_no_charge
	gone_takes_none"

target='' outside='' member='' resident=''

setup()
{
	setup_ns target outside
	dir=$HOST_VIEW/$(ns_inode "$target")
	load_nsgate "inode=$(ns_inode "$target")"
	connect "$target" v0 "$outside" p0 1
	keep_neighbours "$target" v0
	keep_neighbours "$outside" p0
	in_ns "$target" ethtool -K v0 gso off tso off gro off >/dev/null
	in_ns "$outside" ethtool -K p0 gso off tso off gro off >/dev/null
	in_ns "$outside" ping -q -c 1 -W 5 10.9.1.1 >/dev/null
	# Whose statistics can be read without any other program.
	(exec nsenter --net="/run/netns/$outside" -- sleep infinity) &
	resident=$!
}

# keep_neighbours NAMESPACE DEVICE: who was found once isn't asked for again, which
# would be charged.
keep_neighbours()
{
	local family

	for family in ipv4 ipv6; do
		echo 36000000 | in_ns "$1" tee "/proc/sys/net/$family/neigh/$2/base_reachable_time_ms" >/dev/null
	done
}

limit()
{
	printf '%s\n' "$1" >"$dir/limit"
}

gate()
{
	printf '%s\n' "$1" >"$dir/gate"
}

key()
{
	state_of "$dir/limit" "$1"
}

# row in|out: seen and dropped packets and bytes
row()
{
	awk -v hook="$1" '$1 == hook && $3 == "all" { print $4, $5, $6, $7 }' "$dir/stats"
}

# flood NAMESPACE TO SECONDS [COUNT]: UDP of 1000 bytes of IP, as fast as can be. With
# exec=exec it takes the place of the shell that runs it.
flood()
{
	${exec-} nsenter --net="/run/netns/$1" -- python3 -c '
import socket, sys, time
to, seconds, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100000)
end = time.monotonic() + seconds
while count and time.monotonic() < end:
    for i in range(min(count, 50) if count > 0 else 50):
        try:
            s.sendto(b"x" * 972, (to, 9))
        except OSError:
            pass
        count -= 1' "$2" "$3" "${4--1}"
}

# received [DEVICE...]: what p0 received, or these together, in bytes.
received()
{
	local device bytes sum=0

	while read -r device bytes _; do
		[[ " ${*:-p0} " != *" ${device%:} "* ]] || sum=$((sum + bytes))
	done <"/proc/$resident/net/dev"
	echo $sum
}

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
	# Neighbour discovery goes on meanwhile, and is used.
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
	local before after passed

	limit "out quota 100000 used 0"
	before=$(received)
	flood "$target" 10.9.1.2 20 500
	after=$(received)
	passed=$((after - before))
	check_quota out 100000
	check_equal "what passed is what was used" "$(key out_used)" "$passed"
	(($(key out_over_packets) >= 390)) || check_err 1 "over: $(key out_over_packets)"
	check_equal "dropped in out" "$(key out_over_packets) $(key out_over_bytes)" \
		"$(row out | cut -d ' ' -f 3-)"
	if grep -qw egress "$dir/state"; then
		check_equal "dropped in egress" "$(row out | cut -d ' ' -f 3-)" \
			"$(row egress | cut -d ' ' -f 3-)"
	fi
	echo "# quota of 100000 outwards: $passed passed"
	log_test "a quota outwards is used, and ends"
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
	ip -n "$outside" neigh flush all
	in_ns "$outside" ping -q -c 1 -W 1 10.9.1.1 >/dev/null && check_err 1 "a ping passes"
	in_ns "$outside" ping -q -c 1 -W 1 fd09:1::1 >/dev/null && check_err 1 "a ping passes, IPv6"
	[[ $(ip -n "$outside" neigh show 10.9.1.1) == *lladdr* ]] || check_err 1 "no ARP"
	[[ $(ip -n "$outside" neigh show fd09:1::1) == *lladdr* ]] ||
		check_err 1 "no neighbour discovery: $(ip -n "$outside" -6 neigh show)"
	(($(key in_used) > 0)) || check_err 1 "neighbours are not charged"
	limit "none"
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

now()
{
	echo "${EPOCHREALTIME/./}"
}

has_grown()
{
	(($($1) > $2))
}

# sample COUNTER SECONDS: looks at a counter; lines of when that began and ended, in
# microseconds, and what it said, in $tmp/samples.
sample()
{
	local begun end

	end=$(($(now) + $2 * 1000000))
	while (($(now) < end)); do
		begun=$(now)
		echo "$begun $($1) $(now)"
		sleep 0.1
	done | awk '{ print $1, $3, $2 }' >"$tmp/samples"
}

# passed_rate FROM TO COUNTER: the rate that a flood gets, in bytes per second
# over some seconds after a burst was spent.
passed_rate()
{
	local bytes

	bytes=$($3)
	exec='exec' flood "$1" "$2" 600 >/dev/null &
	busywait $BUSYWAIT_TIMEOUT has_grown "$3" $((bytes + 70000)) >/dev/null || true
	sample "$3" 8
	kill %%
	wait %% 2>/dev/null || true
	awk '{ at = ($1 + $2) / 2 }
		NR == 1 { begun = at; bytes = $3 }
		END { printf "%d\n", ($3 - bytes) * 1e6 / (at - begun) }' "$tmp/samples"
}

# worst_second [RATE BURST]: the most that was seen to pass in a second, as a rate;
# or, of all spans of time, the most that passed over rate and burst.
worst_second()
{
	awk -v rate="${1-0}" -v burst="${2-0}" '
		{ begun[NR] = $1; ended[NR] = $2; bytes[NR] = $3 }
		END {
			worst = -burst
			for (i = 1; i <= NR; i++)
				for (j = i + 1; j <= NR; j++) {
					span = (ended[j] - begun[i]) / 1e6
					passed = bytes[j] - bytes[i]
					if (!rate && span < 1)
						continue
					over = rate ? passed - rate * span - burst : passed / span
					if (over > worst)
						worst = over
				}
			printf "%d\n", worst
		}' "$tmp/samples"
}

received_inside()
{
	key in_used
}

# tell_rate CONFIGURED PASSED WHAT
tell_rate()
{
	echo "# $3: $2 of $1 bytes a second, $(($2 * 1000 / $1)) of 1000, worst second $(worst_second)"
}

# check_rate CONFIGURED PASSED WHAT, within what reading the figures takes; never may
# more pass than rate, burst, and a packet for each CPU.
check_rate()
{
	local over

	tell_rate "$@"
	(($2 >= $1 * 97 / 100 && $2 <= $1 * 103 / 100)) || check_err 1 "$3: $2 of $1"
	over=$(worst_second "$1" 65536)
	((over <= $(nproc) * 1014)) || check_err 1 "$3: $over bytes over rate and burst"
}

rate_is_kept()
{
	local rate passed

	for rate in 125000 1000000; do
		limit "out rate $rate burst 65536"
		passed=$(passed_rate "$target" 10.9.1.2 received)
		limit none
		check_rate "$rate" "$passed" "nsgate, outwards"
	done
	police 8mbit 65536
	passed=$(passed_rate "$target" 10.9.1.2 policed)
	police none
	tell_rate 1000000 "$passed" "tc police"
	in_ns "$outside" nft -f - <<-END
		table netdev t {
			counter ok { }
			chain c {
				type filter hook ingress device p0 priority 0;
				limit rate 1000000 bytes/second burst 65536 bytes counter name ok accept
				drop
			}
		}
	END
	passed=$(passed_rate "$target" 10.9.1.2 passed_nft)
	in_ns "$outside" nft delete table netdev t
	tell_rate 1000000 "$passed" "nft limit"
	log_test "a rate outwards is kept"
}

# police RATE BURST | none: by tc, what comes in at p0.
police()
{
	if [[ $1 == none ]]; then
		in_ns "$outside" tc qdisc del dev p0 ingress
		return
	fi
	in_ns "$outside" tc qdisc add dev p0 ingress
	in_ns "$outside" tc filter add dev p0 ingress matchall \
		action police rate "$1" burst "$2" conform-exceed drop
}

# With the link layer's header, which nft doesn't see there.
passed_nft()
{
	in_ns "$outside" nft list counter netdev t ok | awk '/packets/ { print $4 + 14 * $2 }'
}

# What police let pass: all less what it dropped.
policed()
{
	in_ns "$outside" tc -s -j filter show dev p0 ingress | python3 -c "
import json, sys
for f in json.load(sys.stdin):
    for a in f.get('options', {}).get('actions', []):
        s = a['stats']
        print((s['packets'] - s['drops']) * 1014)
"
}

rate_is_kept_inwards()
{
	local rate passed

	for rate in 125000 1000000; do
		limit "none"
		limit "in rate $rate burst 65536"
		passed=$(passed_rate "$outside" 10.9.1.1 received_inside)
		check_rate "$rate" "$passed" "nsgate, inwards"
	done
	limit none
	log_test "a rate inwards is kept"
}

# tcp_rate: what a stream of TCP from the target gets, in bytes a second.
tcp_rate()
{
	in_ns "$outside" iperf3 -s -1 >"$tmp/server" 2>&1 &
	busywait $BUSYWAIT_TIMEOUT in_ns "$outside" ss -Hltn "sport = 5201" | grep -q 5201 || :
	in_ns "$target" iperf3 -c 10.9.1.2 -t 5 -O 1 -J | python3 -c "
import json, sys
print(int(json.load(sys.stdin)['end']['sum_received']['bits_per_second'] / 8))"
	wait $!
}

# 50 Mbit/s: nsgate with its default burst, and tc police with as much and with what
# tc's own manual calls for, in turn. TCP's luck differs from run to run.
tcp_gets_the_rate()
{
	local ours=0 police=0 small=0

	for _ in 1 2 3; do
		limit "out rate 6250000"
		ours=$((ours + $(tcp_rate)))
		limit none
		police 50mbit 312500
		police=$((police + $(tcp_rate)))
		police none
		police 50mbit 100k
		small=$((small + $(tcp_rate)))
		police none
	done
	echo "# TCP at 6250000 bytes a second: nsgate $((ours / 3)), tc police with the same burst" \
		"$((police / 3)), with 100 kB $((small / 3))"
	((ours >= police * 9 / 10)) || check_err 1 "nsgate $((ours / 3)), tc police $((police / 3))"
	((ours >= small)) || check_err 1 "nsgate $((ours / 3)), tc police $((small / 3))"
	log_test "TCP gets at least what it gets by tc police"
}

# ---- families ----

received_from_both()
{
	received p0 p1
}

# A namespace that is made in the target, with a device of its own to outside.
make_member()
{
	printf -v member 'member-%08x' "$SRANDOM"
	echo children >/sys/module/nsgate/parameters/auto
	in_ns "$target" ip netns add "$member"
	echo off >/sys/module/nsgate/parameters/auto
	NS_LIST+=("$member")
	NS_INODES+=("$(ns_inode "$member")")
	connect "$member" v1 "$outside" p1 2 2>/dev/null || ip -n "$outside" link set p1 up
	in_ns "$member" ethtool -K v1 gso off tso off gro off >/dev/null
	in_ns "$outside" ethtool -K p1 gso off tso off gro off >/dev/null
	in_ns "$outside" ping -q -c 1 -W 5 10.9.2.1 >/dev/null || check_err 1 "the member isn't reached"
}

family_shares_a_rate()
{
	local passed before used member_dir pid

	make_member
	member_dir=$HOST_VIEW/$(ns_inode "$member")
	limit "out rate 500000 burst 65536"
	check_equal "limit of the member" "on 500000" \
		"$(state_of "$member_dir/limit" mode) $(state_of "$member_dir/limit" out_rate)"
	before=$(received)
	exec='exec' flood "$member" 10.9.2.2 600 >/dev/null &
	pid=$!
	passed=$(passed_rate "$target" 10.9.1.2 received_from_both)
	kill $pid
	wait $pid 2>/dev/null || true
	check_rate 500000 "$passed" "both members of a family"
	(($(received) - before < passed * 8)) || check_err 1 "the member got nothing"
	used=$(key out_used)
	check_equal "used, by the member" "$used" "$(state_of "$member_dir/limit" out_used)"
	printf 'none\n' >"$member_dir/limit"
	check_equal "mode" none "$(key mode)"
	cleanup_ns "$member"
	log_test "the members of a family share a rate"
}

# Since the limit was set, what was used is what the other end received.
charged_is_passed()
{
	echo "used $(key out_used), received $(($(received) - $1))"
	(($(key out_used) == $(received) - $1))
}

rewrites_lose_no_charge()
{
	local i before said

	limit none
	before=$(received)
	limit "out quota 1000000000"
	exec='exec' flood "$target" 10.9.1.2 600 &
	busywait $BUSYWAIT_TIMEOUT has_grown received $((before + 1000000)) >/dev/null ||
		check_err 1 "no flood"
	for ((i = 0; i < 500; i++)); do
		limit "out rate 50000000 quota 1000000000"
		limit "out quota 1000000000"
	done
	kill $!
	wait $! || :
	said=$(busywait 5000 charged_is_passed "$before") || check_err 1 "$said"
	echo "# 1,000 rewrites: $said"
	limit none
	log_test "1,000 rewrites under load lose no charge"
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
checktool "iperf3 --version" "run iperf3"
checktool "nft --version" "run nft"
setup_tmp
setup
tests_run
