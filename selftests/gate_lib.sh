#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests of the gate share.
#
#   target                          outside
#   +--------+                     +----------------------------+
#   |     t0 |---------------------| n0 .10 ::a    .12 ::c      |
#   |     .1 |10.9.1.0/24 fd09:1:: |    friend     foe          |
#   |    ::1 |                     |                            |
#   |     t1 |---------------------| n1 .10 ::a                 |
#   |     .1 |10.9.2.0/24 fd09:2:: |                            |
#   +--------+                     |                            |
#   fence                          |                            |
#   +--------+                     |                            |
#   |     f1 |---------------------| f0                         |
#   +--------+10.9.9.0/24          +----------------------------+
#
# target is the one that is gated. outside sees what comes out of it, where nobody in
# target can reach it: by packet sockets, and in tests that ask watch_by_nft for it by
# nft at the ingress of n0 and n1, with a chain for each: before Linux 5.5 one
# can't be for both. All neighbours are known, and no device of target makes up an
# address, so that nothing is sent but what the test sends.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

# shellcheck disable=SC2034 # for those who source us
{
	friend=10.9.1.10 friend6=fd09:1::a
	foe=10.9.1.12 foe6=fd09:1::c
	own=10.9.1.1 own6=fd09:1::1
}
quiet=(net.ipv6.conf.{all,default}.mldv{1,2}_unsolicited_report_interval=1
	net.ipv4.tcp_orphan_retries=1 net.ipv4.tcp_fin_timeout=1)
target='' outside='' fence=''

hops=1	# that what is sent has to go
direct_egress=yes	# what packet sockets send past queues passes egress

declare -A actor_in actor_out

# actor NAME NAMESPACE: starts gate_frames.py there, to be asked by that name.
actor()
{
	local fifos in out

	# Open for both, neither side waits for the other to open it.
	fifos=$(mktemp -d)
	mkfifo "$fifos/in" "$fifos/out"
	exec {in}<>"$fifos/in" {out}<>"$fifos/out"
	rm -r "$fifos"
	# Not in_ns: who kills the job is to end it, not a shell that waits for it.
	nsenter --net="/run/netns/$2" -- "$here/gate_frames.py" <&"$in" >&"$out" &
	actor_in[$1]=$in
	actor_out[$1]=$out
}

# ask NAME COMMAND...: see gate_frames.py; its answer is in $answer, too.
ask()
{
	echo "${*:2}" >&"${actor_in[$1]}"
	read -r -t $((2 * WAIT_TIMEOUT)) answer <&"${actor_out[$1]}" ||
		die "$1: no answer from gate_frames.py: ${*:2}"
}

# must NAME EXPECTED COMMAND...
must()
{
	ask "$1" "${@:3}"
	[[ $answer == "$2" ]] || check_err 1 "$1: ${*:3}: $answer"
}

new_token()
{
	random_number token
	printf -v token 'ng%08x' "$token"
}

# Waits until what was sent has arrived. A veth leaves a packet in the backlog
# of the CPU that sent it: what comes behind it there, by any device, is a
# fence. Who forwards it puts it there again, so that each of the $hops takes
# another fence.
flush()
{
	local token i

	for ((i = 0; i < hops; i++)); do
		new_token
		ask fence fence 10.9.9.10 "$token"
		[[ $answer == sent ]] || die "fence: $answer"
		ask post await "$token" "$cpus"
		[[ $answer == "$cpus" ]] || die "only $answer of $cpus frames of the fence came"
	done
}

# What matches a pcap filter, as the gate wants it.
program()
{
	tcpdump -ddd -y RAW "$*" | tr '\n' ,
}

