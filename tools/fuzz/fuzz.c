// SPDX-License-Identifier: GPL-2.0-only
/* Hands what libFuzzer makes up to all that reads files of the kernel, to what shows
 * names, and to what reads files of runtimes: scripts/check/fuzz-command. The first byte
 * chooses.
 */
#include <stdlib.h>
#include <string.h>

#include "../kernel.h"
#include "../show.h"
#include "runtimes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_target(char *text, unsigned int which)
{
	struct target target = { .hooks = "" };

	if (which == 0)
		parse_state(&target, text);
	else if (which == 1)
		parse_gate(&target.gate, text);
	else if (which == 2)
		parse_limit(&target.limit, text);
	else
		parse_stats(&target, text);
	target_free(&target);
}

static void fuzz_lists(char *text, unsigned int which)
{
	struct namespaces namespaces;
	struct autobind autobind;
	struct flows flows = { };

	if (which == 4) {
		parse_namespaces(&namespaces, text);
		namespaces_find(&namespaces, 4026531840);
		namespaces_free(&namespaces);
	} else if (which == 5) {
		parse_flows(&flows, text, 100);
		flows_free(&flows);
	} else {
		parse_auto(&autobind, text);
	}
}

static void fuzz_shown(const char *text)
{
	struct text label = { };
	json_t *json;

	free(show_string(text));
	free(show_quoted(text));
	json = json_clean(text);
	if (!json)
		abort();
	json_decref(json);
	text_label(&label, text);
	text_free(&label);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int which = size ? data[0] % 9 : 0;
	char *text;

	if (!size)
		return 0;
	text = xmalloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (which < 4)
		fuzz_target(text, which);
	else if (which < 7)
		fuzz_lists(text, which);
	else if (which == 7)
		fuzz_shown(text);
	else
		fuzz_runtimes(text);
	free(text);
	return 0;
}
