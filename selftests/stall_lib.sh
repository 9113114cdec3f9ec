# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of tenants share who do what takes long: others who have nothing
# to do with him, a namespace that dies, one that is bound, and who uses RTNL.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

mortal='' other='' user=''	# the namespaces of the others
cgroup=				# in which there is no CPU time
rtnl_in=			# what the user of RTNL is told by
usual_ms=1000			# what others take when there is no such tenant
took=0				# what they took

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

# Makes so many NFQUEUE instances, says so, and keeps them.
# shellcheck disable=SC2034 # of who sources this
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

# Has the control group in $cgroup, which its user removes.
setup_starving()
{
	local root=/sys/fs/cgroup

	checktool "grep -qw cpu $root/cgroup.controllers" "limit CPU time by a control group"
	echo +cpu >$root/cgroup.subtree_control
	cgroup=$(mktemp -d "$root/nsgate-XXXXXXXX")
	take_time
}

# Leaves next to no CPU time to the processes of the control group.
take_time()
{
	echo 1000 1000000 >"$cgroup/cpu.max"
}

# Before these processes are waited for, as their end takes time, too. end_jobs() calls
# this as well.
give_time()
{
	[[ ! $cgroup ]] || echo max >"$cgroup/cpu.max"
}

now_ms()
{
	local now

	read_clock now
	echo $((now / 1000))
}

# A namespace is in no list as soon as its death begins.
is_unknown()
{
	! awk -v cookie="$1" '$2 == cookie { found = 1 } END { exit !found }' "$HOST_VIEW/namespaces"
}

cookie_of()
{
	state_of "$HOST_VIEW/$1/state" cookie
}

# What is told from then on is told by its .pre_exit: those before it are through.
is_gone()
{
	[[ $(state_of "$HOST_VIEW/$1/state" status) == gone ]]
}

has_ended()
{
	[[ ! -e /proc/$1 ]]
}

# In namespace $1.
begin_rtnl()
{
	: >"$tmp/rtnl"
	exec {rtnl_in}> >(in_ns "$1" python3 -c "$use_rtnl" >"$tmp/rtnl")
	busywait "$BUSYWAIT_TIMEOUT" grep -q ready "$tmp/rtnl" || die "nobody uses RTNL"
}

# Puts the longest wait for RTNL in $longest.
end_rtnl()
{
	echo >&"$rtnl_in"
	exec {rtnl_in}>&-
	busywait "$BUSYWAIT_TIMEOUT" grep -q '^[0-9]' "$tmp/rtnl" || die "the user of RTNL doesn't end"
	longest=$(grep '^[0-9]' "$tmp/rtnl")
}

# Before the tenant begins.
setup_others()
{
	setup_ns mortal other user
	mortal_number=$(ns_inode "$mortal")
	write_inode "+$mortal_number"
	begin_rtnl "$user"
}

# What there would be without a tenant, a second on top, and what a busy machine
# takes from everybody.
limit_ms()
{
	echo $((5 * usual_ms + 1000))
}

# check_others [MILLISECONDS]: that others get on, while the tenant does what he does.
check_others()
{
	local limit=${1-$(limit_ms)} begin binder

	begin=$(now_ms)
	ip netns delete "$mortal"
	write_inode "+$(ns_inode "$other")" &
	binder=$!
	busywait "$limit" has_ended $binder || check_err 1 "no bind within $limit ms"
	busywait "$limit" is_gone "$mortal_number" ||
		check_err 1 "another namespace doesn't die within $limit ms"
	took=$(($(now_ms) - begin))
	end_rtnl
	echo "# $took ms, RTNL was waited for $longest ms at most"
	((longest <= limit)) || check_err 1 "RTNL was waited for $longest ms"
	wait $binder || check_err $? "bind"
	write_inode "-$(ns_inode "$other")"
	cleanup_ns "$other"
}

without_tenant()
{
	setup_others
	check_others "$BUSYWAIT_TIMEOUT"
	usual_ms=$took
	log_test "a namespace dies, another is bound, and RTNL is used"
}
