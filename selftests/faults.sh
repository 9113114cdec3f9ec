#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, Choosing targets
#
# Every chance that an operation has to fail comes true once: one allocation
# after the other, and the calls of the kernel's functions by nsgate. Each time
# the error must be the right one, nothing may be half done, and the same must
# work right after. For kernels with fault injection; see faults.c.
#
# The namespaces target, other and rest have no device but lo.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="loading binding inheriting replacing releasing giving_birth writing_gate
	writing_limit reading device_comes device_moves leaks"

# Where memory is short the kernel shows a stack, which may have any name in it,
# and kmemleak says a word.
complaints=${complaints/|Call Trace}
complaints=${complaints/|kmemleak}
complaints="\\] ([^ ].*)?($complaints)"

AUTO_PARAM=/sys/module/nsgate/parameters/auto
debug=/sys/kernel/debug
program="4,48 0 0 0,21 0 1 69,6 0 0 65535,6 0 0 0"
printk=$(</proc/sys/kernel/printk)
message_cost=$(</proc/sys/net/core/message_cost)
faults=		# the program
inject=		# the module, see inject.c
target='' other='' rest=''
inode='' other_inode='' rest_inode=''
tenant=		# a process in target
kmemleak=	# whether this kernel looks for leaks

at_end()
{
	echo "$printk" >/proc/sys/kernel/printk
	echo "$message_cost" >/proc/sys/net/core/message_cost
	[[ ! -e /sys/module/inject ]] || rmmod inject
}

# Whatever can fail shall fail, without a word. Each error that it gives leaves
# lines in the log, which must be all there, and are too much for a console.
setup_faults()
{
	local file

	[[ -e /proc/self/fail-nth && -e $debug/failslab && -e $debug/fail_page_alloc ]] ||
		skip "this kernel injects no faults"
	inject=$(find_test_module inject)
	[[ -e $inject ]] || skip "there is no inject.ko; scripts/kernels/build-tests builds it"
	! { echo scan=off >$debug/kmemleak; } 2>/dev/null || kmemleak=yes
	echo 1 >/proc/sys/kernel/printk
	echo 0 >/proc/sys/net/core/message_cost
	for file in $debug/fail{slab,_page_alloc}/verbose \
		$debug/fail{slab,_page_alloc}/ignore-gfp-wait \
		$debug/fail_page_alloc/{ignore-gfp-highmem,min-order}; do
		echo 0 >"$file"
	done
}

setup()
{
	modprobe tun
	modprobe nfnetlink_log
	setup_program faults
	setup_ns target other rest
	inode=$(ns_inode "$target")
	other_inode=$(ns_inode "$other")
	rest_inode=$(ns_inode "$rest")
	nsenter --net="/run/netns/$target" -- sleep infinity &
	tenant=$!
	busywait $BUSYWAIT_TIMEOUT tenant_is_there
}

tenant_is_there()
{
	[[ $(stat -Lc %i "/proc/$tenant/ns/net") == "$inode" ]]
}

# bind LIST: makes these the targets, with the module loaded.
bind()
{
	nsgate_loaded || load_nsgate flows=16 policy=drop
	write_inode "$1"
}

# walk NAME memory|function ERROR OPERATION...: see faults.c.
walk()
{
	local figures status=0

	figures=$("$faults" "/run/netns/$target" "${@:2}") || status=$?
	check_err $status "$figures"
	((!status)) || figures="it is not as it must be"
	log_test "$1: $figures"
}

walk_memory()
{
	walk "$1: memory" memory 12 "${@:2}"
}

# walk_functions NAME FUNCTION:VALUE:ERROR... -- OPERATION...
walk_functions()
{
	local name=$1 function value error functions=()
	shift

	while [[ $1 != -- ]]; do
		functions+=("$1")
		shift
	done
	for function in "${functions[@]}"; do
		IFS=: read -r function value error <<<"$function"
		insmod "$inject" function="$function" value="$value"
		walk "$name: $function gives $value" function "$error" "${@:2}"
		rmmod inject
	done
}

# What a bind calls. Any error of these is handed on, as -E2BIG is here.
bind_functions=(proc_mkdir_mode:0:12 proc_create_data:0:12 _proc_mkdir:0:12
	__alloc_percpu_gfp:0:12 register_netdevice_notifier_net:-7:7)
hook_function=nf_register_net_hook:-7:7

loading()
{
	local load

	! nsgate_loaded || unload_nsgate
	nsgate_ko=$(find_module)
	load=(load "$nsgate_ko" "inode=$inode,$other_inode flows=16 policy=drop")
	insmod "$inject"
	walk_memory "load" "${load[@]}"
	rmmod inject
	walk_functions "load" register_pernet_subsys:-12:12 \
		"${bind_functions[@]}" $hook_function -- "${load[@]}"
}

binding()
{
	local bind=(write "$INODE_PARAM" "+$inode" "-$inode")

	bind "$other_inode"
	walk_memory "bind" "${bind[@]}"
	walk_functions "bind" "${bind_functions[@]}" $hook_function -- "${bind[@]}"
}

