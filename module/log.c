// SPDX-License-Identifier: GPL-2.0-only
/*
 * What was dropped, for NFLOG: groups of the initial network namespace, which no
 * tenant can see or listen to.
 */
#include <linux/atomic.h>
#include <linux/kmod.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <net/net_namespace.h>
#include <net/netfilter/nf_log.h>

#include "nsgate.h"

#define PER_SECOND 100 /* packets, and as many at once */

struct nsgate_log *nsgate_log_alloc(void)
{
	return kzalloc(sizeof(struct nsgate_log), GFP_KERNEL_ACCOUNT);
}

void nsgate_log_free(struct nsgate_log *log)
{
	kfree(log);
}

/* NFLOG logs all families or none. */
static int get_nflog(void)
{
	return nf_logger_find_get(NFPROTO_IPV4, NF_LOG_TYPE_ULOG);
}

/* The kernel doesn't load it by itself, as it is named by nobody but us. */
int nsgate_log_enable(void)
{
	int err = get_nflog();

	if (!err)
		return 0;
	request_module("nfnetlink_log");
	return get_nflog();
}

void nsgate_log_disable(void)
{
	nf_logger_put(NFPROTO_IPV4, NF_LOG_TYPE_ULOG);
}

static bool may_log(struct nsgate_log *log)
{
	s64 now = ktime_get_ns();
	s64 next, old = atomic64_read(&log->next);

	do {
		next = max(old, now) + NSEC_PER_SEC / PER_SECOND;
		if (next > now + NSEC_PER_SEC)
			return false;
	} while (!atomic64_try_cmpxchg(&log->next, &old, next));
	return true;
}

static u8 family_of(enum nsgate_frame frame)
{
	switch (frame) {
	case NSGATE_FRAME_IPV4:
		return NFPROTO_IPV4;
	case NSGATE_FRAME_IPV6:
		return NFPROTO_IPV6;
	case NSGATE_FRAME_ARP:
		return NFPROTO_ARP;
	default:
		return NFPROTO_UNSPEC;
	}
}

bool nsgate_log_packet(struct nsgate_log *log, u16 group, const char *prefix,
		       struct sk_buff *skb, const struct nf_hook_state *state,
		       enum nsgate_frame frame, int offset)
{
	const struct nf_loginfo info = {
		.type = NF_LOG_TYPE_ULOG,
		.u.ulog.group = group,
	};
	u8 family = family_of(frame);

	if (family == NFPROTO_UNSPEC || offset < 0 ||
	    offset > (int)skb_headlen(skb))
		return true;
	if (!may_log(log))
		return false;
	/* NFLOG takes it from skb->data on. */
	__skb_pull(skb, offset);
	nf_log_packet(&init_net, family, state->hook, skb, state->in,
		      state->out, &info, "%s", prefix);
	__skb_push(skb, offset);
	return true;
}
