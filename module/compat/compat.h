/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every file gets: what differs between kernels from 5.10 on, and by older.h
 * what those before them lack.  NSGATE_HAS_* is what the probes found.
 */
#ifndef NSGATE_COMPAT_H
#define NSGATE_COMPAT_H

#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/proc_fs.h>
#include <linux/timekeeping.h>
#include <linux/u64_stats_sync.h>
#include <net/net_namespace.h>

#include "older.h"

#ifndef NSGATE_HAS_net_cookie
/* Weak, so that all files have the same one. */
extern atomic64_t nsgate_last_cookie;
atomic64_t nsgate_last_cookie __weak;

/*
 * Before Linux 5.12, a namespace has no cookie until somebody in the kernel
 * asks for it, by a function that isn't exported.  That function doesn't touch
 * a cookie that is set, so one that we set in the same way, by changing 0 and
 * nothing else, is the namespace's cookie for everybody and for its life.
 *
 * The kernel gives out 1, 2, 3 and so on, and in interrupts -1, -2, -3: it never
 * gets to 2^62.  From there on we give out nanoseconds since boot, or the next
 * number if that one is taken.  So no number comes twice, even if the module is
 * loaded again: it takes longer to load than to count up what was given out.
 */
static inline u64 nsgate_net_cookie(struct net *net)
{
	u64 cookie = atomic64_read(&net->net_cookie);
	s64 last, next;

	if (cookie)
		return cookie;
	last = atomic64_read(&nsgate_last_cookie);
	do {
		next = max_t(s64, last + 1, ktime_get_boottime_ns());
	} while (!atomic64_try_cmpxchg(&nsgate_last_cookie, &last, next));
	atomic64_cmpxchg(&net->net_cookie, 0, (1ULL << 62) + next);
	return atomic64_read(&net->net_cookie);
}
#else
static inline u64 nsgate_net_cookie(const struct net *net)
{
	return net->net_cookie;
}
#endif

#ifndef NSGATE_HAS_pde_data
#define pde_data PDE_DATA
#endif

/*
 * Before Linux 6.1, on 32 bits with one CPU there is no sequence count: a
 * reader keeps interrupts out, or else a softirq writes while it reads.
 */
#ifdef NSGATE_HAS_u64_stats_fetch_begin_irq
#define u64_stats_fetch_begin u64_stats_fetch_begin_irq
#define u64_stats_fetch_retry u64_stats_fetch_retry_irq
#endif

/*
 * Before Linux 5.16 nothing is ever at egress, and the number that the hook
 * has now is that of no hook.
 */
#if !IS_ENABLED(CONFIG_NETFILTER_EGRESS)
#define NF_NETDEV_EGRESS NF_NETDEV_NUMHOOKS
#endif

/* Programs of tc that need no qdisc, new in Linux 6.6. */
#if IS_ENABLED(CONFIG_NET_XGRESS)
static inline bool nsgate_has_tcx_ingress(const struct net_device *dev)
{
	return rcu_access_pointer(dev->tcx_ingress);
}

static inline bool nsgate_has_tcx_egress(const struct net_device *dev)
{
	return rcu_access_pointer(dev->tcx_egress);
}
#else
static inline bool nsgate_has_tcx_ingress(const struct net_device *dev)
{
	return false;
}

static inline bool nsgate_has_tcx_egress(const struct net_device *dev)
{
	return false;
}
#endif

/*
 * XDP programs of a device.  From Linux 4.8, which was the first to have any, to
 * 5.8 only the driver knew, which is asked under RTNL.
 */
#if defined(NSGATE_HAS_xdp_state) || !defined(NSGATE_HAS_XDP_QUERY_PROG)
#define NSGATE_KNOWS_XDP true
#else
#define NSGATE_KNOWS_XDP false
#endif

#ifdef NSGATE_HAS_xdp_state
static inline bool nsgate_has_xdp(const struct net_device *dev)
{
	int i;

	for (i = 0; i < __MAX_XDP_MODE; i++) {
		if (READ_ONCE(dev->xdp_state[i].prog) ||
		    READ_ONCE(dev->xdp_state[i].link))
			return true;
	}
	return false;
}
#else
static inline bool nsgate_has_xdp(const struct net_device *dev)
{
	return false;
}
#endif

/* AF_XDP sockets, since Linux 4.18, are in a list since 5.1. */
#ifdef NSGATE_HAS_netns_xdp
#define NSGATE_KNOWS_XDP_SOCKETS true

static inline const struct hlist_head *nsgate_xdp_sockets(const struct net *net)
{
	return &net->xdp.list;
}
#else
#define NSGATE_KNOWS_XDP_SOCKETS (!IS_ENABLED(CONFIG_XDP_SOCKETS))

static inline const struct hlist_head *nsgate_xdp_sockets(const struct net *net)
{
	return NULL;
}
#endif

#endif /* NSGATE_COMPAT_H */
