// SPDX-License-Identifier: GPL-2.0-only
/* bind and release. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "show.h"

void refuse(const char *shown, const char *format, ...)
{
	char *message;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = xstrdup("");
	va_end(args);
	die(EXIT_FAILED, "%s: %s", shown, message);
}

static bool is_same(const struct ns *ns)
{
	struct target target;
	char directory[16];
	bool same;

	snprintf(directory, sizeof(directory), "%" PRIu32, ns->inode);
	if (!target_read(&target, directory, READ_STATE))
		return false;
	same = target.cookie == ns->cookie;
	target_free(&target);
	return same;
}

static int release_inode(uint32_t inode)
{
	const struct target target = { .inode = inode, .live = true };

	return kernel_release(&target);
}

/* What was named by its inode is not pinned: the number may have passed on. */
void bind_namespace(const struct ns *ns)
{
	int error = kernel_bind(ns->inode);

	switch (error) {
	case 0:
		break;
	case -ENXIO:
		ns_missing(ns);
	case -E2BIG:
		refuse(ns->shown, "there are as many targets as there can be ('nsgate release' makes room), or hooks of that namespace; 'dmesg' tells which");
	case -EPERM:
		refuse(ns->shown, "that takes CAP_NET_ADMIN, in the initial network namespace");
	default:
		refuse(ns->shown, "%s; 'dmesg' tells why", strerror(-error));
	}
	if (!is_same(ns)) {
		release_inode(ns->inode);
		ns_missing(ns);
	}
}

/* What was bound is released again if the program ends before all is. */
static uint32_t *undo;
static size_t undo_count;

static void unbind(void)
{
	while (undo_count)
		release_inode(undo[--undo_count]);
}

static void bind_all(const struct ns *all, size_t count)
{
	struct sigaction ignored = { .sa_handler = SIG_IGN };
	size_t i;

	/* A signal between two binds would leave half of them. */
	sigaction(SIGINT, &ignored, NULL);
	sigaction(SIGTERM, &ignored, NULL);
	sigaction(SIGHUP, &ignored, NULL);
	undo = xmalloc(count * sizeof(*undo));
	atexit(unbind);
	for (i = 0; i < count; i++) {
		if (all[i].bound)
			continue;
		bind_namespace(&all[i]);
		undo[undo_count++] = all[i].inode;
	}
	undo_count = 0;
	free(undo);
	undo = NULL;
}

/* What has been a target keeps the name that it has, but if it has none. */
static void record_names(const struct ns *all, size_t count)
{
	struct records records;
	struct target target;
	char directory[16];
	size_t i;

	records_read(&records);
	for (i = 0; i < count; i++) {
		if (all[i].name && (!all[i].bound || !records_find(&records, all[i].cookie)))
			records_add(&records, all[i].cookie, all[i].name);
		snprintf(directory, sizeof(directory), "%" PRIu32, all[i].inode);
		if (!all[i].name && target_read(&target, directory, READ_STATE)) {
			records_name(&records, &target);
			target_free(&target);
		}
	}
	records_write(&records);
	records_free(&records);
}

static const struct option only_help[] = {
	{ "help", no_argument, NULL, 'h' },
	{ }
};

int command_bind(int argc, char **argv)
{
	struct ns *all;
	size_t i, count;

	while (next_option(argc, argv, ":h", only_help) >= 0)
		;
	count_arguments(argc, argv, 1, 100000, "NS");
	kernel_check(command_name);
	count = argc - optind;
	all = xmalloc(count * sizeof(*all));
	ns_demand(all, argv + optind, count);
	bind_all(all, count);
	record_names(all, count);
	for (i = 0; i < count; i++)
		ns_free(&all[i]);
	free(all);
	return EXIT_DONE;
}

/* It may be gone for good in the meantime. */
void release_target(const struct target *target, const char *shown)
{
	int error = kernel_release(target);

	if (error && error != -ENXIO)
		refuse(shown, "%s; 'dmesg' tells why", strerror(-error));
}

struct release {
	struct target target;
	char *shown;
};

struct releases {
	struct release *rows;
	size_t count, room;
};

static void add_release(struct releases *releases, const struct target *target, const char *shown)
{
	size_t i;

	for (i = 0; i < releases->count; i++)
		if (releases->rows[i].target.cookie == target->cookie)
			return;
	releases->rows = grow(releases->rows, releases->count, &releases->room,
			      sizeof(*releases->rows));
	releases->rows[releases->count++] = (struct release){
		.target.inode = target->inode,
		.target.cookie = target->cookie,
		.target.live = target->live,
		.shown = xstrdup(shown),
	};
}

static void find_releases(struct releases *releases, const char *said)
{
	struct records records;
	struct targets gone;
	struct target target;
	char *shown;
	size_t i;

	target_find(&target, said, READ_STATE, &shown);
	add_release(releases, &target, shown);
	records_read(&records);
	targets_find(&gone, &records, said, false);
	for (i = 0; i < gone.count; i++)
		add_release(releases, &gone.rows[i], shown);
	targets_free(&gone);
	records_free(&records);
	target_free(&target);
	free(shown);
}

int command_release(int argc, char **argv)
{
	struct releases releases = { };
	size_t i;
	int said;

	while (next_option(argc, argv, ":h", only_help) >= 0)
		;
	count_arguments(argc, argv, 1, 100000, "NS");
	kernel_check(command_name);
	for (said = optind; said < argc; said++)
		find_releases(&releases, argv[said]);
	for (i = 0; i < releases.count; i++) {
		release_target(&releases.rows[i].target, releases.rows[i].shown);
		free(releases.rows[i].shown);
	}
	free(releases.rows);
	return EXIT_DONE;
}
