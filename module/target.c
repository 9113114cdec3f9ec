// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets: bind, release, and what happens when a namespace dies.
 *
 * A namespace holds one pointer of ours, its slot, which leads to its target
 * from bind until release, or until the namespace is dead.
 *
 * A tenant, who is root in a target, decides how long the files of his own view
 * are in use, how many devices there are, and how long it takes to unhook one.
 * Nobody else may wait for that, so:
 *
 * - A bind holds a reference to the namespace while it hooks the devices.  A second
 *   bind of the same namespace waits for it, and so does a list that has that
 *   namespace; other binds and lists, releases, deaths and births don't.
 * - A release ends with what it must do at once: the target is in no list, its
 *   slot is empty, its hooks let all pass, and the names of its views are free.
 *   Workers of nsgate_wq do the rest, with a reference to the namespace: one
 *   unhooks the target, others wait for readers of its views, and the last of
 *   them has it freed.
 * - A death leaves the hooks in place, so that the gate stays closed.  Devices are
 *   unhooked one by one as the kernel unregisters them, the rest by .exit.
 *   The own view goes in .pre_exit.  Readers hold the namespace while they are in
 *   our code, so that is not waited for.
 * - A release that comes when a death has begun leaves the namespace to the death.
 * - A birth does what takes memory or RTNL in the context of its maker, and on his
 *   account, with no lock of ours.  A worker does the rest under targets_lock,
 *   so that no limit on the CPU time or memory of the maker can make others wait.
 *   The namespace isn't listed yet then, and may never be, although it can be
 *   referenced: nobody gets a reference before it is listed, and a release that
 *   comes earlier is done when it is.
 * - The removal of the module waits for all of that, and holds no lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/nsproxy.h>
#include <linux/ratelimit.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "nsgate.h"

#define TARGETS_MAX 4096
#define BORN_MAX (TARGETS_MAX - 1024) /* the rest is kept for binds by hand */
#define INODE_HASH_BITS 11

#define FAMILY_LIVE_MAX 256
#define FAMILY_GONE_MAX 16 /* of those that were born in it */

unsigned int nsgate_target_net_id __read_mostly;
static const struct nsgate_config *defaults; /* set once, by init */

/* Held for reading by requests, for writing by who ends them all.  Outermost. */
static DECLARE_RWSEM(requests_lock);
static bool no_more_requests; /* requests_lock */

/*
 * Protects the lists, their counts, the look-up by inode, the slots, and the
 * names in the host view.
 * .pre_exit and .exit take it, so whoever holds it takes no RTNL, and waits for
 * no grace period.
 */
static DEFINE_MUTEX(targets_lock);
static LIST_HEAD(live_targets); /* oldest bind first, targets_lock */
static LIST_HEAD(gone_targets); /* oldest death first, targets_lock */
static unsigned int nr_live, nr_gone; /* targets_lock */
static DEFINE_HASHTABLE(targets_by_inode, INODE_HASH_BITS); /* targets_lock */
static unsigned long nr_detached; /* since the module was loaded, targets_lock */

struct workqueue_struct *nsgate_target_wq;
static struct workqueue_struct *births_wq; /* whose work waits for no tenant */
static atomic_t nr_unfreed = ATOMIC_INIT(0); /* targets that are allocated */
static atomic_t nr_unhooking = ATOMIC_INIT(0); /* releases under way */
static DECLARE_WAIT_QUEUE_HEAD(progress); /* one of these is 0, or claims have ended */

/**
 * struct nsgate_family - a head, and all targets that were born in it, and in those
 * @refs: one for each target
 * @gate: the gate that they share
 * @limit: the limit that they share
 * @nr_live: targets that live, target lock
 * @gone_born: those that were born in it and are gone, oldest first, target lock
 * @nr_gone_born: how many those are, target lock
 * @listed: one of it is in the list of inodes that is being written, target lock
 */
struct nsgate_family {
	refcount_t refs;
	struct nsgate_gate *gate;
	struct nsgate_limit *limit;
	unsigned int nr_live;
	struct list_head gone_born;
	unsigned int nr_gone_born;
	bool listed;
};

const char *const nsgate_auto_names[] = {
	[NSGATE_AUTO_OFF] = "off",
	[NSGATE_AUTO_CHILDREN] = "children",
	[NSGATE_AUTO_ALL] = "all",
	NULL
};

static enum nsgate_auto auto_mode; /* targets_lock to write */
static unsigned int nr_born_live; /* targets_lock */
static atomic64_t nr_born = ATOMIC64_INIT(0); /* births that weren't undone */
static atomic64_t nr_missed = ATOMIC64_INIT(0); /* heads that live unbound */

/* What an inode that is being written means. */
struct wanted {
	u32 inode;
	struct net *net; /* referenced */
	bool added; /* by this request, which has not committed that */
};

/**
 * struct inode_request - what is written to the parameter
 * @verb: bind, release, or make these and only these targets
 * @cookie: of the one that is to be released, 0 if only its inode is told
 * @room: how many @wanted there can be
 * @count: how many there are
 * @list: entry in the requests that have claims, target lock
 * @wanted: the inodes
 */
struct inode_request {
	enum { REPLACE, BIND, RELEASE } verb;
	u64 cookie;
	unsigned int room;
	unsigned int count;
	struct list_head list;
	struct wanted wanted[];
};

