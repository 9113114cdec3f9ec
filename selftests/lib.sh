#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests of nsgate share; every one of them begins by sourcing it. The
# names are those of the kernel's tools/testing/selftests/net/lib.sh where it
# has them.
#
# A test sets ALL_TESTS to the names of functions and ends with tests_run. Such
# a function may call check_err as often as it likes, and ends each thing that
# it tests with log_test. A command that fails where none is expected to fail
# ends the test, as a failure. The verdict is what the script exits with, and
# is found after all was cleaned up and nothing of us was left. What at_end does,
# if the test has such a function, is part of that.

set -eu -E -o pipefail
export LC_ALL=C
shopt -s extglob

: "${WAIT_TIMEOUT:=60}"

# shellcheck disable=SC2034 # for those who source us
BUSYWAIT_TIMEOUT=$((WAIT_TIMEOUT * 1000)) # ms

ksft_pass=0
ksft_fail=1
ksft_skip=4

# shellcheck disable=SC2034
INODE_PARAM=/sys/module/nsgate/parameters/inode
# shellcheck disable=SC2034
HOST_VIEW=/proc/net/nsgate

NS_LIST=()	# namespaces of setup_ns that are there
NS_INODES=()	# of all that were ever there
RET=0		# of the sub-case that runs
retmsg=
passed=0
failed=0
skipped=0
tests_done=
tmp=		# of setup_tmp

# ---- waiting ----

# Repeats a command until it succeeds, for so many milliseconds at most.
loopy_wait()
{
	local pause=$1 timeout_ms=$2 out
	local -i end
	shift 2

	end=$((${EPOCHREALTIME/./} / 1000 + timeout_ms))
	until out=$("$@"); do
		if ((${EPOCHREALTIME/./} / 1000 > end)); then
			printf '%s' "$out"
			return 1
		fi
		sleep "$pause"
	done
	printf '%s' "$out"
}

# busywait MILLISECONDS COMMAND...
busywait()
{
	loopy_wait 0.05 "$@"
}

# slowwait SECONDS COMMAND...
slowwait()
{
	local seconds=$1
	shift

	loopy_wait 0.5 "$((seconds * 1000))" "$@"
}

# ---- results ----

# check_err STATUS MESSAGE: the sub-case has failed if STATUS isn't 0.
check_err()
{
	if ((RET == 0 && $1 != 0)); then
		RET=$ksft_fail
		retmsg=${2-}
	fi
}

# check_fail STATUS MESSAGE: the sub-case has failed if STATUS is 0.
check_fail()
{
	check_err "$((!$1))" "${2-}"
}

# check_equal WHAT EXPECTED FOUND
check_equal()
{
	[[ $2 == "$3" ]] || check_err 1 "$1: expected '$2', found '$3'"
}

# log_test NAME: tells the result of a sub-case, and starts the next one.
log_test()
{
	if ((RET == 0)); then
		printf 'TEST: %-62s [ OK ]\n' "$1"
		passed=$((passed + 1))
	else
		printf 'TEST: %-62s [FAIL]\n' "$1"
		[[ ! $retmsg ]] || printf '\t%s\n' "${retmsg//$'\n'/$'\n\t'}"
		failed=$((failed + 1))
	fi
	RET=0
	retmsg=
}

# log_test_skip NAME WHY
log_test_skip()
{
	printf 'TEST: %-62s [SKIP]\n\t%s\n' "$1" "$2"
	skipped=$((skipped + 1))
	RET=0
	retmsg=
}

tests_run()
{
	local test

	# shellcheck disable=SC2153 # what the test sets
	for test in ${TESTS:-$ALL_TESTS}; do
		$test
	done
	tests_done=yes
}

# Ends the test, for a reason that is no fault of nsgate.
skip()
{
	echo "SKIP: $*"
	exit $ksft_skip
}

die()
{
	echo "FAIL: $*"
	exit $ksft_fail
}

# checktool COMMAND WHAT: skips the test if COMMAND fails.
checktool()
{
	# shellcheck disable=SC2086 # a command with its arguments
	eval $1 >/dev/null 2>&1 || skip "could not $2"
}

# Makes directory $tmp, which is gone when the test ends.
setup_tmp()
{
	tmp=$(mktemp -d)
}

# ---- network namespaces ----

