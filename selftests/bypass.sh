#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, state
#
# What passes no hook, or only some, is told by `state`: devices with something of
# tc, AF_XDP sockets, and devices with an XDP program. Each is made, counted, and
# taken away again. While loopback has something of tc, it is an edge.
#
#   target                          outside
#   +----------------+             +-----------+
#   |   lo   v0  .1  |-------------| p0  .2    |   10.9.1.0/24, fd09:1::/64
#   |        d0      |             +-----------+
#   +----------------+

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="begins_with_nothing tc_at_ingress_counts tc_at_egress_counts_on_loopback
	tcx_counts xdp_counts sockets_count too_many_end_it gone_has_none
	loopback_is_an_edge"

target='' outside='' fresh=''

setup()
{
	setup_ns target outside
	dir=$HOST_VIEW/$(ns_inode "$target")
	load_nsgate "inode=$(ns_inode "$target")"
	connect "$target" v0 "$outside" p0 1
	ip -n "$target" link add d0 type dummy
	ip -n "$target" link set d0 up
}

key()
{
	state_of "${2-$dir}/state" "$1"
}

# is KEY VALUE: that it is, soon, in both views; figures are up to a second old.
is()
{
	check_reaches "$2" "$1" key "$1"
	check_equal "own view: $1" "$2" "$(in_ns "$target" sed -n "s/^$1 //p" /proc/net/nsgate/state)"
}

tc_in()
{
	in_ns "$target" tc "$@"
}

# begin WHAT ARGUMENT: what bypass.py makes in the target, until `end`; fails if
# this kernel has none.
begin()
{
	local answer

	coproc MADE { exec nsenter --net="/run/netns/$target" -- python3 "${0%.sh}.py" "$@"; }
	read -r answer <&"${MADE[0]}" || die "bypass.py $*"
	[[ $answer == there ]] || {
		wait "$MADE_PID"
		return 1
	}
}

end()
{
	local pid=$MADE_PID

	eval "exec ${MADE[1]}>&-"
	wait "$pid"
}

begins_with_nothing()
{
	check_equal "last rows" "parent preceded tc af_xdp xdp" \
		"$(tail -n 5 "$dir/state" | cut -d ' ' -f 1 | paste -sd ' ')"
	check_equal "figures" "0 0 0" "$(key tc) $(key af_xdp) $(key xdp)"
	# A device that has never been up has a qdisc that takes nothing.
	setup_ns fresh
	ip -n "$fresh" link set lo down
	ip -n "$fresh" link add d0 type dummy
	write_inode "+$(ns_inode "$fresh")"
	check_equal "fresh" "0 0 0" "$(for key in tc af_xdp xdp; do
		key "$key" "$HOST_VIEW/$(ns_inode "$fresh")"; done | paste -sd ' ')"
	write_inode "-$(ns_inode "$fresh")"
	log_test "a namespace begins with nothing that goes past"
}

tc_at_ingress_counts()
{
	tc_in qdisc add dev v0 clsact
	is tc 1
	tc_in qdisc add dev d0 ingress
	is tc 2
	tc_in filter add dev v0 ingress matchall action pass
	is tc 2
	tc_in qdisc del dev d0 ingress
	is tc 1
	ip -n "$target" link set v0 down
	is tc 1
	ip -n "$target" link set v0 up
	tc_in qdisc del dev v0 clsact
	is tc 0
	log_test "ingress and clsact count, with a filter and without"
}

tc_at_egress_counts_on_loopback()
{
	tc_in qdisc add dev v0 root pfifo
	tc_in qdisc add dev lo root pfifo
	is tc 1
	tc_in qdisc del dev lo root
	is tc 0
	tc_in qdisc add dev lo clsact
	is tc 1
	tc_in filter add dev lo egress matchall action pass
	is tc 1
	tc_in qdisc del dev lo clsact
	tc_in qdisc del dev v0 root
	is tc 0
	log_test "a qdisc at egress counts on loopback only"
}

tcx_counts()
{
	if ! begin tcx-ingress v0; then
		log_test_skip "programs that need no qdisc" "they are new in Linux 6.6"
		return
	fi
	is tc 1
	end
	is tc 0
	begin tcx-egress v0
	is tc 0
	end
	begin tcx-egress lo
	is tc 1
	end
	is tc 0
	log_test "programs that need no qdisc count"
}

xdp_counts()
{
	[[ $(key xdp) != - ]] || {
		log_test_skip "XDP programs" "this kernel can't tell"
		return
	}
	begin xdp v0
	is xdp 1
	end
	is xdp 0
	begin xdp-attached d0
	is xdp 1
	end
	is xdp 0
	check_equal "tc, AF_XDP" "0 0" "$(key tc) $(key af_xdp)"
	log_test "devices with XDP programs count"
}

sockets_count()
{
	if [[ $(key af_xdp) == - ]] || ! begin sockets 3; then
		log_test_skip "AF_XDP sockets" "this kernel has none, or can't tell"
		return
	fi
	is af_xdp 3
	end
	is af_xdp 0
	log_test "AF_XDP sockets count"
}

too_many_end_it()
{
	if [[ $(key af_xdp) == - ]] || ! begin sockets 4096; then
		log_test_skip "too many to count" "this kernel has no AF_XDP, or can't tell"
		return
	fi
	is af_xdp 4096
	end
	begin sockets 4097
	is af_xdp ">4096"
	end
	is af_xdp 0
	log_test "after 4,096 of them it only says that there are more"
}

gone_has_none()
{
	setup_ns fresh
	ip -n "$fresh" link add d0 type dummy
	in_ns "$fresh" tc qdisc add dev d0 clsact
	write_inode "+$(ns_inode "$fresh")"
	local inode
	inode=$(ns_inode "$fresh")
	check_equal "live" 1 "$(key tc "$HOST_VIEW/$inode")"
	cleanup_ns "$fresh"
	busywait $BUSYWAIT_TIMEOUT grep -qx "status gone" "$HOST_VIEW/$inode/state" ||
		check_err 1 "not gone"
	check_reaches 0 "gone" key tc "$HOST_VIEW/$inode"
	write_inode "-$inode"
	log_test "a gone target has none"
}

# row in|out: packets
row()
{
	awk -v hook="$1" '$1 == hook && $3 == "all" { print $4 }' "$dir/stats"
}

# pings: so many packets enter and leave by edges while the target pings itself.
pings()
{
	local in out

	in=$(row in) out=$(row out)
	in_ns "$target" ping -q -i 0.01 -c 5 -W 5 127.0.0.1 >/dev/null || check_err 1 "no ping"
	check_equal "in with $1" "$2" "$(($(row in) - in))"
	[[ $(key hooks) != *egress* ]] || check_equal "out with $1" "$2" "$(($(row out) - out))"
}

loopback_is_an_edge()
{
	# Nothing else enters or leaves meanwhile.
	ip -n "$target" link set v0 down
	ip -n "$target" link set d0 down
	pings "nothing" 0
	tc_in qdisc add dev lo clsact
	pings "clsact" 10
	check_equal "flows" 1 "$(grep -c "127.0.0.1" "$dir/flows")"
	tc_in qdisc del dev lo clsact
	pings "nothing any more" 0
	tc_in qdisc add dev lo root pfifo
	pings "a qdisc" 10
	tc_in qdisc del dev lo root
	if begin tcx-egress lo; then
		pings "a program" 10
		end
	fi
	pings "nothing in the end" 0
	log_test "loopback is an edge while it has something of tc"
}

checktool "python3 -c pass" "run python3"
checktool "tc -V" "run tc"
setup
tests_run
