// SPDX-License-Identifier: GPL-2.0-only
/* Rates and flows, live. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "show.h"
#include "top.h"

#define MOST_FLOWS 1000

static int compare_keys(const void *a, const void *b)
{
	const struct rate *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return strcmp(x->key, y->key);
}

static void add_rate(struct top *top, const struct rate *rate)
{
	struct rates *now = &top->now;

	now->rows = grow(now->rows, now->count, &now->room, sizeof(*now->rows));
	now->rows[now->count++] = *rate;
}

static void free_rates(struct rates *rates)
{
	size_t i;

	for (i = 0; i < rates->count; i++) {
		free(rates->rows[i].key);
		free(rates->rows[i].name);
	}
	free(rates->rows);
	*rates = (struct rates){ };
}

static const struct rate *find_last(const struct top *top, const struct rate *rate)
{
	return top->last.count ? bsearch(rate, top->last.rows, top->last.count, sizeof(*rate),
					 compare_keys) : NULL;
}

static uint64_t per_second(uint64_t now, uint64_t last, uint64_t microseconds)
{
	return now < last ? 0 : (uint64_t)((now - last) * 1e6 / microseconds);
}

/* What is new since the last look has counted from 0; what is older, but was not
 * seen then (@age_us, 0 if that isn't known), has a rate the next time.
 */
static void measure(const struct top *top, struct rate *rate, uint64_t age_us)
{
	static const struct rate zero;
	const struct rate *last = find_last(top, rate);

	if (!last)
		last = age_us > top->microseconds ? rate : &zero;
	if (rate->packets < last->packets)
		last = &zero;
	rate->packets_rate = per_second(rate->packets, last->packets, top->microseconds);
	rate->bytes_rate = per_second(rate->bytes, last->bytes, top->microseconds);
	rate->dropped_rate = per_second(rate->dropped, last->dropped, top->microseconds);
}

noreturn static void was_released(const struct top *top)
{
	die(EXIT_NO_TARGET, "%s was released", top->shown);
}

static void look_at_flows(struct top *top)
{
	struct flows flows;
	size_t i;

	if (!kernel_read_flows(&flows, top->target.directory, MOST_FLOWS))
		was_released(top);
	for (i = 0; i < flows.count; i++) {
		const struct flow *flow = &flows.rows[i];
		struct rate rate = {
			.kind = RATE_FLOW,
			.key = xasprintf("%s %s %s %s", flow->family, flow->proto, flow->source,
					 flow->destination),
			.packets = flow->packets,
			.bytes = flow->bytes,
		};

		measure(top, &rate, flow->age_ms * 1000);
		add_rate(top, &rate);
	}
	flows_free(&flows);
}

/* Its directory is another once its inode is bound again. */
static bool read_target(struct top *top)
{
	struct target new;
	char directory[48];

	if (target_read(&new, top->target.directory, READ_ALL)) {
		if (new.cookie == top->target.cookie)
			goto out;
		target_free(&new);
	}
	snprintf(directory, sizeof(directory), "%" PRIu32 ".%" PRIu64, top->target.inode,
		 top->target.cookie);
	if (!target_read(&new, directory, READ_ALL))
		return false;
out:
	target_free(&top->target);
	top->target = new;
	return true;
}

static void look_at_target(struct top *top)
{
	size_t i;

	if (!read_target(top))
		was_released(top);
	for (i = 0; i < top->target.counters_count; i++) {
		const struct counter *c = &top->target.counters[i];
		struct rate rate = {
			.kind = RATE_HOOK,
			.packets = c->packets,
			.bytes = c->bytes,
			.dropped = c->dropped,
		};

		if (!strcmp(c->proto, "all"))
			continue;
		rate.key = xasprintf("%s %s %s", c->hook, c->family, c->proto);
		measure(top, &rate, 0);
		add_rate(top, &rate);
	}
	look_at_flows(top);
}

static void add_target(struct top *top, const struct target *target)
{
	const char *name = records_name(&top->records, target);
	char *shown = *name ? show_string(name) : xstrdup("-");
	struct rate rate = {
		.kind = RATE_TARGET,
		.key = xasprintf("%" PRIu32 " %" PRIu64 " %s %s", target->inode, target->cookie,
				 target->live ? "live" : "gone", shown),
		.name = xstrdup(name),
		.packets = target->in.packets + target->out.packets,
		.bytes = target->in.bytes + target->out.bytes,
		.dropped = target->dropped_packets,
	};

	measure(top, &rate, target->bound_seconds * 1000000);
	add_rate(top, &rate);
	free(shown);
}

