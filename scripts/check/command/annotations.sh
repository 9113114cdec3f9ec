# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034
#
# Containers of podman with annotations, for guest, and the networks that they have.
#
#   container ---- macvlan or ipvlan of up0 ---- up0 of the host ---- up1 of world, 10.9.5.1
#   container ---- veth, bridge cni0 of the host, 10.9.6.1

# What podman runs: programs of this machine, with their libraries.
make_tools_box()
{
	local program library

	[[ ! -e /var/tmp/box/bin/iperf3 ]] || return 0
	make_box
	for program in iperf3 bash; do
		cp -L "$(type -P $program)" /var/tmp/box/bin/
		for library in $(ldd "$(type -P $program)" | grep -oE '/[^ ]+'); do
			install -D "$library" "/var/tmp/box$library"
		done
	done
}

# network NAME TYPE MEMBER...: a list of plugins, whose first has an address to give.
network()
{
	local name=$1 first=$2 subnet=$3 others=${4-}

	cat >"/etc/cni/net.d/$name.conflist" <<-END
		{"cniVersion": "0.4.0", "name": "$name", "plugins": [{$first,
		"ipam": {"type": "host-local", "ranges": [[{"subnet": "$subnet.0/24", "rangeStart": "$subnet.10", "gateway": "$subnet.1"}]]}}$others]}
	END
}

macvlan='"type": "macvlan", "master": "up0", "mode": "bridge"'
ipvlan='"type": "ipvlan", "master": "up0", "mode": "l2"'
bridge='"type": "bridge", "bridge": "cni0", "isGateway": true'

# The host's namespace is where the bridge is, and world what lies behind its device.
make_networks()
{
	[[ ! -e /etc/cni/net.d/mv.conflist ]] || return 0
	make_tools_box
	ip netns add world
	NS_LIST+=(world)
	NS_INODES+=("$(ns_inode world)")
	ip link add up0 type veth peer name up1 netns world
	ip link set up0 up
	ip -n world -batch - <<-END
		link set lo up
		addr add 10.9.5.1/24 dev up1
		link set up1 up
	END
	mkdir -p /etc/cni/net.d /etc/containers
	network mv "$macvlan" 10.9.5
	network iv "$ipvlan" 10.9.5
	network br "$bridge" 10.9.6
	printf '[network]\nnetwork_backend = "cni"\n' >/etc/containers/containers.conf
	cat >/etc/containers/storage.conf <<-END
		[storage]
		driver = "vfs"
		runroot = "/run/containers/storage"
		graphroot = "/var/lib/containers/storage"
	END
	ip netns exec world iperf3 -s -D
	iperf3 -s -D
}

# pod NAME NETWORK [OPTION...] -- COMMAND...: a container that runs the command.
pod()
{
	local name=$1 net=$2
	local -a options=()
	shift 2

	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	shift
	timeout 600 podman run -q --name "$name" --network "$net" --cgroups disabled --security-opt label=disable \
		"${options[@]}" --rootfs /var/tmp/box "$@" 2>&1
}

pod_inode()
{
	stat -Lc %i "/proc/$(podman inspect --format '{{.State.Pid}}' "$1")/ns/net"
}

remove()
{
	podman rm -f -t 0 "$@" >/dev/null 2>&1 || true
}

nothing_is_left()
{
	! compgen -G "/run/nsgate/oci/*" >/dev/null || check_err 1 "left: $(ls /run/nsgate/oci)"
	! compgen -G "/run/nsgate/cni/*" >/dev/null || check_err 1 "left: $(ls /run/nsgate/cni)"
	check_equal "targets" "" "$(compgen -G "$HOST_VIEW/[0-9]*" || true)"
}

# refused_start TEXT NETWORK OPTION...: podman starts no such container; the journal says why.
refused_start()
{
	local text=$1 net=$2 said
	shift 2

	said=$(pod odd "$net" "$@" -- /bin/sleep 1) && check_err 1 "it starts with $*"
	[[ $said == *"hook"*"/usr/sbin/nsgate"* ]] || check_err 1 "podman does not say what failed: $said"
	said=$(journalctl -t nsgate -o cat -n 1)
	[[ $said == "container "*"$text"* ]] || check_err 1 "the journal does not say $text: $said"
	echo "# $said"
	remove odd
	nothing_is_left
}

