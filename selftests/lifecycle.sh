#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Namespaces and the module come and go, while packets pass, files are open, and
# others bind and release. nsgate must not keep a namespace alive, must not take
# one for another, must lose no figure, and the kernel must not complain.
#
#   left               target               right
#   +----------+       +-------------+       +----------+
#   |     eth0 |-------| eth1   eth2 |-------| eth0     |
#   |       .2 |10.9.1 | .1       .1 |10.9.2 | .2       |
#   |      ::2 |fd09:1 | ::1     ::1 |fd09:2 | ::2      |
#   +----------+       +-------------+       +----------+
#
# What passes through the target is of left and right, so that no process of ours
# holds it.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

here=$(dirname "$(realpath "$0")")

ALL_TESTS="
	final_figures
	dies_in_traffic
	number_is_taken
	gone_is_released
	gone_at_the_limit
	held_otherwise
	owned_by_user
	reader_stalls
	bound_while_dying
	bound_in_traffic
	lists_at_once
	churn
	unloaded_in_use
	unloaded_while_dying
	loaded_100_times
"

left='' target='' right=''
inode=''	# of target
traffic=()	# processes that make it
host_ns=/proc/$$/ns/net
initial=$(stat -Lc %i "$host_ns")

# What background jobs tell, in a file without a name.
results=$(mktemp)
exec {results_fd}<>"$results"
rm "$results"
results=/dev/fd/$results_fd

# ---- what there is ----

# target_state INODE KEY: its value in the host view.
target_state()
{
	state_of "$HOST_VIEW/$1/state" "$2"
}

is_gone()
{
	[[ $(target_state "$1" status) == gone ]]
}

# row_of INODE: the rest of its row in the list of namespaces.
row_of()
{
	local found cookie devices mark

	while read -r found cookie devices mark; do
		if [[ $found == "$1" ]]; then
			echo "$cookie $devices $mark"
			return
		fi
	done <$HOST_VIEW/namespaces
	return 1
}

cookie_of()
{
	local row

	row=$(row_of "$1")
	echo "${row%% *}"
}

is_dead()
{
	! grep -q "^[0-9]*  *$1 " $HOST_VIEW/namespaces
}

# await_death INODE COOKIE: that the target is gone, and its namespace, too.
await_death()
{
	busywait $BUSYWAIT_TIMEOUT is_gone "$1" || check_err $? "net:[$1] is not gone"
	busywait $BUSYWAIT_TIMEOUT is_dead "$2" || check_err $? "the namespace with cookie $2 lives on"
}

# totals_of FILE: packets and bytes at each hook of IP, as the log has them.
totals_of()
{
	local hook family proto packets bytes totals=''
	local -A sum_packets=() sum_bytes=()

	while read -r hook family proto packets bytes _; do
		if [[ $family == ipv[46] && $proto == all ]]; then
			sum_packets[$hook]=$((${sum_packets[$hook]-0} + packets))
			sum_bytes[$hook]=$((${sum_bytes[$hook]-0} + bytes))
		fi
	done <"$1"
	for hook in prerouting input forward output postrouting; do
		totals+=" $hook ${sum_packets[$hook]}/${sum_bytes[$hook]}"
	done
	echo "${totals# }"
}

# log_has TEXT: since the test began.
log_has()
{
	[[ $(log_since "$test_mark") == *"$1"* ]]
}

# check_logged_totals INODE COOKIE
check_logged_totals()
{
	busywait $BUSYWAIT_TIMEOUT log_has \
		"net:[$1], cookie $2, is gone; packets/bytes: $(totals_of "$HOST_VIEW/$1/stats")" ||
		check_err 1 "the log doesn't have $(totals_of "$HOST_VIEW/$1/stats") of net:[$1]"
}

# check_counts INODE COMMAND...: that a ping to itself is counted in it. COMMAND
# is what runs a command there.
check_counts()
{
	local stats=$HOST_VIEW/$1/stats packets before
	shift

	read -r before _ < <(stat_of "$stats" input ipv4 icmp)
	"$@" ping -qc 2 127.0.0.1 >/dev/null || check_err $? "no ping"
	read -r packets _ < <(stat_of "$stats" input ipv4 icmp)
	check_equal "pings that were counted" 4 $((packets - before))
}

