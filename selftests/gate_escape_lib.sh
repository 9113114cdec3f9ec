# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of the gate share in which the root of a gated namespace tries to
# get out, and to be reached. He has all capabilities and no user namespace: less
# can only be tried with less. Each try has to work while the gate is open, which
# proves that it is one; then the gate is closed.

# shellcheck source=gate_lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/gate_lib.sh"

# What `nsgate gate NS drop --loopback` excepts.
# shellcheck disable=SC2034 # for the tests
loopback_only="(src net 127.0.0.0/8 and dst net 127.0.0.0/8) or (src host ::1 and dst host ::1)"

child=''
closed=drop
to=
said=

# try ACTOR COMMAND... with @ for a token; tells how many of what was sent got
# to $watcher in $answer, and what the actor said in $said.
try()
{
	new_token
	ask "${@//@/$token}"
	said=$answer
	flush
	ask "$watcher" seen "$token$to"
	[[ $answer == +([0-9]) ]] || die "$watcher: $answer"
}

# All that came out of target, in $answer, also by devices that died with it.
frames()
{
	local device sum=0

	for device in n0 n1 gone; do
		ask watch seen $device
		sum=$((sum + answer))
	done
	answer=$sum
}

# attempt stopped|passes NAME ACTOR COMMAND...: does the first happen?
attempt()
{
	local before

	gate accept
	try "${@:3}"
	((answer)) || check_err 1 "$2 does not get through an open gate, either: $said"

	gate "$closed"
	flush
	frames
	before=$answer
	try "${@:3}"
	case $1 in
	passes)
		((answer)) || check_err 1 "$2 is said to get through, but does not"
		return
		;;
	stopped)
		((!answer)) || check_err 1 "$2 gets through"
		;;
	*)
		die "attempt $1"
		;;
	esac
	frames
	[[ $closed != drop || $answer == "$before" ]] ||
		check_err 1 "$2: $((answer - before)) frames get through"
}

# What only the egress of a device can stop.
at_egress()
{
	if has_hook egress; then
		attempt stopped "$@"
	else
		attempt passes "$@"
	fi
}

# The same past queues, where the device does not stand on another one of ours.
at_direct_egress()
{
	if [[ $direct_egress ]]; then
		attempt stopped "$@"
	else
		attempt passes "$@"
	fi
}

stands_before()
{
	gate_value preceded "${gate%gate}state"
	((answer >= $1))
}

# come_first RULES: at once, or a gate write puts us before them again. The figure
# is a second old at most.
come_first()
{
	tenant nft flush ruleset
	gate "$2"
	busywait $BUSYWAIT_TIMEOUT preceded_is 0 || check_err $? "something stands before us"
	tenant nft -f - <<<"$1"
}

preceded_is()
{
	gate_value preceded "${gate%gate}state"
	[[ $answer == "$1" ]]
}

# attempt_first stopped|passes RULES NAME ACTOR COMMAND...: as attempt, with rules
# whose chains come after each write of the gate.
attempt_first()
{
	local before

	come_first "$2" accept
	try "${@:4}"
	((answer)) || check_err 1 "$3 does not get through an open gate, either: $said"
	come_first "$2" "$closed"
	flush
	frames
	before=$answer
	try "${@:4}"
	if [[ $1 == passes ]]; then
		((answer)) || check_err 1 "$3 is said to get through, but does not"
	else
		((!answer)) || check_err 1 "$3 gets through"
		frames
		[[ $closed != drop || $answer == "$before" ]] ||
			check_err 1 "$3: $((answer - before)) frames get through"
	fi
	busywait $BUSYWAIT_TIMEOUT stands_before 1 || check_err $? "its rules stood behind ours"
	tenant nft flush ruleset
}

first_at_egress()
{
	if has_hook egress; then
		attempt_first stopped "$@"
	else
		attempt_first passes "$@"
	fi
}

# tenant COMMAND...: what he does. Errors are no fault of nsgate.
tenant()
{
	in_ns "$target" "$@" || die "could not: $*"
}

setup()
{
	setup_gate
	setup_ns child
	actor child "$child"
	must watch watching watch
	must tenant receiving receive "$own" 4242
	must tenant receiving receive "$own6" 4242
	must tenant receiving receive 127.0.0.1 4242
	must tenant receiving receive ::1 4242
	tenant sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	watcher=watch
	excepted=$(program "host $friend and udp port 4242")
	# shellcheck disable=SC2034 # for the tests
	excepted6=$(program "host $friend6 and udp port 4242")
}

# A child of target, behind a veth: v0 there, v1 here.
setup_child()
{
	connect_quietly "$target" v0 "$child" v1 3
	must child watching watch
	ip -n "$outside" route add 10.9.3.0/24 via "$own"
}
