# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A target with a limit, what floods it, and what passes, for limit.sh and
# limit_rates.sh.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

# shellcheck disable=SC2034 # for who sources us
target='' outside='' resident='' member=''
pause=0.1 # seconds between two looks at a counter
length=1000 # of a packet
# shellcheck disable=SC2034
frame=1014 # with the header of the link layer

setup()
{
	setup_ns target outside
	dir=$HOST_VIEW/$(ns_inode "$target")
	load_nsgate "inode=$(ns_inode "$target")"
	keep_quiet "$target" "$outside"
	connect "$target" v0 "$outside" p0 1
	know_neighbours
	set_offloads off
	in_ns "$outside" ping -q -c 1 -W 5 10.9.1.1 >/dev/null
	# Whose statistics can be read without any other program.
	(exec nsenter --net="/run/netns/$outside" -- sleep infinity) &
	resident=$!
}

# set_offloads on|off: packets of more than a frame, or none
set_offloads()
{
	in_ns "$target" ethtool -K v0 gso "$1" tso "$1" gro "$1" >/dev/null
	in_ns "$outside" ethtool -K p0 gso "$1" tso "$1" gro "$1" >/dev/null
}

# Nothing is sent, and charged, that isn't asked for: nobody looks for routers, and who
# listens to which group is told at once.
keep_quiet()
{
	local ns

	for ns; do
		in_ns "$ns" sysctl -qw net.ipv6.conf.default.router_solicitations=0 \
			net.ipv6.conf.default.mldv{1,2}_unsolicited_report_interval=1
	done
}

# A namespace that is made in the target.
make_member()
{
	random_number member
	printf -v member 'member-%08x' "$member"
	echo children >/sys/module/nsgate/parameters/auto
	in_ns "$target" ip netns add "$member"
	echo off >/sys/module/nsgate/parameters/auto
	NS_LIST+=("$member")
	NS_INODES+=("$(ns_inode "$member")")
}

mac_of()
{
	ip -n "$1" link show "$2" | awk '/link.ether/ { print $2 }'
}

# Both ends know each other for good, so that nobody is asked for.
know_neighbours()
{
	ip -n "$target" -batch - <<-END
		neigh replace 10.9.1.2 lladdr $(mac_of "$outside" p0) dev v0 nud permanent
		neigh replace fd09:1::2 lladdr $(mac_of "$outside" p0) dev v0 nud permanent
	END
	ip -n "$outside" -batch - <<-END
		neigh replace 10.9.1.1 lladdr $(mac_of "$target" v0) dev p0 nud permanent
		neigh replace fd09:1::1 lladdr $(mac_of "$target" v0) dev p0 nud permanent
	END
}

limit()
{
	printf '%s\n' "$1" >"$dir/limit"
}

gate()
{
	printf '%s\n' "$1" >"$dir/gate"
}

key()
{
	state_of "$dir/limit" "$1"
}

# row in|out: seen and dropped packets and bytes
row()
{
	awk -v hook="$1" '$1 == hook && $3 == "all" { print $4, $5, $6, $7 }' "$dir/stats"
}

# Packets of so many bytes from now on.
set_length()
{
	local mtu=1500

	length=$1
	# shellcheck disable=SC2034
	frame=$((length + 14))
	((length <= mtu)) || mtu=$length
	ip -n "$target" link set v0 mtu "$mtu"
	ip -n "$outside" link set p0 mtu "$mtu"
}

# flood NAMESPACE TO SECONDS [COUNT]: UDP of 1000 bytes of IP, or $length, as fast as
# can be. With exec=exec it takes the place of the shell that runs it.
flood()
{
	${exec-} nsenter --net="/run/netns/$1" -- python3 -c '
import socket, sys, time
to, seconds, count = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
data = b"x" * (int(sys.argv[4]) - 28)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100000)
end = time.monotonic() + seconds
while count and time.monotonic() < end:
    for i in range(min(count, 50) if count > 0 else 50):
        try:
            s.sendto(data, (to, 9))
        except OSError:
            pass
        count -= 1' "$2" "$3" "${4--1}" "$length"
}

# received_by DEVICE...: what these of outside received, together, in bytes as they are
# charged: without a hook at egress, no header of the link layer is.
received_by()
{
	local device bytes packets sum=0 header=14

	! grep -qw egress "$dir/state" || header=0
	while read -r device bytes packets _; do
		[[ " $* " != *" ${device%:} "* ]] || sum=$((sum + bytes - header * packets))
	done <"/proc/$resident/net/dev"
	echo $sum
}

received()
{
	received_by p0
}

# ---- what passes in how long ----

now()
{
	local now

	read_clock now
	echo "$now"
}

has_grown()
{
	(($($1) > $2))
}

# sample COUNTER SECONDS SPENT: looks at a counter again and again. When it has grown by
# SPENT, it goes on for so many seconds. Writes a line for each look to $tmp/samples: when
# it began and ended, in microseconds, and what the counter said. Of the lines before
# anything passed only the last is kept.
sample()
{
	local begun end first value line before='' spent='' never

	[[ -e $tmp/never ]] || mkfifo "$tmp/never"
	exec {never}<>"$tmp/never"
	first=$($1)
	end=$(($(now) + WAIT_TIMEOUT * 1000000))
	while begun=$(now) && ((begun < end)); do
		value=$($1)
		line="$begun $(now) $value"
		if ((value == first)); then
			before=$line
		else
			[[ ! $before ]] || echo "$before"
			before=
			echo "$line"
		fi
		if [[ ! $spent ]] && ((value - first > $3)); then
			spent=yes
			end=$(($(now) + $2 * 1000000))
		fi
		# sleep would be a program, which takes time to load.
		read -rt "$pause" -u "$never" _ || :
	done >"$tmp/samples"
	exec {never}>&-
}

# passed_rate FROM TO COUNTER [BURST]: the rate that a flood gets, in bytes per second,
# over some seconds after so many bytes have passed.
passed_rate()
{
	local spent=$((${4:-65536} + 4 * frame))

	exec='exec' flood "$1" "$2" 600 >/dev/null &
	sample "$3" "${NSGATE_SECONDS:-8}" "$spent"
	kill %%
	wait %% 2>/dev/null || true
	awk -v spent="$spent" '{ at = ($1 + $2) / 2 }
		NR == 1 { first = $3 }
		!begun && $3 - first > spent { begun = at; bytes = $3 }
		END { printf "%d\n", (at > begun ? ($3 - bytes) * 1e6 / (at - begun) : 0) }' "$tmp/samples"
}

# worst_second [RATE BURST]: the most that was seen to pass in a second, as a rate;
# or, of all spans of time, the most that passed over rate and burst.
worst_second()
{
	awk -v rate="${1-0}" -v burst="${2-0}" '
		{ begun[NR] = $1; ended[NR] = $2; bytes[NR] = $3 }
		END {
			worst = -burst
			for (i = 1; i <= NR; i++)
				for (j = i + 1; j <= NR; j++) {
					span = (ended[j] - begun[i]) / 1e6
					passed = bytes[j] - bytes[i]
					if (!rate && span < 1)
						continue
					over = rate ? passed - rate * span - burst : passed / span
					if (over > worst)
						worst = over
				}
			printf "%d\n", worst
		}' "$tmp/samples"
}

received_inside()
{
	key in_used
}
