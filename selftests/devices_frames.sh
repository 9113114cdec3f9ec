#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Guards: docs/files.md, stats
#
# Frames of known number and kind count at ingress and egress as what they are,
# whatever their sender says. Nothing has an address here, so that nothing else is
# sent.

# shellcheck source=devices_lib.sh
source "$(dirname "$(realpath "$0")")/devices_lib.sh"

ALL_TESTS="arp_counts frames_count bypass_counts vlan_tags_do_not_hide
	stacked_vlans_count claims_are_not_believed claims_without_ethernet"

# A question for an address of the target is answered: 46 bytes in, because frames
# are padded, and 28 out.
arp_counts()
{
	local question

	new_target make_quiet
	ip -n "$target" addr add 10.9.1.1/24 dev v0
	begin
	question=$(frame arp)
	send send "$outside" p1 5 0806 "${question/0a090109/0a090101}"
	check_counted "5 230" ingress arp
	check_counted "5 210" egress arp
	check_counted "5 230" ingress all
	check_counted "5 210" egress all
	log_test "ARP: questions and answers count as arp"
}

frames_count()
{
	local class

	new_target make_quiet
	for class in "${!ethertype[@]}"; do
		begin
		send send "$outside" p1 7 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "7 322" ingress "$class"
		send send "$target" v0 9 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "9 540" egress "$class"
		check_counted "7 322" ingress all
		check_counted "9 540" egress all
	done
	log_test "frames count by what they are, and elsewhere in no row"
}

has_direct_egress()
{
	passes_egress "$target" v0 send bypass "$target" v0 1 88b5 "$(frame other)"
}

# Where Linux has an egress hook, such packets go through it as well.
bypass_counts()
{
	local class

	if [[ $covered != *" egress"* ]]; then
		log_test_skip "packet sockets that bypass the queue" "this kernel has no egress hook"
		return
	fi
	new_target make_quiet
	if ! has_direct_egress; then
		log_test_skip "packet sockets that bypass the queue" "they bypass egress here, by nft too"
		return
	fi
	for class in "${!ethertype[@]}"; do
		begin
		send bypass "$target" v0 6 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "6 360" egress "$class"
		check_counted "6 360" egress all
	done
	check_same_as_statistics
	log_test "packet sockets that bypass the queue count"
}

# The kernel takes the outermost tag off what comes in, before anybody sees it.
vlan_tags_do_not_hide()
{
	local class tags n

	for tags in 81000005 88a8000681000005 810000068100000581000004; do
		n=$((${#tags} / 8))
		for class in "${!ethertype[@]}"; do
			begin
			send send "$outside" p1 2 "${tags:0:4}" "$(frame "$class" $tags)"
			check_counted "2 $((2 * (46 + 4 * (n - 1))))" ingress "$class"
			send send "$target" v0 3 "${tags:0:4}" "$(frame "$class" $tags)"
			check_counted "3 $((3 * (60 + 4 * n)))" egress "$class"
			check_counted "2 $((2 * (46 + 4 * (n - 1))))" ingress all
			check_counted "3 $((3 * (60 + 4 * n)))" egress all
		done
	done
	begin
	send send "$target" v0 3 8100 "ffffffffffff02000000f00d8100"
	check_counted "3 42" egress other
	log_test "VLAN tags that are part of the frame do not hide what it is"
}

# Here the tag is no part of the frame, but told beside it.
stacked_vlans_count()
{
	local class

	new_target make_quiet
	header[vl0]=0 header[vl1]=0
	ip -n "$target" -batch - <<-END
		link add link v0 name vl0 type vlan proto 802.1ad id 6
		link add link vl0 name vl1 type vlan id 5
		link set vl0 up
		link set vl1 up
	END
	ip -n "$outside" link add link p1 name vl2 type vlan id 7
	ip -n "$outside" link set vl2 addrgenmode none
	ip -n "$outside" link set vl2 up
	for class in "${!ethertype[@]}"; do
		begin
		send send "$outside" vl2 2 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "2 92" ingress "$class"
		check_counted "2 92" ingress all
		# Once on each device; v0 finds the inner tag in the frame.
		send send "$target" vl1 3 "${ethertype[$class]}" "$(frame "$class")"
		check_counted "9 $((3 * (60 + 60 + 64)))" egress "$class"
		check_counted "9 $((3 * (60 + 60 + 64)))" egress all
	done
	log_test "VLAN devices: a frame counts once on each device, as what it is"
}

# What a packet socket says of its frame is not true by that: 0000 and 0003 are
# what sockets say that leave it to the kernel.
claims_are_not_believed()
{
	local class claim how=send

	new_target make_quiet
	! has_direct_egress || how=bypass
	while read -r class claim; do
		begin
		send send "$target" v0 2 "$claim" "$(frame "$class")"
		send $how "$target" v0 2 "$claim" "$(frame "$class")"
		check_counted "4 240" egress "$class"
		check_counted "4 240" egress all
	done <<-END
		ipv4 0806
		ipv4 86dd
		ipv4 88b5
		ipv4 8100
		ipv4 0000
		ipv6 0800
		ipv6 0003
		arp 0800
		arp 88b5
		other 0800
		other 86dd
		other 0806
	END
	log_test "a frame counts as what it is, whatever its sender says it is"
}

# There, IP tells its version. A device that builds no header can't carry ARP: a
# sender that says so isn't believed.
claims_without_ethernet()
{
	local class claim inside

	new_target make_quiet
	ip -n "$target" tuntap add dev tun0 mode tun
	ip -n "$target" link set tun0 up addrgenmode none
	while read -r class claim inside; do
		begin
		send send "$target" tun0 2 "$claim" "$(payload "$inside")"
		check_counted "2 92" egress "$class"
		check_counted "2 92" egress all
	done <<-END
		ipv4 0806 ipv4
		ipv4 86dd ipv4
		ipv6 0800 ipv6
		ipv6 88b5 ipv6
		other 0806 other
		other 0800 other
		other 86dd other
		other 88b5 other
	END
	log_test "without an Ethernet header, too, a frame counts as what it is"
}

setup
tests_run
