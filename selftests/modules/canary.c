// SPDX-License-Identifier: GPL-2.0-only
/*
 * One bug of each kind, to see that the tests see it: insmod canary.ko bug=KIND.
 * Never load this on a machine that somebody needs.
 */
#include <linux/bug.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>

static char *bug = "none";
module_param(bug, charp, 0400);
MODULE_PARM_DESC(bug, "Which bug to have");

/*
 * What the compiler doesn't know, it can't tell to be wrong: always by
 * READ_ONCE() and WRITE_ONCE().
 */
static int zero;
static int sink;

static void none(void)
{
}

static void slab_bounds(void)
{
	char *p = kmalloc(60, GFP_KERNEL);

	if (p)
		WRITE_ONCE(p[60 + READ_ONCE(zero)], 1);
	kfree(p);
}

static void slab_freed(void)
{
	char *p = kmalloc(60, GFP_KERNEL);
	char *freed = p + READ_ONCE(zero);

	kfree(p);
	WRITE_ONCE(sink, READ_ONCE(*freed));
}

static void slab_double_free(void)
{
	char *p = kmalloc(60, GFP_KERNEL);
	char *freed = p + READ_ONCE(zero);

	kfree(p);
	kfree(freed);
}

static void vmalloc_bounds(void)
{
	char *p = vmalloc(PAGE_SIZE - 64);

	if (p)
		WRITE_ONCE(sink, READ_ONCE(p[PAGE_SIZE - 32 + READ_ONCE(zero)]));
	vfree(p);
}

static char global_array[60];

static void global_bounds(void)
{
	char *p = global_array;

	WRITE_ONCE(sink, READ_ONCE(p[sizeof(global_array) + READ_ONCE(zero)]));
}

static void stack_bounds(void)
{
	char array[60] = {};
	char *p = array;

	WRITE_ONCE(sink, READ_ONCE(p[sizeof(array) + READ_ONCE(zero)]));
}

static void array_index(void)
{
	static int array[4];

	WRITE_ONCE(sink, array[ARRAY_SIZE(array) + READ_ONCE(zero)]);
}

static void shift(void)
{
	WRITE_ONCE(sink, 1 << (40 + READ_ONCE(zero)));
}

static void slab_leak(void)
{
	void *p = kmalloc(60, GFP_KERNEL);

	WRITE_ONCE(sink, !p);
}

static void rcu_misuse(void)
{
	static int __rcu *pointer;

	WRITE_ONCE(sink, !rcu_dereference(pointer));
}

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);

static void lock_inversion(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);

	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void atomic_sleep(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	mutex_lock(&first);
	mutex_unlock(&first);
	spin_unlock(&lock);
}

static void no_timer(struct timer_list *timer)
{
}

static void active_object(void)
{
	struct timer_list *timer = kzalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return;
	timer_setup(timer, no_timer, 0);
	mod_timer(timer, jiffies + 3600 * HZ);
	kfree(timer);
}

static void list_corruption(void)
{
	static LIST_HEAD(list);
	LIST_HEAD(entry);

	list_add(&entry, &list);
	list_add(&entry, &list);
	INIT_LIST_HEAD(&list);
}

static void warning(void)
{
	WARN_ON(!READ_ONCE(zero));
}

/* KCSAN takes samples: these go on until there were enough of them. */
#define RACE_ROUNDS 50000

static int shared;

static int add_up(void *unused)
{
	int i;

	for (i = 0; i < RACE_ROUNDS; i++) {
		shared++;
		cond_resched();
	}
	return 0;
}

static int look_at(void *unused)
{
	int i;

	for (i = 0; i < RACE_ROUNDS; i++) {
		WRITE_ONCE(sink, shared);
		cond_resched();
	}
	return 0;
}

/* The kernel's own code writes, of which nobody tells. */
static int have_changed(void *unused)
{
	int i;

	for (i = 0; i < RACE_ROUNDS; i++) {
		get_random_bytes(&shared, sizeof(shared));
		cond_resched();
	}
	return 0;
}

static void run_against(int (*other)(void *), int (*this)(void *))
{
	struct task_struct *task = kthread_create(other, NULL, "canary");

	if (IS_ERR(task))
		return;
	get_task_struct(task);
	wake_up_process(task);
	this(NULL);
	kthread_stop(task);
	put_task_struct(task);
}

static void race(void)
{
	run_against(add_up, add_up);
}

static void race_outside(void)
{
	run_against(have_changed, look_at);
}

#define CANARY(function) { #function, function }
static const struct {
	const char *name;
	void (*function)(void);
} bugs[] = {
	CANARY(none),
	CANARY(slab_bounds),
	CANARY(slab_freed),
	CANARY(slab_double_free),
	CANARY(vmalloc_bounds),
	CANARY(global_bounds),
	CANARY(stack_bounds),
	CANARY(array_index),
	CANARY(shift),
	CANARY(slab_leak),
	CANARY(rcu_misuse),
	CANARY(lock_inversion),
	CANARY(atomic_sleep),
	CANARY(active_object),
	CANARY(list_corruption),
	CANARY(warning),
	CANARY(race),
	CANARY(race_outside),
};

static int __init canary_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (!strcmp(bug, bugs[i].name)) {
			bugs[i].function();
			return 0;
		}
	}
	return -EINVAL;
}

static void __exit canary_exit(void)
{
}

module_init(canary_init);
module_exit(canary_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Bugs to be found");
