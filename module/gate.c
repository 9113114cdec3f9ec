// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: a policy, and a program that tells the exceptions from it.
 *
 * The program is classic BPF.  The kernel's own checker and JIT take it; all
 * that is done here is to read its text, and to refuse what would read other
 * things than the packet.
 */
#include <linux/ctype.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <net/ip.h>
#include <net/ndisc.h>

#include "nsgate.h"

#define LABEL_MAX 255 /* bytes */

#define GRAMMAR "a command is [dry] accept|drop [log GROUP] [except PROG [# label]]"

/* What passes with an exception is no longer than this, in bytes. */
#define ERROR_MAX_IPV4 576
#define ERROR_MAX_IPV6 1280
#define NEIGHBOUR_MAX_OUTWARDS 128

/* So much of what an error of ICMP quotes is shown to the program. */
#define QUOTE_MAX 128

static struct nsgate_policy *policy_alloc(void)
{
	struct nsgate_policy *policy;

	policy = kzalloc(sizeof(*policy), GFP_KERNEL_ACCOUNT);
	if (policy)
		get_random_bytes(&policy->seal, sizeof(policy->seal));
	return policy;
}

static void policy_free(struct nsgate_policy *policy)
{
	if (!policy)
		return;
	if (policy->prog)
		bpf_prog_destroy(policy->prog);
	if (policy->log)
		nsgate_log_disable();
	kvfree(policy->insns);
	kfree(policy->label);
	kfree(policy);
}

static int parse_number(const char *text, u32 max, u32 *number)
{
	/* kstrtou32() alone would take a sign. */
	if (!text || !isdigit(*text) || kstrtou32(text, 10, number) ||
	    *number > max)
		return -EINVAL;
	return 0;
}

static int parse_insn(char *text, struct sock_filter *insn)
{
	u32 code, jt, jf;

	if (!text || parse_number(strsep(&text, " "), U16_MAX, &code) ||
	    parse_number(strsep(&text, " "), U8_MAX, &jt) ||
	    parse_number(strsep(&text, " "), U8_MAX, &jf) ||
	    parse_number(strsep(&text, " "), U32_MAX, &insn->k) || text)
		return -EINVAL;
	insn->code = code;
	insn->jt = jt;
	insn->jf = jf;
	return 0;
}

/* "count,code jt jf k,...", as "tcpdump -ddd" prints it, with commas. */
static int parse_insns(char *text, struct nsgate_policy *policy,
		       const char **why)
{
	u32 i, count;

	*why = "a program begins with the number of its instructions";
	if (parse_number(strsep(&text, ","), U32_MAX, &count) || !count)
		return -EINVAL;
	*why = "the program is too long";
	if (count > BPF_MAXINSNS)
		return -E2BIG;
	*why = "no memory";
	policy->insns = kvcalloc(count, sizeof(*policy->insns), GFP_KERNEL);
	if (!policy->insns)
		return -ENOMEM;
	*why = "an instruction is malformed, or there are fewer than announced";
	for (i = 0; i < count; i++) {
		if (parse_insn(strsep(&text, ","), policy->insns + i))
			return -EINVAL;
	}
	*why = "more instructions than announced";
	if (text && *text)
		return -EINVAL;
	policy->count = count;
	return 0;
}

/*
 * Offsets from 0x80000000 on mean something else than bytes of the packet from
 * its network header on: ancillary data, as the type of the packet, and other
 * headers.  What that is depends on where the program runs.
 */
static bool leaves_packet(const struct sock_filter *insn)
{
	switch (BPF_CLASS(insn->code) | BPF_MODE(insn->code)) {
	case BPF_LD | BPF_ABS:
	case BPF_LDX | BPF_MSH:
		return insn->k > S32_MAX;
	default:
		return false;
	}
}

static int load_prog(char *text, struct nsgate_policy *policy,
		     const char **why)
{
	struct sock_fprog_kern fprog;
	unsigned int i;
	int err;

	err = parse_insns(text, policy, why);
	if (err)
		return err;
	*why = "an instruction loads from beyond 0x7fffffff, which is not the packet";
	for (i = 0; i < policy->count; i++) {
		if (leaves_packet(policy->insns + i))
			return -EINVAL;
	}
	fprog.len = policy->count;
	fprog.filter = policy->insns;
	err = bpf_prog_create(&policy->prog, &fprog);
	/* What the checker takes and the JIT doesn't lacks memory, too. */
	if (err == -ENOMEM || err == -ENOTSUPP) {
		*why = "no memory";
		return -ENOMEM;
	}
	*why = "the kernel's checker refuses the program";
	if (err)
		return -EINVAL;
	policy->matched = NSGATE_IS_EXCEPTED;
	if (!policy->drop)
		policy->matched |= NSGATE_TO_DROP;
	return 0;
}

