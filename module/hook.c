// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netfilter hooks.  They are registered in the namespaces of targets only, and
 * carry their target with them: that is all the filtering there is.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/if_arp.h>
#include <linux/if_vlan.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/netdevice.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/ipv6.h>

#include "nsgate.h"

/* Stands for a transport protocol that the packet is too short to tell. */
#define PROTOCOL_UNKNOWN IPPROTO_RAW

/* Out of line, to spare others its buffer on the stack. */
static noinline u8 nonlinear_byte(const struct sk_buff *skb, int offset)
{
	const u8 *byte;
	u8 buf;

	byte = skb_header_pointer(skb, offset, sizeof(buf), &buf);
	return byte ? *byte : PROTOCOL_UNKNOWN;
}

/* A byte of the network header, wherever it is. */
static u8 header_byte(const struct sk_buff *skb, int offset)
{
	offset += skb_network_offset(skb);
	if (likely(offset < (int)skb_headlen(skb)))
		return skb->data[offset];
	return nonlinear_byte(skb, offset);
}

/* Tells what a later fragment belongs to as well. */
static noinline u8 protocol_behind_exthdrs(const struct sk_buff *skb)
{
	unsigned int offset = 0;
	unsigned short fragoff;
	int protocol;

	protocol = ipv6_find_hdr(skb, &offset, -1, &fragoff, NULL);
	return protocol < 0 ? PROTOCOL_UNKNOWN : protocol;
}

static u8 ipv6_protocol(const struct sk_buff *skb)
{
	u8 nexthdr = header_byte(skb, offsetof(struct ipv6hdr, nexthdr));

	if (likely(nexthdr == IPPROTO_TCP || nexthdr == IPPROTO_UDP))
		return nexthdr;
	return protocol_behind_exthdrs(skb);
}

static enum nsgate_proto classify(u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return NSGATE_TCP;
	case IPPROTO_UDP:
		return NSGATE_UDP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return NSGATE_ICMP;
	case IPPROTO_SCTP:
		return NSGATE_SCTP;
	case IPPROTO_ESP:
		return NSGATE_ESP;
	default:
		return NSGATE_OTHER;
	}
}

static unsigned int ip_hook(void *priv, struct sk_buff *skb,
			    const struct nf_hook_state *state)
{
	const struct nsgate_target *target = priv;
	bool ipv6 = state->pf == NFPROTO_IPV6;
	u8 protocol;

	if (ipv6)
		protocol = ipv6_protocol(skb);
	else
		protocol = header_byte(skb, offsetof(struct iphdr, protocol));
	nsgate_meter_add(target->meter, NSGATE_IP_POINT(state->hook, ipv6),
			 classify(protocol), skb->len);
	return NF_ACCEPT;
}

static enum nsgate_frame classify_frame(__be16 protocol)
{
	switch (protocol) {
	case htons(ETH_P_IP):
		return NSGATE_FRAME_IPV4;
	case htons(ETH_P_IPV6):
		return NSGATE_FRAME_IPV6;
	case htons(ETH_P_ARP):
		return NSGATE_FRAME_ARP;
	default:
		return NSGATE_FRAME_OTHER;
	}
}

static unsigned int device_hook(void *priv, struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	const struct nsgate_target *target = priv;
	enum nsgate_point point = NSGATE_INGRESS;

	if (state->hook == NF_NETDEV_EGRESS)
		point = NSGATE_EGRESS;
	nsgate_meter_add(target->meter, point, classify_frame(skb->protocol),
			 skb->len);
	return NF_ACCEPT;
}

/* The first priority, so that nothing is changed or dropped before us. */
#define HOOK(function, family, num) {		\
	.hook = (function),			\
	.pf = (family),				\
	.hooknum = (num),			\
	.priority = INT_MIN,			\
}

static const struct nf_hook_ops ip_ops[] = {
	HOOK(ip_hook, NFPROTO_IPV4, NF_INET_PRE_ROUTING),
	HOOK(ip_hook, NFPROTO_IPV4, NF_INET_LOCAL_IN),
	HOOK(ip_hook, NFPROTO_IPV4, NF_INET_FORWARD),
	HOOK(ip_hook, NFPROTO_IPV4, NF_INET_LOCAL_OUT),
	HOOK(ip_hook, NFPROTO_IPV4, NF_INET_POST_ROUTING),
	HOOK(ip_hook, NFPROTO_IPV6, NF_INET_PRE_ROUTING),
	HOOK(ip_hook, NFPROTO_IPV6, NF_INET_LOCAL_IN),
	HOOK(ip_hook, NFPROTO_IPV6, NF_INET_FORWARD),
	HOOK(ip_hook, NFPROTO_IPV6, NF_INET_LOCAL_OUT),
	HOOK(ip_hook, NFPROTO_IPV6, NF_INET_POST_ROUTING),
};

