#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, The two views
#
# Only targets are metered, each by itself; and who may see what.
#
#   left                   hub                     right
#   +---------+         +---------------+         +---------+
#   |      l0 |---------| h0         h1 |---------| r0      |
#   |      .2 |10.9.1/24| .1         .1 |10.9.2/24| .2      |
#   |     ::2 |fd09:1:: | ::1       ::1 |fd09:2:: | ::2     |
#   |         |         +---------------+         +---------+
#   |         |  10.9.3/24        initial network namespace
#   |      l1 |---------------------- $init_device
#   |      .2 |                    .1
#   +---------+
#
# left is a target from the beginning. hub forwards and is none most of the
# time, right becomes one and ceases to be one.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="others_have_no_view others_do_not_count views_agree
	namespaces_lists_all namespaces_tells_cookies
	targets_are_separate list_keeps_figures modes_and_owners
	unprivileged_owner initial_namespace"

here=$(dirname "$(realpath "$0")")
left='' hub='' right='' tenant=()
random_number init_device
printf -v init_device 'nsg%08x' "$init_device"

setup()
{
	setup_ns left hub right
	left_inode=$(ns_inode "$left")
	hub_inode=$(ns_inode "$hub")
	right_inode=$(ns_inode "$right")
	init_inode=$(stat -Lc %i /proc/self/ns/net)
	load_nsgate "inode=$left_inode"
	setup_links
}

setup_links()
{
	in_ns "$hub" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	connect "$hub" h0 "$left" l0 1
	connect "$hub" h1 "$right" r0 2
	ip -batch - <<-END
		link add $init_device type veth peer name l1 netns $left
		addr add 10.9.3.1/24 dev $init_device
		link set $init_device up
	END
	ip -n "$left" -batch - <<-END
		addr add 10.9.3.2/24 dev l1
		link set l1 up
	END
}

# talk NAMESPACE COUNT ADDRESS...
talk()
{
	local address

	for address in "${@:3}"; do
		in_ns "$1" ping -q -c "$2" -i 0.02 "$address" >/dev/null ||
			check_err $? "no answer from $address"
	done
}

stats()
{
	echo "$HOST_VIEW/$1/stats"
}

# The rows that the kernel by itself adds nothing to: it sends multicast
# listener reports and looks for neighbours whenever it likes.
steady()
{
	grep -Ev ' (ipv6 (all|icmp)|netdev [^ ]*) ' "$(stats "$1")"
}

# check_stat "PACKETS BYTES" INODE HOOK FAMILY PROTO
check_stat()
{
	check_reaches "$1" "net:[$2] ${*:3}" stat_of "$(stats "$2")" "${@:3}"
}

no_own_view()
{
	! in_ns "$1" test -e /proc/net/nsgate || check_err 1 "$1 has an own view"
}

entries()
{
	local -a paths=("$1"/*)

	echo "${paths[@]##*/}"
}

# Traffic of left goes through hub to right, and to the initial namespace.
others_have_no_view()
{
	talk "$left" 5 10.9.2.2 fd09:2::2 10.9.3.1
	check_stat "10 840" "$left_inode" output ipv4 icmp
	no_own_view "$hub"
	no_own_view "$right"
	check_equal "entries of the host view" "$left_inode auto namespaces" "$(entries $HOST_VIEW)"
	check_equal "entries of left's own view" "flows state stats" \
		"$(in_ns "$left" sh -c 'cd /proc/net/nsgate && echo *')"
	check_equal "targets" "$left_inode" "$(<$INODE_PARAM)"
	log_test "who is no target has no view, whatever goes through it"
}

# The traffic of before went through hub and right as well; had they counted
# it, a figure would be there when they are bound, or in left.
others_do_not_count()
{
	local inode before

	before=$(steady "$left_inode")
	talk "$right" 5 10.9.2.1 fd09:2::1
	talk "$hub" 5 10.9.2.2 127.0.0.1
	ping -q -c 5 -i 0.02 127.0.0.1 >/dev/null
	check_equal "left's figures when others talk" "$before" "$(steady "$left_inode")"
	check_same_as_snmp "$left" "$(stats "$left_inode")"

	for inode in $hub_inode $right_inode; do
		write_inode "+$inode"
		check_equal "IPv4 of net:[$inode] when it is bound" "0 0" \
			"$(stat_of "$(stats "$inode")" prerouting ipv4 all)"
		write_inode "-$inode"
	done
	log_test "who is no target counts nothing, and not in a target either"
}

