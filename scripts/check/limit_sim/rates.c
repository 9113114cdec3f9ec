// SPDX-License-Identifier: GPL-2.0-only
/* Rates and bursts, and what is spared. */
#include "sim.h"

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

void test_rates(int n)
{
	test_rate(n, 1, 1, 1500, 400000, 400);
	test_rate(n, 125000, 65536, 1500, 100000, 4);
	test_rate(n, 12500000, 625000, 1500, 400000, 4);
	test_rate(n, 12500000, 1500, 1500, 400000, 4);
	test_rate(n, 125000000, 6250000, 1514, 1000000, 4);
	test_rate(n, 1000000000000ULL, 1000000000ULL, 524288, 9000000, 4);
	test_burst(n, 125000, 65536);
	test_burst(n, 1000000, 1000000);
}

void test_bursts(void)
{
	test_spared();
	test_years(1);
	test_years(1000000000);
	test_years(1000000000000ULL);
}
