// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netfilter hooks.  They are registered in the namespaces of targets only, and
 * carry their target with them: that is all the filtering there is.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hashtable.h>
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
#include <net/ndisc.h>
#include <net/rtnetlink.h>
#include <net/sch_generic.h>

#include "compat/hook_order.h"
#include "nsgate.h"

/* Stands for a transport protocol that the packet is too short to tell. */
#define PROTOCOL_UNKNOWN IPPROTO_RAW

/* More VLAN tags than this are no traffic that anybody means. */
#define VLAN_TAGS_MAX 8

static bool read_byte(const struct sk_buff *skb, int offset, u8 *byte)
{
	const u8 *found;

	found = skb_header_pointer(skb, offset, sizeof(*byte), byte);
	if (!found)
		return false;
	*byte = *found;
	return true;
}

/* Finds what a later fragment belongs to as well. */
static noinline u8 find_protocol(const struct sk_buff *skb, bool ipv6)
{
	unsigned int offset = 0;
	unsigned short fragoff;
	int found;
	u8 protocol;

	if (!ipv6)
		return read_byte(skb, offsetof(struct iphdr, protocol),
				 &protocol) ? protocol : PROTOCOL_UNKNOWN;
	found = ipv6_find_hdr(skb, &offset, -1, &fragoff, NULL);
	return found < 0 ? PROTOCOL_UNKNOWN : found;
}

/*
 * The protocol of most packets, or -1 if it takes more to find it.  Netfilter has
 * the header of IP at hand, but what raw sockets of older kernels send may have none.
 */
static __always_inline int simple_protocol(const struct sk_buff *skb, bool ipv6,
					   unsigned int hook)
{
	int nexthdr;

	if (hook == NF_INET_LOCAL_OUT &&
	    unlikely(skb_headlen(skb) < sizeof(struct iphdr)))
		return -1;
	if (!ipv6)
		return skb->data[offsetof(struct iphdr, protocol)];
	nexthdr = skb->data[offsetof(struct ipv6hdr, nexthdr)];
	return nexthdr == IPPROTO_TCP || nexthdr == IPPROTO_UDP ? nexthdr : -1;
}

#define FROM_OTHER(proto) (((proto) - NSGATE_OTHER) * (int)sizeof(struct nsgate_count))

/* How far its counter is from that of NSGATE_OTHER, in bytes. */
static const s16 proto_distance[U8_MAX + 1] = {
	[IPPROTO_TCP] = FROM_OTHER(NSGATE_TCP),
	[IPPROTO_UDP] = FROM_OTHER(NSGATE_UDP),
	[IPPROTO_ICMP] = FROM_OTHER(NSGATE_ICMP),
	[IPPROTO_ICMPV6] = FROM_OTHER(NSGATE_ICMP),
	[IPPROTO_SCTP] = FROM_OTHER(NSGATE_SCTP),
	[IPPROTO_ESP] = FROM_OTHER(NSGATE_ESP),
};

static enum nsgate_proto classify(u8 protocol)
{
	return proto_distance[protocol] / (int)sizeof(struct nsgate_count) +
	       NSGATE_OTHER;
}

/* As classify(), but without a multiplication. */
static __always_inline void count_ip(struct nsgate_meter __percpu *meter,
				     enum nsgate_point point, u8 protocol,
				     unsigned int len)
{
	struct nsgate_count __percpu *other;

	other = &meter->seen[point][NSGATE_OTHER];
	nsgate_meter_count(meter,
			   (void __percpu *)other + proto_distance[protocol],
			   len);
}

/* ---- the gate, where packets are ---- */

/*
 * Where packets are judged.  What enters is judged at ingress of its device, and
 * what leaves at egress of its own: by these everything has to go that netfilter
 * sees at all, and no program of the namespace can take a packet past them, as
 * NFQUEUE can at the points of IP.  What comes to IP in another way, because tc
 * led it past ingress or because IPsec has just decrypted it, is judged at
 * prerouting, or else at input.  Output is for the sender, who so gets an error.
 * Where the kernel has no egress, postrouting has to do.
 */
static __always_inline bool is_judged(unsigned int hook)
{
	switch (hook) {
	case NF_INET_PRE_ROUTING:
	case NF_INET_LOCAL_IN:
	case NF_INET_LOCAL_OUT:
		return true;
	case NF_INET_POST_ROUTING:
		return !IS_ENABLED(CONFIG_NETFILTER_EGRESS);
	default:
		return false;
	}
}

static bool is_inwards(unsigned int hook)
{
	return hook == NF_INET_PRE_ROUTING || hook == NF_INET_LOCAL_IN;
}

static bool is_ip(enum nsgate_frame frame)
{
	return frame == NSGATE_FRAME_IPV4 || frame == NSGATE_FRAME_IPV6;
}

/*
 * A packet that was judged carries a stamp on its way to IP, in the end of
 * skb->cb, which no layer keeps anything in from ingress to prerouting, nor from
 * there to input.  Whoever does all the same costs us no more than to judge once
 * again.  The stamp is valid for one policy and for the place where the packet's
 * network header is: what a tunnel, a routing header or IPsec makes of the
 * packet, has its own elsewhere and has no stamp.
 */
static unsigned long *stamp_of(struct sk_buff *skb)
{
	return (unsigned long *)(skb->cb + sizeof(skb->cb)) - 1;
}

static unsigned long make_stamp(const struct nsgate_policy *policy,
				const struct sk_buff *skb, int offset)
{
	return policy->seal ^ (unsigned long)(skb->data + offset) << 2;
}

/* @judgement: what is still to be counted */
static void put_stamp(const struct nsgate_policy *policy, struct sk_buff *skb,
		      int offset, unsigned int judgement)
{
	*stamp_of(skb) = make_stamp(policy, skb, offset) ^ judgement;
}

/* Takes it off: it holds for one point. */
static bool take_stamp(const struct nsgate_policy *policy, struct sk_buff *skb,
		       unsigned int *judgement)
{
	unsigned long rest = *stamp_of(skb) ^ make_stamp(policy, skb, 0);

	BUILD_BUG_ON((NSGATE_IS_EXCEPTED | NSGATE_TO_DROP) >= BIT(2));
	if (rest >= BIT(2))
		return false;
	*stamp_of(skb) = 0;
	*judgement = rest;
	return true;
}

static void count_judgement(const struct nsgate_target *target,
			    unsigned int judgement, unsigned int len)
{
	if (judgement & NSGATE_IS_EXCEPTED)
		nsgate_meter_judge(target->meter, NSGATE_EXCEPTED, len);
	if (judgement & NSGATE_TO_DROP)
		nsgate_meter_judge(target->meter, NSGATE_DROPPED, len);
}

/* @class: what it was counted as there; all that is dropped comes by here */
static unsigned int drop_packet(const struct nsgate_target *target,
				const struct sk_buff *skb,
				enum nsgate_point point, long class)
{
	nsgate_meter_drop(target->meter, point, class, skb->len);
	return NF_DROP;
}

/*
 * What a limit drops on its way out is lost as it would be on a wire.  A sender
 * that is told of it takes it for a full queue of this machine: TCP keeps the packet
 * for later, and if it has nothing else under way, tries again after 200 ms at
 * the earliest, by when most bursts have long been full.
 */
static unsigned int lose_packet(const struct nsgate_target *target,
				struct sk_buff *skb, enum nsgate_point point,
				long class)
{
	unsigned int verdict = drop_packet(target, skb, point, class);

	if (point != NSGATE_OUT)
		return verdict;
	kfree_skb(skb);
	return NF_STOLEN;
}

