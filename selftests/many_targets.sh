#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, Choosing targets
#
# As many targets as there can be.
#
#   4,100 namespaces, each by itself:
#   +-----+  +-----+  +-----+
#   | lo  |  | lo  |  | lo  |  ...
#   +-----+  +-----+  +-----+
#
# many.py holds them. There are no flow tables: so many would take 600 MB.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="bound_at_load one_too_many parameter_is_cut namespaces_in_one_read
	gone_make_room all_are_released"

targets_max=4096
here=$(dirname "$(realpath "$0")")
many=() targets=() spare=()

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
	local began=${EPOCHREALTIME/./}

	"${@:2}"
	printf '# %s: %d ms\n' "$1" $(((${EPOCHREALTIME/./} - began) / 1000))
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

checktool "python3 -c pass" "run python3"
tests_run
