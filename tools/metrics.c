// SPDX-License-Identifier: GPL-2.0-only
/* The text format of Prometheus. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "show.h"

enum metric {
	PACKETS, BYTES, DROPPED_PACKETS, DROPPED_BYTES,
	FLOW_EVICTIONS, FLOW_ENTRIES, FLOW_CAPACITY,
	GATE_EXCEPTED, GATE_DROPPED, GATE_UNLOGGED, GATE_DROP,
	LIMIT_RATE, LIMIT_BURST, LIMIT_QUOTA, LIMIT_USED, LIMIT_OVER_PACKETS, LIMIT_OVER_BYTES,
	PRECEDED, TC, AF_XDP_SOCKETS, XDP,
	DEVICES, BOUND_SECONDS, LIVE, INFO,
	METRICS
};

#define COUNTER "counter"
#define GAUGE "gauge"

static const struct {
	const char *name, *type, *help;
} metrics[METRICS] = {
	[PACKETS] = { "nsgate_packets_total", COUNTER,
		"Packets that passed a hook of the namespace." },
	[BYTES] = { "nsgate_bytes_total", COUNTER,
		"Bytes of the packets that passed a hook." },
	[DROPPED_PACKETS] = { "nsgate_dropped_packets_total", COUNTER,
		"Packets that the gate or the limit dropped at a hook." },
	[DROPPED_BYTES] = { "nsgate_dropped_bytes_total", COUNTER,
		"Bytes of the packets that the gate or the limit dropped." },
	[FLOW_EVICTIONS] = { "nsgate_flow_evictions_total", COUNTER,
		"Times that a flow lost its entry in the flow table, or was refused one." },
	[FLOW_ENTRIES] = { "nsgate_flow_entries", GAUGE,
		"Entries of the flow table in use." },
	[FLOW_CAPACITY] = { "nsgate_flow_capacity", GAUGE,
		"Entries of the flow table." },
	[GATE_EXCEPTED] = { "nsgate_gate_excepted_packets_total", COUNTER,
		"Packets that the exception of the gate matched." },
	[GATE_DROPPED] = { "nsgate_gate_dropped_packets_total", COUNTER,
		"Packets that the gate dropped, or would have dropped in a dry run." },
	[GATE_UNLOGGED] = { "nsgate_gate_unlogged_packets_total", COUNTER,
		"Packets dropped that the log left out." },
	[GATE_DROP] = { "nsgate_gate_drop", GAUGE,
		"Whether the policy of the gate is to drop." },
	[LIMIT_RATE] = { "nsgate_limit_rate_bytes", GAUGE,
		"Bytes a second that the family may receive (in) or send (out)." },
	[LIMIT_BURST] = { "nsgate_limit_burst_bytes", GAUGE,
		"Bytes that may pass at once." },
	[LIMIT_QUOTA] = { "nsgate_limit_quota_bytes", GAUGE,
		"Bytes that may pass in all." },
	[LIMIT_USED] = { "nsgate_limit_used_bytes", GAUGE,
		"Bytes that passed since the limit was set." },
	[LIMIT_OVER_PACKETS] = { "nsgate_limit_over_packets_total", COUNTER,
		"Packets over the limit: dropped, or in a dry run to be dropped." },
	[LIMIT_OVER_BYTES] = { "nsgate_limit_over_bytes_total", COUNTER,
		"Bytes of the packets over the limit." },
	[PRECEDED] = { "nsgate_preceded", GAUGE,
		"Hooks of others that stand before those of nsgate." },
	[TC] = { "nsgate_tc_devices", GAUGE,
		"Devices with a program or qdisc of tc that may lead packets past hooks." },
	[AF_XDP_SOCKETS] = { "nsgate_af_xdp_sockets", GAUGE,
		"AF_XDP sockets, whose packets pass no hook." },
	[XDP] = { "nsgate_xdp_devices", GAUGE,
		"Devices with an XDP program, which sees packets before any hook." },
	[DEVICES] = { "nsgate_target_devices", GAUGE,
		"Network devices of the namespace." },
	[BOUND_SECONDS] = { "nsgate_target_bound_seconds", GAUGE,
		"Seconds since it was bound; until it died, if it is gone." },
	[LIVE] = { "nsgate_target_live", GAUGE,
		"Whether the namespace lives; its last figures stay until it is released." },
	[INFO] = { "nsgate_target_info", GAUGE,
		"What the target is like, in labels." },
};

/* The samples of all metrics so far, and the labels of the target. */
struct samples {
	struct text texts[METRICS];
	struct text labels;
};