# ---- what is made ----

# No target, gone or not, is left of the sub-case before.
start_idle()
{
	if nsgate_loaded; then
		write_inode ""
	else
		load_nsgate
	fi
}

is_asleep()
{
	[[ $(</proc/"$1"/comm) == sleep ]]
}

# sleeper COMMAND...: leaves a process that sleeps, started by way of COMMAND;
# its pid is $sleeper.
sleeper()
{
	"$@" sleep infinity &
	sleeper=$!
	busywait $BUSYWAIT_TIMEOUT is_asleep "$sleeper" || die "no process: $*"
}

end_process()
{
	kill "$1"
	wait "$1" || true
}

setup_path()
{
	[[ ! $target || ! -e /run/netns/$target ]] || return 0
	setup_ns left target right
	inode=$(ns_inode "$target")
	in_ns "$target" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	connect "$target" eth1 "$left" eth0 1
	connect "$target" eth2 "$right" eth0 2
}

start_traffic()
{
	local address

	for address in 10.9.2.2 fd09:2::2; do
		nsenter --net="/run/netns/$left" ping -qi 0.01 "$address" >/dev/null 2>&1 &
		traffic+=($!)
	done
}

stop_traffic()
{
	kill "${traffic[@]}" 2>/dev/null || true
	wait "${traffic[@]}" || true
	traffic=()
}

# forwards_more_than PACKETS FAMILY
forwards_more_than()
{
	local packets

	read -r packets _ < <(stat_of "$HOST_VIEW/$inode/stats" forward "$2" icmp)
	((packets > $1))
}

# Traffic passes through the target, and is counted.
check_traffic()
{
	local family packets

	for family in ipv4 ipv6; do
		read -r packets _ < <(stat_of "$HOST_VIEW/$inode/stats" forward $family icmp)
		busywait $BUSYWAIT_TIMEOUT forwards_more_than "$packets" $family ||
			check_err $? "$family: no more than $packets packets"
	done
}

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

