#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, From birth
#
# Who makes namespaces in a target pays for what nsgate allocates for them. That he
# gets none that isn't bound where he can't is for faults.sh.
#
#   head              other
#   +------+          +------+
#   | lo   |          | lo   |
#   +------+          +------+
#
# head is a target, other is none. The maker is born.py, in a control group.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="maker_pays"

COUNT=50
here=$(dirname "$(realpath "$0")")
head='' other='' cgroup='' maker='' there=

at_end()
{
	[[ ! $maker ]] || exec {maker_in}>&-
	[[ ! $cgroup ]] || busywait $BUSYWAIT_TIMEOUT rmdir "$cgroup" 2>/dev/null || check_err $? "$cgroup is left"
}

setup()
{
	setup_ns head other
	setup_cgroup memory || skip "there is no memory controller of cgroup 2"
	load_nsgate "inode=$(ns_inode "$head")" auto=children
	there=$(wc -l <$HOST_VIEW/namespaces)
}

has_told()
{
	local -a lines

	mapfile -t lines <"$tmp/made"
	((${#lines[@]} == 2))
}

# fill NAMESPACE: makes $COUNT namespaces in it, in the control group; tells how
# many there are, and the error, in array made.
fill()
{
	: >"$tmp/made"
	exec {maker_in}> >(in_cgroup exec nsenter --net="/run/netns/$1" -- "$here/born.py" fill $COUNT >"$tmp/made" 2>&1)
	maker=$!
	busywait $BUSYWAIT_TIMEOUT has_told || die "born.py: $(<"$tmp/made")"
	mapfile -t made <"$tmp/made"
}

count_namespaces()
{
	local -a rows

	mapfile -t rows <$HOST_VIEW/namespaces
	((${#rows[@]} == $1))
}

# What was made goes, and with it what it was charged with.
unmake()
{
	exec {maker_in}>&-
	wait "$maker" || true
	maker=
	busywait $BUSYWAIT_TIMEOUT count_namespaces "$there" || check_err 1 "they don't go"
}

free_kb()
{
	local key value

	sync
	echo 3 >/proc/sys/vm/drop_caches
	while read -r key value _; do
		[[ $key != MemFree: ]] || echo "$value"
	done </proc/meminfo
}

# weigh NAMESPACE: fills it, and sets charged to the kB that this takes.
weigh()
{
	fill "$1"
	check_equal "namespaces in $1" "$COUNT none" "${made[*]}"
	charged=$(($(<"$cgroup/memory.current") / 1024))
}

# Binds by hand what was made in $other, and sets used to the kB that this takes.
weigh_binds()
{
	local all

	all=$(awk -v known=" $(stat -Lc %i /proc/self/ns/net "/run/netns/$head" "/run/netns/$other" | paste -sd ' ') " \
		'NR > 1 && !index(known, " " $1 " ") { print $1 }' $HOST_VIEW/namespaces)
	used=$(free_kb)
	write_inode "$(ns_inode "$head"),${all//$'\n'/,}"
	used=$((used - $(free_kb)))
	write_inode "$(ns_inode "$head")"
}

# A birth takes as much as a bind by hand, and nine parts of ten of that are charged
# to the maker: the kernel charges nobody with files in /proc.
maker_pays()
{
	local charged used plain

	weigh "$other"
	plain=$charged
	weigh_binds
	unmake
	weigh "$head"
	unmake
	charged=$((charged - plain))
	((used > 0 && 10 * charged >= 9 * used)) ||
		check_err 1 "$COUNT births take $used kB, of which $charged kB are charged"
	log_test "the maker is charged: $charged kB, where $COUNT binds take $used kB"
}

setup_tmp
checktool "python3 -c pass" "run python3"
setup
tests_run
