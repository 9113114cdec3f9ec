#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, Life and death
#
# What dies stays readable with its final figures, and what gets its number is a
# stranger. nsgate keeps no namespace alive, whoever holds it, and whatever its
# readers do.

# shellcheck source=lifecycle_lib.sh
source "$(dirname "$(realpath "$0")")/lifecycle_lib.sh"

ALL_TESTS="
	final_figures
	dies_in_traffic
	number_is_taken
	gone_is_released
	gone_at_the_limit
	held_otherwise
	owned_by_user
	reader_stalls
"

# ---- a namespace dies ----

final_figures()
{
	local mortal number cookie stats final

	start_idle
	setup_ns mortal
	number=$(ns_inode "$mortal")
	write_inode "+$number"
	cookie=$(cookie_of "$number")
	check_equal "cookie" "$cookie" "$(target_state "$number" cookie)"
	in_ns "$mortal" ping -qc 3 127.0.0.1 >/dev/null
	in_ns "$mortal" ping -qc 3 ::1 >/dev/null
	stats=$(<"$HOST_VIEW/$number/stats")
	cleanup_ns "$mortal"
	await_death "$number" "$cookie"

	final=$(<"$HOST_VIEW/$number/stats")
	check_equal "figures of one that is gone" "$stats" "$final"
	[[ $final == *"input ipv4 icmp 6 "*"input ipv6 icmp 6 "* ]] || check_err 1 "figures: $final"
	check_equal "its inode" "$number" "$(target_state "$number" inode)"
	check_equal "its cookie" "$cookie" "$(target_state "$number" cookie)"
	check_equal "its devices" 0 "$(target_state "$number" devices)"
	check_equal "parameter" "" "$(<$INODE_PARAM)"
	log_test "what is gone keeps the last figures"

	check_logged_totals "$number" "$cookie"
	log_test "the log has the final totals"
}

# One who opens its own view, leaves the namespace with it, and waits.
leave_with_open_file()
{
	# shellcheck disable=SC2016 # for the inner shells
	nsenter --net="/run/netns/$target" bash -c '
		exec 9</proc/net/nsgate/stats
		exec nsenter --net="$0" bash -c "
			echo ready
			read -r
			cat <&9 2>&1 || echo failed"' "$host_ns"
}

# Opens files of the target: the host's and its own, one of each is then read a
# bit. One more is with a process that has left the namespace, $leaver.
open_files()
{
	local own line sleeper

	sleeper nsenter --net="/run/netns/$target"
	own=/proc/$sleeper/net/nsgate/stats
	exec {fresh}<"$HOST_VIEW/$inode/stats" {begun}<"$HOST_VIEW/$inode/stats"
	exec {own_fresh}<"$own" {own_begun}<"$own"
	read -r line <&"$begun"
	read -r line <&"$own_begun"
	end_process "$sleeper"

	coproc leaver { leave_with_open_file; }
	# bash forgets these when the process ends.
	leaver_pid=$! leaver=("${leaver[@]}")
	read -r line <&"${leaver[0]}"
	check_equal "the one who leaves" ready "$line"
}

check_open_host_files()
{
	local final packets

	final=$(<"$HOST_VIEW/$inode/stats")
	check_equal "figures of a file that was open" "$final" "$(cat <&"$fresh")"
	cat <&"$begun" >/dev/null || check_err $? "a file that was being read"
	check_equal "figures, read again" "$final" "$(<"$HOST_VIEW/$inode/stats")"
	read -r packets _ < <(stat_of "$HOST_VIEW/$inode/stats" forward ipv4 icmp)
	((packets >= $1)) || check_err 1 "$packets packets, but there were $1"
}

check_open_own_files()
{
	local line

	check_dead_file "$own_fresh"
	check_dead_file "$own_begun"
	echo >&"${leaver[1]}"
	read -r line <&"${leaver[0]}"
	[[ $line == *": Input/output error" ]] || check_err 1 "one who has left with it reads '$line'"
	wait "$leaver_pid" || check_err $? "one who has left with an open file"
}

