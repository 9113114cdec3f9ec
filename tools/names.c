// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"

static void add(struct names *names, uint32_t inode, const char *kind, const char *name,
		bool pod)
{
	names->rows = grow(names->rows, names->count, &names->room, sizeof(*names->rows));
	names->rows[names->count] = (struct name){
		.inode = inode,
		.order = names->count,
		.kind = kind,
		.pod = pod,
		.name = xstrdup(name),
	};
	names->count++;
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Which inodes are namespaces can be told from files of another kind by their
 * device.
 */
static void add_netns(struct names *names)
{
	struct dirent **entries;
	struct stat nsfs, st;
	int i, count, directory = open(NETNS_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0)
		return;
	if (stat("/proc/self/ns/net", &nsfs))
		goto out;
	count = scandirat(directory, ".", &entries, NULL, compare_entries);
	for (i = 0; i < count; i++) {
		if (strcmp(entries[i]->d_name, ".") && strcmp(entries[i]->d_name, "..") &&
		    !fstatat(directory, entries[i]->d_name, &st, 0) && st.st_dev == nsfs.st_dev)
			add(names, st.st_ino, "netns", entries[i]->d_name, false);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
out:
	close(directory);
}

static void add_containers(struct names *names)
{
	struct containers containers;
	size_t i;

	containers_read(&containers, &names->processes);
	for (i = 0; i < containers.count; i++) {
		const struct container *container = &containers.rows[i];

		if (container->pid && container->inode != names->processes.host_inode)
			add(names, container->inode, container->kind, container->name,
			    container->pod);
	}
	containers_free(&containers);
}

static int compare_names(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

void names_read(struct names *names)
{
	*names = (struct names){ };
	processes_read(&names->processes);
	add_netns(names);
	add_containers(names);
	if (names->count)
		qsort(names->rows, names->count, sizeof(*names->rows), compare_names);
}

void names_free(struct names *names)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		free(names->rows[i].name);
	free(names->rows);
	processes_free(&names->processes);
	*names = (struct names){ };
}

const struct name *names_of(const struct names *names, uint32_t inode, size_t *count)
{
	size_t low = 0, high = names->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (names->rows[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	for (*count = 0; low + *count < names->count; ++*count)
		if (names->rows[low + *count].inode != inode)
			break;
	return names->rows + low;
}
