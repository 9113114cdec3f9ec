// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

#define WATCH(...) ((const char *const[]){ __VA_ARGS__, NULL })

const struct runtime runtimes[] = {
	{ "docker", WATCH("/var/lib/docker/containers", "/run/docker/runtime-runc/moby") },
	{ "podman", WATCH("/run/crun", "/run/runc", "/run/libpod", "/run/user") },
	{ "lxc", WATCH("/run/lxc/lock", "/var/lib/lxc") },
	{ "machine", WATCH("/run/systemd/machines") },
	{ "containerd", WATCH("/run/containerd/io.containerd.runtime.v2.task/default",
			      "/run/containerd/io.containerd.runtime.v2.task/k8s.io") },
	{ "crio", WATCH("/run/crio", "/run/crun", "/run/runc") },
	{ "incus", WATCH("/run/incus", "/var/lib/incus/containers") },
	{ "lxd", WATCH("/var/lib/lxd/containers", "/var/snap/lxd/common/lxd/containers") },
};

const size_t runtimes_count = ARRAY_SIZE(runtimes);

void containers_read(struct containers *containers, const struct processes *processes)
{
	*containers = (struct containers){ };
	docker_read(containers, processes);
	podman_read(containers, processes);
	lxc_read(containers, processes);
	containerd_read(containers, processes);
	machine_read(containers, processes);
}

void containers_free(struct containers *containers)
{
	size_t i;

	for (i = 0; i < containers->count; i++) {
		free(containers->rows[i].name);
		free(containers->rows[i].id);
	}
	free(containers->rows);
	*containers = (struct containers){ };
}

void containers_add(struct containers *containers, const char *kind, char *name, char *id,
		    const struct process *process)
{
	containers->rows = grow(containers->rows, containers->count, &containers->room,
				sizeof(*containers->rows));
	containers->rows[containers->count++] = (struct container){
		.kind = kind,
		.name = name,
		.id = id,
		.pid = process ? process->pid : 0,
		.inode = process ? process->inode : 0,
	};
}

/* Who guesses must not take a number for the beginning of an ID. */
bool container_is(const struct container *container, const char *name, bool whole)
{
	const char *slash = strrchr(container->name, '/');

	if (!strcmp(container->name, name))
		return true;
	if (container->of_user && !whole && slash && !strcmp(slash + 1, name))
		return true;
	return container->id && strlen(name) >= (whole ? 12 : 2) &&
	       starts_with(container->id, name);
}
