// SPDX-License-Identifier: GPL-2.0-only
/*
 * Has network namespaces fail to be made, at the end: all that stands before us
 * is undone for a namespace that nobody has ever seen.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <net/net_namespace.h>

static bool fail;
module_param(fail, bool, 0600);
MODULE_PARM_DESC(fail, "Whether the next namespaces fail, with EIO");

static int __net_init undo_net_init(struct net *net)
{
	return READ_ONCE(fail) ? -EIO : 0;
}

static struct pernet_operations undo_net_ops = {
	.init = undo_net_init,
};

/* Devices come last, so that loopback is among what is undone. */
static int __init undo_init(void)
{
	return register_pernet_device(&undo_net_ops);
}

static void __exit undo_exit(void)
{
	unregister_pernet_device(&undo_net_ops);
}

module_init(undo_init);
module_exit(undo_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Has network namespaces fail to be made");
