// SPDX-License-Identifier: GPL-2.0-only
/* Docker keeps the state of each container in a file, which is right even while
 * it hangs. A docker that is reached over the network has none here.
 */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

/* Where it keeps its data, to be freed. */
static char *docker_root(void)
{
	json_t *config = json_load_file("/etc/docker/daemon.json", 0, NULL);
	const char *root = json_string_value(json_object_get(config, "data-root"));
	char *path = xstrdup(root ? root : "/var/lib/docker");

	json_decref(config);
	return path;
}

static bool is_shim_of(const struct process *process, const char *id)
{
	const char *told = process && process->argv ? process_option(process, "-id") : NULL;

	return told && !strcmp(told, id) && starts_with(process->comm, "containerd-shim");
}

static const struct process *find_process(const struct processes *processes, pid_t pid,
					  const char *id)
{
	const struct process *process = processes_find(processes, pid);

	if (!process || strlen(id) < 12)
		return NULL;
	if (process_in_cgroup(pid, id) ||
	    is_shim_of(processes_find(processes, process->parent), id))
		return process;
	return NULL;
}

static void add_container(struct containers *containers, const struct processes *processes,
			  json_t *config)
{
	const char *name = json_string_value(json_object_get(config, "Name"));
	const char *id = json_string_value(json_object_get(config, "ID"));
	json_t *state = json_object_get(config, "State");
	const struct process *process = NULL;

	if (!name || !id)
		return;
	if (json_is_true(json_object_get(state, "Running")))
		process = find_process(processes,
				       json_integer_value(json_object_get(state, "Pid")), id);
	containers_add(containers, "docker", xstrdup(name + (*name == '/')), xstrdup(id), process);
}

void docker_read(struct containers *containers, const struct processes *processes)
{
	char *root = docker_root(), *path = xasprintf("%s/containers", root), *file;
	DIR *directory = opendir(path);
	struct dirent *entry;
	size_t length;
	char *text;
	json_t *config;

	while (directory && (entry = readdir(directory))) {
		if (*entry->d_name == '.')
			continue;
		file = xasprintf("%s/config.v2.json", entry->d_name);
		text = read_file(dirfd(directory), file, &length);
		config = text ? json_loadb(text, length, 0, NULL) : NULL;
		add_container(containers, processes, config);
		json_decref(config);
		free(text);
		free(file);
	}
	if (directory)
		closedir(directory);
	free(path);
	free(root);
}
