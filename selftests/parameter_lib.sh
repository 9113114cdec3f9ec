# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of parameters share: three namespaces, what can be seen of
# targets, and how a write is tried.
#
# shellcheck disable=SC2034,SC2154 # what it shares

# shellcheck source=lib.sh
source "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

# Namespaces, the inodes of three of them, a number that is of none any more, and
# the inodes by a process that each of the three holds.
ns1='' ns2='' ns3='' ns4=''
inode1='' inode2='' inode3='' dead=''
holders=()

# ---- what there is ----

# own_view PID: succeeds if the namespace of a process has an own view.
own_view()
{
	[[ -e /proc/$1/net/nsgate/stats ]]
}

# list INODE...: sorted, since their order never means anything.
list()
{
	local inode
	local -a seen=()

	for inode; do
		seen[inode]+=$inode
	done
	echo "${seen[*]}"
}

# The targets, by the parameter.
bound()
{
	local text inodes

	text=$(<$INODE_PARAM)
	if [[ $text && ! $text =~ ^[0-9]+(,[0-9]+)*$ ]]; then
		echo "malformed: $text"
		return
	fi
	IFS=, read -ra inodes <<<"$text"
	list "${inodes[@]}"
}

# All that a write can change.
snapshot()
{
	local row file pid

	echo "$(<$INODE_PARAM)"
	while read -r row; do
		[[ $row != *'***' ]] || echo "$row"
	done <$HOST_VIEW/namespaces
	for file in "$HOST_VIEW"/*/stats; do
		[[ ! -e $file ]] || echo "$file"$'\n'"$(<"$file")"
	done
	for pid in "${!holders[@]}"; do
		! own_view "$pid" || echo "own view in the namespace of $pid"
	done
}

# check_bound INODE...: these and only these are targets, wherever one looks.
check_bound()
{
	local inode mark dir pid
	local -a rows=() dirs=() views=()

	while read -r inode _ _ mark; do
		[[ $mark != '***' ]] || rows+=("$inode")
	done <$HOST_VIEW/namespaces
	for dir in "$HOST_VIEW"/[0-9]*; do
		[[ ! -e $dir ]] || dirs+=("${dir##*/}")
	done
	# What can be seen from here of the initial namespace is the host view.
	[[ ! -e $HOST_VIEW/stats ]] || views+=("$initial")
	for pid in "${!holders[@]}"; do
		! own_view "$pid" || views+=("${holders[pid]}")
	done
	check_equal "parameter" "$(list "$@")" "$(bound)"
	check_equal "rows of namespaces" "$(list "$@")" "$(list "${rows[@]}")"
	check_equal "directories" "$(list "$@")" "$(list "${dirs[@]}")"
	check_equal "own views" "$(list "$@")" "$(list "${views[@]}")"
}

# ---- trying ----

# What bash, dd and insmod call the errors.
declare -A errors=(
	["Argument list too long"]=E2BIG
	["Invalid argument"]=EINVAL
	["Invalid parameters"]=EINVAL
	["No such device or address"]=ENXIO
	["Operation not permitted"]=EPERM
	["Permission denied"]=EACCES
)

# error_of COMMAND...: runs it, and prints "ok" or the error that it tells.
error_of()
{
	local said

	if said=$("$@" 2>&1); then
		echo ok
	else
		echo "${errors[${said##*: }]-"$said"}"
	fi
}

# attempt TEXT [COMMAND...]: writes TEXT, as printf %b has it, from a process that
# COMMAND starts, if there is one. Without, it is a write for each line, and for
# each 4096 bytes; with, there is but one.
attempt()
{
	local text=$1
	shift

	if (($#)); then
		error_of write_by "$text" "$@"
	else
		error_of write_text "$text"
	fi
}

write_text()
{
	printf %b "$1" >$INODE_PARAM
}

write_by()
{
	local text=$1
	local -a to=(of="$INODE_PARAM")
	shift

	[[ $1 != through ]] || to=()
	printf %b "$text" | "$@" dd bs=64K iflag=fullblock conv=notrunc status=none "${to[@]}"
}

# The command gets the file open, as its standard output.
through()
{
	"$@" >$INODE_PARAM
}

# check_refused ERROR TEXT CULPRIT [COMMAND...]
check_refused()
{
	local error=$1 text=$2 culprit=$3 mark before found log
	shift 3

	before=$(snapshot)
	mark=$(log_mark)
	found=$(attempt "$text" "$@")
	log=$(log_since "$mark")
	check_equal "error of '${text:0:60}'" "$error" "$found"
	check_equal "after '${text:0:60}'" "$before" "$(snapshot)"
	[[ $log == *"nsgate: "*"$culprit"* ]] ||
		check_err 1 "log of '${text:0:60}': no '$culprit' in '$log'"
	[[ $log != *" bound to "* && $log != *" released "* ]] ||
		check_err 1 "log of '${text:0:60}': $log"
}

# check_taken TEXT: without an error, and without a change.
check_taken()
{
	local before mark

	before=$(snapshot)
	mark=$(log_mark)
	check_equal "error of '${1:0:60}'" ok "$(attempt "$1")"
	check_equal "after '${1:0:60}'" "$before" "$(snapshot)"
	[[ $(log_since "$mark") != *nsgate:* ]] || check_err 1 "'${1:0:60}' left a line in the log"
}

# check_not_loaded ERROR TEXT CULPRIT [COMMAND...]
check_not_loaded()
{
	local error=$1 text=$2 culprit=$3 mark log pid
	shift 3

	mark=$(log_mark)
	check_equal "error of inode='${text:0:60}'" "$error" \
		"$(error_of "$@" "${loader[@]}" inode="\"$text\"")"
	! nsgate_loaded || check_err 1 "loaded with inode='${text:0:60}'"
	[[ ! -e $HOST_VIEW ]] || check_err 1 "host view after inode='${text:0:60}'"
	for pid in "${!holders[@]}"; do
		! own_view "$pid" || check_err 1 "own view after inode='${text:0:60}'"
	done
	log=$(log_since "$mark")
	[[ $log == *"nsgate: "*"$culprit"* ]] ||
		check_err 1 "log of inode='${text:0:60}': no '$culprit' in '$log'"
}

# repeat TEXT N
repeat()
{
	local text

	printf -v text '%*s' "$2" ''
	echo "${text// /"$1"}"
}
