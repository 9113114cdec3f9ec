# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# How the checks run tests and add up what they tell. Sourced after ../lib.sh.

passed=0 failed=0 skipped=0

# read_totals LOG: sets pass, fail and skip to what the last line of a log in
# KTAP says; leaves them alone if it says nothing.
read_totals()
{
	local totals

	totals=$(sed -n '$s/^# Totals: pass:\([0-9]*\) fail:\([0-9]*\) .* skip:\([0-9]*\) .*/\1 \2 \3/p' "$1")
	[[ ! $totals ]] || read -r pass fail skip <<<"$totals"
}

# part NAME COMMAND...: runs a part, shows its output and adds up its totals. A
# part that breaks off, or of which nothing passed, counts as a failure itself.
part()
{
	local status=0 pass=0 fail=0 skip=0 name=$1 log
	shift

	log=$(mktemp)
	"$@" </dev/null | tee "$log" || status=$?
	read_totals "$log"
	rm "$log"
	if ((pass == 0 || (status && !fail))); then
		echo "$name: did not pass (status $status)"
		fail=$((fail + 1))
	fi
	passed=$((passed + pass)) failed=$((failed + fail)) skipped=$((skipped + skip))
}

# The last line of a check. Its status is that of the check.
show_totals()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	((passed && !failed))
}

# The virtual machine runs on the user space of this machine, so the tools that
# the tests need are installed here.
need_test_packages()
{
	local -a packages

	# shellcheck disable=SC2154 # of ../lib.sh
	mapfile -t packages < <(grep -v '^#' "$top/selftests/packages")
	"$top/scripts/need" "${packages[@]}"
}
