// SPDX-License-Identifier: GPL-2.0-only
/* What an argument stands for. What it is may be guessed from its form, but not
 * once a kind of names knows it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/nsfs.h>

#include "names.h"
#include "show.h"

/* PIDs end where the inodes of namespaces are far from beginning. */
#define MOST_PID 4194304

static const char *const kinds[] = { "netns", "pid", "inode", "path" };

const char *ns_split(const char *said, const char **name)
{
	const char *colon = strchr(said, ':');
	size_t i;

	if (!colon)
		return NULL;
	*name = colon + 1;
	for (i = 0; i < ARRAY_SIZE(kinds) + runtimes_count; i++) {
		const char *kind = i < ARRAY_SIZE(kinds) ? kinds[i] :
				   runtimes[i - ARRAY_SIZE(kinds)].kind;

		if (strlen(kind) == (size_t)(colon - said) && starts_with(said, kind))
			return kind;
	}
	return NULL;
}

void ns_missing(const struct ns *ns)
{
	if (ns->stopped)
		die(EXIT_NO_NAMESPACE, "container %s is not running; 'nsgate list' shows what is there",
		    ns->shown);
	if (ns->on_host)
		die(EXIT_NO_NAMESPACE, "%s has no network namespace of its own: it is in the host's",
		    ns->on_host);
	die(EXIT_NO_NAMESPACE, "namespace %s does not exist; 'nsgate list' shows those that do",
	    ns->shown);
}

static bool is_name(const char *kind)
{
	return strcmp(kind, "pid") && strcmp(kind, "inode") && strcmp(kind, "path");
}

/* What was found for @ns by KIND:NAME. What it was before must be the same. */
static void settle(struct ns *ns, uint32_t inode, const char *kind, const char *name)
{
	char *what = xasprintf("%s:%s", kind, name), *shown = show_string(what);

	if (ns->what && ns->inode != inode)
		die(EXIT_NO_NAMESPACE, "%s stands for two namespaces: say %s or %s",
		    ns->shown, ns->what, shown);
	if (ns->what) {
		free(what);
		free(shown);
		return;
	}
	ns->inode = inode;
	ns->what = shown;
	if (is_name(kind))
		ns->name = what;
	else
		free(what);
}

/* Pins the namespace that a file is; false if it is none. Opening what is no
 * plain file may do things.
 */
static bool pin(struct ns *ns, const char *path, uint32_t *inode)
{
	struct stat st;
	int fd;

	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return false;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET || fstat(fd, &st)) {
		close(fd);
		return false;
	}
	if (ns->pin >= 0)
		close(ns->pin);
	ns->pin = fd;
	*inode = st.st_ino;
	return true;
}

static bool try_file(struct ns *ns, const char *path, const char *kind, const char *name)
{
	uint32_t inode;

	if (!pin(ns, path, &inode))
		return false;
	settle(ns, inode, kind, name);
	return true;
}

static void try_netns(struct ns *ns, const char *name)
{
	char *path;

	if (!*name || strchr(name, '/'))
		return;
	path = xasprintf(NETNS_DIRECTORY "/%s", name);
	try_file(ns, path, "netns", name);
	free(path);
}

static void try_pid(struct ns *ns, const char *name)
{
	uint64_t pid;
	char *path;

	if (*name < '1' || !parse_u64(name, &pid) || pid > MOST_PID)
		return;
	path = xasprintf("/proc/%" PRIu64 "/ns/net", pid);
	try_file(ns, path, "pid", name);
	free(path);
}

static void try_inode(struct ns *ns, const char *name)
{
	struct namespaces namespaces;
	uint64_t inode;

	if (!parse_u64(name, &inode) || inode > UINT32_MAX)
		return;
	if (kernel_read_namespaces(&namespaces) && namespaces_find(&namespaces, inode))
		settle(ns, inode, "inode", name);
	namespaces_free(&namespaces);
}

static void try_path(struct ns *ns, const char *name)
{
	if (!access(name, F_OK) && !try_file(ns, name, "path", name))
		die(EXIT_NO_NAMESPACE,
		    "%s is not a network namespace; 'nsgate list' shows those that are", ns->shown);
}

/* Pins the namespace of a container that runs. It may end and its PID may pass on
 * at any time: what counts is where its process was when it was looked at.
 */
static void try_container(struct ns *ns, const struct container *container)
{
	char *path = xasprintf("/proc/%d/ns/net", container->pid);
	uint32_t inode;

	if (pin(ns, path, &inode) && inode == container->inode) {
		settle(ns, inode, container->kind, container->name);
		ns->pod = container->pod;
		ns->pid = container->pid;
	}
	free(path);
}

