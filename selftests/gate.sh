#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, gate
#
# The gate: what it is told and by whom, and what it counts.

# shellcheck source=gate_lib.sh
source "$(dirname "$(realpath "$0")")/gate_lib.sh"

ALL_TESTS="commands malformed_commands pieces permission handed_over
	counts_packets counts_frames counts_forwarded counts_led_on
	counts_stacked policy_parameter initial_namespace"

# ---- commands ----

# The state of the gate as all files tell it, without counters, in $answer.
told()
{
	local key value own_state state

	answer=
	while read -r key value; do
		case $key in
		policy | except | log | label) answer+="$key $value"$'\n' ;;
		excepted | dropped | unlogged) ;;
		*) check_err 1 "gate has a line $key" ;;
		esac
	done <"$gate"
	state=$(grep -E '^(policy|except) ' "${gate%gate}state") || true
	own_state=$(in_ns "$target" grep -E '^(policy|except) ' /proc/net/nsgate/state) || true
	check_equal "state" "$(grep -vE '^(log|label) ' <<<"${answer%$'\n'}")" "$state"
	check_equal "state in the own view" "$state" "$own_state"
}

# check_told POLICY EXCEPT [LABEL]
check_told()
{
	told
	check_equal "the gate" "policy $1"$'\n'"except $2"$'\n'"log none"$'\n'"${3+label $3$'\n'}" "$answer"
}

