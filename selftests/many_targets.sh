#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, Choosing targets
#
# As many targets as there can be, by hand and from birth.
#
#   4,100 namespaces, each by itself, and later 7,000:
#   +-----+  +-----+  +-----+
#   | lo  |  | lo  |  | lo  |  ...
#   +-----+  +-----+  +-----+
#
# many.py holds them. There are no flow tables: so many would take 600 MB.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="bound_at_load one_too_many parameter_is_cut namespaces_in_one_read
	gone_make_room all_are_released births_leave_room rows_of_many"

targets_max=4096
births_max=3072 # the others are for binds by hand
here=$(dirname "$(realpath "$0")")
many=() targets=() spare=() born=()

# ask COMMAND...: see many.py.
ask()
{
	local answer

	echo "$*" >&"${many[1]}"
	read -r answer <&"${many[0]}" || die "many.py $* failed"
	echo "$answer"
}

list()
{
	local IFS=,

	echo "$*"
}

count_bound()
{
	grep -c '\*\*\*$' $HOST_VIEW/namespaces || true
}

# timed NAME COMMAND...: how long it took is told with the result.
timed()
{
	local began ended

	read_clock began
	"${@:2}"
	read_clock ended
	printf '# %s: %d ms\n' "$1" $(((ended - began) / 1000))
}

setup()
{
	local inodes

	ulimit -n 16384
	coproc many { exec "$here/many.py"; }
	inodes=$(ask add $((targets_max + 4)))
	read -ra targets <<<"$inodes"
	spare=("${targets[@]:targets_max}")
	targets=("${targets[@]:0:targets_max}")
}

bound_at_load()
{
	setup
	timed "bind $targets_max" load_nsgate flows=0 "inode=$(list "${targets[@]}")"
	check_equal "targets" $targets_max "$(count_bound)"
	check_equal "directories" $targets_max "$(find $HOST_VIEW -mindepth 1 -maxdepth 1 -type d | wc -l)"
	log_test "$targets_max targets"
}

one_too_many()
{
	local said

	if said=$(write_inode "+${spare[0]}" 2>&1); then
		check_err 1 "one more target was bound"
	elif [[ $said != *"Argument list too long"* ]]; then
		check_err 1 "not E2BIG but: $said"
	fi
	check_equal "targets" $targets_max "$(count_bound)"
	write_inode "+${targets[7]}"
	write_inode "-${targets[7]}"
	timed "bind one more" write_inode "+${spare[0]}"
	timed "release it" write_inode "-${spare[0]}"
	write_inode "+${targets[7]}"
	check_equal "targets" $targets_max "$(count_bound)"
	log_test "E2BIG: the one after, until another is released"
}

