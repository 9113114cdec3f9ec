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

struct unit {
	const char *suffix;
	double factor;
};

#define KI 1024.0

/* As tc(8) has them, in bytes a second. */
static const struct unit rate_units[] = {
	{ "", 1.0 / 8 }, { "bit", 1.0 / 8 },
	{ "kbit", 1e3 / 8 }, { "mbit", 1e6 / 8 }, { "gbit", 1e9 / 8 }, { "tbit", 1e12 / 8 },
	{ "kibit", KI / 8 }, { "mibit", KI * KI / 8 }, { "gibit", KI * KI * KI / 8 },
	{ "tibit", KI * KI * KI * KI / 8 },
	{ "bps", 1 }, { "kbps", 1e3 }, { "mbps", 1e6 }, { "gbps", 1e9 }, { "tbps", 1e12 },
	{ "kibps", KI }, { "mibps", KI * KI }, { "gibps", KI * KI * KI },
	{ "tibps", KI * KI * KI * KI },
};

static const struct unit size_units[] = {
	{ "", 1 }, { "b", 1 },
	{ "k", 1e3 }, { "m", 1e6 }, { "g", 1e9 }, { "t", 1e12 }, { "p", 1e15 },
	{ "kb", 1e3 }, { "mb", 1e6 }, { "gb", 1e9 }, { "tb", 1e12 }, { "pb", 1e15 },
	{ "ki", KI }, { "mi", KI * KI }, { "gi", KI * KI * KI }, { "ti", KI * KI * KI * KI },
	{ "kib", KI }, { "mib", KI * KI }, { "gib", KI * KI * KI },
	{ "tib", KI * KI * KI * KI },
};

/* Digits, with decimals or without; strtod() would take more. */
static double parse_units(const char *option, const char *s, const struct unit *units,
			  size_t count, const char *what)
{
	size_t i, digits = strspn(s, "0123456789"), length = digits;
	double value;

	if (s[length] == '.')
		length += 1 + strspn(s + length + 1, "0123456789");
	for (i = 0; i < count; i++) {
		if (!digits || strcasecmp(s + length, units[i].suffix))
			continue;
		value = strtod(s, NULL) * units[i].factor;
		if (value < 9e18)
			return value;
	}
	misused("%s %s: not a %s", option, show_quoted(s), what);
}

struct side {
	const char *rate, *burst, *quota;
};

static void add_side(struct text *text, const char *direction, const struct side *side, bool reset)
{
	char option[32];

	if (!side->rate && side->burst)
		misused("--burst-%s is for a rate: --%s is missing", direction, direction);
	if (!side->rate && !side->quota)
		return;
	text_printf(text, "%s%s", text->length && text->s[text->length - 1] != ' ' ? " " : "",
		    direction);
	snprintf(option, sizeof(option), "--%s", direction);
	if (side->rate)
		text_printf(text, " rate %.0f",
			    parse_units(option, side->rate, rate_units, ARRAY_SIZE(rate_units),
					"rate"));
	snprintf(option, sizeof(option), "--burst-%s", direction);
	if (side->burst)
		text_printf(text, " burst %.0f",
			    parse_units(option, side->burst, size_units, ARRAY_SIZE(size_units),
					"size"));
	snprintf(option, sizeof(option), "--quota-%s", direction);
	if (side->quota)
		text_printf(text, " quota %.0f%s",
			    parse_units(option, side->quota, size_units, ARRAY_SIZE(size_units),
					"size"), reset ? " used 0" : "");
}

static void add_old_side(struct text *text, const char *direction, const struct limit_side *side)
{
	if (!side->rate && !side->quota)
		return;
	text_printf(text, "%s%s", text->length && text->s[text->length - 1] != ' ' ? " " : "",
		    direction);
	if (side->rate)
		text_printf(text, " rate %s", side->rate);
	if (side->rate && side->burst)
		text_printf(text, " burst %s", side->burst);
	if (side->quota)
		text_printf(text, " quota %s used 0", side->quota);
}

