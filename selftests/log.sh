#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, gate
#
# What the gate and the limit of two targets drop is seen by tcpdump on the host,
# in a group of NFLOG, and written by ulogd.
#
#   one             outside             two
#   +-------+      +---------+      +-------+
#   | v0 .1 |------| p0   p1 |------| v1 .1 |   10.9.1.0/24 and 10.9.2.0/24
#   +-------+      | .2   .2 |      +-------+
#                  +---------+

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"

ALL_TESTS="nflog_is_loaded texts drops_are_logged targets_are_told_apart others_get_nothing
	dry_run_is_logged limit_is_logged limit_in_a_dry_run frames_are_decoded
	lies_are_logged_as_they_are floods_are_cut ulogd_has_them"

here=$(dirname "$(realpath "$0")")
one='' two='' outside=''

setup()
{
	setup_ns one two outside
	load_nsgate "inode=$(ns_inode "$one"),$(ns_inode "$two")"
	dir=$HOST_VIEW/$(ns_inode "$one")
	connect_quietly "$one" v0 "$outside" p0 1
	ip -n "$two" link add v1 type veth peer name p1 netns "$outside"
	ip -n "$two" address add 10.9.2.1/24 dev v1
	ip -n "$two" link set v1 up
	ip -n "$outside" address add 10.9.2.2/24 dev p1
	ip -n "$outside" link set p1 up
	in_ns "$outside" ping -q -c 1 -W 5 10.9.1.1 >/dev/null || die "10.9.1.1 isn't reached"
	in_ns "$outside" ping -q -c 1 -W 5 10.9.2.1 >/dev/null || die "10.9.2.1 isn't reached"
}

gate()
{
	printf '%s\n' "$1" >"${2-$dir}/gate"
}

key()
{
	state_of "$dir/gate" "$1"
}

# capture [NAMESPACE]: begins to note what group 7 gets.
capture()
{
	: >"$tmp/said"
	: >"$tmp/nflog"
	${1:+in_ns "$1"} tcpdump -i nflog:7 -n -U -Z root -w "$tmp/nflog" 2>"$tmp/said" &
	busywait $BUSYWAIT_TIMEOUT grep -q "listening on" "$tmp/said" || die "tcpdump: $(<"$tmp/said")"
}

end_capture()
{
	sleep 1
	kill %%
	wait %% || :
	tcpdump -n -r "$tmp/nflog" 2>/dev/null >"$tmp/packets" || :
}

# count TEXT: how many packets say it, in the prefix too.
count()
{
	grep -aoF "$1" "$tmp/nflog" | wc -l
}

nflog_is_loaded()
{
	local name="the first gate that logs has NFLOG loaded"

	if ! modprobe -qr nfnetlink_log || [[ -e /proc/net/netfilter/nfnetlink_log ]]; then
		log_test_skip "$name" "it is built in, or in use"
		return
	fi
	gate "drop log 7" || check_err $? "it is refused"
	[[ -e /proc/net/netfilter/nfnetlink_log ]] || check_err 1 "it isn't loaded"
	gate accept
	modprobe -q nfnetlink_log
	log_test "$name"
}

texts()
{
	local text

	check_equal "log" none "$(key log)"
	for text in "drop log" "drop log -1" "drop log 65536" "drop log x" "drop log 7 " \
		"log 7 drop" "drop log 7 log 7" "drop except 1,6 0 0 1 log 7"; do
		! gate "$text" 2>/dev/null || check_err 1 "\"$text\" is taken"
	done
	gate "accept log 65535"
	check_equal "log" "accept 65535" "$(key policy) $(key log)"
	gate "dry drop log 0 except 1,6 0 0 1 # label"
	check_equal "log" "dry drop 0 label" "$(key policy) $(key log) $(key label)"
	gate accept
	check_equal "log" none "$(key log)"
	log_test "log is one word of a policy"
}

drops_are_logged()
{
	capture
	gate "drop log 7"
	in_ns "$outside" ping -q -c 5 -i 0.1 -W 1 10.9.1.1 >/dev/null || :
	end_capture
	gate accept
	check_equal "packets" 5 "$(grep -c "10.9.1.2 > 10.9.1.1: ICMP echo request" "$tmp/packets")"
	check_equal "prefixes" 5 "$(count "nsgate $(ns_inode "$one") gate")"
	check_equal "unlogged" 0 "$(key unlogged)"
	log_test "what the gate drops is logged, once, on the host"
}

targets_are_told_apart()
{
	capture
	gate "drop log 7"
	gate "drop log 7" "$HOST_VIEW/$(ns_inode "$two")"
	in_ns "$outside" ping -q -c 3 -i 0.1 -W 1 10.9.1.1 >/dev/null || :
	in_ns "$outside" ping -q -c 4 -i 0.1 -W 1 10.9.2.1 >/dev/null || :
	end_capture
	gate accept
	gate accept "$HOST_VIEW/$(ns_inode "$two")"
	check_equal "one" 3 "$(grep -c "10.9.1.2 > 10.9.1.1: ICMP" "$tmp/packets")"
	check_equal "two" 4 "$(grep -c "10.9.2.2 > 10.9.2.1: ICMP" "$tmp/packets")"
	check_equal "prefixes of one" 3 "$(count "nsgate $(ns_inode "$one") gate")"
	(($(count "nsgate $(ns_inode "$two") gate") >= 4)) || check_err 1 "prefixes of two"
	log_test "two targets are told apart"
}

