#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, Other parameters
#
# flows=: what is taken and refused, and the memory that it takes.

# shellcheck source=flows_lib.sh
source "$(dirname "$(realpath "$0")")/flows_lib.sh"

ALL_TESTS="flows_parameter_rounds_up flows_parameter_largest flows_parameter_off
	flows_parameter_allocates flows_parameter_refused memory_refused"

n1='' n2='' n3='' n4='' n5='' n6='' n7='' n8=''

check_capacity()
{
	reload "flows=$1"
	check_equal "parameter" "$1" "$(</sys/module/nsgate/parameters/flows)"
	check_equal "capacity with flows=$1" $(($2 * $(online_cpus | wc -l))) "$(state_of "$router_dir/state" flow_capacity)"
	send udp 10.9.2.2 9 3 100 40600
	busywait $BUSYWAIT_TIMEOUT has_packets 3 ipv4 udp 10.9.1.2:40600 10.9.2.2:9 ||
		check_err $? "flows=$1: the flow is not listed"
}

flows_parameter_rounds_up()
{
	check_capacity 9 16
	check_capacity 5 8
	check_capacity 17 32
	check_capacity 1025 2048
	log_test "flows=: the next power of two is taken"
}

flows_parameter_largest()
{
	check_capacity 65536 65536
	log_test "flows=65536 can be had and read"
}

flows_parameter_off()
{
	reload flows=0
	send udp 10.9.2.2 9 3 100 40700
	busywait $BUSYWAIT_TIMEOUT forwarded 3 || check_err $? "the packets are not counted"
	check_equal "flows" "$header" "$(<"$router_dir/flows")"
	check_equal "own view" "$header" "$(in_ns "$router" cat /proc/net/nsgate/flows)"
	check_equal "capacity" 0 "$(state_of "$router_dir/state" flow_capacity)"
	check_equal "entries" 0 "$(state_of "$router_dir/state" flow_entries)"
	check_equal "evicted" 0 "$(state_of "$router_dir/state" flow_evicted)"
	log_test "flows=0: the header only, and no capacity"
}

forwarded()
{
	local packets

	read -r packets _ < <(stat_of "$router_dir/stats" forward ipv4 udp)
	((packets == $1))
}

# kB of memory that nobody uses.
memory()
{
	awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo
}

inodes_of_many()
{
	ns_inode "$n1" "$n2" "$n3" "$n4" "$n5" "$n6" "$n7" "$n8" | paste -sd ,
}

# Sets taken to the kB that it takes to bind 8 namespaces with flows=$1. What
# others take meanwhile is little: the largest tables would be 64 MB and more.
bind_many()
{
	local before

	unload_nsgate
	load_nsgate "flows=$1"
	before=$(memory)
	write_inode "$many"
	taken=$((before - $(memory)))
}

flows_parameter_allocates()
{
	local many taken largest

	setup_ns n1 n2 n3 n4 n5 n6 n7 n8
	many=$(inodes_of_many)
	largest=$((8 * $(online_cpus | wc -l) * 65536 * 64 / 1024))
	bind_many 65536
	((taken > largest * 3 / 4)) || check_err 1 "flows=65536 took $taken of $largest kB"
	bind_many 0
	((taken < largest / 8)) || check_err 1 "flows=0 took $taken kB"
	log_test "flows=0 allocates nothing, flows=65536 does"
}

flows_parameter_refused()
{
	local value output mark log

	unload_nsgate
	for value in 65537 -1 4294967296 18446744073709551616 many "" 1,2 0x10; do
		mark=$(log_mark)
		! output=$(load_nsgate "inode=$(ns_inode "$router")" "flows=$value" 2>&1) ||
			check_err 1 "flows=$value was taken"
		[[ $output == *@(Invalid parameters|Invalid argument)* ]] ||
			check_err 1 "flows=$value: $output"
		log=$(log_since "$mark" | grep "nsgate: flows: " || true)
		[[ $log == *"\"$value\" is not 0 to 65536" ]] ||
			check_err 1 "flows=$value: the log has '$log'"
		! nsgate_loaded || die "flows=$value: the module is loaded"
	done
	log_test "flows=: what is out of range is refused, and the log says why"
}

check_enomem()
{
	local mark log output

	mark=$(log_mark)
	! output=$(in_cgroup "$@" 2>&1) || check_err 1 "$1: there was memory"
	[[ $output == *"Cannot allocate memory"* ]] || check_err 1 "$1: $output"
	log=$(log_since "$mark" | grep "nsgate: " || true)
	[[ $log == *"nsgate: inode: net:["*"] can't be bound: error -12" ]] ||
		check_err 1 "$1: the log has '$log'"
}

# The tables of one namespace fit into 32 MB, those of eight don't.
memory_refused()
{
	local cgroup many name="memory that can't be had: ENOMEM, no target, no leak"

	if ! setup_cgroup memory; then
		log_test_skip "$name" "there is no memory controller of cgroup 2"
		return
	fi
	echo 32M >"$cgroup/memory.max"
	many=$(inodes_of_many)
	check_enomem load_nsgate "inode=$many" flows=65536
	! nsgate_loaded || die "the module is loaded"
	load_nsgate flows=65536
	for _ in {1..5}; do
		check_enomem write_inode "$many"
		check_equal "targets" "" "$(<$INODE_PARAM)"
		check_equal "directories" "" "$(ls $HOST_VIEW -I namespaces -I auto)"
	done
	in_cgroup write_inode "$(ns_inode "$n1")" || check_err $? "there was no memory for one"
	check_equal "targets" "$(ns_inode "$n1")" "$(<$INODE_PARAM)"
	busywait $BUSYWAIT_TIMEOUT rmdir "$cgroup" || check_err $? "$cgroup is left"
	log_test "$name"
}

checktool "python3 -c pass" "run python3"
setup
setup_links
tests_run
