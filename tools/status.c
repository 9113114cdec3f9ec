// SPDX-License-Identifier: GPL-2.0-only
/* The targets at a glance, or one in full. */
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "show.h"

static char *number(uint64_t number, const char *unit)
{
	struct figure figure;

	return xstrdup(show_number(&figure, number, unit));
}

static char *show_name(const char *name)
{
	return *name ? show_string(name) : xstrdup("-");
}

/* The column LIMIT is there if some target has one. */
static void add_row(struct libscols_table *table, const struct target *target,
		    const char *name, bool limits)
{
	struct figure figure;
	char *cells[12];
	size_t n = 0;

	cells[n++] = xasprintf("%" PRIu32, target->inode);
	cells[n++] = xasprintf("%" PRIu64, target->cookie);
	cells[n++] = xstrdup(target->live ? "live" : "gone");
	cells[n++] = xstrdup(show_seconds(&figure, target->bound_seconds));
	cells[n++] = number(target->in.bytes, "B");
	cells[n++] = number(target->out.bytes, "B");
	cells[n++] = number(target->dropped_packets, "");
	cells[n++] = xasprintf("%" PRIu64 "/%" PRIu64, target->flow_entries, target->flow_capacity);
	cells[n++] = number(target->flow_evicted, "");
	if (limits)
		cells[n++] = limit_show(&target->limit);
	cells[n++] = show_name(name);
	cells[n++] = gate_show(&target->gate);
	table_row(table, cells, n);
}

static void print_all(const struct target *targets, size_t count, struct records *records)
{
	const char *columns[12] = { "INODE", "COOKIE", "STATUS", ">BOUND", ">IN", ">OUT", ">DROPPED",
				    ">FLOWS", ">EVICTED" };
	struct libscols_table *table;
	bool limits = false;
	size_t i, n = 9;
	char *text;

	for (i = 0; i < count; i++)
		limits |= limit_is_set(&targets[i].limit);
	if (limits)
		columns[n++] = "LIMIT";
	columns[n++] = "NAME";
	columns[n++] = "GATE";
	table = table_new(columns, n);
	for (i = 0; i < count; i++)
		add_row(table, &targets[i], records_name(records, &targets[i]), limits);
	text = table_text(table);
	fputs(text, stdout);
	free(text);
	table_free(table);
}

/* A number as one, ">N" as that text, and what can't be told as null. */
static void add_bypass(json_t *object, const char *key, const char *value)
{
	uint64_t number;

	if (!value)
		return;
	if (parse_u64(value, &number))
		json_object_set_new(object, key, json_integer(number));
	else
		json_object_set_new(object, key,
				    strcmp(value, "-") ? json_clean(value) : json_null());
}

static json_t *json_hooks(const char *hooks)
{
	char *copy = xstrdup(hooks), *rest = copy, *word;
	json_t *array = json_array();

	while ((word = next_word(&rest)))
		json_array_append_new(array, json_clean(word));
	free(copy);
	return array;
}

void json_state(json_t *object, const struct target *target, const char *name)
{
	json_t *members = json_pack("{s:I, s:I, s:o, s:s, s:I, s:I, s:o, s:{s:I, s:I, s:I}, s:o}",
		"inode", (json_int_t)target->inode, "cookie", (json_int_t)target->cookie,
		"name", json_clean(name), "status", target->live ? "live" : "gone",
		"bound_seconds", (json_int_t)target->bound_seconds,
		"devices", (json_int_t)target->devices, "gate", gate_json(&target->gate),
		"flows", "capacity", (json_int_t)target->flow_capacity,
		"entries", (json_int_t)target->flow_entries,
		"evicted", (json_int_t)target->flow_evicted,
		"hooks", json_hooks(target->hooks));

	add_bypass(members, "parent", target->parent);
	add_bypass(members, "preceded", target->preceded);
	add_bypass(members, "tc", target->tc);
	add_bypass(members, "af_xdp", target->af_xdp);
	add_bypass(members, "xdp", target->xdp);
	if (target->limit.mode)
		json_object_set_new(members, "limit", limit_json(&target->limit));
	json_object_update(object, members);
	json_decref(members);
}

static void add_traffic(json_t *object, const struct target *target)
{
	const struct traffic *in = &target->in, *out = &target->out;

	json_object_set_new(object, "in",
			    json_pack("{s:I, s:I}", "packets", (json_int_t)in->packets,
				      "bytes", (json_int_t)in->bytes));
	json_object_set_new(object, "out",
			    json_pack("{s:I, s:I}", "packets", (json_int_t)out->packets,
				      "bytes", (json_int_t)out->bytes));
	json_object_set_new(object, "dropped_packets", json_integer(target->dropped_packets));
}

static void print_all_json(const struct target *targets, size_t count, struct records *records)
{
	size_t i;

	json_array_start();
	for (i = 0; i < count; i++) {
		json_t *object = json_object();

		json_state(object, &targets[i], records_name(records, &targets[i]));
		add_traffic(object, &targets[i]);
		json_array_add(object);
	}
	json_array_end();
}

/* That there may be targets that nobody has bound, and that there could be more. */
static void print_auto(void)
{
	struct autobind state;

	if (!kernel_read_auto(&state) || !strcmp(state.mode, "off"))
		return;
	printf("%s are bound when they are made: %" PRIu64 " were, %" PRIu64 " could not be.\n",
	       strcmp(state.mode, "all") ? "Those that processes in targets make" :
	       "All namespaces", state.born, state.missed);
}

