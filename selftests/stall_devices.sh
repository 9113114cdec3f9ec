#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/design.md, Locks, and who may wait for whom
#
# To unhook a device, the kernel looks at all NFQUEUE instances of the namespace,
# with RTNL held. A tenant has many of both, and is released: others get on
# meanwhile, and his gate is open at once. Many devices go in the order in which they
# came, and in the other one: that takes no longer than without nsgate. The numbers
# fit a slow machine; $NSGATE_QUEUES, $NSGATE_DEVICES and $NSGATE_MANY_DEVICES say
# others.

# shellcheck source=stall_lib.sh
source "$(dirname "$(realpath "$0")")/stall_lib.sh"

ALL_TESTS="
	without_tenant
	release_with_queues
	release_with_devices
	list_with_devices
	devices_go_in_order
	devices_go_in_reverse
"

queues=${NSGATE_QUEUES:-20000}
devices=${NSGATE_DEVICES:-150}	# besides the queues
many=${NSGATE_MANY_DEVICES:-1000}	# without them
tenant='' number=''
patience=$((WAIT_TIMEOUT + many / 20))	# seconds

setup()
{
	checktool "ping -V" "run ping"
	checktool "python3 -c pass" "run python3"
	modprobe nfnetlink_queue 2>/dev/null || skip "no NFQUEUE"
	setup_tmp
	load_nsgate
}

# A tenant of so many devices.
setup_tenant()
{
	local i

	setup_ns tenant
	number=$(ns_inode "$tenant")
	# They are all gone at once by their group.
	for ((i = 0; i < $1; i++)); do
		echo "link add d$i group 7 type dummy"
	done | ip -n "$tenant" -batch -
}

reaches_tenant()
{
	in_ns "$user" ping -q -c 1 -W "$1" 10.9.1.1 >/dev/null
}

# Releases the tenant, and says how long that took and whether he can be reached
# then, when his last device has hooks still.
release()
{
	local begin

	begin=$(now_ms)
	write_inode "-$number" || return
	echo $(($(now_ms) - begin))
	! reaches_tenant 10 || echo reached
}

# The hooks of a device that came last go last.
release_with_queues()
{
	local releaser queue_pid waited reached

	setup_tenant "$devices"
	setup_others
	connect_quietly "$tenant" last "$user" u 1
	write_inode "+$number"
	echo drop >"$HOST_VIEW/$number/gate"
	! reaches_tenant 1 || check_err 1 "the gate isn't closed"
	coproc queue { in_ns "$tenant" python3 -c "$make_queues" "$queues"; }
	# shellcheck disable=SC2154 # of coproc
	queue_pid=$queue_PID
	read -r -t "$WAIT_TIMEOUT" _ <&"${queue[0]}" || die "no queues"

	release >"$tmp/release" &
	releaser=$!
	busywait "$BUSYWAIT_TIMEOUT" test ! -e "$HOST_VIEW/$number" || check_err 1 "it isn't released"
	check_others
	log_test "others get on while devices are unhooked with $queues queues"

	wait $releaser || check_err $? "release"
	{ read -r waited; read -r reached || true; } <"$tmp/release"
	echo "# the release took $waited ms"
	# That is how long it waits for the devices.
	if ((waited < 2000)); then
		log_test_skip "the gate is open before the hooks are gone" "there are too few queues for that"
	else
		check_equal "whether the tenant is reached" reached "$reached"
		log_test "the gate is open before the hooks are gone"
	fi
	kill "$queue_pid"
	wait "$queue_pid" || true
	cleanup_ns "$tenant" "$user"
}

release_with_devices()
{
	local releaser

	setup_tenant "$many"
	setup_others
	write_inode "+$number" & releaser=$!
	check_others
	wait $releaser || check_err $? "bind"
	log_test "others get on while one with $many devices is bound"

	setup_others
	write_inode "-$number" & releaser=$!
	check_others
	wait $releaser || check_err $? "release"
	cleanup_ns "$tenant"
	log_test "others get on while it is released"
}

# Whether another is bound while a list with the tenant is being bound: then that list,
# in which it isn't, releases it.
is_bound_during_list()
{
	local lister end=$((SECONDS + WAIT_TIMEOUT))

	write_inode "$number" & lister=$!
	# Without a pause, for the list isn't long under way.
	until [[ -e $HOST_VIEW/$number ]] || ((SECONDS > end)); do :; done
	write_inode "+$1"
	wait $lister || check_err $? "list"
	[[ ! -e $HOST_VIEW/$1 ]]
}

# By chance the list may be done too early.
list_with_devices()
{
	local i another

	setup_tenant "$many"
	setup_ns other
	another=$(ns_inode "$other")
	for ((i = 0; i < 5; i++)); do
		! is_bound_during_list "$another" || break
		write_inode ""
	done
	((i < 5)) || check_err 1 "others have to wait"
	write_inode ""
	cleanup_ns "$tenant" "$other"
	log_test "another is bound while a list with $many devices is bound"
}

# The kernel takes those of a group in the order of their list.
go_in_order()
{
	ip -n "$tenant" link delete group 7
}

has_no_end()
{
	! ip -n "$watcher" link show dev end >/dev/null 2>&1
}

# And those of a namespace that dies from its end.
go_in_reverse()
{
	ip netns delete "$tenant"
	busywait $((patience * 1000)) has_no_end || die "the namespace doesn't die"
}

# compare COMMAND: how long it takes in a target, and in no target.
compare()
{
	local begin took_bound took_free watcher

	setup_ns watcher
	setup_tenant "$many"
	ip -n "$tenant" link add end type veth peer name end netns "$watcher"
	begin=$(now_ms)
	"$1"
	took_free=$(($(now_ms) - begin))
	cleanup_ns "$tenant" 2>/dev/null || true
	busywait $((patience * 1000)) has_no_end || die "the namespace doesn't die"

	setup_tenant "$many"
	ip -n "$tenant" link add end type veth peer name end netns "$watcher"
	write_inode "+$number"
	begin=$(now_ms)
	"$1"
	took_bound=$(($(now_ms) - begin))
	cleanup_ns "$tenant" 2>/dev/null || true
	cleanup_ns "$watcher"
	write_inode ""
	echo "# $many devices go in $took_bound ms, $took_free ms without nsgate"
	((took_bound <= 2 * took_free + 1000)) ||
		check_err 1 "they take $took_bound ms, $took_free ms without nsgate"
}

devices_go_in_order()
{
	compare go_in_order
	log_test "many devices go in the order in which they came"
}

devices_go_in_reverse()
{
	compare go_in_reverse
	log_test "many devices go in the other order"
}

setup
tests_run
