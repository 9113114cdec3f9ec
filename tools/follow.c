// SPDX-License-Identifier: GPL-2.0-only
/* Keeps the namespace of a name bound, whichever it is. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "command.h"
#include "show.h"

/* The C library of el8 doesn't know it. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

/* How often to look by ourselves, for what no event tells: often while a
 * container may be about to come back, which takes a look at all processes.
 */
#define PAUSE_BOUND_MS 200
#define PAUSE_SOON_MS 50
#define PAUSE_WAITING_MS 200
#define PAUSE_LONG_MS 1000
#define SOON_US 1000000
#define LONG_US 10000000
/* That a name is gone is told later: mostly the next one is on its way. */
#define PATIENCE_US 1000000

struct follow {
	const char *kind, *name;
	char *said;			/* KIND:NAME */
	char *shown;
	char *gate, *limit;		/* what the next one gets, or NULL */
	uint32_t inode;			/* of what is bound, 0 if nothing is */
	uint64_t cookie;
	pid_t pid;			/* of the container, 0 for ip-netns names */
	char *told;
	uint64_t last_event;		/* when something came or went */
	int mounts, files, signals;
};

/* The number that the name has now, 0 if it has none. While the target that we
 * bound is live, nothing else can have its number.
 */
static uint32_t inode_of_name(const struct follow *follow)
{
	struct stat st;
	char *path;
	int error;

	if (follow->pid)
		return process_inode(follow->pid);
	path = xasprintf(NETNS_DIRECTORY "/%s", follow->name);
	error = stat(path, &st);
	free(path);
	return error ? 0 : st.st_ino;
}

/* Notes the gate and limit as well: somebody may have changed them. */
static bool still_bound(struct follow *follow)
{
	struct target target;
	bool live;

	if (!follow->inode)
		return false;
	if (!target_read_same(&target, follow->inode, follow->cookie, READ_GATE | READ_LIMIT))
		return false;
	free(follow->gate);
	free(follow->limit);
	follow->gate = gate_text_of(&target.gate);
	follow->limit = limit_text_of(&target.limit, false);
	live = target.live;
	target_free(&target);
	return live && inode_of_name(follow) == follow->inode;
}

/* To systemd, or to who looks on; a service is ready when it has told something. */
static void tell(struct follow *follow, char *text)
{
	if (follow->told && !strcmp(follow->told, text)) {
		free(text);
		return;
	}
	free(follow->told);
	follow->told = text;
	sd_notifyf(0, "READY=1\nSTATUS=%s", text);
	puts(text);
	fflush(stdout);
}

static void note_name(const struct ns *ns)
{
	struct records records;

	records_read(&records);
	records_add(&records, ns->cookie, ns->name, ns->pod);
	records_write(&records);
	records_free(&records);
}

static char *describe(const struct follow *follow)
{
	const char *gate = follow->gate ? follow->gate : "";
	size_t length = strcspn(gate, "\n");
	const char *except = strstr(gate, " except ");

	if (except)
		length = except - gate;
	return xasprintf("inode %" PRIu32 " is bound, cookie %" PRIu64 "%s%.*s", follow->inode,
			 follow->cookie, length ? ", gate " : "", (int)length, gate);
}

/* What can wait comes after the bind, the gate and the limit. */
static bool bind_followed(struct follow *follow)
{
	char directory[16];
	struct ns ns;
	bool found;

	follow->inode = 0;
	found = kernel_loaded() && ns_find(&ns, follow->said, false);
	if (!found) {
		if (kernel_loaded())
			ns_free(&ns);
		return false;
	}
	if (!ns.bound)
		bind_namespace(&ns);
	snprintf(directory, sizeof(directory), "%" PRIu32, ns.inode);
	if (follow->gate)
		gate_write(directory, follow->gate, follow->shown);
	if (follow->limit)
		limit_write(directory, follow->limit, follow->shown);
	note_name(&ns);
	follow->inode = ns.inode;
	follow->cookie = ns.cookie;
	follow->pid = ns.pid;
	ns_free(&ns);
	return true;
}

/* Releases what had the name, too: it is gone, or somebody still is in it. */
static void release_all(const struct follow *follow)
{
	struct strings directories;
	struct records records;
	struct target target;
	const char *name;
	size_t i;

	records_read(&records);
	kernel_list_targets(&directories);
	for (i = 0; i < directories.count; i++) {
		if (!target_read(&target, directories.s[i], READ_STATE))
			continue;
		name = records_find(&records, target.cookie);
		if ((name && !strcmp(name, follow->said)) ||
		    (follow->inode && target.cookie == follow->cookie))
			release_target(&target, follow->shown);
		target_free(&target);
	}
	strings_free(&directories);
	records_free(&records);
}

static void watch_directory(const struct follow *follow, const char *path)
{
	inotify_add_watch(follow->files, path, IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM);
}

