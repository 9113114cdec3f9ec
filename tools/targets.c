// SPDX-License-Identifier: GPL-2.0-only
/* Which target an argument stands for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "show.h"

/* Who made it a target may not have known which runtime its name is of: the hook,
 * and the plugin of CNI.
 */
static bool is_of_any_runtime(const char *name, const char *said)
{
	const char *rest, *kind = ns_split(said, &rest);
	size_t i;

	if (!kind || !(starts_with(name, "cni:") || starts_with(name, "oci:")))
		return false;
	for (i = 0; i < runtimes_count; i++)
		if (!strcmp(kind, runtimes[i].kind))
			return !strcmp(name + 4, rest);
	return false;
}

/* A name with its kind, or without; an inode, or the directory of one that is gone. */
static bool is_called(struct records *records, const struct target *target, const char *said)
{
	const char *name = records_find(records, target->cookie);
	const char *number = starts_with(said, "inode:") ? said + 6 : said;
	char inode[16];

	snprintf(inode, sizeof(inode), "%" PRIu32, target->inode);
	if (!strcmp(number, inode) || !strcmp(number, target->directory))
		return true;
	if (!name || !*said)
		return false;
	return !strcmp(name, said) || !strcmp(strchr(name, ':') + 1, said) ||
	       is_of_any_runtime(name, said);
}

static int compare_ages(const void *a, const void *b)
{
	const struct target *x = a, *y = b;

	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

void targets_find(struct targets *targets, struct records *records, const char *said, bool live)
{
	struct strings directories;
	struct target target;
	size_t i;

	*targets = (struct targets){ };
	kernel_list_targets(&directories);
	for (i = 0; i < directories.count; i++) {
		if (!target_read(&target, directories.s[i], READ_STATE))
			continue;
		if (target.live != live || !is_called(records, &target, said)) {
			target_free(&target);
			continue;
		}
		targets->rows = grow(targets->rows, targets->count, &targets->room,
				     sizeof(target));
		targets->rows[targets->count++] = target;
	}
	strings_free(&directories);
	if (targets->count)
		qsort(targets->rows, targets->count, sizeof(target), compare_ages);
}

void targets_free(struct targets *targets)
{
	size_t i;

	for (i = 0; i < targets->count; i++)
		target_free(&targets->rows[i]);
	free(targets->rows);
	*targets = (struct targets){ };
}

/* Reads the target that is in @directory, if it still is the one with that cookie. */
static bool read_same(struct target *target, const char *directory, uint64_t cookie,
		      unsigned int what)
{
	if (!target_read(target, directory, what | READ_STATE))
		return false;
	if (target->cookie == cookie)
		return true;
	target_free(target);
	return false;
}

static bool read_live(struct target *target, const struct ns *ns, unsigned int what)
{
	char directory[16];

	snprintf(directory, sizeof(directory), "%" PRIu32, ns->inode);
	return read_same(target, directory, ns->cookie, what) && target->live;
}

/* What is gone may be moved between two looks, but not back. */
bool target_read_same(struct target *target, uint32_t inode, uint64_t cookie, unsigned int what)
{
	char directory[48];

	snprintf(directory, sizeof(directory), "%" PRIu32, inode);
	if (read_same(target, directory, cookie, what))
		return true;
	snprintf(directory, sizeof(directory), "%" PRIu32 ".%" PRIu64, inode, cookie);
	return read_same(target, directory, cookie, what);
}

noreturn static void die_of_two(const struct ns *ns, uint32_t a, uint32_t b)
{
	die(EXIT_NO_NAMESPACE, "%s stands for two namespaces: say inode:%u or inode:%u",
	    ns->shown, a, b);
}

/* One that lives, and has lost its name or given it to another since it was bound. */
static const struct target *choose_live(const struct ns *ns, const struct targets *live,
					bool is_there)
{
	const struct target *chosen = NULL;
	size_t i;

	for (i = 0; i < live->count; i++) {
		const struct target *target = &live->rows[i];

		if (is_there && target->cookie == ns->cookie)
			continue;
		if (is_there)
			die_of_two(ns, ns->inode, target->inode);
		if (chosen)
			die_of_two(ns, chosen->inode, target->inode);
		chosen = target;
	}
	return chosen;
}

void target_find(struct target *target, const char *said, unsigned int what, char **shown)
{
	const struct target *chosen;
	struct targets live, gone;
	struct records records;
	bool is_there, found;
	struct ns ns;

	records_read(&records);
	targets_find(&live, &records, said, true);
	targets_find(&gone, &records, said, false);
	is_there = ns_find(&ns, said, !live.count && !gone.count);
	found = is_there && ns.bound && read_live(target, &ns, what);
	if (!found) {
		chosen = choose_live(&ns, &live, is_there);
		if (!chosen && gone.count)
			chosen = &gone.rows[gone.count - 1];
		found = chosen && target_read_same(target, chosen->inode, chosen->cookie, what);
	}
	if (!found && !is_there)
		ns_missing(&ns);
	if (!found)
		die(EXIT_NO_TARGET, "namespace %s is not a target; 'nsgate bind %s' makes it one",
		    ns.shown, ns.shown);
	*shown = ns.shown;
	ns.shown = NULL;
	ns_free(&ns);
	targets_free(&live);
	targets_free(&gone);
	records_free(&records);
}
