#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/design.md, The life of a target
#
# What the tests before this one, or whoever had nsgate loaded, have leaked, on
# kernels that look for it; and whether the kernel has looked at locks until now.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="leaks locks"

kmemleak=/sys/kernel/debug/kmemleak

# kmemleak says nothing of what is younger than 5 seconds, or has changed since
# the scan before: that may be on its way.
leaks()
{
	local found

	sleep 5
	echo scan >$kmemleak
	echo scan >$kmemleak
	found=$(<$kmemleak)
	echo clear >$kmemleak
	[[ ! $found ]] || check_err 1 "$found"
	log_test "no memory is leaked"
}

# lockdep gives up at the first thing that it finds, or when it has no more room.
locks()
{
	if [[ ! -e /proc/lockdep_stats ]]; then
		log_test_skip "lockdep is awake" "this kernel doesn't look at locks"
		return
	fi
	grep -E '^ (debug_locks|lock-classes|direct dependencies|dependency chains|stack-trace entries)' \
		/proc/lockdep_stats
	grep -q '^ debug_locks: *1$' /proc/lockdep_stats || check_err $? "lockdep has given up"
	log_test "lockdep is awake"
}

# A kernel that can look for leaks may have been told not to.
{ [[ -e $kmemleak ]] && echo scan=off >$kmemleak; } 2>/dev/null ||
	skip "this kernel doesn't look for leaks"
tests_run
