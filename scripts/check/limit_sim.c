// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the limit.c of the module in user space: each thread is a CPU.
 *
 * It is built by limit-sim, which makes it find nothing but what stands here
 * in place of the kernel's headers.
 *
 * Time is what the threads make of it: each packet that is offered moves a
 * clock that all of them share.  So a thread that doesn't run makes nobody wait,
 * and figures don't depend on the machine.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- in place of the kernel ---- */

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

static __thread u64 exchanges; /* writes of what is shared */

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

static u64 div_u64_rem(u64 a, u32 b, u32 *rest)
{
	*rest = a % b;
	return a / b;
}

static u64 div64_u64(u64 a, u64 b)
{
	return a / b;
}

static u64 div_u64(u64 a, u32 b)
{
	return a / b;
}

static int nr_cpus; /* that there are */
static __thread int this_cpu;
static u64 clock_ns;

#define num_online_cpus() (nr_cpus)
#define num_possible_cpus() (nr_cpus)
#define smp_processor_id() (this_cpu)
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < nr_cpus; (cpu)++)
#define per_cpu_ptr(p, cpu) (&(p)[cpu])
#define this_cpu_ptr(p) per_cpu_ptr(p, this_cpu)
#define alloc_percpu(type) ((type *)calloc(CPUS_MAX, sizeof(type)))
#define free_percpu(p) free(p)
#define ktime_get_ns() READ_ONCE(clock_ns)
#define jiffies ((unsigned long)(ktime_get_ns() / (NSEC_PER_SEC / HZ)))

#define in_softirq() true
#define local_bh_disable() ((void)0)
#define local_bh_enable() ((void)0)
#define preempt_disable() ((void)0)
#define preempt_enable() ((void)0)

static void *kzalloc(size_t size, int flags)
{
	(void)flags;
	return calloc(1, size);
}

static void *kcalloc(size_t n, size_t size, int flags)
{
	void *memory = aligned_alloc(64, n * size);

	(void)flags;
	return memory ? memset(memory, 0, n * size) : NULL;
}

static void kfree(const void *memory)
{
	free((void *)memory);
}

static int kstrtou64(const char *text, int base, u64 *value)
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
static u64 read_sides[CPUS_MAX + 1];

#define rcu_read_lock() \
	__atomic_add_fetch(&read_sides[this_cpu], 1, __ATOMIC_SEQ_CST)
#define rcu_read_unlock() rcu_read_lock()
#define rcu_dereference(p) __atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#define rcu_dereference_protected(p, held) ((void)(held), (p))
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)

static void synchronize_rcu_expedited(void)
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
#include "limit.c"

/* ---- the load ---- */

/* What came of a packet that passed: it passed after @from and before @until. */
struct pass {
	u64 from, until; /* ns */
	unsigned int len;
};

struct sender {
	pthread_t thread;
	int cpu;
	unsigned int len;
	u64 packets; /* to offer; if 0, until it is told to stop */
	u64 step; /* ns for 1,024 packets */
	struct pass *passes;
	u64 passed; /* packets */
	u64 bytes;
};

static struct nsgate_limit *limit;
static bool stop;
static int failures;

static void offer(struct sender *sender, u64 step)
{
	struct nsgate_limit_rules *rules;
	struct pass pass = { .len = sender->len };
	bool passes;

	pass.from = __atomic_add_fetch(&clock_ns, step, __ATOMIC_SEQ_CST);
	rcu_read_lock();
	rules = rcu_dereference(limit->rules);
	passes = !rules || nsgate_limit_charge(rules, NSGATE_OUTWARDS, sender->len) ||
		 !nsgate_limit_refuse(rules, NSGATE_OUTWARDS, sender->len);
	rcu_read_unlock();
	pass.until = READ_ONCE(clock_ns);
	if (!passes)
		return;
	sender->bytes += sender->len;
	if (sender->passes)
		sender->passes[sender->passed] = pass;
	sender->passed++;
}

static void *send_all(void *arg)
{
	struct sender *sender = arg;
	u64 i, due = 0;

	this_cpu = sender->cpu;
	for (i = 0; sender->packets ? i < sender->packets : !READ_ONCE(stop); i++) {
		due += sender->step;
		offer(sender, due / 1024);
		due %= 1024;
	}
	return NULL;
}