# Reads all files, over and over.
read_all()
{
	while :; do
		cat $INODE_PARAM $HOST_VIEW/namespaces $HOST_VIEW/*/* >/dev/null 2>&1 || true
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

# check_dead_file FD: that reading fails in good order.
check_dead_file()
{
	local said status=0

	said=$(cat 2>&1 <&"$1") || status=$?
	check_equal "status of reading a file that is dead" 1 $status
	[[ $said == *": Input/output error" || $said == *": No such device" ]] ||
		check_err 1 "reading a file that is dead says '$said'"
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
	in_ns "$heir" test -e /proc/net/nsgate/stats || check_err $? "it has no own view"
	check_counts "$number" in_ns "$heir"
	log_test "it can be bound, and takes the place of the one that is gone"

	cleanup_ns "$heir"
	await_death "$number" "$heir_cookie"
	check_equal "cookie" "$heir_cookie" "$(target_state "$number" cookie)"
	check_logged_totals "$number" "$heir_cookie"
	log_test "and dies itself"

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

# name_many COUNT: puts names for namespaces in $names.
name_many()
{
	local i

	names=()
	for ((i = 0; i < $1; i++)); do
		printf -v "names[$i]" 'many-%08x-%d' "$SRANDOM" "$i"
	done
}

# add_many NAME...: as ip netns add, but with one exec for all.
add_many()
{
	NS_LIST+=("$@")
	printf 'netns add %s\n' "$@" | ip -batch -
}

delete_many()
{
	local ns
	local -a kept=()

	printf 'netns delete %s\n' "$@" | ip -batch -
	for ns in "${NS_LIST[@]}"; do
		[[ ! -e /run/netns/$ns ]] || kept+=("$ns")
	done
	NS_LIST=("${kept[@]}")
}

count_rows()
{
	local rows

	mapfile -t rows <$HOST_VIEW/namespaces
	echo ${#rows[@]}
}

rows_are()
{
	[[ $(count_rows) == "$1" ]]
}

targets_are()
{
	[[ $(<$INODE_PARAM) == "$1" ]]
}

# 254 targets live and 2 are gone: that is all there is room for.
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
	log_test "a full list that replaces one that is gone releases that once"

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

# Reads of its files are up to whom is root of a target, and may take for ever.
is_waiting_at()
{
	[[ -e /proc/$2 ]] || die "process $2 has ended"
	grep -q "$1" "/proc/$2/stack"
}

reader_stalls()
{
	local stalled mortal other reader releaser cookie stall='' status=0
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

	write_inode "" &
	releaser=$!
	busywait $BUSYWAIT_TIMEOUT is_waiting_at flush_work $releaser ||
		check_err $? "the release doesn't wait for the reader"
	cleanup_ns "$other"
	busywait $BUSYWAIT_TIMEOUT is_dead "${cookies[2]}" || check_err $? "the other lives on"
	kill $reader
	wait $reader || true
	status=0
	wait $releaser || status=$?
	check_err $status "release"
	busywait $BUSYWAIT_TIMEOUT is_dead "${cookies[0]}" || check_err $? "it lives on"
	log_test "a release waits for reads, and nobody else for that"
}

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

# ---- many at once ----

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

results_are()
{
	local lines

	mapfile -t lines <"$results"
	((${#lines[@]} >= $1))
}

# 200 namespaces, 20 at a time: while some live, all that is bound or not is
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
	name_many 200
	for ((i = 0; i < 200; i += 20)); do
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
	busywait $BUSYWAIT_TIMEOUT rows_are "$rows" || check_err $? "some of 200 namespaces live on"
	check_equal "host view" "$HOST_VIEW/namespaces" "$(echo $HOST_VIEW/*)"
	log_test "200 namespaces come and go while others bind, release and read"
}

# ---- the module goes ----

unloaded_in_use()
{
	local sleeper file fd to
	local -a files fds=()

	start_idle
	setup_path
	write_inode "$inode,$initial"
	start_traffic
	check_traffic
	sleeper nsenter --net="/run/netns/$target"
	files=("$INODE_PARAM" "$HOST_VIEW/namespaces" "$HOST_VIEW/stats"
		"$HOST_VIEW/$inode"/* "/proc/$sleeper/net/nsgate"/*)
	((${#files[@]} >= 7)) || check_err 1 "only ${files[*]}"
	for file in "${files[@]}"; do
		exec {fd}<"$file"
		fds+=("$fd")
		exec {fd}<"$file"
		read -r _ <&"$fd"
		fds+=("$fd")
	done
	exec {to}>$INODE_PARAM
	unload_nsgate
	[[ ! -e $HOST_VIEW && ! -e /proc/$sleeper/net/nsgate ]] || check_err 1 "a view is left"
	for fd in "${fds[@]}"; do
		check_dead_file "$fd"
		exec {fd}<&-
	done
	! (echo >&"$to") 2>/dev/null || check_err 1 "the parameter can be written"
	exec {to}>&-
	end_process "$sleeper"
	stop_traffic
	log_test "is unloaded while traffic passes and its files are open"
}

unloaded_while_dying()
{
	local i sleeper

	! nsgate_loaded || unload_nsgate
	for ((i = 0; i < 10; i++)); do
		sleeper unshare -n
		load_nsgate inode="$(stat -Lc %i "/proc/$sleeper/ns/net")"
		if ((i % 2)); then
			kill "$sleeper"
			unload_nsgate
		else
			unload_nsgate &
			kill "$sleeper"
			wait $!
		fi
		wait "$sleeper" || true
	done
	log_test "is unloaded while a target dies"
}

loaded_100_times()
{
	local i

	! nsgate_loaded || unload_nsgate
	setup_path
	start_traffic
	for ((i = 0; i < 100; i++)); do
		load_nsgate inode="$inode,$initial"
		unload_nsgate
	done
	load_nsgate inode="$inode"
	check_traffic
	stop_traffic
	log_test "is loaded and unloaded 100 times while traffic passes"
}

checktool "ping -V" "run ping"
checktool "unshare -n true" "make a namespace"

tests_run
