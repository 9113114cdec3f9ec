#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: man/nsgate.8, Commands
#
# The command nsgate top: lines, JSON, and on a terminal.
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

ALL_TESTS="top_lines top_terminal top_dumb"

web='' db=''

setup()
{
	find_command
	checktool "python3 --version" "find python3"
	checktool "script --version" "find script"
	setup_tmp
	setup_ns web db
	web_inode=$(ns_inode "$web")
	connect_quietly "$web" v0 "$db" v0 1
	load_nsgate
	try 0 bind "$web"
}

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
	check_equal "gate and limit" "accept none" "$(figure gate policy) $(figure limit mode)"
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
		env --default-signal=INT TERM=xterm '$command' top $web -d 0.2
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
	[[ ${lines[-2]} == *$'\e[?1049l'*"ended with $2" && $(<"$tmp/screen") == *$'\e[?25h'*"ended with"* ]] ||
		check_err 1 "not restored, or not $2: ${lines[-2]@Q}"
	check_equal "modes of the terminal" "${lines[0]}" "${lines[-1]}"
}

# last_screen LINES: what it showed in the end.
last_screen()
{
	"$here/screen.py" "$1" 90 <"$tmp/screen" || check_err $? "what was drawn is no screen"
}

top_terminal()
{
	local keys screen

	mkfifo "$tmp/keys"
	exec {keys}<>"$tmp/keys"
	start_top 24
	printf p >&"$keys"
	busywait $BUSYWAIT_TIMEOUT eval "grep -o 'packets' '$tmp/screen' | grep -q ." || check_err 1 "p does not sort"
	end_top q 0
	screen=$(last_screen 24)
	[[ $screen == *"sorted by packets "* ]] || check_err 1 "p does not sort: $screen"
	grep -q "SOURCE  *DESTINATION" <<<"$screen" || check_err 1 "no flows: $screen"
	start_top 5
	end_top '\x03' 130
	screen=$(last_screen 5)
	[[ ${screen##*$'\n'} == "sorted by bytes "* ]] || check_err 1 "on a screen of 5 lines: $screen"
	exec {keys}>&-
	log_test "top: on a terminal, with its keys"
}

# A terminal that can't move its cursor: one frame below the other.
top_dumb()
{
	local keys

	exec {keys}<>"$tmp/keys"
	script -qec "TERM=dumb '$command' top $web -d 0.2 -n 2" "$tmp/screen" <"$tmp/keys" >/dev/null ||
		check_err $? "script ended with $?"
	exec {keys}>&-
	[[ $(<"$tmp/screen") != *$'\e'* ]] || check_err 1 "there are escape sequences"
	check_equal "frames" 2 "$(grep -c "^sorted by bytes" "$tmp/screen")"
	log_test "top: on a terminal that is dumb"
}

setup
tests_run