/* @by: gate or limit */
static noinline void log_packet(const struct nsgate_target *target,
				const struct nsgate_policy *policy,
				struct sk_buff *skb,
				const struct nf_hook_state *state,
				enum nsgate_frame frame, int offset,
				const char *by)
{
	char prefix[sizeof("nsgate 4294967295 limit")];

	snprintf(prefix, sizeof(prefix), "nsgate %u %s", target->inode, by);
	if (!nsgate_log_packet(target->log, policy->log_group, prefix, skb,
			       state, frame, offset))
		nsgate_meter_judge(target->meter, NSGATE_UNLOGGED, skb->len);
}

/*
 * The policy in force; NULL lets all pass.  A target that was released has none any
 * more, also where its hooks are still to be taken out.
 */
static const struct nsgate_policy *
policy_of(const struct nsgate_target *target)
{
	if (unlikely(READ_ONCE(target->passes_all)))
		return NULL;
	return rcu_dereference(target->gate->policy);
}

/* The limit in force, likewise. */
static struct nsgate_limit_rules *rules_of(const struct nsgate_target *target)
{
	if (unlikely(READ_ONCE(target->passes_all)))
		return NULL;
	return rcu_dereference(target->limit->rules);
}

/* What is dropped, or would be in a dry run, and counts as that. */
static bool is_logged(const struct nsgate_policy *policy,
		      unsigned int judgement, bool counts)
{
	return policy->log && (judgement & NSGATE_TO_DROP) &&
	       (counts || !policy->dry);
}

/* ---- the limit, at the edges ---- */

static bool has_policy(const struct nsgate_target *target)
{
	/* Only compared with NULL, in memory; what uses it is policy_of(). */
	return data_race(target->gate->policy);
}

static bool has_rules(const struct nsgate_target *target)
{
	/* Likewise; what uses it is rules_of(). */
	return data_race(target->limit->rules);
}

/* Whether there is either, told by one comparison. */
static bool is_policed(const struct nsgate_target *target)
{
	/* Only compared with NULL, as in has_policy() and has_rules(). */
	return data_race((__force unsigned long)target->gate->policy |
			 (__force unsigned long)target->limit->rules);
}

static bool is_outwards(enum nsgate_point point)
{
	return point == NSGATE_OUT || point == NSGATE_EGRESS;
}

static bool is_edge_point(enum nsgate_point point)
{
	return point == NSGATE_IN || point == NSGATE_IN_BARE ||
	       point == NSGATE_OUT;
}

/*
 * Whether all that is to be done is to charge a packet of an edge, and the CPU has
 * done so by what it holds.
 */
static __always_inline bool is_free(const struct nsgate_target *target,
				    const struct sk_buff *skb,
				    enum nsgate_point point,
				    enum nsgate_direction direction)
{
	struct nsgate_limit_rules *rules;

	if (!is_edge_point(point))
		return false;
	rules = rules_of(target);
	return rules && nsgate_limit_take(rules, direction,
					  skb->len + nsgate_meter_header(point));
}

/* What a limit spares of: without these, no link works. */
#define VITAL_LEN_MAX 128 /* bytes, from the network header on */

static bool is_neighbour_discovery(const struct sk_buff *skb, int offset)
{
	u8 nexthdr, hop_limit, type, code;

	return read_byte(skb, offset + offsetof(struct ipv6hdr, nexthdr),
			 &nexthdr) &&
	       read_byte(skb, offset + offsetof(struct ipv6hdr, hop_limit),
			 &hop_limit) &&
	       read_byte(skb, offset + sizeof(struct ipv6hdr), &type) &&
	       read_byte(skb, offset + sizeof(struct ipv6hdr) + 1, &code) &&
	       nexthdr == IPPROTO_ICMPV6 && hop_limit == 255 && !code &&
	       type >= NDISC_ROUTER_SOLICITATION && type <= NDISC_REDIRECT;
}

static bool is_vital(const struct sk_buff *skb, int offset,
		     enum nsgate_frame frame)
{
	if (offset < 0 || skb->len > offset + VITAL_LEN_MAX)
		return false;
	return frame == NSGATE_FRAME_ARP ||
	       (frame == NSGATE_FRAME_IPV6 &&
		is_neighbour_discovery(skb, offset));
}

/*
 * Charges a packet that the gate lets pass, and tells whether it is to be dropped.
 * What the gate would drop, if this weren't a dry run, is logged for that.
 */
static bool is_over_limit(const struct nsgate_target *target,
			  struct sk_buff *skb,
			  const struct nf_hook_state *state,
			  enum nsgate_point point, enum nsgate_frame frame,
			  int offset, unsigned int judgement)
{
	const struct nsgate_policy *policy;
	enum nsgate_direction direction = point == NSGATE_OUT ? NSGATE_OUTWARDS :
								NSGATE_INWARDS;
	unsigned int len = skb->len + nsgate_meter_header(point);
	struct nsgate_limit_rules *rules;

	rules = rules_of(target);
	if (!rules || nsgate_limit_charge(rules, direction, len))
		return false;
	if (is_vital(skb, offset, frame) &&
	    nsgate_limit_spare(rules, direction, len))
		return false;
	policy = policy_of(target);
	if (policy && policy->log && !(judgement & NSGATE_TO_DROP))
		log_packet(target, policy, skb, state, frame, offset, "limit");
	return nsgate_limit_refuse(rules, direction, len);
}

/* What the gate excepts from dropping, no limit does anything to. */
static bool is_beyond_limits(unsigned int judgement)
{
	return judgement == NSGATE_IS_EXCEPTED;
}

/*
 * Carries out what was judged.  A packet counts once: where it is dropped, or
 * where @counts is set.
 */
static bool is_dropped(const struct nsgate_target *target,
		       const struct nsgate_policy *policy,
		       const struct sk_buff *skb, unsigned int judgement,
		       bool counts)
{
	bool drop = (judgement & NSGATE_TO_DROP) && !policy->dry;

	if (unlikely(judgement && (drop || counts)))
		count_judgement(target, judgement, skb->len);
	return drop;
}

