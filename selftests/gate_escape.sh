#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, gate
#
# What the root of a gated namespace sends himself, and what is sent to him, by
# all ways that we know of. What gets past a closed gate all the same is in
# gate_escape_limits.sh.

# shellcheck source=gate_escape_lib.sh
source "$(dirname "$(realpath "$0")")/gate_escape_lib.sh"

ALL_TESTS="sockets ruleset_is_flushed chains_before_the_gate policy_routing
	fragments_and_options later_fragments_of_exceptions packet_sockets
	split_frames arp address_translation forged_source loopback
	loopback_excepted xfrm written_files"

sockets()
{
	attempt stopped "UDP" tenant udp "$foe" 4242 @
	attempt stopped "UDP of IPv6" tenant udp "$foe6" 4242 @
	attempt stopped "a raw socket" tenant raw tcp "$own" "$foe" 4242 @
	attempt stopped "a raw socket of IPv6" tenant raw tcp "$own6" "$foe6" 4242 @
	log_test "sockets: UDP and raw, IPv4 and IPv6, send nothing"

	watcher=tenant
	attempt stopped "UDP" friend udp "$own" 4242 @
	attempt stopped "UDP of IPv6" friend udp "$own6" 4242 @
	watcher=watch
	log_test "sockets: UDP, IPv4 and IPv6, receive nothing"
}

ruleset_is_flushed()
{
	tenant nft add table inet mine
	tenant nft flush ruleset
	tenant iptables -F
	tenant iptables -P OUTPUT ACCEPT
	tenant ip6tables -F
	attempt stopped "UDP" tenant udp "$foe" 4242 @
	attempt stopped "UDP of IPv6" tenant udp "$foe6" 4242 @
	log_test "nft flush ruleset and iptables -F change nothing"
}

chains_before_the_gate()
{
	local egress=

	has_hook egress && egress='chain e { type filter hook egress device t0 priority -2147483648; accept; }'
	tenant nft -f - <<-END
		table inet mine {
			chain prerouting { type filter hook prerouting priority -2147483648; accept; }
			chain input { type filter hook input priority -2147483648; accept; }
			chain output { type filter hook output priority -2147483648; accept; }
			chain postrouting { type filter hook postrouting priority -2147483648; accept; }
		}
		table netdev mine {
			chain i { type filter hook ingress device t0 priority -2147483648; accept; }
			$egress
		}
	END
	attempt stopped "UDP" tenant udp "$foe" 4242 @
	attempt stopped "UDP of IPv6" tenant udp "$foe6" 4242 @
	watcher=tenant
	attempt stopped "UDP that comes in" friend udp "$own" 4242 @
	attempt stopped "UDP of IPv6 that comes in" friend udp "$own6" 4242 @
	watcher=watch
	tenant nft flush ruleset
	log_test "chains of nft that accept all, before the gate in every hook"
}

policy_routing()
{
	ip -n "$target" -batch - <<-END
		addr add 10.9.1.99/24 dev t0
		route add default via 10.9.2.10 dev t1 table 99
		rule add from 10.9.1.99 table 99
	END
	attempt stopped "from another address by the other device" \
		tenant raw udp 10.9.1.99 "$foe" 4242 @
	ip -n "$target" rule del from 10.9.1.99 table 99
	attempt stopped "from another address" tenant raw udp 10.9.1.99 "$foe" 4242 @
	attempt stopped "by the other device" tenant udp 10.9.2.10 4242 @
	attempt stopped "by the other device, IPv6" tenant udp fd09:2::a 4242 @
	ip -n "$target" addr del 10.9.1.99/24 dev t0
	log_test "policy routing, another device and another address"
}

# With an exception in force, so that there is a program to be fooled.
fragments_and_options()
{
	local kind

	closed="drop except $excepted"
	for kind in fragments tiny later options tunnel; do
		attempt stopped "$kind" tenant raw $kind "$own" "$foe" 4242 @
		at_egress "$kind in frames" tenant frame t0 queue 0800 0800 $kind "$own" "$foe" 4242 @
	done
	closed="drop except $excepted6"
	for kind in fragments tiny later hop; do
		attempt stopped "$kind of IPv6" tenant raw $kind "$own6" "$foe6" 4242 @
		at_egress "$kind of IPv6 in frames" \
			tenant frame t0 queue 86dd 86dd $kind "$own6" "$foe6" 4242 @
	done
	closed=drop
	log_test "fragments, tiny ones, IP options and extension headers"
}

