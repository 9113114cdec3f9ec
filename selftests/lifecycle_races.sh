#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, Choosing targets
#
# Each write is taken whole or not at all, whatever else is written, read, made and
# deleted at the same time.

# shellcheck source=lifecycle_lib.sh
source "$(dirname "$(realpath "$0")")/lifecycle_lib.sh"

ALL_TESTS="
	bound_while_dying
	bound_in_traffic
	lists_at_once
	binds_at_once
	churn
"

: "${NSGATE_NAMESPACES:=200}"	# that churn makes

# What background jobs tell, in a file without a name.
results=$(mktemp)
exec {results_fd}<>"$results"
rm "$results"
results=/dev/fd/$results_fd

# ---- what background jobs do and tell ----

clear_results()
{
	: >"$results"
}

# note COMMAND...: tells "ok", or what it says of an error.
note()
{
	if "$@" 2>>"$results"; then
		echo ok >>"$results"
	fi
}

# check_results LEAST: all went well, at least so many, or there was no such
# namespace or target (any more).
check_results()
{
	local line ok=0

	while read -r line; do
		case $line in
		ok) ok=$((ok + 1)) ;;
		*": No such device or address") ;;
		*) check_err 1 "$line" ;;
		esac
	done <"$results"
	((ok >= $1)) || check_err 1 "only $ok writes went well"
}

# Reads all files, over and over, also of those that have gone lately.  They are not
# listed: many kernels corrupt memory when entries of /proc go meanwhile, see
# docs/kernels.md.
read_all()
{
	local row number mark
	local -a rows directories=()

	while :; do
		mapfile -t rows <$HOST_VIEW/namespaces
		for row in "${rows[@]}"; do
			read -r number _ _ mark <<<"$row"
			[[ $mark != '***' ]] || directories+=("$HOST_VIEW/$number")
		done
		((${#directories[@]} <= 40)) || directories=("${directories[@]: -40}")
		cat $INODE_PARAM "${directories[@]/%//state}" "${directories[@]/%//stats}" \
			"${directories[@]/%//flows}" "${directories[@]/%//gate}" \
			"${directories[@]/%//limit}" >/dev/null 2>&1 || true
	done
}

# toggle [all]: binds what is not bound, and releases what is; or then all.
toggle()
{
	local row number mark
	local -a rows

	while :; do
		# All at once: before each line, bash goes back to where the last one
		# ended, and if others have died meanwhile that is amid a number.
		mapfile -t rows <$HOST_VIEW/namespaces
		for row in "${rows[@]}"; do
			read -r number _ _ mark <<<"$row"
			case $mark in
			-) note write_inode "+$number" ;;
			'***') [[ ${1-} ]] || note write_inode "-$number" ;;
			esac
		done
		[[ ! ${1-} ]] || note write_inode ""
	done
}

# ---- one namespace ----

# rebind INODE: binds and releases it until it can't be bound.
rebind()
{
	local end=$((SECONDS + WAIT_TIMEOUT))

	while write_inode "+$1" 2>>"$results"; do
		note write_inode "-$1"
		if ((SECONDS > end)); then
			check_err 1 "net:[$1] can still be bound"
			return
		fi
	done
}

bound_while_dying()
{
	local i sleeper number

	start_idle
	clear_results
	for ((i = 0; i < 20; i++)); do
		sleeper unshare -n
		number=$(stat -Lc %i "/proc/$sleeper/ns/net")
		write_inode "+$number"
		write_inode "-$number"
		kill "$sleeper"
		rebind "$number"
		wait "$sleeper" || true
		[[ ! -e $HOST_VIEW/$number ]] || check_err 1 "$HOST_VIEW/$number is left"
	done
	check_results 0
	log_test "a namespace that dies is bound or not found, and nothing else"
}

bound_in_traffic()
{
	local i

	start_idle
	setup_path
	start_traffic
	for ((i = 0; i < 10; i++)); do
		write_inode "+$inode"
		check_traffic
		write_inode "-$inode"
	done
	stop_traffic
	log_test "binds and releases while traffic passes"
}

# ---- many at once ----

# write_repeatedly TIMES TEXT
write_repeatedly()
{
	local i

	for ((i = 0; i < $1; i++)); do
		note write_inode "$2"
	done
}

lists_at_once()
{
	local a b c list text pid reads=0
	local -a writers=()

	start_idle
	clear_results
	setup_path
	a=$inode b=$(ns_inode "$left") c=$(ns_inode "$right")
	start_traffic
	read_all &
	pid=$!
	for list in "$a,$b" "$b,$c" ""; do
		write_repeatedly 30 "$list" &
		writers+=($!)
	done
	while kill -0 "${writers[@]}" 2>/dev/null; do
		text=$(<$INODE_PARAM)
		case $text in
		"$a,$b" | "$b,$a" | "$b,$c" | "$c,$b" | "") reads=$((reads + 1)) ;;
		*) check_err 1 "half of a write: $text" ;;
		esac
	done
	wait "${writers[@]}"
	end_process $pid
	stop_traffic
	((reads)) || check_err 1 "nothing was read"
	check_results 90
	write_inode "$a"
	check_equal "parameter" "$a" "$(<$INODE_PARAM)"
	check_equal "host view" "$HOST_VIEW/$a" "$(echo $HOST_VIEW/[0-9]*)"
	log_test "lists that are written at once are each taken whole"
}

