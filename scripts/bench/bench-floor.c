// SPDX-License-Identifier: GPL-2.0-only
/*
 * The least that hooks in one network namespace can cost: they stand where
 * those of nsgate do, and return at once.  For scripts/bench/bench only.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#define DEVICES_MAX 8

static unsigned int fd;
module_param(fd, uint, 0);
MODULE_PARM_DESC(fd, "open file of insmod that is the namespace");

static bool devices;
module_param(devices, bool, 0);
MODULE_PARM_DESC(devices, "hooks at the devices of the namespace, too");

static struct nf_hook_ops ops[2 * NF_INET_NUMHOOKS + 2 * DEVICES_MAX];
static unsigned int count;
static struct net *net;

static unsigned int floor_hook(void *priv, struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	return NF_ACCEPT;
}

static void add(u8 family, unsigned int hook, struct net_device *dev)
{
	if (count == ARRAY_SIZE(ops))
		return;
	ops[count++] = (struct nf_hook_ops) {
		.hook = floor_hook,
		.pf = family,
		.hooknum = hook,
		.dev = dev,
		.priority = INT_MIN,
	};
}

static void add_devices(void)
{
	struct net_device *dev;

	for_each_netdev(net, dev) {
#if IS_ENABLED(CONFIG_NETFILTER_INGRESS)
		add(NFPROTO_NETDEV, NF_NETDEV_INGRESS, dev);
#endif
#if IS_ENABLED(CONFIG_NETFILTER_EGRESS)
		add(NFPROTO_NETDEV, NF_NETDEV_EGRESS, dev);
#endif
	}
}

static int __init floor_init(void)
{
	unsigned int hook;
	int err;

	net = get_net_ns_by_fd(fd);
	if (IS_ERR(net))
		return PTR_ERR(net);
	for (hook = 0; hook < NF_INET_NUMHOOKS; hook++) {
		add(NFPROTO_IPV4, hook, NULL);
		add(NFPROTO_IPV6, hook, NULL);
	}
	rtnl_lock();
	if (devices)
		add_devices();
	rtnl_unlock();
	err = nf_register_net_hooks(net, ops, count);
	if (err)
		put_net(net);
	return err;
}
module_init(floor_init);

static void __exit floor_exit(void)
{
	nf_unregister_net_hooks(net, ops, count);
	put_net(net);
}
module_exit(floor_exit);

MODULE_DESCRIPTION("Hooks that do nothing, to measure others against");
MODULE_LICENSE("GPL");
