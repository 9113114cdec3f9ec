# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The log of the kernel, its control groups, and what may not be left in the end,
# for lib.sh.

# Leaves a mark in the kernel log, and prints it.
log_mark()
{
	local mark

	random_number mark
	printf -v mark 'nsgate selftest: %s %08x' "${0##*/}" "$mark"
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

complaints='WARNING:|BUG:|BUG |Oops|Kernel panic|Call Trace|general protection'
complaints+='|Unable to handle|INFO: |stalls? on |lockup|suspicious RCU|possible .*lock'
complaints+='|scheduling while atomic|sleeping function|refcount_t|ODEBUG'
complaints+='|UBSAN|kmemleak|leaked|unregister_netdevice|remove_proc_entry'
complaints+="|proc_dir_entry '|sysfs: cannot|nf_unregister|bad page|Bad page"

# setup_cgroup CONTROLLER: makes a control group, $cgroup, or fails if there is no
# such controller.
setup_cgroup()
{
	local root=/sys/fs/cgroup

	[[ -e $root/cgroup.controllers ]] && grep -qw "$1" $root/cgroup.controllers || return 1
	echo "+$1" >$root/cgroup.subtree_control || return 1
	cgroup=$(mktemp -d "$root/nsgate-XXXXXXXX")
}

# Runs a command in $cgroup, as a part of the test's shell.
in_cgroup()
{
	(echo "$BASHPID" >"$cgroup/cgroup.procs" && "$@")
}

# The bits that a bad page, an oops, a warning and a soft lockup leave.
taint()
{
	echo $(($(</proc/sys/kernel/tainted) & (1 << 5 | 1 << 7 | 1 << 9 | 1 << 14)))
}

check_module()
{
	local left status=0

	nsgate_loaded || return 0
	left=$(busywait "$BUSYWAIT_TIMEOUT" ns_are_dead) || status=$?
	check_err $status "namespace net:[$left] still lives"
	unload_nsgate || check_err $? "the module could not be unloaded"
}

# shellcheck disable=SC2154 # of lib.sh
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
