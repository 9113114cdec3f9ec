// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netfilter hooks.  They are registered in the namespaces of targets only, and
 * carry their target with them: that is all the filtering there is.
 */
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/skbuff.h>
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

static unsigned int ip_hook(void *priv, struct sk_buff *skb,
			    const struct nf_hook_state *state)
{
	const struct nsgate_target *target = priv;
	enum nsgate_family family = NSGATE_IPV4;
	u8 protocol;

	if (state->pf == NFPROTO_IPV4) {
		protocol = header_byte(skb, offsetof(struct iphdr, protocol));
	} else {
		family = NSGATE_IPV6;
		protocol = ipv6_protocol(skb);
	}
	nsgate_meter_add(target->meter, state->hook, family, protocol,
			 skb->len);
	return NF_ACCEPT;
}

/* The first priority, so that nothing is changed or dropped before us. */
#define IP_HOOK(family, num) {			\
	.hook = ip_hook,			\
	.pf = (family),				\
	.hooknum = (num),			\
	.priority = NF_IP_PRI_FIRST,		\
}

static const struct nf_hook_ops hook_ops[] = {
	IP_HOOK(NFPROTO_IPV4, NF_INET_PRE_ROUTING),
	IP_HOOK(NFPROTO_IPV4, NF_INET_LOCAL_IN),
	IP_HOOK(NFPROTO_IPV4, NF_INET_FORWARD),
	IP_HOOK(NFPROTO_IPV4, NF_INET_LOCAL_OUT),
	IP_HOOK(NFPROTO_IPV4, NF_INET_POST_ROUTING),
	IP_HOOK(NFPROTO_IPV6, NF_INET_PRE_ROUTING),
	IP_HOOK(NFPROTO_IPV6, NF_INET_LOCAL_IN),
	IP_HOOK(NFPROTO_IPV6, NF_INET_FORWARD),
	IP_HOOK(NFPROTO_IPV6, NF_INET_LOCAL_OUT),
	IP_HOOK(NFPROTO_IPV6, NF_INET_POST_ROUTING),
};

int nsgate_hook_register(struct nsgate_target *target, struct net *net)
{
	int i;

	static_assert(sizeof(hook_ops) == sizeof(target->ops));
	memcpy(target->ops, hook_ops, sizeof(hook_ops));
	for (i = 0; i < ARRAY_SIZE(target->ops); i++)
		target->ops[i].priv = target;
	return nf_register_net_hooks(net, target->ops, ARRAY_SIZE(target->ops));
}

void nsgate_hook_unregister(struct nsgate_target *target, struct net *net)
{
	nf_unregister_net_hooks(net, target->ops, ARRAY_SIZE(target->ops));
}
