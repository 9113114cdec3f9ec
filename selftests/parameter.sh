#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, Choosing targets
#
# The parameter inode=: every form and every error of it, while the module loads
# and later. What fails must say so by its errno, name the culprit in the kernel
# log, and change nothing.

# shellcheck source=parameter_lib.sh
source "$(dirname "$(realpath "$0")")/parameter_lib.sh"

ALL_TESTS="
	load_idle
	load_list
	load_undisturbed
	load_refused
	load_not_permitted
	file_mode
	write_list
	write_one
	write_empty
	write_initial_ns
	write_malformed
	write_junk
	write_unknown
	write_too_much
	write_nul
	write_not_permitted
	write_through_open_file
"

# ---- the module loads ----

load_idle()
{
	load_nsgate
	check_bound
	unload_nsgate
	load_nsgate inode=
	check_bound
	unload_nsgate
	log_test "without inode=, or with an empty one, it loads idle"
}

load_list()
{
	load_nsgate inode="$inode1"
	check_bound "$inode1"
	unload_nsgate
	log_test "loads with one inode"

	load_nsgate inode="$inode3,$inode1,$inode2,$inode1"
	check_bound "$inode1" "$inode2" "$inode3"
	unload_nsgate
	log_test "loads with several inodes, in any order"
}

# The file of the parameter is there before the module is ready; which takes a
# while if namespaces die just then.
load_undisturbed()
{
	local i writer mortal

	while :; do
		write_inode +1 || true
	done 2>/dev/null &
	writer=$!
	for ((i = 0; i < 5; i++)); do
		setup_ns mortal
		cleanup_ns "$mortal"
		load_nsgate inode="$inode1" || check_err $? "somebody's write failed the load"
		nsgate_loaded || continue
		check_equal "parameter" "$inode1" "$(<$INODE_PARAM)"
		unload_nsgate
	done
	kill "$writer"
	wait "$writer" || true
	log_test "loads with what it is told to, whoever writes meanwhile"
}

load_refused()
{
	check_not_loaded ENXIO "$dead" "$dead"
	check_not_loaded ENXIO "$inode1,$inode2,$dead" "$dead"
	check_not_loaded ENXIO "$dead,$inode1" "$dead"
	check_not_loaded ENXIO "-$inode1" "$inode1"
	log_test "doesn't load with an inode of no namespace"

	check_not_loaded EINVAL "$inode1," '""'
	check_not_loaded EINVAL 0 '"0"'
	check_not_loaded EINVAL 4294967296 '"4294967296"'
	check_not_loaded EINVAL "$inode1 $inode2" "$inode1 $inode2"
	check_not_loaded EINVAL none '"none"'
	log_test "doesn't load with what is no number"

	check_not_loaded E2BIG "$(seq -s , 4097)" 4097
	log_test "doesn't load with more than 4096 targets"
}

load_not_permitted()
{
	check_not_loaded EPERM "$inode1" "lacks CAP_NET_ADMIN" \
		setpriv --bounding-set -net_admin
	log_test "doesn't load with targets without CAP_NET_ADMIN"

	check_not_loaded EPERM "$inode1" "lacks CAP_NET_ADMIN" in_ns "$ns2"
	log_test "doesn't load with targets from another network namespace"
}

# ---- the module is loaded ----

# The namespaces 1 and 2 are targets that have counted something.
prepare_targets()
{
	local ns

	nsgate_loaded || load_nsgate
	write_inode "$inode1,$inode2"
	for ns in "$ns1" "$ns2"; do
		in_ns "$ns" ping -qc 1 127.0.0.1 >/dev/null
	done
	[[ $(stat_of $HOST_VIEW/"$inode1"/stats input ipv4 icmp) != "0 0" &&
		$(stat_of $HOST_VIEW/"$inode2"/stats input ipv4 icmp) != "0 0" ]] ||
		check_err 1 "a ping was not counted"
}

file_mode()
{
	prepare_targets
	check_equal "mode and owner" "600 0 0" "$(stat -c '%a %u %g' $INODE_PARAM)"
	if setpriv --reuid 65534 --clear-groups cat $INODE_PARAM >/dev/null 2>&1; then
		check_err 1 "everybody can read it"
	fi
	log_test "the file is root's alone"

	check_equal "lines" 1 "$(wc -l <$INODE_PARAM)"
	check_bound "$inode1" "$inode2"
	log_test "reads the live targets in one line, comma separated"
}

