/* SPDX-License-Identifier: GPL-2.0-only */
/* What runtimes of containers had us bind, and have us release later: by then the
 * namespace may be dead, and its number another's. So it is kept in files what is
 * attached: /run/nsgate/oci/ID by the hook, /run/nsgate/cni/ID@INTERFACE by the plugin.
 */
#ifndef NSGATE_ATTACH_H
#define NSGATE_ATTACH_H

#include "set.h"

struct attachment {
	const char *kind;		/* oci or cni */
	char *id;			/* the name of its file */
	uint32_t inode;			/* 0: it has ended, and its quotas are kept */
	uint64_t cookie;
	bool held;			/* it was a target before a runtime asked: it stays one */
	char *gate, *limit;		/* what is written, without what was used; or NULL */
	char *bundle;			/* of the container: a quota goes on while this is there */
	uint64_t used_in, used_out;	/* when it ended; until then, when it began */
};

/* The rest is for who holds this, until the program ends: namespaces may be shared. */
void attach_lock(void);

/* False if there is none. To be freed. */
bool attach_read(struct attachment *attachment, const char *kind, const char *id);
void attach_free(struct attachment *attachment);

/* Binds the namespace, gives it the gate and the limit, and notes that. Ends the
 * program, with nothing done, if that can't be, or if another attachment of the same
 * namespace wants something else. @limit is attachment->limit, with what was used.
 */
void attach(struct attachment *attachment, const struct ns *ns, const char *limit);

/* Notes what it is called; it keeps the name that it has. */
void attach_name(const struct ns *ns, const char *name, bool pod);

/* Releases it, unless others need it. Before this @report sees its final figures,
 * if there are any. If it has a quota and a bundle, what was used is kept.
 */
void detach(const char *kind, const char *id,
	    void (*report)(const struct target *target, const char *id));

/* Detaches all whose namespaces are gone: there are runtimes that call no hook when a
 * container fails to start, and what calls hooks may be killed.
 */
void attach_tidy(const char *kind,
		 void (*report)(const struct target *target, const char *id));

/* Whether it has a quota that goes on when it is attached again. */
bool attach_has_quota(const struct attachment *attachment);

/* Whether it may be the name of a container, and so of a file. */
bool attach_is_id(const char *id);

/* Root of the initial user namespace, who alone may bind. */
bool is_real_root(void);

#endif
