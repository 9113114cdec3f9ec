#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, gate
#
# Quarantine: the gate cuts a namespace off while traffic runs, from the moment
# that the write of "drop" returns; and from the first packet on.

# shellcheck source=gate_lib.sh
source "$(dirname "$(realpath "$0")")/gate_lib.sh"

ALL_TESTS="runs is_cut_off accept_restores exception_passes
	closed_from_the_beginning"

# A flow of iperf3 for each line: its name, port, family, from where in target,
# to where in outside.
load_flows="tcp4 5201 ip $own $friend
tcp6 5202 ip6 $own6 $friend6
udp4 5203 ip $own $friend
udp6 5204 ip6 $own6 $friend6"

# Counts what comes out at outside, and what comes in behind the gate in target;
# "friend" is what an exception is made for.
count_load()
{
	local name port family from to

	while read -r name port family from to; do
		in_ns "$outside" nft -f - <<-END
			add counter netdev watch $name
			add rule netdev watch ingress meta l4proto ${name%[46]} $family saddr $from $family daddr $to th dport $port counter name $name
		END
		in_ns "$target" nft -f - <<-END
			add table inet watch
			add counter inet watch $name
			add chain inet watch input { type filter hook input priority -2147483647; }
			add rule inet watch input meta l4proto ${name%[46]} $family saddr $to $family daddr $from th sport $port counter name $name
		END
	done <<<"$load_flows"
	in_ns "$outside" nft -f - <<-END
		add counter netdev watch friend
		add rule netdev watch ingress ip saddr $own ip daddr $friend tcp dport 5201 counter name friend
		add rule netdev watch ingress ip saddr $own ip daddr $friend tcp sport 5201 counter name friend
	END
	in_ns "$target" nft -f - <<-END
		add counter inet watch frames
		add counter inet watch friend
		add rule inet watch input counter name frames
		add rule inet watch input ip daddr $own ip saddr $friend tcp dport 5201 counter name friend
		add rule inet watch input ip daddr $own ip saddr $friend tcp sport 5201 counter name friend
	END
}

# All counters, as out_NAME of outside and in_NAME of target, in ${figure[]}.
declare -A figure
read_figures()
{
	local direction word value name

	while read -r direction word value _; do
		case $word in
		counter) name=$value ;;
		packets) figure[${direction}_$name]=$value ;;
		esac
	done < <(in_ns "$outside" nft list counters | sed 's/^/out /'
		in_ns "$target" nft list counters | sed 's/^/in /')
}

# grow COUNT NAME...: waits until each figure has grown by so many.
grow()
{
	local count=$1 name left status=0
	local -A old
	shift

	read_figures
	for name; do
		old[$name]=${figure[$name]}
	done
	left=$(busywait $BUSYWAIT_TIMEOUT have_grown "$@") || status=$?
	check_err $status "these don't grow by $count:$left"
}

# By $count since $old; tells those that have not.
have_grown()
{
	local name left=

	read_figures
	for name; do
		((figure[$name] >= old[$name] + count)) || left+=" $name"
	done
	echo "$left"
	[[ ! $left ]]
}

# has_dropped COUNT ROW: the same of the dropped packets of stats.
has_dropped()
{
	stat_dropped "$2"
	((${answer% *} >= $1))
}

# grow_dropped COUNT ROW...
grow_dropped()
{
	local count=$1 row
	local -A old
	shift

	for row; do
		stat_dropped "$row"
		old[$row]=${answer% *}
	done
	for row; do
		busywait $BUSYWAIT_TIMEOUT has_dropped $((old[$row] + count)) "$row" ||
			check_err $? "nothing more is dropped at $row"
	done
}

# What came but what an exception is for, out and in.
forbidden()
{
	flush
	read_figures
	echo "$((figure[out_frames] - figure[out_friend])) out," \
		"$((figure[in_frames] - figure[in_friend])) in"
}

listens()
{
	[[ $(in_ns "$1" ss -Hltn "sport = :$2") ]]
}

# iperf3 ARGUMENTS... in a namespace. It wakes up once in a while, or it would
# take all the time that an emulated CPU has.
iperf_in()
{
	exec nsenter --net="/run/netns/$1" -- iperf3 "${@:2}" >/dev/null 2>&1 </dev/null
}

# Goes on until it is killed: iperf3 ends when it may not send, and then the
# other end waits for ever.
udp_flow()
{
	local port=$1 to=$2 server

	trap 'kill $(jobs -p) 2>/dev/null || true; exit' TERM
	while true; do
		iperf_in "$outside" -s -B "$to" -p "$port" &
		server=$!
		busywait $BUSYWAIT_TIMEOUT listens "$outside" "$port" || true
		iperf_in "$target" -c "$to" -p "$port" "${slowly[@]}" -u &
		echo $! >"$tmp/udp.$port"
		wait $! || true
		kill $server 2>/dev/null || true
		wait $server || true
	done
}

