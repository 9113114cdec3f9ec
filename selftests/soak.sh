#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/design.md, The life of a target
#
# All at once, for SOAK_MINUTES (5): packets, binds and releases, gates that are
# swapped, devices that come and go, namespaces that are born and die, tenants who stall
# and starve, readers of all files, and the module loaded and unloaded. Each gets in the way of the
# others; but what fails must fail because nsgate or the target isn't there just
# then. That is done in parts, after each of which nothing must be left: what is
# not given back makes some memory grow in each part, and what the kernel keeps
# for the next time doesn't. A part takes longer where something was not done often
# enough to tell.
#
#   outside          target          idle
#   +--------+       +--------+      +------+
#   |     n0 |-------| t0     |      | lo   |
#   +--------+       +--------+      +------+

# shellcheck source=stall_lib.sh
source "$(dirname "$(realpath "$0")")/stall_lib.sh"

ALL_TESTS="soak memory"

: "${SOAK_MINUTES:=5}"
here=$(dirname "$(realpath "$0")")
fuzz='' starve='' stall=''	# the programs
target='' outside='' idle=''
inode='' idle_inode=''
printk=$(</proc/sys/kernel/printk)
panic_print=$(</proc/sys/kernel/panic_print)

# What goes on, and how often a round of it does it.
declare -A round=([enter]=1000 [leave]=1000 [talk]=100 [rebind]=1 [gate]=1
	[device]=5 [namespace]=4 [tenant]=1 [readers]=1 [files]=200 [module]=1)
programs=('1,6 0 0 1' '1,6 0 0 0' '4,48 0 0 9,21 0 1 17,6 0 0 65535,6 0 0 0')

at_end()
{
	local ns

	echo "$printk" >/proc/sys/kernel/printk
	echo "$panic_print" >/proc/sys/kernel/panic_print
	for ns in /run/netns/{soak,tenant}-*; do
		[[ ! -e $ns ]] || ip netns delete "${ns##*/}"
	done
	[[ ! $cgroup ]] || rmdir "$cgroup"
}

setup_network()
{
	setup_ns target outside idle
	inode=$(ns_inode "$target")
	idle_inode=$(ns_inode "$idle")
	ip -n "$outside" link add n0 address 02:00:00:00:00:01 type veth \
		peer name t0 address 02:00:00:00:00:02 netns "$target"
	ip -n "$target" -batch - <<-END
		addr add 10.0.0.2/24 dev t0
		addr add fd00::2/64 dev t0 nodad
		link set t0 up
	END
	ip -n "$outside" -batch - <<-END
		addr add 10.0.0.1/24 dev n0
		addr add fd00::1/64 dev n0 nodad
		link set n0 up
	END
}

# Each write that is refused leaves a line in the log. That is too much for a
# console, though if the kernel panics all of it shall be told; and too much for
# the log, which is read while it is written.
setup_log()
{
	echo 1 >/proc/sys/kernel/printk
	echo 32 >/proc/sys/kernel/panic_print
	dmesg --follow-new | grep -E --line-buffered "$complaints" >"$tmp/complaints" &
}

# ---- what goes on: a round of each ----

# It says on stdout, too, what went wrong.
run_fuzz()
{
	local output

	output=$("$@" 2>&1) && return
	echo "${output//$'\n'/ }" >&2
	return 1
}

# send_frames NAMESPACE DEVICE
send_frames()
{
	run_fuzz in_ns "$1" "$fuzz" frames "$2" "$RANDOM" 0 "${round[enter]}" <"$here/frames.txt"
}

enter()
{
	send_frames "$outside" n0
}

leave()
{
	send_frames "$target" t0
}

# By sockets, to ports at which nobody listens.
talk()
{
	# shellcheck disable=SC2016 # for the shell there
	in_ns "$target" bash -c '
		for ((i = 0; i < $1; i += 5)); do
			for host in 10.0.0.1 10.0.0.2 fd00::1 fd00::2; do
				echo >"/dev/udp/$host/$RANDOM"
			done
			: >"/dev/tcp/10.0.0.1/$RANDOM"
		done 2>/dev/null || true' - "${round[talk]}"
}

# pause SECONDS: execs nothing.
pause()
{
	read -rt "$1" <>"$tmp/pipe" || true
}

rebind()
{
	write_inode "+$inode" || return
	pause "0.$((RANDOM % 8))"
	case $((RANDOM % 3)) in
	0) write_inode "-$inode" ;;
	1) write_inode "$idle_inode" ;;
	2) write_inode "" ;;
	esac
}

gate()
{
	local command=accept

	((RANDOM % 3)) || command=drop
	((RANDOM % 2)) || command="dry $command"
	((RANDOM % 4 == 0)) || command+=" except ${programs[RANDOM % 3]} # ${RANDOM:0:RANDOM % 9 + 1}"
	echo "$command" >"$HOST_VIEW/$inode/gate"
}

device()
{
	ip -n "$target" -batch - <<-END
		link add d0 up type dummy
		link add d1 up type dummy
		link add d2 up type dummy
		link add d3 up type veth peer name d4
		link delete d0
		link delete d3
		link delete d2
		link delete d1
	END
}

