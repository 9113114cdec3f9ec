// SPDX-License-Identifier: GPL-2.0-only
/* Each container of LXC has a monitor, whose child it is, and which calls itself
 * "[lxc monitor] DIRECTORY NAME". Incus and LXD run theirs by the same library.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime.h"

#define TITLE "[lxc monitor] "

static const char *kind_of(const char *directory)
{
	if (strstr(directory, "/incus/"))
		return "incus";
	return strstr(directory, "/lxd/") ? "lxd" : "lxc";
}

static void add_running(struct containers *containers, const struct processes *processes,
			const struct process *monitor)
{
	const struct process *child = processes_child(processes, monitor->pid);
	char *directory = xstrdup(monitor->argv[0] + strlen(TITLE));
	char *name = strrchr(directory, ' '), *user;

	if (!child || !name || monitor->uid == (uid_t)-1)
		goto out;
	*name++ = '\0';
	if (!monitor->uid) {
		containers_add(containers, kind_of(directory), xstrdup(name), NULL, child);
		goto out;
	}
	user = user_name(monitor->uid);
	containers_add(containers, "lxc", xasprintf("%s/%s", user, name), NULL, child);
	containers->rows[containers->count - 1].of_user = true;
	free(user);
out:
	free(directory);
}

static bool is_known(const struct containers *containers, const char *kind, const char *name)
{
	size_t i;

	for (i = 0; i < containers->count; i++)
		if (!strcmp(containers->rows[i].kind, kind) &&
		    !strcmp(containers->rows[i].name, name))
			return true;
	return false;
}

/* A directory for each that there is, with a file @config in it, if that is said. */
static void add_stopped(struct containers *containers, const char *kind, const char *path,
			const char *config)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char *file;

	while (directory && (entry = readdir(directory))) {
		if (*entry->d_name == '.' || is_known(containers, kind, entry->d_name))
			continue;
		file = xasprintf("%s/%s/%s", path, entry->d_name, config);
		if (!access(file, F_OK))
			containers_add(containers, kind, xstrdup(entry->d_name), NULL, NULL);
		free(file);
	}
	if (directory)
		closedir(directory);
}

void lxc_read(struct containers *containers, const struct processes *processes)
{
	size_t i;

	for (i = 0; i < processes->count; i++) {
		const struct process *process = &processes->rows[i];

		if (process->argv && starts_with(process->argv[0], TITLE))
			add_running(containers, processes, process);
	}
	add_stopped(containers, "lxc", "/var/lib/lxc", "config");
	add_stopped(containers, "incus", "/var/lib/incus/containers", "");
	add_stopped(containers, "lxd", "/var/lib/lxd/containers", "");
	add_stopped(containers, "lxd", "/var/snap/lxd/common/lxd/containers", "");
}
