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
#include <linux/netfilter_bridge.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/ipv6.h>

#include "nsgate.h"

/* Stands for a transport protocol that the packet is too short to tell. */
#define PROTOCOL_UNKNOWN IPPROTO_RAW

/* More VLAN tags than this are no traffic that anybody means. */
#define VLAN_TAGS_MAX 8

/* A byte of the network header, with which IP packets begin at every hook. */
static u8 header_byte(const struct sk_buff *skb, int offset)
{
	const u8 *byte;
	u8 buf;

	byte = skb_header_pointer(skb, offset, sizeof(buf), &buf);
	return byte ? *byte : PROTOCOL_UNKNOWN;
}

/* Finds what a later fragment belongs to as well. */
static noinline u8 find_protocol(const struct sk_buff *skb, bool ipv6)
{
	unsigned int offset = 0;
	unsigned short fragoff;
	int protocol;

	if (!ipv6)
		return header_byte(skb, offsetof(struct iphdr, protocol));
	protocol = ipv6_find_hdr(skb, &offset, -1, &fragoff, NULL);
	return protocol < 0 ? PROTOCOL_UNKNOWN : protocol;
}

/* The protocol of most packets, or -1 if it takes more to find it. */
static __always_inline int simple_protocol(const struct sk_buff *skb, bool ipv6)
{
	int nexthdr;

	if (unlikely(skb_headlen(skb) < sizeof(struct iphdr)))
		return -1;
	if (!ipv6)
		return skb->data[offsetof(struct iphdr, protocol)];
	nexthdr = skb->data[offsetof(struct ipv6hdr, nexthdr)];
	return nexthdr == IPPROTO_TCP || nexthdr == IPPROTO_UDP ? nexthdr : -1;
}

/* From NSGATE_OTHER, which so needs no entry. */
static const s8 proto_distance[U8_MAX + 1] = {
	[IPPROTO_TCP] = NSGATE_TCP - NSGATE_OTHER,
	[IPPROTO_UDP] = NSGATE_UDP - NSGATE_OTHER,
	[IPPROTO_ICMP] = NSGATE_ICMP - NSGATE_OTHER,
	[IPPROTO_ICMPV6] = NSGATE_ICMP - NSGATE_OTHER,
	[IPPROTO_SCTP] = NSGATE_SCTP - NSGATE_OTHER,
	[IPPROTO_ESP] = NSGATE_ESP - NSGATE_OTHER,
};

/* An enum nsgate_proto, of the type that takes least to be an index. */
static long classify(u8 protocol)
{
	return proto_distance[protocol] + (long)NSGATE_OTHER;
}

static void count_judged(const struct nsgate_target *target,
			 unsigned int verdict, unsigned int len)
{
	if (verdict & NSGATE_MATCH)
		nsgate_meter_judge(target->meter, NSGATE_EXCEPTED, len);
	if (verdict & NSGATE_DROP)
		nsgate_meter_judge(target->meter, NSGATE_DROPPED, len);
}

/*
 * A packet that enters was judged by its device already, if it came by a way
 * that has a hook: root of the namespace can lead it round that with tc.
 */
static unsigned int judge_packet(const struct nsgate_target *target,
				 const struct nsgate_policy *policy,
				 struct sk_buff *skb,
				 const struct nf_hook_state *state, bool again)
{
	bool ipv6 = state->pf == NFPROTO_IPV6;
	unsigned int verdict;
	bool passes;

	verdict = nsgate_gate_judge(policy, skb, 0, ipv6 ? NSGATE_FRAME_IPV6 :
							   NSGATE_FRAME_IPV4);
	passes = policy->dry || !(verdict & NSGATE_DROP);
	if (!passes || !again)
		count_judged(target, verdict, skb->len);
	if (passes)
		return NF_ACCEPT;
	nsgate_meter_drop(target->meter, NSGATE_IP_POINT(state->hook, ipv6),
			  classify(find_protocol(skb, ipv6)), skb->len);
	return NF_DROP;
}

/* What enters or is sent: here are the flows, and here stands the gate. */
static __always_inline bool is_edge(unsigned int hook)
{
	return hook == NF_INET_PRE_ROUTING || hook == NF_INET_LOCAL_OUT;
}

static noinline unsigned int edge_slow(const struct nsgate_target *target,
				       struct sk_buff *skb,
				       const struct nf_hook_state *state)
{
	const struct nsgate_policy *policy;

	if (target->flow)
		nsgate_flow_touch(target->flow, skb,
				  state->pf == NFPROTO_IPV6);
	policy = rcu_dereference(target->gate.policy);
	if (!policy)
		return NF_ACCEPT;
	return judge_packet(target, policy, skb, state, false);
}

