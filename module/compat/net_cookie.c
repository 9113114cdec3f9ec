// SPDX-License-Identifier: GPL-2.0-only
/*
 * Cookies of namespaces, before Linux 5.12.
 *
 * Since 5.7, a namespace has none until somebody in the kernel asks for it, by a
 * function that isn't exported.  That function doesn't touch a cookie that is
 * set, so one that we set in the same way, by changing 0 and nothing else, is the
 * namespace's cookie for everybody and for its life.
 *
 * The kernel gives out 1, 2, 3 and so on, and in interrupts -1, -2, -3: it never
 * gets to 2^62.  From there on we give out nanoseconds since boot, or the next
 * number if that one is taken.  So no number comes twice, even if the module is
 * loaded again: it takes longer to load than to count up what was given out.
 *
 * Older kernels have no cookies.  Then it is kept with what the namespace holds of
 * us, for as long as the module is there.
 */
#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/ktime.h>

#include "../nsgate.h"

static atomic64_t last_cookie = ATOMIC64_INIT(0);

#ifdef NSGATE_HAS_net_cookie_atomic
#define FIRST_COOKIE BIT_ULL(62)

static atomic64_t *cookie_of(struct net *net)
{
	return &net->net_cookie;
}
#else
#define FIRST_COOKIE 0

static atomic64_t *cookie_of(struct net *net)
{
	return &nsgate_target_slot(net)->compat.cookie;
}
#endif

static u64 next_cookie(void)
{
	s64 next, last = atomic64_read(&last_cookie);

	do {
		next = max_t(s64, last + 1, ktime_get_boottime_ns());
	} while (!atomic64_try_cmpxchg(&last_cookie, &last, next));
	return FIRST_COOKIE + next;
}

u64 nsgate_net_cookie(struct net *net)
{
	atomic64_t *cookie = cookie_of(net);

	if (!atomic64_read(cookie))
		atomic64_cmpxchg(cookie, 0, next_cookie());
	return atomic64_read(cookie);
}