static void look_at_all(struct top *top)
{
	struct strings directories;
	struct target target;
	size_t i;

	records_free(&top->records);
	records_read(&top->records);
	top->targets = 0;
	kernel_list_targets(&directories);
	for (i = 0; i < directories.count; i++) {
		if (!target_read(&target, directories.s[i], READ_STATE | READ_STATS))
			continue;
		top->targets++;
		add_target(top, &target);
		target_free(&target);
	}
	strings_free(&directories);
	records_write(&top->records);
}

void top_look(struct top *top)
{
	uint64_t then = top->looked;

	free_rates(&top->last);
	top->last = top->now;
	top->now = (struct rates){ };
	top->looked = now_us();
	top->microseconds = top->looked > then ? top->looked - then : 1;
	if (top->shown)
		look_at_target(top);
	else
		look_at_all(top);
	if (top->now.count)
		qsort(top->now.rows, top->now.count, sizeof(*top->now.rows), compare_keys);
}

static enum sort_by sorting;	/* qsort() has no way to hand it over */

static uint64_t weight(const struct rate *rate)
{
	return sorting == SORT_PACKETS ? rate->packets_rate :
	       sorting == SORT_BYTES ? rate->bytes_rate : rate->bytes;
}

static int compare_weights(const void *a, const void *b)
{
	const struct rate *const *x = a, *const *y = b;
	uint64_t wx = weight(*x), wy = weight(*y);

	if (wx != wy)
		return wx > wy ? -1 : 1;
	return compare_keys(*x, *y);
}

const struct rate **top_sorted(const struct top *top, enum rate_kind kind, size_t *count)
{
	const struct rate **sorted = xmalloc(top->now.count * sizeof(*sorted));
	size_t i;

	*count = 0;
	for (i = 0; i < top->now.count; i++) {
		const struct rate *rate = &top->now.rows[i];

		if (rate->kind == kind &&
		    (top->sort_by == SORT_TOTAL || rate->packets_rate || rate->bytes_rate ||
		     rate->dropped_rate))
			sorted[(*count)++] = rate;
	}
	sorting = top->sort_by;
	qsort(sorted, *count, sizeof(*sorted), compare_weights);
	return sorted;
}

char *top_clock(char *buffer, size_t size)
{
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(buffer, size, "%H:%M:%S", &tm);
	return buffer;
}

static void print_lines(const struct top *top)
{
	static const char *const kinds[] = { "hook ", "flow ", "" };
	struct figure figure;
	char clock[16];
	size_t i, kind, count;

	top_clock(clock, sizeof(clock));
	for (kind = RATE_HOOK; kind <= RATE_TARGET; kind++) {
		const struct rate **sorted = top_sorted(top, kind, &count);

		for (i = 0; i < count; i++) {
			const struct rate *rate = sorted[i];
			char *called = top->called && *top->called ? show_string(top->called) :
				       xstrdup("-");

			printf("%s %s%s%s%s %" PRIu64 " packets/s %s %" PRIu64 " dropped/s\n",
			       clock, top->shown ? called : "", top->shown ? " " : "",
			       kinds[kind], rate->key, rate->packets_rate,
			       show_number(&figure, rate->bytes_rate * 8, "bit/s"),
			       rate->dropped_rate);
			free(called);
		}
		free(sorted);
	}
}

/* What the key consists of: words that stand in these members. */
static json_t *rate_json(const struct rate *rate)
{
	static const char *const members[][5] = {
		{ "hook", "family", "proto" },
		{ "family", "proto", "source", "destination" },
		{ "inode", "cookie", "status" },
	};
	char *copy = xstrdup(rate->key), *rest = copy;
	json_t *object = json_object();
	uint64_t number;
	size_t i;

	for (i = 0; members[rate->kind][i]; i++) {
		const char *member = members[rate->kind][i], *word = next_word(&rest);

		if (rate->kind == RATE_TARGET && i < 2 && parse_u64(word, &number))
			json_object_set_new(object, member, json_integer(number));
		else
			json_object_set_new(object, member, json_clean(word ? word : ""));
	}
	if (rate->name)
		json_object_set_new(object, "name", json_clean(rate->name));
	json_object_set_new(object, "packets_per_second", json_integer(rate->packets_rate));
	json_object_set_new(object, "bytes_per_second", json_integer(rate->bytes_rate));
	json_object_set_new(object, "dropped_packets_per_second", json_integer(rate->dropped_rate));
	json_object_set_new(object, "bytes", json_integer(rate->bytes));
	free(copy);
	return object;
}