/* Directories that aren't there yet are tried again at each look. */
static void watch(const struct follow *follow)
{
	size_t i, j;

	if (!strcmp(follow->kind, "netns"))
		watch_directory(follow, NETNS_DIRECTORY);
	for (i = 0; i < runtimes_count; i++)
		for (j = 0; !strcmp(runtimes[i].kind, follow->kind) && runtimes[i].watch[j]; j++)
			watch_directory(follow, runtimes[i].watch[j]);
}

static int pause_ms(const struct follow *follow)
{
	uint64_t since = now_us() - follow->last_event;

	if (follow->inode)
		return PAUSE_BOUND_MS;
	if (since < SOON_US)
		return PAUSE_SOON_MS;
	return since < LONG_US || !strcmp(follow->kind, "netns") ? PAUSE_WAITING_MS : PAUSE_LONG_MS;
}

static void drain(int fd)
{
	char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
}

/* Mounts tell when a namespace gets its ip-netns name and when it loses it, files
 * of a runtime when a container is made, and a process when it ends. False when
 * it is time to end.
 */
static bool await_event(struct follow *follow)
{
	int process = follow->pid && follow->inode ? syscall(SYS_pidfd_open, follow->pid, 0) : -1;
	struct pollfd fds[] = {
		{ .fd = follow->signals, .events = POLLIN },
		{ .fd = follow->mounts, .events = POLLPRI },
		{ .fd = follow->files, .events = POLLIN },
		{ .fd = process, .events = POLLIN },
	};
	int count = poll(fds, ARRAY_SIZE(fds), pause_ms(follow));

	if (process >= 0)
		close(process);
	if (count > 0 && fds[0].revents)
		return false;
	if (count > 0) {
		follow->last_event = now_us();
		drain(follow->files);
	}
	return true;
}

static void follow_name(struct follow *follow)
{
	uint64_t bound_at = 0;

	do {
		watch(follow);
		if (still_bound(follow) || (bind_followed(follow) && still_bound(follow))) {
			bound_at = now_us();
			tell(follow, describe(follow));
		} else if (!bound_at || now_us() - bound_at > PATIENCE_US) {
			tell(follow, xasprintf("waiting for namespace %s", follow->shown));
		}
	} while (await_event(follow));
}

/* Before the first look, so that no event between the two is lost. */
static void open_events(struct follow *follow)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	follow->signals = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
	follow->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	follow->files = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (follow->signals < 0 || follow->mounts < 0 || follow->files < 0)
		die(EXIT_FAILED, "could not wait for events: %m");
}

/* systemd hands an instance over as it was written: \xHH is a byte, and all else,
 * the dash too, is what it is.
 */
static char *unescape(const char *s)
{
	char *name = xmalloc(strlen(s) + 1), *end = name;
	unsigned int byte;

	while (*s) {
		if (s[0] == '\\' && s[1] == 'x' && sscanf(s + 2, "%2x", &byte) == 1 &&
		    strspn(s + 2, "0123456789abcdefABCDEF") >= 2 && byte) {
			*end++ = byte;
			s += 4;
		} else {
			*end++ = *s++;
		}
	}
	*end = '\0';
	return name;
}

static void set_name(struct follow *follow, const char *said)
{
	follow->kind = ns_split(said, &follow->name);
	if (!follow->kind) {
		follow->kind = "netns";
		follow->name = said;
	}
	if (!strcmp(follow->kind, "pid") || !strcmp(follow->kind, "inode") ||
	    !strcmp(follow->kind, "path"))
		misused("%s is one namespace and no name: there is nothing to follow",
			show_quoted(said));
	if (!*follow->name || !strcmp(follow->name, ".") || !strcmp(follow->name, "..") ||
	    (!strcmp(follow->kind, "netns") && strchr(follow->name, '/')))
		misused("%s can't be the name of a namespace", show_quoted(said));
	follow->said = xasprintf("%s:%s", follow->kind, follow->name);
	follow->shown = show_string(strcmp(follow->kind, "netns") ? follow->said : follow->name);
}

static void free_follow(struct follow *follow)
{
	close(follow->signals);
	close(follow->mounts);
	close(follow->files);
	free(follow->said);
	free(follow->shown);
	free(follow->gate);
	free(follow->limit);
	free(follow->told);
}

int command_follow(int argc, char **argv)
{
	static const struct option options[] = {
		{ "instance", no_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		GATE_OPTIONS,
		{ }
	};
	struct gate_options given = { };
	struct follow follow = { };
	bool instance = false;
	char *name;
	int option;

	while ((option = next_option(argc, argv, ":h", options)) >= 0)
		if (!gate_option(&given, option))
			instance = true;
	count_arguments(argc, argv, 1, 2, "NAME");
	name = instance ? unescape(argv[optind]) : xstrdup(argv[optind]);
	set_name(&follow, name);
	if (argc - optind == 2)
		follow.gate = gate_text(NULL, argv[optind + 1], &given);
	else if (gate_options_given(&given))
		misused("accept or drop is missing");
	kernel_check(command_name);
	open_events(&follow);
	follow_name(&follow);
	sd_notify(0, "STOPPING=1");
	release_all(&follow);
	free_follow(&follow);
	free(name);
	return EXIT_DONE;
}