# setup_ns NAME...: makes a namespace for each, whose name is put in variable
# NAME. They are gone when the test ends.
setup_ns()
{
	local ns_name
	local -a added=()

	for ns_name; do
		[[ $ns_name =~ ^[a-z][a-z0-9_]*$ ]] || die "setup_ns $ns_name: not a name"
		printf -v "$ns_name" '%s-%08x' "${ns_name//_/-}" "$SRANDOM"
		ip netns add "${!ns_name}" || die "could not add namespace ${!ns_name}"
		NS_LIST+=("${!ns_name}")
		added+=("/run/netns/${!ns_name}")
		ip -n "${!ns_name}" link set lo up
	done
	mapfile -t -O ${#NS_INODES[@]} NS_INODES < <(stat -Lc %i "${added[@]}")
}

# count_devices NS: a kernel with tunnels built in gives some to each namespace.
count_devices()
{
	ip -n "$1" -o link | wc -l
}

# cleanup_ns NAME...
cleanup_ns()
{
	local ns status=0
	local -a kept=()

	for ns; do
		ip netns pids "$ns" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
		ip netns delete "$ns" || status=1
	done
	for ns in "${NS_LIST[@]}"; do
		[[ ! -e /run/netns/$ns ]] || kept+=("$ns")
	done
	NS_LIST=("${kept[@]}")
	return $status
}

cleanup_all_ns()
{
	cleanup_ns "${NS_LIST[@]}"
}

# in_ns NAME COMMAND...: as ip netns exec, without mounts that take long.
in_ns()
{
	local ns=$1
	shift

	nsenter --net="/run/netns/$ns" -- "$@"
}

# ns_inode NAME...
ns_inode()
{
	stat -Lc %i "${@/#//run/netns/}"
}

# connect ROUTER DEVICE END DEVICE NET: a pair of veth devices. ROUTER has
# 10.9.NET.1 and fd09:NET::1, and END .2 and ::2, from where all goes by ROUTER.
connect()
{
	ip -n "$1" -batch - <<-END
		link add $2 type veth peer name $4 netns $3
		addr add 10.9.$5.1/24 dev $2
		addr add fd09:$5::1/64 dev $2 nodad
		link set $2 up
	END
	ip -n "$3" -batch - <<-END
		addr add 10.9.$5.2/24 dev $4
		addr add fd09:$5::2/64 dev $4 nodad
		link set $4 up
		route add default via 10.9.$5.1
		route add default via fd09:$5::1
	END
}

# connect_quietly, the same: with IPv4 only, and such that nothing is sent that
# isn't asked for.
connect_quietly()
{
	local mac=02:00:00:09:0$5

	ip -n "$1" -batch - <<-END
		link add $2 address $mac:01 type veth peer name $4 address $mac:02 netns $3
		link set $2 addrgenmode none
		addr add 10.9.$5.1/24 dev $2
		link set $2 up
		neigh add 10.9.$5.2 lladdr $mac:02 dev $2
	END
	ip -n "$3" -batch - <<-END
		link set $4 addrgenmode none
		addr add 10.9.$5.2/24 dev $4
		link set $4 up
		neigh add 10.9.$5.1 lladdr $mac:01 dev $4
		route add default via 10.9.$5.1
	END
}

# ---- nsgate ----

# The module to test: $NSGATE_KO, or what was built in the source tree that we
# are in, or else the one that is installed.
find_module()
{
	local top file

	top=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
	for file in ${NSGATE_KO:+"$NSGATE_KO"} "$top/build/$(uname -r)/nsgate.ko" "$top/nsgate.ko"; do
		if [[ -e $file || $file == "${NSGATE_KO-}" ]]; then
			echo "$file"
			return
		fi
	done
}

# load_nsgate [PARAMETER=VALUE...]
# shellcheck disable=SC2120 # no parameter is usual
load_nsgate()
{
	[[ ${nsgate_ko+found} ]] || nsgate_ko=$(find_module)
	if [[ $nsgate_ko ]]; then
		insmod "$nsgate_ko" "$@"
	else
		modprobe nsgate "$@"
	fi
}

unload_nsgate()
{
	rmmod nsgate
}

nsgate_loaded()
{
	[[ -e /sys/module/nsgate ]]
}

# find_test_module NAME: a module of selftests/modules, if it was built.
find_test_module()
{
	local top

	top=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
	echo "$top/build/$(uname -r)/selftests/$1.ko"
}

# setup_program NAME: puts in variable NAME where the program of NAME.c is: beside
# it, or in the source tree that we are in, or made now.
setup_program()
{
	local directory file

	directory=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
	for file in "$directory/$1" "$directory/../build/selftests/$1"; do
		if [[ $file -nt $directory/$1.c ]]; then
			printf -v "$1" %s "$file"
			return
		fi
	done
	checktool "cc --version" "find a C compiler"
	[[ $tmp ]] || setup_tmp
	cc -O2 -o "$tmp/$1" "$directory/$1.c" || die "could not compile $1.c"
	printf -v "$1" %s "$tmp/$1"
}

# write_inode TEXT: to the parameter, in one write. Fails as the write does;
# bash says the error on stderr.
write_inode()
{
	printf '%s\n' "$1" >$INODE_PARAM
}

# stat_of FILE HOOK FAMILY PROTO: packets and bytes, 0 0 if there is no row.
# Execs nothing.
stat_of()
{
	local hook family proto packets bytes

	while read -r hook family proto packets bytes _; do
		if [[ "$hook $family $proto" == "$2 $3 $4" ]]; then
			echo "$packets $bytes"
			return
		fi
	done <"$1"
	echo 0 0
}

# state_of FILE KEY: its value. Execs nothing.
state_of()
{
	local key value

	while read -r key value; do
		if [[ $key == "$2" ]]; then
			echo "$value"
			return
		fi
	done <"$1"
}

# ---- figures that are awaited ----

says()
{
	local found

	found=$("${@:2}")
	echo "$found"
	[[ $found == "$1" ]]
}

# check_reaches EXPECTED WHAT COMMAND...: that COMMAND says so, sooner or later: a
# packet that was sent is still on its way for a while. What has failed has
# failed, and waits no more.
check_reaches()
{
	local found status=0

	((RET == 0)) || return 0
	found=$(busywait 20000 says "$1" "${@:3}") || status=$?
	check_err $status "$2: expected $1, found $found"
}

# Nothing may count between two readings, or they can't be compared.
same_figures()
{
	local expected found again

	found=$($2)
	expected=$($1)
	again=$($2)
	diff -U 0 <(echo "$expected") <(echo "$found") && [[ $found == "$again" ]]
}

# check_same_figures WHAT EXPECTED FOUND: that two commands, each given as a line
# of words, come to say the same.
check_same_figures()
{
	local difference status=0

	difference=$(busywait 30000 same_figures "$2" "$3") || status=$?
	check_err $status "$1 (-) and nsgate (+) differ: $difference"
}

# ---- what the namespace itself counts ----

# The figures that /proc/net/snmp, netstat and snmp6 of namespace $1 have for
# hooks of ours, by the kernel's names.
snmp()
{
	local name value i
	local -a names values

	while read -r name value; do
		if [[ $name != Ip: && $name != IpExt: ]]; then
			[[ $name != Ip6@(InReceives|InOctets|OutRequests) ]] || echo "$name $value"
			continue
		fi
		read -ra names <<<"$value"
		read -r _ value
		read -ra values <<<"$value"
		for i in "${!names[@]}"; do
			[[ ${names[i]} != @(InReceives|InOctets|OutRequests) ]] ||
				echo "Ip${names[i]} ${values[i]}"
		done
	done < <(in_ns "$1" cat /proc/net/snmp /proc/net/netstat /proc/net/snmp6)
}

# The same from the stats file $1.
snmp_of_stats()
{
	local hook family proto packets bytes
	local -A all

	while read -r hook family proto packets bytes _; do
		[[ $proto != all ]] || all[$hook $family]="$packets $bytes"
	done <"$1"
	echo "IpInReceives ${all[prerouting ipv4]% *}"
	echo "IpOutRequests ${all[output ipv4]% *}"
	echo "IpInOctets ${all[prerouting ipv4]#* }"
	echo "Ip6InReceives ${all[prerouting ipv6]% *}"
	echo "Ip6OutRequests ${all[output ipv6]% *}"
	echo "Ip6InOctets ${all[prerouting ipv6]#* }"
}

# check_same_as_snmp NAMESPACE FILE: for a namespace that was bound when it was
# new, and doesn't forward: before Linux 6.7, what it forwards is in
# IpOutRequests.
check_same_as_snmp()
{
	check_same_figures "$1: snmp" "snmp $1" "snmp_of_stats $2"
}

# ---- the kernel log ----

# Leaves a mark in the kernel log, and prints it.
log_mark()
{
	local mark

	printf -v mark 'nsgate selftest: %s %08x' "${0##*/}" "$SRANDOM"
	echo "$mark" >/dev/kmsg
	echo "$mark"
}

# log_since MARK: the kernel log since then, all of it if that is too long ago.
log_since()
{
	dmesg | awk -v mark="$1" '
		index($0, mark) { n = 0; next }
		{ line[n++] = $0 }
		END { for (i = 0; i < n; i++) print line[i] }'
}

# ---- the end ----

complaints='WARNING:|BUG:|BUG |Oops|Kernel panic|Call Trace|general protection'
complaints+='|Unable to handle|INFO: |stall|lockup|suspicious RCU|possible .*lock'
complaints+='|scheduling while atomic|sleeping function|refcount_t|ODEBUG'
complaints+='|UBSAN|kmemleak|leaked|unregister_netdevice|remove_proc_entry'
complaints+="|proc_dir_entry '|sysfs: cannot|nf_unregister|bad page|Bad page"

# The bits that a bad page, an oops, a warning and a soft lockup leave.
taint()
{
	echo $(($(</proc/sys/kernel/tainted) & (1 << 5 | 1 << 7 | 1 << 9 | 1 << 14)))
}

# Succeeds once no namespace of ours lives. A namespace dies some time after it
# was deleted, by a worker of the kernel.
ns_are_dead()
{
	local inode

	while read -r inode _; do
		if [[ " ${NS_INODES[*]} " == *" $inode "* ]]; then
			echo "$inode"
			return 1
		fi
	done <$HOST_VIEW/namespaces
}

check_module()
{
	local left status=0

	nsgate_loaded || return 0
	left=$(busywait $BUSYWAIT_TIMEOUT ns_are_dead) || status=$?
	check_err $status "namespace net:[$left] still lives"
	unload_nsgate || check_err $? "the module could not be unloaded"
}

check_leftovers()
{
	local ns bad

	for ns in "${NS_LIST[@]}"; do
		check_err 1 "namespace $ns is left"
	done
	[[ ! -e /proc/net/nsgate ]] || check_err 1 "/proc/net/nsgate is left"
	bad=$(log_since "$test_mark" | grep -E "$complaints" || true)
	[[ ! $bad ]] || check_err 1 "the kernel log has: $bad"
	check_equal "taint of the kernel" "$test_taint" "$(taint)"
}

# What doesn't end when it is asked to is made to: no test may stand still here.
end_jobs()
{
	local -a pids

	mapfile -t pids < <(jobs -p)
	((${#pids[@]})) || return 0
	kill "${pids[@]}" 2>/dev/null || true
	busywait $BUSYWAIT_TIMEOUT have_ended "${pids[@]}" ||
		kill -KILL "${pids[@]}" 2>/dev/null || true
	wait "${pids[@]}" 2>/dev/null || true
}

have_ended()
{
	! kill -0 "$@" 2>/dev/null
}

verdict()
{
	local status=$1

	if ((failed)); then
		exit $ksft_fail
	elif ((status == ksft_skip)) && [[ ! $tests_done ]]; then
		exit $ksft_skip
	elif ((status)) || [[ ! $tests_done ]]; then
		die "ended before all was tested"
	elif ((passed)); then
		exit $ksft_pass
	elif ((skipped)); then
		exit $ksft_skip
	fi
	die "tested nothing"
}

# shellcheck disable=SC2317 # called by a trap
finish()
{
	local status=$? tested

	trap - ERR EXIT
	trap '' INT TERM HUP
	set +e
	RET=0
	retmsg=
	end_jobs
	! declare -F at_end >/dev/null || at_end
	[[ ! $tmp ]] || rm -r "$tmp"
	cleanup_all_ns || check_err 1 "could not delete all namespaces"
	check_module
	check_leftovers
	# That nothing is left proves nothing if nothing was done.
	tested=$passed
	log_test "nothing is left, and the kernel did not complain"
	passed=$tested
	verdict "$status"
}

((EUID == 0)) || skip "needs root"
! nsgate_loaded || die "nsgate is loaded; unload it first"
test_mark=$(log_mark)
test_taint=$(taint)
trap 'echo "${BASH_SOURCE[0]##*/}:$LINENO: failed with $?: $BASH_COMMAND"' ERR
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
