#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: man/nsgate.8, Commands
#
# The command nsgate: what it says is what /proc says, its errors have a status
# each and change nothing, and no name breaks what it prints.
#
#   web                  db
#   +--------+          +--------+
#   |     v0 |----------| v0     |
#   |     .1 |10.9.1/24 | .2     |
#   +--------+          +--------+

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="help bad_command_lines bad_machine no_target_yet bind_kinds bad_namespaces
	list status gates bad_gates odd_names metrics exporter top_lines
	top_terminal follow gone_names nameless stranger"

here=$(dirname "$(realpath "$0")")
web='' db='' output='' status=0

# The command of the source tree that we are in, or else the one installed.
find_command()
{
	command=${NSGATE:-$here/../tools/nsgate.sh}
	[[ -x $command ]] || command=$(type -P nsgate) || skip "there is no command nsgate"
}

# try STATUS ARGUMENT...: runs nsgate; what it says is in $output.
try()
{
	local expected=$1
	shift

	status=0
	output=$("$command" "$@" 2>&1 </dev/null) || status=$?
	((status == expected)) ||
		check_err 1 "nsgate $*: expected status $expected, found $status: $output"
}

# try_hint STATUS TEXT ARGUMENT...: an error that has TEXT in it, one line
# unless it is tcpdump's, and leaves everything as it was.
try_hint()
{
	local expected=$1 text=$2 before
	shift 2

	before=$(snapshot)
	try "$expected" "$@"
	[[ $output == "nsgate: "*"$text"* ]] ||
		check_err 1 "nsgate $*: expected '$text', found: $output"
	check_equal "after nsgate $*" "$before" "$(snapshot)"
}

snapshot()
{
	nsgate_loaded || return 0
	cat $INODE_PARAM
	grep -hE '^(policy|except|label)' $HOST_VIEW/[0-9]*/gate 2>/dev/null || true
}

# ask_python ARGUMENT...: what command.py has to say of $output, in $answer.
ask_python()
{
	answer=$("$here/command.py" "$@" <<<"$output" 2>&1) ||
		check_err 1 "command.py $1: $answer"
}

setup()
{
	find_command
	checktool "python3 --version" "find python3"
	checktool "tcpdump --version" "find tcpdump"
	checktool "findmnt --version" "find findmnt"
	setup_tmp
	setup_ns web db
	web_inode=$(ns_inode "$web")
	db_inode=$(ns_inode "$db")
	connect_quietly "$web" v0 "$db" v0 1
}

# start_in NAMESPACE: a process that does nothing, $pid, until stop.
start_in()
{
	nsenter --net="/run/netns/$1" -- sleep 10000 &
	pid=$!
	busywait $BUSYWAIT_TIMEOUT test "/proc/$pid/ns/net" -ef "/run/netns/$1" ||
		die "sleep did not start"
}

stop()
{
	kill "$pid"
	wait "$pid" || true
}

is_bound()
{
	grep -qE "^$1 .*\*\*\*$" $HOST_VIEW/namespaces
}

# ---- the command line ----

help()
{
	local name lines width

	try 2
	for name in '' list bind release status top gate metrics exporter follow; do
		try 0 ${name:+"$name"} --help
		[[ $output == "usage: nsgate ${name:-COMMAND}"* ]] || check_err 1 "$name --help: $output"
		lines=$(wc -l <<<"$output")
		width=$(wc -L <<<"$output")
		((lines <= 24 && width <= 80)) || check_err 1 "help of '$name' is $width x $lines"
	done
	log_test "help: of each command, on a screen of 80 x 24"
}

