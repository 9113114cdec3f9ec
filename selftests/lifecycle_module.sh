#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/design.md, The life of a target
#
# The module can be unloaded at any time, while packets pass, files are open and
# namespaces die, and leaves nothing.

# shellcheck source=lifecycle_lib.sh
source "$(dirname "$(realpath "$0")")/lifecycle_lib.sh"

ALL_TESTS="
	unloaded_in_use
	unloaded_while_dying
	loaded_100_times
"

unloaded_in_use()
{
	local sleeper file fd to
	local -a files fds=()

	start_idle
	setup_path
	write_inode "$inode,$initial"
	start_traffic
	check_traffic
	sleeper nsenter --net="/run/netns/$target"
	files=("$INODE_PARAM" "$HOST_VIEW/namespaces" "$HOST_VIEW/stats"
		"$HOST_VIEW/$inode"/* "/proc/$sleeper/net/nsgate"/*)
	((${#files[@]} >= 7)) || check_err 1 "only ${files[*]}"
	for file in "${files[@]}"; do
		exec {fd}<"$file"
		fds+=("$fd")
		exec {fd}<"$file"
		read -r _ <&"$fd"
		fds+=("$fd")
	done
	exec {to}>$INODE_PARAM
	unload_nsgate
	# Before Linux 5.0, names above a file that is open are found until it is closed.
	[[ $(printf '%s\n' 5.0 "$(uname -r)" | sort -V | head -n 1) != 5.0 ]] ||
		check_no_view "$sleeper"
	for fd in "${fds[@]}"; do
		check_dead_file "$fd"
		exec {fd}<&-
	done
	! (echo >&"$to") 2>/dev/null || check_err 1 "the parameter can be written"
	exec {to}>&-
	check_no_view "$sleeper"
	end_process "$sleeper"
	stop_traffic
	log_test "is unloaded while traffic passes and its files are open"
}

check_no_view()
{
	[[ ! -e $HOST_VIEW && ! -e /proc/$1/net/nsgate ]] || check_err 1 "a view is left"
}

unloaded_while_dying()
{
	local i sleeper

	! nsgate_loaded || unload_nsgate
	for ((i = 0; i < 10; i++)); do
		sleeper unshare -n
		load_nsgate inode="$(stat -Lc %i "/proc/$sleeper/ns/net")"
		if ((i % 2)); then
			kill "$sleeper"
			unload_nsgate
		else
			unload_nsgate &
			kill "$sleeper"
			wait $!
		fi
		wait "$sleeper" || true
	done
	log_test "is unloaded while a target dies"
}

loaded_100_times()
{
	local i

	! nsgate_loaded || unload_nsgate
	setup_path
	start_traffic
	for ((i = 0; i < 100; i++)); do
		load_nsgate inode="$inode,$initial"
		unload_nsgate
	done
	load_nsgate inode="$inode"
	check_traffic
	stop_traffic
	log_test "is loaded and unloaded 100 times while traffic passes"
}

checktool "ping -V" "run ping"
checktool "unshare -n true" "make a namespace"

tests_run
