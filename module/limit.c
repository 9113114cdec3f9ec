// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rates and quotas: how fast, and how much, packets may pass in a direction.
 *
 * A rate is a token bucket that all CPUs share.  Its state is one number, the
 * bytes that were taken from it: what it has given by now is computed from the
 * clock, and the difference is its level.  That difference is taken modulo
 * 2^64, so neither number has to stay small.
 *
 * A CPU takes a portion of many packets at once, and holds it in its account.
 * So most packets write only their own CPU's memory.  A packet passes while its
 * CPU holds anything, and may take the account below zero; before the CPU takes
 * the next portion, the bucket must have enough to pay for that.  What CPUs hold
 * counts for the burst: when time has filled the bucket, its level is cut to the
 * burst less that.  What a CPU has held for HOLD_JIFFIES it gives back, so nothing
 * is lost on a CPU that is idle or offline.
 *
 * A quota is taken in portions, too, until less is left than a portion.  From
 * then on no CPU uses what it holds: each packet adds up what all CPUs have used.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/ctype.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kref.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/u64_stats_sync.h>

#include "nsgate.h"

#define RATE_MAX 1000000000000ULL /* bytes per second */
#define BURST_MIN 65536 /* bytes, if the writer names none */
#define PORTION_MAX (24 * 1024) /* bytes */
#define HOLD_JIFFIES HZ /* since a CPU took its portion */

/* Levels and quotas above are as good as this, and can be added up. */
#define BYTES_MAX (S64_MAX / 4)

/*
 * More than any CPU has ever taken before others see the clock that it saw.  A
 * bucket that is further below zero is in truth full, after years of idleness.
 */
#define LEVEL_MIN (-(1LL << 44)) /* bytes */

/* With more CPUs, it would take too long to look what each of them holds. */
#define LOOK_CPUS_MAX 64

#define SPARED_MAX 100 /* packets in any second, for each CPU */

/* What all but one of the slots cover is a second at least. */
#define SLOT_JIFFIES DIV_ROUND_UP(HZ, NSGATE_SPARED_SLOTS - 1)

/* What all CPUs share of a direction; a cache line of its own. */
struct nsgate_limit_pool {
	atomic64_t taken; /* from the bucket, modulo 2^64 */
	atomic64_t drawn; /* for the quota: the sum of quota_until */
	u32 bucket; /* number of the last bucket, limit->lock */
} ____cacheline_aligned_in_smp;

/* ---- the packet path ---- */

static void set_u64(struct nsgate_limit_cpu *this, u64 *value, u64 to)
{
	u64_stats_update_begin(&this->syncp);
	WRITE_ONCE(*value, to);
	u64_stats_update_end(&this->syncp);
}

/* What the bucket has given at a time: no step of this rounds twice. */
static u64 given_at(const struct nsgate_limit_rule *rule, u64 now)
{
	u32 rest, ns;
	u64 seconds = div_u64_rem(now - rule->start, NSEC_PER_SEC, &ns);
	u64 per_ns = div_u64_rem(rule->rate, NSEC_PER_SEC, &rest);

	return rule->given + seconds * rule->rate + per_ns * ns +
	       div_u64((u64)rest * ns, NSEC_PER_SEC);
}

static s64 level_of(u64 given, u64 taken)
{
	s64 level = given - taken;

	return level < LEVEL_MIN || level > BYTES_MAX ? BYTES_MAX : level;
}

static bool is_older(unsigned long since, u64 age)
{
	return jiffies - since > age;
}

/* What bursts are divided into.  Several CPUs may hold one, but not all of it. */
static s64 portion_of(const struct nsgate_limit_rule *rule)
{
	return min_t(u64, div_u64(rule->burst, 2 * num_online_cpus()),
		     PORTION_MAX);
}

/*
 * The most that CPUs held when time had filled the bucket, which may be long ago.
 * A CPU may have used its portion since, until that was too old; and after as
 * long as it takes to fill the bucket with so much again, it doesn't matter.
 */
static s64 held_by_all(const struct nsgate_limit_rules *rules,
		       enum nsgate_direction direction, s64 portion)
{
	const struct nsgate_limit_rule *rule = &rules->rules[direction];
	u64 age = HOLD_JIFFIES + 2 + div64_u64(portion * HZ, rule->rate);
	s64 held = 0;
	int cpu;

