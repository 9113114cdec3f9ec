// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hooks of one namespace, before Linux 4.3: there a hook is for all of them.
 *
 * What a namespace holds of us leads to its hooks, if it has any.  Ours for all
 * namespaces look there, and leave the packets of others alone.  They come with
 * the first hook of a namespace.  Some time after the last one they go: each of
 * them takes a grace period, for which nobody but a worker waits.  Who needs
 * them again meanwhile gets another set, as there are two of them.
 *
 * Among those of the same priority the first one stands first here, so that ours
 * can't be moved before others.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "../nsgate.h"
#include "hook_order.h"

#undef nf_hook_ops
#undef nf_hook_state

#define POINTS (2 * NF_INET_NUMHOOKS)
#define LINGER (10 * HZ)

struct nsgate_net_hooks {
	const struct nsgate_nf_hook_ops *ops[POINTS];
	unsigned int used; /* lock */
	struct rcu_head rcu;
};

/* Hooks for all namespaces. */
struct set {
	struct nf_hook_ops ops[POINTS];
	unsigned int registered; /* from the first on */
	bool going; /* only the worker changes it */
};

static struct set sets[2]; /* lock */
static struct set *current_set; /* the one that is registered, or NULL; lock */
static unsigned int nr_hooks; /* of all namespaces, lock */
static bool closed; /* lock */
static DECLARE_WAIT_QUEUE_HEAD(all_gone);
/* Innermost; held for no grace period. */
static DEFINE_MUTEX(lock);

static void go(struct work_struct *work);
static DECLARE_DELAYED_WORK(go_work, go);

static unsigned int index_of(u8 pf, unsigned int hook)
{
	return 2 * hook + (pf == NFPROTO_IPV6);
}

/*
 * In a namespace that is being made, there may be nothing of us yet: then
 * net_generic() would stop the kernel.
 */
static const struct nsgate_net_hooks *hooks_of(const struct net *net)
{
	const struct net_generic *gen = rcu_dereference(net->gen);
	const struct nsgate_net *slot;

	if (unlikely(nsgate_target_net_id > gen->len))
		return NULL;
	slot = gen->ptr[nsgate_target_net_id - 1];
	return likely(slot) ? rcu_dereference(slot->compat.hooks) : NULL;
}

static noinline unsigned int run(const struct nsgate_nf_hook_ops *ops,
				 struct sk_buff *skb, struct net *net,
				 const struct net_device *in,
				 const struct net_device *out,
				 const struct nf_hook_state *state)
{
	const struct nsgate_nf_hook_state ours = {
		.hook = ops->hooknum,
		.pf = ops->pf,
		.in = (struct net_device *)in,
		.out = (struct net_device *)out,
		.sk = state->sk,
		.net = net,
	};

	return ops->hook(ops->priv, skb, &ours);
}

static unsigned int any_hook(const struct nf_hook_ops *ops, struct sk_buff *skb,
			     const struct net_device *in,
			     const struct net_device *out,
			     const struct nf_hook_state *state)
{
	struct net *net = dev_net(in ? in : out);
	const struct nsgate_net_hooks *hooks = hooks_of(net);
	const struct nsgate_nf_hook_ops *wanted;

	if (likely(!hooks))
		return NF_ACCEPT;
	wanted = READ_ONCE(hooks->ops[index_of(ops->pf, ops->hooknum)]);
	if (!wanted)
		return NF_ACCEPT;
	return run(wanted, skb, net, in, out, state);
}

static void fill(struct set *set)
{
	unsigned int i;

	for (i = 0; i < POINTS; i++) {
		set->ops[i] = (struct nf_hook_ops) {
			.hook = any_hook,
			.owner = THIS_MODULE,
			.pf = i % 2 ? NFPROTO_IPV6 : NFPROTO_IPV4,
			.hooknum = i / 2,
			.priority = INT_MIN,
		};
	}
}

/* What has been registered if this fails goes with the rest. */
static int come(void)
{
	struct set *set;
	int err;

	lockdep_assert_held(&lock);
	if (!current_set)
		current_set = sets[0].going ? &sets[1] : &sets[0];
	set = current_set;
	if (!set->registered)
		fill(set);
	for (; set->registered < POINTS; set->registered++) {
		err = nf_register_hook(&set->ops[set->registered]);
		if (err)
			return err;
	}
	return 0;
}

