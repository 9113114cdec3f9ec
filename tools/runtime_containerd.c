// SPDX-License-Identifier: GPL-2.0-only
/* containerd has a directory for each task, with its PID and what it was made
 * from; the task is a child of a shim. What is a pod's has the pod's name. The
 * containers of Docker, which are there as well, are docker's.
 */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

#define TASKS "/run/containerd/io.containerd.runtime.v2.task"
#define KUBERNETES "k8s.io"

/* The shim of a pod is called by the pod's ID, and has all of its containers. */
static bool is_shim_of(const struct process *process, const char *space, const char *id,
		       const char *pod)
{
	const char *told_space, *told_id;

	if (!process || !process->argv || !starts_with(process->comm, "containerd-shim"))
		return false;
	told_space = process_option(process, "-namespace");
	told_id = process_option(process, "-id");
	return told_space && told_id && !strcmp(told_space, space) &&
	       (!strcmp(told_id, id) || (pod && !strcmp(told_id, pod)));
}

static const char *annotation(json_t *config, const char *key)
{
	return json_string_value(json_object_get(json_object_get(config, "annotations"), key));
}

/* POD for the sandbox that has the namespace, to be freed; NULL for the others of
 * a pod, and SPACE/ID outside of the space that is the default.
 */
static char *name_of(json_t *config, const char *space, const char *id, bool *is_pod)
{
	const char *type = annotation(config, "io.kubernetes.cri.container-type");
	const char *pod = annotation(config, "io.kubernetes.cri.sandbox-name");
	const char *pods = annotation(config, "io.kubernetes.cri.sandbox-namespace");

	if (!strcmp(space, "default"))
		return xstrdup(id);
	if (strcmp(space, KUBERNETES) || !pod)
		return xasprintf("%s/%s", space, id);
	if (type && strcmp(type, "sandbox"))
		return NULL;
	*is_pod = pods;
	return pods ? xasprintf("%s/%s", pods, pod) : xstrdup(pod);
}

static void add_task(struct containers *containers, const struct processes *processes,
		     const char *space, const char *id)
{
	char *path = xasprintf(TASKS "/%s/%s/config.json", space, id), *text, *name;
	json_t *config = json_load_file(path, 0, NULL);
	const struct process *process;
	bool is_pod = false;

	free(path);
	path = xasprintf(TASKS "/%s/%s/init.pid", space, id);
	text = read_file(AT_FDCWD, path, NULL);
	process = text ? processes_find(processes, atoi(text)) : NULL;
	if (process && !is_shim_of(processes_find(processes, process->parent), space, id,
				   annotation(config, "io.kubernetes.cri.sandbox-id")))
		process = NULL;
	name = name_of(config, space, id, &is_pod);
	if (name) {
		containers_add(containers, "containerd", name, xstrdup(id), process);
		containers->rows[containers->count - 1].pod = is_pod;
	}
	json_decref(config);
	free(text);
	free(path);
}

static void add_space(struct containers *containers, const struct processes *processes,
		      const char *space)
{
	char *path = xasprintf(TASKS "/%s", space);
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (*entry->d_name != '.')
			add_task(containers, processes, space, entry->d_name);
	if (directory)
		closedir(directory);
	free(path);
}

void containerd_read(struct containers *containers, const struct processes *processes)
{
	DIR *directory = opendir(TASKS);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (*entry->d_name != '.' && strcmp(entry->d_name, "moby"))
			add_space(containers, processes, entry->d_name);
	if (directory)
		closedir(directory);
}
