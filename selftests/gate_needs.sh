#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, `<inode>/gate` (host, mode 0600)
#
# What an exception needs to work passes with it, and nothing else does: the promise
# of docs/files.md, "gate", about ARP, neighbour discovery and the errors of ICMP.

# shellcheck source=gate_escape_lib.sh
source "$(dirname "$(realpath "$0")")/gate_escape_lib.sh"

ALL_TESTS="errors_out errors_in forged_errors neighbours forged_neighbours
	not_without_an_exception counts_nothing finds_its_neighbour small_path"

far=10.9.7.1	# behind outside, where the path gets narrow

# icmp NAME VERDICT ACTOR SOURCE ADDRESS TYPE CODE QUOTED_SOURCE QUOTED_ADDRESS PORT SIZE
icmp()
{
	attempt "$2" "$1" "$3" icmp "${@:4}" @
}

nd()
{
	attempt "$2" "$1" "$3" nd "${@:4}" @
}

# About a packet of friend's, which came in as an exception.
errors_out()
{
	local code

	closed="drop except $both"
	for code in 0 3 4 13; do
		icmp "unreachable, code $code" passes tenant "$own" "$friend" 3 $code "$friend" "$own" 4242 100
	done
	icmp "time exceeded" passes tenant "$own" "$friend" 11 0 "$friend" "$own" 4242 100
	icmp "parameter problem" passes tenant "$own" "$friend" 12 0 "$friend" "$own" 4242 576
	closed="drop except $both6"
	icmp "unreachable, IPv6" passes tenant "$own6" "$friend6" 1 4 "$friend6" "$own6" 4242 200
	icmp "packet too big" passes tenant "$own6" "$friend6" 2 0 "$friend6" "$own6" 4242 1280
	icmp "time exceeded, IPv6" passes tenant "$own6" "$friend6" 3 0 "$friend6" "$own6" 4242 200
	icmp "parameter problem, IPv6" passes tenant "$own6" "$friend6" 4 1 "$friend6" "$own6" 4242 200
	closed=drop
	log_test "errors about excepted packets go to those who sent them"
}

# From a router that isn't an end of the exception.
errors_in()
{
	# Some of the errors before said that the path is narrow.
	ip -n "$outside" route flush cache
	watcher=tenant
	closed="drop except $both"
	icmp "unreachable" passes friend "$foe" "$own" 3 4 "$own" "$friend" 4242 100
	icmp "time exceeded" passes friend "$foe" "$own" 11 0 "$own" "$friend" 4242 576
	icmp "unreachable, of a packet to foe" stopped friend "$foe" "$own" 3 4 "$own" "$foe" 4242 100
	icmp "unreachable, of another port" stopped friend "$foe" "$own" 3 4 "$own" "$friend" 4243 100
	icmp "redirect" stopped friend "$foe" "$own" 5 1 "$own" "$friend" 4242 100
	closed="drop except $both6"
	icmp "packet too big" passes friend "$foe6" "$own6" 2 0 "$own6" "$friend6" 4242 1280
	icmp "packet too big, of a packet to foe" stopped \
		friend "$foe6" "$own6" 2 0 "$own6" "$foe6" 4242 1280
	closed=drop
	watcher=watch
	log_test "errors about excepted packets come in, from anywhere"
}

# Errors are data that somebody may be told.
forged_errors()
{
	closed="drop except $both"
	icmp "to foe, about a packet of friend's" stopped \
		tenant "$own" "$foe" 3 3 "$friend" "$own" 4242 100
	icmp "to foe, about a packet of his own" stopped tenant "$own" "$foe" 3 3 "$foe" "$own" 4242 100
	icmp "to foe, about a packet from there to friend" stopped \
		tenant "$own" "$foe" 3 3 "$foe" "$friend" 4242 100
	icmp "an error of 577 bytes" stopped tenant "$own" "$friend" 3 3 "$friend" "$own" 4242 577
	icmp "an echo request with a quote" stopped tenant "$own" "$friend" 8 0 "$friend" "$own" 4242 100
	icmp "an error about another port" stopped tenant "$own" "$friend" 3 3 "$friend" "$own" 4243 100
	closed="drop except $both6"
	icmp "to foe, about a packet of friend's, IPv6" stopped \
		tenant "$own6" "$foe6" 1 3 "$friend6" "$own6" 4242 200
	icmp "an error of 1281 bytes, IPv6" stopped \
		tenant "$own6" "$friend6" 1 3 "$friend6" "$own6" 4242 1281
	log_test "errors that are none carry nothing out"

	# Behind the quote that says how long it is, and behind 128 bytes of any.
	closed="drop except $(program "host $own and host $friend and udp and ip[60] == 0")"
	icmp "a load behind the quote" stopped tenant "$own" "$friend" 3 3 "$friend" "$own" 4242 300
	closed=drop
	log_test "what stands behind a quote belongs to no packet"
}