/* What the kernel has of these depends on its configuration. */
static const struct nf_hook_ops device_ops[] = {
#if IS_ENABLED(CONFIG_NETFILTER_INGRESS)
	HOOK(device_hook, NFPROTO_NETDEV, NF_NETDEV_INGRESS),
#endif
#if IS_ENABLED(CONFIG_NETFILTER_EGRESS)
	HOOK(device_hook, NFPROTO_NETDEV, NF_NETDEV_EGRESS),
#endif
};

/*
 * A device of a target.  Only nf_tables' listing of hooks reads it, under RCU;
 * packets get to the target by priv.
 */
struct nsgate_device {
	struct list_head list; /* RTNL */
	struct rcu_head rcu;
	struct nf_hook_ops ops[ARRAY_SIZE(device_ops)];
};

static struct nsgate_device *find_device(const struct nsgate_target *target,
					 const struct net_device *dev)
{
	struct nsgate_device *device;

	ASSERT_RTNL();
	list_for_each_entry(device, &target->devices, list) {
		if (device->ops[0].dev == dev)
			return device;
	}
	return NULL;
}

static int add_device(struct nsgate_target *target, struct net_device *dev)
{
	struct nsgate_device *device;
	int i, err;

	ASSERT_RTNL();
	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return -ENOMEM;
	memcpy(device->ops, device_ops, sizeof(device_ops));
	for (i = 0; i < ARRAY_SIZE(device->ops); i++) {
		device->ops[i].dev = dev;
		device->ops[i].priv = target;
	}
	err = nf_register_net_hooks(dev_net(dev), device->ops,
				    ARRAY_SIZE(device->ops));
	if (err) {
		kfree(device);
		return err;
	}
	list_add(&device->list, &target->devices);
	return 0;
}

static void remove_device(struct nsgate_target *target, struct net_device *dev)
{
	struct nsgate_device *device = find_device(target, dev);

	if (!device)
		return;
	nf_unregister_net_hooks(dev_net(dev), device->ops,
				ARRAY_SIZE(device->ops));
	list_del(&device->list);
	kfree_rcu(device, rcu);
}

/* Devices that are there already are told as if they had just come. */
static int device_event(struct notifier_block *notifier, unsigned long event,
			void *info)
{
	struct nsgate_target *target = container_of(notifier,
						    struct nsgate_target,
						    notifier);
	struct net_device *dev = netdev_notifier_info_to_dev(info);
	int err;

	switch (event) {
	case NETDEV_REGISTER:
		err = add_device(target, dev);
		if (err)
			net_err_ratelimited("nsgate: device %s of net:[%u] can't be hooked: %d\n",
					    dev->name, target->inode, err);
		return notifier_from_errno(err);
	case NETDEV_UNREGISTER:
		remove_device(target, dev);
		break;
	}
	return NOTIFY_DONE;
}

int nsgate_hook_register(struct nsgate_target *target, struct net *net)
{
	int i, err;

	static_assert(sizeof(ip_ops) == sizeof(target->ops));
	memcpy(target->ops, ip_ops, sizeof(ip_ops));
	for (i = 0; i < ARRAY_SIZE(target->ops); i++)
		target->ops[i].priv = target;
	err = nf_register_net_hooks(net, target->ops, ARRAY_SIZE(target->ops));
	if (err)
		return err;

	INIT_LIST_HEAD(&target->devices);
	target->notifier.notifier_call = device_event;
	err = register_netdevice_notifier_net(net, &target->notifier);
	if (err)
		nf_unregister_net_hooks(net, target->ops,
					ARRAY_SIZE(target->ops));
	return err;
}

void nsgate_hook_unregister(struct nsgate_target *target, struct net *net)
{
	unregister_netdevice_notifier_net(net, &target->notifier);
	nf_unregister_net_hooks(net, target->ops, ARRAY_SIZE(target->ops));
}
