// SPDX-License-Identifier: GPL-2.0-only
/* Quotas, and what a drop writes. */
#include "sim.h"

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
void test_large_quotas(void)
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

void test_quotas(int n)
{
	test_quota(n, 0, 1500);
	test_quota(n, 1000, 1500);
	test_quota(n, 10000000, 1500);
	test_quota(n, 100000000, 300);
	test_drops(n, "out rate 1000 burst 1");
	test_drops(n, "out rate 1000 burst 1 quota 0");
	test_drops(n, "out rate 1000 quota 30000");
}