# What became of a namespace, in turn, as the log has it: "bound released bound"
tell_turns()
{
	log_since "$test_mark" | grep -oE "(bound to|released) net:\\[$1\\]" | cut -d ' ' -f 1 | xargs
}

# Both namespaces are bound and released by several at the same time. Whoever comes while
# another binds the same one waits for that, and has nothing left to do.
binds_at_once()
{
	local a b turns verb
	local -a writers=()

	start_idle
	clear_results
	setup_path
	a=$inode b=$(ns_inode "$left")
	for verb in + + + -; do
		write_repeatedly 30 "$verb$a" &
		writers+=($!)
		write_repeatedly 30 "$verb$b" &
		writers+=($!)
	done
	wait "${writers[@]}"
	check_results 180
	write_inode "+$a"
	write_inode "+$b"
	for turns in "$(tell_turns "$a")" "$(tell_turns "$b")"; do
		[[ $turns =~ ^bound( released bound)+$ ]] || check_err 1 "in the log: $turns"
	done
	check_equal "host view" "$(printf '%s\n' "$HOST_VIEW/$a" "$HOST_VIEW/$b" | sort)" \
		"$(printf '%s\n' $HOST_VIEW/[0-9]*)"
	log_test "what several bind and release at once is bound and released in turn"
}

results_are()
{
	local lines

	mapfile -t lines <"$results"
	((${#lines[@]} >= $1))
}

# So many namespaces, 20 at a time: while some live, all that is bound or not is
# turned round at least once.
churn()
{
	local i rows pid
	local -a names jobs=() lines

	start_idle
	clear_results
	setup_path
	rows=$(count_rows)
	start_traffic
	for pid in read_all toggle "toggle all"; do
		$pid &
		jobs+=($!)
	done
	name_many "$NSGATE_NAMESPACES"
	for ((i = 0; i < NSGATE_NAMESPACES; i += 20)); do
		add_many "${names[@]:i:20}"
		mapfile -t lines <"$results"
		busywait $BUSYWAIT_TIMEOUT results_are $((${#lines[@]} + 30)) ||
			check_err 1 "nothing is bound any more"
		delete_many "${names[@]:i:20}"
	done
	kill "${jobs[@]}"
	wait "${jobs[@]}" || true
	check_results 200
	stop_traffic
	write_inode ""
	busywait $BUSYWAIT_TIMEOUT rows_are "$rows" || check_err $? "some of the namespaces live on"
	check_equal "host view" "$HOST_VIEW/auto $HOST_VIEW/namespaces" "$(echo $HOST_VIEW/*)"
	log_test "$NSGATE_NAMESPACES namespaces come and go while others bind, release and read"
}

checktool "ping -V" "run ping"
checktool "unshare -n true" "make a namespace"

tests_run