write_list()
{
	local stats2

	prepare_targets
	check_taken "$inode1,$inode2"
	check_taken "$inode2,$inode1"$'\n'
	check_taken "$inode2,$inode1,$inode2"$'\n'
	check_taken "$(repeat "$inode1," 300)$inode2"$'\n'
	log_test "a list of what is bound changes nothing, in any order"

	stats2=$(<$HOST_VIEW/"$inode2"/stats)
	check_equal "error" ok "$(attempt "$inode3,$inode2"$'\n')"
	check_bound "$inode2" "$inode3"
	check_equal "figures of one that stays" "$stats2" "$(<$HOST_VIEW/"$inode2"/stats)"
	check_equal "figures of a new one" "0 0" \
		"$(stat_of $HOST_VIEW/"$inode3"/stats input ipv4 all)"
	log_test "a list binds new ones, releases missing ones, leaves the others"

	check_equal "error" ok "$(attempt "$inode1")"
	check_bound "$inode1"
	check_equal "figures of one that comes again" "0 0" \
		"$(stat_of $HOST_VIEW/"$inode1"/stats input ipv4 all)"
	log_test "a list may change everything, and end without a newline"
}

write_one()
{
	local stats1 stats2

	prepare_targets
	stats1=$(<$HOST_VIEW/"$inode1"/stats)
	stats2=$(<$HOST_VIEW/"$inode2"/stats)
	check_equal "error" ok "$(attempt "+$inode3"$'\n')"
	check_bound "$inode1" "$inode2" "$inode3"
	check_taken "+$inode3"$'\n'
	check_taken "+$inode1"
	check_equal "error" ok "$(attempt "-$inode2"$'\n')"
	check_bound "$inode1" "$inode3"
	check_equal "figures" "$stats1" "$(<$HOST_VIEW/"$inode1"/stats)"
	log_test "+N and -N bind and release one, and +N does it once"

	check_equal "error" ok "$(attempt "+$inode2")"
	check_bound "$inode1" "$inode2" "$inode3"
	[[ $stats2 != "$(<$HOST_VIEW/"$inode2"/stats)" ]] || check_err 1 "it kept its figures"
	check_equal "figures" "0 0" "$(stat_of $HOST_VIEW/"$inode2"/stats input ipv4 all)"
	log_test "what was released and is bound again starts at zero"
}

write_empty()
{
	prepare_targets
	check_taken ""
	log_test "a write of no bytes changes nothing"

	check_equal "error" ok "$(attempt $'\n')"
	check_bound
	check_equal "lines" 1 "$(wc -l <$INODE_PARAM)"
	check_taken $'\n'
	log_test "an empty line releases all"
}

write_initial_ns()
{
	prepare_targets
	check_equal "error" ok "$(attempt "+$initial")"
	check_bound "$inode1" "$inode2" "$initial"
	check_taken "+$initial"
	check_equal "error" ok "$(attempt "-$initial")"
	check_bound "$inode1" "$inode2"
	log_test "the initial namespace can be bound and released"
}

# ---- errors ----

write_malformed()
{
	local a=$inode1 b=$inode3

	prepare_targets
	check_refused EINVAL "," '""'
	check_refused EINVAL ",$a"$'\n' '""'
	check_refused EINVAL "$b,"$'\n' '""'
	check_refused EINVAL "$b,,$a"$'\n' '""'
	check_refused EINVAL "+" '""'
	check_refused EINVAL "-"$'\n' '""'
	log_test "EINVAL: nothing where a number should be"

	check_refused EINVAL "0" '"0"'
	check_refused EINVAL "+0"$'\n' '"0"'
	check_refused EINVAL "-0"$'\n' '"0"'
	check_refused EINVAL "$b,000"$'\n' '"000"'
	check_refused EINVAL "4294967296"$'\n' '"4294967296"'
	check_refused EINVAL "$b,4294967296"$'\n' '"4294967296"'
	check_refused EINVAL "+18446744073709551617" '"18446744073709551617"'
	check_refused EINVAL "-$((a + (1 << 32)))"$'\n' "\"$((a + (1 << 32)))\""
	log_test "EINVAL: zero, and more than 32 bits"

	check_refused EINVAL "+$b,$a"$'\n' "\"$b,$a\""
	check_refused EINVAL "-$a,$b"$'\n' "\"$a,$b\""
	check_refused EINVAL "$b,+$a"$'\n' "\"+$a\""
	check_refused EINVAL "$b,-$a"$'\n' "\"-$a\""
	check_refused EINVAL "+-$a"$'\n' "\"-$a\""
	check_refused EINVAL "++$b"$'\n' "\"+$b\""
	check_refused EINVAL "--$a"$'\n' "\"-$a\""
	log_test "EINVAL: more than one sign, and a sign in a list"
}

