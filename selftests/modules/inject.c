// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes things fail that Linux's own fault injection doesn't get at, when the
 * parameter nth has counted down to 0:
 *
 * With function=, that function of the kernel returns value at its nth call, and
 * does nothing.  The kernel's fail_function is no good for that: it asks for
 * random numbers within a breakpoint, which makes lockdep complain and give up.
 *
 * Without, an allocation fails in whoever loads the next module: the first one
 * for its parameters, or one of those from its init on.  What the kernel does
 * before and in between is its own, and it warns of failures there.
 */
#include <linux/errno.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/ptrace.h>
#include <linux/sched.h>

static char *function;
module_param(function, charp, 0400);
MODULE_PARM_DESC(function, "Which function of the kernel is to fail");

static long value;
module_param(value, long, 0400);
MODULE_PARM_DESC(value, "What it returns then");

static unsigned int nth;
module_param(nth, uint, 0600);
MODULE_PARM_DESC(nth, "How many chances to fail there are until one comes true");

static int begin_function(struct kprobe *probe, struct pt_regs *regs)
{
	if (!nth || --nth)
		return 0;
#ifdef CONFIG_X86
	/* It has not touched the stack yet: the address to return to is on top. */
	regs->ip = *(unsigned long *)regs->sp;
	regs->sp += sizeof(unsigned long);
	regs->ax = value;
#endif
	return 1;
}

static int begin_parameters(struct kprobe *probe, struct pt_regs *regs)
{
	if (nth == 1)
		current->fail_nth = 1;
	return 0;
}

static int begin_init(struct kprobe *probe, struct pt_regs *regs)
{
	if (nth > 1)
		current->fail_nth = nth - 1;
	nth = 0;
	return 0;
}

/*
 * A probe with a post handler is never optimized to a jump, and only without that
 * can it leave the function.
 */
static void after(struct kprobe *probe, struct pt_regs *regs,
		  unsigned long flags)
{
}

static struct kprobe function_probe = {
	.pre_handler = begin_function,
	.post_handler = after,
};

static struct kprobe parameters_probe = {
	.symbol_name = "parse_args",
	.pre_handler = begin_parameters,
};

static struct kprobe init_probe = {
	.symbol_name = "do_init_module",
	.pre_handler = begin_init,
};

static struct kprobe *load_probes[] = { &parameters_probe, &init_probe };

static int __init inject_init(void)
{
	if (!IS_ENABLED(CONFIG_X86))
		return -EOPNOTSUPP;
	if (!function)
		return register_kprobes(load_probes, ARRAY_SIZE(load_probes));
	function_probe.symbol_name = function;
	return register_kprobe(&function_probe);
}

static void __exit inject_exit(void)
{
	if (function)
		unregister_kprobe(&function_probe);
	else
		unregister_kprobes(load_probes, ARRAY_SIZE(load_probes));
}

module_init(inject_init);
module_exit(inject_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Functions and allocations that fail");
