// SPDX-License-Identifier: GPL-2.0-only
/* What a limit is to be, as the kernel takes it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "set.h"
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

noreturn static void not_a(const char *what, const struct said *said)
{
	misused("%s %s: not a %s", said->name, show_quoted(said->value), what);
}

/* What is behind digits, with decimals or without; strtod() would take more. */
static double find_factor(const struct said *said, const struct unit *units, size_t count,
			  const char *what)
{
	const char *s = said->value;
	size_t i, digits = strspn(s, "0123456789"), length = digits;

	if (s[length] == '.')
		length += 1 + strspn(s + length + 1, "0123456789");
	for (i = 0; digits && i < count; i++)
		if (!strcasecmp(s + length, units[i].suffix))
			return units[i].factor;
	not_a(what, said);
}

/* The kernel takes no others. */
static double parse_rate(const struct said *said)
{
	double factor = find_factor(said, rate_units, ARRAY_SIZE(rate_units), "rate");
	double rate = strtod(said->value, NULL) * factor;

	if (rate < 1 || rate > 1e12)
		misused("%s %s: a rate is 8bit to 8tbit", said->name, show_quoted(said->value));
	return rate;
}

/* Whole ones to the byte: a double has no more than 53 bits. */
static uint64_t parse_size(const struct said *said)
{
	double factor = find_factor(said, size_units, ARRAY_SIZE(size_units), "size"), size;
	uint64_t whole;
	char *end;

	errno = 0;
	whole = strtoull(said->value, &end, 10);
	if (*end != '.') {
		if (errno || __builtin_mul_overflow(whole, (uint64_t)factor, &whole))
			not_a("size", said);
		return whole;
	}
	size = strtod(said->value, NULL) * factor;
	if (size >= 0x1p64)
		not_a("size", said);
	return size + 0.5;
}

static uint64_t parse_burst(const struct said *said)
{
	uint64_t burst = parse_size(said);

	if (burst < 1)
		misused("%s %s: a burst is 1 byte at least", said->name,
			show_quoted(said->value));
	return burst;
}

static void add_side(struct text *text, const char *direction,
		     const struct limit_side_options *side)
{
	if (!side->rate.value && side->burst.value)
		misused("%s is for a rate: %s is missing", side->burst.name, side->rate.name);
	if (!side->rate.value && !side->quota.value)
		return;
	text_printf(text, "%s%s", text->length && text->s[text->length - 1] != ' ' ? " " : "",
		    direction);
	if (side->rate.value)
		text_printf(text, " rate %.0f", parse_rate(&side->rate));
	if (side->burst.value)
		text_printf(text, " burst %" PRIu64, parse_burst(&side->burst));
	if (!side->quota.value)
		return;
	text_printf(text, " quota %" PRIu64, parse_size(&side->quota));
	if (side->has_used)
		text_printf(text, " used %" PRIu64, side->used);
}

char *limit_text(const struct limit_options *options)
{
	struct text text = { };
	size_t empty;

	if (options->dry)
		text_puts(&text, "dry ");
	empty = text.length;
	add_side(&text, "in", &options->in);
	add_side(&text, "out", &options->out);
	if (text.length == empty) {
		text_free(&text);
		return NULL;
	}
	text_puts(&text, "\n");
	return text.s;
}

bool limit_is_set(const struct limit *limit)
{
	return limit->mode && strcmp(limit->mode, "none");
}

static void add_side_of(struct text *text, const char *direction,
			const struct limit_side *side, bool anew)
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
		text_printf(text, " quota %s used %" PRIu64, side->quota, anew ? 0 : side->used);
}

char *limit_text_of(const struct limit *limit, bool anew)
{
	struct text text = { };

	if (!limit_is_set(limit))
		return NULL;
	if (!strcmp(limit->mode, "dry"))
		text_puts(&text, "dry ");
	add_side_of(&text, "in", &limit->in, anew);
	add_side_of(&text, "out", &limit->out, anew);
	text_puts(&text, "\n");
	return text.s;
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
