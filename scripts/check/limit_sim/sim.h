/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The load that the tests put on a limit.
 *
 * Time is what the threads make of it: each packet that is offered moves a clock that
 * all of them share.  So a thread that doesn't run makes nobody wait, and figures don't
 * depend on the machine.
 */
#ifndef LIMIT_SIM_H
#define LIMIT_SIM_H

#include <pthread.h>
#include <stdio.h>

#include "kernel.h"

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

extern struct nsgate_limit *limit;
extern bool stop;
extern int failures;

/* With so many CPUs, and a limit that limits nothing. */
void setup(int n);

/* Gives the limit another text, which has to be taken. */
void write_limit(const char *text);

void check(bool ok, const char *what);

/* Offers a packet from this CPU, after the clock has moved by @step ns. */
void offer(struct sender *sender, u64 step);

/* Packets of 1000 bytes from CPU after CPU; gives the bytes that pass at once. */
u64 send_at_once(int n, int packets);

/* Starts all CPUs; keeps what came of each packet, if that is asked for. */
void start(struct sender *senders, int n, u64 packets, unsigned int len,
	   u64 step, bool keep);

/* Gives the bytes that passed. */
u64 wait_all(struct sender *senders, int n);

/* The most bytes that surely passed within a second. */
u64 find_worst_second(struct pass *passes, u64 n);
u64 worst_of(struct sender *senders, int n);

void test_rates(int n);
void test_bursts(void);
void test_quotas(int n);
void test_large_quotas(void);
void test_changes(int n);
void test_texts(void);

#endif /* LIMIT_SIM_H */
