# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Network namespaces, for lib.sh.

# setup_ns NAME...: makes a namespace for each, whose name is put in variable
# NAME. They are gone when the test ends.
setup_ns()
{
	local ns_name number
	local -a added=()

	for ns_name; do
		[[ $ns_name =~ ^[a-z][a-z0-9_]*$ ]] || die "setup_ns $ns_name: not a name"
		random_number number
		printf -v "$ns_name" '%s-%08x' "${ns_name//_/-}" "$number"
		ip netns add "${!ns_name}" || die "could not add namespace ${!ns_name}"
		NS_LIST+=("${!ns_name}")
		added+=("/run/netns/${!ns_name}")
		ip -n "${!ns_name}" link set lo up
	done
	mapfile -t -O ${#NS_INODES[@]} NS_INODES < <(stat -Lc %i "${added[@]}")
}

# count_devices NS: a kernel with tunnels built in gives some to each namespace.
count_devices()
{
	ip -n "$1" -o link | wc -l
}

# cleanup_ns NAME...
cleanup_ns()
{
	local ns status=0
	local -a kept=()

	for ns; do
		ip netns pids "$ns" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
		ip netns delete "$ns" || status=1
	done
	for ns in "${NS_LIST[@]}"; do
		[[ ! -e /run/netns/$ns ]] || kept+=("$ns")
	done
	NS_LIST=("${kept[@]}")
	return $status
}

cleanup_all_ns()
{
	cleanup_ns "${NS_LIST[@]}"
}

# in_ns NAME COMMAND...: as ip netns exec, without mounts that take long.
in_ns()
{
	local ns=$1
	shift

	nsenter --net="/run/netns/$ns" -- "$@"
}

# ns_inode NAME...
ns_inode()
{
	stat -Lc %i "${@/#//run/netns/}"
}

# connect ROUTER DEVICE END DEVICE NET: a pair of veth devices. ROUTER has
# 10.9.NET.1 and fd09:NET::1, and END .2 and ::2, from where all goes by ROUTER.
connect()
{
	ip -n "$1" -batch - <<-END
		link add $2 type veth peer name $4 netns $3
		addr add 10.9.$5.1/24 dev $2
		addr add fd09:$5::1/64 dev $2 nodad
		link set $2 up
	END
	ip -n "$3" -batch - <<-END
		addr add 10.9.$5.2/24 dev $4
		addr add fd09:$5::2/64 dev $4 nodad
		link set $4 up
		route add default via 10.9.$5.1
		route add default via fd09:$5::1
	END
}

# connect_quietly, the same: with IPv4 only, and such that nothing is sent that
# isn't asked for.
connect_quietly()
{
	local mac=02:00:00:09:0$5

	ip -n "$1" -batch - <<-END
		link add $2 address $mac:01 type veth peer name $4 address $mac:02 netns $3
		link set $2 addrgenmode none
		addr add 10.9.$5.1/24 dev $2
		link set $2 up
		neigh add 10.9.$5.2 lladdr $mac:02 dev $2
	END
	ip -n "$3" -batch - <<-END
		link set $4 addrgenmode none
		addr add 10.9.$5.2/24 dev $4
		link set $4 up
		neigh add 10.9.$5.1 lladdr $mac:01 dev $4
		route add default via 10.9.$5.1
	END
}

# Succeeds once no namespace of ours lives. A namespace dies some time after it
# was deleted, by a worker of the kernel.
ns_are_dead()
{
	local inode

	while read -r inode _; do
		if [[ " ${NS_INODES[*]} " == *" $inode "* ]]; then
			echo "$inode"
			return 1
		fi
	done <"$HOST_VIEW/namespaces"
}