static int by_until(const void *a, const void *b)
{
	const struct pass *x = a, *y = b;

	return x->until < y->until ? -1 : x->until > y->until;
}

/* The most bytes that surely passed within a second. */
static u64 find_worst_second(struct pass *passes, u64 n)
{
	u64 first = 0, i, bytes = 0, worst = 0;

	qsort(passes, n, sizeof(*passes), by_until);
	for (i = 0; i < n; i++) {
		bytes += passes[i].len;
		while (passes[first].from + NSEC_PER_SEC < passes[i].until)
			bytes -= passes[first++].len;
		worst = max_t(u64, worst, bytes);
	}
	return worst;
}

static void check(bool ok, const char *what)
{
	if (!ok) {
		printf("# failed: %s\n", what);
		failures++;
	}
}

static void write_limit(const char *text)
{
	const char *why = "";
	char copy[256];

	snprintf(copy, sizeof(copy), "%s", text);
	if (nsgate_limit_write(limit, copy, &why)) {
		printf("# failed: %s: %s\n", text, why);
		failures++;
	}
}

static void setup(int n)
{
	nr_cpus = n;
	clock_ns = 1000000000000ULL;
	limit = nsgate_limit_alloc(true);
}

static void start(struct sender *senders, int n, u64 packets, unsigned int len,
		  u64 step, bool keep)
{
	int i;

	memset(senders, 0, n * sizeof(*senders));
	stop = false;
	for (i = 0; i < n; i++) {
		senders[i].cpu = i;
		senders[i].len = len;
		senders[i].packets = packets / n;
		senders[i].step = step;
		if (keep)
			senders[i].passes = calloc(packets / n, sizeof(struct pass));
		if (pthread_create(&senders[i].thread, NULL, send_all, &senders[i]))
			exit(1);
	}
}

static u64 wait_all(struct sender *senders, int n)
{
	u64 bytes = 0;
	int i;

	for (i = 0; i < n; i++) {
		pthread_join(senders[i].thread, NULL);
		bytes += senders[i].bytes;
	}
	return bytes;
}

static u64 worst_of(struct sender *senders, int n)
{
	struct pass *all;
	u64 total = 0, worst;
	int i;

	for (i = 0; i < n; i++)
		total += senders[i].passed;
	all = calloc(total + 1, sizeof(*all));
	total = 0;
	for (i = 0; i < n; i++) {
		memcpy(all + total, senders[i].passes,
		       senders[i].passed * sizeof(*all));
		total += senders[i].passed;
		free(senders[i].passes);
	}
	worst = find_worst_second(all, total);
	free(all);
	return worst;
}

/*
 * All CPUs offer so many times the rate, after they were idle for long.  The step
 * of the clock for 1,024 packets is that part of what they take at that rate.  Where
 * the burst is less than a packet, what comes of the clock while nobody looks is
 * lost: that has to be little.
 */
static void test_rate(int n, u64 rate, u64 burst, unsigned int len, u64 packets,
		      int times)
{
	struct sender senders[CPUS_MAX];
	u64 begin, worst, bytes, most;
	double used, seconds;
	char text[128];

	setup(n);
	snprintf(text, sizeof(text), "out rate %" PRIu64 " burst %" PRIu64, rate,
		 burst);
	write_limit(text);
	clock_ns += 1000LL * NSEC_PER_SEC;
	begin = clock_ns;
	start(senders, n, packets, len, 1024.0 * len / rate * 1e9 / times, true);
	bytes = wait_all(senders, n);
	worst = worst_of(senders, n);
	seconds = (clock_ns - begin) / 1e9;
	most = rate + burst + (u64)n * len;
	used = bytes / (seconds * rate);
	printf("# %2d CPUs, rate %" PRIu64 ", burst %" PRIu64 ", packets of %u: %.3f s, used %.4f of the rate, worst second %.4f of rate + burst\n",
	       n, rate, burst, len, seconds, used, (double)worst / (rate + burst));
	check(worst <= most, "no second has more than rate + burst + a packet a CPU");
	check(used >= 0.99, "99 % of the rate is used");
	check(bytes <= seconds * rate + burst + (double)n * len,
	      "all in all no more than rate and burst");
	nsgate_limit_put(limit);
}

