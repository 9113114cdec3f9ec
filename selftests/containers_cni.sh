#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/containers.md, CNI
#
# The plugin nsgate-cni, called as a runtime calls it: what it binds and sets, what it
# answers, and that what it is asked again, or when all is gone, does no harm.
#
#   box                  out
#   +--------+          +--------+
#   |     v0 |----------| v0     |
#   |     .1 |10.9.1/24 | .2     |
#   +--------+          +--------+

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=command_lib.sh
source "$(dirname "$(realpath "$0")")/command_lib.sh"
# shellcheck source=containers_lib.sh
source "$(dirname "$(realpath "$0")")/containers_lib.sh"

ALL_TESTS="versions bad_environments bad_configs adds adds_bandwidth adds_again checks
	dels two_interfaces with_the_hook names in_parallel rootless not_loaded"

box='' out='' netns='' said=''

setup()
{
	find_command
	find_plugin
	checktool "python3 --version" "find python3"
	setup_tmp
	setup_ns box out
	box_inode=$(ns_inode "$box")
	netns=/run/netns/$box
	connect_quietly "$box" v0 "$out" v0 1
	load_nsgate
}

# ---- what it refuses ----

versions()
{
	local version

	for version in 0.4.0 1.0.0; do
		plugin 0 VERSION '' '' "{\"cniVersion\": \"$version\"}"
		same_json "$output" "{\"cniVersion\": \"$version\", \"supportedVersions\": [\"0.4.0\", \"1.0.0\"]}" ||
			check_err 1 "VERSION: $output"
	done
	for version in '' x '{"cniVersion": "9.9.9"}' '{"cniVersion": 1}'; do
		plugin 0 VERSION '' '' "$version"
		same_json "$output" '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}' ||
			check_err 1 "VERSION of '$version': $output"
	done
	for version in 0.1.0 0.3.1 0.4.1 1.1.0 2.0.0 x; do
		plugin 1 ADD c1 "$netns" "{\"cniVersion\": \"$version\", \"name\": \"net\", \"prevResult\": $RESULT}"
		refused 1 "$version"
	done
	plugin 1 ADD c1 "$netns" "{\"name\": \"net\", \"prevResult\": $RESULT}"
	refused 1 0.1.0
	for version in GC STATUS; do
		plugin 1 $version '' '' "$(config)"
		refused 4 "1.1.0"
	done
	nothing_is_bound
	log_test "plugin: versions 0.4.0 and 1.0.0, and no others"
}

bad_environments()
{
	local name

	for name in CNI_COMMAND CNI_CONTAINERID CNI_NETNS CNI_IFNAME CNI_PATH; do
		plugin 1 ADD c1 "$netns" "$(config)" -u $name
		refused 4 $name
		plugin 1 ADD c1 "$netns" "$(config)" $name=
		refused 4 $name
	done
	plugin 1 CHECK c1 '' "$(config)"
	refused 4 CNI_NETNS
	plugin 1 UPDATE c1 "$netns" "$(config)"
	refused 4 CNI_COMMAND
	for name in ../x .x a/b 'a b' -x "$(printf %300s x)" ü; do
		plugin 1 ADD "$name" "$netns" "$(config)"
		refused 4 CNI_CONTAINERID
	done
	for name in . .. a/b a:b 'a b' sixteen-letters-; do
		plugin 1 ADD c1 "$netns" "$(config)" CNI_IFNAME="$name"
		refused 4 CNI_IFNAME
	done
	for name in /nowhere /etc/passwd /proc/self/ns/pid /proc/self/ns/net relative; do
		plugin 1 ADD c1 "$name" "$(config)"
		refused 4 CNI_NETNS
	done
	nothing_is_bound
	log_test "plugin: bad variables are code 4, and named"
}

# bad_config CODE TEXT MEMBER...
bad_config()
{
	plugin 1 ADD c1 "$netns" "$(config "${@:3}")"
	refused "$1" "$2"
	nothing_is_bound
}

