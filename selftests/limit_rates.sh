#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, limit
#
# How exactly rates of a target are kept, which takes a machine that has time for it.
# What passes is told by the statistics of the device at the other end; tc police and
# nft limit the same load beside it. Where time is the number of instructions, it can be
# more, in larger packets:
#
#   scripts/vm/vm --icount --env "NSGATE_RATES=125000 1250000 12500000 125000000" \
#       --env NSGATE_LENGTH=60000 --env NSGATE_SECONDS=2 ...
#
#   target                outside
#   +----------+         +-----------+
#   |   v0  .1 |---------| p0  .2    |   10.9.1.0/24, fd09:1::/64
#   +----------+         +-----------+

# shellcheck source=limit_lib.sh
source "$(dirname "$(realpath "$0")")/limit_lib.sh"

ALL_TESTS="rate_is_kept rate_is_kept_inwards tcp_gets_the_rate family_shares_a_rate"

: "${NSGATE_RATES:=125000 1000000}"

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
	((over <= $(nproc) * frame)) || check_err 1 "$3: $over bytes over rate and burst"
}

rate_is_kept()
{
	local rate got

	for rate in $NSGATE_RATES; do
		limit "out rate $rate burst 65536"
		got=$(passed_rate "$target" 10.9.1.2 received)
		limit none
		check_rate "$rate" "$got" "nsgate, outwards"
		police out "$((rate * 8))bit" 65536
		got=$(passed_rate "$target" 10.9.1.2 policed)
		police out none
		tell_rate "$rate" "$got" "tc police"
		limit_by_nft "$rate"
		got=$(passed_rate "$target" 10.9.1.2 passed_nft)
		in_ns "$outside" nft delete table netdev t
		tell_rate "$rate" "$got" "nft limit"
	done
	log_test "a rate outwards is kept"
}

# police out|in RATE BURST | none: by tc, what gets to the other end, or to the target.
police()
{
	local ns=$outside device=p0

	[[ $1 == out ]] || ns=$target device=v0
	if [[ $2 == none ]]; then
		in_ns "$ns" tc qdisc del dev $device ingress
		return
	fi
	in_ns "$ns" tc qdisc add dev $device ingress
	in_ns "$ns" tc filter add dev $device ingress matchall \
		action police rate "$2" burst "$3" mtu 65536 conform-exceed drop
}

# What police let pass: all less what it dropped.
policed()
{
	in_ns "$outside" tc -s -j filter show dev p0 ingress | python3 -c "
import json, sys
for f in json.load(sys.stdin):
    for a in f.get('options', {}).get('actions', []):
        s = a['stats']
        print((s['packets'] - s['drops']) * $frame)
"
}

limit_by_nft()
{
	in_ns "$outside" nft -f - <<-END
		table netdev t {
			counter ok { }
			chain c {
				type filter hook ingress device p0 priority 0;
				limit rate $1 bytes/second burst 65536 bytes counter name ok accept
				drop
			}
		}
	END
}

# With the link layer's header, which nft doesn't see there.
passed_nft()
{
	in_ns "$outside" nft list counter netdev t ok | awk '/packets/ { print $4 + 14 * $2 }'
}

rate_is_kept_inwards()
{
	local rate got

	for rate in $NSGATE_RATES; do
		limit "none"
		limit "in rate $rate burst 65536"
		got=$(passed_rate "$outside" 10.9.1.1 received_inside)
		check_rate "$rate" "$got" "nsgate, inwards"
	done
	limit none
	log_test "a rate inwards is kept"
}

# tcp_rate out|in: what a stream of TCP from the target, or to it, gets, in bytes a second.
tcp_rate()
{
	local server=$outside client=$target to=10.9.1.2

	[[ $1 == out ]] || server=$target client=$outside to=10.9.1.1
	in_ns "$server" iperf3 -s -1 >"$tmp/server" 2>&1 &
	busywait $BUSYWAIT_TIMEOUT in_ns "$server" ss -Hltn "sport = 5201" | grep -q 5201 || :
	in_ns "$client" iperf3 -c $to -t 5 -O 1 -J | python3 -c "
import json, sys
print(int(json.load(sys.stdin)['end']['sum_received']['bits_per_second'] / 8))"
	wait $!
}

# 50 Mbit/s: nsgate with its default burst, and tc police with as much and with what
# tc's own manual calls for, in turn. TCP's luck differs from run to run.
check_tcp()
{
	local ours=0 police=0 small=0

	for _ in 1 2 3; do
		limit "$1 rate 6250000"
		ours=$((ours + $(tcp_rate "$1")))
		limit none
		police "$1" 50mbit 312500
		police=$((police + $(tcp_rate "$1")))
		police "$1" none
		police "$1" 50mbit 100k
		small=$((small + $(tcp_rate "$1")))
		police "$1" none
	done
	echo "# TCP $1 at 6250000 bytes a second: nsgate $((ours / 3)), tc police with the same burst" \
		"$((police / 3)), with 100 kB $((small / 3))"
	((ours >= police * 9 / 10)) || check_err 1 "nsgate $((ours / 3)), tc police $((police / 3))"
	((ours >= small)) || check_err 1 "nsgate $((ours / 3)), tc police $((small / 3))"
}

tcp_gets_the_rate()
{
	check_tcp out
	log_test "TCP outwards gets at least what it gets by tc police"
	check_tcp in
	log_test "TCP inwards gets at least what it gets by tc police"
}

# ---- families ----

received_from_both()
{
	received_by p0 p1
}

# A member with a device of its own to outside.
connect_member()
{
	make_member
	connect "$member" v1 "$outside" p1 2 2>/dev/null || ip -n "$outside" link set p1 up
	in_ns "$member" ethtool -K v1 gso off tso off gro off >/dev/null
	in_ns "$outside" ethtool -K p1 gso off tso off gro off >/dev/null
	in_ns "$outside" ping -q -c 1 -W 5 10.9.2.1 >/dev/null || check_err 1 "the member isn't reached"
}

family_shares_a_rate()
{
	local got before used member_dir pid

	connect_member
	member_dir=$HOST_VIEW/$(ns_inode "$member")
	limit "out rate 500000 burst 65536"
	check_equal "limit of the member" "on 500000" \
		"$(state_of "$member_dir/limit" mode) $(state_of "$member_dir/limit" out_rate)"
	before=$(received)
	exec='exec' flood "$member" 10.9.2.2 600 >/dev/null &
	pid=$!
	got=$(passed_rate "$target" 10.9.1.2 received_from_both)
	kill $pid
	wait $pid 2>/dev/null || true
	check_rate 500000 "$got" "both members of a family"
	(($(received) - before < got * 8)) || check_err 1 "the member got nothing"
	used=$(key out_used)
	check_equal "used, by the member" "$used" "$(state_of "$member_dir/limit" out_used)"
	printf 'none\n' >"$member_dir/limit"
	check_equal "mode" none "$(key mode)"
	cleanup_ns "$member"
	log_test "the members of a family share a rate"
}

checktool "python3 -c pass" "run python3"
checktool "ethtool --version" "run ethtool"
checktool "iperf3 --version" "run iperf3"
checktool "nft --version" "run nft"
setup_tmp
setup
setup_length
tests_run