# A filter with ports can't know what a later fragment belongs to.
later_fragments_of_exceptions()
{
	closed="drop except $excepted"
	attempt stopped "a later fragment" tenant raw later "$own" "$friend" 4242 @
	attempt stopped "a later fragment behind a tiny one" \
		tenant raw tiny "$own" "$friend" 4242 @
	attempt passes "the same with options" tenant raw options "$own" "$friend" 4242 @
	closed=drop
	log_test "of an excepted packet's fragments only the first one passes"
}

packet_sockets()
{
	local how at

	for how in queue bypass; do
		[[ $how == queue ]] && at=at_egress || at=at_direct_egress
		$at "IPv4" tenant frame t0 $how 0800 0800 udp "$own" "$foe" 4242 @
		$at "IPv6" tenant frame t0 $how 86dd 86dd udp "$own6" "$foe6" 4242 @
		$at "VLAN" tenant frame t0 $how 8100 8100.0800 udp "$own" "$foe" 4242 @
		$at "QinQ" tenant frame t0 $how 88a8 88a8.8100.0800 udp "$own" "$foe" 4242 @
		$at "SNAP" tenant frame t0 $how 0004 length udp "$own" "$foe" 4242 @
		$at "text" tenant frame t0 $how 88b5 88b5 text "$own" "$foe" 4242 @
		log_test "packet socket, $how: IP, with VLAN tags and SNAP too, and text"

		closed="drop except $excepted"
		$at "IP that is said to be ARP" \
			tenant frame t0 $how 0806 0800 udp "$own" "$foe" 4242 @
		$at "IP that is said to be nothing" \
			tenant frame t0 $how 0000 0800 udp "$own" "$foe" 4242 @
		$at "text that is said to be ARP" \
			tenant frame t0 $how 0806 88b5 text "$own" "$foe" 4242 @
		$at "IPv6 in a VLAN that is said to be ARP" \
			tenant frame t0 $how 0806 8100.86dd udp "$own6" "$foe6" 4242 @
		$at "an excepted packet in a frame of the other family" \
			tenant frame t0 $how 86dd 86dd udp "$own" "$friend" 4242 @
		closed=drop
		log_test "packet socket, $how: that lies about the protocol"
	done
}

# The program has to see what is not in the linear part of the skb.
split_frames()
{
	tenant ip link set t0 mtu 9000
	in_ns "$outside" ip link set n0 mtu 9000
	closed="drop except $excepted"
	at_egress "a frame in parts" tenant frame t0 split 0800 0800 udp "$own" "$foe" 4242 @
	attempt passes "an excepted one" tenant frame t0 split 0800 0800 udp "$own" "$friend" 4242 @
	closed="accept except $(program "dst host $foe and udp port 4242")"
	at_egress "a frame in parts" tenant frame t0 split 0800 0800 udp "$own" "$foe" 4242 @
	at_egress "a frame in parts with a VLAN tag" \
		tenant frame t0 split 8100 8100.0800 udp "$own" "$foe" 4242 @
	# The kernel looks for a tag, and makes it linear, if it is told of one.
	at_egress "a frame in parts with a VLAN tag that nobody told of" \
		tenant frame t0 split 88b5 8100.0800 udp "$own" "$foe" 4242 @
	closed=drop
	log_test "frames whose headers are not in the linear part"
}

# Excepted flows need it.
arp()
{
	at_egress "ARP" tenant frame t0 queue 0806 0806 arp "$own" "$foe" 4242 @
	log_test "ARP is dropped by drop alone"

	closed="drop except $excepted"
	attempt passes "ARP" tenant frame t0 queue 0806 0806 arp "$own" "$foe" 4242 @
	closed=drop
	log_test "known limit: with an exception, ARP passes, with whatever is in it"
}

# An excepted packet is to become another one behind the gate.
address_translation()
{
	closed="drop except $excepted"
	to=/$friend
	attempt passes "an excepted packet" tenant udp "$friend" 4242 @
	to=/$foe
	tenant nft -f - <<-END
		table ip mine {
			chain output {
				type nat hook output priority -100;
				ip daddr $friend dnat to $foe
			}
		}
	END
	attempt stopped "with another destination by dnat" tenant udp "$friend" 4242 @
	tenant nft flush ruleset
	tenant nft -f - <<-END
		table ip mine {
			chain postrouting {
				type filter hook postrouting priority 2147483647;
				ip daddr $friend ip daddr set $foe
			}
		}
	END
	at_egress "with another destination, at the very end" tenant udp "$friend" 4242 @
	tenant nft flush ruleset
	to=
	closed=drop
	log_test "excepted packets that nft sends elsewhere"
}

