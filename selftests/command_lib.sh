# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of the command nsgate share; sourced after lib.sh.

here=$(dirname "$(realpath "$0")")
command='' output='' status=0 pid=''

# The command of the source tree that we are in, or else the one installed.
find_command()
{
	command=${NSGATE:-$here/../build/tools/nsgate}
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
	cat "$INODE_PARAM"
	grep -hE '^(policy|except|label)' "$HOST_VIEW"/[0-9]*/gate 2>/dev/null || true
}

# start_in NAMESPACE: a process that does nothing, $pid, until stop.
start_in()
{
	nsenter --net="/run/netns/$1" -- sleep 10000 &
	pid=$!
	busywait "$BUSYWAIT_TIMEOUT" test "/proc/$pid/ns/net" -ef "/run/netns/$1" ||
		die "sleep did not start"
}

stop()
{
	kill "$pid"
	wait "$pid" || true
}

is_bound()
{
	grep -qE "^$1 .*\*\*\*$" "$HOST_VIEW/namespaces"
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

# ask_python ARGUMENT...: what command.py has to say of $output, in $answer.
ask_python()
{
	answer=$("$here/command.py" "$@" <<<"$output" 2>&1) ||
		check_err 1 "command.py $1: $answer"
}
