// SPDX-License-Identifier: GPL-2.0-only
/* Whether a target still is what its configuration makes of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cni.h"

/* What a limit says of one direction, as words of a text in the kernel's grammar. */
struct words {
	const char *rate, *burst, *quota;
};

/* The kernel's choice where no burst is said. */
static uint64_t default_burst(uint64_t rate)
{
	return rate / 20 > 65536 ? rate / 20 : 65536;
}

static bool is_number(const char *found, const char *expected)
{
	return (!found && !expected) || (found && expected && !strcmp(found, expected));
}

static void check_side(const char *direction, const struct limit_side *found,
		       const struct words *expected)
{
	char burst[24];
	uint64_t rate;

	if (!is_number(found->rate, expected->rate))
		cni_fail(CNI_CHANGED, "", "limit: the rate %s is %s, and not %s", direction,
			 found->rate ? found->rate : "none",
			 expected->rate ? expected->rate : "none");
	if (!is_number(found->quota, expected->quota))
		cni_fail(CNI_CHANGED, "", "limit: the quota %s is %s, and not %s", direction,
			 found->quota ? found->quota : "none",
			 expected->quota ? expected->quota : "none");
	if (!expected->rate || !parse_u64(expected->rate, &rate))
		return;
	snprintf(burst, sizeof(burst), "%" PRIu64, default_burst(rate));
	if (!is_number(found->burst, expected->burst ? expected->burst : burst))
		cni_fail(CNI_CHANGED, "", "limit: the burst %s is %s, and not %s", direction,
			 found->burst ? found->burst : "none",
			 expected->burst ? expected->burst : burst);
}

static void check_limit(const char *text, const struct limit *found)
{
	char *copy = xstrdup(text), *rest = copy, *word;
	struct words in = { }, out = { }, *side = &in;
	bool dry = false;

	copy[strcspn(copy, "\n")] = '\0';
	while ((word = next_word(&rest))) {
		if (!strcmp(word, "dry"))
			dry = true;
		else if (!strcmp(word, "in") || !strcmp(word, "out"))
			side = *word == 'i' ? &in : &out;
		else if (!strcmp(word, "rate"))
			side->rate = next_word(&rest);
		else if (!strcmp(word, "burst"))
			side->burst = next_word(&rest);
		else if (!strcmp(word, "quota"))
			side->quota = next_word(&rest);
	}
	if (!found->mode || strcmp(found->mode, dry ? "dry" : "on"))
		cni_fail(CNI_CHANGED, "", "limit: it is %s, and not %s",
			 found->mode ? found->mode : "none", dry ? "dry" : "on");
	check_side("in", &found->in, &in);
	check_side("out", &found->out, &out);
	free(copy);
}

/* Told by what would be written to have the one that is there. */
static void check_gate(const char *text, const struct gate *found)
{
	char *there = gate_text_of(found);

	if (strcmp(there, text))
		cni_fail(CNI_CHANGED, "", "gate: it is %s%s%s, and not as it was set",
			 found->dry ? "dry " : "", found->policy,
			 found->except ? " with an exception" : "");
	free(there);
}

void cni_check_target(const struct cni_config *config, const struct ns *ns)
{
	struct target target;

	if (!ns->bound ||
	    !target_read_same(&target, ns->inode, ns->cookie, READ_GATE | READ_LIMIT) ||
	    !target.live)
		cni_fail(CNI_CHANGED, "", "the namespace is not bound any more");
	if (config->gate)
		check_gate(config->gate, &target.gate);
	if (config->limit)
		check_limit(config->limit, &target.limit);
	target_free(&target);
}
