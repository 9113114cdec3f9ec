/* SPDX-License-Identifier: GPL-2.0-only */
/* The plugin nsgate-cni: its configuration, and how it ends. */
#ifndef NSGATE_CNI_H
#define NSGATE_CNI_H

#include <jansson.h>

#include "set.h"

/* Of the specification; ours are from 100 on. Also in nsgate-cni(8). */
enum cni_error {
	CNI_INCOMPATIBLE_VERSION = 1,
	CNI_UNSUPPORTED_FIELD = 2,
	CNI_INVALID_ENVIRONMENT = 4,
	CNI_IO_FAILURE = 5,
	CNI_DECODING_FAILURE = 6,
	CNI_INVALID_CONFIG = 7,
	CNI_TRY_AGAIN = 11,
	CNI_NOT_LOADED = 100,
	CNI_NOT_ROOT = 101,
	CNI_REFUSED = 102,
	CNI_CHANGED = 103,
};

/* Says it on the standard output, and ends the program. */
noreturn printf_like(3, 4) void cni_fail(enum cni_error code, const char *details,
					 const char *format, ...);

/* The versions that there are, the newest last. */
extern const char *const cni_versions[2];

struct cni_config {
	json_t *json;
	const char *version;
	json_t *previous;		/* the result of the plugin before, or NULL */
	bool required;
	json_t *numbers;		/* those of the JSON that stand for strings */
	char *gate, *limit;		/* as the kernel takes them, or NULL */
};

/* Reads what all commands need; ends the program if that is bad. */
void cni_read_config(struct cni_config *config);

/* The rest: what is to be set. */
void cni_read_wanted(struct cni_config *config);
void cni_free_config(struct cni_config *config);

/* cni_check.c: ends the program unless the target is as the configuration has it. */
void cni_check_target(const struct cni_config *config, const struct ns *ns);

#endif