/* ---- the points of IP ---- */

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
static bool was_at_prerouting(const struct sk_buff *skb,
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

static bool was_at_prerouting(const struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	return false;
}
#endif

static unsigned int drop_ip(const struct nsgate_target *target,
			    const struct sk_buff *skb,
			    const struct nf_hook_state *state)
{
	bool ipv6 = state->pf == NFPROTO_IPV6;

	return drop_packet(target, skb, NSGATE_IP_POINT(state->hook, ipv6),
			   classify(find_protocol(skb, ipv6)));
}

static enum nsgate_frame ip_frame(const struct nf_hook_state *state)
{
	return state->pf == NFPROTO_IPV6 ? NSGATE_FRAME_IPV6 :
					   NSGATE_FRAME_IPV4;
}

/* NFQUEUE and output come here in a task, which may be moved to another CPU. */
static unsigned int judge_ip(const struct nsgate_policy *policy,
			     struct sk_buff *skb,
			     const struct nf_hook_state *state)
{
	unsigned int judgement;

	migrate_disable();
	judgement = nsgate_gate_judge(policy, skb, 0, ip_frame(state),
				      !is_inwards(state->hook));
	migrate_enable();
	return judgement;
}

/* The bridge has things of its own there until it is done. */
static void pass_on_stamp(const struct nsgate_policy *policy,
			  struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	if (state->hook == NF_INET_PRE_ROUTING && !is_bridged(skb))
		put_stamp(policy, skb, 0, 0);
}

/* What comes from loopback has been at output. */
static bool is_counted_in(const struct nf_hook_state *state)
{
	return !(state->in->flags & IFF_LOOPBACK);
}

static noinline unsigned int enforce_in(const struct nsgate_target *target,
					const struct nsgate_policy *policy,
					struct sk_buff *skb,
					const struct nf_hook_state *state,
					unsigned int judgement, bool counts)
{
	if (is_logged(policy, judgement, counts))
		log_packet(target, policy, skb, state, ip_frame(state), 0,
			   "gate");
	if (is_dropped(target, policy, skb, judgement, counts))
		return drop_ip(target, skb, state);
	pass_on_stamp(policy, skb, state);
	return NF_ACCEPT;
}

static noinline unsigned int judge_in(const struct nsgate_target *target,
				      const struct nsgate_policy *policy,
				      struct sk_buff *skb,
				      const struct nf_hook_state *state,
				      bool counts)
{
	return enforce_in(target, policy, skb, state,
			  judge_ip(policy, skb, state),
			  counts && is_counted_in(state));
}

/* Most have a stamp that lets them pass. */
static unsigned int finish_in(const struct nsgate_target *target,
			      const struct nsgate_policy *policy,
			      struct sk_buff *skb,
			      const struct nf_hook_state *state, bool counts)
{
	unsigned int judgement;

	if (!take_stamp(policy, skb, &judgement))
		return judge_in(target, policy, skb, state, counts);
	counts = counts && is_counted_in(state);
	if (unlikely(judgement & NSGATE_TO_DROP))
		return enforce_in(target, policy, skb, state, judgement,
				  counts);
	if (judgement && counts)
		nsgate_meter_count(target->meter,
				   &target->meter->judged[NSGATE_EXCEPTED],
				   skb->len);
	pass_on_stamp(policy, skb, state);
	return NF_ACCEPT;
}

static noinline unsigned int judge_out(const struct nsgate_target *target,
				       const struct nsgate_policy *policy,
				       struct sk_buff *skb,
				       const struct nf_hook_state *state)
{
	bool counts = state->hook == NF_INET_LOCAL_OUT;
	unsigned int judgement;

	if (policy->dry && !counts)
		return NF_ACCEPT;
	judgement = judge_ip(policy, skb, state);
	if (is_logged(policy, judgement, counts))
		log_packet(target, policy, skb, state, ip_frame(state), 0,
			   "gate");
	if (is_dropped(target, policy, skb, judgement, counts))
		return drop_ip(target, skb, state);
	return NF_ACCEPT;
}

/*
 * Where the kernel has no hook at devices, points of IP stand in for the edges:
 * flows and @in are taken at prerouting; flows at output, for the socket is known
 * there, and @out at postrouting, where all is seen that is sent.
 */
static __always_inline bool takes_flow(const struct nsgate_target *target,
				       unsigned int hook)
{
	if (hook == NF_INET_PRE_ROUTING)
		return !IS_ENABLED(CONFIG_NETFILTER_INGRESS) && target->flow;
	return hook == NF_INET_LOCAL_OUT &&
	       !IS_ENABLED(CONFIG_NETFILTER_EGRESS) && target->flow;
}

static __always_inline bool stands_for_edge(unsigned int hook)
{
	if (hook == NF_INET_PRE_ROUTING)
		return !IS_ENABLED(CONFIG_NETFILTER_INGRESS);
	return hook == NF_INET_POST_ROUTING &&
	       !IS_ENABLED(CONFIG_NETFILTER_EGRESS);
}

/* Loopback is no edge, and what passes a VRF passes it besides its device. */
static bool is_by_edge(const struct nf_hook_state *state, unsigned int hook)
{
	const struct net_device *dev = is_inwards(hook) ? state->in :
							  state->out;

	return !(dev->flags & IFF_LOOPBACK) && !netif_is_l3_master(dev);
}

static enum nsgate_point edge_point(const struct nf_hook_state *state)
{
	return is_inwards(state->hook) ? NSGATE_IN_BARE : NSGATE_OUT;
}

/* What is left to do for a packet that is counted. */
static noinline unsigned int finish_ip(const struct nsgate_target *target,
				       struct sk_buff *skb,
				       const struct nf_hook_state *state)
{
	const struct nsgate_policy *policy;

	if (takes_flow(target, state->hook) && is_by_edge(state, state->hook))
		nsgate_flow_touch(target->flow, skb, 0,
				  state->pf == NFPROTO_IPV6);
	policy = policy_of(target);
	if (!policy || !is_judged(state->hook))
		return NF_ACCEPT;
	if (is_inwards(state->hook))
		return finish_in(target, policy, skb, state, true);
	return judge_out(target, policy, skb, state);
}

/* As finish_ip(), and the limit, at a point that stands for an edge. */
static noinline unsigned int police_edge(const struct nsgate_target *target,
					 struct sk_buff *skb,
					 const struct nf_hook_state *state)
{
	enum nsgate_frame frame = ip_frame(state);
	enum nsgate_point point = edge_point(state);
	unsigned int verdict, judgement = 0;
	const struct nsgate_policy *policy;

	verdict = finish_ip(target, skb, state);
	if (verdict != NF_ACCEPT)
		return drop_packet(target, skb, point, frame);
	policy = policy_of(target);
	if (policy && rules_of(target))
		judgement = judge_ip(policy, skb, state);
	if (is_beyond_limits(judgement) ||
	    !is_over_limit(target, skb, state, point, frame, 0, judgement))
		return NF_ACCEPT;
	drop_ip(target, skb, state);
	return lose_packet(target, skb, point, frame);
}

/* What is left to do for a packet that is counted, where that stands for an edge. */
static __always_inline unsigned int
finish_edge(const struct nsgate_target *target, struct sk_buff *skb,
	    const struct nf_hook_state *state, bool ipv6, unsigned int hook,
	    struct nsgate_meter __percpu *meter, unsigned int len)
{
	bool out = !is_inwards(hook);

	if (unlikely(!is_by_edge(state, hook)))
		return finish_ip(target, skb, state);
	nsgate_meter_add(meter, out ? NSGATE_OUT : NSGATE_IN_BARE,
			 ipv6 ? NSGATE_FRAME_IPV6 : NSGATE_FRAME_IPV4, len);
	if (takes_flow(target, hook) || unlikely(is_policed(target)))
		return police_edge(target, skb, state);
	return NF_ACCEPT;
}

static noinline unsigned int ip_slow(const struct nsgate_target *target,
				     struct sk_buff *skb,
				     const struct nf_hook_state *state)
{
	bool ipv6 = state->pf == NFPROTO_IPV6;

	count_ip(target->meter, NSGATE_IP_POINT(state->hook, ipv6),
		 find_protocol(skb, ipv6), skb->len);
	if (stands_for_edge(state->hook))
		return finish_edge(target, skb, state, ipv6, state->hook,
				   target->meter, skb->len);
	return finish_ip(target, skb, state);
}

/*
 * What was here doesn't count again.  But were it not judged, root of the
 * namespace might find a way to have something come here for the first time
 * like that.
 */
static noinline unsigned int bridged_slow(const struct nsgate_target *target,
					  struct sk_buff *skb,
					  const struct nf_hook_state *state)
{
	const struct nsgate_policy *policy;

	if (!was_at_prerouting(skb, state))
		return ip_slow(target, skb, state);
	policy = policy_of(target);
	if (!policy)
		return NF_ACCEPT;
	return finish_in(target, policy, skb, state, false);
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
	/* Read once: the compiler can't know that counting changes neither. */
	struct nsgate_meter __percpu *meter = target->meter;
	unsigned int len = skb->len;
	int protocol;

	if (hook == NF_INET_PRE_ROUTING && unlikely(is_bridged(skb)))
		return bridged_slow(target, skb, state);
	protocol = simple_protocol(skb, ipv6, hook);
	if (unlikely(protocol < 0))
		return ip_slow(target, skb, state);
	count_ip(meter, NSGATE_IP_POINT(hook, ipv6), protocol, len);
	if (stands_for_edge(hook))
		return finish_edge(target, skb, state, ipv6, hook, meter, len);
	if (takes_flow(target, hook) ||
	    (is_judged(hook) && unlikely(has_policy(target))))
		return finish_ip(target, skb, state);
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

/* ---- devices ---- */

#define PKT_TYPES 8

/**
 * struct nsgate_side - what a frame meets at a device
 * @row: what counts it, by enum nsgate_frame
 * @point: where it is counted
 * @has_flows: whether it is of one of the target's flows
 */
struct nsgate_side {
	struct nsgate_count __percpu *row;
	u8 point;
	bool has_flows;
};

/**
 * struct nsgate_device - a device of a target
 * @target: the target
 * @in: for frames that come in, by skb->pkt_type
 * @out: for frames that are sent
 * @list: entry in the target's devices, or in those that a walk has before it;
 *	RTNL
 * @hash: entry in devices_by_address, RTNL
 * @dev: the device
 * @ifindex: its index when it came
 * @hooked: whether @hooks are registered, RTNL
 * @rcu: nf_tables' listing of hooks reads @hooks under RCU; packets read the rest
 * @hooks: its hooks, whose priv is this device
 *
 * The packet path reads what stands first.  That changes when the device becomes
 * an edge or ceases to be one, under RTNL.
 */
struct nsgate_device {
	struct nsgate_target *target;
	struct nsgate_side in[PKT_TYPES];
	struct nsgate_side out;

	struct list_head list;
	struct hlist_node hash;
	struct net_device *dev;
	int ifindex;
	bool hooked;
	struct rcu_head rcu;
	struct nsgate_hook hooks[IS_ENABLED(CONFIG_NETFILTER_INGRESS) +
				 IS_ENABLED(CONFIG_NETFILTER_EGRESS)];
};

static bool has_flows(const struct nsgate_side *side)
{
	/*
	 * It changes for the packets to come, and is read where it is.  Before
	 * gcc 11, data_race() takes nothing that is const.
	 */
	return data_race((bool)side->has_flows);
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

static bool has_link_header(const struct net_device *dev)
{
	return dev->header_ops && dev->header_ops->create;
}

/* The type alone says nothing: a tun device takes any that it is told. */
static bool has_ethernet_header(const struct net_device *dev)
{
	return (dev->type == ARPHRD_ETHER || dev->type == ARPHRD_LOOPBACK) &&
	       dev->hard_header_len >= ETH_HLEN;
}

/*
 * What a frame is that is sent by a device that isn't like Ethernet.  Some of
 * these send what skb->protocol says along with the packet or believe it, others
 * send the bytes as they are: where the two don't agree nobody can tell what it
 * will be to the receiver, and @offset is made negative.
 */
static enum nsgate_frame classify_bare_frame(const struct sk_buff *skb,
					     const struct net_device *dev,
					     int *offset)
{
	enum nsgate_frame said = classify_frame(skb->protocol);
	enum nsgate_frame found = NSGATE_FRAME_OTHER;
	u8 version;

	*offset = has_link_header(dev) ? dev->hard_header_len : 0;
	if (!read_byte(skb, *offset, &version))
		return NSGATE_FRAME_OTHER;
	if (version >> 4 == 4)
		found = NSGATE_FRAME_IPV4;
	else if (version >> 4 == 6)
		found = NSGATE_FRAME_IPV6;
	else if (said == NSGATE_FRAME_ARP && has_link_header(dev))
		found = NSGATE_FRAME_ARP;
	if (found != said)
		*offset = -1;
	return found;
}

/*
 * What a frame is that is sent, and where its network header begins: as the
 * device will make of its bytes, whoever made the frame.  Its sender may be a
 * packet socket or a rule of nft, which say what they like in skb->protocol and
 * let skb->network_header be anywhere.
 */
static noinline enum nsgate_frame
classify_sent(const struct sk_buff *skb, const struct net_device *dev,
	      int *offset)
{
	const struct ethhdr *eth;
	struct ethhdr buf;

	if (!has_ethernet_header(dev))
		return classify_bare_frame(skb, dev, offset);
	*offset = ETH_HLEN;
	eth = skb_header_pointer(skb, 0, sizeof(buf), &buf);
	if (!eth)
		return NSGATE_FRAME_OTHER;
	return classify_frame(skip_vlan_tags(skb, eth->h_proto, offset));
}

/* What came in begins with what IP will take it for. */
static noinline enum nsgate_frame classify_received(const struct sk_buff *skb,
						    int *offset)
{
	*offset = 0;
	return classify_frame(skip_vlan_tags(skb, skb->protocol, offset));
}

static bool is_from_packet_socket(const struct sk_buff *skb)
{
	return skb->sk && skb->sk->sk_family == AF_PACKET;
}

/*
 * Whether a frame that may pass is counted here for the gate: what came in by
 * another device was counted there, and IP at output, but for packet sockets.
 */
static bool is_counted_at_egress(const struct sk_buff *skb, long frame)
{
	return !skb->skb_iif && (!is_ip(frame) || is_from_packet_socket(skb));
}

/* What isn't IP is seen by devices only; IP is counted where it gets to IP. */
static bool is_counted_at_device(const struct sk_buff *skb, long frame, bool out)
{
	return out ? is_counted_at_egress(skb, frame) : !is_ip(frame);
}

static bool is_inwards_ip(enum nsgate_point point, long frame)
{
	return !is_outwards(point) && is_ip(frame);
}

/*
 * What a dry run of the gate would drop, and a limit drops before it gets to IP, where
 * such packets count.
 */
static void note_dry_drop(const struct nsgate_target *target,
			  const struct nsgate_policy *policy,
			  struct sk_buff *skb,
			  const struct nf_hook_state *state, long frame,
			  int offset, unsigned int judgement)
{
	if (is_logged(policy, judgement, true))
		log_packet(target, policy, skb, state, frame, offset, "gate");
	count_judgement(target, judgement, skb->len);
}

/*
 * What the gate doesn't just let pass: carries out what was judged, and then charges
 * the packet.
 */
static noinline unsigned int enforce(const struct nsgate_target *target,
				     const struct nsgate_policy *policy,
				     struct sk_buff *skb,
				     const struct nf_hook_state *state,
				     enum nsgate_point point, long frame,
				     int offset, unsigned int judgement)
{
	bool out = is_outwards(point);
	bool counts;

	if (policy) {
		counts = is_counted_at_device(skb, frame, out);
		if (is_logged(policy, judgement, counts))
			log_packet(target, policy, skb, state, frame, offset,
				   "gate");
		if (is_dropped(target, policy, skb, judgement, counts))
			return drop_packet(target, skb, point, frame);
		if (is_inwards_ip(point, frame) && !policy->dry)
			put_stamp(policy, skb, offset, judgement);
	}
	if (!is_edge_point(point) || is_beyond_limits(judgement) ||
	    !is_over_limit(target, skb, state, point, frame, offset, judgement))
		return NF_ACCEPT;
	if (judgement && is_inwards_ip(point, frame))
		note_dry_drop(target, policy, skb, state, frame, offset,
			      judgement);
	return lose_packet(target, skb, point, frame);
}

/* First the gate, then the limit. */
static noinline unsigned int police_frame(const struct nsgate_target *target,
					  struct sk_buff *skb,
					  const struct nf_hook_state *state,
					  enum nsgate_point point, long frame,
					  int offset)
{
	const struct nsgate_policy *policy = policy_of(target);
	unsigned int judgement = 0;

	if (policy) {
		migrate_disable();
		judgement = nsgate_gate_judge(policy, skb, offset, frame,
					      is_outwards(point));
		migrate_enable();
	}
	return enforce(target, policy, skb, state, point, frame, offset,
		       judgement);
}

/*
 * Whether all is done for a packet of IP once it was judged, but that it may count:
 * it passes, and no limit has to do with it.
 */
static __always_inline bool is_done(const struct nsgate_target *target,
				    const struct nsgate_policy *policy,
				    unsigned int judgement)
{
	return !(judgement & NSGATE_TO_DROP) && !policy->dry &&
	       (is_beyond_limits(judgement) ||
		!has_rules(target));
}

/* Where the network header of most frames is. */
static __always_inline int simple_offset(bool out)
{
	return out ? ETH_HLEN : 0;
}

/* A frame of IP that meets a policy, and whose network header is there. */
static __always_inline unsigned int
judge_frame(const struct nsgate_target *target, struct sk_buff *skb,
	    const struct nf_hook_state *state, const struct nsgate_side *side,
	    long frame, bool out)
{
	const struct nsgate_policy *policy = policy_of(target);
	int offset = simple_offset(out);
	unsigned int judgement = 0;

	/* A packet socket that bypasses queues sends in a task, which may move. */
	if (out && unlikely(!in_softirq()))
		return police_frame(target, skb, state, READ_ONCE(side->point),
				    frame, offset);
	if (likely(policy)) {
		judgement = nsgate_gate_judge_simple(policy, skb, offset, frame,
						     out);
		if (likely(is_done(target, policy, judgement))) {
			if (!out)
				put_stamp(policy, skb, offset, judgement);
			else if (judgement && is_counted_at_egress(skb, frame))
				count_judgement(target, judgement, skb->len);
			return NF_ACCEPT;
		}
	}
	return enforce(target, policy, skb, state, READ_ONCE(side->point),
		       frame, offset, judgement);
}

static noinline unsigned int judge_ingress(const struct nsgate_target *target,
					   struct sk_buff *skb,
					   const struct nf_hook_state *state,
					   const struct nsgate_side *side,
					   long frame)
{
	return judge_frame(target, skb, state, side, frame, false);
}

static noinline unsigned int judge_egress(const struct nsgate_target *target,
					  struct sk_buff *skb,
					  const struct nf_hook_state *state,
					  const struct nsgate_side *side,
					  long frame)
{
	return judge_frame(target, skb, state, side, frame, true);
}

/* Likewise one that meets a limit only. */
static __always_inline unsigned int
charge_frame(const struct nsgate_target *target, struct sk_buff *skb,
	     const struct nf_hook_state *state, const struct nsgate_side *side,
	     long frame, bool out)
{
	enum nsgate_point point = READ_ONCE(side->point);

	if (is_free(target, skb, point,
		    out ? NSGATE_OUTWARDS : NSGATE_INWARDS))
		return NF_ACCEPT;
	return police_frame(target, skb, state, point, frame,
			    simple_offset(out));
}

static noinline unsigned int charge_ingress(const struct nsgate_target *target,
					    struct sk_buff *skb,
					    const struct nf_hook_state *state,
					    const struct nsgate_side *side,
					    long frame)
{
	return charge_frame(target, skb, state, side, frame, false);
}

static noinline unsigned int charge_egress(const struct nsgate_target *target,
					   struct sk_buff *skb,
					   const struct nf_hook_state *state,
					   const struct nsgate_side *side,
					   long frame)
{
	return charge_frame(target, skb, state, side, frame, true);
}

static __always_inline unsigned int
police_simple(const struct nsgate_target *target, struct sk_buff *skb,
	      const struct nf_hook_state *state, const struct nsgate_side *side,
	      long frame, bool out)
{
	if (unlikely(has_policy(target)))
		return out ? judge_egress(target, skb, state, side, frame) :
			     judge_ingress(target, skb, state, side, frame);
	if (unlikely(has_rules(target)))
		return out ? charge_egress(target, skb, state, side, frame) :
			     charge_ingress(target, skb, state, side, frame);
	return NF_ACCEPT;
}

/*
 * What leaves by an edge is a flow there, unless it came in by one.  A packet that
 * came in by any other device of this namespace came in by an edge before that.
 */
static bool came_in(const struct nsgate_target *target,
		    const struct sk_buff *skb, struct net *net)
{
	unsigned int index = skb->skb_iif;

	if (!index || index == LOOPBACK_IFINDEX)
		return false;
	if (likely(index < NSGATE_LOW_INDICES))
		return test_bit(index, target->low_indices);
	return dev_get_by_index_rcu(net, index);
}

/* The same, where it is found out at once. */
static __always_inline bool
clearly_came_in(const struct nsgate_target *target, const struct sk_buff *skb)
{
	unsigned int index = skb->skb_iif;

	return index > LOOPBACK_IFINDEX && index < NSGATE_LOW_INDICES &&
	       test_bit(index, target->low_indices);
}

static noinline unsigned int ingress_slow(const struct nsgate_target *target,
					  struct sk_buff *skb,
					  const struct nf_hook_state *state,
					  const struct nsgate_side *side)
{
	enum nsgate_point point = READ_ONCE(side->point);
	int offset;
	long frame = classify_received(skb, &offset);

	nsgate_meter_add(target->meter, point, frame, skb->len);
	if (has_flows(side) && is_ip(frame))
		nsgate_flow_touch(target->flow, skb, offset,
				  frame == NSGATE_FRAME_IPV6);
	return police_frame(target, skb, state, point, frame, offset);
}

static noinline unsigned int egress_slow(const struct nsgate_target *target,
					 struct sk_buff *skb,
					 const struct nf_hook_state *state,
					 const struct nsgate_side *side)
{
	enum nsgate_point point = READ_ONCE(side->point);
	int offset;
	long frame = classify_sent(skb, state->out, &offset);

	nsgate_meter_add(target->meter, point, frame, skb->len);
	if (has_flows(side) && is_ip(frame) && offset >= 0 &&
	    !came_in(target, skb, state->net))
		nsgate_flow_touch(target->flow, skb, offset,
				  frame == NSGATE_FRAME_IPV6);
	return police_frame(target, skb, state, point, frame, offset);
}

/* By themselves, so that no register is saved where there are no flows. */
static noinline unsigned int ingress_flow(const struct nsgate_target *target,
					  struct sk_buff *skb,
					  const struct nf_hook_state *state,
					  const struct nsgate_side *side,
					  long frame)
{
	nsgate_flow_touch(target->flow, skb, 0,
			  frame == NSGATE_FRAME_IPV6);
	return police_simple(target, skb, state, side, frame, false);
}

static noinline unsigned int egress_flow(const struct nsgate_target *target,
					 struct sk_buff *skb,
					 const struct nf_hook_state *state,
					 const struct nsgate_side *side,
					 long frame)
{
	if (!came_in(target, skb, state->net))
		nsgate_flow_touch(target->flow, skb, ETH_HLEN,
				  frame == NSGATE_FRAME_IPV6);
	return police_simple(target, skb, state, side, frame, true);
}

/*
 * The arguments stand where the hook got them, and @frame is known when this is
 * compiled: most packets get by without a register being moved.
 */
static __always_inline unsigned int
ingress_ip(const struct nsgate_target *target, struct sk_buff *skb,
	   const struct nf_hook_state *state, const struct nsgate_side *side,
	   long frame)
{
	nsgate_meter_count(target->meter, READ_ONCE(side->row) + frame,
			   skb->len);
	if (!has_flows(side))
		return police_simple(target, skb, state, side, frame, false);
	if (unlikely(is_policed(target)))
		return ingress_flow(target, skb, state, side, frame);
	nsgate_flow_touch(target->flow, skb, 0, frame == NSGATE_FRAME_IPV6);
	return NF_ACCEPT;
}

static __always_inline unsigned int ingress(const struct nsgate_target *target,
					    struct sk_buff *skb,
					    const struct nf_hook_state *state,
					    const struct nsgate_side *side)
{
	if (likely(skb->protocol == htons(ETH_P_IP)))
		return ingress_ip(target, skb, state, side, NSGATE_FRAME_IPV4);
	if (likely(skb->protocol == htons(ETH_P_IPV6)))
		return ingress_ip(target, skb, state, side, NSGATE_FRAME_IPV6);
	return ingress_slow(target, skb, state, side);
}

static __always_inline unsigned int
egress_ip(const struct nsgate_target *target, struct sk_buff *skb,
	  const struct nf_hook_state *state, const struct nsgate_side *side,
	  long frame)
{
	nsgate_meter_count(target->meter, READ_ONCE(side->row) + frame,
			   skb->len);
	if (has_flows(side) && !clearly_came_in(target, skb))
		return egress_flow(target, skb, state, side, frame);
	return police_simple(target, skb, state, side, frame, true);
}

static __always_inline unsigned int egress(const struct nsgate_target *target,
					   struct sk_buff *skb,
					   const struct nf_hook_state *state,
					   const struct nsgate_side *side)
{
	const struct ethhdr *eth = (const struct ethhdr *)skb->data;

	if (unlikely(!has_ethernet_header(state->out) ||
		     skb_headlen(skb) < ETH_HLEN))
		return egress_slow(target, skb, state, side);
	if (likely(eth->h_proto == htons(ETH_P_IP)))
		return egress_ip(target, skb, state, side, NSGATE_FRAME_IPV4);
	if (likely(eth->h_proto == htons(ETH_P_IPV6)))
		return egress_ip(target, skb, state, side, NSGATE_FRAME_IPV6);
	return egress_slow(target, skb, state, side);
}

static unsigned int __maybe_unused
ingress_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct nsgate_device *device = priv;
	const struct nsgate_side *side = &device->in[skb->pkt_type];

	/* Or else it is computed for each of its members. */
	OPTIMIZER_HIDE_VAR(side);
	return ingress(device->target, skb, state, side);
}

static unsigned int __maybe_unused
egress_hook(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	const struct nsgate_device *device = priv;
	const struct nsgate_side *side = &device->out;

	OPTIMIZER_HIDE_VAR(side);
	return egress(device->target, skb, state, side);
}

/* The qdiscs ingress and clsact, whether they have filters or not; or programs. */
static bool has_tc_at_ingress(const struct net_device *dev)
{
	const struct netdev_queue *queue = rcu_dereference(dev->ingress_queue);

	return nsgate_has_tcx_ingress(dev) ||
	       (queue &&
		rcu_access_pointer(queue->qdisc_sleeping) != &noop_qdisc);
}

/*
 * In either direction, for devices of one queue; what a virtual device has by
 * itself, and before it is up, takes no packet.
 */
static bool has_tc(const struct net_device *dev)
{
	const struct netdev_queue *queue = netdev_get_tx_queue(dev, 0);

	return has_tc_at_ingress(dev) || nsgate_has_tcx_egress(dev) ||
	       (rcu_access_pointer(queue->qdisc_sleeping) != &noop_qdisc &&
		rcu_dereference(queue->qdisc_sleeping)->enqueue);
}

static struct nsgate_side side_of(const struct nsgate_target *target,
				  enum nsgate_point point)
{
	return (struct nsgate_side){
		.row = target->meter->seen[point],
		.point = point,
		.has_flows = target->flow && is_edge_point(point),
	};
}

/*
 * Loopback is an edge while tc may lead packets past others by it, but not of copies
 * of own multicast.
 */
static unsigned int __maybe_unused
loopback_ingress_hook(void *priv, struct sk_buff *skb,
		      const struct nf_hook_state *state)
{
	const struct nsgate_device *device = priv;
	bool edge = has_tc(state->in) && skb->pkt_type != PACKET_LOOPBACK;
	struct nsgate_side side = side_of(device->target, edge ?
					  NSGATE_IN : NSGATE_INGRESS);

	return ingress(device->target, skb, state, &side);
}

static unsigned int __maybe_unused
loopback_egress_hook(void *priv, struct sk_buff *skb,
		     const struct nf_hook_state *state)
{
	const struct nsgate_device *device = priv;
	struct nsgate_side side = side_of(device->target, has_tc(state->out) ?
					  NSGATE_OUT : NSGATE_EGRESS);

	return egress(device->target, skb, state, &side);
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

static const struct nf_hook_ops loopback_ops[ARRAY_SIZE(device_ops)] = {
#if IS_ENABLED(CONFIG_NETFILTER_INGRESS)
	HOOK(loopback_ingress_hook, NFPROTO_NETDEV, NF_NETDEV_INGRESS),
#endif
#if IS_ENABLED(CONFIG_NETFILTER_EGRESS)
	HOOK(loopback_egress_hook, NFPROTO_NETDEV, NF_NETDEV_EGRESS),
#endif
};

static const struct nf_hook_ops *ops_of(const struct net_device *dev)
{
	return dev->flags & IFF_LOOPBACK ? loopback_ops : device_ops;
}

static unsigned int count_before_ip(const struct net *net, unsigned int *steps)
{
	unsigned int i, before = 0;

	for (i = 0; i < ARRAY_SIZE(ip_ops) && *steps <= NSGATE_STEPS_MAX; i++)
		before += nsgate_hooks_before(net, NULL, ip_ops + i, steps);
	return before;
}

static unsigned int count_before_devices(struct net *net, unsigned int *steps)
{
	struct net_device *dev;
	unsigned int before = 0;
	int i;

	for_each_netdev_rcu(net, dev) {
		if (++*steps > NSGATE_STEPS_MAX)
			break;
		for (i = 0; i < ARRAY_SIZE(device_ops); i++)
			before += nsgate_hooks_before(net, dev,
						      ops_of(dev) + i, steps);
	}
	return before;
}

static void survey_hooks(struct net *net, struct nsgate_survey *survey)
{
	unsigned int steps = 0;

	survey->preceded.count = count_before_ip(net, &steps);
	survey->preceded.count += count_before_devices(net, &steps);
	survey->preceded.is_more = steps > NSGATE_STEPS_MAX;
}

static void survey_devices(struct net *net, struct nsgate_survey *survey)
{
	struct net_device *dev;
	unsigned int steps = 0;

	for_each_netdev_rcu(net, dev) {
		if (++steps > NSGATE_STEPS_MAX) {
			survey->tc.is_more = true;
			survey->xdp.is_more = true;
			break;
		}
		survey->tc.count += dev->flags & IFF_LOOPBACK ?
				    has_tc(dev) : has_tc_at_ingress(dev);
		survey->xdp.count += nsgate_has_xdp(dev);
	}
}

static void survey_sockets(struct net *net, struct nsgate_survey *survey)
{
	const struct hlist_head *sockets = nsgate_xdp_sockets(net);
	const struct hlist_node *node;

	if (!sockets)
		return;
	for (node = rcu_dereference(hlist_first_rcu(sockets)); node;
	     node = rcu_dereference(hlist_next_rcu(node))) {
		if (survey->af_xdp.count == NSGATE_STEPS_MAX) {
			survey->af_xdp.is_more = true;
			break;
		}
		survey->af_xdp.count++;
	}
}

static void take_survey(struct nsgate_target *target,
			struct nsgate_survey *survey)
{
	static void (*const parts[])(struct net *net,
				     struct nsgate_survey *survey) = {
		survey_hooks, survey_devices, survey_sockets,
	};
	struct net *net;
	int i;

	memset(survey, 0, sizeof(*survey));
	survey->af_xdp.is_unknown = !NSGATE_KNOWS_XDP_SOCKETS;
	survey->xdp.is_unknown = !NSGATE_KNOWS_XDP;
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		rcu_read_lock();
		net = rcu_dereference(target->net);
		if (net)
			parts[i](net, survey);
		rcu_read_unlock();
		cond_resched();
	}
	survey->at = get_jiffies_64() | 1;
}

void nsgate_hook_survey(struct nsgate_target *target,
			struct nsgate_survey *found)
{
	u64 now = get_jiffies_64() | 1;
	bool is_fresh;

	spin_lock(&target->survey_lock);
	*found = target->survey;
	is_fresh = found->at && now < found->at + HZ;
	/* Others are content with the last one while this one is taken. */
	if (found->at && !is_fresh)
		target->survey.at = now;
	spin_unlock(&target->survey_lock);
	if (is_fresh)
		return;
	take_survey(target, found);
	spin_lock(&target->survey_lock);
	target->survey = *found;
	spin_unlock(&target->survey_lock);
}

/* ---- registration ---- */

static void hook_init(struct nsgate_hook *hook, const struct nf_hook_ops *ops,
		      struct net_device *dev, void *priv)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hook->ops); i++) {
		hook->ops[i] = *ops;
		hook->ops[i].dev = dev;
		hook->ops[i].priv = priv;
	}
}

