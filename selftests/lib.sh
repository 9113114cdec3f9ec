#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests of nsgate share; every one of them begins by sourcing it. The
# names are those of the kernel's tools/testing/selftests/net/lib.sh where it
# has them.
#
# A test sets ALL_TESTS to the names of functions and ends with tests_run. Such
# a function may call check_err as often as it likes, and ends each thing that
# it tests with log_test. A command that fails where none is expected to fail
# ends the test, as a failure. The verdict is what the script exits with, and
# is found after all was cleaned up and nothing of us was left. What at_end does,
# if the test has such a function, is part of that. A test whose jobs get too little
# CPU time to end has a function give_time, which changes that.
#
# Its parts are lib_ns.sh for namespaces, lib_nsgate.sh for the module and its
# files, lib_figures.sh for figures that are compared, and lib_kernel.sh for the
# kernel's log and what may not be left in the end.

# To the shell of el7 an array that is empty is one that isn't set.
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
	echo "SKIP: needs bash 4.4, this is $BASH_VERSION"
	exit 4
fi

set -eu -E -o pipefail
export LC_ALL=C
shopt -s extglob

: "${WAIT_TIMEOUT:=60}"

# shellcheck disable=SC2034 # for those who source us
BUSYWAIT_TIMEOUT=$((WAIT_TIMEOUT * 1000)) # ms

ksft_pass=0
ksft_fail=1
ksft_skip=4

# shellcheck disable=SC2034
INODE_PARAM=/sys/module/nsgate/parameters/inode
# shellcheck disable=SC2034
HOST_VIEW=/proc/net/nsgate

NS_LIST=()	# namespaces of setup_ns that are there
NS_INODES=()	# of all that were ever there
RET=0		# of the sub-case that runs
retmsg=
passed=0
failed=0
skipped=0
tests_done=
tmp=		# of setup_tmp

# ---- what newer shells have variables for ----

# random_number NAME: puts one of 32 bits in variable NAME.
random_number()
{
	local _uuid

	read -r _uuid </proc/sys/kernel/random/uuid
	printf -v "$1" %u "0x${_uuid:0:8}"
}

# read_clock NAME: puts microseconds, since whenever, in variable NAME.
if [[ ${EPOCHREALTIME-} ]]; then
	read_clock()
	{
		printf -v "$1" %s "${EPOCHREALTIME/./}"
	}
else
	# In steps of 10 ms.
	read_clock()
	{
		local _seconds

		read -r _seconds _ </proc/uptime
		printf -v "$1" %s "${_seconds/./}0000"
	}
fi

# ---- waiting ----

# Repeats a command until it succeeds, for so many milliseconds at most. The command may
# be a function, which sees our locals: none is called like a variable of a test.
loopy_wait()
{
	local _pause=$1 _timeout_ms=$2 _out _began _now
	shift 2

	read_clock _began
	until _out=$("$@"); do
		read_clock _now
		if ((_now - _began > _timeout_ms * 1000)); then
			printf '%s' "$_out"
			return 1
		fi
		sleep "$_pause"
	done
	printf '%s' "$_out"
}

# busywait MILLISECONDS COMMAND...
busywait()
{
	loopy_wait 0.05 "$@"
}

# slowwait SECONDS COMMAND...
slowwait()
{
	local seconds=$1
	shift

	loopy_wait 0.5 "$((seconds * 1000))" "$@"
}

# ---- results ----

# check_err STATUS MESSAGE: the sub-case has failed if STATUS isn't 0.
check_err()
{
	if ((RET == 0 && $1 != 0)); then
		RET=$ksft_fail
		retmsg=${2-}
	fi
}

# check_fail STATUS MESSAGE: the sub-case has failed if STATUS is 0.
check_fail()
{
	check_err "$((!$1))" "${2-}"
}

# check_equal WHAT EXPECTED FOUND
check_equal()
{
	[[ $2 == "$3" ]] || check_err 1 "$1: expected '$2', found '$3'"
}