/* What passes at once, of packets of 1000 bytes from CPU after CPU. */
static u64 send_at_once(int n, int packets)
{
	struct sender sender = { .len = 1000 };
	int i;

	for (this_cpu = 0; this_cpu < n; this_cpu++) {
		for (i = 0; i < packets; i++)
			offer(&sender, 0);
	}
	this_cpu = 0;
	return sender.bytes;
}

/*
 * The burst includes what CPUs hold, as long as they do: after idleness one CPU
 * gets all of it.
 */
static void test_burst(int n, u64 rate, u64 burst)
{
	u64 all, one;
	char text[128];

	setup(n);
	snprintf(text, sizeof(text), "out rate %" PRIu64 " burst %" PRIu64, rate,
		 burst);
	write_limit(text);
	send_at_once(n, 1);
	clock_ns += NSEC_PER_SEC / 2;
	all = send_at_once(n, 2000);
	clock_ns += 3600LL * NSEC_PER_SEC;
	one = send_at_once(1, 2000);
	printf("# %2d CPUs, rate %" PRIu64 ", burst %" PRIu64 ": at once from all CPUs %" PRIu64 ", after an hour from one %" PRIu64 "\n",
	       n, rate, burst, all, one);
	check(all <= burst + n * 1000ULL, "what CPUs hold is part of the burst");
	check(one >= burst && one < burst + 1000, "one CPU can have the whole burst");
	nsgate_limit_put(limit);
}

static void test_quota(int n, u64 quota, unsigned int len)
{
	struct nsgate_limit_figures figures[NSGATE_DIRECTIONS];
	struct sender senders[CPUS_MAX], idle = { .len = len };
	char text[128];
	u64 bytes = 0;
	int cpu;

	setup(n);
	snprintf(text, sizeof(text), "out quota %" PRIu64, quota);
	write_limit(text);
	/* All hold something; one of them will never send again. */
	for (cpu = 0; cpu < n; cpu++) {
		this_cpu = cpu;
		offer(&idle, 1);
	}
	this_cpu = 0;
	start(senders, n > 1 ? n - 1 : 1, 2 * quota / len + 1000, len, 1024, false);
	bytes = wait_all(senders, n > 1 ? n - 1 : 1) + idle.bytes;
	nsgate_limit_read(limit, figures);
	printf("# %2d CPUs, quota %" PRIu64 ", packets of %u: passed %" PRId64 " more\n",
	       n, quota, len, (s64)(bytes - quota));
	check(bytes >= quota, "all of the quota can be used");
	check(bytes <= quota + (u64)n * len, "no more than a packet a CPU over it");
	check(figures[NSGATE_OUTWARDS].used == bytes, "used is what passed");
	nsgate_limit_put(limit);
}

static u64 used_now(void)
{
	struct nsgate_limit_figures figures[NSGATE_DIRECTIONS];

	nsgate_limit_read(limit, figures);
	return figures[NSGATE_OUTWARDS].used;
}

/* All that 64 bits can say. */
static void test_large_quotas(void)
{
	struct sender sender = { .len = 600 };

	setup(2);
	write_limit("out quota 18446744073709551615 used 18446744073709551000");
	check(used_now() == 18446744073709551000ULL, "what is written can be read");
	offer(&sender, 1);
	check(sender.passed == 1, "615 bytes are left of a quota");
	check(used_now() == 18446744073709551600ULL, "what passed is added");
	offer(&sender, 1);
	offer(&sender, 1);
	check(sender.passed == 2, "the largest quota ends");
	check(used_now() == U64_MAX, "what is used has no carry");
	write_limit("out quota 18446744073709551615");
	offer(&sender, 1);
	check(sender.passed == 2, "and it stays spent");
	write_limit("out quota 5 used 18446744073709551615");
	offer(&sender, 1);
	check(sender.passed == 2 && used_now() == U64_MAX, "a small quota is spent");
	write_limit("out quota 18446744073709551615 used 4");
	offer(&sender, 1);
	check(sender.passed == 3 && used_now() == 604, "a large one isn't");
	nsgate_limit_put(limit);
}

