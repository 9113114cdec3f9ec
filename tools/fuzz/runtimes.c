// SPDX-License-Identifier: GPL-2.0-only
/* Hands what libFuzzer makes up to what reads the files that runtimes of containers
 * leave: in place of the functions that open them, which fuzz-command renames. Parts of
 * the input end with \f: the processes, a line each of PID, parent, user, inode, name
 * and command line, words of which begin with \t; then each file and each
 * directory, in the order in which they are asked for.
 */
#include <dirent.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-login.h>
#include <jansson.h>

#include "../runtime.h"
#include "runtimes.h"

/* What is left of the input. */
static char *parts;

/* To be freed; NULL is for what isn't there, and so is an empty one. */
static char *next_part(void)
{
	char *part = strsep(&parts, "\f");

	return part && *part ? xstrdup(part) : NULL;
}

struct listing {
	char *text, *rest;
	struct dirent entry;
};

DIR *fuzz_opendir(const char *path)
{
	struct listing *listing;
	char *part = next_part();

	(void)path;
	if (!part)
		return NULL;
	listing = xmalloc(sizeof(*listing));
	*listing = (struct listing){ .text = part, .rest = part };
	return (DIR *)listing;
}

struct dirent *fuzz_readdir(DIR *directory)
{
	struct listing *listing = (struct listing *)directory;
	char *name = next_line(&listing->rest);

	if (!name)
		return NULL;
	snprintf(listing->entry.d_name, sizeof(listing->entry.d_name), "%s", name);
	return &listing->entry;
}

int fuzz_closedir(DIR *directory)
{
	free(((struct listing *)directory)->text);
	free(directory);
	return 0;
}

int fuzz_dirfd(DIR *directory)
{
	(void)directory;
	return -1;
}

int fuzz_access(const char *path, int mode)
{
	return (strlen(path) + mode) % 4 ? 0 : -1;
}

int fuzz_glob(const char *pattern, int flags, int (*error)(const char *, int), glob_t *found)
{
	size_t i;

	(void)flags;
	(void)error;
	found->gl_pathc = 2;
	found->gl_pathv = xmalloc(2 * sizeof(char *));
	for (i = 0; i < found->gl_pathc; i++)
		found->gl_pathv[i] = xstrdup(pattern);
	return 0;
}

void fuzz_globfree(glob_t *found)
{
	size_t i;

	for (i = 0; i < found->gl_pathc; i++)
		free(found->gl_pathv[i]);
	free(found->gl_pathv);
}

char *fuzz_read_file(int directory, const char *path, size_t *length)
{
	char *part = next_part();

	(void)directory;
	(void)path;
	if (part && length)
		*length = strlen(part);
	return part;
}

json_t *fuzz_json_load_file(const char *path, size_t flags, json_error_t *error)
{
	char *part = next_part();
	json_t *json = part ? json_loads(part, flags, error) : NULL;

	(void)path;
	free(part);
	return json;
}

bool fuzz_in_cgroup(pid_t pid, const char *id)
{
	char *part = next_part();
	bool found = part && strstr(part, id);

	(void)pid;
	free(part);
	return found;
}

char *fuzz_user_name(uid_t uid)
{
	return xasprintf("%u", uid);
}

int fuzz_machine_names(char ***names)
{
	char *part = next_part(), *rest = part, *line;
	size_t count = 0, room = 0;

	while ((line = next_line(&rest))) {
		*names = grow(*names, count, &room, sizeof(char *));
		(*names)[count++] = xstrdup(line);
	}
	free(part);
	return count;
}

int fuzz_machine_name(pid_t pid, char **name)
{
	*name = next_part();
	return *name ? pid : -1;
}

static void add_process(struct processes *processes, size_t *room, char *line)
{
	struct process process = { };
	char *words = strchr(line, '\t');
	size_t room_of_words = 0;

	if (sscanf(line, "%d %d %u %u %31s", &process.pid, &process.parent, &process.uid,
		   &process.inode, process.comm) != 5 || process.pid <= 0)
		return;
	while (words) {
		*words++ = '\0';
		process.argv = grow(process.argv, process.argc, &room_of_words, sizeof(char *));
		process.argv[process.argc++] = words;
		words = strchr(words, '\t');
	}
	processes->rows = grow(processes->rows, processes->count, room, sizeof(process));
	processes->rows[processes->count++] = process;
}

static int compare(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static void check(const struct container *container, const struct processes *processes)
{
	container_is(container, "0123456789ab", true);
	container_is(container, "web", false);
	if (!container->kind || !container->name ||
	    (container->pid && !processes_find(processes, container->pid)))
		abort();
}

void fuzz_runtimes(char *text)
{
	struct processes processes = { .host_inode = 1 };
	struct containers containers;
	char *table, *rest, *line;
	size_t room = 0, i;

	parts = text;
	table = next_part();
	rest = table;
	while ((line = next_line(&rest)))
		add_process(&processes, &room, line);
	if (processes.count)
		qsort(processes.rows, processes.count, sizeof(*processes.rows), compare);
	containers_read(&containers, &processes);
	for (i = 0; i < containers.count; i++)
		check(&containers.rows[i], &processes);
	containers_free(&containers);
	for (i = 0; i < processes.count; i++)
		free(processes.rows[i].argv);
	free(processes.rows);
	free(table);
}