bad_annotations()
{
	local said

	make_networks
	refused_start nsgate.inn none --annotation nsgate.inn=20mbit
	refused_start nsgate.except none --annotation nsgate.gate=drop --annotation 'nsgate.except=host and port'
	refused_start "no network namespace of its own" host --annotation nsgate.in=20mbit
	said=$(pod even none --annotation other=1 -- /bin/sh -c 'echo there') || check_err $? "$said"
	check_equal "without an annotation" there "$said"
	remove even
	log_test "annotations: a bad one is named in the journal, and podman starts no such container"
}

# Bits a second that came over the device in most seconds, of what iperf3 -J tells of
# datagrams: where this machine stands still for longer than a burst is, nothing is sent
# that could pass.
datagram_rate()
{
	jq -r '[.intervals[].sum | (.packets - .lost_packets) * (1400 + 42) * 8 / .seconds] |
		sort | .[length / 2 | floor] | floor'
}

# rate_in CONTAINER SERVER: what it receives of 60 Mbit/s.
rate_in()
{
	podman exec "$1" /bin/iperf3 -J -c "$2" -u -l 1400 -b 60M -R -t 11 | datagram_rate
}

# tcp_rate CONTAINER SERVER: bits a second that it receives, in most seconds. TCP needs
# a burst, as docs/files.md tells.
tcp_rate()
{
	podman exec "$1" /bin/iperf3 -J -c "$2" -R -t 11 |
		jq -r '[.intervals[].sum.bits_per_second] | sort | .[length / 2 | floor] | floor'
}

# check_rate WHAT RATE: 20 Mbit/s within 5 %.
check_rate()
{
	echo "# $1: $2 bit/s"
	[[ $2 == [0-9]* ]] || check_err 1 "$1: no rate, $2"
	((19000000 <= ${2:-0} && ${2:-0} <= 21000000)) || check_err 1 "$1: $2 bit/s"
}

