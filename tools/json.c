// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>

#include "command.h"

/* The most digits that all are good. */
#define FLAGS JSON_REAL_PRECISION(15)

static bool is_first;

void json_array_start(void)
{
	is_first = true;
}

void json_array_add(json_t *object)
{
	fputs(is_first ? "[\n " : ",\n ", stdout);
	is_first = false;
	json_dumpf(object, stdout, FLAGS);
	json_decref(object);
}

void json_array_end(void)
{
	puts(is_first ? "[]" : "\n]");
}

void json_print(json_t *json)
{
	json_dumpf(json, stdout, FLAGS);
	putchar('\n');
	json_decref(json);
}
