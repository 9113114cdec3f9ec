#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/design.md, Locks, and who may wait for whom
#
# To unhook a device, the kernel looks at all NFQUEUE instances of the namespace,
# with RTNL held. A tenant has many of both, and is released: others use RTNL and
# bind meanwhile. The numbers fit a slow machine; $NSGATE_QUEUES and
# $NSGATE_DEVICES say others.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="release_with_queues"

queues=${NSGATE_QUEUES:-20000}
devices=${NSGATE_DEVICES:-150}

# Makes so many queues, says so, and keeps them.
make_queues='
import socket, struct, sys, time
NETLINK_NETFILTER, NFQNL_MSG_CONFIG = 12, 3 << 8 | 2
sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
sock.bind((0, 0))
for number in range(int(sys.argv[1])):
    config = struct.pack("!BBH", 0, 0, number) + struct.pack("=HH", 8, 1) + struct.pack("!BxH", 1, 0)
    sock.send(struct.pack("=IHHII", 16 + len(config), NFQNL_MSG_CONFIG, 1, 1, 0) + config)
print("ready", flush=True)
time.sleep(1e6)
'

# Takes RTNL again and again until it is told to end, and says how long the longest
# wait for it was, in milliseconds.
use_rtnl='
import fcntl, select, socket, struct, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
request = struct.pack("16sh14x", b"lo", 0x49)
longest = 0
print("ready", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    begin = time.monotonic()
    fcntl.ioctl(sock, 0x8914, request)
    longest = max(longest, time.monotonic() - begin)
print(int(longest * 1000), flush=True)
'

now_ms()
{
	echo $((${EPOCHREALTIME/./} / 1000))
}

setup()
{
	modprobe nfnetlink_queue 2>/dev/null || skip "no NFQUEUE"
	load_nsgate
}

release_with_queues()
{
	local tenant user other number begin took releaser longest before_end=
	local -a numbers

	setup_ns tenant user other
	mapfile -t numbers < <(ns_inode "$tenant" "$user" "$other")
	number=${numbers[0]}
	for ((i = 0; i < devices; i++)); do
		echo "link add d$i type dummy"
	done | ip -n "$tenant" -batch -
	write_inode "$number"
	coproc queue { in_ns "$tenant" python3 -c "$make_queues" "$queues"; }
	# shellcheck disable=SC2154 # of coproc
	local queue_pid=$queue_PID
	read -r -t "$WAIT_TIMEOUT" _ <&"${queue[0]}" || die "no queues"
	# shellcheck disable=SC2154
	exec {rtnl_in}> >(in_ns "$user" python3 -c "$use_rtnl" >"$tmp/rtnl")
	busywait "$BUSYWAIT_TIMEOUT" grep -q ready "$tmp/rtnl" || die "nobody uses RTNL"

	begin=$(now_ms)
	write_inode "-$number" &
	releaser=$!
	busywait "$BUSYWAIT_TIMEOUT" test ! -e "$HOST_VIEW/$number" || check_err 1 "it isn't released"
	write_inode "+${numbers[2]}"
	[[ ! -e /proc/$releaser ]] || before_end=yes
	wait $releaser || check_err $? "release"
	took=$(($(now_ms) - begin))
	echo >&"$rtnl_in"
	exec {rtnl_in}>&-
	busywait "$BUSYWAIT_TIMEOUT" grep -q '^[0-9]' "$tmp/rtnl" || die "it doesn't end"
	longest=$(grep '^[0-9]' "$tmp/rtnl")
	echo "# $devices devices, $queues queues: released in $took ms, RTNL was waited for $longest ms at most"
	((longest < took / 2)) || check_err 1 "RTNL was held for $longest of $took ms"
	log_test "RTNL is held for a few devices at a time"
	check_equal "whether another was bound while it was being released" yes "$before_end"
	log_test "another target is bound meanwhile"
	kill "$queue_pid"
	wait "$queue_pid" || true
	cleanup_ns "$tenant" "$user" "$other"
}

setup_tmp
setup
tests_run
