// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate: a policy, and a program that tells the exceptions from it.
 *
 * The program is classic BPF.  The kernel's own checker and JIT take it; all
 * that is done here is to read its text.
 */
#include <linux/ctype.h>
#include <linux/filter.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "nsgate.h"

#define LABEL_MAX 255 /* bytes */

static void policy_free(struct nsgate_policy *policy)
{
	if (!policy)
		return;
	if (policy->prog)
		bpf_prog_destroy(policy->prog);
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

static int load_prog(char *text, struct nsgate_policy *policy,
		     const char **why)
{
	struct sock_fprog_kern fprog;
	int err;

	err = parse_insns(text, policy, why);
	if (err)
		return err;
	fprog.len = policy->count;
	fprog.filter = policy->insns;
	err = bpf_prog_create(&policy->prog, &fprog);
	/* What the checker takes and the JIT doesn't lacks memory, too. */
	if (err == -ENOMEM || err == -ENOTSUPP) {
		*why = "no memory";
		return -ENOMEM;
	}
	*why = "the kernel's checker refuses the program";
	return err ? -EINVAL : 0;
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

/* Steps over a word of the command, and the blank between it and the next. */
static bool take_word(char **text, const char *word)
{
	size_t len = str_has_prefix(*text, word);
	char *rest = *text + len;

	if (!len || (*rest && *rest != ' '))
		return false;
	*text = *rest ? rest + 1 : rest;
	return true;
}

/* "[dry] accept|drop [except PROG [# label]]" */
static int parse_command(char *text, struct nsgate_policy *policy,
			 const char **why)
{
	size_t len = strlen(text);

	if (len && text[len - 1] == '\n')
		text[--len] = '\0';
	*why = "one line, one command";
	if (strchr(text, '\n'))
		return -EINVAL;

	*why = "a command is [dry] accept|drop [except PROG [# label]]";
	policy->dry = take_word(&text, "dry");
	if (take_word(&text, "drop"))
		policy->drop = true;
	else if (!take_word(&text, "accept"))
		return -EINVAL;
	if (!*text)
		return text[-1] == ' ' ? -EINVAL : 0;
	if (!take_word(&text, "except"))
		return -EINVAL;
	return parse_exception(text, policy, why);
}

static bool is_open(const struct nsgate_policy *policy)
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

int nsgate_gate_init(struct nsgate_gate *gate, bool may_drop, bool drop)
{
	struct nsgate_policy *policy = NULL;

	if (drop && !may_drop)
		return -EPERM;
	if (drop) {
		policy = kzalloc(sizeof(*policy), GFP_KERNEL);
		if (!policy)
			return -ENOMEM;
		policy->drop = true;
	}
	mutex_init(&gate->lock);
	gate->may_drop = may_drop;
	rcu_assign_pointer(gate->policy, policy);
	return 0;
}

void nsgate_gate_exit(struct nsgate_gate *gate)
{
	policy_free(rcu_dereference_protected(gate->policy, true));
}

int nsgate_gate_write(struct nsgate_gate *gate, char *text, const char **why)
{
	struct nsgate_policy *policy;
	int err;

	*why = "no memory";
	policy = kzalloc(sizeof(*policy), GFP_KERNEL);
	if (!policy)
		return -ENOMEM;
	err = parse_command(text, policy, why);
	if (err)
		goto err_policy;
	if (policy->drop && !policy->dry && !gate->may_drop) {
		*why = "the initial network namespace is cut off only with gate_init_net=1";
		err = -EPERM;
		goto err_policy;
	}
	if (is_open(policy)) {
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
static bool can_judge(const struct sk_buff *skb, int offset,
		      enum nsgate_frame frame)
{
	const u8 *version;
	u8 buf;

	if (offset > (int)skb_headlen(skb))
		return false;
	version = skb_header_pointer(skb, offset, sizeof(buf), &buf);
	return version && *version >> 4 == (frame == NSGATE_FRAME_IPV6 ? 6 : 4);
}

static bool matches(const struct bpf_prog *prog, struct sk_buff *skb,
		    int offset)
{
	u32 result;

	__skb_pull(skb, offset);
	result = bpf_prog_run_save_cb(prog, skb);
	__skb_push(skb, offset);
	return result;
}

unsigned int nsgate_gate_judge(const struct nsgate_policy *policy,
			       struct sk_buff *skb, int offset,
			       enum nsgate_frame frame)
{
	bool is_ip = frame == NSGATE_FRAME_IPV4 || frame == NSGATE_FRAME_IPV6;

	if (policy->prog && is_ip) {
		if (unlikely(!can_judge(skb, offset, frame)))
			return NSGATE_DROP;
		if (matches(policy->prog, skb, offset))
			return NSGATE_MATCH | (policy->drop ? 0 : NSGATE_DROP);
	}
	/* Without ARP, flows that are excepted would starve. */
	if (policy->prog && frame == NSGATE_FRAME_ARP)
		return 0;
	return policy->drop ? NSGATE_DROP : 0;
}
