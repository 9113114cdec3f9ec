#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: man/nsgate.8, Which namespace
#
# The command nsgate: a name stands for the namespace that its owner means by it,
# or for none. Runtimes are played here by what they leave to be seen of them, and
# by programs that lie or hang.

# shellcheck source=lib.sh
source "$(dirname "$(realpath "$0")")/lib.sh"
# shellcheck source=command_lib.sh
source "$(dirname "$(realpath "$0")")/command_lib.sh"

ALL_TESTS="docker_elsewhere docker_here stopped_container hanging_runtime lost_name two_of_a_name
	linked_name container_restarts of_a_user not_of_the_packet clock_set_back
	instances proc_of_processes"

# 64 digits, as Docker has them.
id=$(printf '%064x' 0x123456789abcdef)
web='' web_inode=''
# What a shell does that has a child as long as it lives.
# shellcheck disable=SC2016 # it expands that
parent='sleep 10000 & trap "kill $!" TERM; wait'

setup()
{
	find_command
	setup_tmp
	setup_ns web
	web_inode=$(ns_inode "$web")
	mkdir "$tmp/bin"
	PATH=$tmp/bin:$PATH
	load_nsgate
}

# stub NAME LINE...: a program of that name.
stub()
{
	local name=$1
	shift

	printf '%s\n' '#!/bin/bash' "$@" >"$tmp/bin/$name"
	chmod +x "$tmp/bin/$name"
}

# write_docker_state NAME PID: as dockerd leaves it for itself.
write_docker_state()
{
	mkdir -p "/var/lib/docker/containers/$id"
	cat >"/var/lib/docker/containers/$id/config.v2.json" <<-END
		{"State": {"Running": true, "Pid": $2}, "ID": "$id", "Name": "/$1"}
	END
}

# The PID that a docker on another host tells is that of somebody else here.
docker_elsewhere()
{
	start_in "$web"
	stub docker "echo $pid"
	try_hint 3 "does not exist" bind docker:shopfar
	write_docker_state shopfar "$pid"
	try_hint 3 "is not running" bind docker:shopfar
	! is_bound "$web_inode" || check_err 1 "a process that is not of the container is bound"
	rm "$tmp/bin/docker"
	stop
	log_test "docker: a PID that is not of that container is not believed"
}

docker_here()
{
	local cgroup=/sys/fs/cgroup/docker-$id.scope

	if ! mkdir "$cgroup" 2>/dev/null; then
		log_test_skip "docker: a container is known by its cgroup" "no cgroups"
		return
	fi
	start_in "$web"
	echo "$pid" >"$cgroup/cgroup.procs"
	write_docker_state shop "$pid"
	for name in docker:shop shop "${id:0:12}" "docker:${id:0:5}"; do
		try 0 bind "$name"
		is_bound "$web_inode" || check_err 1 "$name is not bound"
		try 0 release "$name"
	done
	try 0 list
	grep -qE "^$web_inode .* $web docker:shop$" <<<"$output" || check_err 1 "list: $output"
	stop
	try_hint 3 "is not running" bind docker:shop
	rmdir "$cgroup"
	rm -r /var/lib/docker
	log_test "docker: a container is known by its cgroup, by name and by ID"
}

stopped_container()
{
	start_in "$web"
	mkdir -p "/var/lib/lxc/$pid"
	touch "/var/lib/lxc/$pid/config"
	try_hint 3 "container $pid is not running" bind "$pid"
	try 0 bind "pid:$pid"
	is_bound "$web_inode" || check_err 1 "pid:$pid is not bound"
	try 0 release "pid:$pid"
	rm -r "/var/lib/lxc/$pid"
	stop
	log_test "a container that doesn't run is not the process of that number"
}

# took COMMAND...: in milliseconds.
took()
{
	local start end

	read_clock start
	"$@" >/dev/null
	read_clock end
	echo $(((end - start) / 1000))
}