	if (num_possible_cpus() > LOOK_CPUS_MAX)
		return portion * num_online_cpus();
	for_each_possible_cpu(cpu) {
		const struct nsgate_limit_account *account =
			&per_cpu_ptr(rules->cpu, cpu)->accounts[direction];

		if (READ_ONCE(account->bucket) == rule->bucket &&
		    !is_older(READ_ONCE(account->drawn_at), age))
			held += portion;
	}
	return held;
}

/* The level that the burst allows; to find that out only costs if it is high. */
static s64 cut_level(const struct nsgate_limit_rules *rules,
		     enum nsgate_direction direction, s64 level, s64 portion)
{
	s64 burst = min_t(u64, rules->rules[direction].burst, BYTES_MAX);

	if (level <= burst - portion * num_online_cpus())
		return level;
	return min(level, burst - held_by_all(rules, direction, portion));
}

/*
 * What a CPU holds of another bucket is lost, and it held nothing of this one.  What
 * it owes is kept if that bucket goes on in this one.
 */
static void change_bucket(struct nsgate_limit_account *account,
			  const struct nsgate_limit_rule *rule)
{
	bool goes_on = account->bucket - rule->first_bucket <
		       rule->bucket - rule->first_bucket;

	if (!goes_on || (s64)(account->rate_until - account->used) > 0)
		account->rate_until = account->used;
	WRITE_ONCE(account->drawn_at, jiffies - LONG_MAX);
	WRITE_ONCE(account->bucket, rule->bucket);
}

/*
 * Takes a portion from the bucket, if that has more than this CPU owes it.  The
 * portion may be nothing: then one packet passes, and is owed.
 *
 * Others must never see too little of what is held: they see that this CPU draws
 * before they can see what it took, and look at what it took first.
 */
static noinline bool draw_rate(const struct nsgate_limit_rules *rules,
			       enum nsgate_direction direction,
			       struct nsgate_limit_cpu *this)
{
	const struct nsgate_limit_rule *rule = &rules->rules[direction];
	struct nsgate_limit_account *account = &this->accounts[direction];
	struct nsgate_limit_pool *pool = &rules->pools[direction];
	u64 given = given_at(rule, ktime_get_ns());
	s64 taken = atomic64_read(&pool->taken);
	s64 level, held, debt, portion = portion_of(rule);

	if (account->bucket != rule->bucket)
		change_bucket(account, rule);
	held = account->rate_until - account->used;
	debt = max_t(s64, -held, 0);
	do {
		/* Pairs with the exchange of other CPUs. */
		smp_rmb();
		/* The bucket may be that much fuller where something is owed. */
		level = level_of(given, taken) - debt;
		level = cut_level(rules, direction, level, portion);
		level += max_t(s64, held, 0);
		if (level <= 0)
			return false;
		portion = min(portion, level);
		WRITE_ONCE(account->drawn_at, jiffies);
		/* Ordered by the full barrier that comes with the exchange. */
	} while (!atomic64_try_cmpxchg(&pool->taken, &taken,
				       given - (level - portion)));
	account->rate_until = account->used + portion;
	return true;
}

static u64 used_on(const struct nsgate_limit_cpu *that,
		   enum nsgate_direction direction)
{
	unsigned int start;
	u64 used;

	do {
		start = u64_stats_fetch_begin(&that->syncp);
		used = READ_ONCE(that->accounts[direction].used);
	} while (u64_stats_fetch_retry(&that->syncp, start));
	return used;
}

static u64 used_by_all(const struct nsgate_limit_cpu __percpu *cpus,
		       enum nsgate_direction direction)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += used_on(per_cpu_ptr(cpus, cpu), direction);
	return sum;
}

/*
 * Near the end of a quota: whether anything is left of it.  What this CPU used
 * is seen by others before it looks at them, so of all that pass, each CPU can
 * have one that the others didn't see.
 */
