// SPDX-License-Identifier: GPL-2.0-only
/* Columns and keys that we don't know are left out: a newer module may have some. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

static bool next_number(char **rest, uint64_t *number)
{
	char *word = next_word(rest);

	return word && parse_u64(word, number);
}

static int compare_inodes(const void *a, const void *b)
{
	const struct namespace *const *x = a, *const *y = b;

	return ((*x)->inode > (*y)->inode) - ((*x)->inode < (*y)->inode);
}

void parse_namespaces(struct namespaces *namespaces, char *text)
{
	size_t i, room = 0;
	char *line, *bound;

	*namespaces = (struct namespaces){ };
	while ((line = next_line(&text))) {
		uint64_t inode, cookie, devices;

		if (!next_number(&line, &inode) || inode > UINT32_MAX ||
		    !next_number(&line, &cookie) || !next_number(&line, &devices))
			continue;
		bound = next_word(&line);
		namespaces->rows = grow(namespaces->rows, namespaces->count, &room,
					sizeof(*namespaces->rows));
		namespaces->rows[namespaces->count++] = (struct namespace){
			.inode = inode,
			.cookie = cookie,
			.devices = devices,
			.bound = bound && !strcmp(bound, "***"),
		};
	}
	namespaces->by_inode = xmalloc(namespaces->count * sizeof(*namespaces->by_inode));
	for (i = 0; i < namespaces->count; i++)
		namespaces->by_inode[i] = &namespaces->rows[i];
	qsort(namespaces->by_inode, namespaces->count, sizeof(*namespaces->by_inode),
	      compare_inodes);
}

/* Cuts "key value" in two; the value may have blanks, or be empty. */
static char *next_key(char **text, char **value)
{
	char *line = next_line(text), *blank;

	if (!line)
		return NULL;
	blank = strchr(line, ' ');
	*value = blank ? blank + 1 : line + strlen(line);
	if (blank)
		*blank = '\0';
	return line;
}

struct number_key {
	const char *key;
	uint64_t *number;
};

static bool set_number(const struct number_key *keys, size_t count, const char *key,
		       const char *value)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!strcmp(keys[i].key, key))
			return parse_u64(value, keys[i].number);
	return false;
}

struct string_key {
	const char *key;
	const char **string;
};

static bool set_string(const struct string_key *keys, size_t count, const char *key,
		       const char *value)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (strcmp(keys[i].key, key))
			continue;
		*keys[i].string = strcmp(value, "none") ? value : NULL;
		return true;
	}
	return false;
}

void parse_state(struct target *target, char *text)
{
	uint64_t inode = 0;
	const struct number_key numbers[] = {
		{ "inode", &inode },
		{ "cookie", &target->cookie },
		{ "bound_seconds", &target->bound_seconds },
		{ "devices", &target->devices },
		{ "flow_capacity", &target->flow_capacity },
		{ "flow_entries", &target->flow_entries },
		{ "flow_evicted", &target->flow_evicted },
	};
	const struct string_key strings[] = {
		{ "hooks", &target->hooks },
		{ "preceded", &target->preceded },
		{ "tc", &target->tc },
		{ "af_xdp", &target->af_xdp },
		{ "xdp", &target->xdp },
		{ "parent", &target->parent },
	};
	char *key, *value;

	target->hooks = "";
	while ((key = next_key(&text, &value))) {
		if (!strcmp(key, "status"))
			target->live = !strcmp(value, "live");
		else if (!set_number(numbers, ARRAY_SIZE(numbers), key, value))
			set_string(strings, ARRAY_SIZE(strings), key, value);
	}
	target->inode = inode;
}

void parse_gate(struct gate *gate, char *text)
{
	const struct number_key numbers[] = {
		{ "excepted", &gate->excepted },
		{ "dropped", &gate->dropped },
		{ "unlogged", &gate->unlogged },
	};
	const struct string_key strings[] = {
		{ "except", &gate->except },
		{ "log", &gate->log },
	};
	char *key, *value;

	*gate = (struct gate){ .policy = "accept" };
	while ((key = next_key(&text, &value))) {
		if (!strcmp(key, "policy")) {
			gate->dry = starts_with(value, "dry ");
			gate->policy = gate->dry ? value + 4 : value;
		} else if (!strcmp(key, "label")) {
			gate->label = *value ? value : NULL;
		} else if (!set_number(numbers, ARRAY_SIZE(numbers), key, value)) {
			gate->has_log |= !strcmp(key, "log");
			set_string(strings, ARRAY_SIZE(strings), key, value);
		}
	}
}

