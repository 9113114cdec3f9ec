# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154,SC2034
#
# Prometheus and node_exporter, for guest.

# query EXPRESSION ARGUMENT...: what jq makes of the answer.
query()
{
	curl -sf --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query | jq "${@:2}"
}

# value_is EXPRESSION VALUE
value_is()
{
	[[ $(query "$1" -r '.data.result[0].value[1]') == "$2" ]]
}

start_prometheus()
{
	echo 'ARGS="--collector.disable-defaults --collector.textfile"' >/etc/default/prometheus-node-exporter
	cat >/etc/prometheus/prometheus.yml <<-END
		global:
		  scrape_interval: 10s
		  scrape_timeout: 10s
		  evaluation_interval: 5s
		rule_files: [/usr/share/nsgate/nsgate.rules.yml, /usr/share/nsgate/nsgate.fleet.yml]
		scrape_configs:
		- job_name: node
		  static_configs: [{targets: ["127.0.0.1:9100"]}]
		- job_name: nsgate
		  static_configs: [{targets: ["127.0.0.1:9798"]}]
	END
	silent "promtool check config" bash -c 'promtool check config /etc/prometheus/prometheus.yml >/dev/null'
	systemctl start nsgate-textfile.service nsgate-exporter.socket \
		prometheus-node-exporter.service prometheus.service || die "a service does not start"
}

# All counters of web that are not 0, as the kernel has them.
kernel_counters()
{
	awk 'NR > 1 && $3 != "all" { print $1, $2, $3, "packets", $4; print $1, $2, $3, "bytes", $5 }' \
		"$HOST_VIEW/$web_inode/stats" | sort
}

# prometheus_counters JOB: the same, as Prometheus has them.
prometheus_counters()
{
	query "{__name__=~\"nsgate_(packets|bytes)_total\",job=\"$1\",inode=\"$web_inode\"}" -r '.data.result[] |
		select(.value[1] != "0") | "\(.metric.hook) \(.metric.family) \(.metric.proto) \(
			.metric.__name__ | split("_")[1]) \(.value[1])"' | sort
}

same_counters()
{
	[[ $(prometheus_counters "$1") == "$(kernel_counters)" ]]
}

scrape()
{
	local job counters

	try 0 bind web
	ip netns exec admin ping -q -c 7 -i 0.1 10.9.1.1 >/dev/null || check_err $? "ping"
	start_prometheus
	for job in node nsgate; do
		slowwait 600 same_counters $job ||
			check_equal "counters by $job" "$(kernel_counters)" "$(prometheus_counters $job)"
	done
	counters=$(kernel_counters | wc -l)
	((counters >= 20)) || check_err 1 "only $counters counters"
	echo "# $counters counters of Prometheus are those of $HOST_VIEW/$web_inode/stats"
	log_test "Prometheus: by node_exporter and by the socket, it has the counters of /proc"
}

# has_answer EXPRESSION LEGEND: and each series of it has the labels that the
# legend names.
has_answer()
{
	query "$1" . >"$tmp/answer" || return
	jq -e --arg legend "$2" '[$legend | scan("{{([a-z_]+)}}")[0]] as $labels |
		.data.result | length > 0 and all(.metric | .[$labels[]])' <"$tmp/answer" >/dev/null
}