static int parse_label(const char *text, struct nsgate_policy *policy,
		       const char **why)
{
	const char *c;

	text = skip_spaces(text);
	if (!*text)
		return 0;
	*why = "the label is too long";
	if (strlen(text) > LABEL_MAX)
		return -E2BIG;
	*why = "the label has a control character";
	for (c = text; *c; c++) {
		/* What isn't ASCII is taken for UTF-8. */
		if (isascii(*c) && iscntrl(*c))
			return -EINVAL;
	}
	*why = "no memory";
	policy->label = kstrdup(text, GFP_KERNEL);
	return policy->label ? 0 : -ENOMEM;
}

/* "PROG [# label]" */
static int parse_exception(char *text, struct nsgate_policy *policy,
			   const char **why)
{
	char *prog = strsep(&text, "#");
	int err;

	if (text) {
		err = parse_label(text, policy, why);
		if (err)
			return err;
	}
	return load_prog(strim(prog), policy, why);
}

/* "GROUP", and the blank behind it */
static int parse_log(char **text, struct nsgate_policy *policy,
		     const char **why)
{
	u32 group;
	int err;

	*why = "log is followed by the number of a group, 0 to 65535";
	if (parse_number(strsep(text, " "), U16_MAX, &group))
		return -EINVAL;
	*why = "this kernel has no nfnetlink_log";
	err = nsgate_log_enable();
	if (err)
		return -ENOENT;
	policy->log = true;
	policy->log_group = group;
	return 0;
}

/* "[dry] accept|drop [log GROUP] [except PROG [# label]]" */
static int parse_command(char *text, struct nsgate_policy *policy,
			 const char **why)
{
	size_t len = strlen(text);
	int err;

	if (len && text[len - 1] == '\n')
		text[--len] = '\0';
	*why = "one line, one command";
	if (strchr(text, '\n'))
		return -EINVAL;

	*why = GRAMMAR;
	policy->dry = nsgate_take_word(&text, "dry");
	if (nsgate_take_word(&text, "drop"))
		policy->drop = true;
	else if (!nsgate_take_word(&text, "accept"))
		return -EINVAL;
	if (!text)
		return 0;
	if (nsgate_take_word(&text, "log")) {
		err = parse_log(&text, policy, why);
		if (err || !text)
			return err;
		*why = GRAMMAR;
	}
	if (!nsgate_take_word(&text, "except") || !text)
		return -EINVAL;
	return parse_exception(text, policy, why);
}

static bool passes_all(const struct nsgate_policy *policy)
{
	return !policy->drop && !policy->dry && !policy->prog;
}

static void swap_policy(struct nsgate_gate *gate, struct nsgate_policy *policy)
{
	struct nsgate_policy *old;

	mutex_lock(&gate->lock);
	old = rcu_replace_pointer(gate->policy, policy,
				  lockdep_is_held(&gate->lock));
	mutex_unlock(&gate->lock);
	/*
	 * Whoever writes a gate wants it closed now: that no packet is being
	 * judged by the old one any more when the write returns is worth an
	 * interrupt to each CPU.
	 */
	synchronize_rcu_expedited();
	policy_free(old);
}

struct nsgate_gate *nsgate_gate_alloc(bool may_cut_off, bool drop)
{
	struct nsgate_policy *policy = NULL;
	struct nsgate_gate *gate;

	if (drop && !may_cut_off)
		return ERR_PTR(-EPERM);
	gate = kzalloc(sizeof(*gate), GFP_KERNEL_ACCOUNT);
	if (!gate)
		return ERR_PTR(-ENOMEM);
	if (drop) {
		policy = policy_alloc();
		if (!policy)
			goto err_gate;
		policy->drop = true;
	}
	RCU_INIT_POINTER(gate->policy, policy);
	mutex_init(&gate->lock);
	kref_init(&gate->refs);
	gate->may_cut_off = may_cut_off;
	return gate;

err_gate:
	kfree(gate);
	return ERR_PTR(-ENOMEM);
}