bad_command_lines()
{
	load_nsgate
	try_hint 2 "'nsgate --help' tells more" frobnicate
	try_hint 2 "'nsgate --help' tells more" help frobnicate
	try_hint 2 "'nsgate list --help' tells more" list "$web"
	try_hint 2 "no option --jason" list --jason
	try_hint 2 "NS is missing" bind
	try_hint 2 "NS is missing" release
	try_hint 2 "no option --json" bind --json "$web"
	try_hint 2 "NS is missing" gate
	try_hint 2 "'reject' is neither accept nor drop" gate "$web" reject
	try_hint 2 "--except needs a value" gate "$web" drop --except
	try_hint 2 "accept or drop is missing" gate "$web" --except icmp
	try_hint 2 "'now' is too much" gate "$web" drop now
	try_hint 2 "--delay soon" top --delay soon
	try_hint 2 "--delay 0: that is too short" top -d 0
	try_hint 2 "--count many" top -n many
	try_hint 2 "textfile or http is missing" exporter
	try_hint 2 "'ftp' is neither" exporter ftp
	try_hint 2 "http has no options" exporter http --once
	try_hint 2 "end in .prom" exporter textfile "$tmp/metrics"
	try_hint 2 "can't be the name" follow a/b
	try_hint 2 "can't be the name" follow ..
	log_test "bad command lines: status 2, and what to do"
}

bad_machine()
{
	try_hint 1 "there is no directory" exporter textfile /nowhere/x.prom --once
	status=0
	# The source tree may be where only root can go.
	chmod 711 "$tmp"
	install -m 755 "$command" "$tmp/nsgate"
	output=$(setpriv --reuid 65534 --clear-groups "$tmp/nsgate" status 2>&1) || status=$?
	rm "$tmp/nsgate"
	check_equal "status for a user" 5 $status
	[[ $output == *sudo* ]] || check_err 1 "for a user: $output"
	status=0
	output=$(in_ns "$web" "$command" list 2>&1) || status=$?
	check_equal "status in a namespace" 5 $status
	[[ $output == *"run nsgate on the host"* ]] || check_err 1 "in a namespace: $output"
	unload_nsgate
	try_hint 5 "modprobe nsgate" list
	try_hint 5 "modprobe nsgate" bind "$web"
	load_nsgate
	log_test "no module, no root, not on the host: status 5"
}

no_target_yet()
{
	try 0 status
	[[ $output == *"nsgate bind"* ]] || check_err 1 "status: $output"
	try 0 status --json
	check_equal "status --json" '[]' "$output"
	try_hint 4 "'nsgate bind $web' makes it one" status "$web"
	try_hint 4 "'nsgate bind $web' makes it one" gate "$web" drop
	try_hint 4 "is not a target" release "$web"
	log_test "no target: status 4, and what to do"
}

# ---- NS ----

bind_kinds()
{
	local ns

	start_in "$web"
	for ns in "netns:$web" "$pid" "pid:$pid" "$web_inode" "inode:$web_inode" \
		"/run/netns/$web" "path:/proc/$pid/ns/net" "$web"; do
		try 0 bind "$ns"
		is_bound "$web_inode" || check_err 1 "$ns is not bound"
		try 0 release "$ns"
		! is_bound "$web_inode" || check_err 1 "$ns is not released"
	done
	stop
	try 0 bind "$web_inode"
	try 0 bind "$web"
	try 0 status "inode:$web_inode"
	check_equal "called by its name" "$web, inode $web_inode" "${output%%, cookie*}"
	try 0 release "$web"
	log_test "bind, status, release: by name, PID, inode and path"

	try 0 bind "$web" "$db"
	is_bound "$web_inode" || check_err 1 "the first is not bound"
	is_bound "$db_inode" || check_err 1 "the second is not bound"
	try 0 release "$db"
	log_test "bind: two at a time"
}

bad_namespaces()
{
	local ns

	try 0 release "$web"
	for ns in ns9 pid:1x 4194303 4294967295 inode:1 netns: netns:/etc docker:ns9 '' ' ' /nowhere \
		$'new\nline' "$(printf %300s x)"; do
		try_hint 3 "'nsgate list' shows those that do" bind "$web" "$ns"
	done
	try_hint 3 "is not a network namespace" bind "$web" /etc/passwd
	try_hint 3 "is not a network namespace" bind /proc/self/ns/pid
	mkfifo "$tmp/fifo"
	try_hint 3 "is not a network namespace" bind "$tmp/fifo"
	rm "$tmp/fifo"
	log_test "bind: what is no namespace has status 3, and binds none"

	touch "/run/netns/$web-empty"
	try_hint 3 "does not exist" bind "$web-empty"
	rm "/run/netns/$web-empty"
	log_test "bind: a name without a namespace"

	start_in "$web"
	ip netns add "$pid"
	NS_LIST+=("$pid")
	NS_INODES+=("$(ns_inode "$pid")")
	try_hint 3 "say netns:$pid or pid:$pid" bind "$pid"
	try 0 bind "pid:$pid"
	is_bound "$web_inode" || check_err 1 "pid:$pid is not bound"
	cleanup_ns "$pid"
	stop
	log_test "bind: a name that is a PID, too, is to be said in full"
}