# They die as targets, if nobody has released them or unloaded all meanwhile; with
# a device in each.
namespace()
{
	local name=soak-$BASHPID inodes i

	for i in 1 2 3 4; do
		echo "netns add $name-$i"
		echo "link add soak$i type dummy"
		echo "link set soak$i netns $name-$i"
	done | ip -batch - || return
	inodes=$(ns_inode "$name"-{1..4}) || return
	for i in $inodes; do
		write_inode "+$i"
	done
	printf 'netns delete %s\n' "$name"-{1..4} | ip -batch -
}

# What a tenant does who wants others to wait for him: in namespace $1.
misbehave()
{
	local what=(open seek read) elsewhere=/proc/$$/ns/net

	case $((RANDOM % 5)) in
	0) exec ip netns exec "$1" "$stall" /proc/net/nsgate/flows "$elsewhere" ;;
	1) exec ip netns exec "$1" python3 -c "$make_queues" 100 ;;
	*) exec ip netns exec "$1" "$starve" "${what[RANDOM % 3]}" /proc/net/nsgate/flows "$elsewhere" ;;
	esac
}

# move_to CGROUP PROCESS...
move_to()
{
	local pid

	for pid in "${@:2}"; do
		echo "$pid" 2>/dev/null >"$1/cgroup.procs" || :
	done
}

# Until the module is there, for which this is too much to be done in vain.
bind_soon()
{
	local tries

	for ((tries = 0; tries < 50; tries++)); do
		! write_inode "+$1" 2>/dev/null || return 0
		pause 0.1
	done
	return 1
}

# He is released, or his namespace dies. The module waits for his reads when it goes,
# so they don't last.
tenant()
{
	local name=tenant-$BASHPID number culprits=() status=0 i

	ip netns add "$name" || return
	for ((i = 0; i < 40; i++)); do
		echo "link add d$i type dummy"
	done | ip -n "$name" -batch - || status=$?
	number=$(ns_inode "$name")
	bind_soon "$number" || status=$?
	for i in 1 2 3; do
		# By the time that it begins the namespace may be gone.
		misbehave "$name" 2>/dev/null &
		culprits+=($!)
	done
	pause 0.5
	move_to "$cgroup" "${culprits[@]}"
	((RANDOM % 2)) || write_inode "-$number"
	ip netns delete "$name" || status=$?
	pause "0.$((RANDOM % 10))"
	move_to /sys/fs/cgroup "${culprits[@]}"
	# Those who found no module have ended.
	{ kill -9 "${culprits[@]}"; wait "${culprits[@]}"; } 2>/dev/null
	return $status
}

