// SPDX-License-Identifier: GPL-2.0-only
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

struct libscols_table *table_new(const char *const *columns, size_t count)
{
	struct libscols_table *table = scols_new_table();
	size_t i;

	if (!table)
		die(EXIT_FAILED, "out of memory");
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	if (scols_table_set_column_separator(table, "  "))
		die(EXIT_FAILED, "out of memory");
	for (i = 0; i < count; i++) {
		bool right = *columns[i] == '>';

		if (!scols_table_new_column(table, columns[i] + right, 0,
					    right ? SCOLS_FL_RIGHT : 0))
			die(EXIT_FAILED, "out of memory");
	}
	return table;
}

void table_row(struct libscols_table *table, char *const *cells, size_t count)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	size_t i;

	for (i = 0; i < count; i++)
		if (!line || scols_line_refer_data(line, i, cells[i]))
			die(EXIT_FAILED, "out of memory");
}

/* libsmartcols ends no string with a newline, or not all of its versions do. */
char *table_text(struct libscols_table *table)
{
	char *text = NULL, *lines;
	size_t length;

	if (scols_print_table_to_string(table, &text) || !text)
		die(EXIT_FAILED, "out of memory");
	length = strlen(text);
	if (length && text[length - 1] == '\n')
		return text;
	lines = xasprintf("%s\n", text);
	free(text);
	return lines;
}

void table_free(struct libscols_table *table)
{
	scols_unref_table(table);
}
