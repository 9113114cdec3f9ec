// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach.h"
#include "show.h"

/* The number of the initial user namespace, which the kernel's ABI fixes. */
#ifndef INITIAL_USERNS
#define INITIAL_USERNS 0xeffffffdu
#endif

static const char *const kinds[] = { "oci", "cni" };

bool is_real_root(void)
{
	struct stat st;

	return !geteuid() && !stat("/proc/self/ns/user", &st) && st.st_ino == INITIAL_USERNS;
}

bool attach_is_id(const char *id)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-";
	size_t length = strlen(id);

	return length && length <= 200 && *id != '.' && strspn(id, letters) == length;
}

static char *path_of(const char *kind, const char *id)
{
	return xasprintf(RUN_DIRECTORY "/%s/%s", kind, id);
}

void attach_lock(void)
{
	int lock;

	mkdir(RUN_DIRECTORY, 0755);
	lock = open(RUN_DIRECTORY "/attach.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX))
		die(EXIT_FAILED, RUN_DIRECTORY "/attach.lock: %m");
}

static char *string_of(json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? xstrdup(s) : NULL;
}

static uint64_t number_of(json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

/* What is no such file, as one that was cut off when the machine stopped, is none. */
bool attach_read(struct attachment *attachment, const char *kind, const char *id)
{
	char *path = path_of(kind, id);
	json_t *json = json_load_file(path, 0, NULL);

	free(path);
	*attachment = (struct attachment){ .kind = kind };
	if (!json)
		return false;
	attachment->id = xstrdup(id);
	attachment->inode = number_of(json, "inode");
	attachment->cookie = number_of(json, "cookie");
	attachment->held = json_is_true(json_object_get(json, "held"));
	attachment->gate = string_of(json, "gate");
	attachment->limit = string_of(json, "limit");
	attachment->bundle = string_of(json, "bundle");
	attachment->used_in = number_of(json, "used_in");
	attachment->used_out = number_of(json, "used_out");
	json_decref(json);
	return true;
}

void attach_free(struct attachment *attachment)
{
	free(attachment->id);
	free(attachment->gate);
	free(attachment->limit);
	free(attachment->bundle);
	*attachment = (struct attachment){ };
}

static void set_string(json_t *json, const char *key, const char *s)
{
	if (s)
		json_object_set_new(json, key, json_clean(s));
}

static json_t *attachment_json(const struct attachment *attachment)
{
	json_t *json = json_pack("{s:I, s:I, s:b, s:I, s:I}",
				 "inode", (json_int_t)attachment->inode,
				 "cookie", (json_int_t)attachment->cookie,
				 "held", attachment->held,
				 "used_in", (json_int_t)attachment->used_in,
				 "used_out", (json_int_t)attachment->used_out);

	set_string(json, "gate", attachment->gate);
	set_string(json, "limit", attachment->limit);
	set_string(json, "bundle", attachment->bundle);
	return json;
}

/* One renamed over the other: there is never half a file. */
static void save(const struct attachment *attachment)
{
	char *path = path_of(attachment->kind, attachment->id);
	char *new = xasprintf(RUN_DIRECTORY "/attach.new");
	char *directory = xasprintf(RUN_DIRECTORY "/%s", attachment->kind);
	json_t *json = attachment_json(attachment);

	mkdir(directory, 0700);
	if (json_dump_file(json, new, 0) || rename(new, path))
		die(EXIT_FAILED, "what is bound could not be noted in %s: %m", path);
	json_decref(json);
	free(directory);
	free(new);
	free(path);
}

static void forget(const char *kind, const char *id)
{
	char *path = path_of(kind, id);

	unlink(path);
	free(path);
}

/* A quota of a container that is no more doesn't go on. */
static bool is_over(const struct attachment *attachment)
{
	return !attachment->inode && attachment->bundle && access(attachment->bundle, F_OK);
}

/* The next file of *@directory that is none of @not, read to be freed. */
static bool next_other(struct attachment *other, DIR *directory, const char *kind,
		       const struct attachment *not)
{
	struct dirent *entry;

	while ((entry = readdir(directory))) {
		if (*entry->d_name == '.' ||
		    (!strcmp(kind, not->kind) && !strcmp(entry->d_name, not->id)))
			continue;
		if (attach_read(other, kind, entry->d_name))
			return true;
	}
	return false;
}

static bool is_same(const char *a, const char *b)
{
	return !a || !b || !strcmp(a, b);
}

/* Another attachment of the same namespace, or only one that wants something else.
 * Those that are over are tidied up.
 */
static bool find_other(struct attachment *other, const struct attachment *of, bool differs)
{
	bool found = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds) && !found; i++) {
		char *path = xasprintf(RUN_DIRECTORY "/%s", kinds[i]);
		DIR *directory = opendir(path);

		free(path);
		while (directory && !found && next_other(other, directory, kinds[i], of)) {
			found = other->inode == of->inode && other->cookie == of->cookie &&
				!(differs && is_same(other->gate, of->gate) &&
				  is_same(other->limit, of->limit));
			if (is_over(other))
				forget(kinds[i], other->id);
			if (!found)
				attach_free(other);
		}
		if (directory)
			closedir(directory);
	}
	return found;
}

