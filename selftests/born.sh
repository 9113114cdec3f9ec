#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, From birth
#
# Targets from birth: namespaces that are made in a target, or anywhere.
#
#   head              other
#   +------+          +------+
#   | lo   |          | lo   |
#   +------+          +------+
#
# head is a target most of the time, other is none. What is made in them is made
# by born.py.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="off_at_first parameter_refused children_are_born others_are_not
	five_ways first_packet_counts first_packet_dropped family_has_one_gate
	member_is_released lists_name_families gone_members_go
	gone_parents_are_told
	full_family all_are_born undone race all_closed loaded_with_auto
	unload_among_births"

AUTO_PARAM=/sys/module/nsgate/parameters/auto
here=$(dirname "$(realpath "$0")")
head='' other='' made=()

write_auto()
{
	printf '%s\n' "$1" >$AUTO_PARAM
}

auto()
{
	state_of $HOST_VIEW/auto "$1"
}

state()
{
	state_of "$HOST_VIEW/$1/state" "$2"
}

is_bound()
{
	awk -v inode="$1" '$1 == inode { found = $4 } END { exit found != "***" }' \
		$HOST_VIEW/namespaces
}

# make NAMESPACE WAY...: starts born.py there.
make()
{
	: >"$tmp/made"
	exec {maker_in}> >(exec nsenter --net="/run/netns/$1" -- "$here/born.py" "${@:2}" >"$tmp/made" 2>&1)
	maker=$!
}