dies_in_traffic()
{
	local cookie packets leaver_pid fresh begun own_fresh own_begun
	local -a leaver=()

	start_idle
	setup_path
	write_inode "+$inode"
	cookie=$(cookie_of "$inode")
	start_traffic
	check_traffic
	open_files
	read -r packets _ < <(stat_of "$HOST_VIEW/$inode/stats" forward ipv4 icmp)
	cleanup_ns "$target"
	await_death "$inode" "$cookie"
	log_test "dies while traffic passes and its files are open"

	check_open_host_files "$packets"
	check_logged_totals "$inode" "$cookie"
	log_test "the host's open files go on with the final figures"

	check_open_own_files
	log_test "open files of the own view fail cleanly"

	write_inode "-$inode"
	check_dead_file "$fresh"
	check_dead_file "$begun"
	[[ ! -e $HOST_VIEW/$inode ]] || check_err 1 "its directory is left"
	exec {fresh}<&- {begun}<&- {own_fresh}<&- {own_begun}<&-
	stop_traffic
	cleanup_ns "$left" "$right"
	log_test "the host's open files fail cleanly once it is released"
}

# ---- what becomes of its number ----

# bind_and_kill: makes a target that is gone; the number is $number, and the
# cookie $cookie.
bind_and_kill()
{
	local mortal

	setup_ns mortal
	number=$(ns_inode "$mortal")
	write_inode "+$number"
	cookie=$(cookie_of "$number")
	check_counts "$number" in_ns "$mortal"
	cleanup_ns "$mortal"
	await_death "$number" "$cookie"
}

# make_heir INODE SPARE: makes a namespace, $heir, see number.py. Fails if it got
# another number: one that is lower may be freed just then.
make_heir()
{
	local answer input

	coproc holder { exec "$here/number.py" "$@"; }
	input=${holder[1]}
	read -r answer <&"${holder[0]}" || die "no new namespace can get the number $1"
	[[ $answer == free ]] || die "number.py $*: $answer"
	setup_ns heir
	exec {input}>&-
	wait "${holder_PID:?}"
	[[ $(ns_inode "$heir") == "$1" ]] || { cleanup_ns "$heir"; return 1; }
}

# take_number INODE: makes a namespace that has that number, $heir. Before Linux
# 5.17 it needs two: its directory stat under /proc/net gets the first.
take_number()
{
	local i

	for ((i = 0; i < 10; i++)); do
		! make_heir "$1" $((i % 2)) || return 0
	done
	die "no new namespace gets the number $1"
}

number_is_taken()
{
	local number cookie heir heir_cookie stats mark

	start_idle
	bind_and_kill
	stats=$(<"$HOST_VIEW/$number/stats")
	take_number "$number"
	read -r heir_cookie _ mark < <(row_of "$number")
	check_equal "mark of the new namespace" - "$mark"
	[[ $heir_cookie != "$cookie" ]] || check_err 1 "both have cookie $cookie"
	! in_ns "$heir" test -e /proc/net/nsgate || check_err 1 "it has an own view"
	in_ns "$heir" ping -qc 1 127.0.0.1 >/dev/null
	check_equal "parameter" "" "$(<$INODE_PARAM)"
	check_equal "status of the number" gone "$(target_state "$number" status)"
	check_equal "cookie of the number" "$cookie" "$(target_state "$number" cookie)"
	check_equal "figures of the number" "$stats" "$(<"$HOST_VIEW/$number/stats")"
	log_test "who gets the number of a dead target is a stranger"

	write_inode "+$number"
	check_equal "parameter" "$number" "$(<$INODE_PARAM)"
	check_equal "status" live "$(target_state "$number" status)"
	check_equal "cookie" "$heir_cookie" "$(target_state "$number" cookie)"
	check_equal "figures" "0 0" "$(stat_of "$HOST_VIEW/$number/stats" input ipv4 all)"
	check_equal "status of the one before" gone "$(target_state "$number.$cookie" status)"
	check_equal "figures of the one before" "$stats" "$(<"$HOST_VIEW/$number.$cookie/stats")"
	in_ns "$heir" test -e /proc/net/nsgate/stats || check_err $? "it has no own view"
	check_counts "$number" in_ns "$heir"
	log_test "it can be bound, and the one that is gone moves"

	if write_inode "-$number.1" 2>/dev/null; then
		check_err 1 "a cookie that nobody has was released"
	fi
	write_inode "-$number.$cookie"
	[[ ! -e $HOST_VIEW/$number.$cookie ]] || check_err 1 "it is left"
	check_equal "status" live "$(target_state "$number" status)"
	log_test "-N.COOKIE releases exactly one"

	cleanup_ns "$heir"
	await_death "$number" "$heir_cookie"
	check_equal "cookie" "$heir_cookie" "$(target_state "$number" cookie)"
	check_logged_totals "$number" "$heir_cookie"
	log_test "and dies itself"

	take_number "$number"
	write_inode "+$number"
	write_inode "-$number"
	[[ -e $HOST_VIEW/$number.$heir_cookie ]] || check_err 1 "-N has released the gone one, too"
	write_inode "-$number"
	[[ ! -e $HOST_VIEW/$number.$heir_cookie ]] || check_err 1 "-N has left the gone one"
	cleanup_ns "$heir"
	log_test "-N releases the live one, and then those that are gone"

	bind_and_kill
	take_number "$number"
	write_inode "$initial,$number"
	check_equal "parameter" "$initial,$number" "$(<$INODE_PARAM)"
	check_equal "status" live "$(target_state "$number" status)"
	check_equal "figures" "0 0" "$(stat_of "$HOST_VIEW/$number/stats" input ipv4 all)"
	check_counts "$number" in_ns "$heir"
	log_test "it can be bound with a list"
}