# gate COMMAND: one write, which must work. Bash writes no more than 1 kB at once.
gate()
{
	local line="$*"

	if ((${#line} < 1000)); then
		printf '%s\n' "$line" >"$gate" || die "gate: $line"
	else
		dd if=<(printf '%s\n' "$line") iflag=fullblock bs=1M of="$gate" \
			status=none conv=notrunc || die "gate: $line"
	fi
}

# gate_value KEY [FILE]: from the file gate, in $answer.
gate_value()
{
	local key value

	answer=
	while read -r key value; do
		[[ $key != "$1" ]] || answer=$value
	done <"${2-$gate}"
}

# Counters of the gate, in $answer: excepted and dropped.
gate_counts()
{
	local excepted

	gate_value excepted
	excepted=$answer
	gate_value dropped
	answer="$excepted $answer"
}

# stat_dropped ROW: packets and bytes that were dropped there, in $answer. ROW
# are the first three words of one.
stat_dropped()
{
	local hook family proto packets bytes

	answer="0 0"
	while read -r hook family proto _ _ packets bytes; do
		[[ "$hook $family $proto" != "$1" ]] || answer="$packets $bytes"
	done <"${gate%gate}stats"
}

# has_hook NAME: whether this kernel has ingress or egress for devices.
has_hook()
{
	gate_value hooks "${gate%gate}state"
	[[ " $answer " == *" $1 "* ]]
}

setup_gate_links()
{
	ip -n "$target" -batch - <<-END
		link add t0 address 02:00:00:09:01:01 type veth peer name n0 address 02:00:00:09:01:0a netns $outside
		link add t1 address 02:00:00:09:02:01 type veth peer name n1 address 02:00:00:09:02:0a netns $outside
		link set t0 addrgenmode none
		link set t1 addrgenmode none
		addr add $own/24 dev t0
		addr add 10.9.2.1/24 dev t1
		addr add $own6/64 dev t0 nodad
		addr add fd09:2::1/64 dev t1 nodad
		link set t0 up
		link set t1 up
		neigh add $friend lladdr 02:00:00:09:01:0a dev t0
		neigh add $foe lladdr 02:00:00:09:01:0a dev t0
		neigh add $friend6 lladdr 02:00:00:09:01:0a dev t0
		neigh add $foe6 lladdr 02:00:00:09:01:0a dev t0
		neigh add 10.9.2.10 lladdr 02:00:00:09:02:0a dev t1
		neigh add fd09:2::a lladdr 02:00:00:09:02:0a dev t1
	END
	ip -n "$outside" -batch - <<-END
		link set n0 addrgenmode none
		link set n1 addrgenmode none
		link add f0 type veth peer name f1 netns $fence
		addr add $friend/24 dev n0
		addr add $foe/24 dev n0
		addr add 10.9.2.10/24 dev n1
		addr add 10.9.9.10/24 dev f0
		addr add $friend6/64 dev n0 nodad
		addr add $foe6/64 dev n0 nodad
		addr add fd09:2::a/64 dev n1 nodad
		link set n0 up
		link set n1 up
		link set f0 up
		neigh add $own lladdr 02:00:00:09:01:01 dev n0
		neigh add $own6 lladdr 02:00:00:09:01:01 dev n0
		neigh add 10.9.2.1 lladdr 02:00:00:09:02:01 dev n1
		neigh add fd09:2::1 lladdr 02:00:00:09:02:01 dev n1
	END
	ip -n "$fence" addr add 10.9.9.1/24 dev f1
	ip -n "$fence" link set f1 up
}

# stack NAMESPACE NAME WORD...: a device there that stands on t0, with a neighbour.
# The words are those of ip link.
stack()
{
	ip -n "$target" link add link t0 name "$2" netns "$1" "${@:3}"
	ip -n "$1" -batch - <<-END
		link set $2 addrgenmode none
		addr add 10.9.5.1/24 dev $2
		link set $2 up
		neigh add 10.9.5.2 lladdr 02:00:00:09:01:0a dev $2
	END
}

# Linux 3.10 has no chains of nft at devices.
watch_by_nft()
{
	has_hook ingress || skip "this kernel has no hook at ingress"
	in_ns "$outside" nft -f - <<-END
		table netdev watch {
			counter frames { }
			chain ingress { counter name frames; }
			chain n0 { type filter hook ingress device n0 priority -500; jump ingress; }
			chain n1 { type filter hook ingress device n1 priority -500; jump ingress; }
		}
	END
}

# Makes all that is drawn above, with target bound.
setup_gate()
{
	checktool "tcpdump --version" "find tcpdump"
	checktool "nft --version" "find nft"
	checktool "python3 --version" "find python3"
	setup_ns target outside fence
	# What joins a multicast group says so at once, and a connection that
	# was closed while the gate was doesn't keep the namespace alive.
	in_ns "$target" sysctl -qw "${quiet[@]}"
	in_ns "$outside" sysctl -qw "${quiet[@]}"
	target_inode=$(ns_inode "$target")
	gate=$HOST_VIEW/$target_inode/gate
	load_nsgate "inode=$target_inode"
	setup_gate_links
	actor tenant "$target"
	actor watch "$outside"
	actor friend "$outside"
	actor post "$outside"
	actor fence "$fence"
	ask post receive 10.9.9.10 9
	[[ $answer == receiving ]] || die "post: $answer"
	cpus=$(nproc)
	# Later the gate may be closed.
	new_token
	# shellcheck disable=SC2034 # for those who source us
	passes_egress "$target" t0 ask tenant \
		frame t0 bypass 88b5 88b5 text "$own" "$foe" 4242 "$token" || direct_egress=
}