# log_test NAME: tells the result of a sub-case, and starts the next one.
log_test()
{
	if ((RET == 0)); then
		printf 'TEST: %-62s [ OK ]\n' "$1"
		passed=$((passed + 1))
	else
		printf 'TEST: %-62s [FAIL]\n' "$1"
		[[ ! $retmsg ]] || printf '\t%s\n' "${retmsg//$'\n'/$'\n\t'}"
		failed=$((failed + 1))
	fi
	RET=0
	retmsg=
}

# log_test_skip NAME WHY
log_test_skip()
{
	printf 'TEST: %-62s [SKIP]\n\t%s\n' "$1" "$2"
	skipped=$((skipped + 1))
	RET=0
	retmsg=
}

tests_run()
{
	local test

	# shellcheck disable=SC2153 # what the test sets
	for test in ${TESTS:-$ALL_TESTS}; do
		$test
	done
	tests_done=yes
}

# Ends the test, for a reason that is no fault of nsgate.
skip()
{
	echo "SKIP: $*"
	exit $ksft_skip
}

die()
{
	echo "FAIL: $*"
	exit $ksft_fail
}

# checktool COMMAND WHAT: skips the test if COMMAND fails.
checktool()
{
	# shellcheck disable=SC2086 # a command with its arguments
	eval $1 >/dev/null 2>&1 || skip "could not $2"
}

# Makes directory $tmp, which is gone when the test ends.
setup_tmp()
{
	tmp=$(mktemp -d)
}

selftests=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=lib_ns.sh
source "$selftests/lib_ns.sh"
# shellcheck source=lib_nsgate.sh
source "$selftests/lib_nsgate.sh"
# shellcheck source=lib_figures.sh
source "$selftests/lib_figures.sh"
# shellcheck source=lib_kernel.sh
source "$selftests/lib_kernel.sh"

# ---- the end ----

# What doesn't end when it is asked to is made to: no test may stand still here.
end_jobs()
{
	local -a pids

	mapfile -t pids < <(jobs -p)
	((${#pids[@]})) || return 0
	kill "${pids[@]}" 2>/dev/null || true
	! declare -F give_time >/dev/null || give_time
	busywait $BUSYWAIT_TIMEOUT have_ended "${pids[@]}" ||
		kill -KILL "${pids[@]}" 2>/dev/null || true
	wait "${pids[@]}" 2>/dev/null || true
}

have_ended()
{
	! kill -0 "$@" 2>/dev/null
}

verdict()
{
	local status=$1

	if ((failed)); then
		exit $ksft_fail
	elif ((status == ksft_skip)) && [[ ! $tests_done ]]; then
		exit $ksft_skip
	elif ((status)) || [[ ! $tests_done ]]; then
		die "ended before all was tested"
	elif ((passed)); then
		exit $ksft_pass
	elif ((skipped)); then
		exit $ksft_skip
	fi
	die "tested nothing"
}

# shellcheck disable=SC2317 # called by a trap
finish()
{
	local status=$? tested

	trap - ERR EXIT
	trap '' INT TERM HUP
	set +e
	RET=0
	retmsg=
	end_jobs
	! declare -F at_end >/dev/null || at_end
	[[ ! $tmp ]] || rm -r "$tmp"
	cleanup_all_ns || check_err 1 "could not delete all namespaces"
	check_module
	check_leftovers
	# That nothing is left proves nothing if nothing was done.
	tested=$passed
	log_test "nothing is left, and the kernel did not complain"
	passed=$tested
	verdict "$status"
}

((EUID == 0)) || skip "needs root"
! nsgate_loaded || die "nsgate is loaded; unload it first"
test_mark=$(log_mark)
test_taint=$(taint)
trap 'echo "${BASH_SOURCE[0]##*/}:$LINENO: failed with $?: $BASH_COMMAND"' ERR
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