static noinline bool count_rest(const struct nsgate_limit_rules *rules,
				enum nsgate_direction direction,
				struct nsgate_limit_rule *rule)
{
	if (READ_ONCE(rule->spent))
		return false;
	/* Pairs with itself on other CPUs. */
	smp_mb();
	if ((s64)(rule->used_end - used_by_all(rules->cpu, direction)) > 0)
		return true;
	WRITE_ONCE(rule->spent, true);
	return false;
}

/*
 * Draws a portion for the quota.  It is drawn where there is no quota, too: if
 * one is written later, all that passed has been drawn already.
 */
static noinline bool draw_quota(struct nsgate_limit_rules *rules,
				enum nsgate_direction direction,
				struct nsgate_limit_cpu *this)
{
	struct nsgate_limit_account *account = &this->accounts[direction];
	struct nsgate_limit_rule *rule = &rules->rules[direction];
	struct nsgate_limit_pool *pool = &rules->pools[direction];
	s64 want = account->used - account->quota_until + PORTION_MAX;
	s64 drawn = atomic64_read(&pool->drawn);

	do {
		if (rule->has_quota &&
		    atomic64_read(&rule->drawn_end) - drawn < want) {
			WRITE_ONCE(rule->epoch, 0);
			return count_rest(rules, direction, rule);
		}
	} while (!atomic64_try_cmpxchg(&pool->drawn, &drawn, drawn + want));
	set_u64(this, &account->quota_until, account->used + PORTION_MAX);
	return true;
}

static bool has_rate_left(const struct nsgate_limit_rules *rules,
			  enum nsgate_direction direction,
			  struct nsgate_limit_cpu *this)
{
	const struct nsgate_limit_rule *rule = &rules->rules[direction];
	const struct nsgate_limit_account *account = &this->accounts[direction];

	if (!rule->rate)
		return true;
	if (likely((s64)(account->rate_until - account->used) > 0 &&
		   account->bucket == rule->bucket &&
		   !is_older(account->drawn_at, HOLD_JIFFIES)))
		return true;
	return draw_rate(rules, direction, this);
}

static bool has_quota_left(struct nsgate_limit_rules *rules,
			   enum nsgate_direction direction,
			   struct nsgate_limit_cpu *this)
{
	const struct nsgate_limit_account *account = &this->accounts[direction];
	struct nsgate_limit_rule *rule = &rules->rules[direction];

	if (unlikely(!READ_ONCE(rule->epoch)))
		return count_rest(rules, direction, rule);
	if (likely((s64)(account->quota_until - account->used) > 0))
		return true;
	return draw_quota(rules, direction, this);
}

/* Up to where the next packets of this CPU need no look at what is shared. */
static void note_free(const struct nsgate_limit_rule *rule,
		      struct nsgate_limit_account *account, u32 epoch)
{
	u64 until = account->quota_until;

	account->fresh_until = jiffies + HOLD_JIFFIES;
	if (rule->rate) {
		account->fresh_until = account->drawn_at + HOLD_JIFFIES;
		if ((s64)(account->rate_until - until) < 0)
			until = account->rate_until;
	}
	account->free_until = epoch ? until : account->used;
	account->epoch = epoch;
}

/*
 * A quota that is spent is looked at first: what it drops draws nothing.  None is
 * spent whose rule has an epoch.
 */
static bool is_spent(const struct nsgate_limit_rule *rule, u32 epoch)
{
	return unlikely(!epoch) && READ_ONCE(rule->spent);
}

bool nsgate_limit_charge(struct nsgate_limit_rules *rules,
			 enum nsgate_direction direction, unsigned int len)
{
	bool entered = nsgate_cpu_enter();
	struct nsgate_limit_rule *rule = &rules->rules[direction];
	struct nsgate_limit_cpu *this = this_cpu_ptr(rules->cpu);
	/* Before a look at what it holds for. */
	u32 epoch = READ_ONCE(rule->epoch);
	bool passes = !is_spent(rule, epoch) &&
		      has_rate_left(rules, direction, this) &&
		      has_quota_left(rules, direction, this);

	if (passes) {
		nsgate_limit_use(this, &this->accounts[direction], len);
		note_free(rule, &this->accounts[direction], epoch);
	}
	nsgate_cpu_leave(entered);
	return passes;
}