static void unregister_hooks(struct net *net, struct nsgate_hook *hooks, int n)
{
	while (n--)
		nf_unregister_net_hook(net, hooks[n].ops + hooks[n].turn);
}

static int register_hooks(struct net *net, struct nsgate_hook *hooks, int n)
{
	int i, err;

	for (i = 0; i < n; i++) {
		err = nf_register_net_hook(net, hooks[i].ops + hooks[i].turn);
		if (err)
			goto err_hooks;
	}
	return 0;

err_hooks:
	unregister_hooks(net, hooks, i);
	return err;
}

static bool is_preceded(const struct net *net, const struct nf_hook_ops *ops)
{
	unsigned int steps = 0;
	bool preceded;

	rcu_read_lock();
	preceded = nsgate_hooks_before(net, ops->dev, ops, &steps);
	rcu_read_unlock();
	return preceded;
}

/*
 * Among hooks of the same priority the latest stands first.  What NFQUEUE holds
 * for the namespace is flushed when a hook goes: none goes without need.
 */
static void move_to_front(struct net *net, struct nsgate_hook *hook)
{
	struct nf_hook_ops *old = hook->ops + hook->turn;

	if (!is_preceded(net, old))
		return;
	if (nf_register_net_hook(net, hook->ops + !hook->turn))
		return;
	nf_unregister_net_hook(net, old);
	hook->turn = !hook->turn;
}

