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
#include <linux/u64_stats_sync.h>
#include <net/net_namespace.h>

#include "older.h"

/**
 * struct nsgate_net_compat - what older kernels don't keep with a namespace
 * @cookie: its cookie, see net_cookie.c; 0 if nobody has asked for it yet
 * @hooks: its hooks, see nf_hooks.c; NULL if it has none
 *
 * Empty on newer ones.
 */
struct nsgate_net_compat {
#if !defined(NSGATE_HAS_net_cookie) && !defined(NSGATE_HAS_net_cookie_atomic)
	atomic64_t cookie;
#endif
#ifndef NSGATE_HAS_nf_register_net_hook
	struct nsgate_net_hooks __rcu *hooks;
#endif
};

/* The number by which a namespace is known; it may be handed out again. */
#ifdef NSGATE_HAS_ns_inum
static inline unsigned int nsgate_net_inode(const struct net *net)
{
	return net->ns.inum;
}
#else
static inline unsigned int nsgate_net_inode(const struct net *net)
{
	return net->proc_inum;
}
#endif

/* See net_cookie.c. */
#ifdef NSGATE_HAS_net_cookie
static inline u64 nsgate_net_cookie(const struct net *net)
{
	return net->net_cookie;
}
#else
u64 nsgate_net_cookie(struct net *net);
#endif

/* In a format: a text in which anything may be, told by its length and a pointer. */
#ifdef NSGATE_HAS_string_escape_mem
#define NSGATE_QUOTED "\"%*pE\""
#else
#define NSGATE_QUOTED "\"%.*s\""
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
	/* In 4.18 of el8 a pointer: NULL until there is a first program. */
	const struct bpf_xdp_entity *state = dev->xdp_state;
	int i;

	for (i = 0; state && i < __MAX_XDP_MODE; i++) {
		if (READ_ONCE(state[i].prog) || READ_ONCE(state[i].link))
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

/*
 * What a parameter's .get says ends with a newline.  Some kernels of before Linux 4.16
 * append another, for which there may be no room.  There the kernel's own .get says
 * none, which is how they are told from the others.
 */
#ifdef NSGATE_HAS_queue_rcu_work
static inline int nsgate_param_said(char *buf, int len)
{
	return len;
}
#else
static inline int nsgate_param_said(char *buf, int len)
{
	unsigned int one = 1;
	struct kernel_param kp = { .arg = &one };
	char said[sizeof("1\n")];

	if (param_get_uint(said, &kp) == strlen("1"))
		buf[--len] = '\0';
	return len;
}
#endif

#endif /* NSGATE_COMPAT_H */