/* What is dropped writes nothing that is shared, whichever of the two drops it. */
static void test_drops(int n, const char *text)
{
	struct sender sender = { .len = 1000 };
	u64 before, passed, writes = 0;
	int i, dropped = 0;

	setup(n);
	write_limit(text);
	/* Until the end of what there is. */
	for (i = 0; i < 1000; i++)
		offer(&sender, 1);
	/* Time goes on, and so may the bucket, for about 50 packets. */
	for (i = 0; i < 1000; i++) {
		before = exchanges;
		passed = sender.passed;
		offer(&sender, 50000000);
		if (sender.passed != passed)
			continue;
		dropped++;
		writes += exchanges - before;
	}
	printf("# %2d CPUs, \"%s\": %d packets dropped, %" PRIu64 " writes of what is shared\n",
	       n, text, dropped, writes);
	check(dropped >= 900 && !writes, "what is dropped writes nothing that is shared");
	nsgate_limit_put(limit);
}

/* So many packets that a link needs, at once, are spared if they can be. */
static void ask_to_spare(struct sender *sender, u64 step, int packets)
{
	struct pass pass = { .len = 1 };

	for (clock_ns += step; packets--; ) {
		pass.from = clock_ns;
		pass.until = clock_ns;
		if (nsgate_limit_spare(limit->rules, packets % 2, 60))
			sender->passes[sender->passed++] = pass;
	}
}

/* 100 in any second and not only in those that begin with a packet. */
static void test_spared(void)
{
	struct sender sender = { .passes = calloc(10000, sizeof(struct pass)) };
	u64 all;
	int i;

	setup(1);
	write_limit("in quota 0 out quota 0");
	ask_to_spare(&sender, 0, 1000);
	check(sender.passed == 100, "100 packets are spared at once");
	ask_to_spare(&sender, 3 * NSEC_PER_SEC, 1);
	ask_to_spare(&sender, 990000000, 1000);
	ask_to_spare(&sender, 20000000, 1000);
	ask_to_spare(&sender, 3 * NSEC_PER_SEC, 0);
	all = sender.passed;
	for (i = 0; i < 10000; i++)
		ask_to_spare(&sender, 1000000, 1);
	all = sender.passed - all;
	printf("# spared in 10 s: %" PRIu64 ", in the worst second %" PRIu64 "\n", all,
	       find_worst_second(sender.passes, sender.passed));
	check(find_worst_second(sender.passes, sender.passed) <= 100,
	      "no second has more than 100 that are spared");
	check(all >= 900, "nearly 100 are spared in each");
	free(sender.passes);
	nsgate_limit_put(limit);
}

/* Rates and quotas come and go; what passed is charged whatever was in force. */
static void test_rewrites(int n)
{
	static const char *const texts[] = {
		"out rate 1000000000 burst 100000 quota 4000000000",
		"out quota 4000000000",
		"in rate 1 out rate 20000000000 quota 4000000000",
		"out rate 2000000000 burst 1 quota 4000000000",
	};
	struct nsgate_limit_figures figures[NSGATE_DIRECTIONS];
	struct sender senders[CPUS_MAX];
	u64 bytes, before = 0;
	int i;

	setup(n);
	write_limit(texts[1]);
	this_cpu = CPUS_MAX; /* reads and writes from none of them */
	start(senders, n, 0, 1000, 102400, false);
	for (i = 0; i < (n > 4 ? 100 : 1000); i++) {
		write_limit(texts[i % 4]);
		nsgate_limit_read(limit, figures);
		check(figures[NSGATE_OUTWARDS].used >= before, "used only grows");
		before = figures[NSGATE_OUTWARDS].used;
	}
	write_limit(texts[1]);
	do {
		sched_yield();
		nsgate_limit_read(limit, figures);
	} while (figures[NSGATE_OUTWARDS].over.packets < 1000 ||
		 figures[NSGATE_OUTWARDS].used < 4000000000);
	WRITE_ONCE(stop, true);
	bytes = wait_all(senders, n);
	nsgate_limit_read(limit, figures);
	printf("# %2d CPUs, %d rewrites: passed %" PRIu64 ", used %" PRIu64 ", %" PRIu64 " in the last rewrite\n",
	       n, i, bytes, figures[NSGATE_OUTWARDS].used, before);
	check(figures[NSGATE_OUTWARDS].used == bytes, "rewrites lose no charge");
	check(bytes >= 4000000000 && bytes <= 4000000000 + n * 1000ULL,
	      "the quota ends when it is used, whatever was written meanwhile");
	this_cpu = 0;
	nsgate_limit_put(limit);
}

