/* SPDX-License-Identifier: GPL-2.0-only */
/* How names and figures are written, for people and for programs. */
#ifndef NSGATE_SHOW_H
#define NSGATE_SHOW_H

#include <jansson.h>

#include "util.h"

/* Call first: characters are those of UTF-8, whatever the locale is. */
void show_init(void);

/* For people, to be freed: as the shell takes it, and harmless to a terminal. */
char *show_string(const char *s);

/* The same, but always in quotes, as a word of a sentence. */
char *show_quoted(const char *s);

/* For programs, to be freed: U+FFFD in place of what is not UTF-8. */
char *clean_string(const char *s);

/* The same as a string of JSON. */
json_t *json_clean(const char *s);

/* The value of a label in the format of Prometheus, with its quotes. */
void text_label(struct text *text, const char *s);

/* Short figures; the buffer is the caller's. */
struct figure {
	char s[32];
};

char *show_number(struct figure *figure, uint64_t number, const char *unit);
char *show_seconds(struct figure *figure, uint64_t seconds);

/* The length of the UTF-8 character at @s, 0 if there is none. */
size_t utf8_length(const char *s);

#endif
