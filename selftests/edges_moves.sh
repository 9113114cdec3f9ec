#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, stats
#
# What enters and leaves a target by its edges, the rows in and out of stats, while
# devices are enslaved, freed, and moved.
#
#   target                                  outside
#   +--------------------------+           +----------------------+
#   |     what v0 belongs to   | v0 --- p0 |                      |
#   |          10.9.1.1        |           | 10.9.1.2             |
#   |          fd09:1::1       |           | fd09:1::2            |
#   +--------------------------+           +----------------------+

# shellcheck source=edges_lib.sh
source "$(dirname "$(realpath "$0")")/edges_lib.sh"

ALL_TESTS="sides_change bridge_under_traffic vrf_under_traffic bond_under_traffic vlan_under_traffic"

# A device under another one that comes, goes, or is moved to a namespace.
sides_change()
{
	new_target
	veth 0 1
	ip -n "$target" link add link v0 name v0.5 type vlan id 5
	ip -n "$outside" link add link p0 name p0.5 type vlan id 5
	address "$target" v0.5 1
	address "$outside" p0.5 2
	exchange
	check_ends p0 p1
	# Now v0 is elsewhere: its VLAN is the edge.
	setup_ns far
	local before p _
	ip -n "$target" link set v0 netns "$far"
	ip -n "$far" link set v0 up
	ip -n "$target" link set v0.5 up
	address "$target" v0.5 4 2>/dev/null || :
	read -r before _ < <(row in)
	in_ns "$outside" "${traffic[@]}" 10.9.1.4 >/dev/null || check_err 1 "10.9.1.4 is reached"
	read -r p _ < <(row in)
	((p - before >= 5)) || check_err 1 "in has $((p - before)) packets of a VLAN over a device elsewhere"
	cleanup_ns "$far"
	# A port that is freed, and a bridge that is told apart from it.
	new_target
	veth 0
	ip -n "$target" link add br0 type bridge
	ip -n "$target" link set br0 up
	address "$outside" p0 2
	address "$target" br0 1
	ip -n "$target" link set v0 master br0
	exchange
	ip -n "$target" address flush dev br0
	ip -n "$target" link set v0 nomaster
	address "$target" v0 1
	ip -n "$outside" neigh flush all
	exchange
	check_ends p0
	log_test "devices change sides"
}

# ---- under traffic ----

# send NAMESPACE TO: UDP without end, a thousand a second at most, whether it can be sent
# or not.
send()
{
	nsenter --net="/run/netns/$1" -- python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    time.sleep(0.001)
    try:
        s.sendto(b"x" * 300, (sys.argv[1], 9))
    except OSError:
        pass' "$2" &
}

# Both ends know each other for good: what is asked for may be lost.
setup_traffic()
{
	new_target
	veth 0
	address "$target" v0 1
	address "$outside" p0 2
	ip -n "$target" neigh replace 10.9.1.2 lladdr "$(mac_of "$outside" p0)" dev v0
	ip -n "$outside" neigh replace 10.9.1.1 lladdr "$(mac_of "$target" v0)" dev p0
	exchange
}

mac_of()
{
	ip -n "$1" link show "$2" | awk '/link.ether/ { print $2 }'
}

has_grown()
{
	local packets _

	read -r packets _ < <(row "$1")
	((packets >= $2))
}

# What a device that is down was given has left as far as hooks can see, and nobody
# counts what became of it.
check_lossy_ends()
{
	local left received

	check_same in 0 "$outside" p0 tx
	[[ $egress ]] || return 0
	read -r received _ < <(sum 0 "$outside" p0 rx)
	read -r left _ < <(row out)
	((left >= received)) || check_err 1 "$left packets left, and $received were received"
}

# under_traffic TIMES CHECK COMMAND...: the command again and again, while both ends send;
# each time more has come in.
under_traffic()
{
	local i packets _

	send "$target" 10.9.1.2
	send "$outside" 10.9.1.1
	for ((i = 0; i < $1; i++)); do
		read -r packets _ < <(row in)
		busywait $BUSYWAIT_TIMEOUT has_grown in $((packets + 10)) || check_err 1 "nothing comes in"
		"${@:3}"
	done
	end_jobs
	$2
	echo "# $i times: $(row in) came in, $(row out) left"
}

# Whether it is a master of this kind.
add_master()
{
	ip -n "$target" link add agg type "$@" 2>/dev/null && ip -n "$target" link set agg up
}

enslave_and_free()
{
	ip -n "$target" link set v0 master agg
	ip -n "$target" link set v0 nomaster
}

bridge_under_traffic()
{
	setup_traffic
	add_master bridge
	under_traffic 10 "check_ends p0" enslave_and_free
	log_test "a port of a bridge that is enslaved and freed"
}

# It sets the device down and up.
vrf_under_traffic()
{
	setup_traffic
	if ! add_master vrf table 10; then
		log_test_skip "a port of a VRF that is enslaved and freed" "no VRFs"
		return
	fi
	under_traffic 10 check_lossy_ends enslave_and_free
	log_test "a port of a VRF that is enslaved and freed"
}

# A bond takes what is down only.
enslave_and_free_closed()
{
	ip -n "$target" link set v0 down
	ip -n "$target" link set v0 master agg
	ip -n "$target" link set v0 nomaster
	ip -n "$target" neigh replace 10.9.1.2 lladdr "$(mac_of "$outside" p0)" dev v0
	ip -n "$target" link set v0 up
}

bond_under_traffic()
{
	setup_traffic
	if ! add_master bond mode balance-rr miimon 50; then
		log_test_skip "a port of a bond that is enslaved and freed" "no bonds"
		return
	fi
	under_traffic 10 check_lossy_ends enslave_and_free_closed
	log_test "a port of a bond that is enslaved and freed"
}

add_and_delete()
{
	ip -n "$target" link add link v0 name v0.5 type vlan id 5
	ip -n "$target" link set v0.5 up
	ip -n "$target" link del v0.5
}

# As it goes, when it stands on nothing any more, it has the kernel send a word at once to
# those who listen: MLD of version 1 does.
vlan_under_traffic()
{
	setup_traffic
	in_ns "$target" sysctl -qw net.ipv6.conf.default.force_mld_version=1
	under_traffic 10 "check_ends p0" add_and_delete
	log_test "a VLAN on it that comes and goes"
}

checktool "ping -V" "run ping"
checktool "python3 -c pass" "run python3"
setup_tmp
load_nsgate
new_target
egress=$(grep -ow egress "$dir/state" || :)
tests_run
