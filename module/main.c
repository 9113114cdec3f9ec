// SPDX-License-Identifier: GPL-2.0-only
/*
 * nsgate meters and polices the traffic of chosen network namespaces from
 * outside them.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/sysfs.h>

#include "nsgate.h"

/*
 * The parameter can be written before init has run, from the command line of
 * insmod and then through sysfs, and until after exit, by who has it open.
 */
static enum { LOADING, READY, UNLOADING } stage; /* kernel_param_lock */
static char *initial_targets; /* of the command line; kernel_param_lock */

/*
 * A bind takes as long as the namespace has devices, and a release waits for a
 * moment: neither is waited for by those who use another parameter.
 */
static int write_targets(const char *text)
{
	size_t len = strlen(text);
	bool unsettled;
	int err;

	/* sysfs hands over no more than a page, and insmod whatever it is told. */
	if (len >= PAGE_SIZE) {
		pr_err("inode: a line of %zu bytes may lack its end\n", len);
		return -EINVAL;
	}
	kernel_param_unlock(THIS_MODULE);
	err = nsgate_target_write(text, &unsettled);
	if (unsettled)
		nsgate_target_settle();
	kernel_param_lock(THIS_MODULE);
	return err;
}

static int inode_set(const char *text, const struct kernel_param *kp)
{
	int err;

	err = nsgate_proc_may_control();
	if (err)
		return err;
	switch (stage) {
	case LOADING:
		/* Nobody but the command line says what to load with. */
		if (THIS_MODULE->mkobj.kobj.state_in_sysfs)
			return -ENODEV;
		kfree(initial_targets);
		initial_targets = kstrdup(text, GFP_KERNEL);
		return initial_targets ? 0 : -ENOMEM;
	case READY:
		return write_targets(text);
	default:
		return -ENODEV;
	}
}

static int inode_get(char *buf, const struct kernel_param *kp)
{
	return nsgate_param_said(buf, nsgate_target_read(buf));
}

static void inode_free(void *arg)
{
	kfree(initial_targets);
}

static const struct kernel_param_ops inode_ops = {
	.set = inode_set,
	.get = inode_get,
	.free = inode_free,
};
module_param_cb(inode, &inode_ops, NULL, 0600);
MODULE_PARM_DESC(inode,
		 "Proc inodes of the network namespaces to bind to, comma separated (\"+N\" and \"-N\" bind and release one)");

static enum nsgate_auto initial_auto; /* kernel_param_lock */

static int parse_auto(const char *text)
{
	size_t len = strcspn(text, "\n");
	int mode;

	for (mode = 0; nsgate_auto_names[mode]; mode++) {
		if (sysfs_streq(text, nsgate_auto_names[mode]))
			return mode;
	}
	pr_err("auto: " NSGATE_QUOTED " is not off, children or all\n",
	       (int)min_t(size_t, len, 32), text);
	return -EINVAL;
}

static int auto_set(const char *text, const struct kernel_param *kp)
{
	int mode;

	mode = nsgate_proc_may_control();
	if (mode)
		return mode;
	if (stage == UNLOADING ||
	    (stage == LOADING && THIS_MODULE->mkobj.kobj.state_in_sysfs))
		return -ENODEV;
	mode = parse_auto(text);
	if (mode < 0)
		return mode;
	if (stage == LOADING)
		initial_auto = mode;
	else
		nsgate_target_set_auto(mode);
	return 0;
}

static int auto_get(char *buf, const struct kernel_param *kp)
{
	struct nsgate_births births;

	nsgate_target_births(&births);
	return nsgate_param_said(buf,
				 sysfs_emit(buf, "%s\n",
					    nsgate_auto_names[births.mode]));
}

static const struct kernel_param_ops auto_ops = {
	.set = auto_set,
	.get = auto_get,
};

/* The word is a macro of newer kernels, and would give the parameter its name. */
#pragma push_macro("auto")
#undef auto
module_param_cb(auto, &auto_ops, NULL, 0600);
#pragma pop_macro("auto")
MODULE_PARM_DESC(auto,
		 "Which namespaces become targets when they are made: off (default), children of targets, or all");