/* All of a namespace has one gate and one limit, whoever asks for it. */
static void check_others(const struct attachment *attachment)
{
	struct attachment other;

	if (find_other(&other, attachment, true))
		misused("the namespace is shared with %s, which wants another %s", other.id,
			is_same(other.gate, attachment->gate) ? "limit" : "gate");
}

/* By its cookie, as its number may be another's already. */
static void release(const struct target *target)
{
	struct target named = { .inode = target->inode, .cookie = target->cookie };

	release_target(&named, target->directory);
}

/* The namespace that an attachment was of, which was never ended. */
static void leave(const struct attachment *before)
{
	struct attachment other;
	struct target target;

	if (!before->inode || before->held)
		return;
	if (find_other(&other, before, false)) {
		attach_free(&other);
	} else if (target_read_same(&target, before->inode, before->cookie, 0)) {
		release(&target);
		target_free(&target);
	}
}

/* What this attachment was before; one of another namespace is left behind. */
static bool was_held(const struct attachment *attachment, const struct ns *ns)
{
	struct attachment before, other;
	bool held = ns->bound;

	check_others(attachment);
	if (find_other(&other, attachment, false)) {
		held = other.held;
		attach_free(&other);
	}
	if (!attach_read(&before, attachment->kind, attachment->id))
		return held;
	if (before.inode && before.cookie == attachment->cookie)
		held = before.held;
	else
		leave(&before);
	attach_free(&before);
	return held;
}

void attach(struct attachment *attachment, const struct ns *ns, const char *limit)
{
	char directory[16];

	attachment->inode = ns->inode;
	attachment->cookie = ns->cookie;
	attachment->held = was_held(attachment, ns);
	if (!ns->bound)
		bind_for_now(ns);
	snprintf(directory, sizeof(directory), "%" PRIu32, ns->inode);
	if (attachment->gate)
		gate_write(directory, attachment->gate, ns->shown);
	if (limit)
		limit_write(directory, limit, ns->shown);
	save(attachment);
	bind_keep();
}

void attach_name(const struct ns *ns, const char *name, bool pod)
{
	struct records records;

	records_read(&records);
	if (!ns->bound || !records_find(&records, ns->cookie))
		records_add(&records, ns->cookie, name, pod);
	records_write(&records);
	records_free(&records);
}

bool attach_has_quota(const struct attachment *attachment)
{
	return attachment->bundle && attachment->limit && strstr(attachment->limit, " quota ");
}

/* The others of its namespace go on to need what it has. */
static void end(struct attachment *attachment, const struct target *target)
{
	struct attachment other;

	if (find_other(&other, attachment, false))
		attach_free(&other);
	else if (target && !attachment->held)
		release(target);
	if (!attach_has_quota(attachment)) {
		forget(attachment->kind, attachment->id);
		return;
	}
	if (target) {
		attachment->used_in = target->limit.in.used;
		attachment->used_out = target->limit.out.used;
	}
	attachment->inode = 0;
	save(attachment);
}

void detach(const char *kind, const char *id,
	    void (*report)(const struct target *target, const char *id))
{
	struct attachment attachment;
	struct target target;
	bool found;

	if (!attach_read(&attachment, kind, id))
		return;
	if (attachment.inode) {
		found = target_read_same(&target, attachment.inode, attachment.cookie,
					 READ_ALL);
		if (found && report)
			report(&target, id);
		end(&attachment, found ? &target : NULL);
		if (found)
			target_free(&target);
	}
	attach_free(&attachment);
}

/* Its namespace is gone, or its container is, and it was never said. */
static bool is_left_behind(const struct attachment *attachment)
{
	struct target target;
	bool live;

	if (!attachment->inode)
		return false;
	if (!target_read_same(&target, attachment->inode, attachment->cookie, 0))
		return attachment->bundle && access(attachment->bundle, F_OK);
	live = target.live;
	target_free(&target);
	return !live;
}

void attach_tidy(const char *kind, void (*report)(const struct target *target, const char *id))
{
	char nobody[] = "";
	const struct attachment none = { .kind = kind, .id = nobody };
	char *path = xasprintf(RUN_DIRECTORY "/%s", kind);
	DIR *directory = opendir(path);
	struct attachment other;

	free(path);
	while (directory && next_other(&other, directory, kind, &none)) {
		if (is_left_behind(&other))
			detach(kind, other.id, report);
		attach_free(&other);
	}
	if (directory)
		closedir(directory);
}