write_junk()
{
	local a=$inode1 b=$inode3

	prepare_targets
	check_refused EINVAL " $b"$'\n' "\" $b\""
	check_refused EINVAL "$b "$'\n' "\"$b \""
	check_refused EINVAL "$b, $a"$'\n' "\" $a\""
	check_refused EINVAL "$b $a"$'\n' "\"$b $a\""
	check_refused EINVAL "+ $b" "\" $b\""
	check_refused EINVAL " "$'\n' '" "'
	check_refused EINVAL $'\t\n' '"\t"'
	check_refused EINVAL $'\n\n' '"\n"' env
	check_refused EINVAL "$b"$'\n\n' "\"$b\\n\"" env
	check_refused EINVAL "$b"$'\n'"$a"$'\n' "\"$b\\n$a\"" env
	check_refused EINVAL "$b"$'\r\n' "\"$b\\r\""
	log_test "EINVAL: white space anywhere, but for the one newline"

	check_refused EINVAL "0x10"$'\n' '"0x10"'
	check_refused EINVAL "$b;"$'\n' "\"$b;\""
	check_refused EINVAL "$b,$a.0"$'\n' "\"$a.0\""
	check_refused EINVAL "1e9"$'\n' '"1e9"'
	check_refused EINVAL "net:[$b]"$'\n' "\"net:[$b]\""
	check_refused EINVAL "all"$'\n' '"all"'
	check_refused EINVAL $'\331\243\n' '"\xd9\xa3"'
	check_refused EINVAL '%s%n'$'\n' '"%s%n"'
	log_test "EINVAL: other text, and trailing junk"

	check_refused EINVAL "$(repeat 7 5000)"$'\n' "a line of $(getconf PAGESIZE) bytes" env
	check_refused EINVAL "$(repeat "$b," 500)$b"$'\n' "a line of $(getconf PAGESIZE) bytes" env
	log_test "EINVAL: a line that is too long to come in one piece"
}

write_unknown()
{
	local pid_ns

	pid_ns=$(stat -Lc %i /proc/$$/ns/pid)
	prepare_targets
	check_refused ENXIO "1"$'\n' 1
	check_refused ENXIO "4294967295"$'\n' 4294967295
	check_refused ENXIO "$dead" "$dead"
	check_refused ENXIO "+$dead"$'\n' "$dead"
	check_refused ENXIO "+$pid_ns"$'\n' "$pid_ns"
	log_test "ENXIO: no network namespace has that inode"

	check_refused ENXIO "$inode3,$inode1,$dead"$'\n' "$dead"
	check_refused ENXIO "$dead,$inode3"$'\n' "$dead"
	check_refused ENXIO "$inode3,$dead,$inode1"$'\n' "$dead"
	log_test "ENXIO: one of a list, and none of it is done"

	check_refused ENXIO "-$inode3"$'\n' "$inode3"
	check_refused ENXIO "-1"$'\n' 1
	check_refused ENXIO "-$dead"$'\n' "$dead"
	log_test "ENXIO: what isn't a target can't be released"
}

write_too_much()
{
	prepare_targets
	check_refused ENXIO "$(seq -s , 256)"$'\n' 1
	log_test "ENXIO: a long list, of which the first is none"
}

# What the kernel hands to a parameter ends at a NUL.
write_nul()
{
	prepare_targets
	check_refused ENXIO "$dead"'\x00'"$inode3"$'\n' "$dead"
	check_refused EINVAL "$inode3,"'\x00'"$inode1"$'\n' '""'
	log_test "a NUL ends the text"
}

