// SPDX-License-Identifier: GPL-2.0-only
/* The gate of a target. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "show.h"

bool gate_option(struct gate_options *options, int option)
{
	switch (option) {
	case 'E':
		options->except = (struct said){ "--except", optarg };
		return true;
	case 'L':
		options->log = (struct said){ "--log", optarg };
		return true;
	case 'D':
		options->dry = true;
		return true;
	case 'B':
		options->loopback = (struct said){ "--loopback", "" };
		return true;
	}
	return false;
}

bool gate_options_given(const struct gate_options *options)
{
	return options->except.value || options->log.value || options->dry ||
	       options->loopback.value;
}

/* A label is a line to be read, and no name: quotes only where it would harm. */
static char *show_label(const char *label)
{
	char *shown = show_string(label);

	if (starts_with(shown, "$'"))
		return shown;
	free(shown);
	return xstrdup(label);
}

char *gate_show(const struct gate *gate)
{
	struct text text = { };
	char *label;

	text_printf(&text, "%s%s", gate->dry ? "dry run: " : "", gate->policy);
	if (gate->label) {
		label = show_label(gate->label);
		text_printf(&text, " except %s", label);
		free(label);
	} else if (gate->except) {
		text_puts(&text, " except a program");
	}
	if (gate->log)
		text_printf(&text, ", log %s", gate->log);
	return text.s;
}

static json_t *json_or_null(const char *s)
{
	return s ? json_clean(s) : json_null();
}

json_t *gate_json(const struct gate *gate)
{
	json_t *object = json_pack("{s:s, s:b, s:o, s:o, s:I, s:I}",
		"policy", gate->policy, "dry_run", gate->dry,
		"except", json_or_null(gate->except), "label", json_or_null(gate->label),
		"excepted", (json_int_t)gate->excepted, "dropped", (json_int_t)gate->dropped);
	uint64_t group;

	if (!gate->has_log)
		return object;
	json_object_set_new(object, "log", gate->log && parse_u64(gate->log, &group) ?
			    json_integer(group) : json_null());
	json_object_set_new(object, "unlogged", json_integer(gate->unlogged));
	return object;
}

static void print_gate(const struct target *target)
{
	char *shown = gate_show(&target->gate);

	puts(shown);
	printf("%" PRIu64 " packets excepted, %" PRIu64 " dropped", target->gate.excepted,
	       target->gate.dropped);
	if (target->gate.unlogged)
		printf(", %" PRIu64 " of them unlogged", target->gate.unlogged);
	putchar('\n');
	free(shown);
}

static void show_gate(const char *said, bool json)
{
	struct records records;
	struct target target;
	char *shown;

	target_find(&target, said, READ_STATE | READ_GATE, &shown);
	records_read(&records);
	if (json)
		json_print(json_pack("{s:I, s:I, s:o, s:o}", "inode", (json_int_t)target.inode,
				     "cookie", (json_int_t)target.cookie,
				     "name", json_clean(records_name(&records, &target)),
				     "gate", gate_json(&target.gate)));
	else
		print_gate(&target);
	records_free(&records);
	target_free(&target);
	free(shown);
}

static void set_gate(const char *said, const char *text)
{
	struct target target;
	char *shown;

	target_find(&target, said, READ_STATE, &shown);
	if (!target.live)
		die(EXIT_NO_TARGET, "%s is gone; 'nsgate bind' binds the one of that name that lives, if there is one",
		    shown);
	gate_write(target.directory, text, shown);
	target_free(&target);
	free(shown);
}

int command_gate(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		GATE_OPTIONS,
		{ }
	};
	struct gate_options given = { };
	bool json = false;
	char *text = NULL;
	int option;

	while ((option = next_option(argc, argv, ":h", options)) >= 0)
		if (!gate_option(&given, option))
			json = true;
	count_arguments(argc, argv, 1, 2, "NS");
	if (argc - optind == 2) {
		if (json)
			misused("--json shows a gate, and sets none");
		text = gate_text(NULL, argv[optind + 1], &given);
	} else if (gate_options_given(&given)) {
		misused("accept or drop is missing");
	}
	kernel_check(command_name);
	if (text)
		set_gate(argv[optind], text);
	else
		show_gate(argv[optind], json);
	free(text);
	return EXIT_DONE;
}