struct nsgate_gate *nsgate_gate_get(struct nsgate_gate *gate)
{
	kref_get(&gate->refs);
	return gate;
}

static void gate_free(struct kref *refs)
{
	struct nsgate_gate *gate = container_of(refs, struct nsgate_gate, refs);

	policy_free(rcu_dereference_protected(gate->policy, true));
	kfree(gate);
}

void nsgate_gate_put(struct nsgate_gate *gate)
{
	kref_put(&gate->refs, gate_free);
}

int nsgate_gate_write(struct nsgate_gate *gate, char *text, const char **why)
{
	struct nsgate_policy *policy;
	int err;

	*why = "no memory";
	policy = policy_alloc();
	if (!policy)
		return -ENOMEM;
	err = parse_command(text, policy, why);
	if (err)
		goto err_policy;
	if (!gate->may_cut_off && !policy->dry && !passes_all(policy)) {
		*why = "the initial network namespace is cut off only with gate_init_net=1";
		err = -EPERM;
		goto err_policy;
	}
	if (passes_all(policy) && !policy->log) {
		/* What costs nothing is no policy at all. */
		policy_free(policy);
		policy = NULL;
	}
	swap_policy(gate, policy);
	return 0;

err_policy:
	policy_free(policy);
	return err;
}

/* Whether the program sees a packet of that family at @offset. */
static bool has_ip_header(const struct sk_buff *skb, int offset,
			  enum nsgate_frame frame)
{
	const u8 *version;
	u8 buf;

	if (offset < 0 || offset > (int)skb_headlen(skb))
		return false;
	version = skb_header_pointer(skb, offset, sizeof(buf), &buf);
	return version && *version >> 4 == nsgate_gate_version(frame);
}

/*
 * The program wants an skb.  It reads nothing of it but the packet, and that
 * by its length: see leaves_packet().
 */
static bool matches_copy(const struct bpf_prog *prog, u8 *packet,
			 unsigned int len)
{
	struct sk_buff skb;

	memset(&skb, 0, sizeof(skb));
	skb.head = packet;
	skb.data = packet;
	skb.len = len;
	skb_set_tail_pointer(&skb, len);
	skb.end = skb.tail;
	skb_reset_mac_header(&skb);
	skb_reset_network_header(&skb);
	return bpf_prog_run(prog, &skb);
}

/*
 * Copies what is quoted at @offset, and at least @header bytes of it.  A quote
 * is no longer than it says of itself, and what stands behind it is an
 * extension (RFC 4884).
 */
static int copy_quote(const struct sk_buff *skb, int offset, u8 *quote,
		      int header)
{
	int len = min_t(int, skb->len - offset, QUOTE_MAX);

	if (len < header || skb_copy_bits(skb, offset, quote, len))
		return 0;
	return len;
}

static bool quotes_exception_ipv4(const struct nsgate_policy *policy,
				  const struct sk_buff *skb, int offset,
				  __be32 to)
{
	u8 quote[QUOTE_MAX] __aligned(4);
	const struct iphdr *ip = (const struct iphdr *)quote;
	int len = copy_quote(skb, offset, quote, sizeof(*ip));

	if (!len || ip->version != 4 || ip->saddr != to)
		return false;
	len = min_t(int, len, ntohs(ip->tot_len));
	return matches_copy(policy->prog, quote, len);
}

static bool quotes_exception_ipv6(const struct nsgate_policy *policy,
				  const struct sk_buff *skb, int offset,
				  const struct in6_addr *to)
{
	u8 quote[QUOTE_MAX] __aligned(4);
	const struct ipv6hdr *ip = (const struct ipv6hdr *)quote;
	int len = copy_quote(skb, offset, quote, sizeof(*ip));

	if (!len || ip->version != 6 || !ipv6_addr_equal(&ip->saddr, to))
		return false;
	len = min_t(int, len, sizeof(*ip) + ntohs(ip->payload_len));
	return matches_copy(policy->prog, quote, len);
}