/* In a dry run all passes, and is used; what it says would be so. */
static void test_dry(int n)
{
	struct nsgate_limit_figures figures[NSGATE_DIRECTIONS];
	const struct nsgate_limit_figures *out = &figures[NSGATE_OUTWARDS];
	struct sender senders[CPUS_MAX];
	u64 bytes, begin;
	double within;

	setup(n);
	write_limit("dry out rate 1000000000 burst 1000000");
	begin = clock_ns;
	start(senders, n, 1000000, 1000, 256000, false);
	bytes = wait_all(senders, n);
	nsgate_limit_read(limit, figures);
	within = bytes - out->over.bytes;
	printf("# %2d CPUs, dry run: passed %" PRIu64 ", used %" PRIu64 ", over %" PRIu64 "\n",
	       n, bytes, out->used, out->over.bytes);
	check(bytes == 1000000ULL / n * n * 1000, "in a dry run all passes");
	check(out->used == bytes, "and is used");
	check(within <= 1000000 + n * 1000 + (clock_ns - begin) &&
	      within >= 0.9 * (clock_ns - begin), "what is over is counted");
	nsgate_limit_put(limit);
}

/*
 * A rewrite gives back nothing: the bucket goes on as it was, or cut to another
 * burst, and what is owed stays owed.
 */
static void test_rewrite_rate(const char *one, const char *other)
{
	struct sender sender = { .len = 1000 };
	int i;

	setup(2);
	write_limit("out rate 1000000 burst 100000");
	for (i = 0; i < 100; i++)
		offer(&sender, 0);
	for (i = 0; i < 10000; i++) {
		write_limit(i % 2 ? one : other);
		offer(&sender, 1000);
	}
	printf("# 10,000 rewrites in 10 ms: passed %" PRIu64 " of a burst of 100000\n",
	       sender.bytes);
	check(sender.bytes >= 100000 && sender.bytes <= 100000 + 10000 + 1000,
	      "rewrites fill no bucket");
	nsgate_limit_put(limit);
}

/* A smaller burst or rate holds at once: what CPUs held of the old one is gone. */
static void test_shrinking(int n, const char *from, const char *to, u64 burst)
{
	u64 bytes;

	setup(n);
	write_limit(from);
	send_at_once(n, 1);
	clock_ns += NSEC_PER_SEC / 100;
	write_limit(to);
	bytes = send_at_once(n, 2000);
	printf("# %2d CPUs, \"%s\", then \"%s\": at once %" PRIu64 "\n", n, from, to,
	       bytes);
	check(bytes >= burst && bytes <= burst + n * 1000ULL,
	      "what is held of a larger burst doesn't pass besides a smaller one");
	nsgate_limit_put(limit);
}

/* From very fast to very slow under load: nobody owes what was right then. */
static void test_slowing(int n)
{
	struct sender senders[CPUS_MAX], last = { .len = 1000 };
	int i;

	setup(n);
	start(senders, n, 0, 1000000, 1024000, false);
	for (i = 0; i < 20; i++) {
		write_limit("out rate 1000000000000 burst 1000000000");
		sched_yield();
		write_limit("out rate 1 burst 1000");
	}
	WRITE_ONCE(stop, true);
	wait_all(senders, n);
	/* For what a CPU may owe, and then for what its last packet took. */
	clock_ns += 1100000LL * NSEC_PER_SEC;
	offer(&last, 1);
	check(last.bytes == 1000, "a slow rate goes on after a fast one");
	nsgate_limit_put(limit);
}

/* Years of idleness, and what a clock of 64 bits can tell. */
static void test_years(u64 rate)
{
	struct sender sender = { .len = 1500 };
	char text[64];
	int day;

	setup(4);
	snprintf(text, sizeof(text), "out rate %" PRIu64, rate);
	write_limit(text);
	for (day = 1; day < 36500; day += 1 + day / 7) {
		clock_ns += day * 86400LL * NSEC_PER_SEC;
		if (clock_ns > S64_MAX)
			break;
		sender.bytes = 0;
		offer(&sender, 1);
		check(sender.bytes, "what was idle for days passes");
	}
	nsgate_limit_put(limit);
}