static int parse_inode(const char *text, u32 *inode)
{
	/* kstrtou32() alone would take a sign and a newline. */
	if (!isdigit(*text) || text[strspn(text, "0123456789")] ||
	    kstrtou32(text, 10, inode) || !*inode) {
		pr_err("inode: " NSGATE_QUOTED " is not the number of an inode\n",
		       (int)strnlen(text, 32), text);
		return -EINVAL;
	}
	return 0;
}

static int add_wanted(struct inode_request *req, const char *text)
{
	unsigned int i;
	u32 inode;
	int err;

	err = parse_inode(text, &inode);
	if (err)
		return err;
	for (i = 0; i < req->count; i++) {
		if (req->wanted[i].inode == inode)
			return 0;
	}
	if (req->count == req->room) {
		pr_err("inode: %u would be one more than %u targets\n", inode,
		       TARGETS_MAX);
		return -E2BIG;
	}
	req->wanted[req->count++].inode = inode;
	return 0;
}

/* "N", or "N.COOKIE" for one of those that had the same inode. */
static int parse_release(struct inode_request *req, char *text)
{
	char *inode = strsep(&text, ".");

	req->verb = RELEASE;
	if (text && (!isdigit(*text) || kstrtou64(text, 10, &req->cookie) ||
		     text[strspn(text, "0123456789")] || !req->cookie)) {
		pr_err("inode: " NSGATE_QUOTED " is not a cookie\n",
		       (int)strnlen(text, 32), text);
		return -EINVAL;
	}
	return add_wanted(req, inode);
}

/* Takes @text apart, and writes into it. */
static int parse_request(struct inode_request *req, char *text)
{
	size_t len = strlen(text);
	char *token;
	int err;

	if (len && text[len - 1] == '\n')
		text[--len] = '\0';
	switch (*text) {
	case '\0':
		req->verb = REPLACE;
		return 0;
	case '+':
		req->verb = BIND;
		return add_wanted(req, text + 1);
	case '-':
		return parse_release(req, text + 1);
	}
	req->verb = REPLACE;
	while ((token = strsep(&text, ","))) {
		err = add_wanted(req, token);
		if (err)
			return err;
	}
	return 0;
}

static struct net *get_net_by_inode(u32 inode)
{
	struct net *net, *found = NULL;