/* Slots in which nothing was spared yet begin with none. */
static void turn_slots(struct nsgate_limit_cpu *this, unsigned long now)
{
	if (now - this->spared_at >= NSGATE_SPARED_SLOTS) {
		memset(this->spared, 0, sizeof(this->spared));
		this->spared_at = now;
	}
	while (this->spared_at != now)
		this->spared[++this->spared_at % NSGATE_SPARED_SLOTS] = 0;
}

/* Both directions together. */
static bool may_spare(struct nsgate_limit_cpu *this)
{
	unsigned long now = jiffies / SLOT_JIFFIES;
	unsigned int i, sum = 0;

	turn_slots(this, now);
	for (i = 0; i < NSGATE_SPARED_SLOTS; i++)
		sum += this->spared[i];
	if (sum >= SPARED_MAX)
		return false;
	this->spared[now % NSGATE_SPARED_SLOTS]++;
	return true;
}

bool nsgate_limit_spare(struct nsgate_limit_rules *rules,
			enum nsgate_direction direction, unsigned int len)
{
	bool entered = nsgate_cpu_enter();
	struct nsgate_limit_cpu *this = this_cpu_ptr(rules->cpu);
	bool spared = may_spare(this);

	if (spared)
		nsgate_limit_use(this, &this->accounts[direction], len);
	nsgate_cpu_leave(entered);
	return spared;
}

bool nsgate_limit_refuse(struct nsgate_limit_rules *rules,
			 enum nsgate_direction direction, unsigned int len)
{
	bool entered = nsgate_cpu_enter();
	struct nsgate_limit_cpu *this = this_cpu_ptr(rules->cpu);
	struct nsgate_limit_account *account = &this->accounts[direction];

	set_u64(this, &account->over_packets, account->over_packets + 1);
	set_u64(this, &account->over_bytes, account->over_bytes + len);
	if (rules->dry) {
		/* It passes, and is used, but must not be owed to the bucket. */
		nsgate_limit_use(this, account, len);
		account->rate_until += len;
	}
	nsgate_cpu_leave(entered);
	return !rules->dry;
}

/* ---- the text of a limit ---- */

static int take_bytes(char **text, u64 least, u64 most, u64 *bytes)
{
	const char *word = strsep(text, " ");

	/* kstrtou64() alone would take a sign. */
	if (!word || !isdigit(*word) || kstrtou64(word, 10, bytes) ||
	    *bytes < least || *bytes > most)
		return -EINVAL;
	return 0;
}

static int parse_rate(char **text, struct nsgate_limit_rule *rule,
		      const char **why)
{
	*why = "a rate is 1 to 10^12 bytes per second";
	if (take_bytes(text, 1, RATE_MAX, &rule->rate))
		return -EINVAL;
	rule->burst = max_t(u64, rule->rate / 20, BURST_MIN);
	*why = "a burst is a number of bytes from 1";
	if (nsgate_take_word(text, "burst"))
		return take_bytes(text, 1, U64_MAX, &rule->burst);
	return 0;
}

static int parse_quota(char **text, struct nsgate_limit_rule *rule,
		       const char **why)
{
	rule->has_quota = true;
	*why = "a quota, and what is used of it, is a number of bytes";
	if (take_bytes(text, 0, U64_MAX, &rule->quota))
		return -EINVAL;
	rule->sets_used = nsgate_take_word(text, "used");
	if (rule->sets_used)
		return take_bytes(text, 0, U64_MAX, &rule->used);
	return 0;
}

/* "rate BYTES [burst BYTES]", "quota BYTES [used BYTES]", or both in turn. */
static int parse_rule(char **text, struct nsgate_limit_rule *rule, const char **why)
{
	int err;

	*why = "a direction is given once";
	if (rule->rate || rule->has_quota)
		return -EINVAL;
	if (nsgate_take_word(text, "rate")) {
		err = parse_rate(text, rule, why);
		if (err)
			return err;
	}
	if (nsgate_take_word(text, "quota")) {
		err = parse_quota(text, rule, why);
		if (err)
			return err;
	}
	*why = "in or out is followed by a rate, a quota, or both";
	return rule->rate || rule->has_quota ? 0 : -EINVAL;
}

