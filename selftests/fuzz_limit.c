// SPDX-License-Identifier: GPL-2.0-only
/* Commands for a limit that nothing passes, and the rules of what must come of them. */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#define LIMIT_TEXT_MAX 1024
#define RATE_MAX 1000000000000ULL

static unsigned long long number_of_bytes(void)
{
	static const unsigned long long known_edges[] = {
		0, 1, 65535, 65536, RATE_MAX, RATE_MAX + 1, INT64_MAX / 4, INT64_MAX,
		UINT64_MAX,
	};

	if (one_in(3))
		return known_edges[below(ARRAY_SIZE(known_edges))];
	return one_in(2) ? number_at_edge() : random64() >> below(64);
}

static void add_number(const char *word)
{
	add(" %s %s%llu%s", word, one_in(40) ? "0" : one_in(100) ? "+" : "", number_of_bytes(),
	    one_in(100) ? "0000000000" : "");
}

static void add_rule(const char *direction)
{
	add("%s", direction);
	if (one_in(2)) {
		add(" rate %llu", one_in(10) ? number_of_bytes() : 1 + random64() % RATE_MAX);
		if (one_in(2))
			add_number("burst");
	}
	if (one_in(2)) {
		add_number("quota");
		if (one_in(2))
			add_number("used");
	}
}

static void make_limit(void)
{
	bool in_first = one_in(2);

	len = 0;
	if (one_in(10)) {
		add_bytes(size_up_to(one_in(16) ? 3 * LIMIT_TEXT_MAX : 64),
			  one_in(2) ? NULL : "0123456789\n in dry out ratequotabsd");
		return;
	}
	if (one_in(10)) {
		add("none");
	} else {
		if (one_in(3))
			add("dry ");
		add_rule(in_first ? "in" : "out");
		if (one_in(2)) {
			add(" ");
			add_rule(in_first == one_in(50) ? "in" : "out");
		}
	}
	if (one_in(2))
		add("\n");
	if (one_in(3))
		damage("0123456789\n  -+x");
}

/* The rules once more, without a look at how nsgate does it. */
struct direction {
	bool named, has_quota, sets_used;
	unsigned long long rate, burst, quota, used;
};

static struct {
	bool malformed, none, dry;
	struct direction directions[2]; /* in, out */
} limit;

static char *words[LIMIT_TEXT_MAX + 2];
static int nr_words, at;

static bool is_next(const char *word)
{
	if (at == nr_words || strcmp(words[at], word))
		return false;
	at++;
	return true;
}

static bool read_number(unsigned long long least, unsigned long long most,
			unsigned long long *number)
{
	unsigned long long n = 0;
	const char *c;

	if (at == nr_words || !*words[at])
		return false;
	for (c = words[at++]; *c; c++) {
		if (!isdigit((unsigned char)*c) ||
		    __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, *c - '0', &n))
			return false;
	}
	*number = n;
	return n >= least && n <= most;
}

static bool read_rule(struct direction *rule)
{
	if (rule->named)
		return false;
	rule->named = true;
	if (is_next("rate")) {
		if (!read_number(1, RATE_MAX, &rule->rate))
			return false;
		rule->burst = rule->rate / 20 > 65536 ? rule->rate / 20 : 65536;
		if (is_next("burst") && !read_number(1, UINT64_MAX, &rule->burst))
			return false;
	}
	if (is_next("quota")) {
		rule->has_quota = true;
		if (!read_number(0, UINT64_MAX, &rule->quota))
			return false;
		rule->sets_used = is_next("used");
		if (rule->sets_used && !read_number(0, UINT64_MAX, &rule->used))
			return false;
	}
	return rule->rate || rule->has_quota;
}

/* Words are parted by one blank, so that two of them have an empty word between. */
static void split(char *line)
{
	nr_words = 0;
	at = 0;
	do {
		words[nr_words++] = line;
		line = strchr(line, ' ');
		if (line)
			*line++ = '\0';
	} while (line);
}

static void judge_limit(void)
{
	static char line[LIMIT_TEXT_MAX + 1];
	size_t n = len;

	memset(&limit, 0, sizeof(limit));
	limit.malformed = true;
	if (len > LIMIT_TEXT_MAX)
		return;
	if (n && text[n - 1] == '\n')
		n--;
	if (memchr(text, '\n', n) || memchr(text, '\0', len))
		return;
	memcpy(line, text, n);
	line[n] = '\0';
	split(line);
	limit.none = is_next("none");
	if (limit.none) {
		limit.malformed = at < nr_words;
		return;
	}
	limit.dry = is_next("dry");
	do {
		bool in = is_next("in");

		if (!in && !is_next("out"))
			return;
		if (!read_rule(&limit.directions[!in]))
			return;
	} while (at < nr_words);
	limit.malformed = false;
}

/* What the limit says of itself. */
static char stands[4096];
static unsigned long long used[2];
static bool has_rules;

static char *add_value(char *to, const char *direction, const char *key, bool is_there,
		       unsigned long long value)
{
	to += sprintf(to, "%s_%s ", direction, key);
	return to + (is_there ? sprintf(to, "%llu\n", value) : sprintf(to, "none\n"));
}

static void apply_limit(void)
{
	char *to = stands;
	int i;

	to += sprintf(to, "mode %s\n", limit.none ? "none" : limit.dry ? "dry" : "on");
	for (i = 0; i < 2; i++) {
		const struct direction *rule = &limit.directions[i];
		const char *name = i ? "out" : "in";

		if (limit.none || !has_rules)
			used[i] = 0;
		if (rule->sets_used)
			used[i] = rule->used;
		to = add_value(to, name, "rate", rule->rate, rule->rate);
		to = add_value(to, name, "burst", rule->rate, rule->burst);
		to = add_value(to, name, "quota", rule->has_quota, rule->quota);
		to = add_value(to, name, "used", true, used[i]);
		to = add_value(to, name, "over_packets", true, 0);
		to = add_value(to, name, "over_bytes", true, 0);
	}
	has_rules = !limit.none;
}

void fuzz_limit(int fd)
{
	int error;

	make_limit();
	judge_limit();
	error = write_text(fd);
	if (error ? error != EINVAL || !limit.malformed : limit.malformed)
		fail("%s; malformed: %d", strerror(error), limit.malformed);
	if (!alone)
		return;
	if (!error)
		apply_limit();
	else if (!*stands)
		return; /* as after a bind */
	read_all(fd);
	if (strcmp(answer, stands))
		fail("the limit is:\n%sand not:\n%s", answer, stands);
}
