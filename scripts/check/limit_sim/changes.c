// SPDX-License-Identifier: GPL-2.0-only
/* Limits that are written while they are in force. */
#include "sim.h"

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

void test_changes(int n)
{
	test_rewrites(n);
	test_dry(n);
	test_slowing(n);
	test_shrinking(n, "out rate 1000", "out rate 1000 burst 1000", 1000);
	test_shrinking(n, "out rate 2000000 burst 2000000",
		       "out rate 1000 burst 10000", 10000);
	test_rewrite_rate("out rate 1000000 burst 100000",
			  "out rate 1000001 burst 200000");
	test_rewrite_rate("out rate 1000000 burst 100000",
			  "out rate 1000000 burst 1000");
}
