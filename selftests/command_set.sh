#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: man/nsgate.8, Commands
#
# What the command nsgate sets by limit, auto, and gate with --log and --loopback,
# compared with what the kernel has then, and how it is shown.
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

ALL_TESTS="rates big_sizes bad_limits quotas limit_shown gate_options binds_by_itself
	follows_with_limit"

web='' db='' web_inode='' limit=''

setup()
{
	find_command
	checktool "python3 --version" "find python3"
	setup_tmp
	setup_ns web db
	web_inode=$(ns_inode "$web")
	limit=$HOST_VIEW/$web_inode/limit
	connect_quietly "$web" v0 "$db" v0 1
	load_nsgate
	try 0 bind "$web"
}

# limit_is KEY=VALUE...: as the kernel has it.
limit_is()
{
	local pair

	for pair; do
		check_equal "${pair%%=*}" "${pair#*=}" "$(state_of "$limit" "${pair%%=*}")"
	done
}

# ---- limit ----

rates()
{
	local rate bytes

	while read -r rate bytes; do
		try 0 limit "$web" --in "$rate"
		limit_is mode=on in_rate="$bytes" out_rate=none
	done <<-END
		8 1
		20mbit 2500000
		2.5Gbit 312500000
		10mbps 10000000
		1kibit 128
		3MiBps 3145728
		8tbit 1000000000000
	END
	try 0 limit "$web" --out=1mbit --burst-out 64Ki --in 2mbit --burst-in=1.5k --quota-in 7
	limit_is in_rate=250000 in_burst=1500 in_quota=7 out_rate=125000 out_burst=65536 out_quota=none
	try 0 limit "$web" --out 1mbit --dry-run
	limit_is mode=dry in_rate=none in_quota=none out_rate=125000
	try 0 limit "$web" none
	limit_is mode=none in_rate=none out_rate=none
	log_test "limit: rates, bursts, a dry run, none"
}

# As the kernel has it: beyond 2^53, and beyond what JSON's reader may take for whole.
big_sizes()
{
	local size bytes most=18446744073709551615

	while read -r size bytes; do
		try 0 limit "$web" --quota-in "$size"
		check_equal "bytes of $size" "$bytes" "$(state_of "$HOST_VIEW/$web_inode/limit" in_quota)"
	done <<-END
		9007199254740993 9007199254740993
		9007199254740993b 9007199254740993
		9000000000000000000 9000000000000000000
		$most $most
		16777215TiB 18446742974197923840
		18446p 18446000000000000000
		1.5k 1500
		0 0
	END
	for size in 18446744073709551616 16777216TiB 18447p 99999999999999999999999 18446.8P; do
		try_hint 2 "not a size" limit "$web" --quota-in "$size"
	done
	try 0 limit "$web" --quota-in $most --quota-out 9223372036854775807
	try 0 limit "$web" --json
	check_equal "in JSON" "1.84467440737096e+19 9223372036854775807" \
		"$(figure limit in quota) $(figure limit out quota)"
	try 0 status "$web" --json
	[[ $output != *': -'[0-9]* ]] || check_err 1 "a number below zero: $output"
	try 0 limit "$web" none
	log_test "limit: sizes are exact, as large as the kernel has them"
}

# bad_limit TEXT ARGUMENT...
bad_limit()
{
	local text=$1 before
	shift

	before=$(<"$limit")
	try_hint 2 "$text" limit "$@"
	check_equal "limit after $*" "$before" "$(<"$limit")"
}