# Prints a difference between what the files say; nothing may count meanwhile.
same_text()
{
	local first file

	first=$(<"$1")
	for file in "${@:2}" "$1"; do
		diff -U 0 --label "$1" --label "$file" <(echo "$first") "$file" || return
	done
}

check_same_text()
{
	local difference status=0

	difference=$(busywait 30000 same_text "$@") || status=$?
	check_err $status "views differ: $difference"
}

in_namespace()
{
	[[ $(readlink "/proc/$1/ns/net") == "net:[$2]" ]]
}

# A process in left, $!. It is in the foreground of nobody.
stay_in()
{
	nsenter --net="/run/netns/$1" -- sleep infinity &
	busywait $BUSYWAIT_TIMEOUT in_namespace $! "$(ns_inode "$1")"
}

# What the kernel sends on its own account may come between the two.
same_own_state()
{
	diff -U 0 <(grep -v bound_seconds "$HOST_VIEW/$left_inode/state") \
		<(in_ns "$left" grep -v bound_seconds /proc/net/nsgate/state)
}

views_agree()
{
	local file own difference status=0

	stay_in "$left"
	for file in stats state; do
		own=/proc/$!/net/nsgate/$file
		check_same_text "$HOST_VIEW/$left_inode/$file" "$own"
	done
	# By the process that reads, not by one that is known from outside.
	difference=$(busywait 30000 same_own_state) || status=$?
	check_err $status "views differ: $difference"
	kill $!
	log_test "host view, own view and /proc/PID/net say the same"
}