static noinline unsigned int ip_slow(const struct nsgate_target *target,
				     struct sk_buff *skb,
				     const struct nf_hook_state *state)
{
	bool ipv6 = state->pf == NFPROTO_IPV6;

	nsgate_meter_add(target->meter, NSGATE_IP_POINT(state->hook, ipv6),
			 classify(find_protocol(skb, ipv6)), skb->len);
	if (is_edge(state->hook))
		return edge_slow(target, skb, state);
	return NF_ACCEPT;
}

#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER)
/* By br_netfilter. */
static bool is_bridged(const struct sk_buff *skb)
{
	return skb_ext_exist(skb, SKB_EXT_BRIDGE_NF);
}

/*
 * What a bridge hands to IP has been at prerouting already.  br_netfilter has a
 * hook that takes it past all others, but at the priority of ours, and that was
 * registered when the first bridge was made: it may be behind.
 */
static bool comes_again(const struct sk_buff *skb,
			const struct nf_hook_state *state)
{
	const struct nf_bridge_info *bridge = nf_bridge_info_get(skb);

	return !bridge->in_prerouting && netif_is_bridge_master(state->in) &&
	       !netif_is_l3_slave(state->in);
}
#else
static bool is_bridged(const struct sk_buff *skb)
{
	return false;
}

static bool comes_again(const struct sk_buff *skb,
			const struct nf_hook_state *state)
{
	return false;
}
#endif

/*
 * What comes again doesn't count.  But were it not judged, root of the namespace
 * might find a way to have something come here for the first time like that.
 */
static noinline unsigned int bridged_slow(const struct nsgate_target *target,
					  struct sk_buff *skb,
					  const struct nf_hook_state *state)
{
	const struct nsgate_policy *policy;

	if (!comes_again(skb, state))
		return ip_slow(target, skb, state);
	policy = rcu_dereference(target->gate.policy);
	if (!policy)
		return NF_ACCEPT;
	return judge_packet(target, policy, skb, state, true);
}

/*
 * Each point has a function of its own, in which all but the packet is known
 * when it is compiled, and which saves no register: what takes longer is done
 * by others, with which it ends.
 */
static __always_inline unsigned int ip_hook(const struct nsgate_target *target,
					    struct sk_buff *skb,
					    const struct nf_hook_state *state,
					    bool ipv6, unsigned int hook)
{
	int protocol;

	if (hook == NF_INET_PRE_ROUTING && unlikely(is_bridged(skb)))
		return bridged_slow(target, skb, state);
	protocol = simple_protocol(skb, ipv6);
	if (unlikely(protocol < 0))
		return ip_slow(target, skb, state);
	nsgate_meter_add(target->meter, NSGATE_IP_POINT(hook, ipv6),
			 classify(protocol), skb->len);
	if (!is_edge(hook))
		return NF_ACCEPT;
	if (unlikely(rcu_access_pointer(target->gate.policy)))
		return edge_slow(target, skb, state);
	if (target->flow)
		nsgate_flow_touch(target->flow, skb, ipv6);
	return NF_ACCEPT;
}

#define IP_HOOK(name) static unsigned int				\
name(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)

IP_HOOK(prerouting_ipv4)
{
	return ip_hook(priv, skb, state, false, NF_INET_PRE_ROUTING);
}

IP_HOOK(input_ipv4)
{
	return ip_hook(priv, skb, state, false, NF_INET_LOCAL_IN);
}

IP_HOOK(forward_ipv4)
{
	return ip_hook(priv, skb, state, false, NF_INET_FORWARD);
}

IP_HOOK(output_ipv4)
{
	return ip_hook(priv, skb, state, false, NF_INET_LOCAL_OUT);
}

IP_HOOK(postrouting_ipv4)
{
	return ip_hook(priv, skb, state, false, NF_INET_POST_ROUTING);
}

IP_HOOK(prerouting_ipv6)
{
	return ip_hook(priv, skb, state, true, NF_INET_PRE_ROUTING);
}

IP_HOOK(input_ipv6)
{
	return ip_hook(priv, skb, state, true, NF_INET_LOCAL_IN);
}

IP_HOOK(forward_ipv6)
{
	return ip_hook(priv, skb, state, true, NF_INET_FORWARD);
}

IP_HOOK(output_ipv6)
{
	return ip_hook(priv, skb, state, true, NF_INET_LOCAL_OUT);
}