static void status_of_all(struct records *records, bool json)
{
	struct strings directories;
	struct target *targets;
	size_t i, count = 0;

	kernel_list_targets(&directories);
	targets = xmalloc(directories.count * sizeof(*targets));
	for (i = 0; i < directories.count; i++)
		count += target_read(&targets[count], directories.s[i], READ_ALL);
	strings_free(&directories);
	if (json)
		print_all_json(targets, count, records);
	else if (!count)
		puts("There is no target; 'nsgate bind' makes one.");
	else
		print_all(targets, count, records);
	if (!json)
		print_auto();
	for (i = 0; i < count; i++)
		target_free(&targets[i]);
	free(targets);
}

static json_t *counter_json(const struct counter *c)
{
	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}",
			 "hook", c->hook, "family", c->family, "proto", c->proto,
			 "packets", (json_int_t)c->packets, "bytes", (json_int_t)c->bytes,
			 "dropped_packets", (json_int_t)c->dropped,
			 "dropped_bytes", (json_int_t)c->dropped_bytes);
}

static void print_one_json(const struct target *target, const char *name)
{
	json_t *object = json_object(), *stats = json_array();
	size_t i;

	for (i = 0; i < target->counters_count; i++)
		json_array_append_new(stats, counter_json(&target->counters[i]));
	json_state(object, target, name);
	add_traffic(object, target);
	json_object_set_new(object, "stats", stats);
	json_print(object);
}

static void print_counters(const struct target *target)
{
	const char *const columns[] = {
		"HOOK", "FAMILY", "PROTO", ">PACKETS", ">BYTES", ">DROPPED",
	};
	struct libscols_table *table = table_new(columns, ARRAY_SIZE(columns));
	char *text, *rest, *line;
	bool some = false;
	size_t i;

	for (i = 0; i < target->counters_count; i++) {
		const struct counter *c = &target->counters[i];
		char *const cells[] = {
			xstrdup(c->hook), xstrdup(c->family), xstrdup(c->proto),
			number(c->packets, ""), number(c->bytes, "B"), number(c->dropped, ""),
		};

		/* What was dropped never came to where in and out count. */
		if (c->packets || c->dropped) {
			table_row(table, cells, ARRAY_SIZE(cells));
			some = true;
			continue;
		}
		for (size_t j = 0; j < ARRAY_SIZE(cells); j++)
			free(cells[j]);
	}
	if (!some)
		puts("  No packet has come by.");
	text = some ? table_text(table) : NULL;
	rest = text;
	while ((line = next_line(&rest)))
		printf("  %s\n", line);
	free(text);
	table_free(table);
}

/* What goes past the hooks, or is seen by others first: told if there is any. */
static void print_bypasses(const struct target *target)
{
	const struct {
		const char *name, *value;
	} bypasses[] = {
		{ "hooks of others before ours", target->preceded },
		{ "devices with tc", target->tc },
		{ "AF_XDP sockets", target->af_xdp },
		{ "devices with XDP", target->xdp },
	};
	bool some = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bypasses); i++) {
		const char *value = bypasses[i].value;

		if (!value || !strcmp(value, "0") || !strcmp(value, "-"))
			continue;
		printf("%s%s %s", some ? ", " : "  bypass   ", value, bypasses[i].name);
		some = true;
	}
	if (some)
		putchar('\n');
}

static void print_one(const struct target *target, const char *name)
{
	char *shown = show_name(name), *gate = gate_show(&target->gate);
	char *limit = limit_show(&target->limit);
	struct figure figure;

	printf("%s, inode %" PRIu32 ", cookie %" PRIu64 "\n", shown, target->inode, target->cookie);
	printf("  status   %s, bound for %s\n", target->live ? "live" : "gone",
	       show_seconds(&figure, target->bound_seconds));
	if (target->parent && strcmp(target->parent, "0"))
		printf("  parent   cookie %s\n", target->parent);
	printf("  devices  %" PRIu64 "\n", target->devices);
	printf("  gate     %s\n", gate);
	printf("           %" PRIu64 " packets excepted, %" PRIu64 " dropped\n",
	       target->gate.excepted, target->gate.dropped);
	if (target->limit.mode)
		printf("  limit    %s\n", limit);
	printf("  flows    %" PRIu64 " of %" PRIu64 " entries, %" PRIu64 " evicted\n",
	       target->flow_entries, target->flow_capacity, target->flow_evicted);
	printf("  hooks    %s\n", target->hooks);
	print_bypasses(target);
	putchar('\n');
	print_counters(target);
	free(shown);
	free(gate);
	free(limit);
}

static void status_of_one(struct records *records, const char *said, bool json)
{
	struct target target;
	char *shown;

	target_find(&target, said, READ_ALL, &shown);
	if (json)
		print_one_json(&target, records_name(records, &target));
	else
		print_one(&target, records_name(records, &target));
	target_free(&target);
	free(shown);
}

int command_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct records records;
	bool json = false;

	while (next_option(argc, argv, ":h", options) >= 0)
		json = true;
	count_arguments(argc, argv, 0, 1, "");
	kernel_check(command_name);
	records_read(&records);
	if (optind < argc)
		status_of_one(&records, argv[optind], json);
	else
		status_of_all(&records, json);
	records_write(&records);
	records_free(&records);
	return EXIT_DONE;
}
