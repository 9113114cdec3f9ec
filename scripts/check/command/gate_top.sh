# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034
#
# The gate and the screen, for guest.

# ---- the gate ----
# Answers each connection, at ports 22 and 80 of web.
serve()
{
	exec python3 -c '
import selectors, socket
selector = selectors.DefaultSelector()
for port in 22, 80:
    selector.register(socket.create_server(("", port)), selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        connection, _ = key.fileobj.accept()
        connection.sendall(b"hello\n")
        connection.close()'
}

# hello FROM PORT: whether a connection to web gets its answer.
hello()
{
	ip netns exec admin timeout "${3:-60}" python3 -c '
import socket, sys
with socket.create_connection(("10.9.1.1", int(sys.argv[2])), source_address=(sys.argv[1], 0)) as c:
    sys.exit(c.makefile().read() != "hello\n")' "$1" "$2" 2>/dev/null
}

gate_connections()
{
	local server before tcpdump

	ip netns exec web bash -c "$(declare -f serve); serve" &
	server=$!
	busywait "$BUSYWAIT_TIMEOUT" hello 10.9.1.9 22 >/dev/null || check_err 1 "no server"
	try 0 bind web
	try 0 gate web drop --except 'host 10.9.1.9 and tcp port 22'
	hello 10.9.1.9 22 || check_err $? "what is excepted does not pass"
	! hello 10.9.1.9 80 3 || check_err 1 "another port passes"
	! hello 10.9.1.8 22 3 || check_err 1 "another host passes"
	before=$(<"$HOST_VIEW/$web_inode/gate")
	tcpdump=$(tcpdump -ddd -y RAW 'host 10.9.1.9 and tcp prt 22' 2>&1) || true
	try 6 gate web drop --except 'host 10.9.1.9 and tcp prt 22'
	[[ $output == *"${tcpdump##*$'\n'}"* ]] || check_err 1 "not tcpdump's message: $output"
	check_equal "the gate" "${before%%$'\nexcepted'*}" \
		"$(sed '/^excepted/,$d' "$HOST_VIEW/$web_inode/gate")"
	hello 10.9.1.9 22 || check_err $? "it does not pass any more"
	try 0 gate web accept
	hello 10.9.1.8 80 || check_err $? "the gate is open, but nothing passes"
	kill $server
	wait $server || true
	log_test "gate: connections to the port that is excepted pass, others don't"
}

# ---- top ----
screen_shows()
{
	tmux capture-pane -p -t top >"$tmp/screen"
	grep -qE "$1" "$tmp/screen"
}

# traffic OPTION...: of ping.
traffic()
{
	ip netns exec admin ping -q "$@" 10.9.1.1 >/dev/null &
}

top_screen()
{
	try 0 bind web
	traffic -f -s 1000
	tmux new-session -d -s top -x 100 -y 24 'nsgate top web -d 1; echo "ended with $?"; sleep 10000'
	busywait "$BUSYWAIT_TIMEOUT" screen_shows "icmp +10.9.1.9 +10.9.1.1$" || check_err 1 "no flow on the screen"
	busywait "$BUSYWAIT_TIMEOUT" screen_shows " [1-9][0-9.]* [kM] .* prerouting +ipv4 +icmp$" ||
		check_err 1 "no rate on the screen"
	sed 's/^/# /' "$tmp/screen"
	tmux resize-window -t top -x 60 -y 12
	tmux send-keys -t top p
	busywait "$BUSYWAIT_TIMEOUT" screen_shows "sorted by packets" || check_err 1 "p does not sort by packets"
	check_equal "lines of the screen" 12 "$(wc -l <"$tmp/screen")"
	tmux send-keys -t top q
	busywait "$BUSYWAIT_TIMEOUT" screen_shows "ended with 0" || check_err 1 "q does not end it"
	tmux kill-server
	end_jobs
	log_test "top: on a screen of tmux"
}
