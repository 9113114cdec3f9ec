# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034
#
# What is installed, for guest: units, manual pages, completion, rules.

units()
{
	silent "systemd-analyze verify" systemd-analyze verify /usr/lib/systemd/system/nsgate*
	log_test "units: systemd-analyze has nothing against them"
}

manual()
{
	local page

	for page in nsgate nsgate-cni; do
		silent mandoc mandoc -T lint -W warning /usr/share/man/man8/$page.8
		silent man bash -c "man --warnings $page >/dev/null"
		man $page | grep -q '^EXIT STATUS' || check_err 1 "man does not show $page"
	done
	log_test "manual: mandoc and man have nothing against it"
}

# complete_line WORD...: what bash would offer for the last, sorted, in $offer.
complete_line()
{
	offer=$(bash -c 'source /usr/share/bash-completion/bash_completion
		source /usr/share/bash-completion/completions/nsgate
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
		_nsgate
		printf "%s\n" "${COMPREPLY[@]}"' bash "$@" | sort | xargs)
}

completion()
{
	complete_line nsgate re
	check_equal "nsgate re" "release" "$offer"
	complete_line nsgate bind w
	check_equal "nsgate bind w" "web" "$offer"
	complete_line nsgate gate web ''
	check_equal "nsgate gate web" "accept drop" "$offer"
	complete_line nsgate gate web drop --
	check_equal "nsgate gate web drop --" "--dry-run --except --help --json --log --loopback" "$offer"
	log_test "completion: commands, namespaces, options"
}

rules()
{
	local said

	said=$(promtool check rules /usr/share/nsgate/nsgate.rules.yml 2>&1) || check_err $? "$said"
	[[ $said == *"SUCCESS: 8 rules found"* ]] || check_err 1 "$said"
	said=$(promtool check rules /usr/share/nsgate/nsgate.fleet.yml 2>&1) || check_err $? "$said"
	[[ $said == *"SUCCESS: 8 rules found"* ]] || check_err 1 "$said"
	said=$(promtool test rules "$top"/scripts/check/{rules,fleet}_test.yml 2>&1) || check_err $? "$said"
	jq -e '.panels | length > 5' /usr/share/nsgate/nsgate.{dashboard,fleet}.json >/dev/null ||
		check_err 1 "a dashboard is no JSON"
	# A label that looks like a number is shown in the unit of its table: 4.03 Bil for an inode.
	jq -e 'all(.panels[] | select(.type == "table" and (.targets[0].expr | contains("_info")));
		.fieldConfig.defaults.unit == "string")' /usr/share/nsgate/nsgate.dashboard.json >/dev/null ||
		check_err 1 "a table of labels has a unit of numbers"
	try 0 bind web
	try 0 limit web --in 1gbit --quota-out 1T
	try 0 metrics
	silent "promtool check metrics" promtool check metrics <<<"$output"
	# Each metric of the dashboards and the rules is one that there is, but those that
	# rules record, which have colons.
	grep -ohP '(?<![:a-z_])nsgate_[a-z_]+(?!:)\b' /usr/share/nsgate/* | sort -u | while read -r name; do
		grep -q "^# TYPE $name " <<<"$output" || echo "$name"
	done >"$tmp/unknown"
	check_equal "metrics that there are not" "" "$(<"$tmp/unknown")"
	try 0 release web
	log_test "rules, dashboard, metrics: promtool has nothing against them"
}