static void test_texts(void)
{
	static const char *const bad[] = {
		"", "\n", " none", "none ", "none none", "dry", "dry none", "in", "out",
		"in rate", "in rate 0", "in rate -1", "in rate +1", "in rate 0x10",
		"in rate 1000000000001", "in rate 18446744073709551616", "in rate 1 ",
		"in  rate 1", "in rate 1 burst", "in rate 1 burst 0", "in burst 1",
		"in quota", "in quota -1", "in quota 18446744073709551616",
		"in quota 1 used", "in used 1", "in rate 1 used 1",
		"in quota 1 rate 1", "in rate 1 rate 1", "in rate 1 in rate 1",
		"in rate 1 in quota 1", "in rate 1 out", "in rate 1 dry out rate 1",
		"in rate 1 none", "in rate 1\nout rate 1",
		"in rate 1\n out rate 1", "in rate 1\n\n", "on in rate 1", "in rate 1k",
		"inrate 1", "in rate1", "both rate 1", "in quota 1 burst 1",
	};
	struct nsgate_limit_figures figures[NSGATE_DIRECTIONS];
	char text[128];
	const char *why;
	unsigned int i;

	setup(1);
	write_limit("in rate 7 quota 9");
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(text, sizeof(text), "%s", bad[i]);
		if (nsgate_limit_write(limit, text, &why) != -EINVAL) {
			printf("# failed: \"%s\" is taken\n", bad[i]);
			failures++;
		}
	}
	nsgate_limit_read(limit, figures);
	check(figures[NSGATE_INWARDS].rate == 7 && figures[NSGATE_INWARDS].burst == 65536 &&
	      figures[NSGATE_INWARDS].quota == 9 && !figures[NSGATE_OUTWARDS].rate &&
	      !figures[NSGATE_OUTWARDS].has_quota, "bad texts change nothing");
	write_limit("out quota 100 used 40 in rate 2000000\n");
	check(!strcmp(nsgate_limit_read(limit, figures), "on"), "mode");
	check(figures[NSGATE_OUTWARDS].used == 40 && figures[NSGATE_OUTWARDS].quota == 100 &&
	      figures[NSGATE_INWARDS].burst == 100000 && !figures[NSGATE_INWARDS].has_quota,
	      "directions in either order");
	write_limit("dry out quota 5");
	check(!strcmp(nsgate_limit_read(limit, figures), "dry") &&
	      figures[NSGATE_OUTWARDS].used == 40, "what is used is kept");
	write_limit("none\n");
	check(!strcmp(nsgate_limit_read(limit, figures), "none") &&
	      !figures[NSGATE_OUTWARDS].has_quota, "none");
	nsgate_limit_put(limit);
}

int main(void)
{
	static const int counts[] = { 1, 2, 4, 16 };
	unsigned int i;

	setbuf(stdout, NULL);
	test_texts();
	for (i = 0; i < 4; i++) {
		int n = counts[i];

		test_rate(n, 1, 1, 1500, 400000, 400);
		test_rate(n, 125000, 65536, 1500, 100000, 4);
		test_rate(n, 12500000, 625000, 1500, 400000, 4);
		test_rate(n, 12500000, 1500, 1500, 400000, 4);
		test_rate(n, 125000000, 6250000, 1514, 1000000, 4);
		test_rate(n, 1000000000000ULL, 1000000000ULL, 524288, 9000000, 4);
		test_burst(n, 125000, 65536);
		test_burst(n, 1000000, 1000000);
		test_quota(n, 0, 1500);
		test_quota(n, 1000, 1500);
		test_quota(n, 10000000, 1500);
		test_quota(n, 100000000, 300);
		test_drops(n, "out rate 1000 burst 1");
		test_drops(n, "out rate 1000 burst 1 quota 0");
		test_drops(n, "out rate 1000 quota 30000");
		test_rewrites(n);
		test_dry(n);
		test_slowing(n);
		test_shrinking(n, "out rate 1000", "out rate 1000 burst 1000", 1000);
		test_shrinking(n, "out rate 2000000 burst 2000000",
			       "out rate 1000 burst 10000", 10000);
	}
	test_rewrite_rate("out rate 1000000 burst 100000",
			  "out rate 1000001 burst 200000");
	test_rewrite_rate("out rate 1000000 burst 100000",
			  "out rate 1000000 burst 1000");
	test_large_quotas();
	test_spared();
	test_years(1);
	test_years(1000000000);
	test_years(1000000000000ULL);
	printf("%d failures\n", failures);
	return failures != 0;
}
