# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034
#
# Containers of all runtimes by their names, for guest.

# check_container NS NAME PID [CALLED]: binds it.
check_container()
{
	local inode

	inode=$(stat -Lc %i "/proc/$3/ns/net")
	[[ $inode != "$(stat -Lc %i /proc/self/ns/net)" ]] || check_err 1 "$1 has no namespace"
	try 0 bind "$2"
	is_bound "$inode" || check_err 1 "$2 is not bound"
	try 0 list
	grep -qE "^$inode .* $1$" <<<"$output" || check_err 1 "list does not show $1: $output"
	try 0 status "$1"
	[[ $output == "${4:-$2}, inode $inode,"* ]] || check_err 1 "status $1: $output"
	try 0 release "$1"
	! is_bound "$inode" || check_err 1 "$1 is not released"
}

machine_leader()
{
	pid=$(machinectl show -p Leader --value box 2>&1) && [[ $pid == [1-9]* ]]
}

# check_exporter NAME: that the unit, in its sandbox, finds that name by itself.
check_exporter()
{
	rm -f /run/nsgate/names
	systemctl start nsgate-exporter.socket
	curl -sf http://127.0.0.1:9798/metrics | grep -q "^nsgate_target_live{.*netns=\"$1\"} 1$" ||
		check_err 1 "the exporter doesn't know the name $1"
	systemctl stop nsgate-exporter.socket
}

# A root file system for containers, which do nothing.
make_box()
{
	mkdir -p /var/tmp/box/{bin,sbin,etc,proc,sys,dev,run,tmp,usr,var/lib}
	cp /bin/busybox /var/tmp/box/bin/
	ln -sf busybox /var/tmp/box/bin/sh
	ln -sf busybox /var/tmp/box/bin/sleep
	echo ID=box >/var/tmp/box/etc/os-release
	# A user's podman can't.
	ln -sfn /proc/mounts /var/tmp/box/etc/mtab
}

