/* SPDX-License-Identifier: GPL-2.0-only */
/* Containers and machines, of all programs that run such.
 *
 * No runtime is asked: what it leaves on disk for itself, and the processes by
 * which it looks after its containers, tell all there is to know. So nothing is
 * started by a look, none that hangs holds us up, and one on another host is none.
 *
 * A PID is believed if the process is shown to be in that container: it is a
 * child of the container's own monitor, or in the container's own cgroup.
 */
#ifndef NSGATE_RUNTIME_H
#define NSGATE_RUNTIME_H

#include "process.h"

struct container {
	const char *kind;		/* docker, podman, lxc, ... */
	char *name;
	char *id;			/* or NULL */
	pid_t pid;			/* 0: it is known, but doesn't run */
	uint32_t inode;			/* of its network namespace, if it runs */
	bool of_user;			/* not root's: USER/NAME */
	bool pod;			/* of Kubernetes: its name tells which */
};

struct containers {
	struct container *rows;
	size_t count, room;
};

struct runtime {
	const char *kind;
	/* Where files come and go when containers do. */
	const char *const *watch;
};

extern const struct runtime runtimes[];
extern const size_t runtimes_count;

/* All containers of all runtimes. */
void containers_read(struct containers *containers, const struct processes *processes);
void containers_free(struct containers *containers);

/* For runtimes: adds a container; takes the strings. @process is NULL if it
 * doesn't run.
 */
void containers_add(struct containers *containers, const char *kind, char *name, char *id,
		    const struct process *process);

/* Whether an ID may be meant by its first characters. */
bool container_is(const struct container *container, const char *name, bool whole);

/* Each in a file of its own. */
void docker_read(struct containers *containers, const struct processes *processes);
void podman_read(struct containers *containers, const struct processes *processes);
void lxc_read(struct containers *containers, const struct processes *processes);
void containerd_read(struct containers *containers, const struct processes *processes);
void machine_read(struct containers *containers, const struct processes *processes);

#endif
