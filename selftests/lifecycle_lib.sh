# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests share in which namespaces and the module come and go.
#
#   left               target               right
#   +----------+       +-------------+       +----------+
#   |     eth0 |-------| eth1   eth2 |-------| eth0     |
#   |       .2 |10.9.1 | .1       .1 |10.9.2 | .2       |
#   |      ::2 |fd09:1 | ::1     ::1 |fd09:2 | ::2      |
#   +----------+       +-------------+       +----------+
#
# What passes through the target is of left and right, so that no process of ours
# holds it.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

# shellcheck disable=SC2034 # for the tests
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")

left='' target='' right=''
inode=''	# of target
traffic=()	# processes that make it
# shellcheck disable=SC2034
host_ns=/proc/$$/ns/net
# shellcheck disable=SC2034
initial=$(stat -Lc %i "$host_ns")

# ---- what there is ----

# target_state INODE KEY: its value in the host view.
target_state()
{
	state_of "$HOST_VIEW/$1/state" "$2"
}

is_gone()
{
	[[ $(target_state "$1" status) == gone ]]
}

# row_of INODE: the rest of its row in the list of namespaces.
row_of()
{
	local found cookie devices mark

	while read -r found cookie devices mark; do
		if [[ $found == "$1" ]]; then
			echo "$cookie $devices $mark"
			return
		fi
	done <$HOST_VIEW/namespaces
	return 1
}

cookie_of()
{
	local row

	row=$(row_of "$1")
	echo "${row%% *}"
}

is_dead()
{
	! grep -q "^[0-9]*  *$1 " $HOST_VIEW/namespaces
}

# await_death INODE COOKIE: that the target is gone, and its namespace, too.
await_death()
{
	busywait $BUSYWAIT_TIMEOUT is_gone "$1" || check_err $? "net:[$1] is not gone"
	busywait $BUSYWAIT_TIMEOUT is_dead "$2" || check_err $? "the namespace with cookie $2 lives on"
}

# totals_of FILE: packets and bytes at each hook of IP, as the log has them.
totals_of()
{
	local hook family proto packets bytes totals=''
	local -A sum_packets=() sum_bytes=()

	while read -r hook family proto packets bytes _; do
		if [[ $family == ipv[46] && $proto == all ]]; then
			sum_packets[$hook]=$((${sum_packets[$hook]-0} + packets))
			sum_bytes[$hook]=$((${sum_bytes[$hook]-0} + bytes))
		fi
	done <"$1"
	for hook in prerouting input forward output postrouting; do
		totals+=" $hook ${sum_packets[$hook]}/${sum_bytes[$hook]}"
	done
	echo "${totals# }"
}

# log_has TEXT: since the test began.
log_has()
{
	[[ $(log_since "$test_mark") == *"$1"* ]]
}

# check_logged_totals INODE COOKIE
check_logged_totals()
{
	busywait $BUSYWAIT_TIMEOUT log_has \
		"net:[$1], cookie $2, is gone; packets/bytes: $(totals_of "$HOST_VIEW/$1/stats")" ||
		check_err 1 "the log doesn't have $(totals_of "$HOST_VIEW/$1/stats") of net:[$1]"
}

# check_counts INODE COMMAND...: that a ping to itself is counted in it. COMMAND
# is what runs a command there.
check_counts()
{
	local stats=$HOST_VIEW/$1/stats packets before
	shift

	read -r before _ < <(stat_of "$stats" input ipv4 icmp)
	"$@" ping -qc 2 127.0.0.1 >/dev/null || check_err $? "no ping"
	read -r packets _ < <(stat_of "$stats" input ipv4 icmp)
	check_equal "pings that were counted" 4 $((packets - before))
}

count_rows()
{
	local rows

	mapfile -t rows <$HOST_VIEW/namespaces
	echo ${#rows[@]}
}

rows_are()
{
	[[ $(count_rows) == "$1" ]]
}

# is_waiting_at FUNCTION PID: whether that stands on the stack of the process.
is_waiting_at()
{
	[[ -e /proc/$2 ]] || die "process $2 has ended"
	grep -q "$1" "/proc/$2/stack"
}

# ---- what is made ----

# No target, gone or not, is left of the sub-case before.
start_idle()
{
	if nsgate_loaded; then
		write_inode ""
	else
		load_nsgate
	fi
}

is_asleep()
{
	[[ $(</proc/"$1"/comm) == sleep ]]
}

# sleeper COMMAND...: leaves a process that sleeps, started by way of COMMAND;
# its pid is $sleeper.
sleeper()
{
	"$@" sleep infinity &
	sleeper=$!
	busywait $BUSYWAIT_TIMEOUT is_asleep "$sleeper" || die "no process: $*"
}

end_process()
{
	kill "$1"
	wait "$1" || true
}

setup_path()
{
	[[ ! $target || ! -e /run/netns/$target ]] || return 0
	setup_ns left target right
	inode=$(ns_inode "$target")
	in_ns "$target" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	connect "$target" eth1 "$left" eth0 1
	connect "$target" eth2 "$right" eth0 2
}

# name_many COUNT: puts names for namespaces in $names.
name_many()
{
	local i number

	names=()
	for ((i = 0; i < $1; i++)); do
		random_number number
		printf -v "names[$i]" 'many-%08x-%d' "$number" "$i"
	done
}

# add_many NAME...: as ip netns add, but with one exec for all.
add_many()
{
	NS_LIST+=("$@")
	printf 'netns add %s\n' "$@" | ip -batch -
}

delete_many()
{
	local ns
	local -a kept=()

	printf 'netns delete %s\n' "$@" | ip -batch -
	for ns in "${NS_LIST[@]}"; do
		[[ ! -e /run/netns/$ns ]] || kept+=("$ns")
	done
	NS_LIST=("${kept[@]}")
}

start_traffic()
{
	local address

	for address in 10.9.2.2 fd09:2::2; do
		nsenter --net="/run/netns/$left" ping -qi 0.01 "$address" >/dev/null 2>&1 &
		traffic+=($!)
	done
}

stop_traffic()
{
	kill "${traffic[@]}" 2>/dev/null || true
	wait "${traffic[@]}" || true
	traffic=()
}

# forwards_more_than PACKETS FAMILY
forwards_more_than()
{
	local packets

	read -r packets _ < <(stat_of "$HOST_VIEW/$inode/stats" forward "$2" icmp)
	((packets > $1))
}

# Traffic passes through the target, and is counted.
check_traffic()
{
	local family packets

	for family in ipv4 ipv6; do
		read -r packets _ < <(stat_of "$HOST_VIEW/$inode/stats" forward $family icmp)
		busywait $BUSYWAIT_TIMEOUT forwards_more_than "$packets" $family ||
			check_err $? "$family: no more than $packets packets"
	done
}

# check_dead_file FD: that reading fails in good order.
check_dead_file()
{
	local said status=0

	said=$(cat 2>&1 <&"$1") || status=$?
	check_equal "status of reading a file that is dead" 1 $status
	[[ $said == *": Input/output error" || $said == *": No such device" ]] ||
		check_err 1 "reading a file that is dead says '$said'"
}