static int parse_rules(char *text, struct nsgate_limit_rules *rules,
		       const char **why)
{
	enum nsgate_direction direction;
	int err;

	rules->dry = nsgate_take_word(&text, "dry");
	do {
		*why = "a limit is none, or [dry] in or out with a rate, a quota, or both";
		if (nsgate_take_word(&text, "in"))
			direction = NSGATE_INWARDS;
		else if (nsgate_take_word(&text, "out"))
			direction = NSGATE_OUTWARDS;
		else
			return -EINVAL;
		err = parse_rule(&text, &rules->rules[direction], why);
		if (err)
			return err;
	} while (text);
	return 0;
}

/* Sets @rules to NULL if the text says that there are none. */
static int parse_text(char *text, struct nsgate_limit_rules **rules,
		      const char **why)
{
	size_t len = strlen(text);
	int err;

	if (len && text[len - 1] == '\n')
		text[--len] = '\0';
	*why = "one line, one command";
	if (strchr(text, '\n'))
		return -EINVAL;
	*rules = NULL;
	if (!strcmp(text, "none"))
		return 0;
	*why = "no memory";
	*rules = kzalloc(sizeof(**rules), GFP_KERNEL);
	if (!*rules)
		return -ENOMEM;
	err = parse_rules(text, *rules, why);
	if (err)
		kfree(*rules);
	return err;
}

/* ---- one limit after another ---- */

/* What CPUs used and have not drawn, as near the end of a quota. */
static s64 count_undrawn(const struct nsgate_limit *limit,
			 enum nsgate_direction direction)
{
	s64 undrawn = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct nsgate_limit_cpu *that =
			per_cpu_ptr(limit->cpu, cpu);
		unsigned int start;
		u64 until;
		s64 ahead;

		do {
			start = u64_stats_fetch_begin(&that->syncp);
			until = READ_ONCE(that->accounts[direction].quota_until);
			/* Rather too much: the one that was read later grew. */
			smp_rmb();
			ahead = READ_ONCE(that->accounts[direction].used) - until;
		} while (u64_stats_fetch_retry(&that->syncp, start));
		undrawn += max_t(s64, ahead, 0);
	}
	return undrawn;
}

/* @sum: what all CPUs have used, ever */
static u64 used_of(const struct nsgate_limit_rule *rule, u64 sum)
{
	u64 used = rule->used + (sum - rule->used_from);

	return used < rule->used ? U64_MAX : used;
}

/*
 * If a quota ends before what has been drawn already, CPUs hold what they may not
 * use.
 */
static void set_drawn_end(const struct nsgate_limit *limit, struct nsgate_limit_rule *rule,
			  enum nsgate_direction direction)
{
	s64 end = rule->used_end - count_undrawn(limit, direction);

	atomic64_set(&rule->drawn_end, end);
	if (rule->has_quota &&
	    end - atomic64_read(&limit->pools[direction].drawn) < 0)
		WRITE_ONCE(rule->epoch, 0);
}

/* Both may be as large as can be written; it is told as nearly as can be added. */
static s64 left_of(u64 quota, u64 used)
{
	if (used > quota)
		return -min_t(u64, used - quota, BYTES_MAX);
	return min_t(u64, quota - used, BYTES_MAX);
}

static void start_quota(const struct nsgate_limit *limit, struct nsgate_limit_rule *rule,
			const struct nsgate_limit_rule *old, enum nsgate_direction direction)
{
	u64 sum = used_by_all(limit->cpu, direction);

	rule->used_from = sum;
	if (!rule->sets_used && old) {
		rule->used = old->used;
		rule->used_from = old->used_from;
	}
	rule->used_end = sum + left_of(rule->quota, used_of(rule, sum));
	set_drawn_end(limit, rule, direction);
}

/*
 * A rate follows another: the bucket has what it had, cut to what the old burst and
 * the new one allow.  Where the new portion is smaller, CPUs hold more than they
 * are taken to, and it would pass besides the new burst: they lose it, by another
 * number of the bucket.
 */
static void continue_rate(struct nsgate_limit_pool *pool,
			  struct nsgate_limit_rule *rule,
			  const struct nsgate_limit_rules *old,
			  enum nsgate_direction direction)
{
	const struct nsgate_limit_rule *before = &old->rules[direction];
	s64 level, taken = atomic64_read(&pool->taken);
	s64 burst = min_t(u64, rule->burst, BYTES_MAX);