# What root of the container can do about it.
defy()
{
	podman exec "$1" /bin/sh -c '
		for file in /proc/net/nsgate/*; do echo none >$file; done
		echo none >/proc/net/nsgate/limit
		echo -1 >/sys/module/nsgate/parameters/inode
		echo >/sys/module/nsgate/parameters/inode
		/bin/busybox ip link set eth0 down
		/bin/busybox ip link set eth0 up' >/dev/null 2>&1 || true
}

annotated_rates()
{
	local net server inode said

	make_networks
	for net in mv:10.9.5.1 iv:10.9.5.1 br:10.9.6.1; do
		server=${net#*:} net=${net%:*}
		said=$(pod "$net" "$net" -d --privileged --annotation nsgate.in=20mbit -- /bin/sleep 100000) ||
			{ check_err $? "$said"; continue; }
		inode=$(pod_inode "$net")
		is_bound "$inode" || check_err 1 "$net is not bound"
		try 0 status "podman:$net"
		[[ $output == "$net, inode $inode"* ]] || check_err 1 "status: $output"
		check_rate "$net" "$(rate_in "$net" "$server")"
		defy "$net"
		check_rate "$net, after its root tried" "$(rate_in "$net" "$server")"
		echo "# $net, payload of TCP with the burst that is there if none is said: $(tcp_rate "$net" "$server") bit/s"
		try 0 limit "podman:$net" --in 20mbit --burst-in 1M
		check_rate "$net, payload of TCP with a burst of 1 MB" "$(tcp_rate "$net" "$server")"
		remove "$net"
		nothing_is_left
		journalctl -t nsgate -o cat -n 1 | grep -q "has ended: in [1-9]" || check_err 1 "no final figures in the journal"
	done
	log_test "annotations: nsgate.in=20mbit with macvlan, ipvlan and veth"
}

# Tells of each datagram that arrives in world, whatever its port.
hear()
{
	ip netns exec world tcpdump -lnqi up1 'udp and src net 10.9.5.0/24 and dst port 9' 2>/dev/null
}

# The first thing that it does is to send.
send_first=(/bin/bash -c 'echo first >/dev/udp/10.9.5.1/9')

# have_dropped COUNT SINCE: the final figures of so many containers have packets dropped.
have_dropped()
{
	local count

	count=$(journalctl -t nsgate -o json --since "$2" | jq -r '.NSGATE_DROPPED_PACKETS // 0' | grep -c '^[1-9]') || true
	((count == $1))
}

first_packets()
{
	local i said heard start=$EPOCHSECONDS

	make_networks
	hear >"$tmp/heard" &
	said=$(pod open mv --rm -- "${send_first[@]}") || check_err $? "$said"
	busywait "$BUSYWAIT_TIMEOUT" test -s "$tmp/heard" || check_err 1 "without a gate it is not heard"
	for ((i = 0; i < ROUNDS; i++)); do
		pod "shut$i" mv --rm --annotation nsgate.gate=drop -- "${send_first[@]}" >"$tmp/said" || true
	done
	busywait "$BUSYWAIT_TIMEOUT" have_dropped "$ROUNDS" "@$start" ||
		check_err 1 "not all have dropped any: $(journalctl -t nsgate -o cat -n 5)"
	end_jobs
	heard=$(wc -l <"$tmp/heard")
	check_equal "datagrams heard, of the open one's 1 and of $ROUNDS" 1 "$heard"
	nothing_is_left
	log_test "annotations: nsgate.gate=drop, the first packet of $ROUNDS starts"
}

# crun, which finds that there is no such command when the hook has run, calls no poststop.
failed_starts()
{
	local i said

	make_networks
	for i in 1 2 3; do
		said=$(pod odd mv --annotation nsgate.gate=drop -- /bin/none) && check_err 1 "it starts"
		[[ $said == *"not found"* ]] || check_err 1 "podman says: $said"
		remove odd
	done
	said=$(pod even mv --rm --annotation nsgate.gate=drop -- /bin/sh -c :) || check_err $? "podman: $said"
	nothing_is_left
	log_test "annotations: what is left of starts that fail is released by the next"
}

used_by()
{
	sed -n 's/^out_used //p' "$HOST_VIEW/$(pod_inode "$1")/limit"
}

# Who may restart his container gets no new quota by that.
quota_restarts()
{
	local said used

	make_networks
	said=$(pod again mv -d --annotation nsgate.quota-out=1M -- /bin/sleep 100000) || check_err $? "podman: $said"
	podman exec again "${send_first[@]}" || check_err $? "it can't send"
	used=$(used_by again)
	((used > 0)) || check_err 1 "nothing was used"
	podman restart -t 0 again >/dev/null || check_err $? "podman restart"
	(($(used_by again) >= used)) || check_err 1 "used: $used, after a restart $(used_by again)"
	podman stop -t 0 again >/dev/null
	podman start again >/dev/null || check_err $? "podman start"
	(($(used_by again) >= used)) || check_err 1 "used: $used, after a stop and a start $(used_by again)"
	remove again
	said=$(pod again mv -d --annotation nsgate.quota-out=1M -- /bin/sleep 100000) || check_err $? "podman: $said"
	(($(used_by again) < used)) || check_err 1 "a new container of that name has used $(used_by again)"
	remove again
	said=$(pod even mv --rm --annotation nsgate.bind=1 -- /bin/sh -c :) || check_err $? "podman: $said"
	nothing_is_left
	log_test "annotations: a quota goes on when podman restarts the container"
}

rootless_annotations()
{
	local said

	make_networks
	id ann >/dev/null 2>&1 || make_ann
	said=$(cd / && as_ann podman --hooks-dir /usr/share/containers/oci/hooks.d run -q --name nook --network none \
		--cgroups disabled --security-opt label=disable --log-driver none --annotation nsgate.bind=1 \
		--rootfs /var/tmp/box /bin/sleep 1 2>&1) && check_err 1 "it starts"
	[[ $said == *"hook"* ]] || check_err 1 "podman does not say what failed: $said"
	said=$(journalctl -t nsgate -o cat -n 1)
	[[ $said == *"root must bind"* ]] || check_err 1 "the journal does not say why: $said"
	as_ann podman rm -f -t 0 nook >/dev/null 2>&1 || true
	nothing_is_left
	log_test "annotations: a rootless podman is told that root must bind"
}