# ---- what it shows ----

list()
{
	start_in "$db"
	try 0 list
	grep -qE "^$web_inode +[0-9]+ +yes +$(count_devices "$web") +- +$web$" <<<"$output" ||
		check_err 1 "list: no good row for $web: $output"
	grep -qE "^$db_inode +[0-9]+ +- +$(count_devices "$db") +$pid sleep +$db$" <<<"$output" ||
		check_err 1 "list: no good row for $db: $output"
	try 0 list --json
	ask_python list "$pid" $$ 1
	stop
	"$command" list --json 2>"$tmp/errors" | head -n 0 || true
	check_equal "errors of list, of which nothing is read" "" "$(<"$tmp/errors")"
	rm "$tmp/errors"
	log_test "list: all namespaces, with names and processes"
}

# Succeeds for so many pings, and no more, that got through.
ping_db()
{
	in_ns "$web" ping -q -c "$1" -i 0.2 -W 1 10.9.1.2 >/dev/null
}

# figure KEY...: one of $output, which is an object.
figure()
{
	python3 -c 'import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]:
    value = value[int(key) if key.isdigit() else key]
print(value)' "$@" <<<"$output"
}

status()
{
	local packets bytes

	ping_db 3 || check_err $? "ping"
	read -r packets bytes < <(stat_of "$HOST_VIEW/$web_inode/stats" prerouting ipv4 icmp)
	try 0 status "$web"
	grep -qE "^  prerouting +ipv4 +icmp +$packets +$bytes B +0$" <<<"$output" ||
		check_err 1 "status $web: not $packets packets, $bytes bytes: $output"
	try 0 status
	grep -qE "^$web_inode .* live .* $web +accept$" <<<"$output" || check_err 1 "status: $output"
	try 0 status --json
	ask_python json
	try 0 status "$web" --json
	check_equal "in JSON" "$web $packets $bytes" \
		"$(figure name) $(figure stats 1 packets) $(figure stats 1 bytes)"
	log_test "status: the counters of /proc"
}

# ---- the gate ----

# check_gate POLICY LABEL
check_gate()
{
	check_equal "policy" "$1" "$(sed -n 's/^policy //p' "$HOST_VIEW/$web_inode/gate")"
	check_equal "label" "$2" "$(sed -n 's/^label //p' "$HOST_VIEW/$web_inode/gate")"
}

gates()
{
	local expression="icmp and host 10.9.1.2"

	try 0 gate "$web" drop
	check_gate drop ""
	! ping_db 1 || check_err 1 "drop lets a ping pass"
	try 0 gate "$web" drop --except "$expression"
	check_gate drop "$expression"
	ping_db 1 || check_err $? "drop --except drops what it excepts"
	try 0 gate "$web" accept --except="$expression"
	check_gate accept "$expression"
	! ping_db 1 || check_err 1 "accept --except lets pass what it excepts"
	try 0 gate "$web" --dry-run drop
	check_gate "dry drop" ""
	ping_db 1 || check_err 1 "--dry-run drops"
	try 0 gate "$web" accept
	check_gate accept ""
	log_test "gate: accept, drop, --except, --dry-run"

	try 0 gate "$web" drop --except "$expression"$'\n'"and not host 10.9.1.9"
	check_gate drop "$expression and not host 10.9.1.9"
	expression=$(printf 'udp port %d or ' {1..199})"udp port 200"
	try 0 gate "$web" drop --except "$expression"
	check_gate drop "${expression:0:252}..."
	(($(wc -c <"$HOST_VIEW/$web_inode/gate") > 2000)) || check_err 1 "the program is short"
	log_test "gate: a long expression, and one of two lines"

	try 0 gate "$web"
	[[ $output == "drop except "* ]] || check_err 1 "gate: $output"
	try 0 gate "$web" --json
	check_equal "gate --json" "drop False" "$(figure gate policy) $(figure gate dry_run)"
	log_test "gate: shown"
}