# A user namespace whose root is the given user outside.
as_userns_root_of()
{
	local user=$1
	shift

	setpriv --reuid "$user" --regid "$user" --clear-groups unshare -Ur "$@"
}

# The line in the log comes ten times in five seconds at most, from each module
# that is loaded.
reset_log_limit()
{
	! nsgate_loaded || unload_nsgate
}

write_not_permitted()
{
	reset_log_limit
	prepare_targets
	check_refused EPERM "+$inode3"$'\n' "lacks CAP_NET_ADMIN" \
		setpriv --bounding-set -net_admin
	check_refused EPERM $'\n' "lacks CAP_NET_ADMIN" setpriv --bounding-set -net_admin
	check_refused EPERM "none"$'\n' "lacks CAP_NET_ADMIN" \
		setpriv --bounding-set -net_admin
	check_refused EPERM "-$inode1"$'\n' dd setpriv --bounding-set -net_admin
	log_test "EPERM: user 0 without CAP_NET_ADMIN"

	check_refused EPERM "+$inode3"$'\n' "lacks CAP_NET_ADMIN" in_ns "$ns3"
	check_refused EPERM "-$inode1"$'\n' "lacks CAP_NET_ADMIN" in_ns "$ns1"
	check_refused EPERM $'\n' "lacks CAP_NET_ADMIN" in_ns "$ns1"
	log_test "EPERM: in another network namespace"

	check_refused EPERM "-$inode1"$'\n' "lacks CAP_NET_ADMIN" as_userns_root_of 0
	check_refused EPERM "+$inode3"$'\n' "lacks CAP_NET_ADMIN" unshare -Urn
	log_test "EPERM: root in a user namespace, who is user 0 outside"

	check_equal "error" EACCES "$(attempt $'\n' as_userns_root_of 65534)"
	check_bound "$inode1" "$inode2"
	log_test "EACCES: root in a user namespace, who is somebody outside"

	check_equal "error" ok "$(attempt "+$inode3" in_ns "$ns1" nsenter --net=/proc/$$/ns/net)"
	check_bound "$inode1" "$inode2" "$inode3"
	log_test "one who has come back from another network namespace may"
}

# The process that writes counts, not the one that opened the file.
write_through_open_file()
{
	reset_log_limit
	prepare_targets
	check_refused EPERM $'\n' "lacks CAP_NET_ADMIN" through setpriv --bounding-set -net_admin
	check_refused EPERM $'\n' "lacks CAP_NET_ADMIN" through as_userns_root_of 65534
	check_refused EPERM $'\n' "lacks CAP_NET_ADMIN" through in_ns "$ns3"
	check_equal "error" ok "$(attempt "-$inode1" through env)"
	check_bound "$inode2"
	log_test "EPERM: through a file that the host has opened"
}

# hold NAMESPACE INODE: starts a process in it, through whose /proc/PID/net its own
# view can be seen without an exec.
hold()
{
	nsenter --net="/run/netns/$1" sleep infinity &
	busywait $BUSYWAIT_TIMEOUT test "/proc/$!/ns/net" -ef "/run/netns/$1" ||
		die "no process comes up in $1"
	holders[$!]=$2
}

checktool "ping -V" "run ping"
checktool "setpriv --version" "run setpriv"
checktool "unshare -Ur true" "make a user namespace"

initial=$(stat -Lc %i /proc/$$/ns/net)
setup_ns ns1 ns2 ns3 ns4
{
	read -r inode1
	read -r inode2
	read -r inode3
	read -r dead
} < <(ns_inode "$ns1" "$ns2" "$ns3" "$ns4")
hold "$ns1" "$inode1"
hold "$ns2" "$inode2"
hold "$ns3" "$inode3"

load_nsgate
cleanup_ns "$ns4"
busywait $BUSYWAIT_TIMEOUT eval "! grep -q ^$dead $HOST_VIEW/namespaces" ||
	die "net:[$dead] doesn't die"
unload_nsgate

loader=(insmod "$(find_module)")
[[ ${loader[1]} ]] || loader=(modprobe nsgate)

tests_run
