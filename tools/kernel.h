/* SPDX-License-Identifier: GPL-2.0-only */
/* What the module says and takes: the files under /proc/net/nsgate and its
 * parameters. Files and rows that an older module lacks are no error.
 */
#ifndef NSGATE_KERNEL_H
#define NSGATE_KERNEL_H

#include "util.h"

/* Tests may have them elsewhere. */
#ifndef HOST_VIEW
#define HOST_VIEW "/proc/net/nsgate"
#endif
#ifndef PARAMETERS
#define PARAMETERS "/sys/module/nsgate/parameters"
#endif

/* A row of the file namespaces. */
struct namespace {
	uint64_t cookie;
	uint32_t inode;
	unsigned int devices;
	bool bound;
};

struct namespaces {
	struct namespace *rows;		/* in the order of the kernel */
	struct namespace **by_inode;
	size_t count;
};

/* A row of stats; the texts are in the target's. */
struct counter {
	const char *hook, *family, *proto;
	uint64_t packets, bytes, dropped, dropped_bytes;
};

struct gate {
	const char *policy;		/* accept or drop */
	const char *except;		/* a program, or NULL */
	const char *label;		/* or NULL */
	const char *log;		/* a group, or NULL */
	uint64_t excepted, dropped, unlogged;
	bool dry;
	bool has_log;			/* the module knows of logs */
};

/* What a limit says of one direction; NULL is none. */
struct limit_side {
	const char *rate, *burst, *quota;
	uint64_t used, over_packets, over_bytes;
};

struct limit {
	const char *mode;		/* none, on or dry; NULL: the module has no limits */
	struct limit_side in, out;
};

struct traffic {
	uint64_t packets, bytes;
};

/* A target, live or gone, as its files have it. */
struct target {
	char directory[48];		/* of the host view: INODE, or INODE.COOKIE */
	uint32_t inode;
	uint64_t cookie;
	bool live;
	uint64_t bound_seconds, devices;
	uint64_t flow_capacity, flow_entries, flow_evicted;
	const char *hooks;
	/* What goes past it, as numbers, ">N" or "-"; NULL if the module doesn't say. */
	const char *preceded, *tc, *af_xdp, *xdp;
	const char *parent;		/* a cookie, 0 for none; NULL if not said */
	struct gate gate;
	struct limit limit;
	struct counter *counters;
	size_t counters_count;
	/* What entered and left: by the rows in and out, where there are such. */
	struct traffic in, out;
	uint64_t dropped_packets;
	char *texts[4];			/* what all of this points into */
};

/* A row of flows. */
struct flow {
	const char *family, *proto, *source, *destination;
	uint64_t packets, bytes, age_ms;
};

struct flows {
	struct flow *rows;
	size_t count;
	char *text;
};

struct autobind {
	char mode[16];
	uint64_t born, missed;
};

/* Ends the program unless this is root on the host, with the module loaded. */
void kernel_check(const char *command);
bool kernel_loaded(void);

/* False, and errno, if there is no such file. */
bool kernel_read_namespaces(struct namespaces *namespaces);
const struct namespace *namespaces_find(const struct namespaces *namespaces, uint32_t inode);
void namespaces_free(struct namespaces *namespaces);

/* The directories of all targets, to be freed with strings_free(). */
struct strings {
	char **s;
	size_t count, room;
};

void kernel_list_targets(struct strings *directories);
void strings_free(struct strings *strings);

enum { READ_STATE = 1, READ_GATE = 2, READ_LIMIT = 4, READ_STATS = 8, READ_ALL = 15 };

/* Reads files of a target; false if it was released meanwhile. What was read
 * before is to be freed before.
 */
bool target_read(struct target *target, const char *directory, unsigned int what);
void target_free(struct target *target);

/* At most @most flows; false if the target was released. */
bool kernel_read_flows(struct flows *flows, const char *directory, size_t most);
void flows_free(struct flows *flows);

/* False if the module doesn't know of it. */
bool kernel_read_auto(struct autobind *autobind);

/* Each is one write, and 0 or an error as the kernel has it, negative. */
int kernel_write(const char *path, const char *text);
extern int kernel_answer;		/* of the last one */
int kernel_bind(uint32_t inode);
int kernel_release(const struct target *target);
int kernel_write_target(const char *directory, const char *file, const char *text);

/* kernel_parse.c: the formats. Each cuts the text in pieces, and points into it. */
void parse_namespaces(struct namespaces *namespaces, char *text);
void parse_state(struct target *target, char *text);
void parse_gate(struct gate *gate, char *text);
void parse_limit(struct limit *limit, char *text);
void parse_stats(struct target *target, char *text);
void parse_flows(struct flows *flows, char *text, size_t most);
void parse_auto(struct autobind *autobind, char *text);

#endif
