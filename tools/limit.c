// SPDX-License-Identifier: GPL-2.0-only
/* Rates and quotas of a family. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "command.h"
#include "show.h"

/* The limit that is there, with its quotas at their beginning. */
static char *begin_anew(const struct limit *limit, const char *shown)
{
	if (!limit->in.quota && !limit->out.quota)
		refuse(shown, "has no quota that could begin anew");
	return limit_text_of(limit, true);
}

static void show_side(struct text *text, const char *direction, const struct limit_side *side)
{
	struct figure figure;
	uint64_t number;

	if (!side->rate && !side->quota)
		return;
	text_printf(text, "%s%s", text->length && text->s[text->length - 1] != ' ' ? ", " : "",
		    direction);
	if (side->rate && parse_u64(side->rate, &number))
		text_printf(text, " %s", show_number(&figure, number * 8, "bit/s"));
	if (!side->quota || !parse_u64(side->quota, &number))
		return;
	text_printf(text, " %s", show_number(&figure, side->used, "B"));
	text_printf(text, " of %s", show_number(&figure, number, "B"));
}

char *limit_show(const struct limit *limit)
{
	struct text text = { };

	if (!limit_is_set(limit))
		return xstrdup(limit->mode ? "none" : "-");
	if (!strcmp(limit->mode, "dry"))
		text_puts(&text, "dry run: ");
	show_side(&text, "in", &limit->in);
	show_side(&text, "out", &limit->out);
	text_add(&text, "", 0);
	return text.s;
}

/* Beyond what jansson has for whole numbers, one with an exponent is near enough. */
static json_t *json_u64(uint64_t number)
{
	return number <= INT64_MAX ? json_integer(number) : json_real(number);
}

static json_t *json_number_or_null(const char *s)
{
	uint64_t number;

	return s && parse_u64(s, &number) ? json_u64(number) : json_null();
}

static json_t *side_json(const struct limit_side *side)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I}",
		"rate", json_number_or_null(side->rate), "burst", json_number_or_null(side->burst),
		"quota", json_number_or_null(side->quota), "used", json_u64(side->used),
		"over_packets", (json_int_t)side->over_packets,
		"over_bytes", (json_int_t)side->over_bytes);
}

json_t *limit_json(const struct limit *limit)
{
	return json_pack("{s:s, s:o, s:o}", "mode", limit->mode,
			 "in", side_json(&limit->in), "out", side_json(&limit->out));
}

static void print_side(const char *direction, const struct limit_side *side)
{
	struct figure a, b;
	uint64_t number;

	printf("%-3s  %s used", direction, show_number(&a, side->used, "B"));
	if (side->quota && parse_u64(side->quota, &number))
		printf(" of %s", show_number(&a, number, "B"));
	if (side->rate && parse_u64(side->rate, &number))
		printf(", rate %s", show_number(&a, number * 8, "bit/s"));
	if (side->rate && side->burst && parse_u64(side->burst, &number))
		printf(", burst %s", show_number(&a, number, "B"));
	printf(", %s packets (%s) over it\n", show_number(&a, side->over_packets, ""),
	       show_number(&b, side->over_bytes, "B"));
}

static void show_limit(const char *said, bool json)
{
	struct records records;
	struct target target;
	char *shown, *limit;

	target_find(&target, said, READ_STATE | READ_LIMIT, &shown);
	if (!target.limit.mode)
		refuse(shown, "the module that is loaded has no limits");
	records_read(&records);
	if (json) {
		json_print(json_pack("{s:I, s:I, s:o, s:o}", "inode", (json_int_t)target.inode,
				     "cookie", (json_int_t)target.cookie,
				     "name", json_clean(records_name(&records, &target)),
				     "limit", limit_json(&target.limit)));
	} else {
		limit = limit_show(&target.limit);
		puts(limit);
		print_side("in", &target.limit.in);
		print_side("out", &target.limit.out);
		free(limit);
	}
	records_free(&records);
	target_free(&target);
	free(shown);
}

/* Without @text, only the quotas begin anew. */
static void set_limit(const char *said, const char *text)
{
	struct target target;
	char *shown, *old = NULL;

	target_find(&target, said, READ_STATE | READ_LIMIT, &shown);
	if (!target.live)
		die(EXIT_NO_TARGET, "%s is gone; 'nsgate bind' binds the one of that name that lives, if there is one",
		    shown);
	if (!target.limit.mode)
		refuse(shown, "the module that is loaded has no limits");
	if (!text)
		old = begin_anew(&target.limit, shown);
	limit_write(target.directory, text ? text : old, shown);
	target_free(&target);
	free(old);
	free(shown);
}

struct given {
	struct limit_options limit;
	bool reset, json;
};

/* The name of a missing one is told, too. */
static void name_options(struct limit_options *limit)
{
	limit->in.rate.name = "--in";
	limit->in.burst.name = "--burst-in";
	limit->in.quota.name = "--quota-in";
	limit->out.rate.name = "--out";
	limit->out.burst.name = "--burst-out";
	limit->out.quota.name = "--quota-out";
}

static void read_options(struct given *given, int argc, char **argv)
{
	static const struct option options[] = {
		{ "in", required_argument, NULL, 'i' },
		{ "out", required_argument, NULL, 'o' },
		{ "burst-in", required_argument, NULL, 'b' },
		{ "burst-out", required_argument, NULL, 'B' },
		{ "quota-in", required_argument, NULL, 'q' },
		{ "quota-out", required_argument, NULL, 'Q' },
		{ "reset", no_argument, NULL, 'r' },
		{ "dry-run", no_argument, NULL, 'D' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int option;

	while ((option = next_option(argc, argv, ":h", options)) >= 0) {
		switch (option) {
		case 'i':
			given->limit.in.rate.value = optarg;
			break;
		case 'o':
			given->limit.out.rate.value = optarg;
			break;
		case 'b':
			given->limit.in.burst.value = optarg;
			break;
		case 'B':
			given->limit.out.burst.value = optarg;
			break;
		case 'q':
			given->limit.in.quota.value = optarg;
			break;
		case 'Q':
			given->limit.out.quota.value = optarg;
			break;
		case 'r':
			given->reset = true;
			given->limit.in.has_used = true;
			given->limit.out.has_used = true;
			break;
		case 'D':
			given->limit.dry = true;
			break;
		case 'j':
			given->json = true;
			break;
		}
	}
}

int command_limit(int argc, char **argv)
{
	struct given given = { };
	char *text;
	bool none;

	name_options(&given.limit);
	read_options(&given, argc, argv);
	count_arguments(argc, argv, 1, 2, "NS");
	text = limit_text(&given.limit);
	none = argc - optind == 2;
	if (none && strcmp(argv[optind + 1], "none"))
		misused("%s is not none", show_quoted(argv[optind + 1]));
	if (none && (text || given.reset || given.limit.dry))
		misused("none stands alone");
	if (given.json && (none || text || given.reset || given.limit.dry))
		misused("--json shows a limit, and sets none");
	if (given.limit.dry && !text)
		misused("--dry-run is for a limit");
	kernel_check(command_name);
	if (none)
		set_limit(argv[optind], "none\n");
	else if (text || given.reset)
		set_limit(argv[optind], text);
	else
		show_limit(argv[optind], given.json);
	free(text);
	return EXIT_DONE;
}
