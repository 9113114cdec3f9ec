#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, stats
#
# Devices come to a target and leave it, in every way that there is and under
# load. Those that are in a target count there, at each moment, and no other
# does; and the kernel must not complain.
#
#   one          two          other           peer
#   (target)     (target)     (no target)     (no target)
#
# Nothing has an address, and there is no IPv6, so that every frame is ours.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="moved_device_follows renamed_and_downed churn_under_load
	thousand_devices namespace_dies_with_devices all_were_hooked"

here=$(dirname "$(realpath "$0")")
one='' two='' other='' peer='' sender=()

# Frames of 60 bytes that are nobody's, and of a type that the load has not.
frame=ffffffffffff02000000f00d88b5$(printf '%092d' 0)
load=ffffffffffff02000000f00d0806$(printf '%092d' 0)

setup()
{
	local ns

	setup_ns one two other peer
	for ns in "$one" "$two" "$other" "$peer"; do
		in_ns "$ns" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	done
	log_begin=$(log_mark)
	one_inode=$(ns_inode "$one")
	two_inode=$(ns_inode "$two")
	load_nsgate "inode=$one_inode,$two_inode"
	hooks=$(sed -n 's/^hooks//p' "$HOST_VIEW/$one_inode/state")
	coproc sender { "$here/device_frames.py"; }
}

# ---- what counts ----

# send NUMBER COMMAND...: see device_frames.py; so many frames must be sent.
send()
{
	local answer

	echo "${*:2}" >&"${sender[1]}"
	read -r answer <&"${sender[0]}" || die "device_frames.py ${*:2}"
	[[ $answer == "$1" ]] || check_err 1 "device_frames.py ${*:2}: expected $1, found $answer"
}

# Both targets begin anew.
bind_anew()
{
	write_inode ""
	write_inode "$one_inode,$two_inode"
	expected=([one_ingress]=0 [one_egress]=0 [two_ingress]=0 [two_egress]=0)
}

declare -A expected

# found TARGET HOOK: packets of the type that the load has not.
found()
{
	local inode=${1}_inode packets

	read -r packets _ < <(stat_of "$HOST_VIEW/${!inode}/stats" "$2" netdev other)
	echo "$packets"
}

as_expected()
{
	local hook target right=yes figure

	for hook in $hooks; do
		[[ $hook == *gress ]] || continue
		for target in one two; do
			figure=$(found $target "$hook")
			echo "$target at $hook: expected ${expected[${target}_$hook]}, found $figure"
			[[ $figure == "${expected[${target}_$hook]}" ]] || right=
		done
	done
	[[ $right ]]
}

# All that was counted since bind_anew(), so that nothing that comes late and
# where it shouldn't is overlooked.
check_expected()
{
	local figures status=0

	figures=$(busywait 20000 as_expected) || status=$?
	check_err $status "$1: $figures"
}

# use DEVICE NAME: sends 3 frames by a device of $NAME, and 2 by the other end,
# if it is v0; they have to count where the device is, if that is a target.
use()
{
	send 3 send "${!2}" "$1" 3 88b5 "$frame"
	[[ $1 != v0 ]] || send 2 send "$peer" p0 2 88b5 "$frame"
	if [[ $2 == @(one|two) ]]; then
		((expected[$2_egress] += 3))
		[[ $1 != v0 ]] || ((expected[$2_ingress] += 2))
	fi
	check_expected "$1 in $2"
	check_hooks
}

# ---- what has hooks ----

# Not every kernel can list hooks, and not every nft lists those of devices.
find_out_listing()
{
	local listing

	in_ns "$peer" nft -f - <<-END
		table netdev try { chain ingress { type filter hook ingress device lo priority 0; }; }
	END
	listing=$(in_ns "$peer" nft list hooks netdev device lo 2>/dev/null || true)
	lists_hooks=
	[[ $listing != *"try ingress"* ]] || lists_hooks=yes
	in_ns "$peer" nft delete table netdev try
}