# What Grafana would ask of a dashboard, and what it would offer for the variables.
ask_dashboard()
{
	local expression legend n=0

	while IFS=$'\t' read -r expression legend; do
		expression=${expression//\$instance/.*}
		expression=${expression//\$netns/web}
		expression=${expression//\$__rate_interval/2m}
		slowwait 600 has_answer "$expression" "$legend" ||
			check_err 1 "no answer, or without the labels of '$legend': $expression: $(<"$tmp/answer")"
		n=$((n + 1))
	done < <(jq -r '(.panels[].targets[]? | [.expr, .legendFormat // ""]),
		(.templating.list[].query | strings // .query |
			capture("^label_values\\((?<expr>.*), (?<label>[a-z]+)\\)$") | [.expr, "{{\(.label)}}"]) |
		join("\t")' "$1")
	((n >= 12)) || check_err 1 "only $n queries are found"
	echo "# $n queries of ${1##*/} have an answer"
}

dashboard()
{
	ask_dashboard /usr/share/nsgate/nsgate.dashboard.json
	log_test "Grafana's dashboard: Prometheus answers each query, with its labels"
}

# With a pod that is over its limit, and a quota.
fleet()
{
	try 0 limit web --quota-in 1T
	call_plugin ADD shop-web admin '"egressRate": 8000, "quotaIn": "1T"' \
		"CNI_ARGS=K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0" >/dev/null || check_err $? "the plugin"
	try 0 gate web drop --except 'host 10.9.1.9'
	ip netns exec admin ping -q -i 0.2 -s 1400 10.9.1.1 >/dev/null &
	ip netns exec admin ping -q -i 0.2 -I 10.9.1.8 10.9.1.1 >/dev/null &
	ask_dashboard /usr/share/nsgate/nsgate.fleet.json
	end_jobs
	slowwait 600 has_answer 'nsgate_target_live{namespace="shop",pod="web-0"}' "" || check_err 1 "no labels of the pod"
	call_plugin DEL shop-web admin '"quotaIn": "1T"' || check_err $? "the plugin"
	try 0 gate web accept
	try 0 limit web none
	log_test "Grafana's page of a fleet: Prometheus answers each query, with its labels"
}

# alert_is NAME STATE SUMMARY
alert_is()
{
	curl -sf http://127.0.0.1:9090/api/v1/alerts |
		jq -e --arg name "$1" --arg state "$2" --arg summary "$3" '.data.alerts[] |
			select(.labels.alertname == $name and .state == $state and .annotations.summary == $summary)' >/dev/null
}

target_gone()
{
	local packets

	try 0 gate web drop
	traffic -i 0.01
	slowwait 600 alert_is NsgateGateDropping pending "The gate of web on 127.0.0.1:9100 drops packets" || check_err 1 "no alert that the gate drops"
	end_jobs
	ip netns delete web
	busywait "$BUSYWAIT_TIMEOUT" grep -qx "status gone" "$HOST_VIEW/$web_inode/state" || check_err 1 "web is not gone"
	read -r packets _ < <(stat_of "$HOST_VIEW/$web_inode/stats" prerouting ipv4 icmp)
	slowwait 600 alert_is NsgateTargetGone firing "Namespace web on 127.0.0.1:9100 is gone" || check_err 1 "no alert that web is gone"
	slowwait 600 value_is "nsgate_packets_total{job=\"node\",inode=\"$web_inode\",hook=\"prerouting\",family=\"ipv4\",proto=\"icmp\"}" "$packets" ||
		check_err 1 "the final figures are not there"
	try 0 release web
	slowwait 600 value_is "absent(nsgate_target_live{job=\"node\",inode=\"$web_inode\"})" 1 ||
		check_err 1 "it is there after its release"
	make_web
	plug_web
	log_test "Prometheus: alerts, and final figures until the release"
}

exporter_socket()
{
	local code

	systemctl start nsgate-exporter.socket || check_err $? "the socket does not start"
	try 0 bind web
	code=$(curl -s -o "$tmp/metrics" -w '%{http_code} %{content_type}' http://127.0.0.1:9798/metrics)
	check_equal "GET /metrics" "200 text/plain; version=0.0.4; charset=utf-8" "$code"
	promtool check metrics <"$tmp/metrics" || check_err $? "promtool check metrics"
	check_equal "GET /x" 404 "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9798/x)"
	check_equal "POST" 405 "$(curl -s -o /dev/null -w '%{http_code}' -d x=1 http://127.0.0.1:9798/metrics)"
	try 0 release web
	systemctl stop prometheus.service prometheus-node-exporter.service nsgate-textfile.service \
		nsgate-exporter.socket
	[[ ! -e /var/lib/prometheus/node-exporter/nsgate.prom ]] || check_err 1 "a textfile is left"
	check_equal "units that failed" "" "$(systemctl list-units --failed --plain --no-legend 'nsgate*')"
	log_test "nsgate-exporter.socket: answers, and all stops"
}
