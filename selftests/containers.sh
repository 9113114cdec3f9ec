#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/containers.md, Annotations
#
# The hook for OCI runtimes, called as a runtime calls it: it binds, gates and limits
# before it returns, or stops the start and leaves nothing; and releases what it bound,
# whatever has its number by then.
#
#   box                  out
#   +--------+          +--------+
#   |     v0 |----------| v0     |
#   |     .1 |10.9.1/24 | .2     |
#   +--------+          +--------+

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=command_lib.sh
source "$(dirname "$(realpath "$0")")/command_lib.sh"
# shellcheck source=containers_lib.sh
source "$(dirname "$(realpath "$0")")/containers_lib.sh"

ALL_TESTS="binds others_are_left_alone bad_annotations refused_by_the_kernel bad_states
	first_packet stops number_is_anothers shared held quota_goes_on quota_without_a_stop
	left_behind rootless not_loaded"

box='' out='' bundle='' process=''

setup()
{
	find_command
	checktool "python3 --version" "find python3"
	setup_tmp
	setup_ns box out
	box_inode=$(ns_inode "$box")
	connect_quietly "$box" v0 "$out" v0 1
	load_nsgate
	bundle=$tmp/bundle
	mkdir "$bundle"
	start_container process "$box"
}

# ---- the start ----

binds()
{
	local gate=$HOST_VIEW/$box_inode/gate

	hook 0 c1 "$process" creating nsgate.bind=1
	is_bound "$box_inode" || check_err 1 "nsgate.bind=1 does not bind"
	check_equal "what it says" "" "$output"
	try 0 status oci:c1
	try 0 status --json
	check_equal "name, which no runtime has told" c1 "$(figure 0 name)"
	hook 0 c1 0 stopped
	nothing_is_bound
	log_test "hook: nsgate.bind=1"

	hook 0 c1 "$process" created nsgate.gate=drop "nsgate.except=icmp and host 10.9.1.2" \
		nsgate.in=20mbit nsgate.out=2.5mbps nsgate.burst-out=64Ki nsgate.quota-in=5G
	check_equal "policy" "policy drop" "$(head -n 1 "$gate")"
	check_equal "label" "icmp and host 10.9.1.2" "$(state_of "$gate" label)"
	check_equal "limit" "on 2500000 125000 5000000000 2500000 65536 none" \
		"$(for key in mode in_rate in_burst in_quota out_rate out_burst out_quota; do
			limit_of "$box_inode" $key
		done | xargs)"
	hook 0 c1 0 stopped
	nothing_is_bound
	log_test "hook: gate, exception, rates, burst, quota"

	hook 0 c1 "$process" creating nsgate.gate=accept nsgate.except=icmp nsgate.dry-run=1 nsgate.out=1gbit
	check_equal "policy" "policy dry accept" "$(head -n 1 "$gate")"
	check_equal "mode" dry "$(limit_of "$box_inode" mode)"
	hook 0 c1 0 stopped
	hook 0 c1 "$process" creating "nsgate.gate=dry drop" nsgate.loopback=1
	check_equal "policy" "policy dry drop" "$(head -n 1 "$gate")"
	[[ $(state_of "$gate" label) == *"::1"* ]] || check_err 1 "no exception for loopback"
	hook 0 c1 0 stopped
	nothing_is_bound
	log_test "hook: dry runs, loopback"
}

others_are_left_alone()
{
	hook 0 c1 "$process" creating a=b org.nsgate.in=1 nsgate=1
	nothing_is_bound
	hook 0 c1 "$process" creating nsgate.bind=0
	nothing_is_bound
	hook 0 c1 0 stopped nsgate.bind=1
	hook 0 never-seen 0 stopped
	log_test "hook: no annotation of ours, or a stop of what never began"
}

# bad_start TEXT ANNOTATION...: stops the start, says TEXT, and leaves nothing.
bad_start()
{
	local text=$1
	shift

	hook bad c1 "$process" creating "$@"
	[[ $output == "nsgate: "*"$text"* ]] || check_err 1 "$*: expected '$text', found: $output"
	check_equal "lines for $*" 1 "$(wc -l <<<"$output")"
	nothing_is_bound
}

