// SPDX-License-Identifier: GPL-2.0-only
/* Binds and releases, and says what the kernel has against it. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "set.h"

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

/* What is released again if the program ends before it is kept. */
static uint32_t *undo;
static size_t undo_count, undo_room;

static void unbind(void)
{
	while (undo_count)
		release_inode(undo[--undo_count]);
}

/* A signal between two binds would leave half of them. */
static void ignore_signals(void)
{
	struct sigaction ignored = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &ignored, NULL);
	sigaction(SIGTERM, &ignored, NULL);
	sigaction(SIGHUP, &ignored, NULL);
}

void bind_for_now(const struct ns *ns)
{
	static bool prepared;

	if (!prepared) {
		ignore_signals();
		atexit(unbind);
		prepared = true;
	}
	undo = grow(undo, undo_count, &undo_room, sizeof(*undo));
	bind_namespace(ns);
	undo[undo_count++] = ns->inode;
}

void bind_keep(void)
{
	undo_count = 0;
	undo_room = 0;
	free(undo);
	undo = NULL;
}

/* It may be gone for good in the meantime. */
void release_target(const struct target *target, const char *shown)
{
	int error = kernel_release(target);

	if (error && error != -ENXIO)
		refuse(shown, "%s; 'dmesg' tells why", strerror(-error));
}
