// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "process.h"

static uint32_t inode_at(int directory, const char *path)
{
	struct stat st;

	return fstatat(directory, path, &st, 0) ? 0 : st.st_ino;
}

uint32_t process_inode(pid_t pid)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return inode_at(AT_FDCWD, path);
}

/* The name stands in parentheses, and may have some itself. */
static bool read_stat(struct process *process, int proc, const char *pid)
{
	char path[sizeof("/stat") + NAME_MAX], *text, *open, *close;
	bool good = false;

	snprintf(path, sizeof(path), "%s/stat", pid);
	text = read_file(proc, path, NULL);
	if (!text)
		return false;
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (open && close && close > open) {
		*close = '\0';
		snprintf(process->comm, sizeof(process->comm), "%s", open + 1);
		good = sscanf(close + 1, " %*c %d", &process->parent) == 1;
	}
	free(text);
	return good;
}

static uid_t read_uid(int proc, const char *pid)
{
	char path[sizeof("/status") + NAME_MAX], *text, *uid;
	unsigned int real = (uid_t)-1, effective = (uid_t)-1;

	snprintf(path, sizeof(path), "%s/status", pid);
	text = read_file(proc, path, NULL);
	uid = text ? strstr(text, "\nUid:") : NULL;
	if (uid && (sscanf(uid + 5, "%u %u", &real, &effective) != 2 || real != effective))
		real = (uid_t)-1;
	free(text);
	return real;
}

/* A command line is what its process says, so who may say it is looked at, too:
 * no container is in our PID namespace.
 */
static void read_argv(struct process *process, int proc, const char *pid, uint32_t own)
{
	char path[sizeof("/cmdline") + NAME_MAX], *text, *s;
	size_t length, room = 0;

	snprintf(path, sizeof(path), "%s/ns/pid", pid);
	if (inode_at(proc, path) != own)
		return;
	snprintf(path, sizeof(path), "%s/cmdline", pid);
	text = read_file(proc, path, &length);
	if (!text || !length) {
		free(text);
		return;
	}
	for (s = text; s < text + length; s += strlen(s) + 1) {
		process->argv = grow(process->argv, process->argc, &room, sizeof(char *));
		process->argv[process->argc++] = s;
	}
}

static bool may_be_runtime(const struct process *process)
{
	const char *comm = process->comm;

	return !strcmp(comm, "conmon") || starts_with(comm, "containerd-shim") ||
	       starts_with(comm, "lxc") || starts_with(comm, "lxd") || starts_with(comm, "incus");
}

static int compare_pids(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

void processes_read(struct processes *processes)
{
	DIR *directory = opendir("/proc");
	uint32_t own_pids = inode_at(AT_FDCWD, "/proc/self/ns/pid");
	struct dirent *entry;
	size_t room = 0;
	char path[32];

	*processes = (struct processes){ .host_inode = inode_at(AT_FDCWD, "/proc/self/ns/net") };
	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		struct process process = { .pid = atoi(entry->d_name) };

		if (process.pid <= 0 || strlen(entry->d_name) > 10)
			continue;
		snprintf(path, sizeof(path), "%.10s/ns/net", entry->d_name);
		process.inode = inode_at(dirfd(directory), path);
		if (!process.inode || !read_stat(&process, dirfd(directory), entry->d_name))
			continue;
		if (process.inode == processes->host_inode && may_be_runtime(&process)) {
			process.uid = read_uid(dirfd(directory), entry->d_name);
			read_argv(&process, dirfd(directory), entry->d_name, own_pids);
		}
		processes->rows = grow(processes->rows, processes->count, &room, sizeof(process));
		processes->rows[processes->count++] = process;
	}
	closedir(directory);
	if (processes->count)
		qsort(processes->rows, processes->count, sizeof(*processes->rows), compare_pids);
}

void processes_free(struct processes *processes)
{
	size_t i;

	for (i = 0; i < processes->count; i++) {
		struct process *process = &processes->rows[i];

		if (process->argv)
			free(process->argv[0]);
		free(process->argv);
	}
	free(processes->rows);
	*processes = (struct processes){ };
}

const struct process *processes_find(const struct processes *processes, pid_t pid)
{
	const struct process key = { .pid = pid };

	return processes->count ? bsearch(&key, processes->rows, processes->count,
					  sizeof(key), compare_pids) : NULL;
}

const struct process *processes_child(const struct processes *processes, pid_t pid)
{
	const struct process *first = NULL;
	size_t i;

	for (i = 0; i < processes->count; i++) {
		const struct process *process = &processes->rows[i];

		if (process->parent != pid)
			continue;
		if (process->inode != processes->host_inode)
			return process;
		if (!first)
			first = process;
	}
	return first;
}

const char *process_option(const struct process *process, const char *option)
{
	size_t i, length = strlen(option);

	for (i = 1; i < process->argc; i++) {
		const char *argument = process->argv[i];

		if (!strcmp(argument, option))
			return i + 1 < process->argc ? process->argv[i + 1] : "";
		if (starts_with(argument, option) && argument[length] == '=')
			return argument + length + 1;
	}
	return NULL;
}

bool process_in_cgroup(pid_t pid, const char *id)
{
	char path[48], *text;
	bool found;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	text = read_file(AT_FDCWD, path, NULL);
	found = text && strstr(text, id);
	free(text);
	return found;
}

/* Not getpwuid(), which may ask a server far away. */
char *user_name(uid_t uid)
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;
	char *name = NULL;

	if (file) {
		while (!name && (entry = fgetpwent(file)))
			if (entry->pw_uid == uid)
				name = xstrdup(entry->pw_name);
		fclose(file);
	}
	return name ? name : xasprintf("%u", uid);
}
