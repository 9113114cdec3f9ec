// SPDX-License-Identifier: GPL-2.0-only
/* What systemd-machined knows, told by its library and its files: asking it would
 * start it. A machine's leader is believed if systemd counts it among the
 * machine's processes.
 */
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "runtime.h"

static pid_t read_leader(const char *name)
{
	char *path = xasprintf("/run/systemd/machines/%s", name);
	char *text = read_file(-1, path, NULL), *rest = text, *line;
	pid_t leader = 0;

	while ((line = next_line(&rest)))
		if (starts_with(line, "LEADER="))
			leader = atoi(line + 7);
	free(text);
	free(path);
	return leader;
}

static bool is_in_machine(pid_t pid, const char *name)
{
	char *told = NULL;
	bool same = sd_pid_get_machine_name(pid, &told) >= 0 && told && !strcmp(told, name);

	free(told);
	return same;
}

void machine_read(struct containers *containers, const struct processes *processes)
{
	char **names = NULL;
	int i, count = sd_get_machine_names(&names);

	for (i = 0; i < count; i++) {
		const struct process *process = processes_find(processes, read_leader(names[i]));

		if (process && !is_in_machine(process->pid, names[i]))
			process = NULL;
		/* The host itself is one, too. */
		if (strcmp(names[i], ".host"))
			containers_add(containers, "machine", xstrdup(names[i]), NULL, process);
		free(names[i]);
	}
	free(names);
}