static struct set *take_unneeded(void)
{
	struct set *set;

	mutex_lock(&lock);
	set = nr_hooks ? NULL : current_set;
	if (set) {
		set->going = true;
		current_set = NULL;
	}
	mutex_unlock(&lock);
	return set;
}

static void go(struct work_struct *work)
{
	struct set *set = take_unneeded();

	if (!set)
		return;
	while (set->registered)
		nf_unregister_hook(&set->ops[--set->registered]);
	mutex_lock(&lock);
	set->going = false;
	mutex_unlock(&lock);
}

static int add(struct nsgate_net *slot, const struct nsgate_nf_hook_ops *ops,
	       struct nsgate_net_hooks **spare)
{
	struct nsgate_net_hooks *hooks;
	int err;

	lockdep_assert_held(&lock);
	/* The module is being unloaded; see the births in target.c. */
	if (closed)
		return -EAGAIN;
	err = come();
	if (err)
		return err;
	hooks = rcu_dereference_protected(slot->compat.hooks,
					  lockdep_is_held(&lock));
	if (!hooks) {
		hooks = *spare;
		*spare = NULL;
		rcu_assign_pointer(slot->compat.hooks, hooks);
	}
	if (!hooks->ops[index_of(ops->pf, ops->hooknum)]) {
		hooks->used++;
		nr_hooks++;
	}
	/* Our own, if one takes the place of another, and they do the same. */
	WRITE_ONCE(hooks->ops[index_of(ops->pf, ops->hooknum)], ops);
	return 0;
}

int nsgate_nf_register_net_hook(struct net *net,
				const struct nsgate_nf_hook_ops *ops)
{
	struct nsgate_net_hooks *spare;
	int err;

	spare = kzalloc(sizeof(*spare), GFP_KERNEL);
	if (!spare)
		return -ENOMEM;
	mutex_lock(&lock);
	err = add(nsgate_target_slot(net), ops, &spare);
	if (!nr_hooks)
		schedule_delayed_work(&go_work, LINGER);
	mutex_unlock(&lock);
	kfree(spare);
	return err;
}

static void take(struct nsgate_net *slot, const struct nsgate_nf_hook_ops *ops)
{
	unsigned int i = index_of(ops->pf, ops->hooknum);
	struct nsgate_net_hooks *hooks;

	hooks = rcu_dereference_protected(slot->compat.hooks,
					  lockdep_is_held(&lock));
	if (!hooks || hooks->ops[i] != ops)
		return;
	WRITE_ONCE(hooks->ops[i], NULL);
	if (!--hooks->used) {
		RCU_INIT_POINTER(slot->compat.hooks, NULL);
		kfree_rcu(hooks, rcu);
	}
	if (!--nr_hooks) {
		wake_up_all(&all_gone);
		schedule_delayed_work(&go_work, LINGER);
	}
}

void nsgate_nf_unregister_net_hook(struct net *net,
				   const struct nsgate_nf_hook_ops *ops)
{
	mutex_lock(&lock);
	take(nsgate_target_slot(net), ops);
	mutex_unlock(&lock);
}

/* Births that have begun are about to be undone, and deaths end by themselves. */
void nsgate_nf_hooks_exit(void)
{
	mutex_lock(&lock);
	closed = true;
	mutex_unlock(&lock);
	wait_event(all_gone, !READ_ONCE(nr_hooks));
	mod_delayed_work(system_wq, &go_work, 0);
	flush_delayed_work(&go_work);
}

unsigned int nsgate_hooks_before(const struct net *net,
				 const struct net_device *dev,
				 const struct nsgate_nf_hook_ops *ops,
				 unsigned int *steps)
{
	const struct nf_hook_ops *other;
	unsigned int before = 0;

	list_for_each_entry_rcu(other, &nf_hooks[ops->pf][ops->hooknum], list) {
		if (other->hook == any_hook)
			return before;
		if (++*steps > NSGATE_STEPS_MAX)
			return before;
		before++;
	}
	return 0;
}
