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
# shellcheck source=command_lib.sh
source "$(dirname "$(realpath "$0")")/command_lib.sh"

ALL_TESTS="help bad_command_lines bad_machine no_target_yet bind_kinds bad_namespaces
	list status gates bad_gates odd_names metrics exporter follow gone_names nameless stranger"

web='' db=''

setup()
{
	find_command
	checktool "python3 --version" "find python3"
	checktool "tcpdump --version" "find tcpdump"
	setup_tmp
	setup_ns web db
	web_inode=$(ns_inode "$web")
	db_inode=$(ns_inode "$db")
	connect_quietly "$web" v0 "$db" v0 1
}

# ---- the command line ----

help()
{
	local name lines width

	try 2
	for name in '' list bind release status top gate limit auto metrics exporter follow; do
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
	try 0 --version
	check_equal "--version" "nsgate $(</sys/module/nsgate/version)" "$output"
	log_test "the version is the module's"
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

# ends_a_line ARGUMENT...: the last byte of what nsgate says.
ends_a_line()
{
	check_equal "last byte of nsgate $*" "\n" "$("$command" "$@" | tail -c 1 | od -An -c | tr -d ' ')"
}

list()
{
	start_in "$db"
	try 0 list
	grep -qE "^$web_inode +[0-9]+ +yes +$(count_devices "$web") +- +$web$" <<<"$output" ||
		check_err 1 "list: no good row for $web: $output"
	grep -qE "^$db_inode +[0-9]+ +- +$(count_devices "$db") +$pid sleep +$db$" <<<"$output" ||
		check_err 1 "list: no good row for $db: $output"
	ends_a_line list
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
	ends_a_line status
	ends_a_line status "$web"
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
	try_hint 6 "libpcap" gate "$web" accept --except '-w /tmp/x'
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

# What is loaded into the command, and before it writes $SWAP_AT runs $SWAP.
build_preload()
{
	cat >"$tmp/preload.c" <<-'END'
		#define _GNU_SOURCE
		#include <dlfcn.h>
		#include <stdlib.h>
		#include <string.h>
		#include <unistd.h>

		ssize_t write(int fd, const void *text, size_t length)
		{
			const char *at = getenv("SWAP_AT");

			if (at && length > strlen(at) && !memcmp(text, at, strlen(at))) {
				unsetenv("SWAP_AT");
				unsetenv("LD_PRELOAD");
				if (system(getenv("SWAP")))
					_exit(99);
			}
			return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, text, length);
		}
	END
	cc -shared -fPIC -o "$tmp/preload.so" "$tmp/preload.c" -ldl || check_err $? "could not compile preload.c"
}

# The number of a namespace passes on to another between the look and the bind:
# what was bound before it is no target then.
stranger()
{
	local inode name ns=$web-old
	local -a inodes=()

	if ! cc --version >/dev/null 2>&1; then
		log_test_skip "bind: the number that passed on" "no compiler"
		return
	fi
	! is_bound "$web_inode" || try 0 release "$web"
	ip netns add "$ns"
	inode=$(ns_inode "$ns")
	cat >"$tmp/swap" <<-END
		ip netns delete '$ns'
		for i in {1..50}; do
			ip netns add '$ns'-\$i
			[[ \$(stat -Lc %i '/run/netns/$ns'-\$i) != $inode ]] || break
		done
	END
	build_preload
	status=0
	output=$(LD_PRELOAD=$tmp/preload.so SWAP_AT="+$inode" SWAP="bash '$tmp/swap'" \
		"$command" bind "$web" "inode:$inode" 2>&1) || status=$?
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