# Something must be there.
readers()
{
	local file found=

	for file in $INODE_PARAM "$HOST_VIEW"/{namespaces,*/*}; do
		! mapfile <"$file" || found=yes
	done
	! in_ns "$target" cat /proc/net/nsgate/{state,stats,flows} || found=yes
	[[ $found ]]
}

files()
{
	run_fuzz "$fuzz" files files "$RANDOM" 0 "${round[files]}" $INODE_PARAM $HOST_VIEW/namespaces \
		"$HOST_VIEW/$inode"/{state,stats,flows,gate}
}

module()
{
	load_nsgate "flows=$((RANDOM % 2000))" inode="$inode" || return
	((RANDOM % 2)) || pause "$((RANDOM % 2)).$((RANDOM % 10))"
	unload_nsgate
}

# ---- all at once ----

# What may be said of what isn't there (any more).
excuses='No such file or directory|No such device|Permission denied|Input/output error'

# judge JOB: nothing excuses that nsgate can't be loaded or unloaded.
judge()
{
	if [[ $1 == module ]]; then
		cat "$tmp/$1.said"
	else
		grep -vE "$excuses" "$tmp/$1.said"
	fi | sed "s/^/$1: /" >>"$tmp/failures"
}

# Counts what was done, and rounds that were cut short, in a file.
repeat()
{
	local job=$1 count=0 cut=0

	set +eE
	trap - ERR
	# Some take all the time that they get, and some take long.
	case $job in
	enter | leave | talk | files) renice -n 10 -p $BASHPID >/dev/null ;;
	module | namespace | tenant | readers | rebind) renice -n -10 -p $BASHPID >/dev/null ;;
	esac
	until [[ -e $tmp/stop ]]; do
		if "$job" >/dev/null 2>"$tmp/$job.said"; then
			count=$((count + round[$job]))
		else
			cut=$((cut + 1))
			# A busy loop would keep the others out.
			pause 0.1
		fi
		[[ ! -s $tmp/$job.said ]] || judge "$job"
		echo "$count $cut" >"$tmp/$job.count"
	done
}

# counts FORMAT: of each job, for printf.
counts()
{
	local job count cut

	for job in "${!round[@]}"; do
		read -r count cut <"$tmp/$job.count" || continue # being written
		# shellcheck disable=SC2059 # the caller's
		printf "$1" "$job" "$count" "$cut"
	done
}

# all_were_done TIMES
all_were_done()
{
	counts '%s %d\n' | awk -v times="$1" '$2 >= times { n++ } END { exit n < '${#round[@]}' }'
}

none_is_dying()
{
	(($(wc -l <$HOST_VIEW/namespaces) == namespaces))
}

# await_jobs SECONDS TIMES: for so long, and until each was done so often.
await_jobs()
{
	local began=$SECONDS spent=0

	until ((spent >= $1)) && all_were_done "$2"; do
		if ((spent > $1 + 20 * WAIT_TIMEOUT)); then
			check_err 1 "not all was done $2 times: $(counts '%s %d (%d), ')"
			return
		fi
		sleep 5
		((spent / 60 == (SECONDS - began) / 60)) || echo "# $(counts '%s %d (%d), ')"
		spent=$((SECONDS - began))
	done
}

# Nothing is left when it returns, nor anything that the kernel keeps for the
# namespaces that all this went on in.
run_jobs()
{
	local job namespaces pids=()

	load_nsgate
	namespaces=$(wc -l <$HOST_VIEW/namespaces)
	unload_nsgate
	setup_network
	rm -f "$tmp/stop"
	for job in "${!round[@]}"; do
		echo 0 0 >"$tmp/$job.count"
		repeat "$job" & pids+=($!)
	done
	await_jobs "$@"
	touch "$tmp/stop"
	wait "${pids[@]}"
	cleanup_all_ns || check_err 1 "could not delete all namespaces"
	load_nsgate
	busywait $BUSYWAIT_TIMEOUT none_is_dying || check_err 1 "namespaces don't die"
	unload_nsgate
}

soak()
{
	local part

	# What the kernel keeps for the next time is there after the first.
	run_jobs 0 5
	measure 0
	for ((part = 1; part <= parts; part++)); do
		run_jobs $((SOAK_MINUTES * 60 / parts)) "$times"
		counts '%s %d %d\n' >>"$tmp/counts"
		measure $part
	done
	awk '{ n[$1] += $2; cut[$1] += $3 }
		END { for (job in n) print "# " job ": " n[job] " times, " cut[job] " rounds cut short" }' \
		"$tmp/counts"
	[[ ! -s $tmp/failures ]] || check_err 1 "$(tail -n 20 "$tmp/failures")"
	[[ ! -s $tmp/complaints ]] || check_err 1 "the kernel log has: $(<"$tmp/complaints")"
	log_test "everything at once, for $SOAK_MINUTES minutes"
}

# ---- memory ----

# Lines of a name and what of it is in use: the objects of each slab cache, and
# kB of other memory. A slab that a processor allocates from counts as all in use,
# and so it is taken away from it first; with slub_debug=F none has one, and the
# figures are exact.
memory_in_use()
{
	local cache objects

	echo 3 >/proc/sys/vm/drop_caches
	for cache in /sys/kernel/slab/*; do
		[[ ! -L $cache ]] || continue
		echo 1 >"$cache/shrink"
		read -r objects _ <"$cache/objects"
		echo "${cache##*/} $objects"
	done
	sed -nE 's/^(Slab|Percpu|VmallocUsed): *([0-9]+) kB/\1 \2/p' /proc/meminfo
}

# measure PART: after it. What is in use for a moment only doesn't count.
measure()
{
	local i

	judges_memory || return 0
	for i in 1 2 3 4 5; do
		memory_in_use
	done | awk '!($1 in least) || $2 < least[$1] { least[$1] = $2 }
		END { for (name in least) print name, least[name] }' >"$tmp/memory.$1"
}

# What is lost is lost as often as that was done: so many objects more there would
# be after each part, or else what is too large for slabs shows in kB.
has_not_grown()
{
	awk -v parts="$parts" -v times="$times" '
		BEGIN { least["Slab"] = 256; least["Percpu"] = 8; least["VmallocUsed"] = 64 }
		{ used[$1, substr(FILENAME, length(FILENAME))] = $2; names[$1] }
		END {
			for (name in names) {
				kB = name in least
				grew = 0
				line = name ": " used[name, 0]
				for (i = 1; i <= parts; i++) {
					grew += used[name, i] - used[name, i - 1] >= (kB ? least[name] : times)
					line = line " " used[name, i]
				}
				if (grew == parts) {
					bad = 1
					print "grows: " line
				} else if (kB) {
					print "# kB of " line
				}
			}
			exit bad
		}' "$tmp"/memory.*
}

memory()
{
	local status=0 figures

	if ! judges_memory; then
		log_test_skip "memory is back where it was" "this kernel keeps what is freed; leaks.sh looks at it"
		return
	fi
	figures=$(has_not_grown) || status=$?
	echo "$figures"
	check_err $status "$figures"
	log_test "memory is back where it was"
}

# KASAN doesn't give back at once what is freed.
judges_memory()
{
	[[ -e /sys/kernel/slab/dentry/objects ]] && ! grep -q ' kasan_poison$' /proc/kallsyms
}

setup_program fuzz
setup_program starve
setup_program stall
setup_tmp
setup_starving
modprobe -q nfnetlink_queue || :
mkfifo "$tmp/pipe"
setup_log
nsgate_ko=$(find_module)
# All is to have happened so often in each part, on slow machines too.
parts=4
times=10
tests_run
