#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/design.md, Locks, and who may wait for whom
#
# A tenant opens the files of his own view, or seeks in them, with next to no CPU
# time, by descriptors that he took elsewhere, while his namespace dies. Another
# namespace has to die meanwhile, and another to be bound. (A read that doesn't end
# is in lifecycle.sh.)

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="
	without_tenant
	starved_open
	starved_seek
	shell_reads_lines
"

cgroup=		# in which there is no CPU time
starve=	# the program
starver=	# a process that runs it
took=0		# by disturb, in milliseconds
usual_ms=0	# the same, when there is no such tenant

at_end()
{
	[[ ! $cgroup ]] || rmdir "$cgroup"
}

setup()
{
	local root=/sys/fs/cgroup

	checktool "grep -qw cpu $root/cgroup.controllers" "limit CPU time by a control group"
	echo +cpu >$root/cgroup.subtree_control
	cgroup=$(mktemp -d "$root/nsgate-XXXXXXXX")
	echo 1000 1000000 >"$cgroup/cpu.max"
	setup_program starve
	load_nsgate flows=65536
}

now_ms()
{
	echo $((${EPOCHREALTIME/./} / 1000))
}

is_unknown()
{
	! awk -v cookie="$1" '$2 == cookie { found = 1 } END { exit !found }' "$HOST_VIEW/namespaces"
}

has_ended()
{
	[[ ! -e /proc/$1 ]]
}

is_starved()
{
	[[ -e /proc/$starver ]] || die "process $starver has ended"
	grep -q "$starver" "$cgroup/cgroup.procs" &&
		awk '$1 == "nr_throttled" { exit $2 < 2 }' "$cgroup/cpu.stat"
}

# disturb MILLISECONDS [open|seek]: a namespace dies and another is bound, while a
# tenant does that and dies himself.
disturb()
{
	local limit=$1 tenant mortal other cookie begin binder
	local -a numbers

	setup_ns tenant mortal other
	mapfile -t numbers < <(ns_inode "$tenant" "$mortal" "$other")
	write_inode "${numbers[0]},${numbers[1]}"
	cookie=$(state_of "$HOST_VIEW/${numbers[1]}/state" cookie)
	if [[ ${2-} ]]; then
		nsenter --net="/run/netns/$tenant" -- "$starve" "$2" \
			/proc/net/nsgate/flows /proc/$$/ns/net "$cgroup" &
		starver=$!
		busywait "$BUSYWAIT_TIMEOUT" is_starved || die "nobody is starved"
	fi
	begin=$(now_ms)
	ip netns delete "$tenant"
	ip netns delete "$mortal"
	write_inode "+${numbers[2]}" &
	binder=$!
	busywait "$limit" has_ended $binder || check_err 1 "no bind within $limit ms"
	busywait "$limit" is_unknown "$cookie" || check_err 1 "another namespace doesn't die within $limit ms"
	took=$(($(now_ms) - begin))
	echo "# $took ms"
	if [[ ${2-} ]]; then
		kill -9 "$starver" 2>/dev/null || true
		wait "$starver" 2>/dev/null || true
	fi
	wait $binder || check_err $? "bind"
	cleanup_ns "$tenant" "$mortal" "$other" 2>/dev/null || true
}

without_tenant()
{
	disturb "$BUSYWAIT_TIMEOUT"
	usual_ms=$took
	log_test "a namespace dies and another is bound"
}

starved_open()
{
	disturb $((5 * usual_ms + 1000)) open
	log_test "also while a tenant opens his flows without CPU time"
}

starved_seek()
{
	disturb $((5 * usual_ms + 1000)) seek
	log_test "also while a tenant seeks in his flows without CPU time"
}

# The shell reads a block, and seeks back to the end of the line.
shell_reads_lines()
{
	local tenant number fd first again line rows=0 blocks

	setup_ns tenant
	number=$(ns_inode "$tenant")
	write_inode "$number"
	first=$(cat "$HOST_VIEW/$number/stats")
	exec {fd}<"$HOST_VIEW/$number/stats"
	blocks=
	while read -r -u "$fd" line; do
		blocks+=$line$'\n'
		rows=$((rows + 1))
		in_ns "$tenant" ping -qc 1 127.0.0.1 >/dev/null
	done
	check_equal "what was read line by line" "$first" "${blocks%$'\n'}"
	((rows > 10)) || check_err 1 "there are but $rows rows"
	again=$(cat "$HOST_VIEW/$number/stats")
	[[ $again != "$first" ]] || check_err 1 "nothing was counted meanwhile"
	exec {fd}<&-
	log_test "what is read line by line is of one moment"

	exec {fd}<"$HOST_VIEW/$number/stats"
	read -r -u "$fd" line
	in_ns "$tenant" ping -qc 1 127.0.0.1 >/dev/null
	again=$(python3 -c '
import os
print(os.pread('"$fd"', 1 << 20, 0).decode(), end="")')
	exec {fd}<&-
	check_equal "a read at the beginning" "$(cat "$HOST_VIEW/$number/stats")" "$again"
	cleanup_ns "$tenant"
	log_test "a read at the beginning takes a new look"
}

setup
tests_run
