#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, flows
#
# Floods of flows of one packet, each from another forged source, and 10 heavy
# flows among them that each have 0.5 % of all packets: the heavy ones must stay
# in the table, with nearly all of their packets. FLOOD=1000000 in the
# environment makes the floods that large; by default they are smaller, so that
# an emulated machine is done in reasonable time.
#
#   sender                    router
#   +-------------+           +------------------------------+
#   |           s |-----------| r           d (dummy)        |
#   |             |           | 10.1.0.1/16 10.2.0.1/16      |
#   +-------------+           +------------------------------+
#
# The target is the router. It forwards all that it gets.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="flood_evenly flood_with_bursts
	flood_smallest_table flood_smallest_table_with_bursts
	flood_with_colliding_sources flood_smallest_table_with_colliding_sources
	read_largest_table"

: "${FLOOD:=100000}"
here=$(dirname "$(realpath "$0")")
sender='' router='' router_dir=''
cpus=() capacity=0
mice=0 heavy=0	# packets that the last flood had of all mice, and of each heavy flow
reads=0 rows=0	# how often the flows were read meanwhile, and the last rows
least=0		# packets of the heavy flow that lost most

setup()
{
	modprobe -q pktgen || skip "could not load pktgen"
	mapfile -t cpus < <(online_cpus | head -n 2)
	setup_tmp
	setup_ns sender router
	router_dir=$HOST_VIEW/$(ns_inode "$router")
	# Nobody else sends in these two.
	in_ns "$router" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.disable_ipv6=1
	in_ns "$sender" sysctl -qw net.ipv6.conf.all.disable_ipv6=1
	ip -n "$router" -batch - <<-END
		link add name r address 02:00:00:00:00:01 type veth peer name s netns $sender
		link add name d type dummy
		addr add 10.1.0.1/16 dev r
		addr add 10.2.0.1/16 dev d
		link set dev r up
		link set dev d up
		neigh add 10.2.0.2 lladdr 02:00:00:00:00:02 dev d
		route add 0.0.0.0/0 via 10.2.0.2
	END
	ip -n "$sender" link set dev s up
	in_ns "$router" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.r.rp_filter=0
}

online_cpus()
{
	local range

	while read -rd , range; do
		seq "${range%-*}" "${range#*-}"
	done < <(echo "$(</sys/devices/system/cpu/online),")
}

bind()
{
	! nsgate_loaded || unload_nsgate
	load_nsgate "inode=$(ns_inode "$router")" "$@"
	capacity=$(state_of "$router_dir/state" flow_capacity)
}

# So many that each of the 10 has 0.5 % of all, that is of the mice and of those,
# and that they can be divided among CPUs and bursts.
heavy_for()
{
	echo $(((5 * $1 / 950 / 20 + 1) * 20))
}

# What the receiving side of a CPU has dropped, of all CPUs.
softnet_drops()
{
	local dropped sum=0

	while read -r _ dropped _; do
		sum=$((sum + 16#$dropped))
	done </proc/net/softnet_stat
	echo $sum
}

# The queue of a CPU must hold what comes while that has other things to do.
with_long_queue()
{
	local before status=0

	before=$(</proc/sys/net/core/netdev_max_backlog)
	echo 1000000 >/proc/sys/net/core/netdev_max_backlog
	"$@" || status=$?
	echo "$before" >/proc/sys/net/core/netdev_max_backlog
	return $status
}

# send ORDER CPU...: see flood.py.
send()
{
	case $1 in
	collide)
		in_ns "$sender" taskset -c "$2" "$here/flood.py" collide s 02:00:00:00:00:01 \
			"$mice" "$heavy"
		;;
	*)
		in_ns "$sender" "$here/flood.py" pktgen "$1" "$mice" "$heavy" "${@:2}"
		;;
	esac
}

# flood ORDER MICE CPU...: so many mice, and $heavy packets of each heavy flow.
# The flows are read meanwhile, and all rows must be true.
flood()
{
	local drops watcher status=0

	mice=$2
	heavy=$(heavy_for "$mice")
	drops=$(softnet_drops)
	exec {watcher}> >(exec "$here/flood.py" watch "$1" "$router_dir/flows" "$heavy" \
		>"$tmp/watch" 2>&1)
	with_long_queue send "$1" "${@:3}" || check_err $? "flood.py failed"
	exec {watcher}>&-
	wait $! || status=$?
	check_err $status "a row that was read meanwhile: $(<"$tmp/watch")"
	read -r reads rows <"$tmp/watch" || true
	check_equal "packets dropped by the CPUs" "$drops" "$(softnet_drops)"
}

has_passed()
{
	local hook packets

	for hook in prerouting forward postrouting; do
		read -r packets _ < <(stat_of "$router_dir/stats" $hook ipv4 udp)
		echo "$hook $packets"
		((packets == $1)) || return
	done
}

