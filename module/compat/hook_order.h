/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose hooks stand before ours: where kernels keep that is their own affair, and
 * has changed.
 */
#ifndef NSGATE_HOOK_ORDER_H
#define NSGATE_HOOK_ORDER_H

#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/rcupdate.h>
#include <net/net_namespace.h>

#include "compat.h"

/* After so many steps, it isn't looked any further. */
#define NSGATE_STEPS_MAX 4096

#ifdef NSGATE_HAS_nf_register_net_hook
/*
 * Hooks of a point, first ones first.  Those of others are seen, too, which may
 * be freed a grace period after they were unregistered.
 */
#ifdef NSGATE_HAS_hooks_ipv4
static inline const struct nf_hook_entries *
nsgate_ip_entries(const struct net *net, u8 pf, unsigned int hook)
{
	if (pf == NFPROTO_IPV6)
		return rcu_dereference(net->nf.hooks_ipv6[hook]);
	return rcu_dereference(net->nf.hooks_ipv4[hook]);
}
#else
/* Before Linux 4.16. */
static inline const struct nf_hook_entries *
nsgate_ip_entries(const struct net *net, u8 pf, unsigned int hook)
{
	return rcu_dereference(net->nf.hooks[pf][hook]);
}
#endif

#if IS_ENABLED(CONFIG_NETFILTER_INGRESS)
static inline const struct nf_hook_entries *
nsgate_ingress_entries(const struct net_device *dev)
{
	return rcu_dereference(dev->nf_hooks_ingress);
}
#else
static inline const struct nf_hook_entries *
nsgate_ingress_entries(const struct net_device *dev)
{
	return NULL;
}
#endif

#if IS_ENABLED(CONFIG_NETFILTER_EGRESS)
static inline const struct nf_hook_entries *
nsgate_egress_entries(const struct net_device *dev)
{
	return rcu_dereference(dev->nf_hooks_egress);
}
#else
static inline const struct nf_hook_entries *
nsgate_egress_entries(const struct net_device *dev)
{
	return NULL;
}
#endif

static inline const struct nf_hook_entries *
nsgate_entries(const struct net *net, const struct net_device *dev,
	       const struct nf_hook_ops *ops)
{
	if (!dev)
		return nsgate_ip_entries(net, ops->pf, ops->hooknum);
	return ops->hooknum == NF_NETDEV_INGRESS ? nsgate_ingress_entries(dev) :
						   nsgate_egress_entries(dev);
}

/* One for which there was no memory to be taken out of the list. */
static inline bool nsgate_is_removed(const struct nf_hook_entries *entries,
				     unsigned int i)
{
	return !entries->hooks[i].priv &&
	       nf_hook_entries_get_hook_ops(entries)[i]->pf == NFPROTO_UNSPEC;
}

/**
 * nsgate_hooks_before() - count the hooks that stand before ours
 * @net: the namespace
 * @dev: the device, or NULL for a point of IP
 * @ops: our hook
 * @steps: added to; the count may end early once these are too many
 *
 * Context: RCU read side.
 * Return: how many; 0 if ours isn't there.
 */
static inline unsigned int nsgate_hooks_before(const struct net *net,
					       const struct net_device *dev,
					       const struct nf_hook_ops *ops,
					       unsigned int *steps)
{
	const struct nf_hook_entries *entries = nsgate_entries(net, dev, ops);
	unsigned int i, before = 0;

	if (!entries)
		return 0;
	for (i = 0; i < entries->num_hook_entries; i++) {
		if (entries->hooks[i].hook == ops->hook)
			return before;
		if (++*steps > NSGATE_STEPS_MAX)
			return before;
		if (!nsgate_is_removed(entries, i))
			before++;
	}
	return 0;
}
#else
/* See nf_hooks.c. */
unsigned int nsgate_hooks_before(const struct net *net,
				 const struct net_device *dev,
				 const struct nf_hook_ops *ops,
				 unsigned int *steps);
#endif

#endif /* NSGATE_HOOK_ORDER_H */