IP_HOOK(postrouting_ipv6)
{
	return ip_hook(priv, skb, state, true, NF_INET_POST_ROUTING);
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

/* What stands behind VLAN tags; moves @offset there. */
static __be16 skip_vlan_tags(const struct sk_buff *skb, __be16 protocol,
			     int *offset)
{
	const struct vlan_hdr *tag;
	struct vlan_hdr buf;
	int i;

	for (i = 0; i < VLAN_TAGS_MAX && eth_type_vlan(protocol); i++) {
		tag = skb_header_pointer(skb, *offset, sizeof(buf), &buf);
		if (!tag)
			break;
		protocol = tag->h_vlan_encapsulated_proto;
		*offset += VLAN_HLEN;
	}
	return protocol;
}

/* The type alone says nothing: a tun device takes any that it is told. */
static bool has_ethernet_header(const struct net_device *dev)
{
	return (dev->type == ARPHRD_ETHER || dev->type == ARPHRD_LOOPBACK) &&
	       dev->hard_header_len >= ETH_HLEN;
}

static bool is_from_packet_socket(const struct sk_buff *skb)
{
	return skb->sk && skb->sk->sk_family == AF_PACKET;
}

/* What a frame is that is sent by a device that isn't like Ethernet. */
static enum nsgate_frame find_version(const struct sk_buff *skb, int offset)
{
	/* Who has not set the network header sends no IP. */
	if (offset < 0)
		return NSGATE_FRAME_OTHER;
	if (!is_from_packet_socket(skb))
		return classify_frame(skb->protocol);
	switch (header_byte(skb, offset) >> 4) {
	case 4:
		return NSGATE_FRAME_IPV4;
	case 6:
		return NSGATE_FRAME_IPV6;
	default:
		return skb->protocol == htons(ETH_P_ARP) ? NSGATE_FRAME_ARP :
							   NSGATE_FRAME_OTHER;
	}
}

/*
 * What a frame is, and where in skb->data its network header begins.
 *
 * When a frame is sent, skb->protocol is what its sender says, and the sender
 * may be a packet socket: only the frame itself can be believed.
 */
static enum nsgate_frame parse_frame(const struct sk_buff *skb,
				     const struct nf_hook_state *state,
				     int *offset)
{
	__be16 protocol = skb->protocol;

	*offset = skb_network_offset(skb);
	if (state->hook == NF_NETDEV_EGRESS) {
		if (!has_ethernet_header(state->out))
			return find_version(skb, *offset);
		if (skb_headlen(skb) < ETH_HLEN)
			return NSGATE_FRAME_OTHER;
		protocol = ((const struct ethhdr *)skb->data)->h_proto;
		*offset = ETH_HLEN;
	}
	return classify_frame(skip_vlan_tags(skb, protocol, offset));
}

/*
 * Whether a frame that may pass is counted here for the gate: those of IP are
 * at prerouting and output, but packet sockets send past output, and what isn't
 * IP is seen by devices only.
 */
static bool counts_here(const struct sk_buff *skb, enum nsgate_point point,
			enum nsgate_frame frame)
{
	bool ip = frame == NSGATE_FRAME_IPV4 || frame == NSGATE_FRAME_IPV6;

	if (point == NSGATE_INGRESS)
		return !ip;
	if (skb->skb_iif) /* came in by another device */
		return false;
	return !ip || is_from_packet_socket(skb);
}

static unsigned int judge_frame(const struct nsgate_target *target,
				const struct nsgate_policy *policy,
				struct sk_buff *skb, enum nsgate_point point,
				enum nsgate_frame frame, int offset)
{
	unsigned int verdict;

	if (policy->dry && !counts_here(skb, point, frame))
		return NF_ACCEPT;
	verdict = nsgate_gate_judge(policy, skb, offset, frame);
	if (policy->dry || !(verdict & NSGATE_DROP)) {
		if (verdict && counts_here(skb, point, frame))
			count_judged(target, verdict, skb->len);
		return NF_ACCEPT;
	}
	count_judged(target, verdict, skb->len);
	nsgate_meter_drop(target->meter, point, frame, skb->len);
	return NF_DROP;
}

static noinline unsigned int device_hook_slow(const struct nsgate_target *target,
					      struct sk_buff *skb,
					      const struct nf_hook_state *state,
					      enum nsgate_point point)
{
	const struct nsgate_policy *policy;
	enum nsgate_frame frame;
	int offset;

	frame = parse_frame(skb, state, &offset);
	nsgate_meter_add(target->meter, point, frame, skb->len);
	policy = rcu_dereference(target->gate.policy);
	if (!policy)
		return NF_ACCEPT;
	return judge_frame(target, policy, skb, point, frame, offset);
}

/* The class of most frames, or -1 if it takes more to find it. */
static __always_inline long simple_frame(__be16 protocol)
{
	if (likely(protocol == htons(ETH_P_IP)))
		return NSGATE_FRAME_IPV4;
	return protocol == htons(ETH_P_IPV6) ? NSGATE_FRAME_IPV6 : -1;
}

static unsigned int __maybe_unused
ingress_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct nsgate_target *target = priv;
	long frame = simple_frame(skb->protocol);

	if (unlikely(frame < 0 || rcu_access_pointer(target->gate.policy)))
		return device_hook_slow(target, skb, state, NSGATE_INGRESS);
	nsgate_meter_add(target->meter, NSGATE_INGRESS, frame, skb->len);
	return NF_ACCEPT;
}

