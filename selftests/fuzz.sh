#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, Choosing targets
#
# Random and almost right texts for the parameter, the gate and the limit, odd ways to
# use the files, and damaged frames. What the kernel must make of each text is known
# by other means, see fuzz.c, and nft counts frames behind nsgate.
#
#   outside          target
#   +--------+       +------------+
#   |     n0 |-------| t0         |
#   |        |       | 10.0.0.2   |
#   |        |       | fd00::2    |
#   +--------+       +------------+
#
# FUZZ_COUNT (1000) is how many there are of each kind. The seed is told; with
# FUZZ_SEED, the same come again.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="parameter gate limit writers_of_parameter writers_of_gate writers_of_limit frames_enter
	frames_leave"

: "${FUZZ_COUNT:=1000}"
[[ ${FUZZ_SEED-} ]] || random_number FUZZ_SEED
here=$(dirname "$(realpath "$0")")
fuzz=		# the program
target='' outside=''
inodes=()	# of namespaces that have nothing to do
inode=''	# of target
printk=$(</proc/sys/kernel/printk)
optmem=$(</proc/sys/net/core/optmem_max)

at_end()
{
	echo "$printk" >/proc/sys/kernel/printk
	echo "$optmem" >/proc/sys/net/core/optmem_max
}

setup()
{
	local ns0 ns1 ns2 ns3 ns4 ns5

	checktool "nft --version" "find nft"
	modprobe -q nfnetlink_log || skip "no nfnetlink_log"
	setup_program fuzz
	setup_ns ns0 ns1 ns2 ns3 ns4 ns5 target outside
	mapfile -t inodes < <(ns_inode "$ns0" "$ns1" "$ns2" "$ns3" "$ns4" "$ns5")
	inode=$(ns_inode "$target")
	ip -n "$outside" link add n0 address 02:00:00:00:00:01 type veth \
		peer name t0 address 02:00:00:00:00:02 netns "$target"
	ip -n "$target" addr add 10.0.0.2/24 dev t0
	echo "# seed $FUZZ_SEED, $FUZZ_COUNT of each kind"
	# Each text that is refused leaves a line in the log: the console has no
	# time for that. And sockets shall take as long a program as the gate.
	echo 1 >/proc/sys/kernel/printk
	echo 1000000 >/proc/sys/net/core/optmem_max
	load_nsgate flows=64
}

# run_fuzz KIND FILE FIRST COUNT [ARGUMENT...]: see fuzz.c.
run_fuzz()
{
	"$fuzz" "$1" "$2" "$FUZZ_SEED" "${@:3}" || check_err $? "see above"
}

# await_fuzz PID...
await_fuzz()
{
	local pid

	for pid; do
		wait "$pid" || check_err $? "see above"
	done
}

parameter()
{
	run_fuzz param $INODE_PARAM 0 "$FUZZ_COUNT" "${inodes[@]}"
	write_inode ""
	log_test "parameter: $FUZZ_COUNT texts"
}

gate()
{
	write_inode "$inode"
	run_fuzz gate "$HOST_VIEW/$inode/gate" 0 "$FUZZ_COUNT"
	log_test "gate: $FUZZ_COUNT texts"
}

limit()
{
	write_inode ""
	write_inode "$inode"
	run_fuzz limit "$HOST_VIEW/$inode/limit" 0 "$FUZZ_COUNT"
	log_test "limit: $FUZZ_COUNT texts"
}

# What comes of several writers can't be foretold, but the file stays whole.
writers_of_parameter()
{
	local pids=()

	write_inode "$inode"
	"$fuzz" param "-$INODE_PARAM" "$FUZZ_SEED" 1000000000 "$FUZZ_COUNT" "${inodes[@]}" & pids+=($!)
	"$fuzz" param "-$INODE_PARAM" "$FUZZ_SEED" 2000000000 "$FUZZ_COUNT" "${inodes[@]}" & pids+=($!)
	"$fuzz" files files "$FUZZ_SEED" 0 "$FUZZ_COUNT" "$INODE_PARAM" "$HOST_VIEW/namespaces" \
		"$HOST_VIEW"/"${inodes[0]}"/{state,stats,flows,gate} \
		"$HOST_VIEW"/"${inodes[1]}"/{state,stats,flows,gate} & pids+=($!)
	await_fuzz "${pids[@]}"
	write_inode ""
	check_equal "targets" "" "$(<$INODE_PARAM)"
	write_inode "${inodes[0]},${inodes[1]}"
	check_equal "targets" "${inodes[0]},${inodes[1]}" "$(<$INODE_PARAM)"
	write_inode ""
	log_test "parameter: two writers, and readers of all files"
}

writers_of_gate()
{
	local pids=() file=$HOST_VIEW/$inode/gate

	write_inode "$inode"
	"$fuzz" gate "-$file" "$FUZZ_SEED" 1000000000 "$FUZZ_COUNT" & pids+=($!)
	"$fuzz" gate "-$file" "$FUZZ_SEED" 2000000000 "$FUZZ_COUNT" & pids+=($!)
	nsenter --net="/run/netns/$target" -- "$fuzz" files files "$FUZZ_SEED" 0 "$FUZZ_COUNT" \
		/proc/net/nsgate/{state,stats,flows} & pids+=($!)
	await_fuzz "${pids[@]}"
	echo drop >"$file"
	check_equal "the gate" "policy drop"$'\n'"except none" "$(head -n 2 "$file")"
	log_test "gate: two writers, and readers of all files"
}

