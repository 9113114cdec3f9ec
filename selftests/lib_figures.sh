# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Figures that are awaited and compared, for lib.sh.

says()
{
	local found

	found=$("${@:2}")
	echo "$found"
	[[ $found == "$1" ]]
}

# check_reaches EXPECTED WHAT COMMAND...: that COMMAND says so, sooner or later: a
# packet that was sent is still on its way for a while. What has failed has
# failed, and waits no more.
check_reaches()
{
	local found status=0

	((RET == 0)) || return 0
	found=$(busywait 20000 says "$1" "${@:3}") || status=$?
	check_err $status "$2: expected $1, found $found"
}

# Nothing may count between two readings, or they can't be compared.
same_figures()
{
	local expected found again

	found=$($2)
	expected=$($1)
	again=$($2)
	diff -U 0 <(echo "$expected") <(echo "$found") && [[ $found == "$again" ]]
}

# check_same_figures WHAT EXPECTED FOUND: that two commands, each given as a line
# of words, come to say the same.
check_same_figures()
{
	local difference status=0

	difference=$(busywait 30000 same_figures "$2" "$3") || status=$?
	check_err $status "$1 (-) and nsgate (+) differ: $difference"
}

# ---- what the kernel can do ----

# passes_egress NAMESPACE DEVICE COMMAND...: whether nft sees there what COMMAND sends.
# What sockets send past queues goes there since egress is in Linux, but not in
# the kernels that Red Hat calls 5.14.
passes_egress()
{
	local sees=1

	in_ns "$1" nft "add table netdev seen; add chain netdev seen egress {
		type filter hook egress device $2 priority 0; }
		add rule netdev seen egress counter" 2>/dev/null || return
	"${@:3}"
	in_ns "$1" nft list table netdev seen | grep -q 'counter packets 0 ' || sees=0
	in_ns "$1" nft delete table netdev seen
	return $sees
}

# ---- what the namespace itself counts ----

# The figures that /proc/net/snmp, netstat and snmp6 of namespace $1 have for
# hooks of ours, by the kernel's names.
snmp()
{
	local name value i
	local -a names values

	while read -r name value; do
		if [[ $name != Ip: && $name != IpExt: ]]; then
			[[ $name != Ip6@(InReceives|InOctets|OutRequests) ]] || echo "$name $value"
			continue
		fi
		read -ra names <<<"$value"
		read -r _ value
		read -ra values <<<"$value"
		for i in "${!names[@]}"; do
			[[ ${names[i]} != @(InReceives|InOctets|OutRequests) ]] ||
				echo "Ip${names[i]} ${values[i]}"
		done
	done < <(in_ns "$1" cat /proc/net/snmp /proc/net/netstat /proc/net/snmp6)
}

# The same from the stats file $1.
snmp_of_stats()
{
	local hook family proto packets bytes
	local -A all

	while read -r hook family proto packets bytes _; do
		[[ $proto != all ]] || all[$hook $family]="$packets $bytes"
	done <"$1"
	echo "IpInReceives ${all[prerouting ipv4]% *}"
	echo "IpOutRequests ${all[output ipv4]% *}"
	echo "IpInOctets ${all[prerouting ipv4]#* }"
	echo "Ip6InReceives ${all[prerouting ipv6]% *}"
	echo "Ip6OutRequests ${all[output ipv6]% *}"
	echo "Ip6InOctets ${all[prerouting ipv6]#* }"
}

# check_same_as_snmp NAMESPACE FILE: for a namespace that was bound when it was
# new, and doesn't forward: before Linux 6.7, what it forwards is in
# IpOutRequests.
check_same_as_snmp()
{
	check_same_figures "$1: snmp" "snmp $1" "snmp_of_stats $2"
}