bad_configs()
{
	local text

	for text in '' x '{' '[]' 1 '"x"' "$(config)x" $'{"name": "\xff"}' '{"cniVersion": 1, "name": "net"}'; do
		plugin 1 ADD c1 "$netns" "$text"
		refused 6 ""
	done
	for text in '{"cniVersion": "1.0.0"}' '{"cniVersion": "1.0.0", "name": ""}' \
		'{"cniVersion": "1.0.0", "name": "a/b"}' '{"cniVersion": "1.0.0", "name": 1}'; do
		plugin 1 ADD c1 "$netns" "$text"
		refused 7 name
	done
	for text in '' ', "prevResult": null' ', "prevResult": []' ', "prevResult": "x"'; do
		plugin 1 ADD c1 "$netns" "{\"cniVersion\": \"0.4.0\", \"name\": \"net\"$text}"
		refused 7 prevResult
		[[ $output == *'"0.4.0"'* ]] || check_err 1 "not in the version of the configuration: $output"
	done
	bad_config 7 gate '"gate": "reject"'
	bad_config 7 gate '"gate": 1'
	bad_config 7 gate '"except": "icmp"'
	bad_config 7 except '"gate": "drop"' '"except": "host and port"'
	bad_config 7 except '"gate": "drop"' '"except": ["icmp"]'
	bad_config 7 log '"gate": "drop"' '"log": 65536'
	bad_config 7 log '"gate": "drop"' '"log": -1'
	bad_config 7 quotaIn '"quotaIn": "lots"'
	bad_config 7 quotaOut '"quotaOut": -1'
	bad_config 7 quotaOut '"quotaOut": 1.5'
	bad_config 7 required '"required": "no"'
	bad_config 7 dryRun '"dryRun": 1'
	bad_config 7 runtimeConfig '"runtimeConfig": []'
	bad_config 7 bandwidth '"runtimeConfig": {"bandwidth": 1}'
	bad_config 7 ingressRate '"runtimeConfig": {"bandwidth": {"ingressRate": "1M"}}'
	bad_config 7 egressRate '"runtimeConfig": {"bandwidth": {"egressRate": -1}}'
	bad_config 7 ingressRate '"ingressRate": 7'
	bad_config 7 egressRate '"egressRate": 8000000000001'
	bad_config 7 ingressBurst '"ingressBurst": 8000'
	bad_config 2 'quotain: 5' '"quotain": 5'
	bad_config 2 'ingress_rate: 5' '"runtimeConfig": {"bandwidth": {"ingress_rate": 5}}'
	log_test "plugin: bad configurations are codes 2, 6 and 7, nothing is bound"
}

# ---- what it does ----

adds()
{
	local gate=$HOST_VIEW/$box_inode/gate

	plugin 0 ADD c1 "$netns" "$(config '"gate": "drop"' '"except": "icmp"' '"log": null' '"quotaIn": "5G"' '"quotaOut": 7000' '"ipam": {}' '"mtu": 9000')"
	same_json "$output" "$RESULT" || check_err 1 "not the result before: $output"
	check_equal "what it says besides" "" "$said"
	check_equal "policy" "policy drop" "$(head -n 1 "$gate")"
	check_equal "label" icmp "$(state_of "$gate" label)"
	check_equal "quotas" "5000000000 7000 none" \
		"$(limit_of "$box_inode" in_quota) $(limit_of "$box_inode" out_quota) $(limit_of "$box_inode" in_rate)"
	plugin 0 DEL c1 "$netns" "$(config)"
	check_equal "answer to DEL" "" "$output"
	nothing_is_bound
	plugin 0 ADD c1 "$netns" "$(config)"
	is_bound "$box_inode" || check_err 1 "without a key of ours it is not bound"
	plugin 0 ADD c1 "$netns" '{"cniVersion": "0.4.0", "name": "net", "prevResult": {"dns": {}}}'
	same_json "$output" '{"cniVersion": "0.4.0", "dns": {}}' || check_err 1 "no version: $output"
	plugin 0 DEL c1 '' "$(config)"
	nothing_is_bound
	log_test "plugin: ADD sets gate and quotas, and hands the result on"
}