/* Those of all targets: a device is there twice while it changes targets. */
static DEFINE_HASHTABLE(devices_by_address, 12); /* RTNL */

/* As many devices are dealt with before others get RTNL. */
#define DEVICES_PER_HOLD 32

static unsigned long device_key(const struct nsgate_target *target,
				const struct net_device *dev)
{
	return (unsigned long)target ^ (unsigned long)dev;
}

static struct nsgate_device *find_device(const struct nsgate_target *target,
					 const struct net_device *dev)
{
	struct nsgate_device *device;

	ASSERT_RTNL();
	hash_for_each_possible(devices_by_address, device, hash,
			       device_key(target, dev)) {
		if (device->dev == dev && device->target == target)
			return device;
	}
	return NULL;
}

/* What these carry is carried by another device of the namespace as well. */
static bool is_edge_kind(const struct net_device *dev)
{
	static const char *const others[] = {
		"bridge", "bond", "team", "vrf", "ifb",
	};
	int i;

	if (!dev->rtnl_link_ops)
		return true;
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		if (!strcmp(dev->rtnl_link_ops->kind, others[i]))
			return false;
	}
	return true;
}

/* @leaving: a device that still counts as one of this namespace, or NULL */
static bool is_edge(struct net_device *dev, const struct net_device *leaving)
{
	struct net_device *lower;
	struct list_head *iter;

	if ((dev->flags & IFF_LOOPBACK) || !is_edge_kind(dev))
		return false;
	netdev_for_each_lower_dev(dev, lower, iter) {
		if (lower != leaving && net_eq(dev_net(lower), dev_net(dev)))
			return false;
	}
	return true;
}

