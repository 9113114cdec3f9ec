# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# How the story of demo-guest is told and checked. Sourced by demo-guest.
#
# shellcheck disable=SC2154 # stats, of demo-guest

step=0 output='' status=0
bold='' dim='' plain=''
[[ ! ${COLOUR-} ]] || { bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[m'; }

# ---- how it is told ----

tell()
{
	step=$((step + 1))
	printf '\n%s[%d] %s%s\n\n' "$bold" "$step" "$*" "$plain"
}

prompt()
{
	printf '%s# %s%s\n' "$bold" "$1" "$plain"
}

# show TEXT [LINES]: all of it, or so many lines.
show()
{
	local -a lines
	local most=${2:-100}

	[[ $1 ]] || return 0
	mapfile -t lines <<<"$1"
	((${#lines[@]} > most + 1)) || most=${#lines[@]}
	printf '%s\n' "${lines[@]:0:most}"
	((${#lines[@]} == most)) || echo "[... and $((${#lines[@]} - most)) more lines]"
}

# In this shell, so that commands can set variables.
capture()
{
	status=0
	eval "$1" >/run/demo 2>&1 </dev/null || status=$?
	output=$(</run/demo)
}

# try COMMAND [LINES]
try()
{
	prompt "$1"
	capture "$1"
	show "$output" "${2-}"
}

run()
{
	try "$@"
	((!status)) || fail "that should have succeeded; its status is $status"
}

must_fail()
{
	try "$@"
	((status)) || fail "that should have failed"
}

# run_still LINES COMMAND...: of one moment, for even a namespace that is left
# alone sends something in the name of IPv6 now and then. Their output is in
# the array $still.
run_still()
{
	local command before most=$1 tries=0 i=0
	shift

	before=
	until [[ $before && $before == "$(<"$stats")" ]]; do
		((tries++ < 50)) || fail "the figures of $stats never rest"
		before=$(<"$stats")
		still=()
		for command; do
			capture "$command"
			((!status)) || fail "$command: $output"
			still+=("$output")
		done
	done
	for command; do
		prompt "$command"
		show "${still[i++]}" "$most"
	done
}

# ---- how it is checked ----

fail()
{
	printf '\n%sNOT AS TOLD: %s%s\n' "$bold" "$*" "$plain"
	exit 1
}

checked()
{
	printf '%s  => %s%s\n' "$dim" "$*" "$plain"
}

# await WHAT COMMAND...
await()
{
	local what=$1 end=$((SECONDS + 60))
	shift

	until "$@"; do
		((SECONDS < end)) || fail "waited a minute for this: $what"
		sleep 0.05
	done
}

# same WHAT EXPECTED FOUND
same()
{
	[[ $2 == "$3" ]] || fail "$1: expected '$2', found '$3'"
}

says()
{
	[[ $output == *"$1"* ]] || fail "that should say '$1'"
}

# figure TEXT HOOK FAMILY PROTO packets|bytes
figure()
{
	local hook family proto packets bytes

	# shellcheck disable=SC2034 # one of them is what $5 names
	while read -r hook family proto packets bytes _; do
		if [[ "$hook $family $proto" == "$2 $3 $4" ]]; then
			echo "${!5}"
			return
		fi
	done <<<"$1"
	echo 0
}

# at_least WHAT LEAST FOUND
at_least()
{
	(($3 >= $2)) || fail "$1: expected $2 or more, found $3"
}

# ping_from NAMESPACE ADDRESS yes|no: whether it gets through.
ping_from()
{
	local received=3 wait=

	[[ $3 == yes ]] || received=0 wait=" -W 1"
	try "ip netns exec $1 ping -q -c 3 -i 0.2$wait $2 | grep loss"
	says "3 packets transmitted, $received received"
}