/* An error that goes to where an excepted packet came from. */
static bool is_needed_ipv4(const struct nsgate_policy *policy,
			   const struct sk_buff *skb, int offset)
{
	const struct icmphdr *icmp;
	struct icmphdr icmp_buf;
	const struct iphdr *ip;
	struct iphdr ip_buf;

	ip = skb_header_pointer(skb, offset, sizeof(ip_buf), &ip_buf);
	if (!ip || ip->protocol != IPPROTO_ICMP || ip_is_fragment(ip) ||
	    ip->ihl < 5 || skb->len - offset > ERROR_MAX_IPV4)
		return false;
	offset += ip->ihl * 4;
	icmp = skb_header_pointer(skb, offset, sizeof(icmp_buf), &icmp_buf);
	if (!icmp)
		return false;
	switch (icmp->type) {
	case ICMP_DEST_UNREACH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETERPROB:
		return quotes_exception_ipv4(policy, skb,
					     offset + sizeof(*icmp), ip->daddr);
	default:
		return false;
	}
}

/* Neighbour discovery of a link, where no router has passed it on. */
static bool is_neighbour_discovery(u8 type, unsigned int len, bool outwards)
{
	switch (type) {
	case NDISC_ROUTER_SOLICITATION:
	case NDISC_NEIGHBOUR_SOLICITATION:
	case NDISC_NEIGHBOUR_ADVERTISEMENT:
		return !outwards || len <= NEIGHBOUR_MAX_OUTWARDS;
	case NDISC_ROUTER_ADVERTISEMENT:
	case NDISC_REDIRECT:
		return !outwards;
	default:
		return false;
	}
}

static bool is_needed_ipv6(const struct nsgate_policy *policy,
			   const struct sk_buff *skb, int offset, bool outwards)
{
	unsigned int len = skb->len - offset;
	const struct icmp6hdr *icmp;
	struct icmp6hdr icmp_buf;
	const struct ipv6hdr *ip;
	struct ipv6hdr ip_buf;

	ip = skb_header_pointer(skb, offset, sizeof(ip_buf), &ip_buf);
	if (!ip || ip->nexthdr != IPPROTO_ICMPV6)
		return false;
	offset += sizeof(*ip);
	icmp = skb_header_pointer(skb, offset, sizeof(icmp_buf), &icmp_buf);
	if (!icmp)
		return false;
	switch (icmp->icmp6_type) {
	case ICMPV6_DEST_UNREACH:
	case ICMPV6_PKT_TOOBIG:
	case ICMPV6_TIME_EXCEED:
	case ICMPV6_PARAMPROB:
		return len <= ERROR_MAX_IPV6 &&
		       quotes_exception_ipv6(policy, skb,
					     offset + sizeof(*icmp),
					     &ip->daddr);
	default:
		return ip->hop_limit == 255 && !icmp->icmp6_code &&
		       is_neighbour_discovery(icmp->icmp6_type, len, outwards);
	}
}

/* What no exception can do without. */
static noinline bool is_needed(const struct nsgate_policy *policy,
			       const struct sk_buff *skb, int offset,
			       enum nsgate_frame frame, bool outwards)
{
	if (frame == NSGATE_FRAME_IPV6)
		return is_needed_ipv6(policy, skb, offset, outwards);
	return is_needed_ipv4(policy, skb, offset);
}

unsigned int nsgate_gate_judge_other(const struct nsgate_policy *policy,
				     const struct sk_buff *skb, int offset,
				     enum nsgate_frame frame, bool outwards)
{
	if (policy->drop && !is_needed(policy, skb, offset, frame, outwards))
		return NSGATE_TO_DROP;
	return 0;
}

unsigned int nsgate_gate_judge(const struct nsgate_policy *policy,
			       struct sk_buff *skb, int offset,
			       enum nsgate_frame frame, bool outwards)
{
	unsigned int otherwise = policy->drop ? NSGATE_TO_DROP : 0;

	if (!policy->prog)
		return otherwise;
	if (frame == NSGATE_FRAME_ARP)
		return 0;
	if (frame == NSGATE_FRAME_OTHER)
		return otherwise;
	if (unlikely(!has_ip_header(skb, offset, frame)))
		return NSGATE_TO_DROP;
	if (nsgate_gate_matches(policy, skb, offset))
		return policy->matched;
	return nsgate_gate_judge_other(policy, skb, offset, frame, outwards);
}