start_load()
{
	local name port to slowly=(-b 100k -l 500 --pacing-timer 50000 --bidir -t 3600)

	while read -r name port _ _ to; do
		if [[ $name == udp* ]]; then
			udp_flow "$port" "$to" &
			continue
		fi
		iperf_in "$outside" -s -B "$to" -p "$port" &
		busywait $BUSYWAIT_TIMEOUT listens "$outside" "$port" ||
			check_err $? "iperf3 does not listen at $port"
		iperf_in "$target" -c "$to" -p "$port" "${slowly[@]}" &
	done <<<"$load_flows"
	# A sender that goes on after EPERM; iperf3 doesn't.
	actor flooder "$target"
	echo "flood 5299 $own $friend $own6 $friend6" >&"${actor_in[flooder]}"
}

runs()
{
	count_load
	start_load
	grow 20 out_{tcp,udp}{4,6} in_{tcp,udp}{4,6}
	log_test "TCP and UDP of both families run, in both directions"
}

is_cut_off()
{
	local entry=("prerouting ipv4 all" "prerouting ipv6 all") before

	has_hook ingress && entry=("ingress netdev ipv4" "ingress netdev ipv6")
	gate drop
	flush
	read_figures
	before="${figure[out_frames]} out, ${figure[in_frames]} in"
	grow_dropped 2 "output ipv4 tcp" "output ipv6 tcp" "output ipv4 udp" \
		"output ipv6 udp" "${entry[@]}"
	flush
	read_figures
	check_equal "packets" "$before" "${figure[out_frames]} out, ${figure[in_frames]} in"
	log_test "not one packet more, once the write of drop has returned"
}

# An iperf3 that may not send ends, or a newer one only ceases to send.
end_udp_flows()
{
	kill "$(<"$tmp/udp.5203")" "$(<"$tmp/udp.5204")" 2>/dev/null || true
}

# TCP tries again after up to as long as the gate was closed.
accept_restores()
{
	gate accept
	end_udp_flows
	grow 20 out_{tcp,udp}{4,6} in_{tcp,udp}{4,6}
	must tenant connected connect "$own6" "$friend6" 5202
	log_test "accept lets TCP go on, and UDP and new connections pass"
}

# Only the connections of iperf3 at port 5201 are excepted.
exception_passes()
{
	local before

	gate "drop except $(program "host $friend and host $own and tcp port 5201")"
	before=$(forbidden)
	grow 20 out_tcp4 in_tcp4
	log_test "drop except lets the excepted connection go on"

	must tenant connected connect "$own" "$friend" 5201
	must tenant listening listen "$own" 5201
	must friend connected connect "$friend" "$own" 5201
	log_test "drop except lets new connections pass, both ways"

	must tenant sent knock "$foe" 5201
	must tenant sent knock "$friend" 5203
	must tenant sent knock "$friend6" 5201
	must friend sent knock "$own" 5203
	must friend sent knock "$own6" 5201
	ask tenant udp "$friend" 5201 ng00000000
	ask friend udp "$own" 5201 ng00000000
	grow_dropped 5 "output ipv4 udp" "output ipv6 udp"
	check_equal "forbidden packets" "$before" "$(forbidden)"
	log_test "drop except lets nothing else pass"
}

# Nothing has passed of what was seen. A reader may find a packet seen that is
# about to be dropped.
all_dropped()
{
	local hook family proto packets dropped right=yes

	while read -r hook family proto packets _ dropped _; do
		[[ $hook == @(prerouting|output|ingress|egress) && $proto == all ]] || continue
		[[ $packets == "$dropped" ]] || right=
		echo "$hook $family: $packets, dropped $dropped"
	done <"${gate%gate}stats"
	[[ $right ]]
}

closed_from_the_beginning()
{
	local before found status=0

	end_jobs
	unload_nsgate
	actor fence "$fence"
	actor post "$outside"
	must post receiving receive 10.9.9.10 9
	actor flooder "$target"
	echo "flood 5299 $own $friend $own6 $friend6" >&"${actor_in[flooder]}"
	grow 20 out_frames

	load_nsgate policy=drop "inode=$target_inode"
	flush
	read_figures
	before=${figure[out_frames]}
	gate_value policy
	check_equal "policy" drop "$answer"
	grow_dropped 100 "output ipv4 udp" "output ipv6 udp"
	flush
	read_figures
	check_equal "packets that came out" "$before" "${figure[out_frames]}"
	found=$(busywait $BUSYWAIT_TIMEOUT all_dropped) || status=$?
	check_err $status "some were not dropped: $found"
	log_test "policy=drop is in force before the first packet"

	gate accept
	write_inode ""
	write_inode "+$target_inode"
	gate_value policy
	check_equal "policy" drop "$answer"
	check_equal "the parameter" drop "$(</sys/module/nsgate/parameters/policy)"
	log_test "policy=drop is what each bind begins with"
}

setup_tmp
setup_gate
watch_by_nft
tests_run