static void start_sample(struct samples *samples, enum metric metric)
{
	struct text *text = &samples->texts[metric];

	text_puts(text, metrics[metric].name);
	text_add(text, "{", 1);
	text_add(text, samples->labels.s, samples->labels.length);
}

static void end_sample(struct samples *samples, enum metric metric, uint64_t value)
{
	struct text *text = &samples->texts[metric];

	text_add(text, "} ", 2);
	text_putu(text, value);
	text_add(text, "\n", 1);
}

static void add_sample(struct samples *samples, enum metric metric, uint64_t value)
{
	start_sample(samples, metric);
	end_sample(samples, metric, value);
}

static void add_counter(struct samples *samples, enum metric metric, const struct counter *counter,
			uint64_t value)
{
	struct text *text = &samples->texts[metric];

	start_sample(samples, metric);
	text_puts(text, ",hook=\"");
	text_puts(text, counter->hook);
	text_puts(text, "\",family=\"");
	text_puts(text, counter->family);
	text_puts(text, "\",proto=\"");
	text_puts(text, counter->proto);
	text_add(text, "\"", 1);
	end_sample(samples, metric, value);
}

static void add_row(struct samples *samples, const struct counter *counter)
{
	add_counter(samples, PACKETS, counter, counter->packets);
	add_counter(samples, BYTES, counter, counter->bytes);
	add_counter(samples, DROPPED_PACKETS, counter, counter->dropped);
	add_counter(samples, DROPPED_BYTES, counter, counter->dropped_bytes);
}

static bool has_row(const struct target *target, const struct counter *all, const char *proto)
{
	size_t i;

	for (i = 0; i < target->counters_count; i++) {
		const struct counter *c = &target->counters[i];

		if (!strcmp(c->proto, proto) && !strcmp(c->hook, all->hook) &&
		    !strcmp(c->family, all->family))
			return true;
	}
	return false;
}

/* A series begins with 0, so that its first packets are an increase. */
static void add_empty_rows(struct samples *samples, const struct target *target,
			   const struct counter *all)
{
	static const char *const of_ip[] = { "tcp", "udp", "icmp", "sctp", "esp", "other", NULL };
	static const char *const of_devices[] = { "ipv4", "ipv6", "arp", "other", NULL };
	const char *const *proto = strcmp(all->family, "netdev") ? of_ip : of_devices;

	for (; *proto; proto++) {
		const struct counter empty = {
			.hook = all->hook,
			.family = all->family,
			.proto = *proto,
		};

		if (!has_row(target, all, *proto))
			add_row(samples, &empty);
	}
}

/* "all" would count twice in sums. */
static void add_counters(struct samples *samples, const struct target *target)
{
	size_t i;

	for (i = 0; i < target->counters_count; i++) {
		if (!strcmp(target->counters[i].proto, "all"))
			add_empty_rows(samples, target, &target->counters[i]);
		else
			add_row(samples, &target->counters[i]);
	}
}

/* A text of the kernel's, if it is a number, or ">N" for more than N. */
static void add_text(struct samples *samples, enum metric metric, const char *value)
{
	uint64_t number;

	if (value && parse_u64(value + (*value == '>'), &number))
		add_sample(samples, metric, number);
}

static void add_direction(struct samples *samples, const char *direction,
			  const struct limit_side *side)
{
	size_t length = samples->labels.length;

	text_printf(&samples->labels, ",direction=\"%s\"", direction);
	add_text(samples, LIMIT_RATE, side->rate);
	add_text(samples, LIMIT_BURST, side->burst);
	add_text(samples, LIMIT_QUOTA, side->quota);
	add_sample(samples, LIMIT_USED, side->used);
	add_sample(samples, LIMIT_OVER_PACKETS, side->over_packets);
	add_sample(samples, LIMIT_OVER_BYTES, side->over_bytes);
	samples->labels.length = length;
}

static void set_labels(struct samples *samples, const struct target *target,
		       struct records *records)
{
	const char *name = records_name(records, target);
	struct text *labels = &samples->labels;
	char *namespace, *pod;

	labels->length = 0;
	text_puts(labels, "inode=\"");
	text_putu(labels, target->inode);
	text_puts(labels, "\",cookie=\"");
	text_putu(labels, target->cookie);
	text_puts(labels, "\",netns=");
	text_label(labels, name);
	if (!records_pod(records, target->cookie, &namespace, &pod))
		return;
	text_puts(labels, ",namespace=");
	text_label(labels, namespace);
	text_puts(labels, ",pod=");
	text_label(labels, pod);
	free(namespace);
	free(pod);
}

