// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel.h"

bool kernel_loaded(void)
{
	return !access(HOST_VIEW "/namespaces", F_OK);
}

/* A /proc that shows processes only has no /proc/net. */
static void check_proc(void)
{
	if (!access("/proc/net", F_OK))
		return;
	if (access("/proc/self", F_OK))
		die(EXIT_NO_HOST, "/proc, where the module is asked, is not mounted");
	die(EXIT_NO_HOST,
	    "/proc shows nothing but processes (it is mounted with subset=pid), and the module is asked in /proc/net; run nsgate where /proc is mounted without that, in a unit of systemd with ProcSubset=all");
}

void kernel_check(const char *command)
{
	if (geteuid())
		die(EXIT_NO_HOST, "only root may do this; try 'sudo nsgate %s'", command);
	if (access(PARAMETERS, F_OK) && !kernel_loaded())
		die(EXIT_NO_HOST, "the module is not loaded; 'modprobe nsgate' loads it");
	check_proc();
	if (!kernel_loaded())
		die(EXIT_NO_HOST, "this is not the initial network namespace; run nsgate on the host");
}

bool kernel_read_namespaces(struct namespaces *namespaces)
{
	char *text = read_file(AT_FDCWD, HOST_VIEW "/namespaces", NULL);

	*namespaces = (struct namespaces){ };
	if (!text)
		return false;
	parse_namespaces(namespaces, text);
	free(text);
	return true;
}

const struct namespace *namespaces_find(const struct namespaces *namespaces, uint32_t inode)
{
	size_t low = 0, high = namespaces->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct namespace *row = namespaces->by_inode[middle];

		if (row->inode == inode)
			return row;
		if (row->inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void namespaces_free(struct namespaces *namespaces)
{
	free(namespaces->rows);
	free(namespaces->by_inode);
	*namespaces = (struct namespaces){ };
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order of their names, so that what is printed changes little. */
void kernel_list_targets(struct strings *directories)
{
	DIR *directory = opendir(HOST_VIEW);
	struct dirent *entry;

	*directories = (struct strings){ };
	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (*entry->d_name < '1' || *entry->d_name > '9')
			continue;
		directories->s = grow(directories->s, directories->count, &directories->room,
				      sizeof(*directories->s));
		directories->s[directories->count++] = xstrdup(entry->d_name);
	}
	closedir(directory);
	if (directories->count)
		qsort(directories->s, directories->count, sizeof(*directories->s),
		      compare_strings);
}

void strings_free(struct strings *strings)
{
	size_t i;

	for (i = 0; i < strings->count; i++)
		free(strings->s[i]);
	free(strings->s);
	*strings = (struct strings){ };
}

static char *read_target_file(const struct target *target, const char *file)
{
	char path[sizeof(HOST_VIEW) + sizeof(target->directory) + 16];

	snprintf(path, sizeof(path), HOST_VIEW "/%s/%s", target->directory, file);
	return read_file(AT_FDCWD, path, NULL);
}

bool target_read(struct target *target, const char *directory, unsigned int what)
{
	char **texts = target->texts;

	*target = (struct target){ .hooks = "", .gate.policy = "accept" };
	snprintf(target->directory, sizeof(target->directory), "%s", directory);
	if (what & READ_STATE) {
		texts[0] = read_target_file(target, "state");
		if (!texts[0])
			return false;
		parse_state(target, texts[0]);
	}
	if (what & READ_GATE) {
		texts[1] = read_target_file(target, "gate");
		if (!texts[1])
			goto err_free;
		parse_gate(&target->gate, texts[1]);
	}
	if (what & READ_LIMIT) {
		texts[2] = read_target_file(target, "limit");
		if (texts[2])
			parse_limit(&target->limit, texts[2]);
	}
	if (what & READ_STATS) {
		texts[3] = read_target_file(target, "stats");
		if (!texts[3])
			goto err_free;
		parse_stats(target, texts[3]);
	}
	return true;

err_free:
	target_free(target);
	return false;
}

void target_free(struct target *target)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(target->texts); i++)
		free(target->texts[i]);
	free(target->counters);
	*target = (struct target){ .hooks = "" };
}

/* Not read to its end: a table may have a million flows, most bytes first. */
bool kernel_read_flows(struct flows *flows, const char *directory, size_t most)
{
	const size_t line = 160;
	char path[sizeof(HOST_VIEW) + 64];
	struct text text = { };
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), HOST_VIEW "/%s/flows", directory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	do {
		char block[16384];

		n = read(fd, block, sizeof(block));
		if (n > 0)
			text_add(&text, block, n);
	} while (n > 0 && text.length < (most + 1) * line);
	close(fd);
	text_add(&text, "", 0);
	/* What was cut off is no flow. */
	if (n > 0 && strrchr(text.s, '\n'))
		*strrchr(text.s, '\n') = '\0';
	flows->text = text.s;
	parse_flows(flows, flows->text, most);
	return n >= 0;
}

void flows_free(struct flows *flows)
{
	free(flows->rows);
	free(flows->text);
	*flows = (struct flows){ };
}

bool kernel_read_auto(struct autobind *autobind)
{
	char *text = read_file(AT_FDCWD, HOST_VIEW "/auto", NULL);

	if (!text)
		return false;
	parse_auto(autobind, text);
	free(text);
	return true;
}

int kernel_answer;

static int write_once(const char *path, const char *text)
{
	int error = 0, fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t length = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, length);
	if (n < 0)
		error = -errno;
	else if ((size_t)n != length)
		error = -EIO;
	close(fd);
	return error;
}

int kernel_write(const char *path, const char *text)
{
	kernel_answer = write_once(path, text);
	return kernel_answer;
}

int kernel_bind(uint32_t inode)
{
	char text[16];

	snprintf(text, sizeof(text), "+%" PRIu32 "\n", inode);
	return kernel_write(PARAMETERS "/inode", text);
}

/* The number of one that is gone may be another's, or that of several that are
 * gone: its cookie says which, to a module that knows of that.
 */
int kernel_release(const struct target *target)
{
	char text[48];
	int error = -EINVAL;

	if (!target->live) {
		snprintf(text, sizeof(text), "-%" PRIu32 ".%" PRIu64 "\n",
			 target->inode, target->cookie);
		error = kernel_write(PARAMETERS "/inode", text);
	}
	if (error == -EINVAL) {
		snprintf(text, sizeof(text), "-%" PRIu32 "\n", target->inode);
		error = kernel_write(PARAMETERS "/inode", text);
	}
	return error;
}

int kernel_write_target(const char *directory, const char *file, const char *text)
{
	char path[sizeof(HOST_VIEW) + 80];

	snprintf(path, sizeof(path), HOST_VIEW "/%s/%s", directory, file);
	return kernel_write(path, text);
}