bind_containers()
{
	local pid=''

	make_box
	systemd-run -q --unit=box systemd-nspawn -q -D /var/tmp/box -M box --private-network \
		--register=yes /bin/sleep 10000 || check_err $? "systemd-nspawn"
	if busywait "$BUSYWAIT_TIMEOUT" machine_leader; then
		machine_leader
		check_container machine:box box "$pid"
	else
		machine_leader || true
		check_err 1 "no machine: $pid $(journalctl -n 30 --no-pager)"
	fi
	machinectl terminate box || true
	log_test "bind: a machine of systemd-nspawn, by machined"

	if pid=$(bind_podman 2>&1); then
		check_container podman:shop shop "${pid##*$'\n'}"
		try 0 bind "pid:${pid##*$'\n'}"
		check_exporter shop
		try 0 release podman:shop
		try 0 bind "$(podman ps -q)"
		is_bound "$(stat -Lc %i "/proc/${pid##*$'\n'}/ns/net")" || check_err 1 "not bound by ID"
		try 0 release podman:shop
	else
		check_err 1 "podman: $pid"
	fi
	podman rm -f -t 0 shop >/dev/null 2>&1 || true
	log_test "bind: a container of podman, by name and by ID"

	if pid=$(bind_docker 2>&1); then
		check_container docker:stall stall "${pid##*$'\n'}"
		try 0 bind "$(docker ps -q)"
		is_bound "$(stat -Lc %i "/proc/${pid##*$'\n'}/ns/net")" || check_err 1 "not bound by ID"
		try 0 release docker:stall
	else
		check_err 1 "docker: $pid"
	fi
	docker rm -f stall >/dev/null 2>&1 || true
	stop_docker
	log_test "bind: a container of docker, by name and by ID"

	if pid=$(bind_lxc 2>&1); then
		check_container lxc:cell cell "$pid"
	else
		check_err 1 "lxc: $pid"
	fi
	lxc-stop -k -n cell || true
	try 3 bind lxc:cell
	[[ $output == *"is not running"* ]] || check_err 1 "a container that was stopped: $output"
	log_test "bind: a container of lxc"
}

bind_others()
{
	local pid=''

	make_box
	if pid=$(bind_rootless 2>&1); then
		check_container podman:ann/nook podman:ann/nook "${pid##*$'\n'}" ann/nook
		try 0 bind podman:nook
		try 0 release podman:nook
		try 3 bind nook
	else
		check_err 1 "podman: $pid"
	fi
	as_ann podman rm -f -t 0 nook >/dev/null 2>&1 || true
	log_test "bind: a container that a user runs for himself"

	if pid=$(bind_containerd 2>&1); then
		check_container containerd:pail pail "${pid##*$'\n'}"
	else
		check_err 1 "containerd: $pid"
	fi
	ctr task kill -s KILL pail || true
	systemctl stop containerd.service
	log_test "bind: a container of containerd"

	if pid=$(bind_lxd 2>&1); then
		check_container lxd:cask cask "${pid##*$'\n'}"
		lxc stop -f cask
		try 3 bind lxd:cask
		[[ $output == *"is not running"* ]] || check_err 1 "a container that was stopped: $output"
	else
		check_err 1 "lxd: $pid"
	fi
	systemctl stop lxd.socket lxd.service
	log_test "bind: a container of LXD"
}

as_ann()
{
	setpriv --reuid ann --regid ann --init-groups \
		env HOME=/home/ann XDG_RUNTIME_DIR=/run/user/ann "$@"
}

make_ann()
{
	useradd -m ann
	install -d -o ann -g ann /run/user/ann /home/ann/.config /home/ann/.config/containers
	printf '[storage]\ndriver = "vfs"\n' >/home/ann/.config/containers/storage.conf
}

bind_rootless()
{
	make_ann
	cd /
	as_ann podman run -q -d --name nook --network none --cgroups disabled --security-opt label=disable \
		--log-driver none --rootfs /var/tmp/box /bin/sleep 10000 || return
	as_ann podman inspect --format '{{.State.Pid}}' nook
}

bind_containerd()
{
	systemctl start containerd.service ||
		{ journalctl -u containerd -n 30 --no-pager; return 1; }
	ctr run -d --rootfs /var/tmp/box pail /bin/sleep 10000 || return
	ctr task ls | awk '$1 == "pail" { print $2 }'
}

# The root here is an overlay, on which podman can't have another.
bind_podman()
{
	mkdir -p /etc/containers
	cat >/etc/containers/storage.conf <<-END
		[storage]
		driver = "vfs"
		runroot = "/run/containers/storage"
		graphroot = "/var/lib/containers/storage"
	END
	podman run -q -d --name shop --network none --cgroups disabled --security-opt label=disable \
		--log-driver none --rootfs /var/tmp/box /bin/sleep 10000 || return
	podman inspect --format '{{.State.Pid}}' shop
}

# run_docker NAME: neither networks nor images are looked at here.
run_docker()
{
	mkdir -p /etc/docker
	echo '{"storage-driver": "vfs", "iptables": false, "bridge": "none"}' >/etc/docker/daemon.json
	systemctl start docker.service ||
		{ journalctl -u docker -u containerd -n 30 --no-pager; return 1; }
	tar -C /var/tmp/box -c . | docker import - box || return
	docker run -d --name "$1" --network none box /bin/sleep 10000
}

bind_docker()
{
	run_docker stall || return
	docker inspect --format '{{.State.Pid}}' stall
}

stop_docker()
{
	systemctl stop docker.socket docker.service containerd.service
}

docker_inode()
{
	stat -Lc %i "/proc/$(docker inspect --format '{{.State.Pid}}' "$1")/ns/net"
}

# Puts its new namespace in $inode.
docker_restart()
{
	docker restart -t 0 "$1" >/dev/null || check_err $? "docker restart $1"
	inode=$(docker_inode "$1")
}

has_policy()
{
	is_bound "$1" && [[ $(head -n 1 "$HOST_VIEW/$1/gate") == "policy $2" ]]
}

# A restart makes a new namespace: it is bound if the container is followed, else not.
docker_restarts()
{
	local i said inode

	make_box
	said=$(run_docker web 2>&1) || { check_err $? "docker: $said"; log_test "docker restart"; return; }
	try 0 bind docker:web
	try 0 gate docker:web drop
	docker_restart web
	! is_bound "$inode" || check_err 1 "the new namespace is bound, which the manual page denies"
	try 4 gate docker:web accept
	[[ $output == *"docker:web is gone; 'nsgate bind' binds the one of that name that lives"* ]] ||
		check_err 1 "gate: $output"
	try 0 release docker:web
	! compgen -G "$HOST_VIEW/[0-9]*" >/dev/null || check_err 1 "left: $(ls "$HOST_VIEW")"
	log_test "docker restart: the new namespace is not bound, and gate says so"

	systemctl start nsgate@docker:web.service || check_err $? "nsgate@docker:web.service does not start"
	busywait "$BUSYWAIT_TIMEOUT" is_bound "$inode" || check_err 1 "it is not bound"
	try 0 gate docker:web drop
	for i in 1 2 3; do
		docker_restart web
		busywait "$BUSYWAIT_TIMEOUT" has_policy "$inode" drop || check_err 1 "restart $i: not bound with its gate"
		try 0 status docker:web
		[[ $output == *"web, inode $inode,"* ]] || check_err 1 "status: $output"
	done
	systemctl stop nsgate@docker:web.service
	! compgen -G "$HOST_VIEW/[0-9]*" >/dev/null || check_err 1 "not released: $(ls "$HOST_VIEW")"
	docker rm -f web >/dev/null
	stop_docker
	log_test "docker restart: a container that is followed has its gate again, 3 times"
}

bind_lxc()
{
	mkdir -p /var/lib/lxc/cell
	cat >/var/lib/lxc/cell/config <<-END
		lxc.uts.name = cell
		lxc.rootfs.path = dir:/var/tmp/box
		lxc.net.0.type = empty
		lxc.init.cmd = /bin/sleep 10000
		lxc.apparmor.profile = unconfined
		lxc.mount.auto = proc
	END
	lxc-start -n cell -l INFO -o "$tmp/lxc.log" || { tail -n 30 "$tmp/lxc.log"; return 1; }
	lxc-info -n cell -p -H
}

# Its init does nothing, and it has no device.
bind_lxd()
{
	local image=$tmp/image

	mkdir -p "$image"
	cp -a /var/tmp/box "$image/rootfs"
	printf '#!/bin/sh\nexec /bin/sleep 10000\n' >"$image/rootfs/sbin/init"
	chmod 755 "$image/rootfs/sbin/init"
	printf 'architecture: x86_64\ncreation_date: 1\n' >"$image/metadata.yaml"
	tar -C "$image" -c . >"$tmp/image.tar"
	systemctl start lxd.service ||
		{ journalctl -u lxd -n 30 --no-pager; return 1; }
	lxd waitready --timeout 300 || return
	lxd init --preseed <<-'END' || return
		storage_pools: [{name: default, driver: dir}]
		profiles: [{name: default, devices: {root: {type: disk, path: /, pool: default}}}]
	END
	lxc image import "$tmp/image.tar" --alias box || return
	lxc init box cask -c security.privileged=true || return
	lxc start cask || { lxc info --show-log cask; return 1; }
	lxc query /1.0/instances/cask/state | jq .pid
}