static void set_one_side(const struct nsgate_target *target,
			 struct nsgate_side *side, enum nsgate_point point)
{
	const struct nsgate_side new = side_of(target, point);

	WRITE_ONCE(side->row, new.row);
	WRITE_ONCE(side->point, new.point);
	WRITE_ONCE(side->has_flows, new.has_flows);
}

/* A packet meanwhile is counted on one side or the other, as others are. */
static void set_side(struct nsgate_device *device,
		     const struct net_device *leaving)
{
	bool edge = is_edge(device->dev, leaving);
	u8 ingress = NSGATE_INGRESS;
	int i;

	ASSERT_RTNL();
	if (edge)
		ingress = has_ethernet_header(device->dev) ? NSGATE_IN :
							     NSGATE_IN_BARE;
	for (i = 0; i < PKT_TYPES; i++)
		set_one_side(device->target, &device->in[i],
			     i == PACKET_LOOPBACK ? NSGATE_INGRESS : ingress);
	set_one_side(device->target, &device->out,
		     edge ? NSGATE_OUT : NSGATE_EGRESS);
}

static void set_side_of(const struct nsgate_target *target,
			const struct net_device *dev,
			const struct net_device *leaving)
{
	struct nsgate_device *device = find_device(target, dev);

	if (device)
		set_side(device, leaving);
}