bad_limits()
{
	local rate

	try 0 limit "$web" --in 1mbit
	for rate in '' x 1x -1 1e3 1tbits '1 mbit' 0x10 inf .; do
		bad_limit "not a rate" "$web" --in "$rate"
	done
	for rate in 0 7 9tbit; do
		bad_limit "8bit to 8tbit" "$web" --out "$rate"
	done
	bad_limit "1 byte at least" "$web" --in 1mbit --burst-in 0
	bad_limit "--in is missing" "$web" --burst-in 64k
	bad_limit "'some' is not none" "$web" some
	bad_limit "none stands alone" "$web" none --in 1mbit
	bad_limit "none stands alone" "$web" none --reset
	bad_limit "--json shows" "$web" --in 1mbit --json
	bad_limit "--dry-run is for a limit" "$web" --dry-run
	try_hint 1 "no quota" limit "$web" --reset
	try_hint 4 "not a target" limit "$db" --in 1mbit
	try_hint 3 "does not exist" limit "$web-none" --in 1mbit
	try 0 limit "$web" none
	log_test "limit: what is bad is told, and nothing changes"
}

used()
{
	state_of "$limit" out_used
}

quotas()
{
	local before

	try 0 limit "$web" --quota-out 1M --in 1gbit
	in_ns "$web" ping -q -c 3 -i 0.1 10.9.1.2 >/dev/null || check_err $? "ping"
	before=$(used)
	((before > 0)) || check_err 1 "nothing was used"
	try 0 limit "$web" --quota-out 2M
	limit_is out_quota=2000000 out_used="$before" in_rate=none
	try 0 limit "$web" --in 1gbit --quota-out 2M --reset
	limit_is out_used=0 in_rate=125000000
	in_ns "$web" ping -q -c 1 10.9.1.2 >/dev/null || check_err $? "ping"
	((0 < $(used) && $(used) < before)) || check_err 1 "it did not begin anew: $(used)"
	try 0 limit "$web" --reset
	limit_is out_used=0 out_quota=2000000 in_rate=125000000
	try 0 limit "$web" --quota-out 0
	! in_ns "$web" ping -q -c 1 -W 1 10.9.1.2 >/dev/null || check_err 1 "a quota of 0 lets a ping pass"
	try 0 limit "$web" none
	in_ns "$web" ping -q -c 1 10.9.1.2 >/dev/null || check_err $? "none leaves a limit"
	log_test "limit: what was used stays used, and begins anew by --reset"
}

limit_shown()
{
	try 0 status
	[[ $output != *LIMIT* ]] || check_err 1 "a column LIMIT, and no limit: $output"
	try 0 limit "$web"
	[[ $output == none$'\n'* ]] || check_err 1 "none: $output"
	try 0 limit "$web" --in 20mbit --burst-in 64k --quota-out 1G --dry-run
	try 0 limit "$web"
	[[ $output == "dry run: in 20.0 Mbit/s, out 0 B of 1.0 GB"$'\n'"in   0 B used, rate 20.0 Mbit/s, burst 64.0 kB, 0 packets (0 B) over it"$'\n'* ]] ||
		check_err 1 "limit: $output"
	try 0 status
	grep -qE "^$web_inode .* dry run: in 20.0 Mbit/s, out 0 B of 1.0 GB +$web +accept$" <<<"$output" ||
		check_err 1 "status: $output"
	try 0 limit "$web" --json
	check_equal "JSON" "$web dry 2500000 64000 None 1000000000 0" \
		"$(figure name) $(figure limit mode) $(figure limit in rate) $(figure limit in burst) $(figure limit in quota) $(figure limit out quota) $(figure limit out used)"
	try 0 status "$web"
	[[ $output == *"20.0 Mbit/s"* ]] || check_err 1 "status $web: $output"
	try 0 limit "$web" none
	log_test "limit: shown, also by status"
}

# ---- gate, auto ----