/* The limit that is there, with its quotas at their beginning. */
static char *begin_anew(const struct limit *limit, const char *shown)
{
	struct text text = { };

	if (!limit->in.quota && !limit->out.quota)
		refuse(shown, "has no quota that could begin anew");
	if (!strcmp(limit->mode, "dry"))
		text_puts(&text, "dry ");
	add_old_side(&text, "in", &limit->in);
	add_old_side(&text, "out", &limit->out);
	text_puts(&text, "\n");
	return text.s;
}

bool limit_is_set(const struct limit *limit)
{
	return limit->mode && strcmp(limit->mode, "none");
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

static json_t *json_number_or_null(const char *s)
{
	uint64_t number;

	return s && parse_u64(s, &number) ? json_integer(number) : json_null();
}

static json_t *side_json(const struct limit_side *side)
{
	return json_pack("{s:o, s:o, s:o, s:I, s:I, s:I}",
		"rate", json_number_or_null(side->rate), "burst", json_number_or_null(side->burst),
		"quota", json_number_or_null(side->quota), "used", (json_int_t)side->used,
		"over_packets", (json_int_t)side->over_packets,
		"over_bytes", (json_int_t)side->over_bytes);
}

json_t *limit_json(const struct limit *limit)
{
	return json_pack("{s:s, s:o, s:o}", "mode", limit->mode,
			 "in", side_json(&limit->in), "out", side_json(&limit->out));
}

void limit_write(const char *directory, const char *text, const char *shown)
{
	int error = kernel_write_target(directory, "limit", text);

	switch (error) {
	case 0:
		return;
	case -ENXIO:
		refuse(shown, "is gone; 'nsgate list' shows what lives");
	case -ENOENT:
		refuse(shown, "is gone, or the module that is loaded has no limits");
	case -EPERM:
		refuse(shown, "the kernel refuses: the initial network namespace is limited only if the module was loaded with gate_init_net=1");
	case -EINVAL:
		refuse(shown, "the kernel refuses the limit; a rate is 1 to 8000 gbit; 'dmesg' tells more");
	default:
		refuse(shown, "the kernel refuses the limit: %s; 'dmesg' tells why",
		       strerror(-error));
	}
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

struct limit_options {
	struct side in, out;
	bool reset, dry, json;
};

static void read_options(struct limit_options *given, int argc, char **argv)
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
			given->in.rate = optarg;
			break;
		case 'o':
			given->out.rate = optarg;
			break;
		case 'b':
			given->in.burst = optarg;
			break;
		case 'B':
			given->out.burst = optarg;
			break;
		case 'q':
			given->in.quota = optarg;
			break;
		case 'Q':
			given->out.quota = optarg;
			break;
		case 'r':
			given->reset = true;
			break;
		case 'D':
			given->dry = true;
			break;
		case 'j':
			given->json = true;
			break;
		}
	}
}

/* What is to be written, to be freed; NULL if no limit is named. */
static char *limit_text(const struct limit_options *given)
{
	struct text text = { };
	size_t empty;

	if (given->dry)
		text_puts(&text, "dry ");
	empty = text.length;
	add_side(&text, "in", &given->in, given->reset);
	add_side(&text, "out", &given->out, given->reset);
	if (text.length == empty) {
		text_free(&text);
		return NULL;
	}
	text_puts(&text, "\n");
	return text.s;
}

int command_limit(int argc, char **argv)
{
	struct limit_options given = { };
	char *text;
	bool none;

	read_options(&given, argc, argv);
	count_arguments(argc, argv, 1, 2, "NS");
	text = limit_text(&given);
	none = argc - optind == 2;
	if (none && strcmp(argv[optind + 1], "none"))
		misused("%s is not none", show_quoted(argv[optind + 1]));
	if (none && (text || given.reset || given.dry))
		misused("none stands alone");
	if (given.json && (none || text || given.reset || given.dry))
		misused("--json shows a limit, and sets none");
	if (given.dry && !text)
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
