/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What limit.c and its part of nsgate.h use of the kernel, for user space: each
 * thread is a CPU.
 */
#ifndef LIMIT_SIM_KERNEL_H
#define LIMIT_SIM_KERNEL_H

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef int64_t s64;
typedef uint64_t u64;

#define CPUS_MAX 64
#define HZ 250
#define NSEC_PER_SEC 1000000000L
#define S64_MAX INT64_MAX
#define U64_MAX UINT64_MAX
#define GFP_KERNEL 0
#define GFP_KERNEL_ACCOUNT 0
#define __GFP_NOWARN 0

#define __percpu
#define __rcu
#define ____cacheline_aligned_in_smp __attribute__((aligned(64)))
#define noinline __attribute__((noinline))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define IS_ENABLED(option) 0

#define min(a, b) ((a) < (b) ? (a) : (b))
#define min_t(t, a, b) ((t)(a) < (t)(b) ? (t)(a) : (t)(b))
#define max_t(t, a, b) ((t)(a) > (t)(b) ? (t)(a) : (t)(b))
#define DIV_ROUND_UP(a, b) (((a) + (b) - 1) / (b))
#define clamp_t(t, v, low, high) min_t(t, max_t(t, v, low), high)

#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
#define smp_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n(p, (v), __ATOMIC_RELEASE)
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)

typedef struct {
	s64 counter;
} atomic64_t;

extern __thread u64 exchanges; /* writes of what is shared */

#define atomic64_read(a) READ_ONCE((a)->counter)
#define atomic64_set(a, v) WRITE_ONCE((a)->counter, (v))
#define atomic64_try_cmpxchg(a, old, new) \
	(exchanges++, __atomic_compare_exchange_n(&(a)->counter, (old), (new), false, \
				    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))

struct u64_stats_sync {
	int unused;
};

#define u64_stats_init(s) ((void)(s))
#define u64_stats_update_begin(s) ((void)(s))
#define u64_stats_update_end(s) ((void)(s))
#define u64_stats_fetch_begin(s) ((void)(s), 0)
#define u64_stats_fetch_retry(s, start) ((void)(s), (void)(start), false)

static inline u64 div_u64_rem(u64 a, u32 b, u32 *rest)
{
	*rest = a % b;
	return a / b;
}

static inline u64 div64_u64(u64 a, u64 b)
{
	return a / b;
}

static inline u64 div_u64(u64 a, u32 b)
{
	return a / b;
}

extern int nr_cpus; /* that there are */
extern __thread int this_cpu;
extern u64 clock_ns;

#define num_online_cpus() (nr_cpus)
#define num_possible_cpus() (nr_cpus)
#define smp_processor_id() (this_cpu)
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < nr_cpus; (cpu)++)
#define per_cpu_ptr(p, cpu) (&(p)[cpu])
#define this_cpu_ptr(p) per_cpu_ptr(p, this_cpu)
#define alloc_percpu_gfp(type, gfp) ((type *)calloc(CPUS_MAX, sizeof(type)))
#define free_percpu(p) free(p)
#define ktime_get_ns() READ_ONCE(clock_ns)
#define jiffies ((unsigned long)(ktime_get_ns() / (NSEC_PER_SEC / HZ)))

#define in_softirq() true
#define local_bh_disable() ((void)0)
#define local_bh_enable() ((void)0)
#define preempt_disable() ((void)0)
#define preempt_enable() ((void)0)

static inline void *kzalloc(size_t size, int flags)
{
	(void)flags;
	return calloc(1, size);
}

static inline void *kcalloc(size_t n, size_t size, int flags)
{
	void *memory = aligned_alloc(64, n * size);

	(void)flags;
	return memory ? memset(memory, 0, n * size) : NULL;
}

static inline void kfree(const void *memory)
{
	free((void *)memory);
}

static inline int kstrtou64(const char *text, int base, u64 *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, base);
	/* As in the kernel, which takes a newline at the end. */
	return errno || (*end && strcmp(end, "\n")) ? -EINVAL : 0;
}

struct kref {
	int count;
};

#define kref_init(k) ((k)->count = 1)
#define kref_get(k) ((k)->count++)
#define kref_put(k, free) (--(k)->count ? (void)0 : free(k))
#define container_of(p, type, field) \
	((type *)((char *)(p) - offsetof(type, field)))

struct mutex {
	int unused;
};

#define mutex_init(m) ((void)(m))
#define mutex_lock(m) ((void)(m))
#define mutex_unlock(m) ((void)(m))
#define lockdep_is_held(m) ((void)(m), true)

/* Odd while the thread is in a read side. */
extern u64 read_sides[CPUS_MAX + 1];

#define rcu_read_lock() \
	__atomic_add_fetch(&read_sides[this_cpu], 1, __ATOMIC_SEQ_CST)
#define rcu_read_unlock() rcu_read_lock()
#define rcu_dereference(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define rcu_dereference_protected(p, held) ((void)(held), (p))
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)

static inline void synchronize_rcu_expedited(void)
{
	u64 seen;
	int cpu;

	smp_mb();
	for (cpu = 0; cpu < CPUS_MAX; cpu++) {
		seen = READ_ONCE(read_sides[cpu]);
		while (seen % 2 && READ_ONCE(read_sides[cpu]) == seen)
			sched_yield();
	}
	smp_mb();
}

struct nsgate_count {
	u64 packets;
	u64 bytes;
};

#include "limit.h"

#endif /* LIMIT_SIM_KERNEL_H */