static struct nsgate_config config = { .flows = 1024 };

static int flows_set(const char *text, const struct kernel_param *kp)
{
	unsigned int flows;

	if (kstrtouint(text, 10, &flows) || flows > NSGATE_FLOWS_MAX) {
		pr_err("flows: " NSGATE_QUOTED " is not 0 to %u\n",
		       (int)strnlen(text, 32), text, NSGATE_FLOWS_MAX);
		return -EINVAL;
	}
	config.flows = flows;
	return 0;
}

static const struct kernel_param_ops flows_ops = {
	.set = flows_set,
	.get = param_get_uint,
};
module_param_cb(flows, &flows_ops, &config.flows, 0400);
MODULE_PARM_DESC(flows,
		 "Flow entries per CPU and target, rounded up to a power of two; 0 for none (default 1024)");

static int policy_set(const char *text, const struct kernel_param *kp)
{
	static const char *const policies[] = { "accept", "drop" };
	int i = sysfs_match_string(policies, text);

	if (i < 0) {
		pr_err("policy: " NSGATE_QUOTED " is neither accept nor drop\n",
		       (int)strnlen(text, 32), text);
		return -EINVAL;
	}
	config.drop = i;
	return 0;
}

static int policy_get(char *buf, const struct kernel_param *kp)
{
	return nsgate_param_said(buf,
				 sysfs_emit(buf, "%s\n",
					    config.drop ? "drop" : "accept"));
}

static const struct kernel_param_ops policy_ops = {
	.set = policy_set,
	.get = policy_get,
};
module_param_cb(policy, &policy_ops, NULL, 0400);
MODULE_PARM_DESC(policy,
		 "What the gate of a new target does: accept (default) or drop");

module_param_named(gate_init_net, config.gate_init_net, bool, 0400);
MODULE_PARM_DESC(gate_init_net,
		 "Whether the gate may cut off the initial network namespace (default no)");

static int __init bind_initial_targets(void)
{
	bool unsettled;
	int err = 0;

	/* Nobody else writes it while the module is being loaded. */
	if (initial_targets && *initial_targets)
		err = nsgate_target_write(initial_targets, &unsettled);
	if (err)
		return err;
	kernel_param_lock(THIS_MODULE);
	kfree(initial_targets);
	initial_targets = NULL;
	stage = READY;
	nsgate_target_set_auto(initial_auto);
	kernel_param_unlock(THIS_MODULE);
	return 0;
}

static int __init nsgate_init(void)
{
	int err;

	err = nsgate_notifier_init();
	if (err)
		return err;

	err = nsgate_flow_init();
	if (err)
		goto err_notifier;

	err = nsgate_target_init(&config);
	if (err)
		goto err_flow;

	err = nsgate_proc_init();
	if (err)
		goto err_target;

	err = bind_initial_targets();
	if (err)
		goto err_proc;
	return 0;

err_proc:
	nsgate_target_release_all();
	nsgate_proc_exit();
err_target:
	nsgate_target_exit();
err_flow:
	nsgate_flow_exit();
err_notifier:
	nsgate_notifier_exit();
	nsgate_rcu_work_exit();
	return err;
}

static void __exit nsgate_exit(void)
{
	/* No new target from here on ... */
	kernel_param_lock(THIS_MODULE);
	stage = UNLOADING;
	nsgate_target_set_auto(NSGATE_AUTO_OFF);
	kernel_param_unlock(THIS_MODULE);
	/* ... no target, no reader of one, and no packet in a hook ... */
	nsgate_target_release_all();
	/* ... nobody who asks a namespace for its slot ... */
	nsgate_proc_exit();
	/* ... nothing of us in any namespace ... */
	nsgate_target_exit();
	/* ... no CPU that asks for entries in a table of flows ... */
	nsgate_flow_exit();
	/* ... no device that is told to us ... */
	nsgate_notifier_exit();
	/* ... and nothing that RCU calls. */
	nsgate_rcu_work_exit();
}

module_init(nsgate_init);
module_exit(nsgate_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Meter and police chosen network namespaces from outside");
MODULE_VERSION(NSGATE_VERSION);