# Whole numbers, as many as fit, and that there are others.
parameter_is_cut()
{
	local text numbers

	text=$(<$INODE_PARAM)
	[[ $text == *,... ]] || check_err 1 "it ends with '${text: -20}'"
	((${#text} < 4096 && ${#text} > 4096 - 16)) || check_err 1 "${#text} bytes"
	IFS=, read -ra numbers <<<"${text%,...}"
	check_equal "the first numbers" "$(list "${targets[@]:0:7}")" "$(list "${numbers[@]:0:7}")"
	check_equal "unknown numbers" "" \
		"$(comm -23 <(printf '%s\n' "${numbers[@]}" | sort) <(printf '%s\n' "${targets[@]}" | sort))"
	log_test "the parameter tells as many as fit a page"
}

namespaces_in_one_read()
{
	local rows

	rows=$(python3 -c 'import os, sys
text = os.read(os.open(sys.argv[1], os.O_RDONLY), 1 << 24)
print(text.count(b"***"), text.endswith(b"\n"))' $HOST_VIEW/namespaces)
	check_equal "rows of one read" "$targets_max True" "$rows"
	log_test "all namespaces are told in one read"
}

is_gone()
{
	[[ $(state_of "$HOST_VIEW/$1/state" status) == gone ]]
}

# Lets a target die, and awaits that nsgate knows.
let_go()
{
	ask drop "$1" >/dev/null
	busywait $BUSYWAIT_TIMEOUT is_gone "$1" || check_err $? "net:[$1] doesn't go"
}

# The spare ones were made before, so none has the number of one that is gone.
gone_make_room()
{
	let_go "${targets[30]}"
	let_go "${targets[20]}"
	write_inode "+${spare[0]}"
	[[ ! -e $HOST_VIEW/${targets[30]} ]] || check_err 1 "the longest gone is still there"
	[[ -e $HOST_VIEW/${targets[20]} ]] || check_err 1 "the other one went, too"
	write_inode "+${spare[1]}"
	[[ ! -e $HOST_VIEW/${targets[20]} ]] || check_err 1 "the second one is still there"
	check_equal "targets" $targets_max "$(count_bound)"
	log_test "the longest gone makes room for a new target"
}

none_left()
{
	(($(find $HOST_VIEW -mindepth 1 -maxdepth 1 -type d | wc -l) == 0))
}

all_are_released()
{
	timed "release $targets_max" write_inode ""
	check_equal "targets" 0 "$(count_bound)"
	busywait 20000 none_left || check_err $? "directories are left"
	timed "unload" unload_nsgate
	log_test "all are released at once"
}

births()
{
	echo "$(state_of $HOST_VIEW/auto born) $(state_of $HOST_VIEW/auto missed)"
}

# That many births by the host.
give_birth()
{
	read -ra born <<<"$(ask add "$1")"
}

bind_by_hand()
{
	local inode

	for inode; do
		write_inode "+$inode"
	done
}

# No place is taken by a birth, and none is made, that is kept for binds by hand.
births_leave_room()
{
	local by_hand=("${targets[@]:100:targets_max - births_max}") child

	load_nsgate flows=0 auto=all
	timed "$births_max births" give_birth $births_max
	check_equal "born and missed" "$births_max 0" "$(births)"
	check_equal "targets" $births_max "$(count_bound)"
	check_equal "a birth in a target" ENOSPC "$(ask within "${born[0]}")"
	ask add 1 >/dev/null
	check_equal "born and missed" "$births_max 1" "$(births)"
	check_equal "targets" $births_max "$(count_bound)"
	log_test "$births_max births, and the next fails, or lives unbound"

	timed "bind ${#by_hand[@]} by hand" bind_by_hand "${by_hand[@]}"
	check_equal "targets" $targets_max "$(count_bound)"
	! write_inode "+${spare[2]}" 2>/dev/null || check_err 1 "one more target was bound"
	write_inode "-${by_hand[0]}"
	check_equal "a birth in a target" ENOSPC "$(ask within "${born[0]}")"
	write_inode "+${spare[2]}"
	check_equal "targets" $targets_max "$(count_bound)"
	log_test "the places that are kept are for binds by hand"

	write_inode "-${born[1]}"
	child=$(ask within "${born[0]}")
	check_equal "the child's parent" "$(state_of "$HOST_VIEW/${born[0]}/state" cookie)" \
		"$(state_of "$HOST_VIEW/$child/state" parent)"
	check_equal "the next birth" ENOSPC "$(ask within "${born[0]}")"
	let_go "${born[2]}"
	child=$(ask within "${born[0]}")
	[[ -e $HOST_VIEW/$child/state ]] || check_err 1 "not born in the place of one that died: $child"
	check_equal "born and missed" "$((births_max + 2)) 1" "$(births)"
	check_equal "targets" $targets_max "$(count_bound)"
	log_test "a release and a death make room for births"
}

make()
{
	ask add "$1" >/dev/null
}

# rows_in_one_read FILE: how many lines with how many numbers, how much text, how long
# it took in ms, and by how much less memory is free while that is open.
rows_in_one_read()
{
	python3 - "$1" <<-END
		import os, sys, time
		def free():
		    return int(open("/proc/meminfo").read().split("MemFree:")[1].split()[0])
		file, before, begun = os.open(sys.argv[1], os.O_RDONLY), free(), time.monotonic()
		text = os.read(file, 1 << 24)
		took, lines = time.monotonic() - begun, text.splitlines()
		print(len(lines) - 1, len({line.split()[0] for line in lines[1:]}), text.count(b"***"),
		      len(text), int(took * 1000), before - free())
	END
}

# With NSGATE_ROWS=10000 there are so many.
rows_of_many()
{
	local expected rows numbers bound bytes took memory

	echo off >/sys/module/nsgate/parameters/auto
	expected=$(($(wc -l <$HOST_VIEW/namespaces) - 1))
	if ((${NSGATE_ROWS:-0} > expected)); then
		timed "make $((NSGATE_ROWS - expected)) namespaces" make $((NSGATE_ROWS - expected))
		expected=$NSGATE_ROWS
	fi
	read -r rows numbers bound bytes took memory <<<"$(rows_in_one_read $HOST_VIEW/namespaces)"
	echo "# $rows rows in one read: $bytes bytes, $took ms, MemFree less by $memory kB"
	check_equal "rows, numbers, targets" "$expected $expected $targets_max" "$rows $numbers $bound"
	log_test "$rows namespaces are told in one read"
}

checktool "python3 -c pass" "run python3"
tests_run
