# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The cases that bench-guest measures: how each is set up and taken down again.
# Sourced by bench-guest, whose variables it uses.
#
# shellcheck disable=SC2154

load_floor()
{
	insmod "$directory/bench-floor.ko" fd=9 "devices=$1" 9</run/netns/router
}

load()
{
	insmod "$directory/nsgate.ko" "$@"
}

# What is behind "tcpdump -ddd", in the form of the gate.
compile()
{
	tcpdump -ddd -y RAW "$1" | tr '\n' ,
}

gate()
{
	echo "$1" >"/proc/net/nsgate/$(inode_of router)/gate"
}

limit()
{
	echo "$1" >"/proc/net/nsgate/$(inode_of router)/limit"
}

# police ARGUMENT...: by tc, where limits of nsgate are charged.
police()
{
	local device way

	while read -r device way; do
		in_ns router tc qdisc add dev "$device" clsact
		in_ns router tc filter add dev "$device" "$way" matchall \
			action police "$@" conform-exceed drop/pass
	done <<-END
		r ingress
		t ingress
		d egress
	END
}

# The five hooks of IP, each with a chain of these rules.
nft_ip()
{
	local hook

	echo "table inet bench {"
	printf 'counter c_%s { }\n' tcp udp icmp sctp esp
	for hook in "${@:2}"; do
		echo "chain $hook { type filter hook $hook priority raw; $1; }"
	done
	echo "}"
}

nft_devices()
{
	local hook

	echo "table netdev bench {"
	printf 'counter c_%s { }\n' ip ip6 arp
	for hook in ingress egress; do
		echo "chain $hook { type filter hook $hook devices = { $2 } priority filter; $1; }"
	done
	echo "}"
}

nft_in()
{
	in_ns "$1" nft -f -
}

nft_flows()
{
	local hook

	cat <<-END
		table inet bench {
			set flows4 {
				typeof ip saddr . ip daddr . meta l4proto . th sport . th dport
				size 65536; flags dynamic; counter
			}
			set flows6 {
				typeof ip6 saddr . ip6 daddr . meta l4proto . th sport . th dport
				size 65536; flags dynamic; counter
			}
	END
	for hook in prerouting output; do
		cat <<-END
			chain $hook {
				type filter hook $hook priority raw;
				update @flows4 { ip saddr . ip daddr . meta l4proto . th sport . th dport }
				update @flows6 { ip6 saddr . ip6 daddr . meta l4proto . th sport . th dport }
			}
		END
	done
	echo "}"
}

# What nsgate counts: each protocol by itself, too.
by_protocol='counter; counter name meta l4proto map { tcp : "c_tcp", udp : "c_udp", icmp : "c_icmp",
	ipv6-icmp : "c_icmp", sctp : "c_sctp", esp : "c_esp" }'
by_type='counter; counter name meta protocol map { ip : "c_ip", ip6 : "c_ip6", arp : "c_arp" }'
all_hooks=(prerouting input forward output postrouting)
edge_hooks=(prerouting output)
drop_rules='ip saddr 192.0.2.10 tcp sport 22 drop; ip daddr 192.0.2.10 tcp dport 22 drop'

case_absent() { :; }
case_idle() { load; }
case_elsewhere() { load "inode=$(inode_of other)"; }
case_floor_ip() { load_floor 0; }
case_floor() { load_floor 1; }
case_meter_ip() { insmod "$directory/nsgate-ip.ko" "inode=$(inode_of router)" flows=0; }
case_meter() { load "inode=$(inode_of router)" flows=0; }
case_flows() { load "inode=$(inode_of router)"; }
case_flows_large() { load "inode=$(inode_of router)" flows=16384; }
case_gate_accept() { case_meter; gate accept; }
case_gate_except() { case_meter; gate "accept except $(compile "$excepted")"; }
case_gate_drop() { case_meter; gate "drop except $(compile 'udp port 9')"; }
case_gate_host() { case_meter; gate "drop except $(compile 'host 10.2.0.2 and udp port 9')"; }
# None of these is ever reached.
case_limit() { case_meter; limit "in rate 1000000000000 out rate 1000000000000"; }
case_limit_quota() { case_meter; limit "in quota 1000000000000 out quota 1000000000000"; }
case_limit_none() { case_limit; limit none; }
case_police() { police rate 100gbit burst 100m; }
case_nft_limit() { nft_devices "limit rate over 1000 mbytes/second drop" "r, t, d" | nft_in router; }
case_nft_quota() { nft_devices "quota over 1000000 mbytes drop" "r, t, d" | nft_in router; }
case_nft_host()
{
	{
		nft_ip "policy drop; ip daddr 10.2.0.2 udp dport 9 accept" "${edge_hooks[@]}"
		nft_devices "policy drop; ip daddr 10.2.0.2 udp dport 9 accept" "r, t, d"
	} | nft_in router
}