static json_t *rates_json(const struct top *top, enum rate_kind kind)
{
	size_t i, count;
	const struct rate **sorted = top_sorted(top, kind, &count);
	json_t *array = json_array();

	for (i = 0; i < count; i++)
		json_array_append_new(array, rate_json(sorted[i]));
	free(sorted);
	return array;
}

static void print_json(const struct top *top)
{
	json_t *object = json_pack("{s:I, s:f}", "time", (json_int_t)time(NULL),
				   "seconds", top->microseconds / 1e6);

	if (top->shown) {
		json_object_set_new(object, "inode", json_integer(top->target.inode));
		json_object_set_new(object, "cookie", json_integer(top->target.cookie));
		json_object_set_new(object, "name", json_clean(top->called));
		json_object_set_new(object, "status",
				    json_string(top->target.live ? "live" : "gone"));
		json_object_set_new(object, "gate", gate_json(&top->target.gate));
		if (top->target.limit.mode)
			json_object_set_new(object, "limit", limit_json(&top->target.limit));
		json_object_set_new(object, "hooks", rates_json(top, RATE_HOOK));
		json_object_set_new(object, "flows", rates_json(top, RATE_FLOW));
	} else {
		json_object_set_new(object, "targets", rates_json(top, RATE_TARGET));
	}
	json_print(object);
}

static void top_lines(struct top *top, uint64_t delay, uint64_t count, bool json)
{
	const struct timespec pause = { delay / 1000000, delay % 1000000 * 1000 };
	uint64_t i;

	for (i = 0; !count || i < count; i++) {
		struct timespec rest = pause;

		while (nanosleep(&rest, &rest))
			;
		top_look(top);
		if (json)
			print_json(top);
		else
			print_lines(top);
		if (fflush(stdout))
			die(EXIT_FAILED, "could not write the output: %m");
	}
}

/* A number of seconds, which may have decimals, as microseconds. */
static uint64_t parse_delay(const char *s)
{
	const char *dot = strchr(s, '.');
	size_t digits = strspn(s, "0123456789");
	size_t decimals = dot ? strspn(dot + 1, "0123456789") : 0;
	bool good = dot ? dot == s + digits && decimals && !dot[1 + decimals] : !s[digits];
	uint64_t delay;

	if (!digits || !good || strlen(s) >= 10)
		misused("--delay %s: not a number of seconds", show_string(s));
	delay = strtod(s, NULL) * 1e6 + 0.5;
	if (!delay)
		misused("--delay %s: that is too short", s);
	return delay;
}

static void find_top_target(struct top *top, const char *said)
{
	target_find(&top->target, said, READ_STATE, &top->shown);
	records_read(&top->records);
	top->called = xstrdup(records_name(&top->records, &top->target));
	records_write(&top->records);
}

int command_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "count", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct top top = { .sort_by = SORT_BYTES };
	const char *delay_given = "2", *count_given = NULL;
	uint64_t delay, count;
	bool json = false, terminal;
	int option;

	while ((option = next_option(argc, argv, ":d:n:h", options)) >= 0) {
		if (option == 'd')
			delay_given = optarg;
		else if (option == 'n')
			count_given = optarg;
		else
			json = true;
	}
	count_arguments(argc, argv, 0, 1, "");
	delay = parse_delay(delay_given);
	terminal = !json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	count = !terminal;
	if (count_given && !parse_u64(count_given, &count))
		misused("--count %s: not a number", show_string(count_given));
	kernel_check(command_name);
	if (optind < argc)
		find_top_target(&top, argv[optind]);
	top_look(&top);
	if (terminal)
		top_screen(&top, delay, count);
	else
		top_lines(&top, delay, count, json);
	free_rates(&top.now);
	free_rates(&top.last);
	target_free(&top.target);
	records_free(&top.records);
	free(top.shown);
	free(top.called);
	return EXIT_DONE;
}
