// SPDX-License-Identifier: GPL-2.0-only
/*
 * What namespaces call when they die, before Linux 5.3: there is no .pre_exit, so
 * .exit_batch does what that did, and the grace period that lies between.
 */
#include <linux/rcupdate.h>

#include "../nsgate.h"

#undef pernet_operations
#undef register_pernet_subsys
#undef unregister_pernet_subsys

static const struct nsgate_pernet_operations *wanted; /* set once, by init */

static int net_init(struct net *net)
{
	return wanted->init ? wanted->init(net) : 0;
}

/* Deaths of others don't wait for a grace period more than they did without us. */
static void net_exit_batch(struct list_head *nets)
{
	bool any = false;
	struct net *net;

	list_for_each_entry(net, nets, exit_list) {
		any |= !!READ_ONCE(nsgate_target_slot(net)->target);
		wanted->pre_exit(net);
	}
	if (any)
		synchronize_rcu();
	list_for_each_entry(net, nets, exit_list)
		wanted->exit(net);
}

static struct pernet_operations made = {
	.init = net_init,
	.exit_batch = net_exit_batch,
};

int nsgate_register_pernet_subsys(struct nsgate_pernet_operations *ops)
{
	wanted = ops;
	made.id = (typeof(made.id))ops->id; /* before Linux 4.10 an int */
	made.size = ops->size;
	return register_pernet_subsys(&made);
}

void nsgate_unregister_pernet_subsys(struct nsgate_pernet_operations *ops)
{
	/* Hooks for all namespaces ask each for what it holds of us. */
	nsgate_nf_hooks_exit();
	unregister_pernet_subsys(&made);
}