others_get_nothing()
{
	capture "$one"
	gate "drop log 7"
	in_ns "$outside" ping -q -c 3 -i 0.1 -W 1 10.9.1.1 >/dev/null || :
	end_capture
	gate accept
	check_equal "in the target" "" "$(<"$tmp/packets")"
	log_test "the target itself gets nothing"
}

dry_run_is_logged()
{
	capture
	gate "dry drop log 7"
	in_ns "$outside" ping -q -c 3 -i 0.1 -W 5 10.9.1.1 >/dev/null || check_err 1 "no answer"
	end_capture
	gate accept
	check_equal "requests" 3 "$(grep -c "10.9.1.2 > 10.9.1.1: ICMP echo request" "$tmp/packets")"
	check_equal "replies" 3 "$(grep -c "10.9.1.1 > 10.9.1.2: ICMP echo reply" "$tmp/packets")"
	log_test "a dry run logs what it would drop, once"
}

limit_is_logged()
{
	capture
	gate "accept log 7"
	printf 'in quota 0\n' >"$dir/limit"
	in_ns "$outside" ping -q -c 4 -i 0.1 -W 1 10.9.1.1 >/dev/null || :
	printf 'none\n' >"$dir/limit"
	end_capture
	gate accept
	check_equal "packets" 4 "$(grep -c "10.9.1.2 > 10.9.1.1: ICMP echo request" "$tmp/packets")"
	check_equal "prefixes" 4 "$(count "nsgate $(ns_inode "$one") limit")"
	log_test "what a limit drops is logged, too"
}

# What the limit drops gets to no point of IP, where a dry run else counts it.
limit_in_a_dry_run()
{
	local dropped

	capture
	gate "dry drop log 7"
	dropped=$(key dropped)
	printf 'in quota 0\n' >"$dir/limit"
	! in_ns "$outside" ping -q -c 4 -i 0.1 -W 1 10.9.1.1 >/dev/null || check_err 1 "an answer"
	printf 'none\n' >"$dir/limit"
	dropped=$(($(key dropped) - dropped))
	end_capture
	gate accept
	check_equal "packets" 4 "$(grep -c "10.9.1.2 > 10.9.1.1: ICMP echo request" "$tmp/packets")"
	check_equal "dropped" 4 "$dropped"
	check_equal "prefixes" 4 "$(count "nsgate $(ns_inode "$one") gate")"
	log_test "what a dry run would drop is told of, though a limit drops it first"
}

# ---- frames ----

udp4=4500002000010000401100000a0901020a09010100090009000c00006e736774
udp6=60000000000c1140fd090001000000000000000000000002fd09000100000000000000000000000100090009000c00006e736774
arp=0001080006040001020000090102 # of Ethernet and IPv4, a request, from p0
arp+=0a0901020000000000000a090101

# send NAMESPACE DEVICE CLAIM:FRAME...: from a packet socket, in hexadecimal; the kernel
# is told that they are of type CLAIM.
send()
{
	in_ns "$1" python3 -c '
import errno, socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
for claim, frame in (word.split(":") for word in sys.argv[2:]):
    try:
        s.sendto(bytes.fromhex(frame), (sys.argv[1], int(claim, 16)))
    except OSError as error:
        if error.errno != errno.ENOBUFS: # dropped as it was sent
            raise' "${@:2}"
}

# send_both_ways CLAIM:FRAME...: as they come from outside, and as one sends them.
send_both_ways()
{
	send "$outside" p0 "$@"
	send "$one" v0 "$@"
}

# check_logged FAMILY:PACKET...: these were logged, in turn, and nothing else.
check_logged()
{
	local prefix expected='' word

	prefix=nsgate_$(ns_inode "$one")_gate
	for word; do
		expected+="${word%:*} $prefix ${word#*:}"$'\n'
	done
	check_equal "what is logged" "${expected%$'\n'}" "$("$here/nflog.py" "$tmp/nflog")"
}

sees_egress()
{
	grep -qw '^hooks .*egress' "$HOST_VIEW/$(ns_inode "$one")/state"
}

# All of these are for v0, from p0. Without a hook at egress, frames that a packet socket
# sends aren't seen.
frames_are_decoded()
{
	local macs=020000090101020000090102 mark ways=1
	local packets=("ipv4:$udp4" "ipv6:$udp6" "arp:$arp" "ipv4:$udp4")

	if sees_egress; then
		ways=2
		packets+=("${packets[@]}")
	fi

	capture
	gate "drop log 7"
	mark=$(log_mark)
	send_both_ways "0800:${macs}0800$udp4" "86dd:${macs}86dd$udp6" "0806:${macs}0806$arp" \
		"8100:${macs}810000050800$udp4" "88b5:${macs}88b5$udp4"
	end_capture
	check_equal "in the kernel's log" "" "$(log_since "$mark")"
	gate accept
	check_logged "${packets[@]}"
	check_equal "tcpdump, IPv4" $((2 * ways)) "$(grep -c "IP 10.9.1.2.9 > 10.9.1.1.9: UDP" "$tmp/packets")"
	check_equal "tcpdump, IPv6" $ways "$(grep -c "IP6 fd09:1::2.9 > fd09:1::1.9: UDP" "$tmp/packets")"
	check_equal "unlogged" 0 "$(key unlogged)"
	log_test "frames are logged from the network header on"
}

