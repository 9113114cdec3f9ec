// SPDX-License-Identifier: GPL-2.0-only
/* The limit.c of the module, and the CPUs that it runs on. */
#include "sim.h"

__thread u64 exchanges;
int nr_cpus;
__thread int this_cpu;
u64 clock_ns;
u64 read_sides[CPUS_MAX + 1];

#include "limit.c"

struct nsgate_limit *limit;
bool stop;
int failures;

void offer(struct sender *sender, u64 step)
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

u64 find_worst_second(struct pass *passes, u64 n)
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

void check(bool ok, const char *what)
{
	if (!ok) {
		printf("# failed: %s\n", what);
		failures++;
	}
}

void write_limit(const char *text)
{
	const char *why = "";
	char copy[256];

	snprintf(copy, sizeof(copy), "%s", text);
	if (nsgate_limit_write(limit, copy, &why)) {
		printf("# failed: %s: %s\n", text, why);
		failures++;
	}
}

void setup(int n)
{
	nr_cpus = n;
	clock_ns = 1000000000000ULL;
	limit = nsgate_limit_alloc(true);
}

void start(struct sender *senders, int n, u64 packets, unsigned int len,
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

u64 wait_all(struct sender *senders, int n)
{
	u64 bytes = 0;
	int i;

	for (i = 0; i < n; i++) {
		pthread_join(senders[i].thread, NULL);
		bytes += senders[i].bytes;
	}
	return bytes;
}

u64 worst_of(struct sender *senders, int n)
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

u64 send_at_once(int n, int packets)
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
