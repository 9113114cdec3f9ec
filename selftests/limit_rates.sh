#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, limit
#
# How exactly rates of a target are kept, with tc police and nft limit beside it in the
# same run. It takes time that nobody else can take away: that of a machine whose clock
# counts instructions.
#
#   scripts/vm/vm --icount -- selftests/limit_rates.sh
#
# Measured is what the IP layer of the other end received, after everything that limits.
# All rates of docs/performance.md take half an hour. The largest need a processor that
# copies memory by words, not by bytes, and a kernel that doesn't clear what it allocates:
# else sending takes too many instructions.
#
#   scripts/vm/vm --icount --timeout 3600 \
#       --qemu '-cpu max,-erms,-fsrm' --append ' init_on_alloc=0' \
#       --env "NSGATE_RATES=125000 1250000 12500000 125000000 1250000000" \
#       --env "NSGATE_TCP_RATES=125000 1250000 6250000 12500000 125000000 1250000000" \
#       -- selftests/limit_rates.sh
#
#   target                outside
#   +----------+         +-----------+
#   |   v0  .1 |---------| p0  .2    |   10.9.1.0/24, fd09:1::/64
#   +----------+         +-----------+

# A clock that counts instructions jumps while everybody waits for a disk.
: "${WAIT_TIMEOUT:=3600}"

# shellcheck source=limit_lib.sh
source "$(dirname "$(realpath "$0")")/limit_lib.sh"

ALL_TESTS="rates_are_kept tcp_gets_the_rate family_shares_a_rate"

: "${NSGATE_RATES:=125000 12500000}" "${NSGATE_TCP_RATES:=6250000}" "${NSGATE_SECONDS:=4}"

# Short, so that the worst second has nearly all of a burst in it.
# shellcheck disable=SC2034 # for limit_lib.sh
pause=0.02

# ---- what limits ----

# burst_of RATE: the default of nsgate, and what the others get here.
burst_of()
{
	echo $(($1 / 20 > 65536 ? $1 / 20 : 65536))
}

# The device at which others limit a direction, behind the wire, and its namespace.
behind_wire()
{
	if [[ $1 == out ]]; then
		echo "$outside p0"
	else
		echo "$target v0"
	fi
}

# police out|in RATE BURST | none
police()
{
	local ns device

	read -r ns device <<<"$(behind_wire "$1")"
	if [[ $2 == none ]]; then
		in_ns "$ns" tc qdisc del dev "$device" ingress
		return
	fi
	in_ns "$ns" tc qdisc add dev "$device" ingress
	in_ns "$ns" tc filter add dev "$device" ingress matchall \
		action police rate "$(($2 * 8))bit" burst "$3" mtu 65536 conform-exceed drop
}

# nft_limit out|in RATE BURST | none
nft_limit()
{
	local ns device

	read -r ns device <<<"$(behind_wire "$1")"
	if [[ $2 == none ]]; then
		in_ns "$ns" nft delete table netdev t
		return
	fi
	in_ns "$ns" nft -f - <<-END
		table netdev t {
			chain c {
				type filter hook ingress device $device priority 0;
				limit rate over $2 bytes/second burst $3 bytes drop
			}
		}
	END
}

nsgate()
{
	if [[ $2 == none ]]; then
		limit none
	else
		limit "$1 rate $2 burst $3"
	fi
}

# ---- UDP, as fast as it can be sent ----

# What IP received in the namespace of process $receiver, in bytes as they are
# charged: $charged for each packet.
passed()
{
	local packets

	{
		read -r _
		read -r _ _ _ packets _
	} <"/proc/$receiver/net/snmp"
	echo $((packets * charged))
}

# flooded out|in CHARGED SPENT: the rate that a flood gets after SPENT bytes have passed, if
# each packet is charged CHARGED bytes
flooded()
{
	local charged=$2 receiver=$resident

	if [[ $1 == out ]]; then
		passed_rate "$target" 10.9.1.2 passed "$3"
	else
		receiver=$resident_inside
		passed_rate "$outside" 10.9.1.1 passed "$3"
	fi
}

# of_1000 PART WHOLE
of_1000()
{
	echo $(($1 * 1000 / $2))
}

# tell_rate CONFIGURED PASSED WHAT
tell_rate()
{
	echo "# $3: $(of_1000 "$2" "$1") of 1000, worst second $(of_1000 "$(worst_second)" "$1")"
}

# check_rate CONFIGURED PASSED WHAT BURST: 99 % of the rate, and never more than rate, burst,
# and a packet for each CPU. Of what was read, each end may be a packet off.
check_rate()
{
	local over off=$((2 * frame / NSGATE_SECONDS))

	tell_rate "$@"
	(($2 >= $1 * 99 / 100 - off && $2 <= $1 + $1 / 100 + off)) || check_err 1 "$3: $2 of $1"
	over=$(worst_second "$1" "$4")
	((over <= $(nproc) * frame)) || check_err 1 "$3: $over bytes over rate and burst"
}

# spent_by FLOOD RATE BURST: what has passed when a flood has spent a burst, and some more
spent_by()
{
	local spent=$(($3 * $1 / ($1 - $2)))

	echo $((spent + spent / 10))
}

