#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/kernels.md, Other architectures
#
# Binds where the kernel's address space ends before there are as many targets as
# there can be. That takes a kernel of 32 bits, and little of that space:
#
#     scripts/check/check-kernels -a vmalloc=24M -t space_ends.sh 6.1-686-pae
#
# Namespaces take some of it, too. The test makes so many of them that what is left is
# less than their targets need.
#
#   ns        namespaces of many.py, each by itself
#   +-----+  +-----+  +-----+
#   | lo  |  | lo  |  | lo  |  ...
#   +-----+  +-----+  +-----+

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="bind_fails others_are_kept"

targets_max=4096
sample=200 # namespaces, to tell what each takes
here=$(dirname "$(realpath "$0")")
many=() inodes=() bound=() failed_inode='' ns=''

# ask COMMAND...: see many.py.
ask()
{
	local answer

	echo "$*" >&"${many[1]}"
	read -r answer <&"${many[0]}" || die "many.py $* failed"
	echo "$answer"
}

count_bound()
{
	grep -c '\*\*\*$' $HOST_VIEW/namespaces || true
}

# in_kb KEY: of /proc/meminfo.
in_kb()
{
	state_of /proc/meminfo "$1:" | cut -d ' ' -f 1
}

setup()
{
	local answer before each room count
	local -a more

	(($(getconf LONG_BIT) == 32)) || skip "there is room for all where a word has 64 bits"
	setup_tmp
	setup_ns ns
	# The module itself takes some of the space.
	load_nsgate flows=0 "inode=$(ns_inode "$ns")"
	bound=("$(ns_inode "$ns")")
	ulimit -n 16384
	coproc many { exec "$here/many.py"; }
	before=$(in_kb Percpu)
	read -ra inodes <<<"$(ask add $sample)"
	each=$((($(in_kb Percpu) - before) * 1024 / sample))
	room=$((($(in_kb VmallocTotal) - $(in_kb VmallocUsed) - before) * 1024))
	count=$((room * 3 / 10 / each - sample))
	((count + sample < targets_max)) || count=$((targets_max - 1 - sample))
	echo "# $((count + sample)) namespaces of $each bytes for each CPU, in $room"
	answer=$(ask add $count)
	read -ra more <<<"$answer"
	inodes+=("${more[@]}")
}

# ping_counted: a packet of the first target and its answer are counted.
ping_counted()
{
	local before after file

	file=$HOST_VIEW/$(ns_inode "$ns")/stats
	before=$(stat_of "$file" prerouting ipv4 icmp)
	in_ns "$ns" ping -qc 1 127.0.0.1 >/dev/null
	after=$(stat_of "$file" prerouting ipv4 icmp)
	check_equal "packets in, $before before" $((${before% *} + 2)) "${after% *}"
}

bind_fails()
{
	local inode mark

	setup
	mark=$(log_mark)
	for inode in "${inodes[@]}"; do
		if ! write_inode "+$inode" 2>"$tmp/error"; then
			failed_inode=$inode
			break
		fi
		bound+=("$inode")
	done
	echo "# ${#bound[@]} targets; $(grep -E 'VmallocTotal|Percpu' /proc/meminfo | tr -s ' \n' ' ')"
	[[ $failed_inode ]] || skip "there is room for all: $(grep VmallocTotal /proc/meminfo)"
	grep -q "Cannot allocate memory" "$tmp/error" || check_err 1 "not ENOMEM but: $(<"$tmp/error")"
	check_equal "the log" "nsgate: inode: net:[$failed_inode] can't be bound: error -12" \
		"$(log_since "$mark" | grep -v ' bound to net:' | sed 's/^\[[^]]*\] //')"
	log_test "a bind that finds no room fails with ENOMEM, and one line is logged"
}

others_are_kept()
{
	check_equal "targets" ${#bound[@]} "$(count_bound)"
	[[ ! -e $HOST_VIEW/$failed_inode ]] || check_err 1 "the one that failed has a directory"
	check_equal "directories" ${#bound[@]} "$(find $HOST_VIEW -mindepth 1 -maxdepth 1 -type d | wc -l)"
	ping_counted
	log_test "those that were bound stay so, and count"
}

checktool "python3 -c pass" "run python3"
tests_run