# A packet socket tells the kernel another type than the frame has, or there is next
# to nothing in it.
lies_are_logged_as_they_are()
{
	local macs=020000090101020000090102

	if ! sees_egress; then
		log_test_skip "frames that claim to be something else" "this kernel has no egress hook"
		return
	fi
	capture
	gate "drop log 7"
	send "$one" v0 "0806:${macs}0800$udp4" "0800:${macs}86dd$udp6" "86dd:${macs}0806$arp" \
		"0800:${macs}080045" "0806:${macs}86dd60" || check_err $? "can't send"
	end_capture
	gate accept
	check_logged "ipv4:$udp4" "ipv6:$udp6" "arp:$arp" "ipv4:45" "ipv6:60"
	check_equal "unlogged" 0 "$(key unlogged)"
	log_test "frames that claim to be something else"
}

floods_are_cut()
{
	local begin end logged unlogged dropped most mark

	capture
	unlogged=$(key unlogged)
	dropped=$(key dropped)
	gate "drop log 7"
	mark=$(log_mark)
	read_clock begin
	in_ns "$outside" python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(10000):
    s.sendto(b"x", ("10.9.1.1", 9))'
	read_clock end
	end_capture
	check_equal "in the kernel's log" "" "$(log_since "$mark")"
	gate accept
	logged=$(grep -c "10.9.1.2.* > 10.9.1.1.9: UDP" "$tmp/packets")
	unlogged=$(($(key unlogged) - unlogged))
	dropped=$(($(key dropped) - dropped))
	most=$((100 + (end - begin) / 10000 + 1))
	echo "# $dropped drops in $(((end - begin) / 1000)) ms: $logged logged, $unlogged not"
	check_equal "logged and not" "$dropped" $((logged + unlogged))
	((logged >= 100 && logged <= most)) || check_err 1 "$logged logged, at most $most"
	log_test "of a flood, 100 a second are logged, the others counted"
}

group_is_taken()
{
	grep -q "^ *7 " /proc/net/netfilter/nfnetlink_log
}

# The daemon that writes NFLOG to a file, in the form of iptables' LOG.
start_ulogd()
{
	local plugins plugin

	plugins=$(compgen -G "/usr/lib/*/ulogd/ulogd_inppkt_NFLOG.so" | head -n 1)
	{
		echo "[global]"
		echo "logfile=\"$tmp/ulogd.log\""
		for plugin in inppkt_NFLOG raw2packet_BASE filter_IFINDEX filter_IP2STR \
			filter_PRINTPKT output_LOGEMU; do
			echo "plugin=\"${plugins%/*}/ulogd_$plugin.so\""
		done
		echo "stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU"
		printf '[log1]\ngroup=7\n[emu1]\nfile="%s"\nsync=1\n' "$tmp/emu"
	} >"$tmp/ulogd.conf"
	: >"$tmp/emu"
	ulogd -c "$tmp/ulogd.conf" >"$tmp/said" 2>&1 &
	busywait $BUSYWAIT_TIMEOUT group_is_taken || die "ulogd: $(<"$tmp/said") $(<"$tmp/ulogd.log")"
}

# emu_has COUNT TEXT: so many lines with the text
emu_has()
{
	(($(grep -c "$2" "$tmp/emu") == $1))
}

ulogd_has_them()
{
	if ! command -v ulogd >/dev/null; then
		log_test_skip "ulogd has what is dropped" "no ulogd"
		return
	fi
	start_ulogd
	gate "drop log 7"
	gate "drop log 7" "$HOST_VIEW/$(ns_inode "$two")"
	in_ns "$outside" ping -q -c 3 -i 0.1 -W 1 10.9.1.1 >/dev/null || :
	in_ns "$outside" ping -q -c 4 -i 0.1 -W 1 10.9.2.1 >/dev/null || :
	gate accept
	gate accept "$HOST_VIEW/$(ns_inode "$two")"
	busywait 10000 emu_has 3 "nsgate $(ns_inode "$one") gate .* SRC=10.9.1.2 DST=10.9.1.1 .*PROTO=ICMP" ||
		check_err 1 "one: $(<"$tmp/emu")"
	busywait 10000 emu_has 4 "nsgate $(ns_inode "$two") gate .* SRC=10.9.2.2 DST=10.9.2.1 .*PROTO=ICMP" ||
		check_err 1 "two: $(<"$tmp/emu")"
	kill %%
	wait %% || :
	log_test "ulogd has what is dropped, and in which target"
}

checktool "tcpdump --version" "run tcpdump"
modprobe -q nfnetlink_log || skip "no nfnetlink_log"
setup_tmp
setup
tests_run
