// SPDX-License-Identifier: GPL-2.0-only
/* Texts for the parameter, and the rules of what must come of them. */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#define TARGETS_MAX 256
#define PAGE 4096

unsigned int known[KNOWN_MAX], nr_known;

static unsigned int targets[TARGETS_MAX], nr_targets;

static bool find(const unsigned int *list, unsigned int n, unsigned int inode)
{
	while (n--) {
		if (list[n] == inode)
			return true;
	}
	return false;
}

static void add_inode(void)
{
	unsigned int inode = known[below(nr_known)];

	switch (below(40)) {
	case 0:
		add("%u", number_at_edge());
		break;
	case 1:
		add("%s%u", one_in(2) ? "0000" : "+", inode);
		break;
	case 2:
		add("%u%s", inode, one_in(2) ? " " : "\n");
		break;
	case 3:
		add("%u%010u", inode, number_at_edge());
		break;
	default:
		add("%u", inode);
	}
}

static void make_list(unsigned int n)
{
	while (n-- && len < TEXT_MAX - 16) {
		add_inode();
		if (n)
			add(",");
	}
}

/* A text that changes something takes a grace period: most should not. */
static void make_param(void)
{
	unsigned int n;

	len = 0;
	switch (below(256)) {
	case 0 ... 2:
		make_list(1 + below(4));
		break;
	case 3 ... 9:
		add("%c", one_in(2) ? '+' : '-');
		add_inode();
		break;
	case 10 ... 14:
		make_list(1 + size_up_to(372));
		break;
	case 15 ... 19: /* about as many as there may be */
		for (n = 0; n < TARGETS_MAX + below(3); n++)
			add("%s%u", n ? "," : "", n + 1);
		break;
	case 20 ... 120:
		make_list(2 + below(8));
		damage("0123456789,,++--\n\n \t");
		break;
	case 121 ... 200:
		add_bytes(2 + size_up_to(64), "0123456789,+-\n x");
		break;
	case 201 ... 204: /* about a page */
		make_list(one_in(2) ? 372 : 1);
		while (len < PAGE - 4 + below(8))
			add_bytes(1, "0123456789,");
		break;
	default:
		add_bytes(2 + size_up_to(one_in(8) ? 3 * PAGE : 32), NULL);
	}
	if (one_in(2))
		add("\n");
}

/* The rules of the design once more, without a look at how nsgate does it. */
struct verdict {
	bool malformed, too_many, unknown;
	char verb; /* '=', '+' or '-' */
	unsigned int count;
	unsigned int inode[TARGETS_MAX];
};

static void judge_inode(struct verdict *v, const char *s, size_t n)
{
	unsigned long long inode = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!isdigit(s[i]) || inode > UINT32_MAX)
			break;
		inode = inode * 10 + s[i] - '0';
	}
	if (!n || i < n || !inode || inode > UINT32_MAX) {
		v->malformed = true;
		return;
	}
	if (v->verb == '-' ? !find(targets, nr_targets, inode) : !find(known, nr_known, inode))
		v->unknown = true;
	if (find(v->inode, v->count, inode))
		return;
	if (v->count == TARGETS_MAX)
		v->too_many = true;
	else
		v->inode[v->count++] = inode;
}

static void judge_param(struct verdict *v)
{
	size_t n = strnlen(text, len < PAGE ? len : PAGE);
	bool cut = n == PAGE;
	const char *s = text, *comma;

	memset(v, 0, sizeof(*v));
	v->verb = '=';
	if (n && s[n - 1] == '\n')
		n--;
	if (!n)
		return;
	if (*s == '+' || *s == '-') {
		v->verb = *s;
		judge_inode(v, s + 1, n - 1);
		return;
	}
	while ((comma = memchr(s, ',', n))) {
		judge_inode(v, s, comma - s);
		n -= comma + 1 - s;
		s = comma + 1;
	}
	judge_inode(v, s, n);
	v->malformed |= cut;
}

static bool may_be(const struct verdict *v, int error)
{
	switch (error) {
	case 0:
		return !v->malformed && !v->too_many && !v->unknown;
	case EINVAL:
		return v->malformed;
	case E2BIG:
		return v->too_many;
	case ENXIO:
		return v->unknown;
	default:
		return false;
	}
}

static void drop_targets(const struct verdict *v, bool listed)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr_targets; i++) {
		if (find(v->inode, v->count, targets[i]) != listed)
			targets[n++] = targets[i];
	}
	nr_targets = n;
}

static void apply_param(const struct verdict *v)
{
	unsigned int i;

	if (v->verb == '-') {
		drop_targets(v, true);
		return;
	}
	if (v->verb == '=')
		drop_targets(v, false);
	for (i = 0; i < v->count; i++) {
		if (!find(targets, nr_targets, v->inode[i]))
			targets[nr_targets++] = v->inode[i];
	}
}

static void check_param(int fd)
{
	char expected[TARGETS_MAX * 11 + 2], *end = expected;
	unsigned int i;

	for (i = 0; i < nr_targets; i++)
		end += sprintf(end, "%s%u", i ? "," : "", targets[i]);
	strcpy(end, "\n");
	read_all(fd);
	if (strcmp(answer, expected))
		fail("the parameter is %sand not %s", answer, expected);
}

void fuzz_param(int fd)
{
	struct verdict verdict;
	int error;

	make_param();
	judge_param(&verdict);
	error = write_text(fd);
	if (!alone) {
		if (error && error != EINVAL && error != E2BIG && error != ENXIO)
			fail("%s", strerror(error));
		return;
	}
	if (!len) /* is no write */
		return;
	if (!may_be(&verdict, error))
		fail("%s; malformed: %d, too many: %d, unknown: %d", strerror(error),
		     verdict.malformed, verdict.too_many, verdict.unknown);
	if (!error)
		apply_param(&verdict);
	check_param(fd);
}