# bandwidth_is KEY=VALUE...
bandwidth_is()
{
	local pair

	for pair; do
		check_equal "${pair%%=*}" "${pair#*=}" "$(limit_of "$box_inode" "${pair%%=*}")"
	done
}

adds_bandwidth()
{
	local capability='"runtimeConfig": {"bandwidth": {"ingressRate": 8000000, "ingressBurst": 1600000, "egressRate": 4000000, "egressBurst": 2147483647}}'

	plugin 0 ADD c1 "$netns" "$(config "$capability")"
	bandwidth_is in_rate=1000000 in_burst=200000 out_rate=500000 out_burst=65536
	# What comes in is in: a pod's ingress.
	in_ns "$out" ping -q -c 2 -i 0.1 10.9.1.1 >/dev/null || check_err $? "ping"
	check_equal "in and out" "$(limit_of "$box_inode" in_used)" "$(limit_of "$box_inode" out_used)"
	plugin 0 ADD c1 "$netns" "$(config "$capability" '"ingressRate": 16000000' '"ingressBurst": 800000' '"egressRate": 0')"
	bandwidth_is in_rate=2000000 in_burst=100000 out_rate=none
	plugin 0 ADD c1 "$netns" "$(config '"dryRun": true' '"runtimeConfig": {"bandwidth": {"egressRate": 8000}}')"
	bandwidth_is mode=dry in_rate=none out_rate=1000
	plugin 0 DEL c1 "$netns" "$(config)"
	nothing_is_bound
	log_test "plugin: the capability bandwidth, in bits, and its keys"
}

adds_again()
{
	local used

	plugin 0 ADD c1 "$netns" "$(config '"quotaOut": "1M"')"
	in_ns "$box" ping -q -c 2 -i 0.1 10.9.1.2 >/dev/null || check_err $? "ping"
	used=$(limit_of "$box_inode" out_used)
	((used > 0)) || check_err 1 "nothing was used"
	plugin 0 ADD c1 "$netns" "$(config '"quotaOut": "1M"')"
	same_json "$output" "$RESULT" || check_err 1 "not the result before: $output"
	check_equal "used" "$used" "$(limit_of "$box_inode" out_used)"
	plugin 0 DEL c1 "$netns" "$(config)"
	nothing_is_bound
	log_test "plugin: a second ADD keeps what a quota has used"
}

# changed TEXT: CHECK finds it; what was changed is set right again.
changed()
{
	plugin 1 CHECK c1 "$netns" "$check"
	refused 103 "$1"
	plugin 0 ADD c1 "$netns" "$check"
	plugin 0 CHECK c1 "$netns" "$check"
	check_equal "answer to CHECK" "" "$output"
}

