# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Containers without a runtime, for the tests of the hook and of the plugin: a process
# in a namespace, and what a runtime would say of it. Sourced after command_lib.sh.
# shellcheck disable=SC2154,SC2034 # of lib.sh and command_lib.sh, and for the tests

STATES=/run/nsgate
plugin='' said=''

# The plugin beside the command, or where it is installed.
find_plugin()
{
	plugin=$(dirname "$command")/nsgate-cni
	[[ -x $plugin ]] || plugin=/usr/lib/cni/nsgate-cni
	[[ -x $plugin ]] || skip "there is no plugin nsgate-cni"
}

# start_container VARIABLE NS: a process in the namespace, its PID in VARIABLE.
start_container()
{
	start_in "$2"
	printf -v "$1" %s "$pid"
}

end_container()
{
	kill "$1"
	wait "$1" || true
}

# annotations KEY=VALUE...: as members of an object.
annotations()
{
	local pair comma=''

	for pair; do
		printf '%s"%s": "%s"' "$comma" "${pair%%=*}" "${pair#*=}"
		comma=', '
	done
}

# hook STATUS CONTAINER PID STATE [ANNOTATION=VALUE...]: what nsgate oci-hook says of
# it is in $output. STATUS is what it must exit with, or "bad" for anything but 0. As
# for a runtime, what it has left to others to do isn't waited for.
hook()
{
	local expected=$1 id=$2 process=$3 state=$4
	shift 4

	status=0
	printf '{"ociVersion": "1.0.2", "id": "%s", "status": "%s", "pid": %s, "bundle": "%s", "annotations": {%s}}' \
		"$id" "$state" "$process" "${bundle-/nowhere}" "$(annotations "$@")" |
		"$command" oci-hook >"$tmp/answer" 2>&1 || status=$?
	output=$(<"$tmp/answer")
	[[ $expected == "$status" || ($expected == bad && $status != 0) ]] ||
		check_err 1 "oci-hook $id $state $*: expected $expected, found $status: $output"
}

# The last result of a chain, with what another plugin may have in it.
RESULT='{"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/x"}], "ips": [{"address": "10.9.1.1/24", "interface": 0}], "dns": {}, "x-own": [1, 2.5, null, "ü"]}'

# config [KEY: VALUE...]: that of a network, with these members of its own.
config()
{
	local member members=''

	for member; do
		members+=", $member"
	done
	printf '{"cniVersion": "1.0.0", "name": "net", "type": "nsgate-cni", "prevResult": %s%s}' \
		"$RESULT" "$members"
}

# plugin STATUS COMMAND CONTAINER NS CONFIG [VARIABLE=VALUE...]: its answer is in
# $output, what it says besides in $said. NS may be "" for none.
plugin()
{
	local expected=$1 what=$2 id=$3 ns=$4 text=$5
	shift 5

	status=0
	printf %s "$text" | env CNI_COMMAND="$what" CNI_CONTAINERID="$id" CNI_IFNAME=eth0 \
		CNI_PATH=/nowhere ${ns:+CNI_NETNS="$ns"} env "$@" "$plugin" >"$tmp/answer" 2>"$tmp/said" || status=$?
	output=$(<"$tmp/answer")
	said=$(<"$tmp/said")
	check_equal "status of $what $id $* with $text: $output" "$expected" "$status"
}

# refused CODE TEXT: the answer is the error of that code, and has TEXT in it.
refused()
{
	python3 -c '
import json, sys
error = json.load(sys.stdin)
code, text = int(sys.argv[1]), sys.argv[2]
good = set(error) == {"cniVersion", "code", "msg", "details"} and error["code"] == code
sys.exit(not good or text not in error["msg"] + error["details"] or error["cniVersion"] not in ("0.4.0", "1.0.0"))
' "$1" "$2" <<<"$output" || check_err 1 "expected error $1 with '$2', found: $output"
}

# same_json A B
same_json()
{
	python3 -c 'import json, sys; sys.exit(json.loads(sys.argv[1]) != json.loads(sys.argv[2]))' "$1" "$2"
}

# limit_of INODE KEY
limit_of()
{
	state_of "$HOST_VIEW/$1/limit" "$2"
}

# Nothing is bound, and no file is left of what was.
nothing_is_bound()
{
	! ls -d "$HOST_VIEW"/[0-9]* >/dev/null 2>&1 || check_err 1 "bound: $(ls "$HOST_VIEW")"
	! ls "$STATES"/{oci,cni}/* >/dev/null 2>&1 || check_err 1 "files: $(ls "$STATES"/{oci,cni})"
}