case_nft_elsewhere_ip() { nft_ip "" "${all_hooks[@]}" | nft_in other; }
case_nft_elsewhere() { case_nft_elsewhere_ip; nft_devices "" d | nft_in other; }
case_nft_ip() { nft_ip counter "${all_hooks[@]}" | nft_in router; }
case_nft_devices() { nft_devices counter "r, t, d" | nft_in router; }
case_nft() { case_nft_ip; case_nft_devices; }
case_nft_protocols_ip() { nft_ip "$by_protocol" "${all_hooks[@]}" | nft_in router; }
case_nft_protocols()
{
	case_nft_protocols_ip
	nft_devices "$by_type" "r, t, d" | nft_in router
}
case_nft_set() { nft_flows | nft_in router; }
case_nft_rules_ip() { nft_ip "$drop_rules" "${edge_hooks[@]}" | nft_in router; }
case_nft_rules() { case_nft_rules_ip; nft_devices "$drop_rules" "r, t, d" | nft_in router; }
case_nft_drop()
{
	{
		nft_ip "policy drop; udp dport 9 accept" "${edge_hooks[@]}"
		nft_devices "policy drop; udp dport 9 accept" "r, t, d"
	} | nft_in router
}

case_iptables()
{
	local command chain

	for command in iptables-legacy ip6tables-legacy; do
		for chain in "${all_hooks[@]}"; do
			in_ns router "$command" -t mangle -A "${chain^^}"
		done
	done
}

# A rule that nothing leads to is enough to have connections tracked.
case_conntrack()
{
	echo "table inet bench { chain unused { ct state new; }; }" | nft_in router
	in_ns router sysctl -qw net.netfilter.nf_conntrack_acct=1
	sysctl -qw net.netfilter.nf_conntrack_max=262144
}

# A program at each hook that counts packets in a map of its own, as long as
# its descriptors are open.
case_bpf()
{
	local answer

	coproc BPF { in_ns router "${0%-guest}-traffic" bpf; }
	read -r answer <&"${BPF[0]}"
	[[ $answer == attached ]] || die "bpf: $answer"
}

clean_up()
{
	local module

	in_ns router nft flush ruleset
	in_ns other nft flush ruleset
	if [[ $1 == police ]]; then
		in_ns router tc qdisc del dev r clsact
		in_ns router tc qdisc del dev t clsact
		in_ns router tc qdisc del dev d clsact
	fi
	if [[ $1 == iptables ]]; then
		in_ns router iptables-legacy -t mangle -F
		in_ns router ip6tables-legacy -t mangle -F
	fi
	if [[ $1 == bpf ]]; then
		kill "$BPF_PID"
		wait "$BPF_PID" || true
	fi
	for module in nsgate bench_floor iptable_mangle ip6table_mangle; do
		[[ ! -e /sys/module/$module ]] || rmmod "$module"
	done
}

# Case and the paths that it is measured on. Where one stands twice, the lower
# figure counts: some states of the kernel's memory make packets dear for a
# while, whoever looks at them.
cases()
{
	cat <<-END
		absent forward sockets many4 anew many6 sockets forward
		idle forward sockets forward
		elsewhere forward sockets forward
		nft_elsewhere_ip forward sockets forward
		nft_elsewhere forward sockets forward
		floor_ip forward sockets forward
		floor forward sockets many4 anew many6 forward
		meter_ip forward sockets forward
		meter forward sockets many4 anew many6 forward
		flows forward sockets many4 anew many6 forward
		flows_large forward many4 anew many6 forward
		gate_accept forward sockets forward
		gate_except forward sockets forward
		gate_drop forward
		gate_host forward4 forward4
		limit forward sockets forward
		limit_quota forward sockets forward
		limit_none forward sockets forward
		police forward sockets forward
		nft_limit forward sockets forward
		nft_quota forward sockets forward
		nft_host forward4 forward4
		nft_ip forward sockets forward
		nft_devices forward sockets forward
		nft forward sockets forward
		nft_protocols_ip forward sockets forward
		nft_protocols forward sockets forward
		nft_set forward sockets many4 anew many6 forward
		nft_rules_ip forward sockets forward
		nft_rules forward sockets forward
		nft_drop forward
		iptables forward sockets forward
		conntrack forward sockets many4 anew many6 forward
	END
	# Programs at netfilter's hooks are new in 6.4.
	[[ ! $(in_ns router "${0%-guest}-traffic" bpf </dev/null) == attached ]] ||
		echo bpf forward sockets forward
}
