/* SPDX-License-Identifier: GPL-2.0-only */
/* What top.c finds out, and top_screen.c shows. */
#ifndef NSGATE_TOP_H
#define NSGATE_TOP_H

#include "command.h"

enum rate_kind { RATE_HOOK, RATE_FLOW, RATE_TARGET };
enum sort_by { SORT_PACKETS, SORT_BYTES, SORT_TOTAL };

/* Something that counts, and how much of it there is a second. */
struct rate {
	enum rate_kind kind;
	char *key;			/* of words, as a line shows it; a name is the last */
	uint64_t packets, bytes, dropped;	/* so far */
	uint64_t packets_rate, bytes_rate, dropped_rate;
	char *name;			/* of a target, as it is */
};

struct rates {
	struct rate *rows;		/* by kind and key */
	size_t count, room;
};

struct top {
	struct rates now, last;
	uint64_t looked, microseconds;	/* when; and since the look before */
	enum sort_by sort_by;
	struct records records;
	struct target target;		/* the one to be shown, if it is one */
	size_t targets;
	char *shown;			/* of that one, as it was said; else NULL */
	char *called;			/* its name */
};

/* Looks, and knows the rates since the last look. */
void top_look(struct top *top);

/* Those of a kind where something goes on, in order; to be freed. */
const struct rate **top_sorted(const struct top *top, enum rate_kind kind, size_t *count);

/* Shows it on the terminal, so many times, 0 for ever, every @delay microseconds. */
void top_screen(struct top *top, uint64_t delay, uint64_t count);

/* terminal.c: whether the cursor can be moved. */
bool terminal_has_cursor(void);

/* The time of day, for people. */
char *top_clock(char *buffer, size_t size);

#endif