gate_options()
{
	local gate=$HOST_VIEW/$web_inode/gate

	modprobe -q nfnetlink_log || true
	if [[ -e /sys/module/nfnetlink_log || -d /proc/net/netfilter ]]; then
		try 0 gate "$web" drop --log 7
		check_equal "log" "log 7" "$(grep ^log "$gate")"
		try 0 gate "$web"
		[[ $output == "drop, log 7"$'\n'* ]] || check_err 1 "gate: $output"
		try 0 gate "$web" --json
		check_equal "JSON" 7 "$(figure gate log)"
	fi
	try_hint 2 "log" gate "$web" drop --log 65536
	try_hint 2 "accept or drop is missing" gate "$web" --log 1
	in_ns "$web" ip link set lo up
	try 0 gate "$web" drop
	! in_ns "$web" ping -q -c 1 -W 1 127.0.0.1 >/dev/null || check_err 1 "drop lets loopback pass"
	try 0 gate "$web" drop --loopback
	in_ns "$web" ping -q -c 1 127.0.0.1 >/dev/null || check_err 1 "--loopback lets it not pass"
	! in_ns "$web" ping -q -c 1 -W 1 10.9.1.2 >/dev/null || check_err 1 "--loopback lets others pass"
	try 0 gate "$web" drop --loopback --except 'host 10.9.1.1 and host 10.9.1.2'
	in_ns "$web" ping -q -c 1 10.9.1.2 >/dev/null || check_err 1 "--except beside --loopback"
	in_ns "$web" ping -q -c 1 127.0.0.1 >/dev/null || check_err 1 "--loopback beside --except"
	try 0 gate "$web" accept
	log_test "gate: --log and --loopback"
}

# mode_is MODE: as the kernel has it, and as the command shows it.
mode_is()
{
	check_equal "mode" "mode $1" "$(head -n 1 "$HOST_VIEW/auto")"
	try 0 auto
	check_equal "auto" "$1" "${output%%$'\n'*}"
}

binds_by_itself()
{
	local born=$web-born

	mode_is off
	try 0 status
	[[ $output != *"when they are made"* ]] || check_err 1 "off, but status tells of it: $output"
	try 0 auto children
	mode_is children
	try 0 auto all
	mode_is all
	ip netns add "$born"
	NS_LIST+=("$born")
	NS_INODES+=("$(ns_inode "$born")")
	is_bound "${NS_INODES[-1]}" || check_err 1 "all, but it is not bound"
	try 0 auto --json
	check_equal "JSON" "all 1 0" "$(figure mode) $(figure born) $(figure missed)"
	try 0 status
	[[ $output == *$'\n'"All namespaces are bound when they are made: 1 were, 0 could not be." ]] ||
		check_err 1 "status: $output"
	try_hint 2 "neither off nor children nor all" auto some
	try_hint 2 "--json" auto off --json
	mode_is all
	try 0 auto off
	mode_is off
	try 0 release "$born"
	cleanup_ns "$born"
	log_test "auto: set, shown, also by status, and what it does"
}

# follow hands the limit on, with what was used of its quota.
follows_with_limit()
{
	local name=$web-followed inode before

	ip netns add "$name"
	NS_LIST+=("$name")
	inode=$(ns_inode "$name")
	NS_INODES+=("$inode")
	"$command" follow "$name" >"$tmp/follow" 2>&1 &
	pid=$!
	busywait "$BUSYWAIT_TIMEOUT" is_bound "$inode" || check_err 1 "not bound: $(<"$tmp/follow")"
	echo "in rate 1000000 burst 70000 out quota 1000000 used 5000" >"$HOST_VIEW/$inode/limit"
	before=$(state_of "$HOST_VIEW/$inode/state" cookie)
	ip netns delete "$name"
	ip netns add "$name"
	inode=$(ns_inode "$name")
	NS_INODES+=("$inode")
	limit=$HOST_VIEW/$inode/limit
	busywait "$BUSYWAIT_TIMEOUT" grep -qsx "out_used 5000" "$limit" || check_err 1 "not handed on: $(<"$tmp/follow")"
	[[ $before != "$(state_of "$HOST_VIEW/$inode/state" cookie)" ]] || check_err 1 "the old one"
	limit_is in_rate=1000000 in_burst=70000 out_quota=1000000
	stop
	limit=$HOST_VIEW/$web_inode/limit
	! is_bound "$inode" || check_err 1 "it is not released"
	cleanup_ns "$name"
	log_test "follow: the next one of a name has the limit, and what was used"
}

setup
tests_run
