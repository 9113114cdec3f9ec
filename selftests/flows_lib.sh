# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of flows share: the network, and how rows are read.
#
#   client                 router                  server
#   +-----------+         +---------------+        +----------+
#   |        c0 |---------| r0         r1 |--------| s0       |
#   |        .2 |10.9.1/24| .1         .1 |10.9.2/24 .2       |
#   |       ::2 |fd09:1:: | ::1       ::1 |fd09:2::| ::2      |
#   +-----------+         +---------------+        +----------+
#
# The target is the router: it forwards, gets and sends.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

here=$(dirname "$(realpath "$0")")
# shellcheck disable=SC2034 # for the tests
header="family proto source destination packets bytes age_ms idle_ms"
client='' router='' server='' router_dir='' sender=()

setup()
{
	setup_ns client router server
	router_dir=$HOST_VIEW/$(ns_inode "$router")
	setup_tmp
	load_nsgate "inode=$(ns_inode "$router")"
}

# With IPv4 and IPv6 alike the neighbours are known: none of them is asked for
# while others count. Nor does a device make up an address, for with one it looks
# for routers and tells its groups, whenever it likes.
setup_links()
{
	local ns

	for ns in "$client" "$router" "$server"; do
		in_ns "$ns" sysctl -qw net.ipv6.conf.default.addr_gen_mode=1
	done
	in_ns "$router" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip -n "$router" -batch - <<-END
		link add r0 address 02:00:00:09:01:01 type veth peer name c0 address 02:00:00:09:01:02 netns $client
		link add r1 address 02:00:00:09:02:01 type veth peer name s0 address 02:00:00:09:02:02 netns $server
		addr add 10.9.1.1/24 dev r0
		addr add 10.9.2.1/24 dev r1
		addr add fd09:1::1/64 dev r0 nodad
		addr add fd09:2::1/64 dev r1 nodad
		link set r0 up
		link set r1 up
		neigh add 10.9.1.2 lladdr 02:00:00:09:01:02 dev r0
		neigh add 10.9.2.2 lladdr 02:00:00:09:02:02 dev r1
		neigh add fd09:1::2 lladdr 02:00:00:09:01:02 dev r0
		neigh add fd09:2::2 lladdr 02:00:00:09:02:02 dev r1
	END
	setup_end "$client" c0 1
	setup_end "$server" s0 2
	coproc sender { in_ns "$client" "$here/send.py"; }
}

setup_end()
{
	ip -n "$1" -batch - <<-END
		addr add 10.9.$3.2/24 dev $2
		addr add fd09:$3::2/64 dev $2 nodad
		link set $2 up
		neigh add 10.9.$3.1 lladdr 02:00:00:09:0$3:01 dev $2
		neigh add fd09:$3::1 lladdr 02:00:00:09:0$3:01 dev $2
		route add default via 10.9.$3.1
		route add default via fd09:$3::1
	END
}

# send COMMAND...: from the client, see send.py.
send()
{
	local answer

	echo "$*" >&"${sender[1]}"
	read -r answer <&"${sender[0]}" || die "send.py $*"
	[[ $answer == sent ]] || check_err 1 "send.py $*: $answer"
}

# What the kernel sends on its own account has no such address at both ends.
ours()
{
	local row family proto source destination

	while read -r row; do
		read -r family proto source destination _ <<<"$row"
		if [[ $source == @(10.9.|?(\[)fd09:)* && $destination == @(10.9.|?(\[)fd09:)* ]]; then
			echo "$row"
		fi
	done
}

# rows FILE: our flows in it, without their times.
rows()
{
	local family proto source destination packets bytes

	while read -r family proto source destination packets bytes _; do
		echo "$family $proto $source $destination $packets $bytes"
	done <"$1" | ours
}

# row FAMILY PROTO SOURCE DESTINATION: packets, bytes, age_ms and idle_ms.
row()
{
	local family proto source destination figures

	while read -r family proto source destination figures; do
		if [[ "$family $proto $source $destination" == "$*" ]]; then
			echo "$figures"
			return
		fi
	done <"$router_dir/flows"
}

has_packets()
{
	local packets=0

	read -r packets _ < <(row "${@:2}") || true
	((packets == $1))
}

online_cpus()
{
	local range

	while read -rd , range; do
		seq "${range%-*}" "${range#*-}"
	done < <(echo "$(</sys/devices/system/cpu/online),")
}

reload()
{
	unload_nsgate
	load_nsgate "inode=$(ns_inode "$router")" "$@"
}