	rule->given = given_at(before, rule->start);
	do {
		/* As in draw_rate(). */
		smp_rmb();
		level = cut_level(old, direction, level_of(rule->given, taken),
				  portion_of(before));
	} while (!atomic64_try_cmpxchg(&pool->taken, &taken,
				       rule->given - min(level, burst)));
	rule->first_bucket = before->first_bucket;
	rule->bucket = before->bucket;
	if (portion_of(rule) < portion_of(before))
		rule->bucket = ++pool->bucket;
}

/* @old: may be NULL; a bucket that follows none begins full */
static void start_rate(struct nsgate_limit_pool *pool,
		       struct nsgate_limit_rule *rule,
		       const struct nsgate_limit_rules *old,
		       enum nsgate_direction direction)
{
	rule->start = ktime_get_ns();
	if (old && old->rules[direction].rate) {
		continue_rate(pool, rule, old, direction);
		return;
	}
	rule->bucket = ++pool->bucket;
	rule->first_bucket = rule->bucket;
	rule->given = atomic64_read(&pool->taken) +
		      min_t(u64, rule->burst, BYTES_MAX);
}

/*
 * While the old rules were still in use somewhere, they may have given more than
 * the new ones ever will: that was right then, and nobody owes it.
 */
static void forgive_debt(struct nsgate_limit_pool *pool, const struct nsgate_limit_rule *rule)
{
	s64 taken = atomic64_read(&pool->taken);
	u64 given;

	do {
		given = given_at(rule, ktime_get_ns());
		if (level_of(given, taken) >= 0)
			return;
	} while (!atomic64_try_cmpxchg(&pool->taken, &taken, given));
}

static int alloc_accounts(struct nsgate_limit *limit)
{
	struct nsgate_limit_cpu __percpu *accounts;
	int cpu;

	if (limit->cpu)
		return 0;
	limit->pools = kcalloc(NSGATE_DIRECTIONS, sizeof(*limit->pools),
			       GFP_KERNEL);
	if (!limit->pools)
		return -ENOMEM;
	accounts = alloc_percpu_gfp(struct nsgate_limit_cpu,
				    GFP_KERNEL | __GFP_NOWARN);
	if (!accounts) {
		kfree(limit->pools);
		limit->pools = NULL;
		return -ENOMEM;
	}
	for_each_possible_cpu(cpu)
		u64_stats_init(&per_cpu_ptr(accounts, cpu)->syncp);
	/* Pairs with read_direction(). */
	smp_store_release(&limit->cpu, accounts);
	return 0;
}

/* Prepares @rules to follow @old; either may be NULL. */
static int prepare_rules(struct nsgate_limit *limit,
			 struct nsgate_limit_rules *rules,
			 const struct nsgate_limit_rules *old)
{
	int err, i;

	if (!rules)
		return 0;
	err = alloc_accounts(limit);
	if (err)
		return err;
	rules->cpu = limit->cpu;
	rules->pools = limit->pools;
	for (i = 0; i < NSGATE_DIRECTIONS; i++) {
		struct nsgate_limit_rule *rule = &rules->rules[i];

		if (!++limit->epoch)
			limit->epoch++;
		rule->epoch = limit->epoch;
		start_quota(limit, rule, old ? &old->rules[i] : NULL, i);
		if (rule->rate)
			start_rate(&limit->pools[i], rule, old, i);
	}
	return 0;
}

/* No packet is charged by the old rules any more. */
static void settle_rules(struct nsgate_limit *limit,
			 struct nsgate_limit_rules *rules)
{
	int i;

	if (!rules)
		return;
	for (i = 0; i < NSGATE_DIRECTIONS; i++) {
		set_drawn_end(limit, &rules->rules[i], i);
		if (rules->rules[i].rate)
			forgive_debt(&limit->pools[i], &rules->rules[i]);
	}
}

static int swap_rules(struct nsgate_limit *limit,
		      struct nsgate_limit_rules *rules)
{
	struct nsgate_limit_rules *old;
	int err;