bad_annotations()
{
	bad_start nsgate.inn nsgate.inn=20mbit
	bad_start nsgate.IN nsgate.IN=20mbit
	bad_start "nsgate.in 'much': not a rate" nsgate.in=much
	bad_start "nsgate.in '20mbitt'" nsgate.bind=1 nsgate.in=20mbitt
	bad_start nsgate.out nsgate.in=1mbit nsgate.out=-5
	bad_start nsgate.in nsgate.in=0
	bad_start nsgate.in nsgate.in=9tbit
	bad_start nsgate.in nsgate.in=
	bad_start nsgate.burst-in nsgate.burst-in=64k
	bad_start nsgate.burst-in nsgate.in=1mbit nsgate.burst-in=0
	bad_start nsgate.quota-out nsgate.quota-out=lots
	bad_start nsgate.gate nsgate.gate=reject
	bad_start nsgate.gate "nsgate.gate=drop except 1,6 0 0 1"
	bad_start nsgate.gate nsgate.gate=
	bad_start nsgate.except nsgate.except=icmp
	bad_start nsgate.except nsgate.gate=drop "nsgate.except=host and port"
	bad_start nsgate.except nsgate.gate=drop nsgate.except=
	bad_start nsgate.except nsgate.gate=drop nsgate.except=inbound
	bad_start "instructions, and a gate has no more than 4096" nsgate.gate=drop \
		"nsgate.except=$(seq -f 'len = %g' -s ' or ' 0 2199)"
	bad_start nsgate.log nsgate.gate=drop nsgate.log=65536
	bad_start nsgate.log nsgate.log=1
	bad_start nsgate.loopback nsgate.gate=accept nsgate.loopback=1
	bad_start nsgate.bind nsgate.bind=yes
	bad_start nsgate.bind nsgate.bind=0 nsgate.in=1mbit
	bad_start nsgate.dry-run nsgate.dry-run=1
	bad_start nsgate.dry-run nsgate.gate=drop nsgate.dry-run=perhaps
	log_test "hook: a bad annotation is named and stops the start, nothing is bound"
}

bad_states()
{
	local text

	for text in '' x '[]' '{}' '{"id": 1}' '{"id": "a/b", "status": "created"}' \
		'{"id": "..", "status": "created"}' '{"id": "a", "status": "paused"}' \
		'{"id": "a", "status": "created", "annotations": []}' \
		'{"id": "a", "status": "created", "annotations": {"nsgate.bind": 1}}' \
		'{"id": "a", "status": "created", "annotations": {"nsgate.bind": "1"}}' \
		'{"id": "a", "status": "created", "pid": 0, "annotations": {"nsgate.bind": "1"}}' \
		'{"id": "a", "status": "created", "pid": 4194303, "annotations": {"nsgate.bind": "1"}}' \
		'{"id": "a", "status": "created", "pid": "1", "annotations": {"nsgate.bind": "1"}}'; do
		status=0
		output=$("$command" oci-hook <<<"$text" 2>&1) || status=$?
		((status)) || check_err 1 "a state is taken: $text"
		[[ $output == "nsgate: "* && $(wc -l <<<"$output") == 1 ]] || check_err 1 "$text: $output"
		nothing_is_bound
	done
	try 2 oci-hook prestop
	hook bad c1 $$ creating nsgate.bind=1
	[[ $output == *"no network namespace of its own"* ]] || check_err 1 "the host's: $output"
	nothing_is_bound
	log_test "hook: a bad state, and a container in the host's namespace"
}