gone_is_released()
{
	local number cookie said

	start_idle
	bind_and_kill
	write_inode "+$initial"
	[[ -e $HOST_VIEW/$number/stats ]] || check_err 1 "+N has released it"
	write_inode "-$number"
	[[ ! -e $HOST_VIEW/$number ]] || check_err 1 "-N has not released it"
	if said=$(write_inode "-$number" 2>&1) || [[ $said != *": No such device or address" ]]; then
		check_err 1 "the second -N: '$said'"
	fi
	bind_and_kill
	write_inode "$initial"
	[[ ! -e $HOST_VIEW/$number ]] || check_err 1 "a list has not released it"
	bind_and_kill
	write_inode ""
	[[ ! -e $HOST_VIEW/$number ]] || check_err 1 "an empty line has not released it"
	log_test "what is gone is released by -N, a list, an empty line"
}

targets_are()
{
	[[ $(<$INODE_PARAM) == "$1" ]]
}

# 254 targets live and 2 are gone.
gone_at_the_limit()
{
	local rows list heir first second extra first_cookie second_cookie
	local -a names numbers

	start_idle
	cleanup_all_ns
	busywait $BUSYWAIT_TIMEOUT ns_are_dead >/dev/null || die "namespaces live on"
	rows=$(count_rows)
	name_many 257
	add_many "${names[@]}"
	mapfile -t numbers < <(ns_inode "${names[@]}")
	first=${numbers[0]} second=${numbers[1]} extra=${numbers[256]}
	list=$(IFS=,; echo "${numbers[*]:2:254}")
	write_inode "$first,$second,$list"
	check_equal "parameter" "$first,$second,$list" "$(<$INODE_PARAM)"
	first_cookie=$(target_state "$first" cookie)
	second_cookie=$(target_state "$second" cookie)
	delete_many "${names[0]}"
	await_death "$first" "$first_cookie"
	delete_many "${names[1]}"
	await_death "$second" "$second_cookie"

	# A new one, and then the one that has the number of the oldest.
	take_number "$first"
	write_inode "$list,$extra,$first"
	check_equal "parameter" "$list,$extra,$first" "$(<$INODE_PARAM)"
	check_equal "status" live "$(target_state "$first" status)"
	[[ ! -e $HOST_VIEW/$second ]] || check_err 1 "what is gone is left"
	check_equal "releases in the log" 1 \
		"$(log_since "$test_mark" | grep -c "released net:\[$first\], cookie $first_cookie\$")"
	log_test "a list with the number of one that is gone releases that once"

	delete_many "${names[@]:2}"
	cleanup_all_ns
	busywait $BUSYWAIT_TIMEOUT rows_are "$rows" || check_err $? "some of 257 namespaces live on"
	busywait $BUSYWAIT_TIMEOUT targets_are "" || check_err $? "some are not gone"
	unload_nsgate
	log_test "256 targets die at once"
}

# ---- other namespaces ----

held_otherwise()
{
	local sleeper number cookie fd

	start_idle
	sleeper unshare -n
	number=$(stat -Lc %i "/proc/$sleeper/ns/net")
	nsenter --net="/proc/$sleeper/ns/net" ip link set lo up
	write_inode "+$number"
	cookie=$(cookie_of "$number")
	check_counts "$number" nsenter --net="/proc/$sleeper/ns/net"
	exec {fd}<"/proc/$sleeper/ns/net"
	end_process "$sleeper"
	check_counts "$number" nsenter --net="/dev/fd/$fd"
	check_equal "status" live "$(target_state "$number" status)"
	exec {fd}<&-
	await_death "$number" "$cookie"
	check_logged_totals "$number" "$cookie"
	log_test "a namespace without a name, held by a process, then by a file"
}