# repeat NUMBER TEXT
repeat()
{
	local text=$2

	while ((${#text} < $1 * ${#2})); do
		text+=$text
	done
	printf '%s' "${text:0:$1 * ${#2}}"
}

commands()
{
	local command

	check_told accept none
	for command in drop accept; do
		gate $command
		check_told $command none
		gate "dry $command"
		check_told "dry $command" none
		gate "$command except $any"
		check_told $command "$any"
		gate "dry $command except $any # for a while"
		check_told "dry $command" "$any" "for a while"
	done
	printf drop >"$gate" || check_err $? "drop without a newline"
	check_told drop none
	log_test "commands: each form, and what is read back"

	gate "drop except $any, # a comma too many"
	check_told drop "$any" "a comma too many"
	gate "drop except $any #"
	check_told drop "$any"
	gate "drop except $any#hash # in # it"
	check_told drop "$any" "hash # in # it"
	gate "drop except $any # $(repeat 85 €)"
	check_told drop "$any" "$(repeat 85 €)"
	log_test "commands: labels, of UTF-8 and 255 bytes too"

	gate "drop except 4096,$(repeat 4095 '0 0 0 0,')6 0 0 1,"
	check_told drop "4096,$(repeat 4095 '0 0 0 0,')6 0 0 1"
	log_test "commands: a program of 4096 instructions"

	# It divides by X, which is 0: the kernel ends the program with 0.
	gate "drop except 3,0 0 0 1,60 0 0 0,6 0 0 1"
	send_both 0 0
	log_test "a program that divides by zero when it runs matches nothing"
}

# send_both EXCEPTED OTHER: how many of one packet each to friend and foe pass.
send_both()
{
	new_token
	ask tenant udp "$friend" 4242 "$token"
	flush
	must watch "$1" seen "$token"
	new_token
	ask tenant udp "$foe" 4242 "$token"
	flush
	must watch "$2" seen "$token"
}

# ---- what is refused ----

# check_refused ERROR NAME STATUS MESSAGE: that a write gave, with the old gate
# in force.
check_refused()
{
	((refusals += 1))
	(($3)) || check_err 1 "$2 is not refused"
	[[ $4 == *"$1" ]] || check_err 1 "$2: expected $1, found: $4"
	[[ $(<"$gate") == "$before"* ]] || check_err 1 "$2 changed the gate: $(<"$gate")"
}

# refuse ERROR NAME TEXT: as it is, in one write.
refuse()
{
	local message status=0

	if ((${#3} < 1000)); then
		message=$({ printf '%s' "$3" >"$gate"; } 2>&1) || status=$?
	else
		message=$(dd if=<(printf '%s' "$3") iflag=fullblock bs=1M of="$gate" \
			status=none conv=notrunc 2>&1) || status=$?
	fi
	check_refused "$1" "$2" $status "$message"
}

# From an address where a process has nothing.
write_unreadable()
{
	python3 - "$1" <<-END
		import ctypes, os, sys
		libc = ctypes.CDLL(None, use_errno=True)
		if libc.write(os.open(sys.argv[1], os.O_WRONLY), 1, 7) < 0:
		    sys.exit(os.strerror(ctypes.get_errno()))
	END
}

malformed_commands()
{
	local einval="Invalid argument" e2big="Argument list too long"
	local mark line name message status=0 newline=$'\n'

	gate "drop except $excepted # old"
	before=$(sed '/^excepted/,$d' "$gate")
	mark=$(log_mark)
	refusals=0

	for line in "" " " reject Drop dropp "drop " " drop" "drop drop" "drop accept" \
		dry "dry " "dry dry drop" "drop dry" "drop except" "drop except " \
		"drop except none" "drop exceptt $any" "drop, except $any" \
		"drop # label" "except $any" "accept except # label" $'drop\r' $'drop\t' \
		"drop except host 10.0.0.1" "$any"; do
		refuse "$einval" "'$line'" "$line$newline"
	done
	log_test "refused: what is no command"

	while IFS='|' read -r name line; do
		refuse "$einval" "$name" "drop except $line$newline"
	done <<-END
		no instruction|0,
		no count|,6 0 0 1
		a count of text|x,6 0 0 1
		a count with a sign|+1,6 0 0 1
		a count of more than 32 bits|4294967297,6 0 0 1
		fewer than announced|2,6 0 0 1
		fewer than announced, and a comma|2,6 0 0 1,
		more than announced|1,6 0 0 1,6 0 0 1
		more than a comma behind|1,6 0 0 1,,
		an empty instruction|2,,6 0 0 1
		a short instruction|1,6 0 0
		a long instruction|1,6 0 0 1 1
		two blanks|1,6 0  0 1
		a blank behind the comma|1, 6 0 0 1
		a negative number|1,6 0 0 -1
		a hexadecimal number|1,6 0 0 0x1
		a code of more than 16 bits|1,65542 0 0 1
		a jump of more than 8 bits|2,21 256 0 1,6 0 0 1
		a constant of more than 32 bits|1,6 0 0 4294967296
		text behind the program|1,6 0 0 1;drop
	END
	log_test "refused: programs that are malformed"

	while IFS='|' read -r name line; do
		refuse "$einval" "$name" "drop except $line$newline"
	done <<-END
		no return at the end|1,0 0 0 0
		an opcode that is none|2,65535 0 0 0,6 0 0 1
		an opcode of eBPF|2,133 0 0 1,6 0 0 1
		a jump behind the end|2,21 0 1 1,6 0 0 1
		a far jump behind the end|2,5 0 0 1,6 0 0 1
		a far jump backwards|2,5 0 0 4294967295,6 0 0 1
		a division by zero|2,52 0 0 0,6 0 0 1
		a remainder by zero|2,148 0 0 0,6 0 0 1
		a shift by 32|2,100 0 0 32,6 0 0 1
		memory that there is not|2,2 0 0 16,6 0 0 1
		memory that was not written|2,96 0 0 0,6 0 0 1
		data that there is not|2,32 0 0 4294963456,6 0 0 1
	END
	while IFS='|' read -r name line; do
		refuse "$einval" "$name" "drop except $line$newline"
	done <<-END
		the type of the packet|2,40 0 0 4294963204,6 0 0 1
		the index of the device|2,32 0 0 4294963208,6 0 0 1
		the network header by its own offset|2,48 0 0 4293918720,6 0 0 1
		the header of the link|2,32 0 0 4292870144,6 0 0 1
		the first of all these|2,48 0 0 2147483648,6 0 0 1
		a length in the header of the link|2,177 0 0 4292870144,6 0 0 1
	END
	gate "drop except 2,48 0 0 2147483647,6 0 0 1"
	gate "drop except $excepted # old"
	log_test "refused: programs that the checker refuses, and other data than the packet's"

	refuse "$e2big" "4097 instructions" "drop except 4097,$(repeat 4096 '0 0 0 0,')6 0 0 1"
	refuse "$einval" "100 kB of text" "$(repeat 102400 x)"
	refuse "$einval" "100 kB of a program" "drop except 4096,$(repeat 102400 9)"
	refuse "$e2big" "200 kB of text" "$(repeat 204800 x)"
	refuse "$e2big" "a label of 256 bytes" "drop except $any # $(repeat 256 x)"
	refuse "$e2big" "a label of 100 kB" "drop except $any # $(repeat 102400 x)"
	log_test "refused: what is too long"

	refuse "$einval" "a label of two lines" "drop except $any # two${newline}lines$newline"
	refuse "$einval" "a label with a tabulator" "drop except $any # a"$'\t'"b"
	refuse "$einval" "a label with an escape" "drop except $any # "$'\e[2J'
	refuse "$einval" "a label with a delete" "drop except $any # a"$'\x7f'
	refuse "$einval" "two commands" "accept${newline}drop$newline"
	refuse "$einval" "two newlines" "accept$newline$newline"
	for line in 'accept\n\0' '\0accept\n' 'acc\0ept\n'; do
		# shellcheck disable=SC2059 # it is one
		message=$(dd if=<(printf "$line") iflag=fullblock bs=1M of="$gate" \
			status=none conv=notrunc 2>&1) || status=$?
		check_refused "$einval" "a NUL: $line" $status "$message"
	done
	message=$(python3 -c 'import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY), b"")' \
		"$gate" 2>&1) || status=$?
	check_refused "$einval" "a write of nothing" $status "$message"
	message=$(write_unreadable "$gate" 2>&1) || status=$?
	check_refused "Bad address" "a write of what can't be read" $status "$message"
	log_test "refused: control characters, two lines, NUL, nothing, a bad address"

	check_equal "lines in the log" $refusals \
		"$(log_since "$mark" | grep -c "nsgate: gate of net:\[$target_inode\]: .*: error -")"
	log_test "the log has a line for each of these $refusals refusals"

	send_both 1 0
	log_test "after all of that, the old gate is in force"
}

# One write is one command, whole.
pieces()
{
	local fd message status=0

	gate "drop except $excepted # old"
	before=$(sed '/^excepted/,$d' "$gate")
	exec {fd}>"$gate"
	message=$({ printf acc >&$fd; } 2>&1) || status=$?
	check_refused "Invalid argument" "the first piece" $status "$message"
	status=0
	message=$({ printf 'ept\n' >&$fd; } 2>&1) || status=$?
	check_refused "Invalid argument" "the second piece" $status "$message"
	printf 'drop\n' >&$fd || check_err $? "a command after that"
	check_told drop none
	printf 'accept\n' >&$fd || check_err $? "another command"
	check_told accept none
	exec {fd}>&-
	log_test "a write in pieces is refused, a command for each write works"
}

# ---- permission ----

# denied ERROR NAME COMMAND...: is run with a shell script that writes to $1.
# What is opened by /proc/net would be that of another network namespace.
denied()
{
	local message status=0

	# shellcheck disable=SC2016 # the inner shell's
	message=$("${@:3}" bash -c 'printf accept >"$1"' - "/proc/1/net/nsgate/$target_inode/gate" 2>&1) ||
		status=$?
	check_refused "$1" "$2" $status "$message"
}

permission()
{
	local mark eperm="Operation not permitted"

	gate "drop except $excepted # old"
	before=$(sed '/^excepted/,$d' "$gate")
	mark=$(log_mark)
	denied "$eperm" "root in another network namespace" in_ns "$outside"
	denied "$eperm" "root of the target" in_ns "$target"
	denied "$eperm" "root without CAP_NET_ADMIN" \
		setpriv --bounding-set=-net_admin --inh-caps=-net_admin
	denied "$eperm" "root of a user namespace" unshare -Ur
	denied "Permission denied" "a user" setpriv --reuid=65534 --regid=65534 --clear-groups
	log_since "$mark" | grep -q 'nsgate: "bash" (.*) lacks CAP_NET_ADMIN, or is not' ||
		check_err 1 "the log does not tell who was refused"
	log_test "permission: the host's CAP_NET_ADMIN and its network namespace"
}

# The process that opens the file is judged, not the one that writes.
handed_over()
{
	local fd message status=0 drop_caps=(setpriv --bounding-set=-net_admin --inh-caps=-net_admin)

	gate "drop except $excepted # old"
	before=$(sed '/^excepted/,$d' "$gate")
	exec {fd}>"$gate"
	# shellcheck disable=SC2016 # the inner shell's
	message=$("${drop_caps[@]}" bash -c 'printf accept >/proc/self/fd/$1' - $fd 2>&1) || status=$?
	check_refused "Operation not permitted" "opened again" $status "$message"
	# shellcheck disable=SC2016 # the inner shell's
	in_ns "$target" "${drop_caps[@]}" bash -c 'printf drop >&$1' - $fd ||
		check_err $? "a file that was opened by who may is not written"
	check_told drop none
	exec {fd}>&-
	log_test "permission: an open file may be handed over"
}

# ---- counters ----

# count GATE EXCEPTED DROPPED SEEN NAME ACTOR COMMAND...: three times the command,
# with @ for a token, adds that many to the counters, and so many arrive.
count()
{
	local i excepted dropped

	gate "$1"
	flush
	gate_counts
	read -r excepted dropped <<<"$answer"
	new_token
	for i in 1 2 3; do
		ask "${@:6}" "$token"
	done
	flush
	gate_counts
	check_equal "$5: excepted and dropped at '$1'" "$2 $3" \
		"$((${answer% *} - excepted)) $((${answer#* } - dropped))"
	ask "$watcher" seen "$token"
	check_equal "$5: seen at '$1'" "$4" "$answer"
}

# count_each ROW BYTES NAME ACTOR COMMAND...: to port 4242, which the program is
# about; what is dropped is so in that row of stats. What else is sent in the
# meantime is none of the program's business.
count_each()
{
	local packets bytes

	count "drop except $port" 3 0 3 "${@:3}"
	count "dry drop except $port" 3 0 3 "${@:3}"
	count "dry accept except $port" 3 3 3 "${@:3}"
	stat_dropped "$1"
	read -r packets bytes <<<"$answer"
	count "accept except $port" 3 3 0 "${@:3}"
	stat_dropped "$1"
	check_equal "$3: packets and bytes dropped at $1" "3 $2" \
		"$((${answer% *} - packets)) $((${answer#* } - bytes))"
}

counts_packets()
{
	local entry=("prerouting ipv4 udp" "prerouting ipv6 udp")

	has_hook ingress && entry=("ingress netdev ipv4" "ingress netdev ipv6")
	count_each "output ipv4 udp" $((3 * 38)) "UDP" tenant udp "$foe" 4242
	count_each "output ipv6 udp" $((3 * 58)) "UDP of IPv6" tenant udp "$foe6" 4242
	count_each "output ipv4 udp" $((3 * 38)) "a raw socket" tenant raw udp "$own" "$foe" 4242
	log_test "counters: what is sent counts once"

	watcher=tenant
	must tenant receiving receive "$own" 4242
	must tenant receiving receive "$own6" 4242
	count_each "${entry[0]}" $((3 * 38)) "UDP that comes in" friend udp "$own" 4242
	count_each "${entry[1]}" $((3 * 58)) "UDP of IPv6 that comes in" friend udp "$own6" 4242
	watcher=watch
	log_test "counters: what comes in counts once"
}

# What isn't IP is dropped by "drop", so here it is told by its row.
count_frames()
{
	local row=$1 before
	shift

	for policy in "drop except $port" drop; do
		gate "$policy"
		stat_dropped "$row"
		before=${answer% *}
		new_token
		for i in 1 2 3; do
			ask "${@:2}" "$token"
		done
		flush
		stat_dropped "$row"
		if [[ $policy != drop && $row == *arp ]]; then
			check_equal "$policy: $1" 0 $((${answer% *} - before))
		else
			check_equal "$policy: $1" 3 $((${answer% *} - before))
		fi
	done
	count "accept except $port" 0 0 "$seen" "$@"
	count "dry accept except $port" 0 0 "$seen" "$@"
}

counts_frames()
{
	local how

	if ! has_hook egress; then
		log_test_skip "counters: frames of packet sockets" "this kernel has no egress"
		return
	fi
	[[ $direct_egress ]] && how=bypass || how=queue
	count_each "egress netdev ipv4" $((3 * 52)) "a packet socket, $how" \
		tenant frame t0 $how 0800 0800 udp "$own" "$foe" 4242
	count_each "egress netdev ipv6" $((3 * 72)) "a packet socket, IPv6" \
		tenant frame t0 queue 86dd 86dd udp "$own6" "$foe6" 4242
	log_test "counters: what packet sockets send counts once"

	seen=3
	count_frames "egress netdev other" "text" tenant frame t0 queue 88b5 88b5 text "$own" "$foe" 4242
	count_frames "egress netdev arp" "ARP" tenant frame t0 queue 0806 0806 arp "$own" "$foe" 4242
	seen=0
	count_frames "ingress netdev other" "text that comes in" \
		friend frame n0 queue 88b5 88b5 text "$own" "$foe" 4242
	count_frames "ingress netdev arp" "ARP that comes in" \
		friend frame n0 queue 0806 0806 arp "$own" "$foe" 4242
	log_test "counters: frames that are not IP"
}

counts_forwarded()
{
	local row="prerouting ipv4 udp"

	has_hook ingress && row="ingress netdev ipv4"
	in_ns "$target" sysctl -qw net.ipv4.ip_forward=1
	ip -n "$target" route add 10.9.6.0/24 via 10.9.2.10
	ip -n "$outside" route add 10.9.6.0/24 via "$own" src "$friend"
	hops=2
	count_each "$row" $((3 * 38)) "what is forwarded" friend udp 10.9.6.1 4242
	hops=1
	log_test "counters: what is forwarded counts once"
}

# Past IP, it is at ingress of the one device and at egress of the other.
counts_led_on()
{
	if ! has_hook ingress; then
		log_test_skip "counters: what nft leads from device to device" "this kernel has no ingress"
		return
	fi
	in_ns "$target" nft -f - <<-END
		table netdev mine {
			chain ingress {
				type filter hook ingress device t0 priority 0;
				fwd to t1
			}
		}
	END
	hops=2
	count "dry drop" 0 3 3 "text that nft forwards" \
		friend frame n0 queue 88b5 88b5 text "$own" "$foe" 4242
	hops=1
	in_ns "$target" nft flush ruleset
	log_test "counters: what goes from device to device counts once"
}

# Neither does the lower device count again what the upper one has counted.
counts_stacked()
{
	local name type

	while read -r name type; do
		# shellcheck disable=SC2086 # words
		stack "$target" "$name" $type
		count_each "output ipv4 udp" $((3 * 38)) "$name" tenant udp 10.9.5.2 4242
		ip -n "$target" link del "$name"
	done <<-END
		y0 type vlan id 5
		y1 type macvlan mode bridge
	END
	log_test "counters: what goes through two devices counts once"
}

# ---- parameters ----

policy_parameter()
{
	local text mark message status

	unload_nsgate
	mark=$(log_mark)
	for text in "" Drop dropp "drop," "accept drop" "drop except 1,6 0 0 1" 1; do
		status=0
		message=$(load_nsgate "policy=\"$text\"" 2>&1) || status=$?
		((status)) || check_err 1 "policy='$text' is taken"
		[[ $message == *"Invalid parameters"* ]] || check_err 1 "policy='$text': $message"
		! nsgate_loaded || unload_nsgate
	done
	check_equal "lines in the log" 7 \
		"$(log_since "$mark" | grep -c 'nsgate: policy: ".*" is neither accept nor drop')"
	log_test "policy= is accept or drop"
}

# May cut off who runs this, so it is done only where there is nobody.
initial_namespace()
{
	local inode status=0 message

	inode=$(stat -Lc %i /proc/1/ns/net)
	gate=$HOST_VIEW/$inode/gate
	! nsgate_loaded || unload_nsgate
	load_nsgate "inode=$inode"
	for message in drop "drop except $any" "accept except $any"; do
		status=0
		message=$({ printf '%s\n' "$message" >"$gate"; } 2>&1) || status=$?
		((status)) || check_err 1 "it can be cut off"
		[[ $message == *"Operation not permitted" ]] || check_err 1 "$message"
	done
	gate_value policy
	check_equal "policy" accept "$answer"
	gate "dry accept except $any"
	gate "dry drop"
	gate_value policy
	check_equal "policy" "dry drop" "$answer"
	gate accept
	unload_nsgate
	if load_nsgate "inode=$inode" policy=drop 2>/dev/null; then
		check_err 1 "it can be cut off by policy=drop"
		unload_nsgate
	fi
	log_test "the initial namespace is not cut off"

	if [[ $(ip -br link show up) == *$'\n'* ]]; then
		log_test_skip "gate_init_net=1" "this machine has a network, which is left alone"
		return
	fi
	ip link set lo up
	load_nsgate "inode=$inode" gate_init_net=1
	gate drop
	! ping -q -c 1 -W 1 127.0.0.1 >/dev/null 2>&1 || check_err 1 "it is not cut off"
	gate accept
	ping -q -c 1 127.0.0.1 >/dev/null || check_err $? "accept does not restore it"
	log_test "with gate_init_net=1 it is"
}

setup()
{
	setup_gate
	refusals=0
	must watch watching watch
	any="1,6 0 0 1"
	excepted=$(program "host $friend and udp port 4242")
	excepted=${excepted%,}
	port=$(program "udp dst port 4242")
	watcher=watch
	# Or there would be errors of ICMP, to be counted as well.
	must friend receiving receive 0.0.0.0 4242
	must friend receiving receive :: 4242
}

setup
tests_run
