#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/limits.md, What isn't counted
#
# Many targets, and files read in odd ways.
#
#   256 targets, each by itself:
#   +-----+  +-----+  +-----+
#   | lo  |  | lo  |  | lo  |  ...
#   +-----+  +-----+  +-----+
#
# many.py holds them. They have no other device, so nothing counts but what it
# sends.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="256_targets each_counts_its_own pieces_of_live_targets
	pieces_of_gone_targets"

here=$(dirname "$(realpath "$0")")
many=()
targets=()

# ask COMMAND...: see many.py.
ask()
{
	local answer

	echo "$*" >&"${many[1]}"
	read -r answer <&"${many[0]}" || die "many.py $* failed"
	echo "$answer"
}

setup()
{
	local inodes

	coproc many { exec "$here/many.py"; }
	inodes=$(ask add 256)
	read -ra targets <<<"$inodes"
	check_equal "number of namespaces" 256 ${#targets[@]}
}

# The inodes of $@ as a list.
list()
{
	local IFS=,

	echo "$*"
}

bound()
{
	tr , '\n' <$INODE_PARAM | sort
}

check_bound()
{
	check_equal "targets" "$(printf '%s\n' "$@" | sort)" "$(bound)"
}

bound_rows()
{
	grep '\*\*\*' $HOST_VIEW/namespaces
}

# All figures there are.
figures()
{
	grep . $HOST_VIEW/[0-9]*/stats
}

256_targets()
{
	setup
	load_nsgate
	write_inode "$(list "${targets[@]}")"
	check_bound "${targets[@]}"
	check_equal "bound namespaces" 256 "$(bound_rows | wc -l)"
	log_test "256 targets can be bound at once"
}

# has_row FILE ROW. Execs nothing, for it is asked a thousand times.
has_row()
{
	local text

	IFS= read -rd '' text <"$1" || true
	[[ $text == *$'\n'$2$'\n'* ]]
}

# Packets of 20 bytes go out of lo and come in again; see many.py for how many.
each_counts_its_own()
{
	local i n file row

	check_equal "answer" sent "$(ask talk)"
	for i in "${!targets[@]}"; do
		n=$((i % 5 + 1))
		file=$HOST_VIEW/${targets[i]}/stats
		for row in "output ipv4 sctp $n $((40 * n)) 0 0" \
			"input ipv6 esp $n $((60 * n)) 0 0" \
			"prerouting ipv4 other $n $((40 * n)) 0 0" \
			"postrouting ipv6 udp $n $((60 * n)) 0 0"; do
			has_row "$file" "$row" || ((RET)) ||
				busywait 20000 has_row "$file" "$row" ||
				check_err 1 "no row '$row' in $file: $(<"$file")"
		done
	done
	log_test "256 targets have figures of their own"
}

# read_in_pieces FILE...
read_in_pieces()
{
	local problem

	problem=$("$here/pieces.py" 0,1,7,4095 "$@" 2>&1) || check_err $? "$problem"
}

# by_dd FILE: a tool that others use.
by_dd()
{
	local size

	for size in 1 7 4095; do
		[[ $(dd if="$1" bs=$size status=none) == "$(<"$1")" ]] || {
			echo "bs=$size"
			return 1
		}
	done
}

# In namespaces one of somebody else may come or go.
check_dd()
{
	local how status=0

	how=$(busywait 20000 by_dd "$1") || status=$?
	check_err $status "$1 by dd $how"
}

pieces_of_live_targets()
{
	local before file problem

	before=$(figures)
	for file in "$HOST_VIEW/${targets[0]}/stats" "$HOST_VIEW/${targets[255]}/stats" \
		$HOST_VIEW/namespaces $INODE_PARAM; do
		check_dd "$file"
	done
	read_in_pieces $HOST_VIEW/namespaces "$HOST_VIEW/${targets[0]}/stats" \
		"$HOST_VIEW/${targets[99]}/stats" "$HOST_VIEW/${targets[255]}/stats"
	problem=$("$here/pieces.py" 61 $HOST_VIEW/[0-9]*/stats 2>&1) || check_err $? "$problem"
	check_equal "figures after the reads" "$before" "$(figures)"
	log_test "reads in pieces give the text of one big read"
}

is_gone()
{
	grep -qx "status gone" "$HOST_VIEW/$1/state"
}

# Lets a target die, and awaits that nsgate knows.
let_go()
{
	ask drop "$1" >/dev/null
	busywait $BUSYWAIT_TIMEOUT is_gone "$1" || check_err $? "net:[$1] doesn't go"
}

# Nothing changes any more in what is gone, the time that it was bound included.
pieces_of_gone_targets()
{
	local before file

	before=$(<"$HOST_VIEW/${targets[10]}/stats")
	let_go "${targets[10]}"
	check_equal "the final figures" "$before" "$(<"$HOST_VIEW/${targets[10]}/stats")"
	for file in state stats; do
		check_dd "$HOST_VIEW/${targets[10]}/$file"
	done
	read_in_pieces "$HOST_VIEW/${targets[10]}"/{state,stats}
	log_test "figures of a gone target can be read in pieces, too"
}

checktool "python3 -c pass" "run python3"
tests_run
