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
	systemctl stop docker.socket docker.service containerd.service
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

# Neither networks nor images are looked at here.
bind_docker()
{
	mkdir -p /etc/docker
	echo '{"storage-driver": "vfs", "iptables": false, "bridge": "none"}' >/etc/docker/daemon.json
	systemctl start docker.service ||
		{ journalctl -u docker -u containerd -n 30 --no-pager; return 1; }
	tar -C /var/tmp/box -c . | docker import - box || return
	docker run -d --name stall --network none box /bin/sleep 10000 || return
	docker inspect --format '{{.State.Pid}}' stall
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