/* A device that comes or goes may be the one that others stand on. */
static void set_sides_above(const struct nsgate_target *target,
			    struct net_device *dev,
			    const struct net_device *leaving)
{
	struct net_device *upper;
	struct list_head *iter;

	rcu_read_lock();
	netdev_for_each_upper_dev_rcu(dev, upper, iter)
		set_side_of(target, upper, leaving);
	rcu_read_unlock();
}

static struct nsgate_device *add_device(struct nsgate_target *target,
					struct net_device *dev)
{
	struct nsgate_device *device;
	int i;

	ASSERT_RTNL();
	device = kzalloc(sizeof(*device), GFP_KERNEL_ACCOUNT);
	if (!device)
		return NULL;
	device->target = target;
	device->dev = dev;
	device->ifindex = dev->ifindex;
	if (device->ifindex < NSGATE_LOW_INDICES)
		set_bit(device->ifindex, target->low_indices);
	for (i = 0; i < ARRAY_SIZE(device->hooks); i++)
		hook_init(device->hooks + i, ops_of(dev) + i, dev, device);
	set_side(device, NULL);
	list_add_tail(&device->list, &target->devices);
	hash_add(devices_by_address, &device->hash, device_key(target, dev));
	WRITE_ONCE(target->nr_devices, target->nr_devices + 1);
	return device;
}

static int hook_device(struct nsgate_device *device)
{
	int err;

	ASSERT_RTNL();
	if (device->hooked)
		return 0;
	err = register_hooks(dev_net(device->dev), device->hooks,
			     ARRAY_SIZE(device->hooks));
	if (err)
		return err;
	device->hooked = true;
	return 0;
}

/* Unhooks it as well. */
static int remove_device(struct nsgate_device *device)
{
	struct nsgate_target *target = device->target;

	ASSERT_RTNL();
	if (device->hooked)
		unregister_hooks(dev_net(device->dev), device->hooks,
				 ARRAY_SIZE(device->hooks));
	list_del(&device->list);
	hash_del(&device->hash);
	if (device->ifindex < NSGATE_LOW_INDICES)
		clear_bit(device->ifindex, target->low_indices);
	WRITE_ONCE(target->nr_devices, target->nr_devices - 1);
	kfree_rcu(device, rcu);
	return 0;
}