checks()
{
	local check limit=$HOST_VIEW/$box_inode/limit gate=$HOST_VIEW/$box_inode/gate

	check=$(config '"gate": "drop"' '"except": "icmp and host 10.9.1.2"' '"quotaOut": "1G"' \
		'"runtimeConfig": {"bandwidth": {"ingressRate": 8000000, "egressRate": 800000000, "egressBurst": 80000000}}')
	plugin 0 ADD c1 "$netns" "$check"
	plugin 0 CHECK c1 "$netns" "$check"
	check_equal "answer to CHECK" "" "$output"
	echo none >"$limit"
	changed "limit: it is none"
	echo "in rate 1000000" >"$limit"
	changed "the rate out is none"
	echo "in rate 1000001 out rate 100000000 burst 10000000 quota 1000000000" >"$limit"
	changed "the rate in is 1000001"
	echo "in rate 1000000 burst 70000 out rate 100000000 burst 10000000 quota 1000000000" >"$limit"
	changed "the burst in is 70000"
	echo "in rate 1000000 out rate 100000000 burst 10000000 quota 1000000001" >"$limit"
	changed "the quota out is 1000000001"
	echo "dry in rate 1000000 out rate 100000000 burst 10000000 quota 1000000000" >"$limit"
	changed "limit: it is dry"
	echo accept >"$gate"
	changed "gate: it is accept"
	try 0 gate "$box" drop --except icmp
	changed "gate: it is drop with an exception"
	try 0 release "$box"
	changed "not bound any more"
	plugin 0 ADD c1 "$netns" "$(config '"gate": "drop"' '"except": " \n icmp "')"
	plugin 0 CHECK c1 "$netns" "$(config '"gate": "drop"' '"except": " \n icmp "')"
	check_equal "answer to CHECK with blanks" "" "$output"
	plugin 1 CHECK c1 "$netns" "{\"cniVersion\": \"1.0.0\", \"name\": \"net\"}"
	refused 7 prevResult
	plugin 0 DEL c1 "$netns" "$check"
	nothing_is_bound
	log_test "plugin: CHECK finds what somebody has changed"
}

dels()
{
	local what web=$box-web

	plugin 0 DEL never "$netns" "$(config)"
	plugin 0 DEL never '' "$(config)"
	plugin 0 DEL never /nowhere '{"cniVersion": "0.4.0", "name": "net"}'
	plugin 0 DEL never "$netns" "$(config '"gate": "reject"')"
	ip netns add "$web"
	NS_INODES+=("$(ns_inode "$web")")
	plugin 0 ADD c2 "/run/netns/$web" "$(config '"ingressRate": 8000')"
	ip netns delete "$web"
	busywait "$BUSYWAIT_TIMEOUT" grep -qx "status gone" "$HOST_VIEW/${NS_INODES[-1]}/state" || check_err 1 "it lives"
	plugin 0 DEL c2 "/run/netns/$web" "$(config)"
	nothing_is_bound
	plugin 0 DEL c2 "/run/netns/$web" "$(config)"
	log_test "plugin: DEL succeeds when all is gone"

	for what in ADD DEL; do
		ip netns add "$web"
		NS_INODES+=("$(ns_inode "$web")")
		plugin 0 ADD c2 "/run/netns/$web" "$(config '"ingressRate": 8000')"
		ip netns delete "$web"
		busywait "$BUSYWAIT_TIMEOUT" grep -qsx "status gone" "$HOST_VIEW/${NS_INODES[-1]}/state" || check_err 1 "it lives"
		plugin 0 $what c3 "$netns" "$(config)"
		[[ ! -e $STATES/cni/c2@eth0 ]] || check_err 1 "$what: what has died is left"
	done
	plugin 0 DEL c3 "$netns" "$(config)"
	nothing_is_bound
	log_test "plugin: what died without a DEL is released by the next"
}

two_interfaces()
{
	plugin 0 ADD c1 "$netns" "$(config '"ingressRate": 8000000')"
	plugin 0 ADD c1 "$netns" "$(config '"ingressRate": 8000000')" CNI_IFNAME=net1
	plugin 1 ADD c1 "$netns" "$(config '"ingressRate": 9000000')" CNI_IFNAME=net2
	refused 7 "another limit"
	plugin 0 DEL c1 "$netns" "$(config)"
	is_bound "$box_inode" || check_err 1 "the namespace is released with its first interface"
	bandwidth_is in_rate=1000000
	plugin 0 DEL c1 "$netns" "$(config)" CNI_IFNAME=net1
	nothing_is_bound
	log_test "plugin: two interfaces of a namespace have one limit"
}

