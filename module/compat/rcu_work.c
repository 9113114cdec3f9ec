// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work after a grace period, before Linux 4.16.
 */
#include "older.h"

static void queue_now(struct rcu_head *rcu)
{
	struct rcu_work *rwork = container_of(rcu, struct rcu_work, rcu);

	queue_work(rwork->wq, &rwork->work);
}

/* What the module ends with: the last of these may be about to return. */
void nsgate_rcu_work_exit(void)
{
	rcu_barrier();
}

/* Who queues a work again before it ran would corrupt it; nobody of us does. */
bool queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *rwork)
{
	rwork->wq = wq;
	call_rcu(&rwork->rcu, queue_now);
	return true;
}
