// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the limit.c of the module in user space.  It is built by limit-sim, which makes
 * it find nothing but kernel.h in place of the kernel's headers.
 */
#include "sim.h"

void test_texts(void)
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
	for (i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		test_rates(counts[i]);
		test_quotas(counts[i]);
		test_changes(counts[i]);
	}
	test_large_quotas();
	test_bursts();
	printf("%d failures\n", failures);
	return failures != 0;
}
