/* SPDX-License-Identifier: GPL-2.0-only */
/* From names to namespaces, and back.
 *
 * A name has a kind: that of ip-netns(8), or that of a runtime; netns:web,
 * docker:web. What a target was called when it was bound is kept in a file, by
 * its cookie, for as long as it is a target.
 */
#ifndef NSGATE_NAMES_H
#define NSGATE_NAMES_H

#include "kernel.h"
#include "runtime.h"

#define NETNS_DIRECTORY "/run/netns"
/* Tests may have it elsewhere. */
#ifndef RUN_DIRECTORY
#define RUN_DIRECTORY "/run/nsgate"
#endif

/* All names that there are now, by inode. */
struct name {
	uint32_t inode;
	size_t order;			/* as they were found */
	bool pod;			/* of Kubernetes */
	const char *kind;
	char *name;
};

struct names {
	struct name *rows;
	size_t count, room;
	struct processes processes;
};

void names_read(struct names *names);
void names_free(struct names *names);

/* The first of an inode, and how many follow on each other. */
const struct name *names_of(const struct names *names, uint32_t inode, size_t *count);

/* What targets were called. A record is KIND:NAME. */
struct record {
	uint64_t cookie;
	char *name;
	bool pod;			/* of Kubernetes: the name has its namespace, too */
	bool new;			/* not in the file yet */
};

struct records {
	struct record *rows;
	size_t count, room;
	bool sorted;
	struct names names;		/* looked for when first needed */
	bool looked;
};

void records_read(struct records *records);
void records_add(struct records *records, uint64_t cookie, const char *name, bool pod);
const char *records_find(struct records *records, uint64_t cookie);

/* What a target is called, without its kind, and "" if it has no name. One that
 * was bound by others, and lives, is looked up.
 */
const char *records_name(struct records *records, const struct target *target);

/* The pod that a target is, if it is known to be one; the strings are to be freed. */
bool records_pod(struct records *records, uint64_t cookie, char **namespace, char **pod);

/* Adds what is new to the file, and takes from it what is no target any more. */
void records_write(struct records *records);
void records_free(struct records *records);

/* A namespace as an argument names it. */
struct ns {
	uint32_t inode;
	uint64_t cookie;
	char *name;			/* KIND:NAME, if it has such */
	bool pod;			/* of Kubernetes */
	char *what;			/* as it could be said without doubt, shown */
	char *shown;			/* as it was said */
	int pin;			/* keeps it, and so its number, alive; or -1 */
	char *stopped;			/* a container that is called so and doesn't run, */
	char *on_host;			/* or is in our own namespace, maybe not yet in its own */
	pid_t pid;			/* of a container that was named, else 0 */
	bool bound;
};

/* False if there is no such namespace; the program ends if what was said stands
 * for two. Without @numbers, what has no kind is a name only. To be freed in both
 * cases.
 */
bool ns_find(struct ns *ns, const char *said, bool numbers);

/* The same for all of @said, but what isn't there, or not for sure, ends the program. */
void ns_demand(struct ns *all, char *const *said, size_t count);
void ns_free(struct ns *ns);
noreturn void ns_missing(const struct ns *ns);

/* Splits KIND:NAME; NULL if that is none, else the kind, and *@name. */
const char *ns_split(const char *said, const char **name);

/* targets.c: the target that an argument names, live if there is one; @shown is to
 * be freed. Ends the program if there is none.
 */
void target_find(struct target *target, const char *said, unsigned int what, char **shown);

/* The target of that cookie, live or gone, wherever it is now. */
bool target_read_same(struct target *target, uint32_t inode, uint64_t cookie,
		      unsigned int what);

struct targets {
	struct target *rows;		/* by age, the youngest last */
	size_t count, room;
};

/* All whose state is @live, and that were called so when they were bound, or have
 * that inode.
 */
void targets_find(struct targets *targets, struct records *records, const char *said, bool live);
void targets_free(struct targets *targets);

#endif
