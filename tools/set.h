/* SPDX-License-Identifier: GPL-2.0-only */
/* Binding, gates and limits, for all that set them: subcommands, the hook of OCI
 * runtimes, the plugin of CNI. What can't be had ends the program.
 */
#ifndef NSGATE_SET_H
#define NSGATE_SET_H

#include "names.h"

/* What was asked for makes no sense; each program has its own, as it tells users
 * different things of what to do then.
 */
noreturn printf_like(1, 2) void misused(const char *format, ...);

/* binding.c: each ends the program with what the kernel has against it. */
noreturn printf_like(2, 3) void refuse(const char *shown, const char *format, ...);
void bind_namespace(const struct ns *ns);
void release_target(const struct target *target, const char *shown);

/* Binds what is to be released again if the program ends before bind_keep(). No
 * signal ends it any more.
 */
void bind_for_now(const struct ns *ns);
void bind_keep(void);

/* A value, and what it is called where it was said: an option, an annotation. */
struct said {
	const char *name, *value;	/* no value: it was not said */
};

/* gate_set.c, expression.c. All strings are to be freed. */
struct gate_options {
	struct said except, log, loopback;
	bool dry;
};

/* What is to be written; a bad @policy is told as that of @name, if there is one. */
char *gate_text(const char *name, const char *policy, const struct gate_options *options);
/* What gives another the gate, or the limit, of one; NULL if it has no limit. What was
 * used of its quotas stays used, or they begin @anew.
 */
char *gate_text_of(const struct gate *gate);
char *limit_text_of(const struct limit *limit, bool anew);
void gate_write(const char *directory, const char *text, const char *shown);

/* Compiles an expression of pcap-filter(7) to what the kernel's gate takes. */
char *expression_compile(const struct said *expression);

/* limit_set.c */
struct limit_side_options {
	struct said rate, burst, quota;
	uint64_t used;			/* of the quota, by one before this, if has_used */
	bool has_used;
};

struct limit_options {
	struct limit_side_options in, out;
	bool dry;
};

/* What is to be written, to be freed; NULL if no limit is named. */
char *limit_text(const struct limit_options *options);
void limit_write(const char *directory, const char *text, const char *shown);
bool limit_is_set(const struct limit *limit);

#endif
