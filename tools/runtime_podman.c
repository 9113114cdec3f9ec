// SPDX-License-Identifier: GPL-2.0-only
/* Each container of podman and CRI-O has a conmon, whose child it is: root's, and
 * those that users run for themselves. What doesn't run, a file tells about.
 */
#include <glob.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

/* A conmon for what was run in a container that was there has this, too. */
static bool is_exec(const struct process *conmon)
{
	return process_option(conmon, "-e") || process_option(conmon, "--exec-process-spec") ||
	       process_option(conmon, "--exec-attach");
}

static const char *either_option(const struct process *process, const char *a, const char *b)
{
	const char *value = process_option(process, a);

	return value ? value : process_option(process, b);
}

static const char *kind_of(const struct process *conmon)
{
	const char *directory = process_option(conmon, "--exit-dir");

	return directory && strstr(directory, "/crio/") ? "crio" : "podman";
}

static void add_running(struct containers *containers, const struct processes *processes,
			const struct process *conmon)
{
	const char *name = either_option(conmon, "-n", "--name");
	const char *id = either_option(conmon, "-c", "--cid");
	const struct process *child = processes_child(processes, conmon->pid);
	char *user;

	if (!name || !id || !child || conmon->uid == (uid_t)-1 || is_exec(conmon))
		return;
	if (!conmon->uid) {
		containers_add(containers, kind_of(conmon), xstrdup(name), xstrdup(id), child);
		containers->rows[containers->count - 1].pod =
			!strcmp(kind_of(conmon), "crio") && starts_with(name, "k8s_");
		return;
	}
	user = user_name(conmon->uid);
	containers_add(containers, "podman", xasprintf("%s/%s", user, name), xstrdup(id), child);
	containers->rows[containers->count - 1].of_user = true;
	free(user);
}

static bool is_known(const struct containers *containers, const char *id)
{
	size_t i;

	for (i = 0; i < containers->count; i++)
		if (containers->rows[i].id && !strcmp(containers->rows[i].id, id))
			return true;
	return false;
}

static void add_stopped(struct containers *containers, const char *path)
{
	json_t *all = json_load_file(path, 0, NULL), *row, *name;
	size_t i, j;

	json_array_foreach(all, i, row) {
		const char *id = json_string_value(json_object_get(row, "id"));

		if (!id || is_known(containers, id))
			continue;
		json_array_foreach(json_object_get(row, "names"), j, name)
			if (json_is_string(name))
				containers_add(containers, "podman",
					       xstrdup(json_string_value(name)), xstrdup(id), NULL);
	}
	json_decref(all);
}

/* What storage.conf says, which is TOML; to be freed. */
static char *storage_root(void)
{
	char *text = read_file(-1, "/etc/containers/storage.conf", NULL), *rest = text;
	char *root = NULL, *line;

	while (!root && (line = next_line(&rest))) {
		char value[256];

		if (sscanf(line, " graphroot = \"%255[^\"]\"", value) == 1)
			root = xstrdup(value);
	}
	free(text);
	return root ? root : xstrdup("/var/lib/containers/storage");
}

void podman_read(struct containers *containers, const struct processes *processes)
{
	char *root = storage_root(), *pattern = xasprintf("%s/*-containers/containers.json", root);
	glob_t found;
	size_t i;

	for (i = 0; i < processes->count; i++)
		if (processes->rows[i].argv && !strcmp(processes->rows[i].comm, "conmon"))
			add_running(containers, processes, &processes->rows[i]);
	if (!glob(pattern, 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++)
			add_stopped(containers, found.gl_pathv[i]);
		globfree(&found);
	}
	free(pattern);
	free(root);
}
