#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, `<inode>/gate` (host, mode 0600)
#
# After a gate write our hooks stand before those of others again, and on the way
# there no packet passes unjudged, under traffic in both directions.

# shellcheck source=gate_escape_lib.sh
source "$(dirname "$(realpath "$0")")/gate_escape_lib.sh"

ALL_TESTS="tells moves_under_traffic many_devices"

: "${NSGATE_MOVES:=20}"

preceded_is()
{
	gate_value preceded "${gate%gate}state"
	[[ $answer == "$1" ]]
}

# Chains at all hook points, of both directions.
chains()
{
	local hook

	echo "table inet mine {"
	for hook in prerouting input forward output postrouting; do
		echo "chain $hook { type filter hook $hook priority -2147483648; }"
	done
	echo "}"
	echo "table netdev mine {"
	echo "chain ingress { type filter hook ingress device t0 priority -2147483648; }"
	! has_hook egress ||
		echo "chain egress { type filter hook egress device t0 priority -2147483648; }"
	echo "}"
}

tells()
{
	local expected=11

	! has_hook egress || expected=12
	gate accept
	busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "something stands before us"
	tenant nft -f - < <(chains)
	busywait $BUSYWAIT_TIMEOUT preceded_is $expected ||
		check_err $? "preceded: expected $expected, found $answer"
	gate accept
	busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "preceded is $answer"
	log_test "preceded tells of each hook before ours, and a gate write ends that"

	tenant nft flush ruleset
	tenant nft -f - < <(chains)
	busywait $BUSYWAIT_TIMEOUT preceded_is $expected || check_err $? "preceded is $answer"
	tenant nft flush ruleset
	busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "preceded is $answer"
	log_test "hooks that went don't stand before us"
}

# What has arrived behind the gate, or left: "foe" must be 0.
watch_passed()
{
	tenant nft -f - <<-END
		table ip watch {
			counter foe { }
			counter friend { }
			chain input {
				type filter hook input priority 0;
				ip saddr $foe udp dport 4242 counter name foe
				ip saddr $friend udp dport 4242 counter name friend
			}
		}
	END
	in_ns "$outside" nft -f - <<-END
		add counter netdev watch foe
		add counter netdev watch friend
		add rule netdev watch ingress ip saddr $own ip daddr $foe counter name foe
		add rule netdev watch ingress ip saddr $own ip daddr $friend counter name friend
	END
}

# passed NAMESPACE FAMILY COUNTER, in $answer
passed()
{
	local word name packets

	answer=
	while read -r word name packets _; do
		[[ "$word $name" != "packets "* ]] || answer=$name
	done < <(in_ns "$1" nft list counter "$2" watch "$3")
}

# Frames that came in by t0: what the kernel says of the device, and our figure.
received()
{
	local device packets

	answer=
	while read -r device _ packets _; do
		[[ $device != t0: ]] || answer=$packets
	done < <(in_ns "$target" cat /proc/net/dev)
	[[ $answer ]] || die "no t0"
}

counted()
{
	answer=$(stat_of "${gate%gate}stats" ingress netdev all)
	answer=${answer% *}
}

moves_under_traffic()
{
	local i rx before flooders=()

	gate "drop except $(program "host $own and host $friend and udp port 4242")"
	watch_passed
	flush
	received
	rx=$answer
	counted
	before=$answer
	actor sender "$outside"
	flooders+=($!)
	must sender sent flood 4242 "$foe" "$own" "$friend" "$own"
	actor flooder "$target"
	flooders+=($!)
	must flooder sent flood 4242 "$own" "$foe" "$own" "$friend"
	for ((i = 0; i < NSGATE_MOVES; i++)); do
		tenant nft -f - < <(chains)
		gate "drop except $(program "host $own and host $friend and udp port 4242") # $i"
		busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "preceded is $answer"
		tenant nft delete table inet mine
		tenant nft delete table netdev mine
	done
	kill "${flooders[@]}"
	wait "${flooders[@]}" 2>/dev/null || true
	flush
	received
	rx=$((answer - rx))
	counted
	before=$((answer - before - rx))
	((before >= 0 && before <= (NSGATE_MOVES + 1) * cpus)) ||
		check_err 1 "ingress has $before more than t0, which got $rx"
	passed "$target" ip foe
	check_equal "what foe got in" 0 "$answer"
	passed "$outside" netdev foe
	check_equal "what got out to foe" 0 "$answer"
	passed "$target" ip friend
	((answer)) || check_err 1 "friend got nothing in"
	passed "$outside" netdev friend
	((answer)) || check_err 1 "nothing got out to friend"
	log_test "$NSGATE_MOVES moves under traffic: nothing passes, nothing counts twice"
}

# More than are dealt with before others get RTNL.
many_devices()
{
	local i chains=""

	for ((i = 0; i < 100; i++)); do
		echo "link add d$i type dummy"
	done | ip -n "$target" -batch -
	for ((i = 0; i < 100; i++)); do
		chains+="chain c$i { type filter hook ingress device d$i priority -2147483648; }"$'\n'
	done
	tenant nft -f - <<<"table netdev mine { $chains }"
	busywait $BUSYWAIT_TIMEOUT preceded_is 100 || check_err $? "preceded is $answer"
	gate drop
	busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "preceded is $answer"
	tenant nft flush ruleset
	log_test "the hooks of 100 devices"
}

setup
watch_by_nft
tests_run