# "host A" is true of source and destination.
forged_source()
{
	closed="drop except $excepted"
	attempt passes "from a forged address" tenant raw udp "$friend" "$foe" 4242 @
	log_test "known limit: an exception that names one end lets it be forged"

	closed="drop except $(program "host $own and host $friend and udp port 4242")"
	attempt stopped "from a forged address" tenant raw udp "$friend" "$foe" 4242 @
	attempt passes "an excepted packet" tenant udp "$friend" 4242 @
	closed=drop
	log_test "an exception that names both ends can't be forged"
}

loopback()
{
	watcher=tenant
	attempt stopped "127.0.0.1" tenant udp 127.0.0.1 4242 @
	attempt stopped "::1" tenant udp ::1 4242 @
	attempt stopped "our own address" tenant udp "$own" 4242 @
	watcher=watch
	log_test "loopback is cut off as well"
}

# What is rewritten on its way from loopback, or to it, isn't of the exception where the
# namespace ends.
loopback_excepted()
{
	closed="drop except $(program "$loopback_only")"
	watcher=tenant
	attempt passes "127.0.0.1" tenant udp 127.0.0.1 4242 @
	attempt passes "::1" tenant udp ::1 4242 @
	attempt stopped "our own address" tenant udp "$own" 4242 @
	watcher=watch
	log_test "loopback goes on with its exception"

	tenant sysctl -qw net.ipv4.conf.all.route_localnet=1
	tenant nft -f - <<-END
		table ip from_loopback {
			chain output {
				type nat hook output priority -100
				ip daddr 127.0.0.1 udp dport 4243 dnat to $foe:4242
			}
			chain postrouting {
				type nat hook postrouting priority 100
				ip daddr $foe snat to $own
			}
			chain prerouting {
				type nat hook prerouting priority -100
				ip daddr $own udp dport 4243 dnat to 127.0.0.1:4242
			}
		}
	END
	watcher=tenant
	attempt stopped "what is rewritten to it" friend udp "$own" 4243 @
	watcher=watch
	attempt stopped "what is rewritten from it" tenant udp 127.0.0.1 4243 @
	tenant nft delete table ip from_loopback
	tenant sysctl -qw net.ipv4.conf.all.route_localnet=0
	closed=drop
	log_test "what is rewritten from loopback, or to it, is stopped"
}

# What is inside is decrypted behind the hook of the device.
xfrm()
{
	local ns

	for ns in "$target" "$outside"; do
		ip -n "$ns" -batch - <<-END
			xfrm state add src $friend dst $own proto esp spi 0x6e67 mode transport enc cipher_null "" auth hmac(sha256) 0x$(printf '%064x' 7)
		END
	done
	ip -n "$outside" xfrm policy add src "$friend" dst "$own" dir out \
		tmpl proto esp mode transport
	ip -n "$target" xfrm policy add src "$friend" dst "$own" dir in \
		tmpl proto esp mode transport level use
	closed="drop except $(program "esp or ip proto 50")"
	watcher=tenant
	attempt stopped "what was encrypted" friend udp "$own" 4242 @
	watcher=watch
	closed=drop
	for ns in "$target" "$outside"; do
		ip -n "$ns" xfrm policy flush
		ip -n "$ns" xfrm state flush
	done
	log_test "what IPsec decrypts is judged again"
}

# Root can open nearly everything; what counts is that it has no effect.
written_files()
{
	local file before

	gate "drop except $excepted # mine"
	before=$(<"$gate")
	in_ns "$target" bash -s -- "$target_inode" >/dev/null 2>&1 <<-'END'
		for file in /proc/net/nsgate /proc/net/nsgate/* /proc/1/net/nsgate/* /proc/1/net/nsgate/$1/*; do
			for line in accept "-$1" ""; do
				echo "$line" >$file
			done
		done
		for file in $(find /sys/module/nsgate -type f); do
			for line in "-$1" "" accept 1; do
				echo "$line" >$file
			done
		done
		echo accept >/proc/net/nsgate/gate
		mkdir /proc/net/nsgate/$1
		rm -f /proc/1/net/nsgate/$1/gate
		true
	END
	check_equal "the gate" "${before%excepted*}" "$(sed '/^excepted/,$d' "$gate")"$'\n'
	check_equal "the target" "$target_inode" "$(<$INODE_PARAM)"
	log_test "nothing can be written under /proc/net/nsgate and /sys/module/nsgate"
}

setup
tests_run
