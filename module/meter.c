// SPDX-License-Identifier: GPL-2.0-only
/*
 * Per-CPU counters.  Each CPU writes its own, so that no cache line is shared;
 * readers add them up.
 */
#include <linux/bottom_half.h>
#include <linux/percpu.h>

#include "nsgate.h"

struct nsgate_meter __percpu *nsgate_meter_alloc(void)
{
	struct nsgate_meter __percpu *meter;
	int cpu;

	/* A bind that fails is told by an error and by one line in the log. */
	meter = alloc_percpu_gfp(struct nsgate_meter,
				 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!meter)
		return NULL;
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(meter, cpu)->syncp);
	return meter;
}

void nsgate_meter_free(struct nsgate_meter __percpu *meter)
{
	free_percpu(meter);
}

#if BITS_PER_LONG != 64
/* Keeps softirqs out, and readers waiting. */
void nsgate_meter_count(struct nsgate_meter __percpu *meter,
			struct nsgate_count __percpu *count, unsigned int len)
{
	struct nsgate_count *this;
	struct nsgate_meter *cpu;

	local_bh_disable();
	cpu = this_cpu_ptr(meter);
	this = this_cpu_ptr(count);
	u64_stats_update_begin(&cpu->syncp);
	this->packets++;
	this->bytes += len;
	u64_stats_update_end(&cpu->syncp);
	local_bh_enable();
}
#endif

void nsgate_meter_drop(struct nsgate_meter __percpu *meter,
		       enum nsgate_point point, unsigned int proto,
		       unsigned int len)
{
	nsgate_meter_count(meter, &meter->dropped[point][proto], len);
}

void nsgate_meter_judge(struct nsgate_meter __percpu *meter,
			enum nsgate_judged judged, unsigned int len)
{
	nsgate_meter_count(meter, &meter->judged[judged], len);
}

/* Adds what one CPU has counted. */
static void add_up(struct nsgate_count *sum, const struct nsgate_meter *meter,
		   const struct nsgate_count *count)
{
	unsigned int start;
	u64 packets, bytes;

	do {
		start = u64_stats_fetch_begin(&meter->syncp);
		packets = READ_ONCE(count->packets);
		bytes = READ_ONCE(count->bytes);
	} while (u64_stats_fetch_retry(&meter->syncp, start));
	sum->packets += packets;
	sum->bytes += bytes;
}

void nsgate_meter_sum(const struct nsgate_meter __percpu *meter,
		      enum nsgate_point point,
		      struct nsgate_sum sum[NSGATE_PROTOS])
{
	int cpu, proto;

	memset(sum, 0, NSGATE_PROTOS * sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct nsgate_meter *this = per_cpu_ptr(meter, cpu);

		for (proto = 0; proto < NSGATE_PROTOS; proto++) {
			add_up(&sum[proto].seen, this,
			       &this->seen[point][proto]);
			add_up(&sum[proto].dropped, this,
			       &this->dropped[point][proto]);
		}
	}
}

u64 nsgate_meter_sum_judged(const struct nsgate_meter __percpu *meter,
			    enum nsgate_judged judged)
{
	struct nsgate_count sum = {};
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct nsgate_meter *this = per_cpu_ptr(meter, cpu);

		add_up(&sum, this, &this->judged[judged]);
	}
	return sum.packets;
}
