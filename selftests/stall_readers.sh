#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/design.md, Locks, and who may wait for whom
#
# A tenant opens the files of his own view, reads them or seeks in them, with next to
# no CPU time, or reads into memory that is never there, by descriptors that he took
# elsewhere, while his namespace dies or is released. Others have to get on meanwhile.
# His flows are $NSGATE_FLOWS (20000), for which an emulated machine doesn't need long:
# others who have nothing to do share the CPU time that there is.

# shellcheck source=stall_lib.sh
source "$(dirname "$(realpath "$0")")/stall_lib.sh"

ALL_TESTS="
	without_tenant
	starved_open
	starved_seek
	starved_read
	stalled_read
	shell_reads_lines
"

here=$(dirname "$(realpath "$0")")
flows=${NSGATE_FLOWS:-20000}
starve='' stall=''	# the programs
culprit=	# a process that runs one of them
idlers=()	# others who are starved
tenant=

at_end()
{
	[[ ! $cgroup ]] || rmdir "$cgroup"
}

setup()
{
	checktool "python3 -c pass" "run python3"
	modprobe -q pktgen || skip "could not load pktgen"
	setup_tmp
	setup_starving
	setup_program starve
	setup_program stall
	load_nsgate flows=65536
}

# Fewer by a tenth only if that many have met in full sets.
has_flows()
{
	(($(state_of "$HOST_VIEW/$number/state" flow_entries) >= flows * 9 / 10))
}

# Has the number of its namespace in $number.
setup_tenant()
{
	setup_ns tenant
	number=$(ns_inode "$tenant")
	write_inode "+$number"
	((!flows)) || fill_flows
}

fill_flows()
{
	local sender

	setup_ns sender
	ip -n "$tenant" link add r address 02:00:00:00:00:01 type veth peer name s netns "$sender"
	ip -n "$tenant" link set r up
	ip -n "$sender" link set s up
	in_ns "$sender" "$here/flood.py" pktgen evenly "$flows" 0 0
	has_flows || die "the tenant has $(state_of "$HOST_VIEW/$number/state" flow_entries) flows"
	cleanup_ns "$sender"
}

is_starved()
{
	[[ -e /proc/$culprit ]] || die "process $culprit has ended"
	grep -q "$culprit" "$cgroup/cgroup.procs" &&
		awk '$1 == "nr_throttled" { exit $2 - before < 2 }' before="$1" "$cgroup/cpu.stat"
}

throttled()
{
	awk '$1 == "nr_throttled" { print $2 }' "$cgroup/cpu.stat"
}

is_elsewhere()
{
	[[ /proc/$culprit/exe -ef $starve && /proc/$culprit/ns/net -ef /proc/$$/ns/net ]]
}

# Who enters a cgroup by himself may be starved with the lock of all cgroups held.
starve()
{
	local before

	nsenter --net="/run/netns/$tenant" -- "$starve" "$1" /proc/net/nsgate/flows /proc/$$/ns/net &
	culprit=$!
	busywait "$BUSYWAIT_TIMEOUT" is_elsewhere || die "nobody is elsewhere"
	before=$(throttled)
	echo "$culprit" >"$cgroup/cgroup.procs"
	busywait "$BUSYWAIT_TIMEOUT" is_starved "$before" || die "nobody is starved"
	# By now it does what it is to do; from here on, with a tenth of what there is.
	while ((${#idlers[@]} < 9)); do
		while :; do :; done &
		idlers+=($!)
		echo $! >"$cgroup/cgroup.procs"
	done
}

# They get the CPU time that their end takes. A process that has begun to exit, because
# the file that it read was released, can't be moved to another cgroup.
end_culprits()
{
	local pid

	give_time
	for pid in "$culprit" "${idlers[@]}"; do
		kill -9 "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	idlers=()
	take_time
}

waits_for_memory()
{
	grep -q handle_userfault "/proc/$culprit/stack"
}

stall()
{
	nsenter --net="/run/netns/$tenant" -- "$stall" /proc/net/nsgate/flows /proc/$$/ns/net &
	culprit=$!
	busywait "$BUSYWAIT_TIMEOUT" waits_for_memory || die "nobody waits for memory"
}

# disturb dies|released COMMAND...: a tenant who has that done.
disturb()
{
	local releaser='' cookie

	setup_tenant
	cookie=$(cookie_of "$number")
	setup_others
	"${@:2}"
	case $1 in
	dies)
		ip netns delete "$tenant"
		# Who dies at the same time wouldn't wait. It lives on while a read holds it.
		busywait 2000 is_unknown "$cookie" || true
		;;
	released) write_inode "-$number" & releaser=$! ;;
	esac
	check_others
	[[ ! $releaser ]] || busywait "$(limit_ms)" has_ended $releaser ||
		check_err 1 "the release doesn't end"
	end_culprits
	[[ ! $releaser ]] || wait $releaser || check_err $? "release"
	cleanup_ns "$tenant" 2>/dev/null || true
}

starved_open()
{
	disturb dies starve open
	disturb released starve open
	log_test "also while a tenant opens his flows without CPU time"
}

# Only where the kernel preempts itself (preempt=full) is a seek that takes long cut off.
starved_seek()
{
	disturb dies starve seek
	disturb released starve seek
	log_test "also while a tenant seeks in his flows without CPU time"
}

starved_read()
{
	disturb dies starve read
	disturb released starve read
	log_test "also while a tenant reads his flows without CPU time"
}

stalled_read()
{
	local status=0 flows=0 # it stalls with the first row

	"$stall" 2>/dev/null || status=$?
	if ((status == 4)); then
		log_test_skip "also while a tenant's read doesn't end" "the kernel has no userfaultfd"
		return
	fi
	disturb dies stall
	disturb released stall
	log_test "also while a tenant's read doesn't end"
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