static unsigned int __maybe_unused
egress_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct ethhdr *eth = (const struct ethhdr *)skb->data;
	const struct nsgate_target *target = priv;
	long frame = -1;

	if (likely(has_ethernet_header(state->out) &&
		   skb_headlen(skb) >= ETH_HLEN))
		frame = simple_frame(eth->h_proto);
	if (unlikely(frame < 0 || rcu_access_pointer(target->gate.policy)))
		return device_hook_slow(target, skb, state, NSGATE_EGRESS);
	nsgate_meter_add(target->meter, NSGATE_EGRESS, frame, skb->len);
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
	HOOK(prerouting_ipv4, NFPROTO_IPV4, NF_INET_PRE_ROUTING),
	HOOK(input_ipv4, NFPROTO_IPV4, NF_INET_LOCAL_IN),
	HOOK(forward_ipv4, NFPROTO_IPV4, NF_INET_FORWARD),
	HOOK(output_ipv4, NFPROTO_IPV4, NF_INET_LOCAL_OUT),
	HOOK(postrouting_ipv4, NFPROTO_IPV4, NF_INET_POST_ROUTING),
	HOOK(prerouting_ipv6, NFPROTO_IPV6, NF_INET_PRE_ROUTING),
	HOOK(input_ipv6, NFPROTO_IPV6, NF_INET_LOCAL_IN),
	HOOK(forward_ipv6, NFPROTO_IPV6, NF_INET_FORWARD),
	HOOK(output_ipv6, NFPROTO_IPV6, NF_INET_LOCAL_OUT),
	HOOK(postrouting_ipv6, NFPROTO_IPV6, NF_INET_POST_ROUTING),
};

/* What the kernel has of these depends on its configuration. */
static const struct nf_hook_ops device_ops[] = {
#if IS_ENABLED(CONFIG_NETFILTER_INGRESS)
	HOOK(ingress_hook, NFPROTO_NETDEV, NF_NETDEV_INGRESS),
#endif
#if IS_ENABLED(CONFIG_NETFILTER_EGRESS)
	HOOK(egress_hook, NFPROTO_NETDEV, NF_NETDEV_EGRESS),
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
		/* One of its hooks may have been listed meanwhile. */
		kfree_rcu(device, rcu);
		return err;
	}
	/* In the order in which the kernel removes them. */
	list_add_tail(&device->list, &target->devices);
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

	if (!ARRAY_SIZE(device_ops))
		return NOTIFY_DONE;
	switch (event) {
	case NETDEV_PRE_UP:
		/*
		 * A device that is moved here comes whatever we say to that,
		 * but it comes down: what has no hooks doesn't get up.
		 */
		if (find_device(target, dev))
			break;
		fallthrough;
	case NETDEV_REGISTER:
		err = add_device(target, dev);
		if (err)
			net_err_ratelimited("device %s of net:[%u] can't be hooked: error %d\n",
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

	INIT_LIST_HEAD(&target->devices);
	target->notifier.notifier_call = device_event;
	err = register_netdevice_notifier_net(net, &target->notifier);
	if (err)
		return err;

	BUILD_BUG_ON(sizeof(ip_ops) != sizeof(target->ops));
	memcpy(target->ops, ip_ops, sizeof(ip_ops));
	for (i = 0; i < ARRAY_SIZE(target->ops); i++)
		target->ops[i].priv = target;
	err = nf_register_net_hooks(net, target->ops, ARRAY_SIZE(target->ops));
	if (err)
		unregister_netdevice_notifier_net(net, &target->notifier);
	return err;
}

void nsgate_hook_unregister(struct nsgate_target *target, struct net *net)
{
	nf_unregister_net_hooks(net, target->ops, ARRAY_SIZE(target->ops));
	unregister_netdevice_notifier_net(net, &target->notifier);
}

void nsgate_hook_close_devices(struct net *net)
{
	struct net_device *dev;

	rtnl_lock();
	for_each_netdev(net, dev)
		dev_close(dev);
	rtnl_unlock();
}
