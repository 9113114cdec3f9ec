#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, Other parameters
#
# Flow tables follow the CPUs that are online.
#
#   left                  right
#   +--------+           +--------+
#   |     l0 |-----------| r0     |
#   |     .1 |10.9.1.0/24| .2     |
#   +--------+           +--------+
#
# left is a target. The last CPU goes and comes; it is not there when the module
# is loaded.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="capacity_of_online_cpus cpu_comes cpu_goes bound_without_it
	under_traffic memory_of_online_cpus"

left='' right=''
sent=0
cpus=/sys/devices/system/cpu

# Of those that are there.
last_cpu()
{
	local list

	list=$(<$cpus/online)
	echo "${list##*[,-]}"
}

count_online()
{
	grep -c ^processor /proc/cpuinfo
}

cpu_on()
{
	echo "$1" >"$cpus/cpu$last/online"
}

setup()
{
	last=$(last_cpu)
	checktool "test $last -gt 0 -a -w $cpus/cpu$last/online" "take a CPU off"
	online=$(count_online)
	setup_ns left right
	connect_quietly "$left" l0 "$right" r0 1
	left_inode=$(ns_inode "$left")
	cpu_on 0
	load_nsgate "inode=$left_inode"
}

at_end()
{
	[[ ! ${last-} ]] || cpu_on 1
}

# state INODE KEY
state()
{
	state_of "$HOST_VIEW/$1/state" "$2"
}

# talk CPU COUNT: from that CPU, or any.
talk()
{
	in_ns "$left" ${1:+taskset -c "$1"} ping -q -c "$2" -i 0.002 -W 20 10.9.1.2 >/dev/null ||
		check_err $? "no answer"
	sent=$((sent + $2))
}

# Packets to and from the other end, of all CPUs.
flow_packets()
{
	awk '$2 == "icmp" { packets[$3 " " $4] = $5 }
		END { print packets["10.9.1.1 10.9.1.2"] + 0, packets["10.9.1.2 10.9.1.1"] + 0 }' \
		"$HOST_VIEW/$left_inode/flows"
}

met_packets()
{
	echo "$(stat_of "$HOST_VIEW/$left_inode/stats" output ipv4 icmp)" \
		"$(stat_of "$HOST_VIEW/$left_inode/stats" prerouting ipv4 icmp)"
}

# Nothing is lost, whatever CPU it was on and whether that is still there.
check_all_counted()
{
	check_reaches "$sent $sent" "packets of flows" flow_packets
	check_reaches "$sent $((84 * sent)) $sent $((84 * sent))" "packets that were met" met_packets
	check_equal flow_evicted 0 "$(state "$left_inode" flow_evicted)"
}

capacity_of_online_cpus()
{
	setup
	check_equal flow_capacity $((1024 * (online - 1))) "$(state "$left_inode" flow_capacity)"
	talk "" 50
	check_all_counted
	log_test "a CPU that isn't online has no table"
}

# Two flows that are there already, on one CPU more.
cpu_comes()
{
	local before

	before=$(state "$left_inode" flow_entries)
	cpu_on 1
	check_equal flow_capacity $((1024 * online)) "$(state "$left_inode" flow_capacity)"
	talk "$last" 50
	check_all_counted
	check_equal flow_entries $((before + 2)) "$(state "$left_inode" flow_entries)"
	log_test "a CPU that comes has a table for its first packet"
}

cpu_goes()
{
	cpu_on 0
	check_equal flow_capacity $((1024 * online)) "$(state "$left_inode" flow_capacity)"
	check_all_counted
	log_test "the figures of a CPU that went stay in the sums"
	cpu_on 1
	talk "$last" 50
	check_all_counted
	check_equal flow_capacity $((1024 * online)) "$(state "$left_inode" flow_capacity)"
	log_test "a CPU that comes again goes on with its table"
}

# It was there once, since the module was loaded.
bound_without_it()
{
	local inode

	inode=$(ns_inode "$right")
	cpu_on 0
	write_inode "+$inode"
	check_equal flow_capacity $((1024 * online)) "$(state "$inode" flow_capacity)"
	cpu_on 1
	check_equal flow_capacity $((1024 * online)) "$(state "$inode" flow_capacity)"
	write_inode "-$inode"
	log_test "a target that is bound while a CPU is away"
}

come_and_go()
{
	local i inode

	inode=$(ns_inode "$right")
	for ((i = 0; i < 4; i++)); do
		write_inode "+$inode"
		cpu_on 0
		write_inode "-$inode"
		write_inode "+$inode"
		cpu_on 1
		write_inode "-$inode"
	done
}

under_traffic()
{
	local pinger

	nsenter --net="/run/netns/$left" -- ping -q -i 0.005 -W 20 10.9.1.2 >"$tmp/ping" &
	pinger=$!
	come_and_go
	kill -INT $pinger
	wait $pinger || true
	[[ $(<"$tmp/ping") =~ ([0-9]+)\ packets\ transmitted ]]
	((BASH_REMATCH[1] > 0)) || check_err 1 "no packet was sent"
	sent=$((sent + BASH_REMATCH[1]))
	check_all_counted
	log_test "CPUs come and go under traffic, with binds in between"
}

# What is free, when all that was freed is: pages wait for a grace period, and in
# lists of each CPU.
free_kb()
{
	local key value

	echo 3 >/proc/sys/vm/drop_caches
	while read -r key value _; do
		if [[ $key == MemFree: ]]; then
			echo "$value"
			return
		fi
	done </proc/meminfo
}

# Whatever the number of CPUs that could be there: 240 are as many as some
# hypervisors announce, and as possible_cpus=240 of the kernel makes.
memory_of_online_cpus()
{
	local before after each limit possible
	local -a inodes

	# shellcheck disable=SC2046 # names
	setup_ns $(printf 'm%d ' {1..20})
	mapfile -t inodes < <(ns_inode "${NS_LIST[@]:2}")
	IFS=- read -r _ possible <$cpus/possible
	limit=$((${possible:-0} < 64 ? 600 : 1200))
	write_inode "+${inodes[0]}"
	before=$(free_kb)
	write_inode "$(IFS=,; echo "${inodes[*]}")"
	after=$(free_kb)
	each=$(((before - after) / (${#inodes[@]} - 1)))
	((each <= limit + 70 * (online - 2))) ||
		check_err 1 "a target takes $each kB, with $online of $((${possible:-0} + 1)) CPUs"
	log_test "a target takes $each kB ($online of $((${possible:-0} + 1)) CPUs)"
}

setup_tmp
checktool "taskset -V" "run taskset"
tests_run
