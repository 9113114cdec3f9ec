# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A target, what is outside of it, and how the rows in and out of stats are compared
# with the statistics of devices, for edges.sh.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

# shellcheck disable=SC2034 # for edges.sh
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

# veth N...: pairs vN in the target and pN outside, up.
veth()
{
	local n

	for n; do
		ip -n "$target" link add "v$n" type veth peer name "p$n" netns "$outside"
		ip -n "$outside" link set "p$n" up
		ip -n "$target" link set "v$n" up
	done
}

# ip_of NAMESPACE DEVICE LAST: an address of each family.
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
# each packet.
sum()
{
	local packets=0 bytes=0 p b

	while (($#)); do
		read -r p b < <(ip -n "$2" -s -s -j link show dev "$3" | python3 -c "
import json, sys
stats = json.load(sys.stdin)[0]['stats64']['$4']
print(stats['packets'], stats['bytes'])")
		packets=$((packets + p))
		bytes=$((bytes + b + p * $1))
		shift 4
	done
	echo "$packets $bytes"
}

# same ROW SUM...: whether they are the same now; says both.
same()
{
	local row one other
	row=$1
	shift

	one=$(row "$row")
	other=$(sum "$@")
	echo "$row: $one, devices: $other"
	[[ $one == "$other" ]]
}

# Frames may be under way: they are the same soon, and not by chance.
check_same()
{
	local said

	said=$(busywait 10000 same "$@") || check_err 1 "$said"
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