struct found {
	const struct container *stopped, *on_host;
	bool running;
};

static void try_containers(struct ns *ns, const struct containers *containers,
			   const char *kind, const char *name, uint32_t host, struct found *found)
{
	size_t i;

	for (i = 0; i < containers->count; i++) {
		const struct container *container = &containers->rows[i];

		if ((kind && strcmp(kind, container->kind)) ||
		    !container_is(container, name, !kind))
			continue;
		if (!container->pid) {
			found->stopped = container;
		} else if (container->inode == host) {
			found->on_host = container;
		} else {
			try_container(ns, container);
			found->running = true;
		}
	}
}

/* One look is for all arguments of a command; ns_free() ends it. */
static struct {
	struct processes processes;
	struct containers containers;
	bool taken;
} look;

static void take_look(void)
{
	if (look.taken)
		return;
	processes_read(&look.processes);
	containers_read(&look.containers, &look.processes);
	look.taken = true;
}

static void end_look(void)
{
	if (!look.taken)
		return;
	containers_free(&look.containers);
	processes_free(&look.processes);
	look.taken = false;
}

/* No kind was said, or a runtime's: what its containers are. */
static void find_containers(struct ns *ns, const char *kind, const char *name)
{
	struct found found = { };

	take_look();
	try_containers(ns, &look.containers, kind, name, look.processes.host_inode, &found);
	if (found.stopped && !found.running)
		ns->stopped = xasprintf("%s:%s", found.stopped->kind, found.stopped->name);
	if (found.on_host)
		ns->on_host = xasprintf("%s:%s", found.on_host->kind, found.on_host->name);
}

static void find_of_kind(struct ns *ns, const char *kind, const char *name)
{
	if (!strcmp(kind, "netns"))
		try_netns(ns, name);
	else if (!strcmp(kind, "pid"))
		try_pid(ns, name);
	else if (!strcmp(kind, "inode"))
		try_inode(ns, name);
	else if (!strcmp(kind, "path"))
		try_path(ns, name);
	else
		find_containers(ns, kind, name);
}

static void guess(struct ns *ns, const char *said, bool numbers)
{
	uint64_t number;

	if (strchr(said, '/')) {
		try_path(ns, said);
		return;
	}
	try_netns(ns, said);
	find_containers(ns, NULL, said);
	if (!numbers || ns->stopped || ns->on_host || !parse_u64(said, &number))
		return;
	if (number > MOST_PID)
		try_inode(ns, said);
	else
		try_pid(ns, said);
}

static void search(struct ns *ns, const char *said, bool numbers)
{
	const char *name, *kind = ns_split(said, &name);

	*ns = (struct ns){ .shown = show_string(said), .pin = -1 };
	if (kind)
		find_of_kind(ns, kind, name);
	else
		guess(ns, said, numbers);
}

static bool finish(struct ns *ns, const struct namespaces *namespaces)
{
	const struct namespace *row = ns->what ? namespaces_find(namespaces, ns->inode) : NULL;

	if (!row)
		return false;
	ns->cookie = row->cookie;
	ns->bound = row->bound;
	return true;
}

/* What the kernel has is read while the pin is there. */
bool ns_find(struct ns *ns, const char *said, bool numbers)
{
	struct namespaces namespaces;
	bool found;

	search(ns, said, numbers);
	if (!ns->what || !kernel_read_namespaces(&namespaces))
		return false;
	found = finish(ns, &namespaces);
	namespaces_free(&namespaces);
	return found;
}

void ns_demand(struct ns *all, char *const *said, size_t count)
{
	struct namespaces namespaces;
	size_t i;

	for (i = 0; i < count; i++) {
		search(&all[i], said[i], true);
		if (!all[i].what)
			ns_missing(&all[i]);
		if (all[i].stopped)
			die(EXIT_NO_NAMESPACE, "%s stands for two: say %s, or %s, which is not running",
			    all[i].shown, all[i].what, all[i].stopped);
	}
	if (!kernel_read_namespaces(&namespaces))
		die(EXIT_FAILED, HOST_VIEW "/namespaces: %m");
	for (i = 0; i < count; i++)
		if (!finish(&all[i], &namespaces))
			ns_missing(&all[i]);
	namespaces_free(&namespaces);
}

void ns_free(struct ns *ns)
{
	if (ns->pin >= 0)
		close(ns->pin);
	free(ns->name);
	free(ns->what);
	free(ns->shown);
	free(ns->stopped);
	free(ns->on_host);
	end_look();
	*ns = (struct ns){ .pin = -1 };
}