has_lines()
{
	local -a lines

	mapfile -t lines <"$tmp/made"
	((${#lines[@]} >= $1))
}

# made_lines COUNT: what it told, in array made.
made_lines()
{
	busywait $BUSYWAIT_TIMEOUT has_lines "$1" || die "born.py: $(<"$tmp/made")"
	mapfile -t made <"$tmp/made"
}

# Lets go of all that was made.
unmake()
{
	: >"$tmp/made"
	exec {maker_in}>&-
	wait "$maker" || true
}

setup()
{
	setup_ns head other
	head_inode=$(ns_inode "$head")
	load_nsgate "inode=$head_inode"
	head_cookie=$(state "$head_inode" cookie)
}

gate_of()
{
	state_of "$HOST_VIEW/$1/gate" policy
}

write_gate()
{
	printf '%s\n' "$2" >"$HOST_VIEW/$1/gate"
}

off_at_first()
{
	setup
	check_equal parameter off "$(<$AUTO_PARAM)"
	make "$head" unshare
	made_lines 1
	! is_bound "${made[0]% *}" || check_err 1 "it is bound"
	unmake
	check_equal "auto" "mode off born 0 missed 0" "$(paste -sd ' ' $HOST_VIEW/auto)"
	log_test "off: nothing is bound by itself"
}

# refused ERROR COMMAND...
refused()
{
	local said

	if said=$("${@:2}" 2>&1); then
		check_err 1 "${*:2}: was taken"
	elif [[ $said != *"$1"* ]]; then
		check_err 1 "${*:2}: not '$1' but: $said"
	fi
	check_equal parameter off "$(<$AUTO_PARAM)"
}

parameter_refused()
{
	local mark word

	for word in on "" childre "children all" 1; do
		mark=$(log_mark)
		refused "Invalid argument" write_auto "$word"
		log_since "$mark" | grep -qF "nsgate: auto: \"$word\" is not off, children or all" ||
			check_err 1 "the log doesn't tell of '$word'"
	done
	refused "Operation not permitted" in_ns "$head" bash -c "echo all >$AUTO_PARAM"
	check_equal mode 600 "$(stat -c %a $AUTO_PARAM)"
	log_test "what is no mode is refused, and who is not the host"
}

children_are_born()
{
	local child

	write_auto children
	check_equal parameter children "$(<$AUTO_PARAM)"
	make "$head" unshare
	made_lines 1
	child=${made[0]% *}
	is_bound "$child" || check_err 1 "it is not bound"
	check_equal parent "$head_cookie" "$(state "$child" parent)"
	check_equal "parent of the head" 0 "$(state "$head_inode" parent)"
	check_equal status live "$(state "$child" status)"
	check_equal flow_capacity "$(state "$head_inode" flow_capacity)" "$(state "$child" flow_capacity)"
	[[ ,$(<$INODE_PARAM), == *,$child,* ]] || check_err 1 "the parameter lacks it"
	check_equal "auto" "mode children born 1 missed 0" "$(paste -sd ' ' $HOST_VIEW/auto)"
	check_equal "own view" "$(state "$child" cookie)" \
		"$(nsenter --net="/proc/$maker/ns/net" -- sed -n 's/^cookie //p' /proc/net/nsgate/state)"
	unmake
	log_test "children: what is made in a target is one"
}

others_are_not()
{
	local host

	make "$other" unshare
	made_lines 1
	! is_bound "${made[0]% *}" || check_err 1 "made in no target, it is bound"
	unmake
	setup_ns host
	! is_bound "$(ns_inode "$host")" || check_err 1 "made by the host, it is bound"
	write_inode "+$(stat -Lc %i /proc/self/ns/net)"
	cleanup_ns "$host"
	setup_ns host
	! is_bound "$(ns_inode "$host")" || check_err 1 "made by the host, which is a target, it is bound"
	write_inode "-$(stat -Lc %i /proc/self/ns/net)"
	cleanup_ns "$host"
	check_equal born 1 "$(auto born)"
	log_test "children: what is made elsewhere is none"
}

# way LINES NAME...: all that is made in that way is bound, and knows its parent.
way()
{
	local line parent

	make "$head" "${@:2}"
	made_lines "$1"
	check_equal "how many there are" "$1" "${#made[@]}"
	for line in "${made[@]}"; do
		parent=$(state "${line#* }" cookie)
		is_bound "${line% *}" || check_err 1 "${*:2}: not bound"
		check_equal "${*:2}: parent" "$parent" "$(state "${line% *}" parent)"
	done
	unmake
}

five_ways()
{
	local kept

	way 1 unshare
	way 1 clone
	way 2 setns
	way 2 child
	way 1 socket
	random_number kept
	printf -v kept 'kept-%08x' "$kept"
	in_ns "$head" ip netns add "$kept"
	NS_LIST+=("$kept")
	is_bound "$(ns_inode "$kept")" || check_err 1 "kept by a mount: not bound"
	check_equal "kept by a mount: parent" "$head_cookie" "$(state "$(ns_inode "$kept")" parent)"
	cleanup_ns "$kept"
	log_test "children: in whatever way they are made"
}

first_packet_counts()
{
	make "$head" send
	made_lines 2
	check_equal "the packet" sent "${made[1]}"
	check_equal "output" "1 48" "$(stat_of "$HOST_VIEW/${made[0]}/stats" output ipv4 udp)"
	check_reaches "1 48" "input" stat_of "$HOST_VIEW/${made[0]}/stats" input ipv4 udp
	unmake
	log_test "the first packet is counted"
}

first_packet_dropped()
{
	write_gate "$head_inode" drop
	make "$head" send
	made_lines 2
	check_equal "the packet" EPERM "${made[1]}"
	check_equal "output" "1 48" "$(stat_of "$HOST_VIEW/${made[0]}/stats" output ipv4 udp)"
	check_equal "input" "0 0" "$(stat_of "$HOST_VIEW/${made[0]}/stats" input ipv4 udp)"
	check_equal "dropped" 1 "$(state_of "$HOST_VIEW/${made[0]}/gate" dropped)"
	check_equal "dropped of the head" 0 "$(state_of "$HOST_VIEW/$head_inode/gate" dropped)"
	unmake
	write_gate "$head_inode" accept
	log_test "with a closed gate, the first packet is dropped"
}

can_ping()
{
	nsenter --net="/proc/$1/ns/net" -- ping -qc 1 -W 5 127.0.0.1 >/dev/null 2>&1
}

family_has_one_gate()
{
	local child

	make "$head" child
	made_lines 2
	child=${made[1]% *}
	in_ns "$head" ping -qc 1 127.0.0.1 >/dev/null || check_err $? "an open gate drops"
	write_gate "$child" drop
	check_equal "gate of the head" drop "$(gate_of "$head_inode")"
	check_equal "gate of the child" drop "$(gate_of "${made[0]% *}")"
	check_equal "gate of the child's child" drop "$(gate_of "$child")"
	! in_ns "$head" ping -qc 1 -W 1 127.0.0.1 >/dev/null 2>&1 || check_err 1 "the head still sends"
	! can_ping "$maker" || check_err 1 "the child's child still sends"
	write_gate "${made[0]% *}" accept
	check_equal "gate of the head" accept "$(gate_of "$head_inode")"
	nsenter --net="/proc/$maker/ns/net" -- ip link set lo up
	can_ping "$maker" || check_err $? "the child's child can't send"
	unmake
	log_test "a family has one gate, whoever's is written"
}

member_is_released()
{
	local child

	make "$head" unshare
	made_lines 1
	child=${made[0]% *}
	write_inode "-$child"
	! is_bound "$child" || check_err 1 "it is still bound"
	is_bound "$head_inode" || check_err 1 "the head is not bound any more"
	write_inode "+$child"
	check_equal "parent" 0 "$(state "$child" parent)"
	write_gate "$head_inode" drop
	check_equal "its gate" accept "$(gate_of "$child")"
	write_gate "$head_inode" accept
	write_inode "-$child"
	unmake
	log_test "a member that is bound again by hand heads a family of its own"
}

lists_name_families()
{
	local other_inode child

	other_inode=$(ns_inode "$other")
	make "$head" child
	made_lines 2
	child=${made[1]% *}
	write_inode "$child,$other_inode"
	is_bound "$head_inode" || check_err 1 "the head went"
	is_bound "${made[0]% *}" || check_err 1 "the child went"
	write_inode "$other_inode"
	! is_bound "$head_inode" || check_err 1 "the head stayed"
	! is_bound "$child" || check_err 1 "the child's child stayed"
	unmake
	write_inode "$head_inode"
	log_test "a list names families"
}

is_gone()
{
	[[ $(state "$1" status) == gone ]]
}

gone_members()
{
	{ grep -l '^status gone' $HOST_VIEW/[0-9]*/state 2>/dev/null || true; } | wc -l
}

count_rows()
{
	wc -l <$HOST_VIEW/namespaces
}

gone_members_go()
{
	local rows

	rows=$(count_rows)
	make "$head" fill 20
	made_lines 2
	check_equal "how many there are" "20 none" "${made[*]}"
	unmake
	check_reaches "$rows" "rows" count_rows
	# Older kernels take them off the list before they tell of any.
	check_reaches 16 "how many are told of" gone_members
	write_inode "$head_inode"
	check_equal "how many the list keeps" 16 "$(gone_members)"
	write_inode ""
	check_equal "how many an empty list keeps" 0 "$(gone_members)"
	write_inode "$head_inode"
	log_test "of the gone members the newest 16 are told of"
}

gone_parents_are_told()
{
	local child parent cookie

	head_cookie=$(state "$head_inode" cookie)
	make "$head" child
	made_lines 2
	parent=${made[0]% *} child=${made[1]% *}
	cookie=$(state "$parent" cookie)
	unmake
	busywait $BUSYWAIT_TIMEOUT is_gone "$child" || check_err $? "the child lives on"
	busywait $BUSYWAIT_TIMEOUT is_gone "$parent" || check_err $? "the parent lives on"
	check_equal "parent of the gone one" "$cookie" "$(state "$child" parent)"
	refused_gate=$( (write_gate "$child" drop) 2>&1) && check_err 1 "the gate of a gone member was written"
	[[ $refused_gate == *"No such device or address"* ]] || check_err 1 "not ENXIO but: $refused_gate"
	log_test "gone members tell of their parent, and take no gate"
}

# With its head there are 256 then.
full_family()
{
	local born

	born=$(auto born)
	make "$head" fill 300
	made_lines 2
	check_equal "children" 255 "${made[0]}"
	check_equal "error" ENOSPC "${made[1]}"
	check_equal born $((born + 255)) "$(auto born)"
	check_equal missed 0 "$(auto missed)"
	unmake
	log_test "ENOSPC: the 257th of a family is not made"
}

all_are_born()
{
	local host

	write_auto all
	setup_ns host
	is_bound "$(ns_inode "$host")" || check_err 1 "made by the host, it is not bound"
	check_equal parent 0 "$(state "$(ns_inode "$host")" parent)"
	write_gate "$(ns_inode "$host")" drop
	check_equal "gate of another" accept "$(gate_of "$head_inode")"
	cleanup_ns "$host"
	make "$other" child
	made_lines 2
	check_equal parent 0 "$(state "${made[0]% *}" parent)"
	check_equal parent "$(state "${made[0]% *}" cookie)" "$(state "${made[1]% *}" parent)"
	unmake
	write_auto off
	setup_ns host
	! is_bound "$(ns_inode "$host")" || check_err 1 "it is bound, with off"
	cleanup_ns "$host"
	log_test "all: heads have gates of their own, their children not"
}

has_alone()
{
	[[ $(<$INODE_PARAM) == "$1" ]]
}

# what_there_is: names and cookies of all in the host view, and the parameter.
what_there_is()
{
	grep -H '^cookie' $HOST_VIEW/[0-9]*/state
	cat $INODE_PARAM
}

# The number of one that is gone is handed out again, to a namespace that comes to
# nothing: whose target has the name by it until then.
undone_takes_no_name()
{
	local i host inode before mark

	for ((i = 0; i < 30; i++)); do
		setup_ns host
		inode=$(ns_inode "$host")
		cleanup_ns "$host"
		busywait $BUSYWAIT_TIMEOUT has_alone "$head_inode" || check_err 1 "it isn't gone"
		before=$(what_there_is)
		mark=$(log_mark)
		echo 1 >/sys/module/undo/parameters/fail
		! unshare -n true 2>/dev/null || check_err 1 "a namespace was made"
		echo 0 >/sys/module/undo/parameters/fail
		check_equal "what there is" "$before" "$(what_there_is)"
		! log_since "$mark" | grep -q "bound to net:\[$inode\]" || break
	done
	((i < 30)) || check_err 1 "no number was handed out again"
	log_test "nor takes the name of one that is gone, at try $((i + 1))"
}

# Its namespace has never been there for anybody, so nothing tells of it.
undone()
{
	local undo before born mark

	undo=$(find_test_module undo)
	if [[ ! -e $undo ]]; then
		log_test_skip "births that are undone" "no module of selftests/modules"
		return
	fi
	insmod "$undo"
	write_auto all
	busywait $BUSYWAIT_TIMEOUT has_alone "$head_inode" || check_err 1 "others live on"
	before=$(what_there_is)
	born=$(auto born)
	mark=$(log_mark)
	echo 1 >/sys/module/undo/parameters/fail
	make "$head" fill 5
	made_lines 2
	check_equal "in a target" "0 EIO" "${made[*]}"
	unmake
	make "$other" fill 5
	made_lines 2
	check_equal "elsewhere" "0 EIO" "${made[*]}"
	unmake
	check_equal "what there is" "$before" "$(what_there_is)"
	check_equal born "$born" "$(auto born)"
	check_equal missed 0 "$(auto missed)"
	! log_since "$mark" | grep "is gone" || check_err 1 "the log tells of it"
	echo 0 >/sys/module/undo/parameters/fail
	way 1 unshare
	log_test "a birth that is undone leaves no trace"
	undone_takes_no_name
	write_auto children
	rmmod undo
}

# See born_race.py.
race()
{
	local answer status=0

	write_auto children
	answer=$("$here/born_race.py" "$HOST_VIEW/$head_inode/gate" "/run/netns/$head" 15) || status=$?
	check_err $status "a packet passed a closed gate: $answer"
	[[ $answer =~ made\ [1-9].*open\ [1-9].*closed\ [1-9] ]] || check_err 1 "it proves nothing: $answer"
	log_test "births, deaths and gate writes at once: ${answer:-nothing}"
}

all_closed()
{
	unload_nsgate
	load_nsgate auto=all policy=drop
	check_equal "auto" "mode all born 0 missed 0" "$(paste -sd ' ' $HOST_VIEW/auto)"
	check_equal parameter "" "$(<$INODE_PARAM)"
	make "$other" send
	made_lines 2
	check_equal "the packet" EPERM "${made[1]}"
	check_equal gate drop "$(gate_of "${made[0]}")"
	unmake
	log_test "all, with policy=drop: the first packet is dropped"
}

loaded_with_auto()
{
	local said

	unload_nsgate
	load_nsgate auto=children "inode=$head_inode"
	check_equal parameter children "$(<$AUTO_PARAM)"
	way 1 unshare
	unload_nsgate
	! said=$(load_nsgate auto=some 2>&1) || check_err 1 "auto=some was taken"
	[[ $said == *Invalid* ]] || check_err 1 "auto=some: $said"
	load_nsgate
	check_equal parameter off "$(<$AUTO_PARAM)"
	log_test "auto= can be told at load"
}

born_are()
{
	(($(auto born) >= $1))
}

is_unloaded()
{
	! nsgate_loaded
}

# A removal of the module waits for what is being born, and for that only. It can't
# be killed, so it is awaited from aside.
unload_among_births()
{
	local i maker

	unload_nsgate
	for i in {1..5}; do
		load_nsgate "inode=$head_inode" auto=children
		in_ns "$head" bash -c 'while :; do unshare -n true; done' &
		maker=$!
		busywait $BUSYWAIT_TIMEOUT born_are "$i" || check_err $? "nothing is born"
		unload_nsgate &
		busywait $BUSYWAIT_TIMEOUT is_unloaded || die "the module doesn't go, at try $i"
		kill "$maker"
		wait "$maker" 2>/dev/null || true
	done
	load_nsgate
	log_test "the module goes while there are births"
}

setup_tmp
checktool "python3 -c pass" "run python3"
tests_run