writers_of_limit()
{
	local pids=() file=$HOST_VIEW/$inode/limit

	write_inode "$inode"
	"$fuzz" limit "-$file" "$FUZZ_SEED" 1000000000 "$FUZZ_COUNT" & pids+=($!)
	"$fuzz" limit "-$file" "$FUZZ_SEED" 2000000000 "$FUZZ_COUNT" & pids+=($!)
	"$fuzz" files files "$FUZZ_SEED" 0 "$FUZZ_COUNT" "$HOST_VIEW/$inode"/{state,stats,limit} & pids+=($!)
	await_fuzz "${pids[@]}"
	echo "in rate 7" >"$file"
	check_equal "the limit" "mode on"$'\n'"in_rate 7" "$(head -n 2 "$file")"
	echo none >"$file"
	log_test "limit: two writers, and readers of files"
}

# ---- frames ----

has_egress()
{
	grep -q '^hooks.* egress' "$HOST_VIEW/$inode/state"
}

# Counts what passes prerouting, one chain after nsgate, by protocol; of IPv4 only:
# to nft, an authentication header of IPv6 is what the packet carries.
protocol_counters()
{
	local proto
	local -A numbers=([tcp]=6 [udp]=17 [icmp]="1, 58" [sctp]=132 [esp]=50 [other]="0-255")

	for proto in "${!numbers[@]}"; do
		echo "counter ipv4_$proto { }"
	done
	echo "chain prerouting { type filter hook prerouting priority -1000;"
	for proto in tcp udp icmp sctp esp other; do
		echo "meta nfproto ipv4 meta l4proto { ${numbers[$proto]} } counter name ipv4_$proto accept"
	done
	echo "}"
}

# What passes behind nsgate, by nft. By lo go answers to what target seems to have
# sent itself.
count_by_nft()
{
	local device

	in_ns "$target" nft -f - <<-END
		table inet behind {
			$(protocol_counters)
		}
		table netdev behind {
			counter ingress { }
			counter egress { }
			chain ingress { counter name ingress; }
			chain egress { counter name egress; }
			$(for device in lo t0; do
				echo "chain in-$device { type filter hook ingress device $device priority 0; jump ingress; }"
				! has_egress ||
					echo "chain out-$device { type filter hook egress device $device priority 0; jump egress; }"
			done)
		}
	END
}

# Nothing passes before both count.
setup_frames()
{
	ip -n "$target" link set t0 down
	write_inode ""
	write_inode "$inode"
	in_ns "$target" nft flush ruleset
	count_by_nft
	ip -n "$outside" link set n0 up
	ip -n "$target" link set t0 up
	ip -n "$target" addr add fd00::2/64 dev t0 nodad
}

# What has passed, by nft: at each device hook, and at prerouting by protocol.
passed_by_nft()
{
	local word name counter

	while read -r word name _; do
		case $word in
		counter) counter=${name/_/ } ;;
		packets) ((!name)) || echo "$counter $name" ;;
		esac
	done < <(in_ns "$target" nft list counters) | sort
}

# The same by nsgate's own figures.
passed_by_nsgate()
{
	local hook family proto packets dropped name

	while read -r hook family proto packets _ dropped _; do
		case $hook-$proto in
		ingress-all | egress-all) name=$hook ;;
		prerouting-all) continue ;;
		prerouting-*)
			[[ $family == ipv4 ]] || continue
			name="ipv4 $proto"
			;;
		*) continue ;;
		esac
		((packets == dropped)) || echo "$name $((packets - dropped))"
	done <"$HOST_VIEW/$inode/stats" | sort
}

# send_frames NAMESPACE DEVICE HOOK [FLOWS]: through a gate that is written all the
# while.
send_frames()
{
	local sender first=3000000000

	setup_frames
	nsenter --net="/run/netns/$1" -- \
		"$fuzz" frames "$2" "$FUZZ_SEED" 0 "$FUZZ_COUNT" "${@:4}" <"$here/frames.txt" & sender=$!
	while kill -0 "$sender" 2>/dev/null; do
		run_fuzz gate "-$HOST_VIEW/$inode/gate" $((first += 100)) 100 >/dev/null
		cat "$HOST_VIEW/$inode"/{state,stats,flows} >/dev/null
	done
	await_fuzz "$sender"
	# Answers to what was sent may go on for long.
	ip -n "$outside" link set n0 down
	ip -n "$target" link set t0 down
	check_same_figures "nft" passed_by_nft passed_by_nsgate
	[[ $(passed_by_nft) == *"$3 "* ]] || check_err 1 "nothing passed"
}

frames_enter()
{
	send_frames "$outside" n0 ingress "/proc/$$/net/nsgate/$inode/flows"
	log_test "frames that enter: $FUZZ_COUNT"
}

frames_leave()
{
	write_inode "$inode"
	if ! has_egress; then
		log_test_skip "frames that leave" "this kernel has no egress hook"
		return
	fi
	send_frames "$target" t0 egress
	log_test "frames that leave: $FUZZ_COUNT"
}

setup
tests_run
