// SPDX-License-Identifier: GPL-2.0-only
/* Every network namespace, and what lives in it. */
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "show.h"

static int compare_inodes(const void *a, const void *b)
{
	const struct process *const *x = a, *const *y = b;

	if ((*x)->inode != (*y)->inode)
		return (*x)->inode < (*y)->inode ? -1 : 1;
	return (*x)->pid < (*y)->pid ? -1 : 1;
}

/* All processes by inode and then PID. */
static const struct process **sort_processes(const struct processes *processes)
{
	const struct process **sorted = xmalloc(processes->count * sizeof(*sorted));
	size_t i;

	for (i = 0; i < processes->count; i++)
		sorted[i] = &processes->rows[i];
	qsort(sorted, processes->count, sizeof(*sorted), compare_inodes);
	return sorted;
}

/* The first of an inode, and how many follow. */
static const struct process **processes_of(const struct process **sorted, size_t count,
					   uint32_t inode, size_t *found)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sorted[middle]->inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	for (*found = 0; low + *found < count && sorted[low + *found]->inode == inode;)
		++*found;
	return sorted + low;
}

static char *show_processes(const struct process **processes, size_t count)
{
	struct text text = { };
	char *comm;
	size_t i;

	for (i = 0; i < count && i < 2; i++) {
		comm = show_string(processes[i]->comm);
		text_printf(&text, "%s%d %s", i ? ", " : "", processes[i]->pid, comm);
		free(comm);
	}
	if (!count)
		text_puts(&text, "-");
	if (count > 2)
		text_printf(&text, " and %zu more", count - 2);
	return text.s;
}

static char *show_names(const struct name *names, size_t count)
{
	struct text text = { };
	char *name;
	size_t i;

	for (i = 0; i < count; i++) {
		name = show_string(names[i].name);
		if (!strcmp(names[i].kind, "netns"))
			text_printf(&text, "%s%s", i ? " " : "", name);
		else
			text_printf(&text, "%s%s:%s", i ? " " : "", names[i].kind, name);
		free(name);
	}
	if (!count)
		text_puts(&text, "-");
	return text.s;
}

static json_t *row_json(const struct namespace *row, const struct name *names, size_t n_names,
			const struct process **processes, size_t n_processes)
{
	json_t *json_names = json_array(), *json_processes = json_array();
	size_t i;

	for (i = 0; i < n_names; i++)
		json_array_append_new(json_names,
				      json_pack("{s:s, s:o}", "kind", names[i].kind,
						"name", json_clean(names[i].name)));
	for (i = 0; i < n_processes; i++)
		json_array_append_new(json_processes,
				      json_pack("{s:i, s:o}", "pid", processes[i]->pid,
						"command", json_clean(processes[i]->comm)));
	return json_pack("{s:I, s:I, s:b, s:I, s:o, s:o}",
			 "inode", (json_int_t)row->inode, "cookie", (json_int_t)row->cookie,
			 "bound", row->bound, "devices", (json_int_t)row->devices,
			 "names", json_names, "processes", json_processes);
}

static void add_row(struct libscols_table *table, const struct namespace *row,
		    const struct name *names, size_t n_names,
		    const struct process **processes, size_t n_processes)
{
	char *const cells[] = {
		xasprintf("%" PRIu32, row->inode),
		xasprintf("%" PRIu64, row->cookie),
		xstrdup(row->bound ? "yes" : "-"),
		xasprintf("%u", row->devices),
		show_processes(processes, n_processes),
		show_names(names, n_names),
	};

	table_row(table, cells, ARRAY_SIZE(cells));
}

static void print_list(const struct namespaces *namespaces, const struct names *names,
		       const struct process **processes, bool json)
{
	const char *const columns[] = {
		"INODE", "COOKIE", "BOUND", ">DEVICES", "PROCESSES", "NAMES",
	};
	struct libscols_table *table = table_new(columns, ARRAY_SIZE(columns));
	size_t i, n_names, n_processes;
	char *text;

	json_array_start();
	for (i = 0; i < namespaces->count; i++) {
		const struct namespace *row = &namespaces->rows[i];
		const struct name *its_names = names_of(names, row->inode, &n_names);
		const struct process **its = processes_of(processes, names->processes.count,
							  row->inode, &n_processes);

		if (json)
			json_array_add(row_json(row, its_names, n_names, its, n_processes));
		else
			add_row(table, row, its_names, n_names, its, n_processes);
	}
	if (json) {
		json_array_end();
	} else {
		text = table_text(table);
		fputs(text, stdout);
		free(text);
	}
	table_free(table);
}

int command_list(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const struct process **processes;
	struct namespaces namespaces;
	struct names names;
	bool json = false;

	while (next_option(argc, argv, ":h", options) >= 0)
		json = true;
	count_arguments(argc, argv, 0, 0, "");
	kernel_check(command_name);
	names_read(&names);
	if (!kernel_read_namespaces(&namespaces))
		die(EXIT_FAILED, HOST_VIEW "/namespaces: %m");
	processes = sort_processes(&names.processes);
	print_list(&namespaces, &names, processes, json);
	free(processes);
	namespaces_free(&namespaces);
	names_free(&names);
	return EXIT_DONE;
}
