# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034
#
# nsgate@.service, for guest.

# The entry of one that is gone has the gate, too, and maybe the number. Execs
# nothing, for that takes long in an emulation.
has_gate()
{
	local row
	local -a rows lines

	mapfile -t rows <"$HOST_VIEW/namespaces"
	for row in "${rows[@]}"; do
		[[ $row == "$web_inode "*'***' ]] || continue
		mapfile -t lines 2>/dev/null <"$HOST_VIEW/$web_inode/gate"
		[[ " ${lines[*]} " == *" label icmp and host 10.9.1.9 "* ]]
		return
	done
	return 1
}

# Awaits the gate of web, and puts in $took the milliseconds since web was made.
await_gate()
{
	until has_gate; do
		((${EPOCHREALTIME/./} - web_made < BUSYWAIT_TIMEOUT * 1000)) || return 1
		read -r -t 0.01 -u "$never" || true
	done
	took=$(((${EPOCHREALTIME/./} - web_made) / 1000))
}

# Puts in $took the milliseconds that this machine needs to run a program.
time_exec()
{
	local i start=${EPOCHREALTIME/./}

	for i in {1..20}; do
		/bin/true
	done
	took=$(((${EPOCHREALTIME/./} - start) / 20000))
}

service_follows()
{
	local i took never times=''

	mkfifo "$tmp/never"
	exec {never}<>"$tmp/never"
	systemctl start nsgate@web.service || die "nsgate@web.service does not start"
	is_bound "$web_inode" || check_err 1 "web is not bound when the service has started"
	try 0 gate web drop --except 'icmp and host 10.9.1.9'
	traffic -i 0.005
	for ((i = 0; i < 20; i++)); do
		ip netns delete web
		make_web
		await_gate || check_err 1 "web $i has not the gate of the one before"
		times+=" $took"
		plug_web
	done
	time_exec
	end_jobs
	echo "# ms from when web was made until it had its gate, 20 times:$times; to exec a program takes $took"
	ip netns exec admin ping -q -c 2 -i 0.1 10.9.1.1 >/dev/null || check_err $? "what is excepted does not pass"
	! ip netns exec admin ping -q -c 2 -i 0.1 -W 1 -I 10.9.1.8 10.9.1.1 >/dev/null || check_err 1 "another host passes"
	[[ $(systemctl show -p StatusText --value nsgate@web.service) == "inode $web_inode is bound"* ]] ||
		check_err 1 "status: $(systemctl show -p StatusText --value nsgate@web.service)"
	log_test "nsgate@web.service: follows web 20 times under traffic"
}

# Names as people write them behind the @, as far as systemd takes them so.
service_names()
{
	local name unit

	for name in cni-1 'a\b' a@b 名前; do
		unit=nsgate@$name.service
		[[ $name != 名前 ]] || unit=$(systemd-escape --template=nsgate@.service "$name")
		systemctl start "$unit" || check_err $? "$unit does not start"
		ip netns add "$name"
		NS_LIST+=("$name")
		NS_INODES+=("$(stat -Lc %i "/run/netns/$name")")
		busywait "$BUSYWAIT_TIMEOUT" is_bound "${NS_INODES[-1]}" || check_err 1 "$name is not bound"
		systemctl stop "$unit"
		! is_bound "${NS_INODES[-1]}" || check_err 1 "$name is not released"
		cleanup_ns "$name"
	done
	log_test "nsgate@.service: names with dashes, backslashes, @ and of UTF-8"
}

service_stops()
{
	local name="a b%\$x" escaped

	systemctl stop nsgate@web.service
	! is_bound "$web_inode" || check_err 1 "web is not released"
	try 0 status
	[[ $output == "There is no target"* ]] || check_err 1 "targets are left: $output"
	escaped=$(systemd-escape --template=nsgate@.service "$name")
	systemctl start "$escaped" || check_err $? "start without a namespace"
	ip netns add "$name"
	NS_LIST+=("$name")
	NS_INODES+=("$(stat -Lc %i "/run/netns/$name")")
	busywait "$BUSYWAIT_TIMEOUT" is_bound "${NS_INODES[-1]}" || check_err 1 "$name is not bound"
	systemctl stop "$escaped"
	! is_bound "${NS_INODES[-1]}" || check_err 1 "$name is not released"
	cleanup_ns "$name"
	systemctl stop nsgate.service
	! nsgate_loaded || check_err 1 "nsgate.service does not unload the module"
	log_test "nsgate@.service: odd names; releases what it bound; nsgate.service unloads"
}