check_nothing_dropped()
{
	local found hook status=0 bad

	found=$(busywait $BUSYWAIT_TIMEOUT has_passed $((mice + 10 * heavy))) || status=$?
	check_err $status "of $((mice + 10 * heavy)) packets: $found"
	bad=$(awk 'NR > 1 && ($6 || $7)' "$router_dir/stats")
	check_equal "rows with dropped packets" "" "$bad"
}

# The first 10 rows are those of the heavy flows, with 99 % of their packets; or all
# but 5, as what they lose before they get in is the same in small floods.
check_heavies()
{
	local source packets
	local -A seen=()

	least=$heavy
	while read -r _ _ source _ packets _; do
		[[ $source == 10.1.0.1@(0[1-9]|10):10@(0[1-9]|10) ]] ||
			check_err 1 "among the first 10 rows is $source"
		seen[$source]=1
		((packets >= least)) || least=$packets
	done < <(sed -n '2,11p' "$router_dir/flows")
	check_equal "heavy flows in the first 10 rows" 10 ${#seen[@]}
	((least * 100 >= heavy * 99 || heavy - least <= 5)) ||
		check_err 1 "of $heavy packets only $least are listed"
}

# check_evicted ENTRIES: so many are used, and each packet of a mouse that found
# or has none was counted.
check_evicted()
{
	local entries evicted

	entries=$(state_of "$router_dir/state" flow_entries)
	evicted=$(state_of "$router_dir/state" flow_evicted)
	check_equal "capacity" "$capacity" "$(state_of "$router_dir/state" flow_capacity)"
	check_equal "entries" "$1" "$entries"
	# What the heavy flows lost before they got in is told, too.
	((evicted >= mice - entries && evicted <= mice - entries + mice / 100)) ||
		check_err 1 "$mice mice, $entries entries, but $evicted evicted"
}

# kB of memory that the kernel uses for itself, in whatever way.
memory()
{
	awk '/^(SUnreclaim|VmallocUsed|Percpu):/ { sum += $2 } END { print sum }' /proc/meminfo
}

# check_flood ENTRIES NAME
check_flood()
{
	check_heavies
	check_evicted "$1"
	check_nothing_dropped
	((reads)) || check_err 1 "nothing was read meanwhile"
	log_test "$2: $least of $heavy, $reads reads"
}

flood_evenly()
{
	bind
	flood evenly "$FLOOD" "${cpus[0]}"
	check_flood 1024 "$mice mice, evenly"
}

# The first flood has left behind whatever others keep for the next.
flood_with_bursts()
{
	local before taken

	bind
	before=$(memory)
	flood bursts "$FLOOD" "${cpus[@]}"
	taken=$(($(memory) - before))
	check_flood $((1024 * ${#cpus[@]})) "$mice mice, heavy in bursts, ${#cpus[@]} CPUs"
	((taken < mice * 64 / 1024 / 2)) || check_err 1 "$taken kB more are used"
	log_test "memory does not grow with the number of flows ($taken kB)"
}

flood_smallest_table()
{
	bind flows=16
	flood evenly $((2 * FLOOD)) "${cpus[0]}"
	check_flood 16 "flows=16, $mice mice, evenly"
}

# Here entries change hands most often while they are read.
flood_smallest_table_with_bursts()
{
	bind flows=16
	flood bursts "$FLOOD" "${cpus[@]}"
	check_flood $((16 * ${#cpus[@]})) "flows=16, heavy in bursts, ${#cpus[@]} CPUs"
}

# Were the hash not seeded, they would all be in one set of 16.
flood_with_colliding_sources()
{
	bind
	flood collide "$FLOOD" "${cpus[0]}"
	check_flood 1024 "colliding sources"
}

flood_smallest_table_with_colliding_sources()
{
	bind flows=16
	flood collide "$FLOOD" "${cpus[0]}"
	check_flood 16 "flows=16, colliding sources"
}

# A heavy flow has an entry on each CPU.
read_largest_table()
{
	local entries

	bind flows=65536
	flood bursts "$FLOOD" "${cpus[@]}"
	check_heavies
	check_nothing_dropped
	entries=$(state_of "$router_dir/state" flow_entries)
	check_equal "rows" $((entries - 10 * (${#cpus[@]} - 1))) "$rows"
	((entries > (capacity < mice ? capacity : mice) * 3 / 4)) ||
		check_err 1 "only $entries entries are used"
	log_test "flows=65536: all $rows rows are read, $reads reads"
}

((FLOOD && FLOOD % 4000 == 0)) || die "FLOOD=$FLOOD: not a multiple of 4000"
checktool "python3 -c pass" "run python3"
checktool "taskset -V" "run taskset"
setup
tests_run
