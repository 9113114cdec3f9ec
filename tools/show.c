// SPDX-License-Identifier: GPL-2.0-only
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "show.h"

#define REPLACEMENT "\xef\xbf\xbd"

void show_init(void)
{
	if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8"))
		setlocale(LC_CTYPE, "C.UTF-8");
}

/* The bounds of the second byte leave out what could be written shorter,
 * surrogates, and what is beyond Unicode.
 */
size_t utf8_length(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned char least = 0x80, most = 0xbf;
	size_t length, i;

	if (u[0] < 0x80)
		return u[0] ? 1 : 0;
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	length = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	if (u[0] == 0xe0)
		least = 0xa0;
	else if (u[0] == 0xed)
		most = 0x9f;
	else if (u[0] == 0xf0)
		least = 0x90;
	else if (u[0] == 0xf4)
		most = 0x8f;
	if (u[1] < least || u[1] > most)
		return 0;
	for (i = 2; i < length; i++)
		if (u[i] < 0x80 || u[i] > 0xbf)
			return 0;
	return length;
}

char *clean_string(const char *s)
{
	struct text text = { };
	size_t length;

	text_add(&text, "", 0);
	while (*s) {
		length = utf8_length(s);
		if (length)
			text_add(&text, s, length);
		else
			text_puts(&text, REPLACEMENT);
		s += length ? length : 1;
	}
	return text.s;
}

json_t *json_clean(const char *s)
{
	char *clean = clean_string(s);
	json_t *json = json_string(clean);

	free(clean);
	return json;
}

void text_label(struct text *text, const char *s)
{
	char *clean = clean_string(s), *c;

	text_add(text, "\"", 1);
	for (c = clean; *c; c++) {
		if (*c == '\n')
			text_puts(text, "\\n");
		else if (*c == '"' || *c == '\\')
			text_printf(text, "\\%c", *c);
		else
			text_add(text, c, 1);
	}
	text_add(text, "\"", 1);
	free(clean);
}

/* The next character of *@s, or WEOF, and past it, for what is none. */
static wint_t next_character(const char **s, const char **start)
{
	size_t length = utf8_length(*s);
	wchar_t c;

	*start = *s;
	if (!length) {
		(*s)++;
		return WEOF;
	}
	if (mbrtowc(&c, *s, length, &(mbstate_t){ }) != length)
		c = WEOF;
	*s += length;
	return c;
}

static bool is_plain(wint_t c)
{
	return c != WEOF && (iswalnum(c) || (c < 0x80 && strchr("_.,:/@%+=-", c)));
}

/* As bash does it in $'': what is not to be printed, byte by byte. */
static void quote_bytes(struct text *text, const char *s, const char *end)
{
	for (; s < end; s++) {
		switch (*s) {
		case '\n':
			text_puts(text, "\\n");
			break;
		case '\t':
			text_puts(text, "\\t");
			break;
		case '\r':
			text_puts(text, "\\r");
			break;
		case '\033':
			text_puts(text, "\\E");
			break;
		default:
			text_printf(text, "\\%03o", (unsigned char)*s);
		}
	}
}

static char *quote_odd(const char *s)
{
	struct text text = { };
	const char *start;
	wint_t c;

	text_puts(&text, "$'");
	while (*s) {
		c = next_character(&s, &start);
		if (c == WEOF || !iswprint(c)) {
			quote_bytes(&text, start, s);
		} else {
			if (c == '\'' || c == '\\')
				text_add(&text, "\\", 1);
			text_add(&text, start, s - start);
		}
	}
	text_puts(&text, "'");
	return text.s;
}

static char *quote(const char *s)
{
	struct text text = { };

	text_puts(&text, "'");
	for (; *s; s++) {
		if (*s == '\'')
			text_puts(&text, "'\\''");
		else
			text_add(&text, s, 1);
	}
	text_puts(&text, "'");
	return text.s;
}

char *show_string(const char *s)
{
	const char *rest = s, *start;
	bool plain = *s;

	while (*rest) {
		wint_t c = next_character(&rest, &start);

		if (c == WEOF || !iswprint(c))
			return quote_odd(s);
		plain &= is_plain(c);
	}
	return plain ? xstrdup(s) : quote(s);
}

char *show_quoted(const char *s)
{
	char *shown = show_string(s), *quoted;

	if (strcmp(shown, s))
		return shown;
	quoted = quote(shown);
	free(shown);
	return quoted;
}

char *show_number(struct figure *figure, uint64_t number, const char *unit)
{
	const char *prefix = "kMGTPE";
	uint64_t tenths;

	if (number < 1000) {
		snprintf(figure->s, sizeof(figure->s), "%" PRIu64 "%s%s", number,
			 *unit ? " " : "", unit);
		return figure->s;
	}
	/* Thousandths of the next unit, rounded to tenths when it is the one. */
	for (; number >= 999950 && prefix[1]; prefix++)
		number /= 1000;
	tenths = (number + 50) / 100;
	snprintf(figure->s, sizeof(figure->s), "%" PRIu64 ".%" PRIu64 " %c%s",
		 tenths / 10, tenths % 10, *prefix, unit);
	return figure->s;
}

char *show_seconds(struct figure *figure, uint64_t seconds)
{
	size_t size = sizeof(figure->s);

	if (seconds < 60)
		snprintf(figure->s, size, "%" PRIu64 " s", seconds);
	else if (seconds < 3600)
		snprintf(figure->s, size, "%" PRIu64 " min %" PRIu64 " s",
			 seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(figure->s, size, "%" PRIu64 " h %" PRIu64 " min",
			 seconds / 3600, seconds / 60 % 60);
	else
		snprintf(figure->s, size, "%" PRIu64 " d %" PRIu64 " h",
			 seconds / 86400, seconds / 3600 % 24);
	return figure->s;
}