with_the_hook()
{
	local process

	start_container process "$box"
	plugin 0 ADD c1 "$netns" "$(config '"ingressRate": 8000000')"
	hook 0 c1 "$process" created nsgate.gate=drop
	bandwidth_is in_rate=1000000
	hook 0 c1 0 stopped
	is_bound "$box_inode" || check_err 1 "the hook released what the plugin needs"
	plugin 0 DEL c1 "$netns" "$(config)"
	nothing_is_bound
	end_container "$process"
	log_test "plugin: beside the hook"
}

# name_is NAME LABELS: in status, and what the metrics tell of it.
name_is()
{
	try 0 status --json
	check_equal "name" "$1" "$(figure 0 name)"
	try 0 metrics
	grep -qF "nsgate_target_live{inode=\"$box_inode\",cookie=\"$(state_of "$HOST_VIEW/$box_inode/state" cookie)\",netns=\"$1\"$2} 1" \
		<<<"$output" || check_err 1 "metrics: $(grep ^nsgate_target_live <<<"$output")"
}

names()
{
	plugin 0 ADD c1 "$netns" "$(config)" "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;X"
	name_is shop/web-0 ',namespace="shop",pod="web-0"'
	plugin 0 DEL c1 "$netns" "$(config)"
	plugin 0 ADD c1 "$netns" "$(config)" "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=web"
	name_is web ''
	try 0 status podman:web
	plugin 0 DEL c1 "$netns" "$(config)"
	plugin 0 ADD 0123456789abcdef "$netns" "$(config)"
	name_is 0123456789ab ''
	plugin 0 DEL 0123456789abcdef "$netns" "$(config)"
	nothing_is_bound
	log_test "plugin: names, and the labels of pods"
}

# attach N: a namespace that is made, added, checked and deleted.
attach()
{
	local ns=$box-$1

	ip netns add "$ns"
	for what in ADD CHECK DEL; do
		config '"gate": "drop"' '"ingressRate": 8000000' |
			CNI_COMMAND=$what CNI_CONTAINERID=many$1 CNI_NETNS=/run/netns/$ns CNI_IFNAME=eth0 CNI_PATH=/x "$plugin" ||
			echo "$what failed" >&2
		[[ $what != CHECK ]] || ip netns delete "$ns"
	done
}

in_parallel()
{
	local i

	for ((i = 0; i < 50; i++)); do
		attach $i >/dev/null 2>>"$tmp/errors" &
		((i % 10 < 9)) || wait
	done
	wait
	check_equal "errors" "" "$(<"$tmp/errors")"
	nothing_is_bound
	log_test "plugin: 50 containers, 10 at a time, leave nothing"
}

# ---- who may not ----

rootless()
{
	chmod 711 "$tmp"
	install -m 755 "$plugin" "$tmp/nsgate-cni"
	status=0
	output=$(config | unshare -Urn env CNI_COMMAND=ADD CNI_CONTAINERID=c CNI_NETNS="$netns" CNI_IFNAME=eth0 CNI_PATH=/x \
		"$tmp/nsgate-cni") || status=$?
	rm "$tmp/nsgate-cni"
	check_equal "status" 1 $status
	refused 101 "root must bind"
	nothing_is_bound
	log_test "plugin: a rootless runtime is told that root must bind"
}

not_loaded()
{
	unload_nsgate
	plugin 1 ADD c1 "$netns" "$(config '"ingressRate": 8000')"
	refused 100 "the module nsgate is not loaded"
	plugin 1 CHECK c1 "$netns" "$(config)"
	refused 100 "not loaded"
	plugin 0 ADD c1 "$netns" "$(config '"required": false' '"ingressRate": 8000')"
	same_json "$output" "$RESULT" || check_err 1 "not the result before: $output"
	[[ $said == *"container c1 has no limit"* ]] || check_err 1 "no warning: $said"
	plugin 0 DEL c1 "$netns" "$(config)"
	load_nsgate
	log_test "plugin: no module, no pod; but with \"required\": false"
}

setup
tests_run