# What only the kernel refuses, after the bind: here a log without NFLOG.
refused_by_the_kernel()
{
	local modprobe

	modprobe -qr nfnetlink_log || true
	if [[ -e /sys/module/nfnetlink_log ]]; then
		log_test_skip "hook: refused by the kernel" "nfnetlink_log can't be taken away"
		return
	fi
	modprobe=$(</proc/sys/kernel/modprobe)
	echo /bin/false >/proc/sys/kernel/modprobe
	bad_start "the kernel has no NFLOG" nsgate.in=20mbit nsgate.gate=drop nsgate.log=7
	try 0 bind "$box"
	hook bad c1 "$process" creating nsgate.gate=drop nsgate.log=7
	is_bound "$box_inode" || check_err 1 "what was a target before is none"
	try 0 release "$box"
	echo "$modprobe" >/proc/sys/kernel/modprobe
	nothing_is_bound
	log_test "hook: what the kernel refuses stops the start, nothing is bound"
}

# Sends the moment that it may, as a container would.
send_first()
{
	nsenter --net="/run/netns/$box" -- python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("there", flush=True)
sys.stdin.readline()
try:
    s.sendto(b"first", ("10.9.1.2", 9))
except OSError:
    pass'
}

first_packet()
{
	local i dropped=0

	mkfifo "$tmp/go"
	for ((i = 0; i < 20; i++)); do
		rm -f "$tmp/there"
		send_first <"$tmp/go" >"$tmp/there" &
		exec {go}>"$tmp/go"
		busywait "$BUSYWAIT_TIMEOUT" test -s "$tmp/there" || die "it did not start"
		hook 0 "first$i" "$process" created nsgate.gate=drop
		echo >&"$go"
		exec {go}>&-
		wait $!
		! grep -qx "dropped 0" "$HOST_VIEW/$box_inode/gate" || check_err 1 "$i: it was not dropped"
		dropped=$((dropped + $(state_of "$HOST_VIEW/$box_inode/gate" dropped)))
		hook 0 "first$i" 0 stopped
	done
	check_equal "packets dropped" 20 $dropped
	nothing_is_bound
	log_test "hook: the first packet is dropped, 20 of 20 times"
}

# ---- the stop ----

stops()
{
	local packets bytes

	hook 0 c2 "$process" created nsgate.bind=1
	in_ns "$box" ping -q -c 3 -i 0.1 10.9.1.2 >/dev/null || check_err $? "ping"
	read -r packets bytes < <(stat_of "$HOST_VIEW/$box_inode/stats" out netdev all)
	hook 0 c2 0 stopped
	[[ $output == *"container c2 has ended: in "*"out $packets packets, $bytes bytes"* ]] ||
		check_err 1 "not $packets packets, $bytes bytes: $output"
	nothing_is_bound
	hook 0 c2 0 stopped
	check_equal "what a second stop says" "" "$output"
	log_test "hook: the final figures are told, and all is released"

	hook 0 c2 "$process" created nsgate.bind=1
	"$command" release "inode:$box_inode"
	hook 0 c2 0 stopped
	nothing_is_bound
	log_test "hook: what somebody has released by hand is no error"
}

inode_is_again()
{
	ip netns add "$web"
	[[ $(ns_inode "$web") == "$1" ]] && return
	ip netns delete "$web"
	return 1
}

# The number of a namespace that died is mostly that of the next one.
number_is_anothers()
{
	local inode before

	web=$box-again
	ip netns add "$web"
	inode=$(ns_inode "$web")
	NS_INODES+=("$inode")
	start_container before "$web"
	hook 0 c3 "$before" created nsgate.bind=1
	end_container "$before"
	ip netns delete "$web"
	busywait "$BUSYWAIT_TIMEOUT" grep -qx "status gone" "$HOST_VIEW/$inode/state" || check_err 1 "it lives"
	if busywait "$BUSYWAIT_TIMEOUT" inode_is_again "$inode"; then
		NS_LIST+=("$web")
		try 0 bind "$web"
		hook 0 c3 0 stopped
		[[ $output == *"container c3 has ended"* ]] || check_err 1 "no figures: $output"
		is_bound "$inode" || check_err 1 "another's namespace was released"
		check_equal "targets" "$HOST_VIEW/$inode" "$(compgen -G "$HOST_VIEW/[0-9]*")"
		try 0 release "$web"
		nothing_is_bound
		cleanup_ns "$web"
		log_test "hook: releases by cookie, when the number is another's"
	else
		log_test_skip "hook: releases by cookie" "the number was not handed out again"
	fi
}

