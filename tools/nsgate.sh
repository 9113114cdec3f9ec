#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Meters and polices network namespaces, by the names that people have for them.
# See usage() below, and nsgate(8).
#
# Files of /proc/net/nsgate are read by mapfile only: read goes back in the file
# after each line, which makes the kernel write the whole file anew.

set -eu -o pipefail
export LC_ALL=C
# Users of Debian don't have these in their PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
shopt -s nullglob dotglob

host=/proc/net/nsgate
parameter=/sys/module/nsgate/parameters/inode
netns=/run/netns
run=/run/nsgate		# its file "names" has what targets were called when bound
runtimes=(docker podman lxc machine)

usage()
{
	cat <<'END'
usage: nsgate COMMAND [ARGUMENT...]; 'nsgate COMMAND --help' tells more

  list                   all network namespaces, and what lives in them
  bind NS...             make them targets: meter them, and have a gate in them
  release NS...          undo it; this takes their figures away
  status [NS]            the targets at a glance, or one in full
  top [NS]               rates and flows, live
  gate NS [accept|drop]  show the gate of a target, or set it
  metrics                what Prometheus reads
  exporter ...           hand the metrics to node_exporter, or to a socket
  follow NAME            keep the namespace of that name bound

NS is the name of ip-netns(8) or of a container, a PID, an inode or a path. To
say which: netns:NAME, pid:PID, inode:NUMBER, path:PATH, docker:NAME,
podman:NAME, lxc:NAME, machine:NAME. What is gone has its name until released.

exit status  0 done                            4 it is not a target
             1 the kernel or system refused    5 no module, not root, or not
             2 bad command line                  on the host
             3 there is no such namespace      6 tcpdump refused the expression
END
}

usage_list()
{
	cat <<'END'
usage: nsgate list [--json]

Shows every network namespace: its inode; its cookie, which is never used again;
whether it is a target; devices; processes, of which two are named; and the
names that it has: of ip-netns(8) as they are, of containers as docker:NAME,
podman:NAME, lxc:NAME and machine:NAME.

  --json  an array of objects, with all processes
END
}

usage_bind()
{
	cat <<'END'
usage: nsgate bind NS...

Makes the namespaces targets: nsgate counts what passes in them, and their gates
are open, unless the module was loaded with policy=drop. If one of them can't be
bound, none is. What is a target already stays as it is.

A namespace that is deleted takes its bind along: to have the next one of the
same name bound, too, use 'nsgate follow' or nsgate@NAME.service.
END
}

usage_release()
{
	cat <<'END'
usage: nsgate release NS...

Takes nsgate out of the namespaces; their figures go. A name also stands for
those of that name that are gone.
END
}

usage_status()
{
	cat <<'END'
usage: nsgate status [NS] [--json]

Shows all targets, those that are gone too: how long they have been bound, the
gate, bytes in (at prerouting) and out (at postrouting), packets dropped, and
the use of the flow table. With NS: its state, and all its counters.

  --json  an array of objects; with NS, an object with the counters
END
}

usage_top()
{
	cat <<'END'
usage: nsgate top [NS] [-d SECONDS] [-n TIMES] [--json]

Shows what goes on now: with NS, rates by hook and protocol, and the flows (the
1000 of most bytes are looked at); without, the rates of all targets. When the
output is no terminal, prints a line for each.

  -d, --delay SECONDS  between two looks (default: 2)
  -n, --count TIMES    end after so many (default: on a terminal no end, else 1)
  --json               an object a line

Keys: b sort by bytes, p by packets, t by bytes since the bind, q quit.
END
}

usage_gate()
{
	cat <<'END'
usage: nsgate gate NS [--json]
       nsgate gate NS accept|drop [--except EXPR] [--dry-run]

Shows the gate of a target, or sets it: accept lets all packets pass, drop none.

  --except EXPR  but do the contrary with what EXPR matches, an expression of
                 pcap-filter(7), which tcpdump(8) compiles
  --dry-run      drop nothing, only count what would be dropped
  --json         an object

Name both ends of an exception, for who is cut off may send from any address:

  nsgate gate web drop --except 'host 10.0.0.1 and host 10.0.0.9 and port 22'

Neighbours in IPv6 find each other by ICMPv6, which is dropped, too. Add:
  or (icmp6 and (ip6[40] == 135 or ip6[40] == 136))
END
}

usage_metrics()
{
	cat <<'END'
usage: nsgate metrics

Prints the figures of all targets, those that are gone too, in the text format
of Prometheus. Labels: inode and cookie, and netns, the name that the namespace
had when it was bound or first seen.
END
}

usage_exporter()
{
	cat <<'END'
usage: nsgate exporter textfile [FILE] [--interval SECONDS] [--once]
       nsgate exporter http

textfile writes the metrics to FILE for the textfile collector of node_exporter
(default: /var/lib/prometheus/node-exporter/nsgate.prom), again and again, and
removes it when it is told to end.

http answers one request on its standard input: nsgate-exporter.socket of
systemd calls it so.

  --interval SECONDS  between two writes (default: 15)
  --once              write it once, and leave it there

While the module is not loaded, nsgate_up is 0.
END
}

usage_follow()
{
	cat <<'END'
usage: nsgate follow NAME [accept|drop [--except EXPR] [--dry-run]]

Keeps the namespace that ip-netns(8) calls NAME bound, until it is told to end:
then it releases it. When it is deleted and made anew, the new one is bound at
once, and gets the gate that the old one had. The first gets the one that is
given here, if any. nsgate@NAME.service is this.
END
}

# ---- errors ----

readonly failed=1 bad_usage=2 no_namespace=3 no_target=4 no_host=5 bad_expression=6

# die STATUS MESSAGE
die()
{
	echo "nsgate: $2" >&2
	exit "$1"
}

misused()
{
	die $bad_usage "$1; 'nsgate ${command:+$command }--help' tells more"
}

check_host()
{
	((EUID == 0)) || die $no_host "only root may do this; try 'sudo nsgate $command'"
	[[ -e /sys/module/nsgate ]] ||
		die $no_host "the module is not loaded; 'modprobe nsgate' loads it"
	[[ -e $host/namespaces ]] ||
		die $no_host "this is not the initial network namespace; run nsgate on the host"
}

