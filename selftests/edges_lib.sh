# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A target, what is outside of it, and how the rows in and out of stats are compared
# with the statistics of devices, for edges.sh and edges_moves.sh.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

# shellcheck disable=SC2034 # for who sources us
target='' outside='' far=''
traffic=(ping -q -i 0.01 -c 5 -s 300 -W 5)

# ---- the target and its devices ----

# A new target, in which there is nothing yet but loopback.
new_target()
{
	[[ ! $target ]] || cleanup_ns "$target" "$outside"
	setup_ns target outside
	dir=$HOST_VIEW/$(ns_inode "$target")
	write_inode "$(ns_inode "$target")"
}

# pair N...: vN in the target and pN outside, down.
pair()
{
	local n

	for n; do
		ip -n "$target" link add "v$n" type veth peer name "p$n" netns "$outside"
	done
}

# veth N...: such pairs, up.
veth()
{
	local n

	pair "$@"
	for n; do
		ip -n "$outside" link set "p$n" up
		ip -n "$target" link set "v$n" up
	done
}

# address NAMESPACE DEVICE LAST: an address of each family.
address()
{
	ip -n "$1" address add "10.9.1.$3/24" dev "$2"
	ip -n "$1" address add "fd09:1::$3/64" nodad dev "$2"
	ip -n "$1" link set "$2" up
}

exchange()
{
	in_ns "$target" "${traffic[@]}" 10.9.1.2 >/dev/null || check_err $? "10.9.1.2 is reached"
	in_ns "$target" "${traffic[@]}" fd09:1::2 >/dev/null || check_err $? "fd09:1::2 is reached"
	in_ns "$outside" "${traffic[@]}" 10.9.1.1 >/dev/null || check_err $? "10.9.1.1 is reached"
}

# ---- what is compared ----

row()
{
	awk -v hook="$1" '$1 == hook && $3 == "all" { print $4, $5 }' "$dir/stats"
}

# sum HEADER NAMESPACE DEVICE rx|tx ...: several of these; HEADER bytes more for
# each packet. With - for NAMESPACE packets and bytes follow, which are as they are.
sum()
{
	local packets=0 bytes=0 name line
	local -a figures

	while (($#)); do
		if [[ $2 == - ]]; then
			packets=$((packets + $3))
			bytes=$((bytes + $4))
			shift 4
			continue
		fi
		while read -r name line; do
			[[ $name == "$3:" ]] || continue
			read -ra figures <<<"$line"
			[[ $4 == rx ]] || figures=("${figures[@]:8}")
			packets=$((packets + figures[1]))
			bytes=$((bytes + figures[0] + figures[1] * $1))
		done < <(in_ns "$2" cat /proc/net/dev)
		shift 4
	done
	echo "$packets $bytes"
}

# same ROW SUM...: whether they are the same; says both. For a while, each device goes
# on to look for routers and neighbours: what changes between two readings is compared
# once more.
same()
{
	local one before after

	before=$(sum "${@:2}")
	one=$(row "$1")
	after=$(sum "${@:2}")
	echo "$1: $one, devices: $before, then $after"
	[[ $one == "$before" && $one == "$after" ]]
}

# Frames may be under way: they are the same soon, and not by chance.
check_same()
{
	local said

	said=$(busywait 30000 same "$@") || check_err 1 "$said"
	[[ $(row "$1") != "0 0" ]] || check_err 1 "$1 has nothing"
}

# What the ends outside sent came in, and what they received went out.
check_ends()
{
	local end
	local -a in=() out=()

	for end; do
		in+=(0 "$outside" "$end" tx)
		out+=(0 "$outside" "$end" rx)
	done
	check_same in "${in[@]}"
	[[ ! $egress ]] || check_same out "${out[@]}"
}
