// SPDX-License-Identifier: GPL-2.0-only
/*
 * States of CPUs that come, before Linux 4.6: one function is told of all.  We have one
 * state, of CPUs that are about to run.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/notifier.h>

static int (*comes)(unsigned int cpu); /* set once */

static int cpu_event(struct notifier_block *notifier, unsigned long event,
		     void *cpu)
{
	if ((event & ~CPU_TASKS_FROZEN) != CPU_UP_PREPARE)
		return NOTIFY_DONE;
	return notifier_from_errno(comes((unsigned long)cpu));
}

static struct notifier_block cpus = { .notifier_call = cpu_event };

int cpuhp_setup_state_nocalls_cpuslocked(enum cpuhp_state state,
					 const char *name,
					 int (*startup)(unsigned int cpu),
					 int (*teardown)(unsigned int cpu))
{
	comes = startup;
	return __register_cpu_notifier(&cpus);
}

void cpuhp_remove_state_nocalls(enum cpuhp_state state)
{
	unregister_cpu_notifier(&cpus);
}