hanging_runtime()
{
	local ms name

	for name in docker podman lxc-ls lxc-info machinectl; do
		stub "$name" 'sleep 1000'
	done
	ms=$(took "$command" bind "$web")
	((ms < 5000)) || check_err 1 "bind took $ms ms"
	unshare -n sleep 10000 &
	pid=$!
	busywait $BUSYWAIT_TIMEOUT alone "$pid" || die "unshare did not start"
	try 0 bind "pid:$pid"
	ms=$(took "$command" metrics)
	((ms < 5000)) || check_err 1 "metrics took $ms ms"
	try 0 release "$pid" "$web"
	stop
	rm "$tmp"/bin/*
	log_test "a runtime that hangs holds up neither figures nor a bind"
}

alone()
{
	[[ -e /proc/$1/ns/net && ! /proc/$1/ns/net -ef /proc/self/ns/net ]]
}

# Names a new namespace lost, in which a process lives, $pid; $inode.
lose_name()
{
	ip netns add "$lost"
	NS_LIST+=("$lost")
	inode=$(ns_inode "$lost")
	NS_INODES+=("$inode")
	start_in "$lost"
	try 0 bind "$lost"
	try 0 gate "$lost" drop
	ip netns delete "$lost"
}

lost_name()
{
	local inode lost=$web-lost

	lose_name
	try 0 status
	grep -qE "^$inode .* live .* $lost +drop$" <<<"$output" || check_err 1 "status: $output"
	try 0 status "$lost"
	try 0 gate "netns:$lost" accept
	check_equal "policy" "policy accept" "$(head -n 1 "$HOST_VIEW/$inode/gate")"
	try 0 release "$lost"
	! is_bound "$inode" || check_err 1 "$lost is not released"
	stop
	log_test "a name that is shown can be used, also when its file is gone"
}

two_of_a_name()
{
	local inode lost=$web-twice new

	lose_name
	ip netns add "$lost"
	new=$(ns_inode "$lost")
	NS_INODES+=("$new")
	try_hint 3 "say inode:$new or inode:$inode" gate "$lost" accept
	try 0 gate "inode:$inode" accept
	try 0 bind "$lost"
	try 0 gate "$lost" drop
	check_equal "policy of the new" "policy drop" "$(head -n 1 "$HOST_VIEW/$new/gate")"
	check_equal "policy of the old" "policy accept" "$(head -n 1 "$HOST_VIEW/$inode/gate")"
	try 0 release "inode:$inode" "$lost"
	stop
	cleanup_ns "$lost"
	log_test "two of a name are told apart by their inodes"
}

# follow NAME...: in the background, what it says in $tmp/follow.
start_follow()
{
	: >"$tmp/follow"
	"$command" follow "$@" >"$tmp/follow" 2>&1 &
	follower=$!
	busywait $BUSYWAIT_TIMEOUT test -s "$tmp/follow" || check_err 1 "follow says nothing"
}

end_follow()
{
	kill "$follower"
	wait "$follower" || check_err $? "follow ended with $?"
}

says()
{
	grep -q "$1" "$tmp/follow"
}

# A link is as old as what it names never is.
linked_name()
{
	local follower

	start_in "$web"
	ln -s "/proc/$pid/ns/net" "/run/netns/$web-link"
	start_follow "$web-link"
	busywait $BUSYWAIT_TIMEOUT says "inode $web_inode is bound" || check_err 1 "not bound: $(<"$tmp/follow")"
	# It looks five times a second.
	sleep 2
	check_equal "what it says" 1 "$(wc -l <"$tmp/follow")"
	end_follow
	rm "/run/netns/$web-link"
	stop
	log_test "follow: a name that is a link is bound once"
}

# start_container: as lxc-start leaves it: a monitor, and its child, which has a
# namespace, $inode.
start_container()
{
	(exec -a "[lxc monitor] /var/lib/lxc cell" "$tmp/bin/lxc-start" -c \
		"${parent/sleep/unshare -n sleep}") &
	monitor=$!
	busywait $BUSYWAIT_TIMEOUT find_container || die "the container did not start"
	find_container
	inode=$(stat -Lc %i "/proc/$container/ns/net")
	NS_INODES+=("$inode")
}

find_container()
{
	container=$(pgrep -P "$monitor" -x sleep) && alone "$container"
}

stop_container()
{
	kill "$monitor"
	wait "$monitor" || true
}

container_restarts()
{
	local follower monitor container inode old

	cp "$(type -P bash)" "$tmp/bin/lxc-start"
	mkdir -p /var/lib/lxc/cell
	touch /var/lib/lxc/cell/config
	start_container
	start_follow lxc:cell drop
	busywait $BUSYWAIT_TIMEOUT says "inode $inode is bound" || check_err 1 "not bound: $(<"$tmp/follow")"
	try 0 gate lxc:cell drop --except 'icmp and host 10.9.1.9'
	old=$inode
	stop_container
	busywait $BUSYWAIT_TIMEOUT says "waiting for namespace lxc:cell" || check_err 1 "it doesn't wait: $(<"$tmp/follow")"
	try_hint 3 "container lxc:cell is not running" bind lxc:cell
	start_container
	busywait $BUSYWAIT_TIMEOUT is_bound "$inode" || check_err 1 "the new one is not bound"
	busywait $BUSYWAIT_TIMEOUT grep -qx "label icmp and host 10.9.1.9" "$HOST_VIEW/$inode/gate" ||
		check_err 1 "the new one has not the gate of the old one"
	end_follow
	! is_bound "$inode" || check_err 1 "it is not released"
	[[ $old == "$inode" || ! -e $HOST_VIEW/$old ]] || check_err 1 "the old one is left"
	stop_container
	rm -r /var/lib/lxc/cell "$tmp/bin/lxc-start"
	log_test "follow: a container that is started anew is bound, with its gate"
}

# What users call their containers is theirs: it is nobody's name but with theirs.
of_a_user()
{
	local monitor

	cp "$(type -P bash)" "$tmp/bin/conmon"
	chmod 755 "$tmp" "$tmp/bin"
	setpriv --reuid 12345 --clear-groups "$tmp/bin/conmon" -c "$parent" conmon -n shop &
	monitor=$!
	busywait "$BUSYWAIT_TIMEOUT" pgrep -P "$monitor" -x sleep >/dev/null || die "conmon did not start"
	try_hint 3 "does not exist" bind shop
	kill "$monitor"
	wait "$monitor" || true
	unshare -n "$tmp/bin/conmon" -c "$parent" conmon -n web2 &
	monitor=$!
	busywait $BUSYWAIT_TIMEOUT alone "$monitor" || die "unshare did not start"
	try_hint 3 "does not exist" bind podman:web2
	kill "$monitor"
	wait "$monitor" || true
	rm "$tmp/bin/conmon"
	log_test "what a user, or a container, says of itself is no name of root's"
}

not_of_the_packet()
{
	try 0 bind "$web"
	for expression in 'inbound and icmp' outbound 'ifname eth0'; do
		try_hint 6 "nothing has changed" gate "$web" drop --except "$expression"
	done
	try 0 release "$web"
	log_test "gate: an expression that asks for more than the packet is refused"
}

clock_set_back()
{
	local seconds

	try 0 bind "$web"
	"$command" top -d 1 -n 3 --json >"$tmp/top" &
	pid=$!
	busywait $BUSYWAIT_TIMEOUT test -s "$tmp/top" || check_err 1 "top says nothing"
	date -s '-1 hour' >/dev/null
	slowwait 120 have_ended "$pid" || check_err 1 "top stands still"
	date -s '+1 hour' >/dev/null
	end_jobs
	seconds=$(sed 's/.*"seconds": \([0-9]*\).*/\1/' "$tmp/top" | sort -n | tail -n 1)
	check_equal "looks" 3 "$(wc -l <"$tmp/top")"
	((seconds < 60)) || check_err 1 "it took $seconds s, it thinks"
	try 0 release "$web"
	rm "$tmp/top"
	log_test "top: a clock that is set back changes nothing"
}

# As systemd hands them over, and what they stand for.
instances()
{
	local follower instance name

	while read -r instance name; do
		start_follow --instance -- "$instance"
		says "waiting for namespace $name" || check_err 1 "$instance: $(<"$tmp/follow")"
		end_follow
	done <<-'END'
		cni-1 cni-1
		a-b a-b
		a\x2db a-b
		a@b a@b
		a\b 'a\\b'
		a\x20b 'a b'
		\xe5\x90\x8d 名
		lxc:cell lxc:cell
	END
	log_test "follow: names of instances of systemd"
}

# Where /proc has nothing but processes.
proc_of_processes()
{
	status=0
	# shellcheck disable=SC2016 # what that shell is to expand
	output=$(unshare -m bash -c 'mount -t proc -o subset=pid proc /proc || exit 99; "$0" list' "$command" 2>&1) || status=$?
	if ((status == 99)); then
		log_test_skip "a /proc with subset=pid is told to be one" "no such /proc"
		return
	fi
	check_equal "status" 5 "$status"
	[[ $output == *subset=pid* ]] || check_err 1 "not the reason: $output"
	log_test "a /proc with subset=pid is told to be one"
}

setup
tests_run
