# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034
#
# The plugin nsgate-cni in lists of podman, beside the reference plugin bandwidth, and
# what Kubernetes would have of it, for guest. The networks are those of annotations.sh.

# call_plugin COMMAND CONTAINER NS MEMBERS [VARIABLE=VALUE]: by hand.
call_plugin()
{
	printf '{"cniVersion": "1.0.0", "name": "net", "prevResult": {}, %s}' "$4" |
		env CNI_COMMAND="$1" CNI_CONTAINERID="$2" CNI_NETNS="/run/netns/$3" CNI_IFNAME=eth0 CNI_PATH=/x \
			${5:+"$5"} /usr/lib/cni/nsgate-cni
}

limited=', {"type": "nsgate-cni", "capabilities": {"bandwidth": true}, "ingressRate": 20000000, "quotaOut": "1G"}'

cni_chain()
{
	local net server inode said

	make_networks
	network mvn "$macvlan" 10.9.5 "$limited"
	network brn "$bridge" 10.9.6 "$limited"
	for net in mvn:10.9.5.1 brn:10.9.6.1; do
		server=${net#*:} net=${net%:*}
		said=$(pod "$net-1" "$net" -d -- /bin/sleep 100000) || { check_err $? "$said"; continue; }
		inode=$(pod_inode "$net-1")
		is_bound "$inode" || check_err 1 "$net is not bound"
		try 0 status "podman:$net-1"
		[[ $output == "$net-1, inode $inode"* ]] || check_err 1 "status: $output"
		check_rate "$net" "$(rate_in "$net-1" "$server")"
		try 0 status --json
		check_equal "name and rate" "$net-1 2500000 1000000000" \
			"$(jq -r '.[0] | [.name, .limit.in.rate, .limit.out.quota] | join(" ")' <<<"$output")"
		try 0 metrics
		grep -qE "^nsgate_limit_rate_bytes\{.*netns=\"$net-1\",direction=\"in\"\} 2500000$" <<<"$output" ||
			check_err 1 "no such rate in the metrics"
		remove "$net-1"
		nothing_is_left
	done
	log_test "CNI: podman's list of macvlan or bridge, and nsgate-cni"
}

# The reference plugin needs the host's end of a veth, and says so.
cni_bandwidth()
{
	local said

	make_networks
	network mvb "$macvlan" 10.9.5 ', {"type": "bandwidth", "ingressRate": 20000000, "ingressBurst": 2000000}'
	said=$(pod reference mvb -- /bin/sleep 1) && check_err 1 "bandwidth works with macvlan: the documents are wrong"
	echo "# bandwidth on the same network: ${said//$'\n'/$'\n# '}"
	remove reference
	log_test "CNI: the reference plugin bandwidth can't limit a macvlan"
}

tub_runs()
{
	[[ $(ctr task ls | awk '$1 == "tub" { print $3 }') == RUNNING ]]
}

# containerd asks for the first list that there is, of plugins in a directory of its own.
cni_containerd()
{
	local said inode

	make_networks
	network 00-first "$macvlan" 10.9.5 "$limited"
	mkdir -p /opt/cni
	ln -sfn /usr/lib/cni /opt/cni/bin
	systemctl start containerd.service || check_err $? "containerd does not start"
	ctr run --rm --cni --rootfs /var/tmp/box tub /bin/sleep 10000 >"$tmp/tub" 2>&1 &
	if busywait "$BUSYWAIT_TIMEOUT" tub_runs; then
		inode=$(stat -Lc %i "/proc/$(ctr task ls | awk '$1 == "tub" { print $2 }')/ns/net")
		is_bound "$inode" || check_err 1 "it is not bound"
		check_equal "rate" "in_rate 2500000" "$(grep ^in_rate "$HOST_VIEW/$inode/limit")"
		try 0 status containerd:tub
	else
		check_err 1 "it does not run: $(<"$tmp/tub")"
	fi
	ctr task kill -s KILL tub || true
	wait $! || true
	rm /etc/cni/net.d/00-first.conflist /opt/cni/bin
	systemctl stop containerd.service
	nothing_is_left
	log_test "CNI: a container of containerd"
}

start_and_end()
{
	pod "many$1" mvn --rm -- /bin/sh -c : >>"$tmp/many" || echo "many$1: status $?" >>"$tmp/many"
}

cni_parallel()
{
	local i count=$((ROUNDS * 2))

	make_networks
	network mvn "$macvlan" 10.9.5 "$limited"
	: >"$tmp/many"
	for ((i = 0; i < count; i++)); do
		start_and_end "$i" &
		((i % 10 < 9)) || wait_jobs
	done
	wait_jobs
	check_equal "what podman says" "" "$(<"$tmp/many")"
	nothing_is_left
	check_equal "containers" "" "$(podman ps -aq)"
	check_equal "addresses" "" "$(find /var/lib/cni/networks/mvn -name '10.*')"
	log_test "CNI: $count containers, 10 at a time, leave nothing"
}

# What stands still for half of the time that it has is told, with what it waits for.
wait_jobs()
{
	local -a pids

	mapfile -t pids < <(jobs -p)
	((${#pids[@]})) || return 0
	if ! slowwait 300 have_ended "${pids[@]}"; then
		echo "# after 300 seconds there still are:"
		ps --ppid 2 -N -o pid,ppid,stat,etimes,wchan:24,args --cols 160 | sed 's/^/# /'
		sed 's/^/# lock /' /proc/locks
	fi
	wait "${pids[@]}"
}

# What the DaemonSet runs, by hand: there is no kubelet here.
kubernetes()
{
	local yaml=$top/contrib/kubernetes/nsgate.yaml bin=$tmp/bin listener

	mkdir "$bin"
	"$top/contrib/kubernetes/install-plugin" "$bin"
	"$top/contrib/kubernetes/install-plugin" "$bin"
	check_equal "files" 2 "$(find "$bin" -mindepth 1 -maxdepth 1 | wc -l)"
	# On a node that has a shell, and none of the libraries.
	make_box
	cp -a "$bin" /var/tmp/box/plugins
	CNI_COMMAND=VERSION chroot /var/tmp/box /plugins/nsgate-cni </dev/null |
		jq -e '.supportedVersions | length == 2' >/dev/null || check_err 1 "what was installed does not run"
	rm -r /var/tmp/box/plugins
	log_test "Kubernetes: the installer of the plugin"

	python3 - "$yaml" >"$tmp/listen" <<-'END' || check_err $? "the manifest"
		import sys, yaml
		[document] = yaml.safe_load_all(open(sys.argv[1]))
		assert (document["apiVersion"], document["kind"]) == ("apps/v1", "DaemonSet")
		template = document["spec"]["template"]
		assert template["metadata"]["labels"] == document["spec"]["selector"]["matchLabels"]
		pod = template["spec"]
		assert pod["hostNetwork"] and pod["hostPID"]
		volumes = {volume["name"] for volume in pod["volumes"]}
		assert all(mount["name"] in volumes for container in pod["initContainers"] + pod["containers"] for mount in container["volumeMounts"])
		print("\n".join(pod["containers"][0]["command"]))
	END
	mapfile -t command <"$tmp/listen"
	"${command[@]}" >/dev/null 2>&1 &
	listener=$!
	busywait "$BUSYWAIT_TIMEOUT" curl -sf -o "$tmp/metrics" http://127.0.0.1:9798/metrics || check_err 1 "the exporter does not answer"
	grep -qx "nsgate_up 1" "$tmp/metrics" || check_err 1 "metrics: $(<"$tmp/metrics")"
	kill $listener
	wait $listener || true
	log_test "Kubernetes: the manifest, and what its exporter runs"
}