# hooked NAMESPACE DEVICE
hooked()
{
	in_ns "$1" nft list hooks netdev device "$2" | grep -c nsgate || true
}

# Every device of a target has hooks, and no other.
check_hooks()
{
	local ns device wanted

	[[ $lists_hooks ]] || return 0
	for ns in one two other; do
		wanted=yes
		[[ $ns != other ]] || wanted=
		while read -r device; do
			device=${device%%@*}
			if [[ $wanted && $(hooked "${!ns}" "$device") == 0 ]]; then
				check_err 1 "$device of $ns has no hook"
			elif [[ ! $wanted && $(hooked "${!ns}" "$device") != 0 ]]; then
				check_err 1 "$device of $ns has a hook"
			fi
		done < <(ip -n "${!ns}" -br link | cut -d ' ' -f 1)
	done
}

# move DEVICE FROM TO
move()
{
	ip -n "${!2}" link set "$1" netns "${!3}"
	ip -n "${!3}" link set "$1" up
}

moved_device_follows()
{
	local device

	bind_anew
	ip -n "$peer" link add p0 up type veth peer name v0 netns "$one"
	ip -n "$one" -batch - <<-END
		link set v0 up
		link add d0 up type dummy
	END
	for device in v0 d0; do
		use $device one
		move $device one two
		use $device two
		move $device two other
		use $device other
		move $device other one
		use $device one
		move $device one other
		use $device other
		move $device other two
		use $device two
		move $device two one
		use $device one
	done
	log_test "a device that is moved counts where it is, in both directions"
}

renamed_and_downed()
{
	ip -n "$one" -batch - <<-END
		link set d0 down
		link set d0 name d1
		link set d1 up
		link set v0 down
		link set v0 up
	END
	use d1 one
	use v0 one
	ip -n "$one" link delete d1
	ip -n "$one" link add d1 up type dummy
	use d1 one
	ip -n "$one" -batch - <<-END
		link delete d1
		link delete v0
	END
	check_hooks
	log_test "renamed, set down and up, or made again by the same name, it counts once"
}

# ---- under load ----

# Sends by all devices of that name in these namespaces.
start_load()
{
	"$here/device_frames.py" <<<"flood $1 $2 $3 0806 $load" &
	load_pid=$!
}

more_load()
{
	local packets

	read -r packets _ < <(stat_of "$HOST_VIEW/$1/stats" "$2" netdev arp)
	((packets > $3))
}

# await_load INODE HOOK: until it counts, load is none.
await_load()
{
	local packets

	[[ $hooks == *" $2"* ]] || return 0
	read -r packets _ < <(stat_of "$HOST_VIEW/$1/stats" "$2" netdev arp)
	busywait $BUSYWAIT_TIMEOUT more_load "$1" "$2" "$packets" ||
		check_err $? "the load does not get through"
}

stop_load()
{
	kill "$load_pid" || check_err $? "the load ended by itself"
	wait "$load_pid" || true
}

# Both are released and bound, apart and together, with everything going on.
bind_and_release()
{
	trap - ERR EXIT
	while true; do
		write_inode "-$one_inode"
		write_inode "+$one_inode"
		write_inode "$two_inode"
		write_inode "$one_inode"
		write_inode "$one_inode,$two_inode"
		echo bound
	done
}

# Every kind of device has its own way to leave.
churn()
{
	ip -n "$one" -batch - <<-END
		link add c0 up type dummy
		link add c1 up type veth peer name c2
		link set c2 up
		link add c3 up link c1 type macvlan
		link add c4 up link c1 type vlan id 5
		link set c0 netns $two
		link set c2 netns $other
	END
	ip -n "$two" -batch - <<-END
		link set c0 up
		link add c5 up type dummy
		link set c0 down
		link set c0 name c6
		link set c6 up
		link set c6 netns $other
		link set c5 netns $one
	END
	ip -n "$other" -batch - <<-END
		link set c2 up
		link set c6 up
		link set c2 netns $two
		link set c6 netns $one
	END
	ip -n "$one" -batch - <<-END
		link set c5 up
		link set c6 up
		link delete c3
		link delete c5
		link delete c1
		link delete c6
	END
}