# tc and nft charge a packet from its network header on. nft limit has a burst that is
# larger than what it is told, by what the rate gives in a second.
check_flood()
{
	local way=$1 rate=$2 burst got free spent more header=14

	[[ $way == in || $egress ]] || header=0
	burst=$(burst_of "$rate")
	free=$(NSGATE_SECONDS=1 flooded "$way" "$length" 0)
	echo "# $rate bytes a second, $way, packets of $length; without a limit: $free"
	if ((free < rate + rate / 10)); then
		log_test_skip "$rate bytes a second, $way" "nobody here can send that much"
		return
	fi
	spent=$(spent_by "$free" "$rate" "$burst")
	more=$(spent_by "$free" "$rate" $((rate + burst)))
	nsgate "$way" "$rate" "$burst"
	got=$(flooded "$way" $((length + header)) "$spent")
	nsgate "$way" none
	check_rate "$rate" "$got" "nsgate" "$burst"
	police "$way" "$rate" "$burst"
	tell_rate "$rate" "$(flooded "$way" "$length" "$spent")" "tc police"
	police "$way" none
	nft_limit "$way" "$rate" "$burst"
	tell_rate "$rate" "$(flooded "$way" "$length" "$more")" "nft limit"
	nft_limit "$way" none
	log_test "$rate bytes a second, $way"
}

# Small packets for as long as they make enough of a load.
rates_are_kept()
{
	local rate way

	set_offloads off
	for rate in $NSGATE_RATES; do
		if ((rate < 10000000)); then
			set_length 1000
		else
			set_length 60000
		fi
		for way in out in; do
			check_flood "$way" "$rate"
		done
	done
	set_length 1000
}

# ---- TCP ----

# streamed out|in: what a stream of TCP gets, by who receives it: bytes a second, without
# the first second, and the best of all seconds.
streamed()
{
	local server=$outside client=$target to=10.9.1.2

	[[ $1 == out ]] || server=$target client=$outside to=10.9.1.1
	in_ns "$server" iperf3 -s -1 -J >"$tmp/server" 2>&1 &
	busywait $BUSYWAIT_TIMEOUT listens "$server" >/dev/null || check_err 1 "no server"
	in_ns "$client" iperf3 -c $to -l 60K -t $((NSGATE_SECONDS + 1)) -J >"$tmp/client" ||
		check_err 1 "$(<"$tmp/client")"
	wait $! || check_err 1 "$(<"$tmp/server")"
	python3 -c '
import json, sys
parts = [i["sum"] for i in json.load(sys.stdin)["intervals"]]
later = [p for p in parts if p["start"] > 0.5]
print(int(sum(p["bytes"] for p in later) / sum(p["seconds"] for p in later)),
      int(max(p["bytes"] / max(p["seconds"], 1) for p in parts)))' <"$tmp/server"
}

listens()
{
	in_ns "$1" ss -Hltn "sport = 5201" | grep -q 5201
}

# What limits TCP, in turn: nsgate with its default burst, others with as much, tc police
# with what tc's own manual has, and nsgate with what docs/files.md advises. TCP's luck
# differs from stream to stream, so each has three.
check_stream()
{
	local way=$1 rate=$2 burst what bytes best text
	local -a order=(nsgate police nft_limit small larger)
	local -A sum=() worst=() called=([nsgate]="nsgate" [police]="tc police" [nft_limit]="nft limit"
		[small]="tc police with 100 kB" [larger]="nsgate with 8 times the burst")

	burst=$(burst_of "$rate")
	read -r bytes _ <<<"$(streamed "$way")"
	echo "# TCP, $rate bytes a second, $way; without a limit: $bytes"
	if ((bytes < rate + rate / 10)); then
		log_test_skip "TCP, $rate bytes a second, $way" "nobody here can send that much"
		return
	fi
	for _ in 1 2 3; do
		for what in "${order[@]}"; do
			"$what" "$way" "$rate" "$burst"
			read -r bytes best <<<"$(streamed "$way")"
			"$what" "$way" none
			sum[$what]=$((${sum[$what]-0} + bytes))
			((best <= ${worst[$what]-0})) || worst[$what]=$best
		done
	done
	for what in "${order[@]}"; do
		text="$(of_1000 $((${sum[$what]} / 3)) "$rate") of 1000, best second"
		echo "# ${called[$what]}: $text $(of_1000 "${worst[$what]}" "$rate")"
	done
	((sum[nsgate] >= sum[police] * 9 / 10)) || check_err 1 "tc police gives more with the same burst"
	((sum[nsgate] >= sum[small])) || check_err 1 "tc police gives more with 100 kB"
	log_test "TCP, $rate bytes a second, $way"
}

small()
{
	police "$1" "$2" 100k
}

larger()
{
	nsgate "$1" "$2" $((${3-0} * 8))
}

# With what devices do for TCP by themselves.
tcp_gets_the_rate()
{
	local rate way

	set_offloads on
	for rate in $NSGATE_TCP_RATES; do
		for way in out in; do
			check_stream "$way" "$rate"
		done
	done
	set_offloads off
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
	check_rate 500000 "$got" "both members of a family" 65536
	(($(received) - before < got * NSGATE_SECONDS)) || check_err 1 "the member got nothing"
	used=$(key out_used)
	check_equal "used, by the member" "$used" "$(state_of "$member_dir/limit" out_used)"
	printf 'none\n' >"$member_dir/limit"
	check_equal "mode" none "$(key mode)"
	cleanup_ns "$member"
	log_test "the members of a family share a rate"
}

[[ ${NSGATE_EXACT_TIME-} ]] || skip "needs the time of scripts/vm/vm --icount"
checktool "python3 -c pass" "run python3"
checktool "ethtool --version" "run ethtool"
checktool "iperf3 --version" "run iperf3"
checktool "nft --version" "run nft"
setup_tmp
setup
(exec nsenter --net="/run/netns/$target" -- sleep infinity) &
resident_inside=$!
egress=
! grep -qw egress "$dir/state" || egress=yes
tests_run