	mutex_lock(&limit->lock);
	old = rcu_dereference_protected(limit->rules,
					lockdep_is_held(&limit->lock));
	err = prepare_rules(limit, rules, old);
	if (err) {
		mutex_unlock(&limit->lock);
		return err;
	}
	rcu_assign_pointer(limit->rules, rules);
	/* The limit is in force everywhere when the write returns. */
	synchronize_rcu_expedited();
	settle_rules(limit, rules);
	mutex_unlock(&limit->lock);
	kfree(old);
	return 0;
}

struct nsgate_limit *nsgate_limit_alloc(bool may_cut_off)
{
	struct nsgate_limit *limit = kzalloc(sizeof(*limit), GFP_KERNEL_ACCOUNT);

	if (!limit)
		return NULL;
	mutex_init(&limit->lock);
	kref_init(&limit->refs);
	limit->may_cut_off = may_cut_off;
	return limit;
}

static void limit_free(struct kref *refs)
{
	struct nsgate_limit *limit = container_of(refs, struct nsgate_limit,
						  refs);

	kfree(rcu_dereference_protected(limit->rules, true));
	free_percpu(limit->cpu);
	kfree(limit->pools);
	kfree(limit);
}

struct nsgate_limit *nsgate_limit_get(struct nsgate_limit *limit)
{
	kref_get(&limit->refs);
	return limit;
}

void nsgate_limit_put(struct nsgate_limit *limit)
{
	kref_put(&limit->refs, limit_free);
}

int nsgate_limit_write(struct nsgate_limit *limit, char *text, const char **why)
{
	struct nsgate_limit_rules *rules;
	int err;

	err = parse_text(text, &rules, why);
	if (err)
		return err;
	err = -EPERM;
	*why = "the initial network namespace is limited only with gate_init_net=1";
	if (rules && !rules->dry && !limit->may_cut_off)
		goto err_rules;
	*why = "no memory";
	err = swap_rules(limit, rules);
	if (err)
		goto err_rules;
	return 0;

err_rules:
	kfree(rules);
	return err;
}

static void read_over(const struct nsgate_limit_cpu *that,
		      enum nsgate_direction direction,
		      struct nsgate_count *over)
{
	const struct nsgate_limit_account *account = &that->accounts[direction];
	unsigned int start;
	u64 packets, bytes;

	do {
		start = u64_stats_fetch_begin(&that->syncp);
		packets = READ_ONCE(account->over_packets);
		bytes = READ_ONCE(account->over_bytes);
	} while (u64_stats_fetch_retry(&that->syncp, start));
	over->packets += packets;
	over->bytes += bytes;
}

static void read_direction(const struct nsgate_limit *limit,
			   const struct nsgate_limit_rules *rules,
			   enum nsgate_direction direction,
			   struct nsgate_limit_figures *figures)
{
	const struct nsgate_limit_cpu __percpu *accounts;
	int cpu;

	/*
	 * Accounts came before rules, and stay.  Pairs with alloc_accounts(): what is
	 * reached by the pointer is read after it.
	 */
	accounts = READ_ONCE(limit->cpu);
	if (!accounts)
		return;
	for_each_possible_cpu(cpu)
		read_over(per_cpu_ptr(accounts, cpu), direction,
			  &figures->over);
	if (!rules)
		return;
	figures->rate = rules->rules[direction].rate;
	figures->burst = rules->rules[direction].burst;
	figures->has_quota = rules->rules[direction].has_quota;
	figures->quota = rules->rules[direction].quota;
	figures->used = used_of(&rules->rules[direction],
				used_by_all(accounts, direction));
}

const char *
nsgate_limit_read(const struct nsgate_limit *limit,
		  struct nsgate_limit_figures figures[NSGATE_DIRECTIONS])
{
	const struct nsgate_limit_rules *rules;
	const char *mode = "none";
	int i;

	memset(figures, 0, NSGATE_DIRECTIONS * sizeof(*figures));
	rcu_read_lock();
	rules = rcu_dereference(limit->rules);
	if (rules)
		mode = rules->dry ? "dry" : "on";
	for (i = 0; i < NSGATE_DIRECTIONS; i++)
		read_direction(limit, rules, i, &figures[i]);
	rcu_read_unlock();
	return mode;
}