shared()
{
	hook 0 one "$process" created nsgate.in=10mbit
	hook 0 two "$process" created nsgate.bind=1
	hook bad three "$process" created nsgate.in=20mbit
	[[ $output == *one* ]] || check_err 1 "it does not say with whom: $output"
	check_equal "rate" 1250000 "$(limit_of "$box_inode" in_rate)"
	hook 0 one 0 stopped
	is_bound "$box_inode" || check_err 1 "the other container's namespace was released"
	hook 0 two 0 stopped
	nothing_is_bound
	log_test "hook: containers that share a namespace"
}

held()
{
	try 0 bind "$box"
	try 0 gate "$box" drop
	hook 0 c4 "$process" created nsgate.in=10mbit
	hook 0 c4 0 stopped
	is_bound "$box_inode" || check_err 1 "it was a target before, and is released"
	check_equal "policy" "policy drop" "$(head -n 1 "$HOST_VIEW/$box_inode/gate")"
	check_equal "name" "$box" "$("$command" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["name"])')"
	try 0 release "$box"
	nothing_is_bound
	log_test "hook: what was a target before stays one"
}

quota_goes_on()
{
	local used

	hook 0 c5 "$process" created nsgate.quota-out=1M
	in_ns "$box" ping -q -c 3 -i 0.1 10.9.1.2 >/dev/null || check_err $? "ping"
	used=$(limit_of "$box_inode" out_used)
	((used > 0)) || check_err 1 "nothing was used"
	hook 0 c5 0 stopped
	hook 0 c5 "$process" created nsgate.quota-out=1M
	check_equal "used after a restart" "$used" "$(limit_of "$box_inode" out_used)"
	hook 0 c5 0 stopped
	hook 0 other "$process" created nsgate.quota-out=1M
	echo "out quota 1000000 used 500000" >"$HOST_VIEW/$box_inode/limit"
	hook 0 c5 "$process" created nsgate.quota-out=1M
	check_equal "used, where another went on" 500000 "$(limit_of "$box_inode" out_used)"
	hook 0 other 0 stopped
	hook 0 c5 0 stopped
	rmdir "$bundle"
	hook 0 c6 "$process" created nsgate.bind=1
	hook 0 c6 0 stopped
	mkdir "$bundle"
	nothing_is_bound
	hook 0 c5 "$process" created nsgate.quota-out=1M
	check_equal "used by a new container of that name" 0 "$(limit_of "$box_inode" out_used)"
	hook 0 c5 0 stopped
	rmdir "$bundle"
	hook 0 c6 0 stopped
	hook 0 c6 "$process" created nsgate.bind=1
	hook 0 c6 0 stopped
	mkdir "$bundle"
	nothing_is_bound
	log_test "hook: a restart doesn't begin a quota anew"
}

# uses_on WHAT: c5, which was never said to have ended, starts in another namespace.
uses_on()
{
	local used

	in_ns "$box" ping -q -c 3 -i 0.1 10.9.1.2 >/dev/null || check_err $? "ping"
	used=$(limit_of "$box_inode" out_used)
	hook 0 c5 "$again" created nsgate.quota-out=1M
	check_equal "used, $1" "$used" "$(limit_of "$again_inode" out_used)"
	hook 0 c5 0 stopped
	! compgen -G "$HOST_VIEW/[0-9]*" || check_err 1 "something is left bound"
}