# The live namespaces, by what holds them: a process, or a name.
living()
{
	{
		lsns -rnt net -o NS
		stat -Lc %i /run/netns/*
	} | sort -u
}

same_namespaces()
{
	diff -U 0 <(living) <(sed 1d $HOST_VIEW/namespaces | awk '{ print $1 }' | sort)
}

# devices BOUND NAMESPACE...: rows without the cookies, as ip knows them.
expected_rows()
{
	local mark=$1 ns
	shift

	for ns; do
		echo "$(ns_inode "$ns") $(in_ns "$ns" ip -o link | wc -l) $mark"
	done
}

namespaces_lists_all()
{
	local difference found status=0

	difference=$(busywait $BUSYWAIT_TIMEOUT same_namespaces) || status=$?
	check_err $status "expected (-) and found (+): $difference"
	check_equal "header" "inode cookie devices bound" "$(awk 'NR == 1 { print $1, $2, $3, $4 }' $HOST_VIEW/namespaces)"
	check_equal "columns" 4 "$(awk '{ print NF }' $HOST_VIEW/namespaces | sort -u)"
	found=$(awk '{ print $1, $3, $4 }' $HOST_VIEW/namespaces)
	while read -r row; do
		[[ $'\n'$found$'\n' == *$'\n'$row$'\n'* ]] || check_err 1 "no row '$row' in: $found"
	done < <(
		expected_rows '***' "$left"
		expected_rows - "$hub" "$right"
		echo "$init_inode $(ip -o link | wc -l) -"
	)
	log_test "namespaces: every live one, its devices, and whether it is bound"
}

# Reads the cookies of namespaces from sockets in them.
socket_cookies()
{
	python3 - "$@" <<-'END'
		import ctypes, os, socket, sys
		SO_NETNS_COOKIE = 71
		libc = ctypes.CDLL(None, use_errno=True)
		for path in sys.argv[1:]:
		    with open(path) as namespace:
		        if libc.setns(namespace.fileno(), 0):
		            sys.exit(os.strerror(ctypes.get_errno()))
		        inode = os.fstat(namespace.fileno()).st_ino
		    try:
		        cookie = socket.socket().getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8)
		    except OSError as error:
		        print(error)
		        sys.exit(4)
		    print(inode, int.from_bytes(cookie, sys.byteorder))
	END
}

namespaces_tells_cookies()
{
	local row rows status=0

	rows=$(socket_cookies /proc/self/ns/net "/run/netns/$left" "/run/netns/$hub") || status=$?
	if ((status == ksft_skip)); then
		log_test_skip "namespaces: the cookies are those of the kernel" "$rows"
		return
	fi
	check_err $status "could not read the cookies"
	while read -r row; do
		grep -Eq "^${row/ / +} " $HOST_VIEW/namespaces || check_err 1 "no row with $row"
	done <<<"$rows"
	log_test "namespaces: the cookies are those of the kernel"
}

targets_are_separate()
{
	local before

	write_inode "+$right_inode"
	before=$(steady "$left_inode")
	talk "$right" 7 10.9.2.1
	check_stat "7 588" "$right_inode" output ipv4 icmp
	check_stat "7 588" "$right_inode" prerouting ipv4 icmp
	check_equal "left's figures while right talks" "$before" "$(steady "$left_inode")"

	before=$(steady "$right_inode")
	talk "$left" 3 10.9.1.1
	check_stat "13 1092" "$left_inode" output ipv4 icmp
	check_equal "right's figures while left talks" "$before" "$(steady "$right_inode")"

	talk "$left" 2 10.9.2.2
	check_stat "15 1260" "$left_inode" output ipv4 icmp
	check_stat "9 756" "$right_inode" input ipv4 icmp
	check_same_as_snmp "$left" "$(stats "$left_inode")"
	log_test "two targets at once have figures of their own"
}

# All but what time and neighbours change.
identity()
{
	steady "$1"
	grep -E '^(version|status|inode|cookie|devices|policy) ' "$HOST_VIEW/$1/state"
}

list_keeps_figures()
{
	local list left_before right_before

	left_before=$(identity "$left_inode")
	right_before=$(identity "$right_inode")
	for list in "$left_inode,$right_inode" "$right_inode,$left_inode,$hub_inode" \
		"$hub_inode,$left_inode,$right_inode" "$right_inode,$left_inode" "+$hub_inode" \
		"-$hub_inode" "+$left_inode" "$left_inode,$left_inode,$right_inode"; do
		write_inode "$list"
		check_equal "left after '$list'" "$left_before" "$(identity "$left_inode")"
		check_equal "right after '$list'" "$right_before" "$(identity "$right_inode")"
	done
	write_inode "$left_inode"
	check_equal "left without right" "$left_before" "$(identity "$left_inode")"
	[[ ! -e $HOST_VIEW/$right_inode ]] || check_err 1 "right is left in the host view"
	no_own_view "$right"
	no_own_view "$hub"

	talk "$left" 2 10.9.1.1
	check_stat "17 1428" "$left_inode" output ipv4 icmp
	check_same_as_snmp "$left" "$(stats "$left_inode")"
	write_inode "$left_inode,$right_inode"
	check_equal "right that was bound anew" "0 0" \
		"$(stat_of "$(stats "$right_inode")" output ipv4 all)"
	log_test "a new list keeps the figures of those that stay"
}

# check_refused USER COMMAND...: it is for want of permission that it fails.
check_refused()
{
	local user=$1 errors
	shift

	if errors=$(setpriv --reuid "$user" --regid "$user" --clear-groups -- "$@" 2>&1 >/dev/null); then
		check_err 1 "user $user may $*"
	elif [[ $errors != *"Permission denied"* ]]; then
		check_err 1 "user $user: $errors"
	fi
}

modes_and_owners()
{
	local own

	check_equal "the host view" "root root 500 directory" "$(stat -c '%U %G %a %F' $HOST_VIEW)"
	check_equal "namespaces" "0 0 400" "$(stat -c '%u %g %a' $HOST_VIEW/namespaces)"
	check_equal "directory of a target" "0 0 500" "$(stat -c '%u %g %a' "$HOST_VIEW/$left_inode")"
	check_equal "files of a target" $'flows 0 0 400\ngate 0 0 600\nlimit 0 0 600\nstate 0 0 400\nstats 0 0 400' \
		"$(cd "$HOST_VIEW/$left_inode" && stat -c '%n %u %g %a' ./* | cut -c 3-)"
	check_refused 65534 cat $HOST_VIEW/namespaces
	check_refused 65534 cat "$(stats "$left_inode")"

	stay_in "$left"
	own=/proc/$!/net/nsgate
	check_equal "files of the own view" $'0 0 440\n0 0 440\n0 0 440' \
		"$(stat -c '%u %g %a' "$own"/{flows,state,stats})"
	check_refused 65534 cat "$own/stats"
	setpriv --reuid 65534 --regid 65534 --clear-groups cat "${own%/*}/snmp" >/dev/null ||
		check_err $? "user 65534 could not read anything there"
	setpriv --reuid 65534 --regid 0 --clear-groups cat "$own/stats" >/dev/null ||
		check_err $? "the group may not read the own view"
	! { echo 1 >"$own/stats"; } 2>/dev/null || check_err 1 "the own view can be written"
	kill $!
	log_test "modes and owners: the host's files, and the own view of root"
}

# A shell as root of a user namespace of its own, in a network namespace that
# this one owns. ask() has it do something.
start_tenant()
{
	coproc tenant {
		exec setpriv --reuid 4711 --regid 4712 --clear-groups \
			unshare -Urn bash 2>&1
	}
	tenant_pid=$!
	check_equal "tenant" "0" "$(ask id -u)"
}

ask()
{
	local line

	echo "{ $*; } 2>&1; echo :end" >&"${tenant[1]}"
	while read -r line <&"${tenant[0]}" && [[ $line != :end ]]; do
		echo "$line"
	done
	[[ $line == :end ]]
}

unprivileged_owner()
{
	local inode own

	if ! setpriv --reuid 4711 --regid 4712 --clear-groups unshare -Urn true; then
		log_test_skip "modes and owners: the own view of an unprivileged owner" \
			"an unprivileged user gets no user namespace"
		return
	fi
	start_tenant
	own=/proc/$tenant_pid/net/nsgate
	inode=$(stat -Lc %i "/proc/$tenant_pid/ns/net")
	write_inode "+$inode"
	check_equal "files from outside" $'4711 4712 440\n4711 4712 440\n4711 4712 440' \
		"$(stat -c '%u %g %a' "$own"/{flows,state,stats})"
	check_equal "files from inside" "0 0 440" "$(ask stat -c "'%u %g %a'" /proc/net/nsgate/stats)"
	check_equal "files in the host view" "0 0 400" "$(stat -c '%u %g %a' "$(stats "$inode")")"
	check_equal "stats from inside" "$(<"$(stats "$inode")")" "$(ask cat /proc/net/nsgate/stats)"
	[[ $(ask "echo 1 >/proc/net/nsgate/stats") ]] || check_err 1 "its root can write stats"
	check_refused 4713 cat "$own/stats"
	setpriv --reuid 4711 --regid 4711 --clear-groups cat "$own/stats" >/dev/null ||
		check_err $? "the owner can't read stats from outside"

	ask ip link set lo up >/dev/null
	ask ping -q -c 4 -i 0.2 127.0.0.1 >/dev/null
	check_stat "8 672" "$inode" prerouting ipv4 icmp
	write_inode "-$inode"
	echo exit >&"${tenant[1]}"
	wait $tenant_pid || true
	log_test "modes and owners: the own view of an unprivileged owner"
}

initial_namespace()
{
	local before

	write_inode "+$init_inode"
	check_equal "entries of the host view" "$init_inode $left_inode $right_inode auto flows namespaces state stats" \
		"$(entries $HOST_VIEW)"
	check_equal "own view" $'0 0 440\n0 0 440\n0 0 440' \
		"$(stat -c '%u %g %a' $HOST_VIEW/{flows,state,stats})"
	check_equal "row" "***" "$(awk -v inode="$init_inode" '$1 == inode { print $4 }' $HOST_VIEW/namespaces)"
	before=$(steady "$left_inode")
	# Nobody else sends this protocol.
	echo "raw 127.0.0.1 5 253" | "$here/send.py" >/dev/null
	check_stat "5 200" "$init_inode" output ipv4 other
	check_stat "5 200" "$init_inode" prerouting ipv4 other
	check_equal "left's figures" "$before" "$(steady "$left_inode")"
	check_same_text $HOST_VIEW/stats "$(stats "$init_inode")"
	check_same_text $HOST_VIEW/state "$HOST_VIEW/$init_inode/state"
	no_own_view "$hub"

	write_inode "-$init_inode"
	check_equal "entries without it" "$left_inode $right_inode auto namespaces" \
		"$(entries $HOST_VIEW)"
	log_test "the initial namespace is a target like others"
}

checktool "ping -V" "run ping"
checktool "python3 -c pass" "run python3"
setup
tests_run