static void parse_limit_side(struct limit_side *side, const char *key, const char *value)
{
	const struct number_key numbers[] = {
		{ "used", &side->used },
		{ "over_packets", &side->over_packets },
		{ "over_bytes", &side->over_bytes },
	};
	const struct string_key strings[] = {
		{ "rate", &side->rate },
		{ "burst", &side->burst },
		{ "quota", &side->quota },
	};

	if (!set_number(numbers, ARRAY_SIZE(numbers), key, value))
		set_string(strings, ARRAY_SIZE(strings), key, value);
}

void parse_limit(struct limit *limit, char *text)
{
	char *key, *value;

	*limit = (struct limit){ .mode = "none" };
	while ((key = next_key(&text, &value))) {
		if (!strcmp(key, "mode"))
			limit->mode = value;
		else if (starts_with(key, "in_"))
			parse_limit_side(&limit->in, key + 3, value);
		else if (starts_with(key, "out_"))
			parse_limit_side(&limit->out, key + 4, value);
	}
}

static bool parse_counter(struct counter *counter, char *line)
{
	counter->hook = next_word(&line);
	counter->family = next_word(&line);
	counter->proto = next_word(&line);
	return counter->hook && counter->family && counter->proto &&
	       next_number(&line, &counter->packets) && next_number(&line, &counter->bytes) &&
	       next_number(&line, &counter->dropped) &&
	       next_number(&line, &counter->dropped_bytes);
}

static bool has_hook(const struct target *target, const char *hook)
{
	size_t i;

	for (i = 0; i < target->counters_count; i++)
		if (!strcmp(target->counters[i].hook, hook))
			return true;
	return false;
}

static void add_up(const struct target *target, const char *hook, struct traffic *sum)
{
	size_t i;

	*sum = (struct traffic){ };
	for (i = 0; i < target->counters_count; i++) {
		const struct counter *c = &target->counters[i];

		if (strcmp(c->hook, hook) || strcmp(c->proto, "all"))
			continue;
		sum->packets += c->packets;
		sum->bytes += c->bytes;
	}
}

/* What a limit drops stands in the rows in and out, and at its hook as well. */
static uint64_t count_dropped(const struct target *target)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < target->counters_count; i++) {
		const struct counter *c = &target->counters[i];

		if (!strcmp(c->proto, "all") && strcmp(c->hook, "in") && strcmp(c->hook, "out"))
			sum += c->dropped;
	}
	return sum;
}

void parse_stats(struct target *target, char *text)
{
	struct counter counter = { };
	size_t room = 0;
	char *line;

	while ((line = next_line(&text))) {
		if (!parse_counter(&counter, line))
			continue;
		target->counters = grow(target->counters, target->counters_count, &room,
					sizeof(counter));
		target->counters[target->counters_count++] = counter;
	}
	add_up(target, has_hook(target, "in") ? "in" : "prerouting", &target->in);
	add_up(target, has_hook(target, "out") ? "out" : "postrouting", &target->out);
	target->dropped_packets = count_dropped(target);
}

void parse_flows(struct flows *flows, char *text, size_t most)
{
	size_t room = 0;
	char *line;

	flows->rows = NULL;
	flows->count = 0;
	while (flows->count < most && (line = next_line(&text))) {
		struct flow flow = {
			.family = next_word(&line),
			.proto = next_word(&line),
			.source = next_word(&line),
			.destination = next_word(&line),
		};

		if (!flow.destination || !next_number(&line, &flow.packets) ||
		    !next_number(&line, &flow.bytes) || !next_number(&line, &flow.age_ms))
			continue;
		flows->rows = grow(flows->rows, flows->count, &room, sizeof(flow));
		flows->rows[flows->count++] = flow;
	}
}

void parse_auto(struct autobind *autobind, char *text)
{
	const struct number_key numbers[] = {
		{ "born", &autobind->born },
		{ "missed", &autobind->missed },
	};
	char *key, *value;

	*autobind = (struct autobind){ };
	while ((key = next_key(&text, &value))) {
		if (!strcmp(key, "mode"))
			snprintf(autobind->mode, sizeof(autobind->mode), "%s", value);
		else
			set_number(numbers, ARRAY_SIZE(numbers), key, value);
	}
}
