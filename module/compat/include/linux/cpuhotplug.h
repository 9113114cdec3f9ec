/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Found where the kernel has none, before Linux 4.6; see ../../cpu_hotplug.c.  Who
 * holds the CPUs' lock then is who may register there.
 */
#ifndef NSGATE_CPUHOTPLUG_H
#define NSGATE_CPUHOTPLUG_H

#include <linux/cpu.h>

#define CPUHP_BP_PREPARE_DYN CPUHP_OFFLINE
#define cpus_read_lock cpu_notifier_register_begin
#define cpus_read_unlock cpu_notifier_register_done

int cpuhp_setup_state_nocalls_cpuslocked(enum cpuhp_state state,
					 const char *name,
					 int (*startup)(unsigned int cpu),
					 int (*teardown)(unsigned int cpu));
void cpuhp_remove_state_nocalls(enum cpuhp_state state);

#endif /* NSGATE_CPUHOTPLUG_H */