	rcu_read_lock();
	for_each_net_rcu(net) {
		if (nsgate_net_inode(net) == inode) {
			found = maybe_get_net(net);
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

static int get_nets(struct inode_request *req)
{
	struct wanted *w;

	if (req->verb == RELEASE)
		return 0;
	for (w = req->wanted; w < req->wanted + req->count; w++) {
		w->net = get_net_by_inode(w->inode);
		if (!w->net) {
			pr_err("inode: no live network namespace has inode %u\n",
			       w->inode);
			return -ENXIO;
		}
	}
	return 0;
}

static void put_nets(struct inode_request *req)
{
	struct wanted *w;

	for (w = req->wanted; w < req->wanted + req->count && w->net; w++)
		put_net(w->net);
}

static bool is_gone(const struct nsgate_target *target)
{
	return target->gone_at != UINT_MAX;
}

static struct nsgate_target *find_live(u32 inode)
{
	struct nsgate_target *target;

	lockdep_assert_held(&targets_lock);
	hash_for_each_possible(targets_by_inode, target, hash, inode) {
		if (target->inode == inode && !is_gone(target))
			return target;
	}
	return NULL;
}

/* A number that is handed out again and again may be that of several. */
static struct nsgate_target *find_by_cookie(u32 inode, u64 cookie)
{
	struct nsgate_target *target;

	lockdep_assert_held(&targets_lock);
	hash_for_each_possible(targets_by_inode, target, hash, inode) {
		if (target->inode == inode && target->cookie == cookie)
			return target;
	}
	return NULL;
}

/* The gone target that the host view shows by the inode alone. */
static struct nsgate_target *find_plainly_named(u32 inode)
{
	struct nsgate_target *target;

	lockdep_assert_held(&targets_lock);
	hash_for_each_possible(targets_by_inode, target, hash, inode) {
		if (target->inode == inode && is_gone(target) &&
		    !target->named_by_cookie)
			return target;
	}
	return NULL;
}

static struct nsgate_family *family_alloc(const struct net *net)
{
	bool may_cut_off = !net_eq(net, &init_net) || defaults->gate_init_net;
	struct nsgate_family *family;
	int err;

	family = kzalloc(sizeof(*family), GFP_KERNEL_ACCOUNT);
	if (!family)
		return ERR_PTR(-ENOMEM);
	family->gate = nsgate_gate_alloc(may_cut_off, defaults->drop);
	if (IS_ERR(family->gate)) {
		err = PTR_ERR(family->gate);
		goto err_family;
	}
	family->limit = nsgate_limit_alloc(may_cut_off);
	if (!family->limit) {
		err = -ENOMEM;
		goto err_gate;
	}
	refcount_set(&family->refs, 1);
	INIT_LIST_HEAD(&family->gone_born);
	return family;

err_gate:
	nsgate_gate_put(family->gate);
err_family:
	kfree(family);
	return ERR_PTR(err);
}

static void family_put(struct nsgate_family *family)
{
	if (!refcount_dec_and_test(&family->refs))
		return;
	nsgate_limit_put(family->limit);
	nsgate_gate_put(family->gate);
	kfree(family);
}

static void target_free(struct nsgate_target *target)
{
	nsgate_proc_discard(target);
	nsgate_flow_free(target->flow);
	nsgate_meter_free(target->meter);
	nsgate_log_free(target->log);
	family_put(target->family);
	kfree(target);
}

static void target_late_work(struct work_struct *work);

static void count_down(atomic_t *count)
{
	if (atomic_dec_and_test(count))
		wake_up_all(&progress);
}

/* A grace period has passed since the last reference was put. */
static void target_free_work(struct work_struct *work)
{
	target_free(container_of(to_rcu_work(work), struct nsgate_target,
				 free_work));
	count_down(&nr_unfreed);
}

static void target_unhook_work(struct work_struct *work)
{
	struct nsgate_target *target = container_of(work, struct nsgate_target,
						    unhook_work);

	nsgate_hook_unregister(target, target->unhook_net);
	put_net(target->unhook_net);
	nsgate_target_put(target);
	count_down(&nr_unhooking);
}

/* Joins the family of @parent, or else heads one of its own. */
static int target_fill(struct nsgate_target *target, const struct net *net,
		       const struct nsgate_target *parent)
{
	struct nsgate_family *family;

	if (parent) {
		family = parent->family;
		refcount_inc(&family->refs);
		target->parent = parent->cookie;
	} else {
		family = family_alloc(net);
		if (IS_ERR(family))
			return PTR_ERR(family);
	}
	target->log = nsgate_log_alloc();
	if (!target->log)
		goto err_family;
	target->meter = nsgate_meter_alloc();
	if (!target->meter)
		goto err_log;
	if (defaults->flows) {
		target->flow = nsgate_flow_alloc(defaults->flows);
		if (!target->flow)
			goto err_meter;
	}
	if (nsgate_proc_prepare(target))
		goto err_prepared;
	target->family = family;
	target->gate = family->gate;
	target->limit = family->limit;
	return 0;

err_prepared:
	nsgate_proc_discard(target);
	nsgate_flow_free(target->flow);
err_meter:
	nsgate_meter_free(target->meter);
err_log:
	nsgate_log_free(target->log);
err_family:
	family_put(family);
	return -ENOMEM;
}

/* The one reference that it begins with is that of its list. */
static struct nsgate_target *target_alloc(struct net *net,
					  const struct nsgate_target *parent)
{
	struct nsgate_target *target;
	int err;

	target = kzalloc(sizeof(*target), GFP_KERNEL_ACCOUNT);
	if (!target)
		return ERR_PTR(-ENOMEM);
	err = target_fill(target, net, parent);
	if (err) {
		kfree(target);
		return ERR_PTR(err);
	}
	target->inode = nsgate_net_inode(net);
	target->cookie = nsgate_net_cookie(net);
	target->bound_at = ktime_get_boottime_seconds();
	target->gone_at = UINT_MAX;
	refcount_set(&target->refs, 1);
	spin_lock_init(&target->survey_lock);
	INIT_LIST_HEAD(&target->kin);
	nsgate_hook_prepare(target);
	INIT_RCU_WORK(&target->free_work, target_free_work);
	INIT_WORK(&target->unhook_work, target_unhook_work);
	INIT_DELAYED_WORK(&target->late_work, target_late_work);
	rcu_assign_pointer(target->net, net);
	atomic_inc(&nr_unfreed);
	return target;
}

/* NULL once the namespace is known to be dying, and after a release. */
static struct net *target_net(const struct nsgate_target *target)
{
	return rcu_dereference_protected(target->net,
					 lockdep_is_held(&targets_lock));
}

/* The live target is named by the inode alone, the gone one by its cookie, too. */
static int add_views(struct nsgate_target *target, struct net *net)
{
	struct nsgate_target *gone;
	int err;

	gone = find_plainly_named(target->inode);
	if (gone) {
		err = nsgate_proc_rename_host(gone, true);
		if (err)
			return err;
		target->renamed = gone->cookie;
	}
	if (!nsgate_proc_can_add(target, net))
		return -EBUSY;
	err = nsgate_proc_add_host(target);
	if (err)
		return err;
	return nsgate_proc_add_own(target, net);
}

/* Names that are about to become free are waited for without the lock. */
static int await_views(struct nsgate_target *target, struct net *net)
{
	int err;

	do {
		mutex_lock(&targets_lock);
		err = add_views(target, net);
		mutex_unlock(&targets_lock);
	} while (err == -EBUSY && nsgate_proc_await_names());
	return err;
}

/*
 * Gives the name back that add_views() has taken from one that is gone.  Nobody else
 * takes it before: as long as the namespace isn't freed, nor is its inode.
 */
static int give_name_back(const struct nsgate_target *target)
{
	struct nsgate_target *gone = NULL;

	lockdep_assert_held(&targets_lock);
	if (target->renamed)
		gone = find_by_cookie(target->inode, target->renamed);
	if (!gone || !gone->named_by_cookie)
		return 0;
	return nsgate_proc_rename_host(gone, false);
}

/*
 * Has the workers take from the namespace what it has of the target.  That takes as
 * long as a tenant likes, so from here on the hooks let all pass.  They have a
 * reference to the target of their own.
 */
static void detach(struct nsgate_target *target, struct net *net)
{
	WRITE_ONCE(target->passes_all, true);
	RCU_INIT_POINTER(target->net, NULL);
	nsgate_proc_remove_own(target, net);
	target->unhook_net = get_net(net);
	nr_detached++;
	atomic_inc(&nr_unhooking);
	queue_work(nsgate_target_wq, &target->unhook_work);
}

/* Undoes add_target(), however far that got. */
static void undo_bind(struct nsgate_target *target, struct net *net)
{
	int err;

	mutex_lock(&targets_lock);
	nsgate_proc_remove_host(target);
	detach(target, net);
	mutex_unlock(&targets_lock);
	do {
		mutex_lock(&targets_lock);
		err = give_name_back(target);
		mutex_unlock(&targets_lock);
	} while (err == -EBUSY && nsgate_proc_await_names());
	nsgate_target_put(target);
}

/* What it puts in @added counts already, but is in no slot and can be undone. */
static int add_target(struct net *net, struct list_head *added)
{
	struct nsgate_target *target;
	int err;

	target = target_alloc(net, NULL);
	if (IS_ERR(target)) {
		err = PTR_ERR(target);
		goto err_alloc;
	}
	nsgate_target_get(target); /* for the hooks */
	err = await_views(target, net);
	if (err)
		goto err_target;
	err = nsgate_hook_register(target, net);
	if (err)
		goto err_target;
	list_add_tail(&target->list, added);
	return 0;

err_target:
	undo_bind(target, net);
err_alloc:
	pr_err("inode: net:[%u] can't be bound: error %d\n",
	       nsgate_net_inode(net), err);
	return err;
}

/*
 * A namespace that is being made becomes one that can be referenced for good when
 * it is listed, and stays so: what was made in vain is never listed.
 */
static bool was_listed(const struct net *net)
{
	return READ_ONCE(net->list.next);
}

struct net *nsgate_target_get_net(const struct nsgate_target *target)
{
	struct net *net;

	rcu_read_lock();
	net = rcu_dereference(target->net);
	if (net)
		net = was_listed(net) ? maybe_get_net(net) : NULL;
	rcu_read_unlock();
	return net;
}

void nsgate_target_move_family_to_front(const struct nsgate_target *one)
{
	struct nsgate_target *target;

	mutex_lock(&targets_lock);
	list_for_each_entry(target, &live_targets, list) {
		if (target->family == one->family)
			nsgate_hook_move_to_front(target);
	}
	mutex_unlock(&targets_lock);
}

/*
 * Frees the slot for the next bind, unless the namespace is dying: then there is
 * none, and .pre_exit and .exit find their target in it.
 */
static void leave_net(struct nsgate_target *target)
{
	struct net *net = target_net(target);

	if (!net)
		return;
	if (!was_listed(net)) {
		nsgate_target_get(target);
		queue_delayed_work(nsgate_target_wq, &target->late_work, 1);
		return;
	}
	net = maybe_get_net(net);
	if (!net)
		return;
	WRITE_ONCE(nsgate_target_slot(net)->target, NULL);
	detach(target, net);
	put_net(net);
}

/* Once the namespace is listed, or else has been undone. */
static void target_late_work(struct work_struct *work)
{
	struct nsgate_target *target = container_of(to_delayed_work(work),
						    struct nsgate_target,
						    late_work);

	mutex_lock(&targets_lock);
	leave_net(target);
	mutex_unlock(&targets_lock);
	nsgate_target_put(target);
}

static void count_live(struct nsgate_target *target, int n)
{
	nr_live += n;
	target->family->nr_live += n;
	if (target->born)
		nr_born_live += n;
}

static void count_gone(struct nsgate_target *target, int n)
{
	nr_gone += n;
	if (!target->parent)
		return;
	target->family->nr_gone_born += n;
	if (n > 0)
		list_add_tail(&target->kin, &target->family->gone_born);
	else
		list_del_init(&target->kin);
}

/* From here on it is in no list. */
static void unlist(struct nsgate_target *target)
{
	list_del(&target->list);
	hash_del(&target->hash);
	if (is_gone(target))
		count_gone(target, -1);
	else
		count_live(target, -1);
	target->released = true;
}

/* A family that makes many namespaces must not fill the log. */
static bool may_log(const struct nsgate_target *target)
{
	static DEFINE_RATELIMIT_STATE(births_of_all, 5 * HZ, 100);

	return !target->born || __ratelimit(&births_of_all);
}

static void release(struct nsgate_target *target)
{
	unlist(target);
	nsgate_proc_remove_host(target);
	leave_net(target);
	if (may_log(target))
		pr_info("released net:[%u], cookie %llu\n", target->inode,
			target->cookie);
	nsgate_target_put(target);
}

/* From here on the bind can't be undone, but only be released. */
static void commit_bind(struct nsgate_target *target)
{
	list_move_tail(&target->list, &live_targets);
	hash_add(targets_by_inode, &target->hash, target->inode);
	count_live(target, 1);
	/* Pairs with get_parent(). */
	smp_store_release(&nsgate_target_slot(target_net(target))->target,
			  target);
	if (may_log(target))
		pr_info("bound to net:[%u], cookie %llu\n", target->inode,
			target->cookie);
	if (nr_live + nr_gone > TARGETS_MAX)
		release(list_first_entry(&gone_targets, struct nsgate_target,
					 list));
}

static void commit_binds(struct list_head *added)
{
	struct nsgate_target *target, *next;

	list_for_each_entry_safe(target, next, added, list)
		commit_bind(target);
}

static void undo_binds(struct list_head *added)
{
	struct nsgate_target *target, *next;
	struct net *net;

	list_for_each_entry_safe(target, next, added, list) {
		list_del(&target->list);
		/* The request holds it, so it doesn't die. */
		net = rcu_dereference_protected(target->net, true);
		undo_bind(target, net);
	}
}

/*
 * What was released before its namespace was listed leaves now, if no worker has come
 * to that yet.  The request holds the namespace.
 */
static bool has_target(struct net *net)
{
	const struct nsgate_net *slot = nsgate_target_slot(net);

	lockdep_assert_held(&targets_lock);
	if (slot->target && slot->target->released)
		leave_net(slot->target);
	return slot->target;
}

static bool is_bound(struct net *net)
{
	bool bound;

	mutex_lock(&targets_lock);
	bound = has_target(net);
	mutex_unlock(&targets_lock);
	return bound;
}

static LIST_HEAD(claiming); /* requests, targets_lock */
static unsigned long nr_claims_ended; /* targets_lock */

static bool is_wanted(const struct inode_request *req, const struct net *net)
{
	unsigned int i;

	for (i = 0; i < req->count; i++) {
		if (req->wanted[i].net == net)
			return true;
	}
	return false;
}

static bool is_claimed(const struct net *net)
{
	const struct inode_request *req;

	list_for_each_entry(req, &claiming, list) {
		if (is_wanted(req, net))
			return true;
	}
	return false;
}

/* All of its namespaces or none: who has claims never waits for others. */
static bool try_claims(struct inode_request *req)
{
	unsigned int i;

	for (i = 0; i < req->count; i++) {
		if (is_claimed(req->wanted[i].net))
			return false;
	}
	list_add(&req->list, &claiming);
	return true;
}

/* Nobody else binds these namespaces from here on; end_claims() follows. */
static void begin_claims(struct inode_request *req)
{
	unsigned long before;
	bool is_done;

	for (;;) {
		mutex_lock(&targets_lock);
		is_done = try_claims(req);
		before = nr_claims_ended;
		mutex_unlock(&targets_lock);
		if (is_done)
			return;
		wait_event(progress, READ_ONCE(nr_claims_ended) != before);
	}
}

static void end_claims(struct inode_request *req)
{
	mutex_lock(&targets_lock);
	list_del(&req->list);
	WRITE_ONCE(nr_claims_ended, nr_claims_ended + 1);
	mutex_unlock(&targets_lock);
	wake_up_all(&progress);
}

static bool is_full(void)
{
	bool full;

	mutex_lock(&targets_lock);
	full = nr_live >= TARGETS_MAX;
	mutex_unlock(&targets_lock);
	return full;
}

/* Others have gone on meanwhile. */
static bool commit_if_room(struct list_head *added)
{
	bool full;

	mutex_lock(&targets_lock);
	full = nr_live >= TARGETS_MAX;
	if (!full)
		commit_binds(added);
	mutex_unlock(&targets_lock);
	return !full;
}

static int bind_claimed(const struct inode_request *req)
{
	LIST_HEAD(added);
	int err;

	if (!is_full()) {
		err = add_target(req->wanted[0].net, &added);
		if (err)
			return err;
		if (commit_if_room(&added))
			return 0;
		undo_binds(&added);
	}
	pr_err("inode: %u would be one more than %u targets\n",
	       req->wanted[0].inode, TARGETS_MAX);
	return -E2BIG;
}

static int bind_one(struct inode_request *req)
{
	struct net *net = req->wanted[0].net;
	int err = 0;

	if (is_bound(net))
		return 0;
	begin_claims(req);
	if (!is_bound(net))
		err = bind_claimed(req);
	end_claims(req);
	return err;
}

/* All gone ones that had the inode; tells whether there was any. */
static bool release_gone(u32 inode)
{
	struct nsgate_target *target;
	struct hlist_node *next;
	bool any = false;

	hash_for_each_possible_safe(targets_by_inode, target, next, hash,
				    inode) {
		if (target->inode == inode && is_gone(target)) {
			release(target);
			any = true;
		}
	}
	return any;
}

/* The live one, or else all gone ones; with a cookie exactly one. */
static bool release_named(u32 inode, u64 cookie)
{
	struct nsgate_target *target;

	target = cookie ? find_by_cookie(inode, cookie) : find_live(inode);
	if (!target)
		return !cookie && release_gone(inode);
	release(target);
	return true;
}

static int release_one(const struct inode_request *req)
{
	u32 inode = req->wanted[0].inode;
	bool found;

	mutex_lock(&targets_lock);
	found = release_named(inode, req->cookie);
	mutex_unlock(&targets_lock);
	if (found)
		return 0;
	if (req->cookie)
		pr_err("inode: %u.%llu is no target\n", inode, req->cookie);
	else
		pr_err("inode: %u is no target\n", inode);
	return -ENXIO;
}

/*
 * A list names families.  Fails if one of the namespaces has no target: another
 * request has released it since add_missing() looked.
 */
static bool mark_listed(const struct inode_request *req)
{
	struct nsgate_target *target;
	const struct wanted *w;

	list_for_each_entry(target, &live_targets, list)
		target->family->listed = false;
	list_for_each_entry(target, &gone_targets, list)
		target->family->listed = false;
	for (w = req->wanted; w < req->wanted + req->count; w++) {
		if (w->added)
			continue;
		if (!has_target(w->net))
			return false;
		nsgate_target_slot(w->net)->target->family->listed = true;
	}
	return true;
}

/* With those of the families that are listed. */
static bool have_room(const struct list_head *added)
{
	struct nsgate_target *target;
	unsigned int n = 0;

	list_for_each_entry(target, added, list)
		n++;
	list_for_each_entry(target, &live_targets, list)
		n += target->family->listed;
	return n <= TARGETS_MAX;
}

static void release_unlisted(struct list_head *list)
{
	struct nsgate_target *target, *next;

	list_for_each_entry_safe(target, next, list, list) {
		if (!target->family->listed)
			release(target);
	}
}

static int add_missing(struct inode_request *req, struct list_head *added)
{
	struct wanted *w;
	int err;

	for (w = req->wanted; w < req->wanted + req->count; w++) {
		if (w->added || is_bound(w->net))
			continue;
		err = add_target(w->net, added);
		if (err)
			return err;
		w->added = true;
	}
	return 0;
}

/* Fails with -EAGAIN if there is more to add. */
static int commit_list(const struct inode_request *req, struct list_head *added)
{
	int err = 0;

	mutex_lock(&targets_lock);
	if (!mark_listed(req)) {
		err = -EAGAIN;
	} else if (!have_room(added)) {
		err = -E2BIG;
	} else {
		release_unlisted(&live_targets);
		release_unlisted(&gone_targets);
		commit_binds(added);
	}
	mutex_unlock(&targets_lock);
	return err;
}

static int replace_all(struct inode_request *req)
{
	LIST_HEAD(added);
	int err;

	begin_claims(req);
	do {
		err = add_missing(req, &added);
		if (err)
			break;
		err = commit_list(req, &added);
		if (err == -E2BIG)
			pr_err("inode: with all of their families these would be more than %u targets\n",
			       TARGETS_MAX);
	} while (err == -EAGAIN);
	if (err)
		undo_binds(&added);
	end_claims(req);
	return err;
}

/* Two points together, of all protocols. */
static struct nsgate_count sum_points(const struct nsgate_target *target,
				      enum nsgate_point one,
				      enum nsgate_point other)
{
	const enum nsgate_point points[] = { one, other };
	struct nsgate_sum sum[NSGATE_PROTOS];
	struct nsgate_count all = {};
	int i, proto;

	for (i = 0; i < (one == other ? 1 : 2); i++) {
		nsgate_meter_sum(target->meter, points[i], sum);
		for (proto = 0; proto < NSGATE_PROTOS; proto++) {
			all.packets += sum[proto].seen.packets;
			all.bytes += sum[proto].seen.bytes +
				     sum[proto].seen.packets *
				     nsgate_meter_header(points[i]);
		}
	}
	return all;
}

static void log_final_totals(const struct nsgate_target *target)
{
	struct nsgate_count count[NF_INET_NUMHOOKS], in, out;
	int hook;

	for (hook = 0; hook < NF_INET_NUMHOOKS; hook++)
		count[hook] = sum_points(target, NSGATE_IP_POINT(hook, 0),
					 NSGATE_IP_POINT(hook, 1));
	in = sum_points(target, NSGATE_IN, NSGATE_IN_BARE);
	out = sum_points(target, NSGATE_OUT, NSGATE_OUT);
	pr_info("net:[%u], cookie %llu, is gone; packets/bytes: prerouting %llu/%llu input %llu/%llu forward %llu/%llu output %llu/%llu postrouting %llu/%llu in %llu/%llu out %llu/%llu\n",
		target->inode, target->cookie,
		count[NF_INET_PRE_ROUTING].packets,
		count[NF_INET_PRE_ROUTING].bytes,
		count[NF_INET_LOCAL_IN].packets,
		count[NF_INET_LOCAL_IN].bytes,
		count[NF_INET_FORWARD].packets,
		count[NF_INET_FORWARD].bytes,
		count[NF_INET_LOCAL_OUT].packets,
		count[NF_INET_LOCAL_OUT].bytes,
		count[NF_INET_POST_ROUTING].packets,
		count[NF_INET_POST_ROUTING].bytes, in.packets, in.bytes,
		out.packets, out.bytes);
}

static int carry_out(struct inode_request *req)
{
	int err = -ENODEV;

	down_read(&requests_lock);
	if (no_more_requests)
		goto out;
	switch (req->verb) {
	case REPLACE:
		err = replace_all(req);
		break;
	case BIND:
		err = bind_one(req);
		break;
	case RELEASE:
		err = release_one(req);
		break;
	}
out:
	up_read(&requests_lock);
	return err;
}

void nsgate_target_release_all(void)
{
	struct inode_request none = { .verb = REPLACE };

	down_write(&requests_lock);
	no_more_requests = true;
	up_write(&requests_lock);
	replace_all(&none);
	wait_event(progress, !atomic_read(&nr_unfreed));
}

/* The most that a release is waited for by those who need not. */
#define SETTLE_TIMEOUT (2 * HZ)

void nsgate_target_settle(void)
{
	/* No packet is still being judged for what was released. */
	synchronize_rcu_expedited();
	wait_event_interruptible_timeout(progress, !atomic_read(&nr_unhooking),
					 SETTLE_TIMEOUT);
	nsgate_proc_await_names();
}

static int write_request(struct inode_request *req, char *text)
{
	int err;

	err = parse_request(req, text);
	if (err)
		return err;
	err = get_nets(req);
	if (!err)
		err = carry_out(req);
	put_nets(req);
	return err;
}

/* With room for all that a text may name. */
static struct inode_request *request_alloc(const char *text)
{
	struct inode_request *req;
	size_t room = 1;

	for (; *text; text++)
		room += *text == ',';
	room = min_t(size_t, room, TARGETS_MAX);
	req = kvzalloc(sizeof(*req) + array_size(room, sizeof(*req->wanted)),
		       GFP_KERNEL);
	if (req)
		req->room = room;
	return req;
}

int nsgate_target_write(const char *text, bool *unsettled)
{
	struct inode_request *req;
	unsigned long before = READ_ONCE(nr_detached);
	int err = -ENOMEM;
	char *copy;

	copy = kstrdup(text, GFP_KERNEL);
	req = request_alloc(text);
	if (copy && req)
		err = write_request(req, copy);
	kvfree(req);
	kfree(copy);
	*unsettled = READ_ONCE(nr_detached) != before ||
		     nsgate_proc_has_leaving();
	return err;
}

/* A page is all that sysfs takes, and of that not the last byte. */
#define TEXT_MAX (PAGE_SIZE - 1)

int nsgate_target_read(char *buf)
{
	static const char rest[] = ",...\n";
	char number[sizeof(",4294967295")];
	struct nsgate_target *target;
	size_t more, end, len = 0;
	bool cut = false;

	mutex_lock(&targets_lock);
	list_for_each_entry(target, &live_targets, list) {
		more = scnprintf(number, sizeof(number), "%s%u",
				 len ? "," : "", target->inode);
		end = list_is_last(&target->list, &live_targets) ? 1 :
		      strlen(rest);
		cut = len + more + end > TEXT_MAX;
		if (cut)
			break;
		memcpy(buf + len, number, more);
		len += more;
	}
	mutex_unlock(&targets_lock);
	return len + scnprintf(buf + len, PAGE_SIZE - len, "%s",
			       cut ? rest : "\n");
}

/*
 * Some other .init failed: there never was such a namespace.  What was gone before
 * gets its name back by .exit.
 */
static void undo_birth(struct nsgate_target *target)
{
	unlist(target);
	nsgate_proc_remove_host(target);
	atomic64_dec(&nr_born);
	nsgate_target_put(target);
}

/* A family that makes many namespaces must not fill the host view with dead ones. */
static void trim_family(struct nsgate_family *family)
{
	if (family->nr_gone_born > FAMILY_GONE_MAX)
		release(list_first_entry(&family->gone_born,
					 struct nsgate_target, kin));
}

/* The figures go on being read, and may still change until .exit. */
static struct nsgate_target *mark_gone(struct net *net)
{
	struct nsgate_net *slot = nsgate_target_slot(net);
	struct nsgate_target *target;

	mutex_lock(&targets_lock);
	target = slot->target;
	if (!target)
		goto out;
	RCU_INIT_POINTER(target->net, NULL);
	if (target->released)
		goto out;
	if (!was_listed(net)) {
		undo_birth(target);
		goto out;
	}
	count_live(target, -1);
	WRITE_ONCE(target->gone_at, ktime_get_boottime_seconds());
	list_move_tail(&target->list, &gone_targets);
	count_gone(target, 1);
	trim_family(target->family);
out:
	mutex_unlock(&targets_lock);
	return target;
}

/*
 * The namespace dies: nobody holds it, so no bind can come in between, and no
 * release empties its slot.  It goes on to forward packets until its devices
 * are gone, so the hooks stay, and the gate with them.
 */
static void __net_exit target_net_pre_exit(struct net *net)
{
	struct nsgate_net *slot = nsgate_target_slot(net);
	struct nsgate_target *target;

	if (!READ_ONCE(slot->target))
		return;
	target = mark_gone(net);
	nsgate_proc_remove_own_dead(target);
}

/* What has to be done under targets_lock for a birth, by a worker. */
struct birth {
	struct work_struct work;
	struct nsgate_target *target;
	struct nsgate_target *parent; /* NULL for a head */
	int err;
};

static int check_room(const struct birth *birth)
{
	if (nr_live >= TARGETS_MAX)
		return -ENOSPC;
	if (nr_born_live >= BORN_MAX)
		return -ENOSPC;
	if (birth->parent &&
	    birth->target->family->nr_live >= FAMILY_LIVE_MAX)
		return -ENOSPC;
	return 0;
}

static int commit_birth(const struct birth *birth)
{
	struct nsgate_target *target = birth->target;
	int err;

	/* The parent was released meanwhile, or the module is being unloaded. */
	if (auto_mode == NSGATE_AUTO_OFF ||
	    (birth->parent && birth->parent->released))
		return -EAGAIN;
	err = check_room(birth);
	if (err)
		return err;
	err = add_views(target, target_net(target));
	if (err)
		return err;
	INIT_LIST_HEAD(&target->list);
	commit_bind(target);
	atomic64_inc(&nr_born);
	return 0;
}

static void birth_work(struct work_struct *work)
{
	struct birth *birth = container_of(work, struct birth, work);

	mutex_lock(&targets_lock);
	birth->err = commit_birth(birth);
	mutex_unlock(&targets_lock);
}

static void unshow_work(struct work_struct *work)
{
	struct birth *birth = container_of(work, struct birth, work);

	mutex_lock(&targets_lock);
	nsgate_proc_remove_host(birth->target);
	birth->err = give_name_back(birth->target);
	mutex_unlock(&targets_lock);
}

/* Names that are about to become free are waited for by the maker. */
static int have_done(struct birth *birth, work_func_t func)
{
	INIT_WORK_ONSTACK(&birth->work, func);
	do {
		queue_work(births_wq, &birth->work);
		flush_work(&birth->work);
	} while (birth->err == -EBUSY && nsgate_proc_await_names());
	destroy_work_on_stack(&birth->work);
	return birth->err;
}

/* Undoes what add_views() did to the host view. */
static void unshow(struct nsgate_target *target)
{
	struct birth birth = { .target = target };

	have_done(&birth, unshow_work);
}

/* No device is left, and no packet: the figures are final. */
static void __net_exit target_net_exit(struct net *net)
{
	struct nsgate_net *slot = nsgate_target_slot(net);
	struct nsgate_target *target = slot->target;

	if (!target)
		return;
	nsgate_hook_unregister(target, net);
	if (!was_listed(net))
		unshow(target);
	else if (may_log(target))
		log_final_totals(target);
	slot->target = NULL;
	nsgate_target_put(target);
}

/* Nobody but us knows the namespace: no packet, no device, no reader. */
static void abandon(struct nsgate_target *target, struct net *net)
{
	if (target->own_view)
		nsgate_proc_remove_own_dead(target);
	nsgate_hook_unregister(target, net);
	nsgate_target_put(target); /* of the hooks */
	nsgate_target_put(target);
}

static int bind_newborn(struct net *net, struct nsgate_target *parent)
{
	struct birth birth = { .parent = parent };
	int err;

	birth.target = target_alloc(net, parent);
	if (IS_ERR(birth.target))
		return PTR_ERR(birth.target);
	birth.target->born = true;
	nsgate_target_get(birth.target); /* for the hooks */
	err = nsgate_hook_register(birth.target, net);
	if (err)
		goto err_target;
	err = have_done(&birth, birth_work);
	if (!err)
		return 0;
	unshow(birth.target);
err_target:
	abandon(birth.target, net);
	return err;
}

/* The target that makes a namespace; NULL if that is none, or the host. */
static struct nsgate_target *get_parent(void)
{
	const struct net *maker = current->nsproxy->net_ns;
	struct nsgate_target *parent;

	if (net_eq(maker, &init_net))
		return NULL;
	rcu_read_lock();
	/* Pairs with commit_bind(). */
	parent = smp_load_acquire(&nsgate_target_slot(maker)->target);
	if (parent && !refcount_inc_not_zero(&parent->refs))
		parent = NULL;
	rcu_read_unlock();
	return parent;
}

/* The errors that those who make namespaces are told of. */
static int birth_error(int err)
{
	return err == -ENOSPC || err == -E2BIG ? -ENOSPC : -ENOMEM;
}

/* A namespace that would head a family may do without if all would pass. */
static int miss(const struct net *net, int err)
{
	net_warn_ratelimited("net:[%u] is made, but can't be bound: error %d\n",
			     nsgate_net_inode(net), err);
	atomic64_inc(&nr_missed);
	return 0;
}

/* Fails with -EAGAIN if it isn't wanted any more as it was. */
static int give_birth(struct net *net)
{
	struct nsgate_target *parent = get_parent();
	bool is_head = !parent;
	int err;

	if (is_head && READ_ONCE(auto_mode) != NSGATE_AUTO_ALL)
		return 0;
	err = bind_newborn(net, parent);
	if (parent)
		nsgate_target_put(parent);
	if (!err || err == -EAGAIN)
		return err;
	if (is_head && !defaults->drop)
		return miss(net, err);
	net_err_ratelimited("no namespace is made in net:[%u]: it can't be bound: error %d\n",
			    nsgate_net_inode(current->nsproxy->net_ns), err);
	return birth_error(err);
}

/*
 * Most makers have nothing to do with us: they take no lock.  Nothing is born
 * while the module is being loaded.
 */
static int __net_init target_net_init(struct net *net)
{
	int err = -EAGAIN;

	while (err == -EAGAIN && READ_ONCE(auto_mode) != NSGATE_AUTO_OFF)
		err = give_birth(net);
	return err == -EAGAIN ? 0 : err;
}

void nsgate_target_set_auto(enum nsgate_auto mode)
{
	mutex_lock(&targets_lock);
	WRITE_ONCE(auto_mode, mode);
	mutex_unlock(&targets_lock);
}

void nsgate_target_births(struct nsgate_births *births)
{
	births->mode = READ_ONCE(auto_mode);
	births->born = atomic64_read(&nr_born);
	births->missed = atomic64_read(&nr_missed);
}

static struct pernet_operations target_net_ops = {
	.init = target_net_init,
	.pre_exit = target_net_pre_exit,
	.exit = target_net_exit,
	.id = &nsgate_target_net_id,
	.size = sizeof(struct nsgate_net),
};

int nsgate_target_init(const struct nsgate_config *config)
{
	int err;

	defaults = config;
	nsgate_target_wq = alloc_workqueue("nsgate", WQ_UNBOUND, 0);
	if (!nsgate_target_wq)
		return -ENOMEM;
	err = -ENOMEM;
	births_wq = alloc_workqueue("nsgate_births", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!births_wq)
		goto err_target_wq;
	err = register_pernet_subsys(&target_net_ops);
	if (err)
		goto err_births_wq;
	return 0;

err_births_wq:
	destroy_workqueue(births_wq);
err_target_wq:
	destroy_workqueue(nsgate_target_wq);
	return err;
}

void nsgate_target_exit(void)
{
	unregister_pernet_subsys(&target_net_ops);
	/* Births that came too late have been abandoned. */
	wait_event(progress, !atomic_read(&nr_unfreed));
	destroy_workqueue(births_wq);
	/* What has counted the last target down may still be about to return. */
	destroy_workqueue(nsgate_target_wq);
}
