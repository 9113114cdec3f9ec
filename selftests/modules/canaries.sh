#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: canaries.sh BUG...
#
# Proves that the tests see bugs on the kernel that runs here, which must not
# panic at the first: a test with each BUG has to fail for the right reason, and
# one without has to pass. Tells the results in KTAP.

set -eu -o pipefail
export LC_ALL=C

# What the kernel says of each. The first report of locks is the last one, and
# none comes after one of memory.
declare -A reason=(
	[none]=''
	[slab_leak]='unreferenced object .* \(size 64\)'
	[shift]='UBSAN: shift-out-of-bounds'
	[array_index]='UBSAN: array-index-out-of-bounds'
	[warning]='WARNING: CPU: .* warning\+'
	[list_corruption]='WARNING: CPU: .* __list_add_valid'
	[active_object]='ODEBUG: free active'
	[rcu_misuse]='suspicious RCU usage'
	[atomic_sleep]='BUG: sleeping function called from invalid context'
	[lock_inversion]='possible circular locking dependency'
	[race]='BUG: KCSAN: data-race in add_up'
	[race_outside]='BUG: KCSAN: data-race in look_at'
	[slab_bounds]='BUG: KASAN: slab-out-of-bounds'
	[slab_freed]='BUG: KASAN: use-after-free'
	[slab_double_free]='BUG: KASAN: double-free'
	[vmalloc_bounds]='BUG: KASAN: vmalloc-out-of-bounds'
	[global_bounds]='BUG: KASAN: global-out-of-bounds'
	[stack_bounds]='BUG: KASAN: stack-out-of-bounds'
)

# Whether a test with that bug ends as it should; its output is in output.
hatch()
{
	local status=0

	output=$("$here/canary.sh" "$1" 2>&1) || status=$?
	[[ $1 != *_leak ]] || output=$("$here/../leaks.sh" 2>&1) || status=$?
	if [[ ! ${reason[$1]} ]]; then
		((status == 0))
	else
		((status == 1)) && grep -qE "${reason[$1]}" <<<"$output"
	fi
}

here=$(dirname "$(realpath "$0")")
number=0 pass=0 fail=0
echo "TAP version 13"
echo "1..$#"
for bug; do
	number=$((number + 1))
	if hatch "$bug"; then
		pass=$((pass + 1))
		echo "ok $number canary: $bug"
	else
		fail=$((fail + 1))
		echo "# ${output//$'\n'/$'\n# '}"
		echo "not ok $number canary: $bug"
	fi
done
echo "# Totals: pass:$pass fail:$fail xfail:0 xpass:0 skip:0 error:0"
((pass && !fail))
