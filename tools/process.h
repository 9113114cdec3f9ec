/* SPDX-License-Identifier: GPL-2.0-only */
/* The processes of this machine, as far as this PID namespace has them. */
#ifndef NSGATE_PROCESS_H
#define NSGATE_PROCESS_H

#include "util.h"

struct process {
	pid_t pid, parent;
	uint32_t inode;			/* of its network namespace */
	char comm[32];
	/* Of those in our own namespaces, among which runtimes are: */
	char **argv;			/* or NULL */
	size_t argc;
	uid_t uid;
};

struct processes {
	struct process *rows;		/* by PID */
	size_t count;
	uint32_t host_inode;		/* of our network namespace */
};

/* Looks once; what comes and goes meanwhile may be missing. */
void processes_read(struct processes *processes);
void processes_free(struct processes *processes);
const struct process *processes_find(const struct processes *processes, pid_t pid);

/* The first child of @pid that has a network namespace of its own, else the
 * first that is no zombie; NULL if there is none.
 */
const struct process *processes_child(const struct processes *processes, pid_t pid);

/* The value of an option of its command line, or NULL. */
const char *process_option(const struct process *process, const char *option);

/* Whether the cgroup of a process has @id in its path. */
bool process_in_cgroup(pid_t pid, const char *id);

/* The network namespace that a process is in, 0 if there is no such process. */
uint32_t process_inode(pid_t pid);

/* The name of a user as /etc/passwd has it, else the number; to be freed. */
char *user_name(uid_t uid);

#endif