/* Until somebody else should get RTNL; each step costs as the tenant likes. */
static int walk_portion(struct nsgate_target *target, struct list_head *todo,
			int (*step)(struct nsgate_device *device))
{
	unsigned long end = jiffies + 1;
	struct nsgate_device *device;
	int i, err;

	for (i = 0; i < DEVICES_PER_HOLD && !list_empty(todo); i++) {
		device = list_first_entry(todo, struct nsgate_device, list);
		list_move_tail(&device->list, &target->devices);
		err = step(device);
		if (err)
			return err;
		if (time_after(jiffies, end))
			break;
	}
	return 0;
}

/**
 * walk_devices() - do something to all devices of a target
 * @target: the target
 * @step: what to do to one, which it may remove; holds RTNL
 *
 * RTNL is held for a few devices at a time.  Devices that come meanwhile are
 * not walked to, and those that go are not missed.
 *
 * Context: Process context, may sleep. Takes the target's walk lock and RTNL.
 * Return: 0, or the error of @step, with which the walk ends.
 */
static int walk_devices(struct nsgate_target *target,
			int (*step)(struct nsgate_device *device))
{
	LIST_HEAD(todo);
	int err = 0;

	mutex_lock(&target->walk_lock);
	rtnl_lock();
	list_splice_init(&target->devices, &todo);
	while (!err && !list_empty(&todo)) {
		err = walk_portion(target, &todo, step);
		rtnl_unlock();
		cond_resched();
		rtnl_lock();
	}
	list_splice(&todo, &target->devices);
	rtnl_unlock();
	mutex_unlock(&target->walk_lock);
	return err;
}

static int complain(const struct nsgate_target *target,
		    const struct net_device *dev, int err)
{
	if (err)
		net_err_ratelimited("device %s of net:[%u] can't be hooked: error %d\n",
				    dev->name, target->inode, err);
	return err;
}

/*
 * A device that comes is there, whatever we say to that: an error would only
 * keep it from those who are told after us.  It is down, and what has no hooks
 * doesn't get up.
 */
static void device_came(struct nsgate_target *target, struct net_device *dev)
{
	struct nsgate_device *device;

	if (target->unwatching)
		return;
	device = add_device(target, dev);
	if (!device)
		target->missed_device = true;
	if (!target->replaying)
		complain(target, dev, device ? hook_device(device) : -ENOMEM);
}

static int device_gets_up(struct nsgate_target *target, struct net_device *dev)
{
	struct nsgate_device *device;

	if (target->unwatching)
		return 0;
	device = find_device(target, dev);
	if (!device)
		device = add_device(target, dev);
	return complain(target, dev, device ? hook_device(device) : -ENOMEM);
}

static void device_goes(struct nsgate_target *target, struct net_device *dev)
{
	struct nsgate_device *device = find_device(target, dev);

	if (device)
		remove_device(device);
}

static bool has_lower(struct net_device *dev)
{
	struct net_device *lower;
	struct list_head *iter;

	netdev_for_each_lower_dev(dev, lower, iter)
		return true;
	return false;
}

/*
 * What stands on nothing any more is about to go, as a VLAN does.  Until then it may
 * send by the device that it stood on, so it doesn't become an edge.
 */
static void
upper_changes(const struct nsgate_target *target,
	      const struct netdev_notifier_changeupper_info *info)
{
	if (info->linking || has_lower(info->upper_dev))
		set_side_of(target, info->upper_dev, NULL);
}

static int device_event(struct notifier_block *notifier, unsigned long event,
			void *info)
{
	struct nsgate_target *target = container_of(notifier,
						    struct nsgate_target,
						    notifier);
	struct net_device *dev = netdev_notifier_info_to_dev(info);

	switch (event) {
	case NETDEV_REGISTER:
		device_came(target, dev);
		set_sides_above(target, dev, NULL);
		break;
	case NETDEV_CHANGEUPPER:
		upper_changes(target, info);
		break;
	case NETDEV_PRE_UP:
		return notifier_from_errno(device_gets_up(target, dev));
	case NETDEV_UNREGISTER:
		set_sides_above(target, dev, dev);
		device_goes(target, dev);
		break;
	}
	return NOTIFY_DONE;
}

/* Devices that are there already are told in one go, so they only get noted. */
static int watch_devices(struct nsgate_target *target, struct net *net)
{
	int err;

	target->notifier.notifier_call = device_event;
	target->replaying = true;
	err = register_netdevice_notifier_net(net, &target->notifier);
	target->replaying = false;
	if (err)
		return err;
	target->watching = true;
	err = walk_devices(target, hook_device);
	return target->missed_device ? -ENOMEM : err;
}

static void unwatch_devices(struct nsgate_target *target, struct net *net)
{
	rtnl_lock();
	target->unwatching = true;
	rtnl_unlock();
	walk_devices(target, remove_device);
	unregister_netdevice_notifier_net(net, &target->notifier);
}

static int hook_ip(struct nsgate_target *target, struct net *net)
{
	int i, err;

	BUILD_BUG_ON(ARRAY_SIZE(ip_ops) != ARRAY_SIZE(target->ip_hooks));
	for (i = 0; i < ARRAY_SIZE(ip_ops); i++)
		hook_init(target->ip_hooks + i, ip_ops + i, NULL, target);
	err = register_hooks(net, target->ip_hooks, ARRAY_SIZE(ip_ops));
	target->ip_hooked = !err;
	return err;
}

static int move_device(struct nsgate_device *device)
{
	int i;

	for (i = 0; device->hooked && i < ARRAY_SIZE(device->hooks); i++)
		move_to_front(dev_net(device->dev), device->hooks + i);
	return 0;
}

static void move_ip(struct nsgate_target *target, struct net *net)
{
	int i;

	mutex_lock(&target->walk_lock);
	for (i = 0; target->ip_hooked && i < ARRAY_SIZE(target->ip_hooks); i++)
		move_to_front(net, target->ip_hooks + i);
	mutex_unlock(&target->walk_lock);
}

/* The namespace stays for as long as this takes. */
static void front_work(struct work_struct *work)
{
	struct nsgate_target *target = container_of(work, struct nsgate_target,
						    front_work);
	struct net *net = nsgate_target_get_net(target);

	if (net) {
		move_ip(target, net);
		walk_devices(target, move_device);
		put_net(net);
	}
	nsgate_target_put(target);
}

void nsgate_hook_move_to_front(struct nsgate_target *target)
{
	nsgate_target_get(target);
	if (!queue_work(nsgate_target_wq, &target->front_work))
		nsgate_target_put(target);
}

void nsgate_hook_prepare(struct nsgate_target *target)
{
	INIT_LIST_HEAD(&target->devices);
	mutex_init(&target->walk_lock);
	INIT_WORK(&target->front_work, front_work);
}

int nsgate_hook_register(struct nsgate_target *target, struct net *net)
{
	int err;

	err = hook_ip(target, net);
	if (err)
		return err;
	return watch_devices(target, net);
}

static void unhook_ip(struct nsgate_target *target, struct net *net)
{
	mutex_lock(&target->walk_lock);
	if (target->ip_hooked)
		unregister_hooks(net, target->ip_hooks,
				 ARRAY_SIZE(target->ip_hooks));
	target->ip_hooked = false;
	mutex_unlock(&target->walk_lock);
}

void nsgate_hook_unregister(struct nsgate_target *target, struct net *net)
{
	if (target->watching)
		unwatch_devices(target, net);
	unhook_ip(target, net);
}