neighbours()
{
	closed="drop except $both6"
	nd "router solicitation" passes tenant "$own6" "$foe6" 133 255 128
	nd "neighbour solicitation" passes tenant "$own6" "$foe6" 135 255 128
	nd "neighbour advertisement" passes tenant "$own6" "$foe6" 136 255 128
	watcher=tenant
	nd "router solicitation" passes friend "$foe6" "$own6" 133 255 200
	nd "router advertisement" passes friend "$foe6" "$own6" 134 255 200
	nd "neighbour solicitation" passes friend "$foe6" "$own6" 135 255 200
	nd "neighbour advertisement" passes friend "$foe6" "$own6" 136 255 200
	nd "redirect" passes friend "$foe6" "$own6" 137 255 200
	watcher=watch
	closed=drop
	log_test "neighbour discovery passes with an exception"
}

forged_neighbours()
{
	closed="drop except $both6"
	nd "router advertisement" stopped tenant "$own6" "$foe6" 134 255 100
	nd "redirect" stopped tenant "$own6" "$foe6" 137 255 100
	nd "node information" stopped tenant "$own6" "$foe6" 139 255 100
	nd "neighbour solicitation of 129 bytes" stopped tenant "$own6" "$foe6" 135 255 129
	nd "neighbour solicitation that was routed" stopped tenant "$own6" "$foe6" 135 254 100
	watcher=tenant
	nd "neighbour advertisement that was routed" stopped friend "$foe6" "$own6" 136 254 100
	watcher=watch
	closed=drop
	log_test "no more of it than a link needs"
}

not_without_an_exception()
{
	closed=drop
	nd "neighbour solicitation" stopped tenant "$own6" "$foe6" 135 255 100
	icmp "unreachable" stopped tenant "$own" "$friend" 3 3 "$friend" "$own" 4242 100
	closed="accept except $(program "icmp6")"
	nd "neighbour solicitation that the program matches" stopped \
		tenant "$own6" "$foe6" 135 255 100
	closed=drop
	log_test "drop alone stops both, and so does 'accept except'"
}

counts_nothing()
{
	local before

	gate "drop except $both6"
	gate_counts
	before=$answer
	try tenant nd "$own6" "$foe6" 135 255 100 @
	check_equal "neighbour solicitation" 1 "$answer"
	try tenant icmp "$own6" "$friend6" 1 4 "$friend6" "$own6" 4242 200 @
	check_equal "unreachable" 1 "$answer"
	gate_counts
	check_equal "excepted and dropped" "$before" "$answer"
	log_test "what passes so counts as neither excepted nor dropped"
}

# As people write it, without a word about ARP or ICMPv6.
finds_its_neighbour()
{
	gate "drop except $(program "host $own6 and host $friend6 and udp port 4242")"
	ip -n "$target" neigh del "$friend6" dev t0
	ip -n "$outside" neigh del "$own6" dev n0
	try tenant udp "$friend6" 4242 @
	ask watch await "$token" 1
	check_equal "what arrives" 1 "$answer"
	gate "drop except $(program "host $own and host $friend and udp port 4242")"
	ip -n "$target" neigh del "$friend" dev t0
	try tenant udp "$friend" 4242 @
	ask watch await "$token" 1
	check_equal "what arrives by IPv4" 1 "$answer"
	log_test "an exception finds its neighbour"
}

# TCP of 200 kB from target to a host behind a link of 1400 bytes.
small_path()
{
	local bytes beyond

	setup_ns beyond
	ip -n "$outside" -batch - <<-END
		link add g0 mtu 1400 type veth peer name g1 mtu 1400 netns $beyond
		addr add 10.9.7.2/24 dev g0
		link set g0 up
	END
	ip -n "$beyond" -batch - <<-END
		addr add $far/24 dev g1
		link set g1 up
		route add default via 10.9.7.2
	END
	in_ns "$outside" sysctl -qw net.ipv4.ip_forward=1
	ip -n "$target" route add $far/32 via "$friend"
	setup_tmp
	gate "drop except $(program "host $own and host $far and tcp port 22")"
	in_ns "$beyond" python3 - >"$tmp/received" <<-END &
		import socket
		server = socket.create_server(("$far", 22))
		connection, _ = server.accept()
		total = 0
		while data := connection.recv(65536):
		    total += len(data)
		print(total, flush=True)
	END
	in_ns "$target" timeout "$WAIT_TIMEOUT" python3 - <<-END || check_err $? "it can't be sent"
		import socket, time
		end = time.monotonic() + 30
		while True:
		    try:
		        connection = socket.create_connection(("$far", 22), timeout=30)
		        break
		    except ConnectionRefusedError:
		        if time.monotonic() > end:
		            raise
		        time.sleep(0.1)
		connection.sendall(bytes(200000))
		connection.shutdown(socket.SHUT_WR)
		connection.recv(1)
	END
	wait_for_file "$tmp/received" || true
	bytes=$(<"$tmp/received")
	check_equal "bytes that arrive" 200000 "$bytes"
	log_test "TCP finds out that the path is narrower than its own link"
}

has_content()
{
	[[ -s $1 ]]
}

wait_for_file()
{
	busywait $BUSYWAIT_TIMEOUT has_content "$1"
}

setup
both=$(program "host $own and host $friend and udp port 4242")
both6=$(program "host $own6 and host $friend6 and udp port 4242")
must tenant hearing hear "$own"
must tenant hearing hear "$own6"
tests_run