# A target that is gone shows its figures until another has taken its place.
inheriting()
{
	local heir gone

	setup_ns heir
	gone=$(ns_inode "$heir")
	bind "$other_inode,$gone"
	cleanup_ns "$heir"
	walk_memory "bind what has the number of one that is gone" inherit "$gone"
}

# One target goes, one stays, one is new.
replacing()
{
	local replace=(write "$INODE_PARAM" "$inode,$other_inode" "$other_inode,$rest_inode")

	bind "$other_inode,$rest_inode"
	walk_memory "replace" "${replace[@]}"
	walk_functions "replace" "${bind_functions[@]}" $hook_function -- "${replace[@]}"
}

releasing()
{
	bind "$inode,$other_inode"
	walk_memory "release" write $INODE_PARAM "-$inode" "+$inode"
}

# A namespace that can't be bound isn't made. The errors that it may have are two. A
# device that can't be hooked is there, but doesn't get up: see device_moves.
giving_birth()
{
	bind "$inode"
	echo children >$AUTO_PARAM
	walk_memory "birth" birth
	walk_functions "birth" "${bind_functions[@]//-7:7/-7:28}" -- birth
	echo off >$AUTO_PARAM
}

# fail_first FUNCTION VALUE COMMAND...: with its first call failing.
fail_first()
{
	local status=0 left

	insmod "$inject" function="$1" value="$2" nth=1
	"${@:3}" || status=$?
	left=$(</sys/module/inject/parameters/nth)
	check_equal "failures that are left" 0 "$left"
	rmmod inject
	return $status
}

write_gate_with_log()
{
	echo "drop log 7" >"$HOST_VIEW/$inode/gate"
}

# When its JIT has no memory, the kernel says 524, which nobody knows.
writing_gate()
{
	local gate=(write "$HOST_VIEW/$inode/gate" "accept except $program # label" drop)

	bind "$inode"
	walk_memory "write to the gate" "${gate[@]}"
	walk_functions "write to the gate" bpf_prog_create:-{12:12,22:22,524:12} -- "${gate[@]}"
	gate=(write "$HOST_VIEW/$inode/gate" "drop log 7 except $program # label" drop)
	walk_memory "write to the gate, with a log" "${gate[@]}"
	fail_first nf_logger_find_get -2 write_gate_with_log || check_err $? "no second look for NFLOG"
	log_test "write to the gate, with a log whose module is to be loaded"
}

writing_limit()
{
	local limit=(write "$HOST_VIEW/$inode/limit" "dry in rate 1000 quota 5 out quota 0" none)

	bind "$inode"
	walk_memory "write to the limit" "${limit[@]}"
}

reading()
{
	local file name

	bind "$inode"
	for file in "$HOST_VIEW/namespaces" "$HOST_VIEW/$inode"/{state,stats,flows,gate,limit} \
		"/proc/$tenant/net/nsgate"/{state,stats,flows} $INODE_PARAM; do
		name=${file/#"$HOST_VIEW/$inode"/host}
		walk_memory "read ${name/#*"$tenant/net/nsgate"/own}" read "$file"
	done
}

device_comes()
{
	bind "$inode"
	walk_memory "a device comes" device
}

# hooks_of DEVICE: how many of ours stand there.
hooks_of()
{
	in_ns "$target" nft list hooks netdev device "$1" | grep -c nsgate || true
}

# Linux moves a device whatever we say, and others have to hear of that. What has
# no hooks doesn't get up.
device_moves()
{
	local mark status=0

	bind "$inode"
	ip -n "$rest" link add m0 type dummy
	mark=$(log_mark)
	fail_first nf_register_net_hook -12 ip -n "$rest" link set m0 netns "$target"
	log_since "$mark" | grep -q "device m0 of net:\[$inode\] can't be hooked: error -12" ||
		check_err $? "the log doesn't tell"
	in_ns "$target" test -d /proc/sys/net/ipv4/conf/m0 ||
		check_err $? "IPv4 doesn't know the device"
	in_ns "$target" test -d /proc/sys/net/ipv6/conf/m0 ||
		check_err $? "IPv6 doesn't know the device"
	fail_first nf_register_net_hook -12 ip -n "$target" link set m0 up 2>/dev/null || status=$?
	check_fail $status "a device got up without hooks"
	check_equal "hooks of a device that is down" 0 "$(hooks_of m0)"
	ip -n "$target" link set m0 up || check_err $? "the device doesn't get up"
	check_equal "hooks of a device that is up" "$(hooks_of lo)" "$(hooks_of m0)"
	ip -n "$target" link delete m0
	log_test "a device that is moved here, and can't be hooked"
}

# What the failures have leaked, none of which the walks can see.
leaks()
{
	local status=0 output

	! nsgate_loaded || unload_nsgate
	output=$(TESTS='' "$(dirname "$(realpath "$0")")/leaks.sh" 2>&1) || status=$?
	if ((status == ksft_skip)) && [[ ! $kmemleak ]]; then
		log_test_skip "no memory is leaked" "this kernel doesn't look for leaks"
		return
	fi
	check_err $status "$output"
	log_test "no memory is leaked"
}

setup_faults
setup
tests_run