# Its monitor was killed, or the hook took too long.
quota_without_a_stop()
{
	local again again_inode used web=$box-again

	ip netns add "$web"
	NS_LIST+=("$web")
	again_inode=$(ns_inode "$web")
	NS_INODES+=("$again_inode")
	start_container again "$web"
	bundle=$tmp/fresh
	mkdir "$bundle"

	hook 0 c5 "$process" created nsgate.quota-out=1M
	uses_on "as the old one had"
	hook 0 c5 "$process" created nsgate.quota-out=1M
	used=$(limit_of "$box_inode" out_used)
	((used > 0)) || check_err 1 "nothing was used before"
	uses_on "as both had"
	hook 0 c5 "$process" created nsgate.quota-out=1M
	used=$(limit_of "$box_inode" out_used)
	try 0 release "inode:$box_inode"
	hook 0 c5 "$again" created nsgate.quota-out=1M
	check_equal "used, where the old figures are lost" "$used" "$(limit_of "$again_inode" out_used)"
	hook 0 c5 "$again" created nsgate.quota-out=1M
	check_equal "used, when it is said twice" "$used" "$(limit_of "$again_inode" out_used)"
	hook 0 c5 0 stopped
	hook 0 c5 "$process" created nsgate.bind=1
	hook 0 other "$process" created nsgate.bind=1
	hook 0 c5 "$again" created nsgate.bind=1
	is_bound "$box_inode" || check_err 1 "what it shared with another was released"
	hook 0 other 0 stopped
	hook 0 c5 0 stopped
	rmdir "$bundle"
	hook 0 c6 "$process" created nsgate.bind=1
	hook 0 c6 0 stopped
	bundle=$tmp/bundle
	end_container "$again"
	cleanup_ns "$web"
	nothing_is_bound
	log_test "hook: a quota goes on, too, where nobody said that the container had ended"
}

# Where a start fails behind the hook, as for lack of the command, crun calls no poststop.
left_behind()
{
	local inode first web=$box-left

	bundle=$tmp/gone
	for id in left kept; do
		mkdir -p "$bundle"
		ip netns add "$web"
		inode=$(ns_inode "$web")
		NS_INODES+=("$inode")
		start_container first "$web"
		hook 0 $id "$first" created nsgate.gate=drop nsgate.quota-out=1M
		end_container "$first"
		ip netns delete "$web"
		busywait "$BUSYWAIT_TIMEOUT" grep -qsx "status gone" "$HOST_VIEW/$inode/state" || check_err 1 "it lives"
		[[ $id == kept ]] || rmdir "$bundle"
		hook 0 next "$process" created nsgate.bind=1
		[[ $output == *"container $id has ended: in 0 packets"* ]] || check_err 1 "$id: no final figures: $output"
		check_equal "targets beside $id" "$HOST_VIEW/$box_inode" "$(compgen -G "$HOST_VIEW/[0-9]*")"
		hook 0 next 0 stopped
	done
	[[ ! -e $STATES/oci/left ]] || check_err 1 "the file of what is gone for good is left"
	[[ -e $STATES/oci/kept ]] || check_err 1 "the quota of a container that is there is forgotten"
	hook 0 kept "$process" created nsgate.quota-out=1M
	hook 0 kept 0 stopped
	rmdir "$bundle"
	hook 0 next "$process" created nsgate.bind=1
	hook 0 next 0 stopped
	bundle=$tmp/bundle
	nothing_is_bound
	log_test "hook: what ended without a stop is released by the next"
}

# ---- who may not ----

rootless()
{
	local user

	chmod 711 "$tmp"
	install -m 755 "$command" "$tmp/nsgate"
	for user in "unshare -Ur" "setpriv --reuid 65534 --clear-groups"; do
		status=0
		# shellcheck disable=SC2086 # a command with its arguments
		output=$($user "$tmp/nsgate" oci-hook 2>&1 <<<"{\"id\": \"a\", \"status\": \"creating\", \"pid\": $process, \"annotations\": {\"nsgate.bind\": \"1\"}}") || status=$?
		((status)) || check_err 1 "$user: it starts"
		[[ $output == "nsgate: "*"root must bind"* ]] || check_err 1 "$user: $output"
	done
	rm "$tmp/nsgate"
	nothing_is_bound
	log_test "hook: a rootless runtime is told that root must bind"
}

not_loaded()
{
	unload_nsgate
	hook bad c7 "$process" created nsgate.bind=1
	[[ $output == *"the module is not loaded"* ]] || check_err 1 "$output"
	hook 0 c7 "$process" created a=b
	hook 0 c7 0 stopped nsgate.bind=1
	load_nsgate
	end_container "$process"
	log_test "hook: no module, no start"
}

setup
tests_run