bad_gates()
{
	local message

	message=$(tcpdump -ddd -y RAW 'host and port' 2>&1) || true
	try_hint 6 "'host and port', and nothing has changed" gate "$web" accept --except 'host and port'
	[[ $output == *"$message" ]] || check_err 1 "not what tcpdump says, $message: $output"
	try_hint 6 "expression is empty" gate "$web" accept --except ' '
	try_hint 6 "tcpdump" gate "$web" accept --except '-w /tmp/x'
	try_hint 3 "does not exist" gate "$web-x" drop
	try 0 bind inode:"$(stat -Lc %i /proc/self/ns/net)"
	try_hint 1 "gate_init_net=1" gate "inode:$(stat -Lc %i /proc/self/ns/net)" drop
	try 0 release inode:"$(stat -Lc %i /proc/self/ns/net)"
	log_test "gate: what is refused changes nothing"
}

# ---- names ----

odd_names()
{
	local name
	# shellcheck disable=SC2016 # a name, and no command
	local -a odd=('a b' "it's" 'say "hi"' 'back\slash' $'new\nline' $'tab\tesc\e[31m'
		'ümlaut €' '名前' '%s%n{},=' $'not\xffutf8' '-n' '*' '$(reboot)' '.hidden')

	for name in "${odd[@]}"; do
		ip netns add "$web $name"
		NS_LIST+=("$web $name")
	done
	mapfile -t -O ${#NS_INODES[@]} NS_INODES < <(stat -Lc %i "${odd[@]/#//run/netns/$web }")
	try 0 bind "${odd[@]/#/$web }"
	for name in "${odd[@]}"; do
		is_bound "$(stat -Lc %i "/run/netns/$web $name")" || check_err 1 "$name is not bound"
	done
	try 0 list
	check_equal "rows of list" "$(wc -l <$HOST_VIEW/namespaces)" "$(wc -l <<<"$output")"
	[[ $output != *[$'\e\t']* ]] || check_err 1 "list has control characters"
	try 0 list --json
	ask_python list
	try 0 status
	check_equal "rows of status" $((${#odd[@]} + 2)) "$(wc -l <<<"$output")"
	try 0 status --json
	ask_python json
	try 0 metrics
	ask_python metrics $HOST_VIEW
	check_equal "names in the metrics" "$(printf '%s\0' "$web" "${odd[@]/#/$web }" | python3 -c '
import json, sys
names = sys.stdin.buffer.read().decode("utf-8", "replace").split("\0")[:-1]
print(json.dumps(sorted(names)))')" "$answer"
	try 0 release "${odd[@]/#/$web }"
	cleanup_ns "${odd[@]/#/$web }"
	log_test "names with blanks, quotes, newlines, and of UTF-8 or none"
}

# ---- metrics ----

metrics()
{
	try 0 gate "$web" drop
	! ping_db 1 || check_err 1 "drop lets a ping pass"
	try 0 gate "$web" accept
	ping_db 2 || check_err $? "ping"
	try 0 bind "$db"
	ping_db 2 || check_err $? "ping"
	try 0 metrics
	ask_python metrics $HOST_VIEW
	grep -qE "^nsgate_dropped_packets_total\{.*netns=\"$web\",hook=\"output\",family=\"ipv4\",proto=\"icmp\"\} [1-9]" <<<"$output" ||
		check_err 1 "metrics: the ping that was dropped is missing"
	log_test "metrics: the counters of /proc"
}

http()
{
	status=0
	output=$(printf %b "$1" | "$command" exporter http) || status=$?
	check_equal "status of '$1'" 0 $status
}

exporter()
{
	local before

	try 0 exporter textfile "$tmp/nsgate.prom" --once
	before=$(stat -c %i "$tmp/nsgate.prom")
	exec {old}<"$tmp/nsgate.prom"
	check_equal "mode" 644 "$(stat -c %a "$tmp/nsgate.prom")"
	try 0 exporter textfile "$tmp/nsgate.prom" --once
	[[ $before != "$(stat -c %i "$tmp/nsgate.prom")" ]] || check_err 1 "it was written over"
	exec {old}<&-
	check_equal "files" nsgate.prom "$(ls -A "$tmp")"
	output=$(<"$tmp/nsgate.prom")
	ask_python metrics $HOST_VIEW
	log_test "exporter textfile: one renamed over the other"

	"$command" exporter textfile "$tmp/nsgate.prom" --interval 1 &
	pid=$!
	before=$(stat -c %i "$tmp/nsgate.prom")
	busywait $BUSYWAIT_TIMEOUT file_changed "$before" || check_err 1 "it was not written anew"
	stop
	check_equal "files" "" "$(ls -A "$tmp")"
	log_test "exporter textfile: again and again, and gone when told to end"

	http 'GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'
	[[ $output == "HTTP/1.1 200 OK"* ]] || check_err 1 "GET /metrics: $output"
	output=${output#*$'\r\n\r\n'}
	ask_python metrics $HOST_VIEW
	http 'HEAD /metrics?x=1 HTTP/1.0\r\n\r\n'
	[[ $output == "HTTP/1.1 200 OK"*$'\r' ]] || check_err 1 "HEAD /metrics: $output"
	http 'GET /etc/passwd HTTP/1.1\r\n\r\n'
	[[ $output == "HTTP/1.1 404 "* ]] || check_err 1 "another path: $output"
	http 'POST /metrics HTTP/1.1\r\n\r\n'
	[[ $output == "HTTP/1.1 405 "* ]] || check_err 1 "another method: $output"
	http ''
	check_equal "no request" "" "$output"
	log_test "exporter http: answers what it is asked"
}

file_changed()
{
	[[ -e $tmp/nsgate.prom && $(stat -c %i "$tmp/nsgate.prom") != "$1" ]]
}

# ---- top ----

top_lines()
{
	try 0 top -d 0.1 --json
	ask_python json
	nsenter --net="/run/netns/$web" -- ping -q -i 0.05 10.9.1.2 >/dev/null &
	pid=$!
	try 0 top "$web" -d 2 -n 2
	grep -qE "^[0-9:]+ $web hook output ipv4 icmp [1-9][0-9]* packets/s [0-9.]+ .*bit/s 0 dropped/s$" <<<"$output" ||
		check_err 1 "top: $output"
	grep -qE " flow ipv4 icmp 10.9.1.1 10.9.1.2 [1-9][0-9]* packets/s " <<<"$output" ||
		check_err 1 "top: no flow: $output"
	try 0 top "$web" -d 2 --json
	ask_python json
	check_equal "name" "$web" "$(figure name)"
	try 0 release "$web"
	touch "/run/netns/$web top"
	mount --bind "/run/netns/$web" "/run/netns/$web top"
	try 0 bind "$web top"
	try 0 top -d 2 --json
	[[ $output == *"{\"inode\": $web_inode, \"cookie\": "[0-9]* ]] || check_err 1 "top: $output"
	# Which of the two has more, the next packet decides.
	[[ $output == *"\"name\": \"$web top\""* ]] || check_err 1 "no '$web top': $output"
	try 0 release "$web top"
	ip netns delete "$web top"
	try 0 bind "$web"
	try 0 top -d 2
	grep -qE "^[0-9:]+ $web_inode [0-9]+ live $web [1-9]" <<<"$output" || check_err 1 "top: $output"
	stop
	log_test "top: lines and JSON, where there is no terminal"
}

# start_top LINES: of web, in a terminal of its own that has so many lines; what is
# written to $keys are its keys. What runs in the background doesn't hear ^C, if it
# is not told to.
start_top()
{
	: >"$tmp/screen"
	script -qefc "stty rows $1 cols 90; stty -g
		env --default-signal=INT '$command' top $web -d 0.2
		echo ended with \$?; stty -g" \
		"$tmp/screen" <"$tmp/keys" >/dev/null &
	pid=$!
	busywait $BUSYWAIT_TIMEOUT grep -q "sorted by bytes" "$tmp/screen" || check_err 1 "top draws nothing"
}

# end_top KEY STATUS: the terminal must be as it was.
end_top()
{
	local -a lines

	printf %b "$1" >&"$keys"
	busywait $BUSYWAIT_TIMEOUT grep -q "ended with [0-9]" "$tmp/screen" || kill "$pid"
	wait "$pid" || check_err $? "script ended with $?"
	mapfile -t lines < <(tr -d '\r' <"$tmp/screen" | grep -v -e '^Script ' -e '^$')
	[[ ${lines[-2]} == *$'\e[?25h'*$'\e[?1049l'*"ended with $2" ]] ||
		check_err 1 "not restored, or not $2: ${lines[-2]@Q}"
	check_equal "modes of the terminal" "${lines[0]}" "${lines[-1]}"
}

# The lines of the longest screen that was drawn, but the last, each from the top.
most_lines()
{
	tr -d '\r' <"$tmp/screen" | sed '/\x1b\[?7h/ { s/\x1b\[?7h.*//; q }' | awk '
		/\033\[H/ { drawn = 1; n = 0 }
		drawn && ++n > most { most = n }
		END { print most }'
}

top_terminal()
{
	local keys

	mkfifo "$tmp/keys"
	exec {keys}<>"$tmp/keys"
	start_top 24
	printf p >&"$keys"
	busywait $BUSYWAIT_TIMEOUT grep -q "sorted by packets" "$tmp/screen" || check_err 1 "p does not sort"
	grep -q "SOURCE  *DESTINATION" "$tmp/screen" || check_err 1 "no flows"
	end_top q 0
	start_top 5
	end_top '\x03' 130
	check_equal "lines on a screen of 5" 5 "$(most_lines)"
	exec {keys}>&-
	log_test "top: on a terminal, with its keys"
}

# ---- what goes and comes back ----

says()
{
	grep -q "$1" "$tmp/follow"
}

# A new namespace of that name, which must be bound and have its gate.
follow_new()
{
	ip netns delete "$1"
	ip netns add "$1"
	inode=$(ns_inode "$1")
	NS_INODES+=("$inode")
	busywait $BUSYWAIT_TIMEOUT is_bound "$inode" || check_err 1 "the new namespace is not bound"
	busywait $BUSYWAIT_TIMEOUT grep -qx "label icmp" "$HOST_VIEW/$inode/gate" ||
		check_err 1 "the new namespace has not the gate of the old one"
}

follow()
{
	local i inode old stays ns=$web-again

	: >"$tmp/follow"
	"$command" follow "$ns" drop --except icmp >"$tmp/follow" 2>&1 &
	pid=$!
	busywait $BUSYWAIT_TIMEOUT says "waiting for namespace $ns" || check_err 1 "it does not wait"
	ip netns add "$ns"
	NS_LIST+=("$ns")
	NS_INODES+=("$(ns_inode "$ns")")
	busywait $BUSYWAIT_TIMEOUT says "is bound" || check_err 1 "it is not bound: $(<"$tmp/follow")"
	check_equal "policy" "policy drop" "$(head -n 1 "$HOST_VIEW/$(ns_inode "$ns")/gate")"
	for i in 1 2 3; do
		follow_new "$ns"
	done
	old=$inode
	nsenter --net="/run/netns/$ns" -- sleep 10000 &
	stays=$!
	busywait $BUSYWAIT_TIMEOUT test "/proc/$stays/ns/net" -ef "/run/netns/$ns" || die "sleep did not start"
	follow_new "$ns"
	is_bound "$old" || check_err 1 "the old one, which lives without a name, is released too early"
	stop
	! is_bound "$old" || check_err 1 "the old one is not released"
	kill $stays
	wait $stays || true
	! is_bound "$inode" || check_err 1 "it is not released: $(<"$tmp/follow")"
	! grep -l "^status gone" $HOST_VIEW/[0-9]*/state || check_err 1 "one that is gone is left"
	cleanup_ns "$ns"
	log_test "follow: a new namespace of that name is bound, with the gate it had"
}

is_gone()
{
	grep -qx "status gone" "$HOST_VIEW/$1/state"
}

gone_names()
{
	local again

	# Of this name it learns by itself.
	try 0 bind "inode:$db_inode"
	cleanup_ns "$db"
	busywait $BUSYWAIT_TIMEOUT is_gone "$db_inode" || check_err 1 "$db is not gone"
	try 0 status "$db"
	[[ $output == "$db, inode $db_inode"*"status   gone"* ]] || check_err 1 "status: $output"
	try 0 metrics
	ask_python metrics $HOST_VIEW
	grep -qE "^nsgate_target_live\{inode=\"$db_inode\",.*netns=\"$db\"\} 0$" <<<"$output" ||
		check_err 1 "metrics: $output"
	try_hint 4 "is gone" gate "$db" drop
	try_hint 3 "does not exist" release "docker:$db"
	# The next namespace has its number, but is a stranger.
	setup_ns again
	if [[ $(ns_inode "$again") == "$db_inode" ]]; then
		try_hint 4 "is not a target" status "$again"
		try_hint 4 "is not a target" release "$again"
	fi
	try 0 release "$db"
	[[ ! -e $HOST_VIEW/$db_inode ]] || check_err 1 "$db is not released"
	log_test "what is gone keeps its name and figures until it is released"
}

nameless()
{
	local inode

	unshare -n sleep 10000 &
	pid=$!
	busywait $BUSYWAIT_TIMEOUT alone || die "unshare did not start"
	inode=$(stat -Lc %i "/proc/$pid/ns/net")
	try 0 bind "$pid"
	stop
	busywait $BUSYWAIT_TIMEOUT is_gone "$inode" || check_err 1 "it is not gone"
	try_hint 3 "does not exist" release ''
	try 0 release "$inode"
	[[ ! -e $HOST_VIEW/$inode ]] || check_err 1 "it is not released"
	log_test "what is gone and has no name is released by its inode only"
}

alone()
{
	[[ -e /proc/$pid/ns/net && ! /proc/$pid/ns/net -ef /proc/self/ns/net ]]
}

# The number of a namespace passes on to another between the look and the bind:
# what was bound before it is no target then.
stranger()
{
	local inode name ns=$web-old
	local -a inodes=()

	! is_bound "$web_inode" || try 0 release "$web"
	ip netns add "$ns"
	inode=$(ns_inode "$ns")
	cat >"$tmp/swap" <<-END
		swap()
		{
			local i

			[[ \$BASH_COMMAND == kernel_write*+* ]] || return 0
			trap - DEBUG
			ip netns delete '$ns'
			for i in {1..50}; do
				ip netns add '$ns'-\$i
				[[ \$(stat -Lc %i '/run/netns/$ns'-\$i) != $inode ]] || break
			done
		}
		set -o functrace
		trap swap DEBUG
	END
	status=0
	output=$(BASH_ENV=$tmp/swap "$command" bind "$web" "inode:$inode" 2>&1) || status=$?
	for name in /run/netns/"$ns"*; do
		NS_LIST+=("${name##*/}")
		inodes+=("$(stat -Lc %i "$name")")
	done
	NS_INODES+=("${inodes[@]}")
	if [[ ! -e /run/netns/$ns && " ${inodes[*]} " == *" $inode "* ]]; then
		check_equal "status" 3 "$status"
		[[ ! -e $HOST_VIEW/$inode ]] || check_err 1 "a stranger is bound"
		! is_bound "$web_inode" || check_err 1 "the first is bound"
		log_test "bind: the number that passed on to a stranger is not bound"
	else
		log_test_skip "bind: the number that passed on" "no other namespace got it: $output"
	fi
}

setup
tests_run