static void add_info(struct samples *samples, const struct target *target)
{
	text_printf(&samples->labels, ",status=\"%s\",policy=", target->live ? "live" : "gone");
	if (target->gate.dry) {
		struct text policy = { };

		text_printf(&policy, "dry %s", target->gate.policy);
		text_label(&samples->labels, policy.s);
		text_free(&policy);
	} else {
		text_label(&samples->labels, target->gate.policy);
	}
	if (target->parent) {
		text_puts(&samples->labels, ",parent=");
		text_label(&samples->labels, target->parent);
	}
	if (target->limit.mode) {
		text_puts(&samples->labels, ",limit=");
		text_label(&samples->labels, target->limit.mode);
	}
	add_sample(samples, INFO, 1);
}

static void add_target(struct samples *samples, const struct target *target,
		       struct records *records)
{
	const struct gate *gate = &target->gate;

	set_labels(samples, target, records);
	add_counters(samples, target);
	add_sample(samples, FLOW_EVICTIONS, target->flow_evicted);
	add_sample(samples, FLOW_ENTRIES, target->flow_entries);
	add_sample(samples, FLOW_CAPACITY, target->flow_capacity);
	add_sample(samples, GATE_EXCEPTED, gate->excepted);
	add_sample(samples, GATE_DROPPED, gate->dropped);
	if (gate->has_log)
		add_sample(samples, GATE_UNLOGGED, gate->unlogged);
	add_sample(samples, GATE_DROP, !gate->dry && !strcmp(gate->policy, "drop"));
	if (limit_is_set(&target->limit)) {
		add_direction(samples, "in", &target->limit.in);
		add_direction(samples, "out", &target->limit.out);
	}
	add_text(samples, PRECEDED, target->preceded);
	add_text(samples, TC, target->tc);
	add_text(samples, AF_XDP_SOCKETS, target->af_xdp);
	add_text(samples, XDP, target->xdp);
	add_sample(samples, DEVICES, target->devices);
	add_sample(samples, BOUND_SECONDS, target->bound_seconds);
	add_sample(samples, LIVE, target->live);
	add_info(samples, target);
}

static void start_metric(struct text *text, const char *name, const char *type, const char *help)
{
	text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_auto(struct text *text)
{
	struct autobind state;

	if (!kernel_read_auto(&state))
		return;
	start_metric(text, "nsgate_born_total", COUNTER,
		     "Namespaces that were bound when they were made.");
	text_printf(text, "nsgate_born_total %" PRIu64 "\n", state.born);
	start_metric(text, "nsgate_missed_total", COUNTER,
		     "Namespaces that should have been bound when they were made, and could not be.");
	text_printf(text, "nsgate_missed_total %" PRIu64 "\n", state.missed);
	start_metric(text, "nsgate_auto_info", GAUGE,
		     "Which namespaces are bound when they are made, in a label.");
	text_puts(text, "nsgate_auto_info{mode=");
	text_label(text, state.mode);
	text_puts(text, "} 1\n");
}

static void add_targets(struct text *text)
{
	struct samples samples = { };
	struct strings directories;
	struct records records;
	struct target target;
	size_t i;

	records_read(&records);
	kernel_list_targets(&directories);
	for (i = 0; i < directories.count; i++) {
		if (!target_read(&target, directories.s[i], READ_ALL))
			continue;
		add_target(&samples, &target, &records);
		target_free(&target);
	}
	for (i = 0; i < METRICS; i++) {
		if (samples.texts[i].length) {
			start_metric(text, metrics[i].name, metrics[i].type, metrics[i].help);
			text_add(text, samples.texts[i].s, samples.texts[i].length);
		}
		text_free(&samples.texts[i]);
	}
	text_free(&samples.labels);
	strings_free(&directories);
	records_write(&records);
	records_free(&records);
}

void metrics_text(struct text *text)
{
	bool up = kernel_loaded();

	start_metric(text, "nsgate_up", GAUGE, "Whether the module nsgate is loaded.");
	text_printf(text, "nsgate_up %d\n", up);
	if (!up)
		return;
	add_targets(text);
	add_auto(text);
}

int command_metrics(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct text text = { };

	while (next_option(argc, argv, ":h", options) >= 0)
		;
	count_arguments(argc, argv, 0, 0, "");
	kernel_check(command_name);
	metrics_text(&text);
	fwrite(text.s, 1, text.length, stdout);
	text_free(&text);
	return EXIT_DONE;
}