churn_under_load()
{
	local binder round line

	start_load "$one,$two,$other" c 0.002
	exec {binder}< <(bind_and_release 2>&1)
	binder_pid=$!
	for round in {1..12}; do
		churn || check_err $? "round $round"
	done
	kill "$binder_pid" || check_err $? "who binds and releases has ended by itself"
	round=0
	while read -r line <&"$binder"; do
		[[ $line == bound ]] || check_err 1 "bind and release: $line"
		round=$((round + 1))
	done
	exec {binder}<&-
	((round > 1)) || check_err 1 "bound only $round times"
	stop_load

	bind_anew
	ip -n "$one" link add c0 up type dummy
	ip -n "$two" link add c0 up type dummy
	use c0 one
	use c0 two
	check_equal "devices of one" "$(count_devices "$one")" "$(devices_of "$one_inode")"
	ip -n "$one" link delete c0
	ip -n "$two" link delete c0
	log_test "devices churn while they are used and targets bound, $round times"
}

devices_of()
{
	sed -n 's/^devices //p' "$HOST_VIEW/$1/state"
}

# add_dummies NAMESPACE NUMBER
add_dummies()
{
	local i

	for ((i = 0; i < $2; i++)); do
		echo "link add d$i up group 77 type dummy"
	done | ip -n "$1" -batch -
}

# Every one of them gets its frame; some go alone and the rest at one blow.
thousand_devices()
{
	local i

	bind_anew
	ip -n "$one" link add c0 up type dummy
	start_load "$one" c 0.01
	await_load "$one_inode" egress
	add_dummies "$one" 1000
	check_equal "devices" "$(count_devices "$one")" "$(devices_of "$one_inode")"
	send 1000 sweep "$one" d 1 88b5 "$frame"
	((expected[one_egress] += 1000))
	check_expected "1000 devices"
	for ((i = 0; i < 50; i++)); do
		echo "link delete d$i"
	done | ip -n "$one" -batch -
	ip -n "$one" link delete group 77
	check_equal "devices after all" "$(count_devices "$one")" "$(devices_of "$one_inode")"
	await_load "$one_inode" egress
	stop_load
	use c0 one
	ip -n "$one" link delete c0
	log_test "1000 devices are made, all count, and are deleted, under load"
}

is_gone()
{
	[[ $(sed -n 's/^status //p' "$HOST_VIEW/$1/state") == gone ]]
}

# The load comes from outside: a socket inside would keep the namespace alive.
namespace_dies_with_devices()
{
	local doomed inode

	setup_ns doomed
	in_ns "$doomed" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	inode=$(ns_inode "$doomed")
	write_inode "+$inode"
	add_dummies "$doomed" 200
	ip -n "$peer" link add c0 up type veth peer name c1 netns "$doomed"
	ip -n "$doomed" link set c1 up
	check_equal "devices" "$(count_devices "$doomed")" "$(devices_of "$inode")"
	send 200 sweep "$doomed" d 1 88b5 "$frame"
	start_load "$peer" c 0.002
	await_load "$inode" ingress
	cleanup_ns "$doomed"
	busywait $BUSYWAIT_TIMEOUT is_gone "$inode" || check_err $? "net:[$inode] lives on"
	stop_load
	[[ $hooks != *" egress"* ]] ||
		check_equal "final figures" "200 12000" "$(stat_of "$HOST_VIEW/$inode/stats" egress netdev other)"
	check_equal "devices" 0 "$(devices_of "$inode")"
	log_test "a namespace with 200 devices dies under load, and its figures stay"
}

all_were_hooked()
{
	local left_out

	left_out=$(log_since "$log_begin" | grep "can't be hooked" || true)
	check_equal "what the log says" "" "$left_out"
	log_test "no device was left out"
}

checktool "nft --version" "run nft"
checktool "python3 -c pass" "run python3"
setup
find_out_listing
tests_run