# kernel_write FILE TEXT: in one write, which bash makes of a short text by
# itself. $refusal is the kernel's error.
kernel_write()
{
	local status=0

	((${#2} > 1000)) || ! { printf '%s\n' "$2" >"$1"; } 2>/dev/null || return 0
	refusal=$(dd of="$1" bs=1M iflag=fullblock conv=notrunc status=none 2>&1 <<<"$2") || status=$?
	refusal=${refusal##*: }
	return $status
}

# ---- text ----

# What is UTF-8 at the beginning of a string, byte by byte.
utf8=$'^([\x01-\x7f]|[\xc2-\xdf]T|\xe0[\xa0-\xbf]T|[\xe1-\xec\xee\xef]TT|\xed[\x80-\x9f]T'
utf8+=$'|\xf0[\x90-\xbf]TT|[\xf1-\xf3]TTT|\xf4[\x80-\x8f]TT)+'
utf8=${utf8//T/$'[\x80-\xbf]'}

# Puts the text in $clean, without what is not UTF-8.
clean()
{
	local rest=$1

	clean=$rest
	[[ $rest == *[$'\x80'-$'\xff']* ]] || return 0
	clean=
	while [[ $rest ]]; do
		if [[ $rest =~ $utf8 ]]; then
			clean+=${BASH_REMATCH[0]}
			rest=${rest:${#BASH_REMATCH[0]}}
		else
			clean+=$'\xef\xbf\xbd'
			rest=${rest:1}
		fi
	done
}

# Puts the text in $json, as a string of JSON.
json_string()
{
	local i char code

	clean "$1"
	json=${clean//"$backslash"/"$backslash$backslash"}
	json=${json//\"/"$backslash\""}
	if [[ $json == *[$'\x01'-$'\x1f']* ]]; then
		for i in {1..31}; do
			printf -v code '%02x' "$i"
			printf -v char %b "\\x$code"
			json=${json//"$char"/"${backslash}u00$code"}
		done
	fi
	json="\"$json\""
}

# Puts the text in $label, as the value of a label in Prometheus' format.
label_string()
{
	clean "$1"
	label=${clean//"$backslash"/"$backslash$backslash"}
	label=${label//\"/"$backslash\""}
	label="\"${label//$'\n'/"${backslash}n"}\""
}

# Puts the text in $shown, for a human on a terminal: as the shell takes it.
show_string()
{
	local LC_ALL=C.UTF-8

	shown=$1
	[[ $1 && $1 != *[![:alnum:]_.,:/@%+=-]* ]] || shown=${1@Q}
}

# Puts in $cells how many cells of a terminal the text takes.
count_cells()
{
	local wide

	cells=${#1}
	[[ $1 == *[$'\x80'-$'\xff']* ]] || return 0
	wide=${1//[$'\x80'-$'\xbf']/}
	cells=${#wide}
	# East Asian characters and pictures begin like this, nearly all of them.
	wide=${wide//[!$'\xe3'-$'\xed'$'\xf0']/}
	cells=$((cells + ${#wide}))
}

# Puts a number in $human: human NUMBER UNIT
human()
{
	local number=$1 prefix

	if ((number < 1000)); then
		human="$number $2"
		human=${human% }
		return
	fi
	for prefix in k M G T P E; do
		((number >= 999950)) || break
		number=$((number / 1000))
	done
	human="$(((number + 50) / 1000)).$(((number + 50) / 100 % 10)) $prefix$2"
}

# Puts a number of seconds in $human.
human_time()
{
	if (($1 < 60)); then
		human="$1 s"
	elif (($1 < 3600)); then
		human="$(($1 / 60)) min $(($1 % 60)) s"
	elif (($1 < 86400)); then
		human="$(($1 / 3600)) h $(($1 / 60 % 60)) min"
	else
		human="$(($1 / 86400)) d $(($1 / 3600 % 24)) h"
	fi
}

# format_table ALIGNMENT CELL...: as many columns as letters, l or r; puts the
# text in $table.
format_table()
{
	local align=$1 i column columns=${#1} pad
	local -a widths cell_widths
	shift

	for ((i = 0; i < columns; i++)); do
		widths[i]=0
	done
	for ((i = 1; i <= $#; i++)); do
		count_cells "${!i}"
		cell_widths[i]=$cells
		column=$(((i - 1) % columns))
		((cells <= widths[column])) || widths[column]=$cells
	done
	table=
	for ((i = 1; i <= $#; i++)); do
		column=$(((i - 1) % columns))
		printf -v pad '%*s' $((widths[column] - cell_widths[i])) ''
		if [[ ${align:column:1} == r ]]; then
			table+=$pad${!i}
		elif ((column < columns - 1)); then
			table+=${!i}$pad
		else
			table+=${!i}
		fi
		((column == columns - 1)) && table+=$'\n' || table+='  '
	done
}

# ---- the command line ----

# parse OPTIONS ARGUMENT...: puts options in $option, where those that have
# a value end in a colon, and the rest in $arguments.
parse()
{
	local known=" $1 " name
	shift

	while (($#)); do
		name=$1
		case $name in
		-h | --help) "usage_$command"; exit ;;
		--) arguments+=("${@:2}"); break ;;
		-d) name=--delay ;;
		-n) name=--count ;;
		--*=*) name=${name%%=*} ;;
		esac
		case $name in
		--*) ;;
		-?*) misused "there is no option $1" ;;
		*) arguments+=("$1"); shift; continue ;;
		esac
		if [[ $known == *" ${name#--}: "* && $1 == --*=* ]]; then
			option[${name#--}]=${1#*=}
		elif [[ $known == *" ${name#--}: "* ]]; then
			(($# > 1)) || misused "$1 needs a value"
			option[${name#--}]=$2
			shift
		elif [[ $known == *" ${name#--} "* && $1 != *=* ]]; then
			option[${name#--}]=yes
		else
			misused "there is no option $1"
		fi
		shift
	done
	[[ ! ${option[json]-} ]] || form=json
}

# count_arguments LEAST MOST WHAT
count_arguments()
{
	((${#arguments[@]} >= $1)) || misused "$3 is missing"
	((${#arguments[@]} <= $2)) || misused "'${arguments[$2]}' is too much"
}

# ---- what the kernel has ----

# The live network namespaces, in the order of the kernel, in $inodes.
read_namespaces()
{
	local line inode cookie devices bound
	local -a lines

	mapfile -t -s 1 lines <$host/namespaces
	inodes=() cookie_of=() devices_of=() bound_of=()
	for line in "${lines[@]}"; do
		read -r inode cookie devices bound <<<"$line"
		inodes+=("$inode")
		cookie_of[$inode]=$cookie
		devices_of[$inode]=$devices
		bound_of[$inode]=$bound
	done
}

# is_bound INODE: as read_namespaces found it.
is_bound()
{
	[[ ${bound_of[$1]-} == '***' ]]
}

# The inodes of all targets, those that are gone too, in $targets.
find_targets()
{
	targets=("$host"/[1-9]*/)
	targets=("${targets[@]#"$host"/}")
	targets=("${targets[@]%/}")
}

# Reads the key value lines of files of a target to $state. Fails if the target
# was released in the meantime.
read_state()
{
	local file line
	local -a lines

	state=()
	for file in state gate; do
		mapfile -t lines 2>/dev/null <"$host/$1/$file" || return
		for line in "${lines[@]}"; do
			state[${line%% *}]=${line#* }
		done
	done
	[[ ${state[dropped]-} ]]
}

# Reads the counters to $stats, line by line without the header, and packets
# and bytes that came in and went out and were dropped.
read_stats()
{
	local line hook family proto packets bytes dropped dropped_bytes

	in_packets=0 in_bytes=0 out_packets=0 out_bytes=0 dropped_packets=0
	mapfile -t -s 1 stats 2>/dev/null <"$host/$1/stats" || return
	((${#stats[@]})) || return
	for line in "${stats[@]}"; do
		read -r hook family proto packets bytes dropped dropped_bytes <<<"$line"
		[[ $proto == all ]] || continue
		dropped_packets=$((dropped_packets + dropped))
		case $hook in
		prerouting)
			in_packets=$((in_packets + packets))
			in_bytes=$((in_bytes + bytes))
			;;
		postrouting)
			out_packets=$((out_packets + packets))
			out_bytes=$((out_bytes + bytes))
			;;
		esac
	done
}

# Both, of one target that still is one.
read_target()
{
	read_state "$1" && read_stats "$1"
}

# ---- names ----

# What targets were called when they were bound, as KIND:NAME by their cookies:
# the file has a cookie, a blank and that for each, ended by NUL.
read_names()
{
	local record

	names=()
	[[ -e $run/names ]] || return 0
	while IFS= read -r -d '' record; do
		names[${record%% *}]=${record#* }
	done <"$run/names"
}

# Adds what is in $new_names, and forgets those that are no targets any more.
write_names()
{
	local inode cookie

	((${#new_names[@]})) || return 0
	[[ -d $run ]] || mkdir -p $run
	exec {lock}>$run/lock
	flock "$lock"
	read_names
	for cookie in "${!new_names[@]}"; do
		names[$cookie]=${new_names[$cookie]}
	done
	find_targets
	for inode in "${targets[@]}"; do
		read_state "$inode" || continue
		cookie=${state[cookie]}
		[[ ! ${names[$cookie]-} ]] || printf '%s %s\0' "$cookie" "${names[$cookie]}"
	done >$run/names.new
	mv $run/names.new $run/names
	exec {lock}>&-
	new_names=()
}

# add_name KIND INODE NAME
add_name()
{
	name_kinds+=("$1")
	name_inodes+=("$2")
	name_texts+=("$3")
}

# Which inodes there are can be told from files of another kind by the device.
find_netns_names()
{
	local entry device inode path nsfs=
	local -a paths=("$netns"/*)

	((${#paths[@]})) || return 0
	while IFS= read -r -d '' entry; do
		read -r device inode path <<<"${entry/$'\n'*/}"
		path=${entry#* * }
		: "${nsfs:=$device}"
		[[ $device != "$nsfs" || $path == /proc/self/ns/net ]] ||
			add_name netns "$inode" "${path##*/}"
	done < <(stat -L --printf '%d %i %n\0' /proc/self/ns/net "${paths[@]}" 2>/dev/null)
}

has_runtime()
{
	case $1 in
	docker | podman) type -P "$1" ;;
	lxc) type -P lxc-info ;;
	machine) type -P machinectl && [[ -S /run/systemd/private && -d /run/systemd/machines ]] ;;
	esac >/dev/null
}

# No daemon that hangs may hang nsgate.
ask()
{
	local status=0

	timeout -k 1 10 "$@" 2>/dev/null </dev/null || status=$?
	[[ $status != @(124|137) ]] ||
		echo "nsgate: $1 does not answer: what it runs is not found by name" >&2
	return $status
}

# list_containers RUNTIME: a PID, a blank and a name for each that runs.
list_containers()
{
	local -a ids

	case $1 in
	docker)
		mapfile -t ids < <(ask docker ps -q)
		((!${#ids[@]})) || ask docker inspect --format '{{.State.Pid}} {{slice .Name 1}}' "${ids[@]}"
		;;
	podman) ask podman ps --format '{{.Pid}} {{.Names}}' ;;
	lxc) ask lxc-ls --running --fancy --fancy-format PID,NAME | sed '1d; s/^\([0-9]*\)  */\1 /; s/ *$//' ;;
	machine)
		mapfile -t ids < <(ask machinectl list --no-legend --no-pager | cut -d ' ' -f 1)
		((!${#ids[@]})) || ask machinectl show -p Leader -p Name "${ids[@]}" |
			awk -F = '{ value[$1] = $2 } NF && length(value) == 2 {
				print value["Leader"], value["Name"]
				delete value
			}'
		;;
	esac
}

# Names of containers that have a network namespace of their own, by the inodes
# of the processes in $pid_inodes.
find_container_names()
{
	local runtime pid name

	for runtime in "${runtimes[@]}"; do
		has_runtime "$runtime" || continue
		while read -r pid name; do
			[[ $pid == [1-9]*([0-9]) && ${pid_inodes[pid]-} ]] || continue
			[[ ${pid_inodes[pid]} == "${pid_inodes[$$]}" ]] ||
				add_name "$runtime" "${pid_inodes[pid]}" "$name"
		done < <(list_containers "$runtime" || true)
	done
}

# The namespaces of all processes.
find_processes()
{
	local entry inode path

	pid_inodes=()
	while read -r inode path; do
		path=${path#/proc/}
		pid_inodes[${path%%/*}]=$inode
	done < <(printf '%s\0' /proc/[1-9]*/ns/net |
		xargs -0 stat -L -c '%i %n' 2>/dev/null)
}

find_names()
{
	name_kinds=() name_inodes=() name_texts=()
	find_netns_names
	find_processes
	find_container_names
}

# ---- NS ----

# candidate PATH WHAT: a namespace that NS may stand for. The open file keeps it
# alive, and so its inode its own, until we are done; what the kernel has is read
# after that.
candidate()
{
	local fd device='' inode='' nsfs=

	# Opening what is no plain file may do things.
	if [[ -f $1 ]] && { exec {fd}<"$1"; } 2>/dev/null; then
		pins+=("$fd")
		read_namespaces
		{ read -r nsfs _; read -r device inode; } < <(
			stat -L -c '%d %i' /proc/self/ns/net "/proc/$$/fd/$fd"
		)
	elif [[ ! -e $1 ]]; then
		return 0
	fi
	if [[ $inode && $device == "$nsfs" && ${cookie_of[$inode]-} ]]; then
		add_candidate "$inode" "$2"
	elif [[ $2 == path:* ]]; then
		die $no_namespace "$ns_shown is not a network namespace; 'nsgate list' shows those that are"
	fi
}

unpin()
{
	local fd

	for fd in "${pins[@]}"; do
		exec {fd}<&-
	done
	pins=()
}

# add_candidate INODE WHAT: what has a name is called KIND:NAME in $ns_name.
add_candidate()
{
	if [[ $ns_inode && $ns_inode != "$1" ]]; then
		show_string "$2"
		die $no_namespace "$ns_shown stands for two namespaces: say $ns_what or $shown"
	elif [[ ! $ns_inode ]]; then
		ns_inode=$1
		ns_cookie=${cookie_of[$1]}
		show_string "$2"
		ns_what=$shown
		[[ $2 == @(pid|inode|path):* ]] || ns_name=$2
	fi
}

container_pid()
{
	case $1 in
	docker) ask docker inspect --type container --format '{{.State.Pid}}' -- "$2" ;;
	podman) ask podman inspect --type container --format '{{.State.Pid}}' -- "$2" ;;
	lxc) ask lxc-info -n "$2" -p -H ;;
	machine) ask machinectl show -p Leader --value -- "$2" ;;
	esac
}

container_candidate()
{
	local pid

	has_runtime "$1" || return 0
	pid=$(container_pid "$1" "$2") || return 0
	[[ $pid == [1-9]*([0-9]) ]] || return 0
	if [[ /proc/$pid/ns/net -ef /proc/$$/ns/net ]]; then
		[[ ! $ns_inode ]] || return 0
		show_string "$1:$2"
		die $no_namespace "$shown has no network namespace of its own: it is in the host's"
	fi
	candidate "/proc/$pid/ns/net" "$1:$2"
}

# find_candidates KIND NAME
find_candidates()
{
	case $1 in
	netns) [[ $2 == */* || ! $2 ]] || candidate "$netns/$2" "netns:$2" ;;
	pid) [[ $2 != [1-9]*([0-9]) ]] || candidate "/proc/$2/ns/net" "pid:$2" ;;
	inode)
		read_namespaces
		[[ ! ${cookie_of[$2]-} ]] || add_candidate "$2" "inode:$2"
		;;
	path) candidate "$2" "path:$2" ;;
	*) container_candidate "$1" "$2" ;;
	esac
}

# guess_candidates NS: no kind was said, so it may be several. PIDs end where
# inodes are far from beginning.
guess_candidates()
{
	local runtime kind=pid

	if [[ $1 == */* ]]; then
		find_candidates path "$1"
		return
	fi
	find_candidates netns "$1"
	if [[ $1 == [1-9]*([0-9]) ]] && ((${#1} <= 10)); then
		(($1 > 4194304)) && kind=inode
		find_candidates $kind "$1"
	fi
	for runtime in "${runtimes[@]}"; do
		find_candidates "$runtime" "$1"
	done
}

# find_live NS: what is called so, in $ns_inode, $ns_cookie, $ns_name; nothing,
# if there is none.
find_live()
{
	ns_inode='' ns_cookie='' ns_name='' ns_what=''
	show_string "$1"
	ns_shown=$shown
	case $1 in
	netns:* | pid:* | inode:* | path:* | docker:* | podman:* | lxc:* | machine:*)
		find_candidates "${1%%:*}" "${1#*:}"
		;;
	*) guess_candidates "$1" ;;
	esac
}

no_such_namespace()
{
	die $no_namespace "namespace $ns_shown does not exist; 'nsgate list' shows those that do"
}

# find_gone NS: the inodes of targets that are gone and were called so, in
# $gone, the youngest last.
find_gone()
{
	local inode name
	local -a by_cookie=()

	read_names
	find_targets
	for inode in "${targets[@]}"; do
		read_state "$inode" || continue
		[[ ${state[status]} == gone ]] || continue
		name=${names[${state[cookie]}]-}
		[[ $inode != "${1#inode:}" && (! $name || $name != "$1" && ${name#*:} != "$1") ]] ||
			by_cookie[state[cookie]]=$inode
	done
	gone=("${by_cookie[@]}")
}

# find_target NS: the target that is called so, live if there is one, in
# $ns_inode and $state. The number of a target that is gone may be a stranger's.
find_target()
{
	find_live "$1"
	if [[ $ns_inode ]] && is_bound "$ns_inode"; then
		read_state "$ns_inode" && [[ ${state[cookie]} == "$ns_cookie" ]] && return
	fi
	find_gone "$1"
	if ((${#gone[@]})); then
		ns_inode=${gone[-1]}
		read_state "$ns_inode" && return
	fi
	[[ $ns_inode ]] || no_such_namespace
	die $no_target "namespace $ns_shown is not a target; 'nsgate bind $ns_shown' makes it one"
}

# What the target with inode $1, whose state was read, is called: in $called.
# Those that were bound by others are looked up, and told to write_names.
name_target()
{
	local i

	called=${names[${state[cookie]}]-}
	called=${called#*:}
	[[ ! $called && ${state[status]} == live ]] || return 0
	[[ $names_found ]] || { find_names; names_found=yes; }
	for i in "${!name_texts[@]}"; do
		if [[ ${name_inodes[i]} == "$1" ]]; then
			called=${name_texts[i]}
			new_names[${state[cookie]}]=${name_kinds[i]}:$called
			return
		fi
	done
}

# ---- list ----

# What process $1 calls itself, in $comm; nothing, if it has ended.
read_comm()
{
	comm=
	{ IFS= read -r -d '' comm <"/proc/$1/comm" || true; } 2>/dev/null
	comm=${comm%$'\n'}
}

# Puts the processes in inode $1 in $shown.
show_processes()
{
	local pid comm text='' more=
	local -a pids

	read -ra pids <<<"${processes[$1]-}"
	for pid in "${pids[@]:0:2}"; do
		read_comm "$pid"
		show_string "$comm"
		text+="${text:+, }$pid $shown"
	done
	((${#pids[@]} <= 2)) || more=" and $((${#pids[@]} - 2)) more"
	shown=${text:--}$more
}

# Puts the names of inode $1 in $shown.
show_names()
{
	local i text=

	for i in "${!name_texts[@]}"; do
		[[ ${name_inodes[i]} == "$1" ]] || continue
		show_string "${name_texts[i]}"
		[[ ${name_kinds[i]} == netns ]] || shown=${name_kinds[i]}:$shown
		text+="${text:+ }$shown"
	done
	shown=${text:--}
}

list_table()
{
	local inode bound
	local -a cells=(INODE COOKIE BOUND DEVICES PROCESSES NAMES)

	for inode in "${inodes[@]}"; do
		is_bound "$inode" && bound=yes || bound=-
		cells+=("$inode" "${cookie_of[$inode]}" "$bound" "${devices_of[$inode]}")
		show_processes "$inode"
		cells+=("$shown")
		show_names "$inode"
		cells+=("$shown")
	done
	format_table lllrll "${cells[@]}"
	printf %s "$table"
}

json_names()
{
	local i

	out+='"names": ['
	for i in "${!name_texts[@]}"; do
		[[ ${name_inodes[i]} == "$1" ]] || continue
		json_string "${name_texts[i]}"
		out+="{\"kind\": \"${name_kinds[i]}\", \"name\": $json}, "
	done
	out="${out%, }]"
}

json_processes()
{
	local pid comm
	local -a pids

	read -ra pids <<<"${processes[$1]-}"
	out+='"processes": ['
	for pid in "${pids[@]}"; do
		read_comm "$pid"
		json_string "$comm"
		out+="{\"pid\": $pid, \"command\": $json}, "
	done
	out="${out%, }]"
}

list_json()
{
	local inode bound out=

	for inode in "${inodes[@]}"; do
		is_bound "$inode" && bound=true || bound=false
		out+="${out:+,$'\n'} {\"inode\": $inode, \"cookie\": ${cookie_of[$inode]}, "
		out+="\"bound\": $bound, \"devices\": ${devices_of[$inode]}, "
		json_names "$inode"
		out+=', '
		json_processes "$inode"
		out+='}'
	done
	printf '[\n%s\n]\n' "$out"
}

command_list()
{
	local pid
	local -A processes

	parse "json" "$@"
	count_arguments 0 0 ''
	check_host
	find_names
	read_namespaces
	for pid in "${!pid_inodes[@]}"; do
		processes[${pid_inodes[pid]}]+="$pid "
	done
	"list_$form"
}

# ---- bind, release ----

# bind INODE COOKIE NAME, where $ns_shown is what to call it in an error. What
# was named by its inode is not pinned: the number may have passed on meanwhile.
bind()
{
	kernel_write $parameter "+$1" || case $refusal in
	"No such device or address") no_such_namespace ;;
	"Argument list too long") refuse "there are as many targets as there can be ('nsgate release' makes room), or hooks of that namespace; 'dmesg' tells which" ;;
	"Operation not permitted") refuse "that takes CAP_NET_ADMIN, in the initial network namespace" ;;
	*) refuse "$refusal; 'dmesg' tells why" ;;
	esac
	if ! read_state "$1" || [[ ${state[cookie]} != "$2" ]]; then
		kernel_write $parameter "-$1" || true
		no_such_namespace
	fi
	[[ ! $3 ]] || new_names[$2]=$3
}

refuse()
{
	die $failed "$ns_shown: $1"
}

# Takes back what was bound, if all was not.
# shellcheck disable=SC2317 # called by a trap
unbind()
{
	local inode

	for inode in "${bound[@]}"; do
		kernel_write $parameter "-$inode" || true
	done
}

command_bind()
{
	local i bound=()
	local -a to_bind=() cookies=() calls=() shown_as=()

	parse "" "$@"
	count_arguments 1 10000 NS
	check_host
	for i in "${arguments[@]}"; do
		find_live "$i"
		[[ $ns_inode ]] || no_such_namespace
		to_bind+=("$ns_inode")
		cookies+=("$ns_cookie")
		calls+=("$ns_name")
		shown_as+=("$ns_shown")
	done
	trap unbind EXIT
	for i in "${!to_bind[@]}"; do
		! is_bound "${to_bind[i]}" || continue
		ns_shown=${shown_as[i]}
		bind "${to_bind[i]}" "${cookies[i]}" "${calls[i]}"
		bound+=("${to_bind[i]}")
	done
	trap - EXIT
	read_names
	for i in "${!to_bind[@]}"; do
		[[ ${calls[i]} ]] || ! read_state "${to_bind[i]}" || name_target "${to_bind[i]}"
	done
	write_names
}

# release INODE: it may be gone for good in the meantime.
release()
{
	kernel_write $parameter "-$1" || case $refusal in
	"No such device or address") ;;
	*) refuse "$refusal; 'dmesg' tells why" ;;
	esac
}

command_release()
{
	local ns inode
	local -A to_release

	parse "" "$@"
	count_arguments 1 10000 NS
	check_host
	for ns in "${arguments[@]}"; do
		find_target "$ns"
		to_release[$ns_inode]=$ns_shown
		find_gone "$ns"
		for inode in "${gone[@]}"; do
			to_release[$inode]=$ns_shown
		done
	done
	for inode in "${!to_release[@]}"; do
		ns_shown=${to_release[$inode]}
		release "$inode"
	done
}

# ---- status ----

# Puts the gate of the target in $shown.
show_gate()
{
	shown=${state[policy]}
	if [[ ${state[label]-} ]]; then
		local label=${state[label]}
		show_string "$label"
		[[ $shown == "$label" || $shown == \$* ]] || shown=$label
		shown="${state[policy]} except $shown"
	elif [[ ${state[except]} != none ]]; then
		shown+=" except a program"
	fi
	shown=${shown/#dry /dry run: }
}

# What $called is to a human.
show_called()
{
	show_string "$called"
	shown=${shown:--}
}

status_table()
{
	local inode
	local -a cells=(INODE COOKIE STATUS BOUND IN OUT DROPPED FLOWS EVICTED NAME GATE)

	find_targets
	for inode in "${targets[@]}"; do
		read_target "$inode" || continue
		cells+=("$inode" "${state[cookie]}" "${state[status]}")
		human_time "${state[bound_seconds]}"
		cells+=("$human")
		human "$in_bytes" B
		cells+=("$human")
		human "$out_bytes" B
		cells+=("$human")
		human "$dropped_packets" ''
		cells+=("$human" "${state[flow_entries]}/${state[flow_capacity]}")
		human "${state[flow_evicted]}" ''
		cells+=("$human")
		name_target "$inode"
		show_called
		cells+=("$shown")
		show_gate
		cells+=("$shown")
	done
	if ((${#cells[@]} == 11)); then
		echo "There is no target; 'nsgate bind' makes one."
		return
	fi
	format_table lllrrrrrrll "${cells[@]}"
	printf %s "$table"
}

status_json()
{
	local inode out=

	find_targets
	for inode in "${targets[@]}"; do
		read_target "$inode" || continue
		name_target "$inode"
		out+="${out:+,$'\n'} {"
		json_state
		out+=", \"in\": {\"packets\": $in_packets, \"bytes\": $in_bytes}"
		out+=", \"out\": {\"packets\": $out_packets, \"bytes\": $out_bytes}"
		out+=", \"dropped_packets\": $dropped_packets}"
	done
	printf '[%s]\n' "${out:+$'\n'$out$'\n'}"
}

# json_member KEY TEXT
json_member()
{
	json_string "$2"
	out+=", \"$1\": $json"
}

json_gate()
{
	local dry=false

	[[ ${state[policy]} != dry* ]] || dry=true
	out+="\"gate\": {\"policy\": \"${state[policy]#dry }\", \"dry_run\": $dry"
	if [[ ${state[except]} == none ]]; then
		out+=', "except": null'
	else
		json_member except "${state[except]}"
	fi
	if [[ ${state[label]-} ]]; then
		json_member label "${state[label]}"
	else
		out+=', "label": null'
	fi
	out+=", \"excepted\": ${state[excepted]}, \"dropped\": ${state[dropped]}}"
}

json_state()
{
	out+="\"inode\": ${state[inode]}, \"cookie\": ${state[cookie]}"
	json_member name "$called"
	json_member status "${state[status]}"
	out+=", \"bound_seconds\": ${state[bound_seconds]}, \"devices\": ${state[devices]}, "
	json_gate
	out+=", \"flows\": {\"capacity\": ${state[flow_capacity]}, \"entries\": ${state[flow_entries]}, "
	out+="\"evicted\": ${state[flow_evicted]}}, "
	out+="\"hooks\": [\"${state[hooks]// /\", \"}\"]"
}

# The counters in $stats, as objects of $out.
json_stats()
{
	local line hook family proto packets bytes dropped dropped_bytes

	out+='"stats": ['
	for line in "${stats[@]}"; do
		read -r hook family proto packets bytes dropped dropped_bytes _ <<<"$line"
		out+=$'\n'"  {\"hook\": \"$hook\", \"family\": \"$family\", \"proto\": \"$proto\", "
		out+="\"packets\": $packets, \"bytes\": $bytes, "
		out+="\"dropped_packets\": $dropped, \"dropped_bytes\": $dropped_bytes},"
	done
	out="${out%,}]"
}

status_of_json()
{
	local out='{'

	json_state
	out+=", "
	json_stats
	echo "$out}"
}

status_of_table()
{
	local line hook family proto packets bytes dropped
	local -a cells=(HOOK FAMILY PROTO PACKETS BYTES DROPPED)

	show_called
	printf '%s, inode %s, cookie %s\n' "$shown" "${state[inode]}" "${state[cookie]}"
	human_time "${state[bound_seconds]}"
	printf '  status   %s, bound for %s\n' "${state[status]}" "$human"
	printf '  devices  %s\n' "${state[devices]}"
	show_gate
	printf '  gate     %s\n' "$shown"
	printf '           %s packets excepted, %s dropped\n' "${state[excepted]}" "${state[dropped]}"
	printf '  flows    %s of %s entries, %s evicted\n' \
		"${state[flow_entries]}" "${state[flow_capacity]}" "${state[flow_evicted]}"
	printf '  hooks    %s\n\n' "${state[hooks]}"
	for line in "${stats[@]}"; do
		read -r hook family proto packets bytes dropped _ <<<"$line"
		((packets)) || continue
		cells+=("$hook" "$family" "$proto")
		human "$packets" ''
		cells+=("$human")
		human "$bytes" B
		cells+=("$human")
		human "$dropped" ''
		cells+=("$human")
	done
	((${#cells[@]} > 6)) || { echo "  No packet has come by."; return; }
	format_table lllrrr "${cells[@]}"
	printf '  %s\n' "${table//$'\n'/$'\n  '}" | sed '$d'
}

command_status()
{
	parse "json" "$@"
	count_arguments 0 1 ''
	check_host
	read_names
	if ((${#arguments[@]})); then
		find_target "${arguments[0]}"
		read_names
		name_target "$ns_inode"
		read_stats "$ns_inode" || die $no_target "$ns_shown was released just now"
		"status_of_$form"
	else
		"status_$form"
	fi
	write_names
}

# ---- gate ----

# Compiles $1 to $program, and makes $comment of it.
compile()
{
	local status=0

	type -P tcpdump >/dev/null ||
		die $bad_expression "--except needs tcpdump, which compiles expressions: apt install tcpdump"
	[[ ${1//[[:space:]]/} ]] || die $bad_expression "--except: the expression is empty"
	program=$(tcpdump -ddd -y RAW -- "$1" 2>&1) || status=$?
	if ((status)); then
		show_string "$1"
		die $bad_expression "tcpdump refuses the expression $shown, and nothing has changed. It says:
  ${program//$'\n'/$'\n'  }"
	fi
	# It may have a warning before the program.
	program=$(grep -E '^[0-9 ]+$' <<<"$program" | tr '\n' ,)
	program=${program%,}
	comment "$1"
}

# Puts the label for expression $1 in $comment: no control characters, and no
# more bytes than there may be, but whole characters.
comment()
{
	clean "${1//[[:cntrl:]]/ }"
	comment=$clean
	if ((${#comment} > 255)); then
		comment=${comment:0:252}
		[[ $comment =~ $utf8 ]] && comment=${BASH_REMATCH[0]}
		comment+=...
	fi
}

# What is to be written for the policy $1 and the options, in $gate.
make_gate()
{
	[[ $1 == @(accept|drop) ]] || misused "'$1' is neither accept nor drop"
	gate=$1
	[[ ! ${option[dry-run]-} ]] || gate="dry $gate"
	if [[ ${option[except]+given} ]]; then
		compile "${option[except]}"
		gate+=" except $program # $comment"
	fi
}

# write_gate INODE
write_gate()
{
	kernel_write "$host/$1/gate" "$gate" || case $refusal in
	"No such device or address" | "No such file or directory") refuse "is gone; 'nsgate list' shows what lives" ;;
	"Operation not permitted") refuse "the kernel refuses: the initial network namespace is cut off only if the module was loaded with gate_init_net=1" ;;
	*) refuse "the kernel refuses the gate: $refusal; 'dmesg' tells why" ;;
	esac
}

gate_json()
{
	local out='{'

	out+="\"inode\": ${state[inode]}, \"cookie\": ${state[cookie]}"
	json_member name "$called"
	out+=", "
	json_gate
	echo "$out}"
}

gate_table()
{
	show_gate
	echo "$shown"
	echo "${state[excepted]} packets excepted, ${state[dropped]} dropped"
}

command_gate()
{
	local gate=

	parse "json except: dry-run" "$@"
	count_arguments 1 2 NS
	if ((${#arguments[@]} == 2)); then
		[[ ! ${option[json]-} ]] || misused "--json shows a gate, and sets none"
		make_gate "${arguments[1]}"
	elif [[ ${option[except]+given}${option[dry-run]-} ]]; then
		misused "accept or drop is missing"
	fi
	check_host
	find_target "${arguments[0]}"
	if [[ $gate ]]; then
		[[ ${state[status]} == live ]] ||
			die $no_target "$ns_shown is gone; 'nsgate bind' binds the one of that name that lives, if there is one"
		write_gate "$ns_inode"
		return
	fi
	read_names
	name_target "$ns_inode"
	"gate_$form"
}

# ---- metrics ----

# Starts the text of a metric: metric NAME TYPE HELP
metric()
{
	printf '# HELP %s %s\n# TYPE %s %s\n' "$1" "$3" "$1" "$2"
}

# Adds the counters in $stats to the arrays packets, bytes, dropped and
# dropped_bytes, each with labels, hook, family, proto and value. A series begins
# with 0, so that its first packets are an increase; "all" would count twice in
# sums.
collect_counters()
{
	local line hook family proto numbers
	local -A figures protos=([netdev]="ipv4 ipv6 arp other")
	local -a points=()

	packets=() bytes=() dropped=() dropped_bytes=()
	for line in "${stats[@]}"; do
		read -r hook family proto numbers <<<"$line"
		: "${protos[$family]:=tcp udp icmp sctp esp other}"
		if [[ $proto == all ]]; then
			points+=("$hook $family")
			continue
		fi
		figures[$hook $family $proto]=$numbers
		[[ " ${protos[$family]} " == *" $proto "* ]] || protos[$family]+=" $proto"
	done
	for line in "${points[@]}"; do
		family=${line#* }
		for proto in ${protos[$family]}; do
			read -ra numbers <<<"${figures[$line $proto]-0 0 0 0}"
			packets+=("$labels" "${line% *}" "$family" "$proto" "${numbers[0]}")
			bytes+=("$labels" "${line% *}" "$family" "$proto" "${numbers[1]}")
			dropped+=("$labels" "${line% *}" "$family" "$proto" "${numbers[2]}")
			dropped_bytes+=("$labels" "${line% *}" "$family" "$proto" "${numbers[3]}")
		done
	done
}

# add_counters METRIC LABELS HOOK FAMILY PROTO VALUE...
add_counters()
{
	local name=$1 lines
	shift

	printf -v lines "$name"'{%s,hook="%s",family="%s",proto="%s"} %s\n' "$@"
	text[$name]+=$lines
}

# add_sample METRIC VALUE
add_sample()
{
	text[$1]+="$1{$labels} $2"$'\n'
}

# The samples of the target with inode $1, whose state and counters were read.
collect_target()
{
	local live=1 drops=1 label
	local -a packets bytes dropped dropped_bytes

	name_target "$1"
	label_string "$called"
	labels="inode=\"$1\",cookie=\"${state[cookie]}\",netns=$label"
	[[ ${state[status]} == live ]] || live=0
	[[ ${state[policy]} == drop ]] || drops=0
	collect_counters
	add_counters nsgate_packets_total "${packets[@]}"
	add_counters nsgate_bytes_total "${bytes[@]}"
	add_counters nsgate_dropped_packets_total "${dropped[@]}"
	add_counters nsgate_dropped_bytes_total "${dropped_bytes[@]}"
	add_sample nsgate_flow_evictions_total "${state[flow_evicted]}"
	add_sample nsgate_flow_entries "${state[flow_entries]}"
	add_sample nsgate_flow_capacity "${state[flow_capacity]}"
	add_sample nsgate_gate_excepted_packets_total "${state[excepted]}"
	add_sample nsgate_gate_dropped_packets_total "${state[dropped]}"
	add_sample nsgate_gate_drop $drops
	add_sample nsgate_target_devices "${state[devices]}"
	add_sample nsgate_target_bound_seconds "${state[bound_seconds]}"
	add_sample nsgate_target_live $live
	labels+=",status=\"${state[status]}\",policy=\"${state[policy]}\""
	add_sample nsgate_target_info 1
}

print_metric()
{
	[[ ${text[$1]-} ]] || return 0
	metric "$@"
	printf %s "${text[$1]}"
}

print_metrics()
{
	local inode labels up=1
	local -A text

	[[ -e $host/namespaces ]] || up=0
	metric nsgate_up gauge "Whether the module nsgate is loaded."
	echo "nsgate_up $up"
	((up)) || return 0
	names_found=
	read_names
	find_targets
	for inode in "${targets[@]}"; do
		read_target "$inode" || continue
		collect_target "$inode"
	done
	print_metric nsgate_packets_total counter "Packets that passed a hook of the namespace."
	print_metric nsgate_bytes_total counter "Bytes of the packets that passed a hook."
	print_metric nsgate_dropped_packets_total counter "Packets that the gate dropped at a hook."
	print_metric nsgate_dropped_bytes_total counter "Bytes of the packets that the gate dropped."
	print_metric nsgate_flow_evictions_total counter "Times that a flow lost its entry in the flow table, or was refused one."
	print_metric nsgate_flow_entries gauge "Entries of the flow table in use."
	print_metric nsgate_flow_capacity gauge "Entries of the flow table."
	print_metric nsgate_gate_excepted_packets_total counter "Packets that the exception of the gate matched."
	print_metric nsgate_gate_dropped_packets_total counter "Packets that the gate dropped, or would have dropped in a dry run."
	print_metric nsgate_gate_drop gauge "Whether the policy of the gate is to drop."
	print_metric nsgate_target_devices gauge "Network devices of the namespace."
	print_metric nsgate_target_bound_seconds gauge "Seconds since it was bound; until it died, if it is gone."
	print_metric nsgate_target_live gauge "Whether the namespace lives; its last figures stay when it is gone, until it is released."
	print_metric nsgate_target_info gauge "What the target is like, in labels."
}

command_metrics()
{
	parse "" "$@"
	count_arguments 0 0 ''
	check_host
	print_metrics
	write_names
}

# ---- exporter ----

http_answer()
{
	local body=$2

	printf 'HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n' "$1"
	printf 'Content-Length: %d\r\nConnection: close\r\n\r\n' ${#body}
	[[ $method == HEAD ]] || printf %s "$body"
}

exporter_http()
{
	local method='' path='' line i body

	count_arguments 1 1 ''
	((!${#option[@]})) || misused "http has no options"
	# No more than a scrape needs, for who sends it may be anybody.
	IFS=' ' read -r -t 10 -n 4096 method path line || return 0
	for ((i = 0; i < 100; i++)); do
		IFS= read -r -t 10 -n 8192 line || return 0
		[[ ${line%$'\r'} ]] || break
	done
	path=${path%%\?*}
	if [[ $method != @(GET|HEAD) ]]; then
		http_answer "405 Method Not Allowed" $'There is GET and HEAD.\n'
	elif [[ $path == / ]]; then
		http_answer "200 OK" $'The metrics of nsgate are at /metrics.\n'
	elif [[ $path != /metrics ]]; then
		http_answer "404 Not Found" $'The metrics are at /metrics.\n'
	elif body=$(print_metrics && write_names); then
		http_answer "200 OK" "$body"$'\n'
	else
		http_answer "500 Internal Server Error" $'The metrics could not be read.\n'
	fi
}

# A reader of the file finds the old figures in it, or the new.
exporter_textfile()
{
	local interval=${option[interval]-15}

	# The trap needs these when we are through, too.
	file=${arguments[1]-/var/lib/prometheus/node-exporter/nsgate.prom}
	count_arguments 1 2 ''
	[[ $interval == [1-9]*([0-9]) ]] || misused "--interval $interval: not a number of seconds"
	[[ $file == *.prom ]] || misused "$file: node_exporter reads files whose names end in .prom"
	[[ $file == */* ]] || file=./$file
	[[ -d ${file%/*} ]] ||
		die $failed "there is no directory ${file%/*}; install prometheus-node-exporter, or say where its textfiles are"
	new=${file%/*}/.${file##*/}.$$
	umask 022
	trap 'rm -f "$new"' EXIT
	[[ ${option[once]-} ]] || trap 'rm -f "$new" "$file"' EXIT
	while :; do
		print_metrics >"$new" || die $failed "could not write $new"
		mv -f "$new" "$file"
		write_names
		[[ ! ${option[once]-} ]] || return 0
		# To be waited for, it doesn't hold up the signal that ends us.
		sleep "$interval" &
		wait $!
	done
}

command_exporter()
{
	parse "interval: once" "$@"
	count_arguments 1 2 "textfile or http"
	((EUID == 0)) || die $no_host "only root may do this; try 'sudo nsgate exporter'"
	case ${arguments[0]} in
	textfile | http) "exporter_${arguments[0]}" ;;
	*) misused "'${arguments[0]}' is neither textfile nor http" ;;
	esac
}

# ---- top ----

# rate KIND KEY PACKETS BYTES DROPPED TOTAL [AGE]: adds a line to $rates[KIND]:
# packets, bytes and packets dropped a second since the last look, TOTAL, KEY.
# What is new since then has counted from 0; what is older, but was not seen
# then, has a rate the next time.
rate()
{
	local old

	now[$2]="$3 $4 $5"
	old=${last[$2]-}
	if [[ ! $old && ${7:-0} -gt $((microseconds / 1000)) ]]; then
		old="$3 $4 $5"
	fi
	read -ra old <<<"${old:-0 0 0}"
	(($3 >= old[0])) || old=(0 0 0)
	rates[$1]+="$((($3 - old[0]) * 1000000 / microseconds)) "
	rates[$1]+="$((($4 - old[1]) * 1000000 / microseconds)) "
	rates[$1]+="$((($5 - old[2]) * 1000000 / microseconds)) $6 $2"$'\n'
}

look_at_target()
{
	local line hook family proto packets bytes dropped age source destination
	local -a flows

	read_target "$ns_inode" || die $no_target "$ns_shown was released"
	for line in "${stats[@]}"; do
		read -r hook family proto packets bytes dropped _ <<<"$line"
		[[ $proto == all ]] ||
			rate hooks "$hook $family $proto" "$packets" "$bytes" "$dropped" "$bytes"
	done
	mapfile -t -n 1001 flows 2>/dev/null <"$host/$ns_inode/flows" ||
		die $no_target "$ns_shown was released"
	for line in "${flows[@]:1}"; do
		read -r family proto source destination packets bytes age _ <<<"$line"
		rate flows "$family $proto $source $destination" "$packets" "$bytes" 0 "$bytes" "$age"
	done
}

look_at_all()
{
	local inode

	read_names
	find_targets
	for inode in "${targets[@]}"; do
		read_target "$inode" || continue
		name_target "$inode"
		if [[ $form == json ]]; then
			json_string "$called"
			shown=$json
		else
			show_called
		fi
		rate targets "$inode ${state[cookie]} ${state[status]} $shown" \
			$((in_packets + out_packets)) $((in_bytes + out_bytes)) \
			"$dropped_packets" $((in_bytes + out_bytes))
	done
}

# Puts the time since the last look in $microseconds, and looks.
look()
{
	local then=$looked key

	looked=${EPOCHREALTIME/./}
	microseconds=$((looked - then))
	((microseconds > 0)) || microseconds=1
	last=()
	for key in "${!now[@]}"; do
		last[$key]=${now[$key]}
	done
	now=() rates=()
	"look_at_$what"
}

# sorted KIND: those of $rates where something goes on, in the order of $sort_by.
sorted()
{
	[[ ! ${rates[$1]-} ]] ||
		awk -v by="$sort_by" 'by == 4 || $1 + $2 + $3' <<<"${rates[$1]%$'\n'}" |
		sort -s -k "$sort_by,${sort_by}nr"
}

# top_table KIND COLUMN...: puts a table of the rates in $table. The last column
# of the key may have blanks.
top_table()
{
	local kind=$1 packets bytes dropped total key i align=rrrr
	local -a cells=(PACKETS/S BIT/S DROPPED/S TOTAL "${@:2}")

	for ((i = 1; i < $#; i++)); do
		align+=l
	done
	while read -r packets bytes dropped total key; do
		human "$packets" ''
		cells+=("$human")
		human $((bytes * 8)) bit
		cells+=("${human%bit}")
		human "$dropped" ''
		cells+=("$human")
		human "$total" B
		cells+=("$human")
		for ((i = 2; i < $#; i++)); do
			cells+=("${key%% *}")
			key=${key#* }
		done
		cells+=("$key")
	done < <(sorted "$kind")
	format_table $align "${cells[@]}"
}

top_title()
{
	printf '%(%H:%M:%S)T  ' -1
	case $what in
	target)
		show_called
		printf '%s, inode %s, cookie %s, %s' "$shown" "$ns_inode" "${state[cookie]}" "${state[status]}"
		show_gate
		printf ', gate: %s\n' "$shown"
		;;
	all)
		printf '%s targets\n' ${#targets[@]}
		;;
	esac
}

# cut_table LINES: so many of $table at most.
cut_table()
{
	local -a lines

	mapfile -t lines <<<"${table%$'\n'}"
	printf '%s\n' "${lines[@]:0:$1}"
}

# Draws over what is there: a screen that is cleared first would flicker.
draw()
{
	local lines columns left frame last order=(x packets bytes x total)
	local -a rows

	read -r lines columns < <(stty size)
	((lines)) || lines=24
	((columns)) || columns=80
	left=$((lines > 8 ? lines - 4 : 4))
	frame=$(
		top_title
		if [[ $what == target ]]; then
			top_table hooks HOOK FAMILY PROTO
			cut_table $((left / 2))
			echo
			top_table flows FAMILY PROTO SOURCE DESTINATION
			cut_table $((left - left / 2 - 1))
		else
			top_table targets INODE COOKIE STATUS NAME
			cut_table $left
		fi
		printf '\nsorted by %s   keys: b bytes, p packets, t total bytes, q quit' "${order[sort_by]}"
	)
	mapfile -t rows <<<"${frame%$'\n'*}"
	last=${frame##*$'\n'}
	local LC_ALL=C.UTF-8 row
	printf '\e[H'
	for row in "${rows[@]:0:lines-1}"; do
		printf '%s\e[K\n' "${row:0:columns}"
	done
	printf '%s\e[K\e[J' "${last:0:columns}"
}

# await_key: for $delay at most. Fails if it was the one to end.
await_key()
{
	local key='' end=$((${EPOCHREALTIME/./} + $1)) rest

	while rest=$((end - ${EPOCHREALTIME/./})); ((rest > 0)); do
		printf -v rest '%d.%06d' $((rest / 1000000)) $((rest % 1000000))
		IFS= read -rsn 1 -t "$rest" key || [[ ! $key ]] || continue
		case $key in
		b) sort_by=2 ;;
		p) sort_by=1 ;;
		t) sort_by=4 ;;
		q | Q) return 1 ;;
		*) continue ;;
		esac
		draw
		key=
	done
}

# A key that is pressed between two looks is not to be seen, and waits for us. Who
# is stopped (^Z) could not give the screen back.
top_terminal()
{
	local i modes terminal

	modes=$(stty -g)
	# ^C may come while standard input is something else.
	exec {terminal}<&0
	# shellcheck disable=SC2064 # what it is now
	trap "printf '\e[?7h\e[?25h\e[?1049l'; stty $modes <&$terminal" EXIT
	stty -echo -icanon susp undef
	printf '\e[?1049h\e[?25l\e[?7l\e[H\e[2J'
	for ((i = 0; !count || i < count; i++)); do
		await_key $((i ? delay : 500000)) || return 0
		look
		draw
	done
}

top_lines()
{
	local i rest

	for ((i = 0; !count || i < count; i++)); do
		printf -v rest '%d.%06d' $((delay / 1000000)) $((delay % 1000000))
		sleep "$rest"
		look
		"top_line_$form"
	done
}

top_line_table()
{
	local kind packets bytes dropped total key time

	printf -v time '%(%H:%M:%S)T' -1
	show_called
	for kind in hooks flows targets; do
		while read -r packets bytes dropped total key; do
			human $((bytes * 8)) bit/s
			printf '%s %s%s %s packets/s %s %s dropped/s\n' "$time" \
				"${ns_inode:+$shown ${kind%s} }" "$key" "$packets" "$human" "$dropped"
		done < <(sorted $kind)
	done
}

# rates_json KIND NAME...: of what the key consists of. What name there is in it
# is JSON.
rates_json()
{
	local packets bytes dropped total key name kind=$1
	shift

	json_list=
	while read -r packets bytes dropped total key; do
		json_list+="${json_list:+, }{"
		for name; do
			case $name in
			inode | cookie) json=${key%% *} ;;
			name) json=$key ;;
			*) json_string "${key%% *}" ;;
			esac
			key=${key#* }
			json_list+="\"$name\": $json, "
		done
		json_list+="\"packets_per_second\": $packets, \"bytes_per_second\": $bytes, "
		json_list+="\"dropped_packets_per_second\": $dropped, \"bytes\": $total}"
	done < <(sorted "$kind")
}

top_line_json()
{
	local out

	printf -v out '{"time": %d, "seconds": %d.%06d' -1 \
		$((microseconds / 1000000)) $((microseconds % 1000000))
	out=${out/-1/$EPOCHSECONDS}
	if [[ $what == target ]]; then
		out+=", \"inode\": $ns_inode, \"cookie\": ${state[cookie]}"
		json_member name "$called"
		json_member status "${state[status]}"
		rates_json hooks hook family proto
		out+=", \"hooks\": [$json_list]"
		rates_json flows family proto source destination
		out+=", \"flows\": [$json_list]}"
	else
		rates_json targets inode cookie status name
		out+=", \"targets\": [$json_list]}"
	fi
	echo "$out"
}

# Puts a number of seconds, which may have decimals, in $delay: microseconds.
parse_delay()
{
	local fraction=

	[[ $1 == +([0-9])?(.+([0-9])) && ${#1} -lt 10 ]] || misused "--delay $1: not a number of seconds"
	[[ $1 != *.* ]] || fraction=${1#*.}
	fraction=${fraction}000000
	delay=$((10#${1%%.*} * 1000000 + 10#${fraction:0:6}))
	((delay)) || misused "--delay $1: that is too short"
}

command_top()
{
	local what=all delay count=1 looked=0 microseconds=1 sort_by=2
	local -A now last rates

	parse "json delay: count:" "$@"
	count_arguments 0 1 ''
	parse_delay "${option[delay]-2}"
	[[ $form == table && -t 0 && -t 1 ]] && form=terminal count=0
	count=${option[count]-$count}
	[[ $count == +([0-9]) ]] || misused "--count $count: not a number"
	check_host
	read_names
	if ((${#arguments[@]})); then
		what=target
		find_target "${arguments[0]}"
		unpin
		name_target "$ns_inode"
	fi
	look
	if [[ $form == terminal ]]; then
		top_terminal
	else
		top_lines
	fi
}

# ---- follow ----

# Whether the namespace of that name is still the one that we bound. Its file
# is as old as it is: that takes no process to find out, unlike its inode.
still_bound()
{
	[[ $follows && -e $path && ! $path -nt $stamp && ! $path -ot $stamp && -e $host/$follows/state ]]
}

# Keeps the gate of what we follow in $gate, as it is written. That of what is
# gone stays as it is.
keep_gate()
{
	[[ $follows ]] || return 0
	if read_state "$follows" && [[ ${state[cookie]} == "$cookie" ]]; then
		gate=${state[policy]}
		[[ ${state[except]} == none ]] || gate+=" except ${state[except]}"
		[[ ! ${state[label]-} ]] || gate+=" # ${state[label]}"
		[[ ${state[status]} == gone ]] || return 0
	fi
	follows=
}

# A name begins as an empty file: that it is a namespace comes later. What can
# wait comes after the bind and the gate.
bind_followed()
{
	keep_gate
	[[ -e $host/namespaces && -e $path ]] || return 0
	find_live "netns:$name"
	if [[ ! $ns_inode ]]; then
		unpin
		return
	fi
	is_bound "$ns_inode" || bind "$ns_inode" "$ns_cookie" "$ns_name"
	[[ ! $gate ]] || write_gate "$ns_inode"
	touch -r "/proc/$$/fd/${pins[0]}" "$stamp"
	unpin
	write_names
	follows=$ns_inode cookie=$ns_cookie
	tell "inode $ns_inode is bound, cookie $ns_cookie${gate:+, gate ${gate%% except *}}"
}

# tell TEXT: to systemd, or who looks on; the service is ready when it has been
# told something. A systemd that is busy may take its time: only the next that we
# have to tell waits for it.
tell()
{
	[[ $1 != "$told" ]] || return 0
	told=$1
	if [[ ${NOTIFY_SOCKET-} ]]; then
		[[ ! $notifier ]] || wait "$notifier" || true
		systemd-notify --ready --status="$1" &
		notifier=$!
	fi
	echo "$1"
}

# Releases what had the name, too: it is gone, or somebody still is in it.
unfollow()
{
	local inode

	read_names
	find_targets
	for inode in "${targets[@]}"; do
		read_state "$inode" || continue
		[[ ${names[${state[cookie]}]-} != "netns:$name" && ${state[cookie]} != "$cookie" ]] ||
			release "$inode"
	done
}

# Mounts tell when a namespace gets its name, and when it loses it. Those that
# come in quick succession pass for one, or none: that is what the time is for.
follow()
{
	local status patience=0

	while [[ ! $ended ]]; do
		still_bound || bind_followed
		# That a name is gone is told later: mostly the next one is on its way.
		if still_bound; then
			patience=5
		elif ((--patience < 0)); then
			tell "waiting for namespace $name"
		fi
		status=0
		read -r -t 0.2 -u "$events" || status=$?
		[[ $status -eq 0 || $status -gt 128 || $ended ]] ||
			die $failed "findmnt, which tells about mounts, ended"
	done
}

command_follow()
{
	local gate='' name path stamp=$run/follow.$$ follows='' cookie='' told=''
	local notifier='' events ended=

	parse "except: dry-run" "$@"
	count_arguments 1 2 NAME
	name=${arguments[0]#netns:}
	path=$netns/$name
	[[ $name != @(|.|..|*/*) ]] || misused "'$name' can't be the name of a namespace"
	if ((${#arguments[@]} == 2)); then
		make_gate "${arguments[1]}"
	elif [[ ${option[except]+given}${option[dry-run]-} ]]; then
		misused "accept or drop is missing"
	fi
	check_host
	mkdir -p $run
	# It is to end after us: ^C is for it, too.
	exec {events}< <(trap '' INT HUP; exec findmnt --poll -n -o TARGET 2>/dev/null)
	# shellcheck disable=SC2064 # what it is now
	trap "rm -f $stamp; kill $! 2>/dev/null || true" EXIT
	trap ended=yes TERM INT HUP
	follow
	trap '' TERM INT HUP
	unfollow
}

# ---- main ----

command='' form=table arguments=() pins=() names_found=''
declare -A option=() state=() cookie_of=() devices_of=() bound_of=() names=() new_names=()
inodes=() targets=() stats=() gone=() pid_inodes=() name_kinds=() name_inodes=() name_texts=()
backslash=\\	# quoted in a replacement, it means the same to every bash

case ${1-} in
list | bind | release | status | top | gate | metrics | exporter | follow)
	command=$1
	shift
	"command_$command" "$@"
	;;
-h | --help)
	usage
	;;
help)
	[[ ! ${2-} || $(type -t "usage_$2") ]] || misused "there is no command '$2'"
	"usage${2:+_$2}"
	;;
'')
	usage >&2
	exit $bad_usage
	;;
*)
	misused "there is no command '$1'"
	;;
esac