# ask COMMAND: of the shell in the user namespace; its line is in $answer.
ask()
{
	echo "$1" >&"${owner[1]}"
	read -r -t "$WAIT_TIMEOUT" answer <&"${owner[0]}" || die "no answer to '$1'"
}

owned_by_user()
{
	local number cookie answer as_user pid
	local -a owner=()

	as_user="setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urn"
	if ! $as_user true; then
		log_test_skip "a namespace of an unprivileged user" "users can't make one here"
		return
	fi
	start_idle
	coproc owner { exec $as_user bash 2>&1; }
	pid=$! owner=("${owner[@]}")
	ask 'ip link set lo up; stat -Lc %i /proc/self/ns/net'
	number=$answer
	write_inode "+$number"
	cookie=$(cookie_of "$number")
	check_equal "owner and mode" "65534 65534 440" \
		"$(stat -c '%u %g %a' "/proc/$pid/net/nsgate/stats")"
	ask 'stat -c "%u %g %a" /proc/net/nsgate/stats'
	check_equal "owner and mode, from inside" "0 0 440" "$answer"
	ask 'ping -qc 2 127.0.0.1 >/dev/null; echo $?'
	check_equal "status of ping" 0 "$answer"
	ask 'grep "^input ipv4 icmp " /proc/net/nsgate/stats'
	check_equal "own view" "input ipv4 icmp 4 336 0 0" "$answer"
	check_equal "host view" "4 336" "$(stat_of "$HOST_VIEW/$number/stats" input ipv4 icmp)"
	ask '{ echo >/proc/net/nsgate/state; } 2>/dev/null && echo written || echo refused'
	check_equal "writing to the own view" refused "$answer"
	ask "{ echo > $INODE_PARAM; } 2>/dev/null && echo written || echo refused"
	check_equal "writing to the parameter" refused "$answer"
	kill "$pid"
	wait "$pid" || true
	await_death "$number" "$cookie"
	check_logged_totals "$number" "$cookie"
	log_test "a namespace of an unprivileged user"
}

reader_stalls()
{
	local stalled mortal other reader remover cookie stall='' status=0
	local -a numbers cookies=()

	setup_program stall
	"$stall" 2>/dev/null || status=$?
	if ((status == 4)); then
		log_test_skip "a read that doesn't end" "the kernel has no userfaultfd"
		return
	fi
	start_idle
	setup_ns stalled mortal other
	mapfile -t numbers < <(ns_inode "$stalled" "$mortal" "$other")
	write_inode "${numbers[0]},${numbers[1]},${numbers[2]}"
	for cookie in "${numbers[@]}"; do
		cookies+=("$(cookie_of "$cookie")")
	done
	nsenter --net="/run/netns/$stalled" -- "$stall" /proc/net/nsgate/stats "$host_ns" &
	reader=$!
	busywait $BUSYWAIT_TIMEOUT is_waiting_at handle_userfault $reader || die "nobody reads"
	cleanup_ns "$stalled" "$mortal"
	await_death "${numbers[1]}" "${cookies[1]}"
	check_equal "status of what is read" live "$(target_state "${numbers[0]}" status)"
	log_test "a read that doesn't end holds up no namespace but its own"

	write_inode "-${numbers[0]}"
	[[ ! -e $HOST_VIEW/${numbers[0]} ]] || check_err 1 "it is in the host view after the release"
	write_inode "+${numbers[0]}"
	check_equal "status of what was bound again" live "$(target_state "${numbers[0]}" status)"
	cleanup_ns "$other"
	busywait $BUSYWAIT_TIMEOUT is_dead "${cookies[2]}" || check_err $? "the other lives on"
	is_waiting_at handle_userfault $reader || check_err 1 "the reader doesn't wait any more"
	log_test "no release and no bind waits for a read"

	rmmod nsgate &
	remover=$!
	busywait $BUSYWAIT_TIMEOUT is_waiting_at nsgate_target_release_all $remover ||
		check_err $? "the removal doesn't wait for the reader"
	kill $reader
	wait $reader || true
	status=0
	wait $remover || status=$?
	check_err $status "rmmod"
	log_test "the removal of the module alone waits for a read"
}

checktool "ping -V" "run ping"
checktool "unshare -n true" "make a namespace"

tests_run
