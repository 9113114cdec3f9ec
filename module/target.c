// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets: bind, release, and what happens when a namespace dies.
 *
 * A namespace holds one pointer of ours, its slot.  The slot of a target leads
 * to it from bind until it is released or the namespace is dead, and is not
 * changed by anybody who doesn't hold targets_lock.  We hold no reference to a
 * namespace other than while we bind to it, and while something of it is read,
 * or written, or taken away.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ctype.h>
#include <linux/mutex.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string_helpers.h>
#include <linux/timekeeping.h>
#include <net/net_namespace.h>

#include "nsgate.h"

#define TARGETS_MAX 256

unsigned int nsgate_target_net_id __read_mostly;
static const struct nsgate_config *defaults; /* set once, by init */

/*
 * Protects the lists, their counts, and the life of every target.  Outermost
 * but for the lock of the parameter; .pre_exit and .exit take it, so nobody
 * who holds it may wait for a grace period.
 */
static DEFINE_MUTEX(targets_lock);
static LIST_HEAD(live_targets); /* oldest bind first, targets_lock */
static LIST_HEAD(gone_targets); /* oldest death first, targets_lock */
static unsigned int nr_live, nr_gone; /* targets_lock */

/* What an inode that is being written means. */
struct wanted {
	u32 inode;
	struct net *net; /* referenced */
};

/* Bind, release, or (replace) make these and only these targets. */
struct request {
	enum { REPLACE, BIND, RELEASE } verb;
	unsigned int count;
	struct wanted wanted[TARGETS_MAX];
};

static int parse_inode(const char *text, u32 *inode)
{
	/* kstrtou32() alone would take a sign and a newline. */
	if (!isdigit(*text) || text[strspn(text, "0123456789")] ||
	    kstrtou32(text, 10, inode) || !*inode) {
		pr_err("inode: \"%*pE\" is not the number of an inode\n",
		       (int)strnlen(text, 32), text);
		return -EINVAL;
	}
	return 0;
}

static int add_wanted(struct request *req, const char *text)
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
	if (req->count == TARGETS_MAX) {
		pr_err("inode: %u would be one more than %u targets\n", inode,
		       TARGETS_MAX);
		return -E2BIG;
	}
	req->wanted[req->count++].inode = inode;
	return 0;
}

/* Takes @text apart, and writes into it. */
static int parse_request(struct request *req, char *text)
{
	size_t len = strlen(text);
	bool cut = len >= PAGE_SIZE;
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
		req->verb = RELEASE;
		return add_wanted(req, text + 1);
	}
	req->verb = REPLACE;
	while ((token = strsep(&text, ","))) {
		err = add_wanted(req, token);
		if (err)
			return err;
	}
	if (cut) {
		pr_err("inode: a line of %zu bytes may lack its end\n", len);
		return -EINVAL;
	}
	return 0;
}

static struct net *get_net_by_inode(u32 inode)
{
	struct net *net, *found = NULL;

	rcu_read_lock();
	for_each_net_rcu(net) {
		if (net->ns.inum == inode) {
			found = maybe_get_net(net);
			break;
		}
	}
	rcu_read_unlock();
	return found;
}

static int get_nets(struct request *req)
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

static void put_nets(struct request *req)
{
	struct wanted *w;

	for (w = req->wanted; w < req->wanted + req->count && w->net; w++)
		put_net(w->net);
}

static struct nsgate_target *find_target(const struct list_head *list,
					 u32 inode)
{
	struct nsgate_target *target;

	list_for_each_entry(target, list, list) {
		if (target->inode == inode)
			return target;
	}
	return NULL;
}

static struct nsgate_target *target_alloc(struct net *net)
{
	bool may_cut_off = !net_eq(net, &init_net) || defaults->gate_init_net;
	struct nsgate_target *target;
	int err;

	target = kzalloc(sizeof(*target), GFP_KERNEL);
	if (!target)
		return ERR_PTR(-ENOMEM);
	target->inode = net->ns.inum;
	target->cookie = nsgate_net_cookie(net);
	target->bound_at = ktime_get_boottime_seconds();
	target->gone_at = UINT_MAX;

	target->gate = nsgate_gate_alloc(may_cut_off, defaults->drop);
	if (IS_ERR(target->gate)) {
		err = PTR_ERR(target->gate);
		goto err_target;
	}
	err = -ENOMEM;
	target->meter = nsgate_meter_alloc();
	if (!target->meter)
		goto err_gate;
	if (defaults->flows) {
		target->flow = nsgate_flow_alloc(defaults->flows);
		if (!target->flow)
			goto err_meter;
	}
	return target;

err_meter:
	nsgate_meter_free(target->meter);
err_gate:
	nsgate_gate_put(target->gate);
err_target:
	kfree(target);
	return ERR_PTR(err);
}

static void target_free(struct nsgate_target *target)
{
	nsgate_flow_free(target->flow);
	nsgate_meter_free(target->meter);
	nsgate_gate_put(target->gate);
	kfree(target);
}

/* The host view has one place for an inode: the new target takes it over. */
static int show_on_host(struct nsgate_target *target)
{
	target->replaces = find_target(&gone_targets, target->inode);
	if (target->replaces)
		nsgate_proc_remove_host(target->replaces);
	return nsgate_proc_add_host(target);
}

/* Undoes show_on_host(), as long as the bind isn't sure. */
static void hide_on_host(struct nsgate_target *target)
{
	struct nsgate_target *old = target->replaces;

	nsgate_proc_remove_host(target);
	if (old && nsgate_proc_add_host(old))
		pr_warn("no memory to go on showing net:[%u], which is gone\n",
			old->inode);
}

static void remove_own_view(struct work_struct *work)
{
	struct nsgate_target *target = container_of(work, struct nsgate_target,
						    hide);

	nsgate_proc_remove_own(target->hidden_from);
	put_net(target->hidden_from);
}

/*
 * Readers of the own view decide how long they read: each target waits for its own,
 * with no lock, and bury() for all of them.  While they read they keep the namespace
 * alive, so if it is dead there are none.
 */
static void hide_own_view(struct nsgate_target *target, struct net *net)
{
	target->hidden_from = maybe_get_net(net);
	if (!target->hidden_from) {
		nsgate_proc_remove_own(net);
		return;
	}
	INIT_WORK(&target->hide, remove_own_view);
	schedule_work(&target->hide);
}

/*
 * What it returns counts already, but is in no list and can be undone.  One
 * that it could not hook may have had a packet in a hook all the same.
 */
static struct nsgate_target *bind_net(struct net *net, struct list_head *dead)
{
	struct nsgate_target *target;
	int err;

	target = target_alloc(net);
	if (IS_ERR(target)) {
		err = PTR_ERR(target);
		goto err_alloc;
	}
	rcu_assign_pointer(target->net, net);
	err = show_on_host(target);
	if (err)
		goto err_host;
	err = nsgate_proc_add_own(target, net);
	if (err)
		goto err_host;
	err = nsgate_hook_register(target, net);
	if (err)
		goto err_own;
	target->slot = nsgate_target_slot(net);
	WRITE_ONCE(target->slot->target, target);
	return target;

err_own:
	hide_own_view(target, net);
	hide_on_host(target);
	list_add_tail(&target->list, dead);
	goto err_alloc;
err_host:
	hide_on_host(target);
	target_free(target);
err_alloc:
	pr_err("inode: net:[%u] can't be bound: error %d\n", net->ns.inum, err);
	return ERR_PTR(err);
}

static struct net *net_of(const struct nsgate_target *target)
{
	return rcu_dereference_protected(target->net,
					 lockdep_is_held(&targets_lock));
}

/* No packet enters its hooks any more, and the namespace knows it no more. */
static void detach(struct nsgate_target *target)
{
	struct net *net = net_of(target);

	if (net) {
		nsgate_hook_unregister(target, net);
		hide_own_view(target, net);
	}
	if (!target->slot)
		return;
	/*
	 * Once .pre_exit sees that there is no target it doesn't wait for us,
	 * and the namespace is freed: this comes last.
	 */
	smp_store_release(&target->slot->target, NULL);
}

/* The caller frees what is in @dead when packets have left the hooks. */
static void release(struct nsgate_target *target, struct list_head *dead)
{
	if (net_of(target))
		nr_live--;
	else
		nr_gone--;
	nsgate_proc_remove_host(target);
	detach(target);
	list_move_tail(&target->list, dead);
	pr_info("released net:[%u], cookie %llu\n", target->inode,
		target->cookie);
}

/* From here on the bind can't be undone, but only be released. */
static void adopt(struct nsgate_target *target, struct list_head *dead)
{
	list_add_tail(&target->list, &live_targets);
	nr_live++;
	pr_info("bound to net:[%u], cookie %llu\n", target->inode,
		target->cookie);
	if (target->replaces)
		release(target->replaces, dead);
	target->replaces = NULL;
	if (nr_live + nr_gone > TARGETS_MAX)
		release(list_first_entry(&gone_targets, struct nsgate_target,
					 list), dead);
}

static int bind_one(const struct request *req, struct list_head *dead)
{
	struct net *net = req->wanted[0].net;
	struct nsgate_target *target;

	if (nsgate_target_slot(net)->target)
		return 0;
	if (nr_live == TARGETS_MAX) {
		pr_err("inode: %u would be one more than %u targets\n",
		       req->wanted[0].inode, TARGETS_MAX);
		return -E2BIG;
	}
	target = bind_net(net, dead);
	if (IS_ERR(target))
		return PTR_ERR(target);
	adopt(target, dead);
	return 0;
}

static int release_one(const struct request *req, struct list_head *dead)
{
	u32 inode = req->wanted[0].inode;
	struct nsgate_target *target;

	target = find_target(&live_targets, inode);
	if (!target)
		target = find_target(&gone_targets, inode);
	if (!target) {
		pr_err("inode: %u is no target\n", inode);
		return -ENXIO;
	}
	release(target, dead);
	return 0;
}

/* Undoes bind_net(); the caller frees what is in @dead as for release(). */
static void unbind(struct nsgate_target *target, struct list_head *dead)
{
	detach(target);
	hide_on_host(target);
	list_move_tail(&target->list, dead);
}

/* Puts those that are bound anew in @fresh, and marks those that stay. */
static int bind_missing(const struct request *req, struct list_head *fresh,
			struct list_head *dead)
{
	struct nsgate_target *target;
	unsigned int i;

	list_for_each_entry(target, &live_targets, list)
		target->keep = false;
	for (i = 0; i < req->count; i++) {
		target = nsgate_target_slot(req->wanted[i].net)->target;
		if (target) {
			target->keep = true;
			continue;
		}
		target = bind_net(req->wanted[i].net, dead);
		if (IS_ERR(target))
			return PTR_ERR(target);
		list_add_tail(&target->list, fresh);
	}
	return 0;
}

static int replace_all(const struct request *req, struct list_head *dead)
{
	struct nsgate_target *target, *next;
	LIST_HEAD(fresh);
	int err;

	err = bind_missing(req, &fresh, dead);
	if (err) {
		list_for_each_entry_safe(target, next, &fresh, list)
			unbind(target, dead);
		return err;
	}
	list_for_each_entry_safe(target, next, &live_targets, list) {
		if (!target->keep)
			release(target, dead);
	}
	/* Those that are replaced are among them. */
	list_for_each_entry_safe(target, next, &gone_targets, list)
		release(target, dead);
	list_for_each_entry_safe(target, next, &fresh, list) {
		target->replaces = NULL;
		adopt(target, dead);
	}
	return 0;
}

/* Both families of a hook of IP together. */
static struct nsgate_count count_all(const struct nsgate_target *target,
				     unsigned int hook)
{
	struct nsgate_sum sum[NSGATE_PROTOS];
	struct nsgate_count all = {};
	int ipv6, proto;

	for (ipv6 = 0; ipv6 <= 1; ipv6++) {
		nsgate_meter_sum(target->meter, NSGATE_IP_POINT(hook, ipv6),
				 sum);
		for (proto = 0; proto < NSGATE_PROTOS; proto++) {
			all.packets += sum[proto].seen.packets;
			all.bytes += sum[proto].seen.bytes;
		}
	}
	return all;
}

static void log_final(const struct nsgate_target *target)
{
	struct nsgate_count count[NF_INET_NUMHOOKS];
	int hook;

	for (hook = 0; hook < NF_INET_NUMHOOKS; hook++)
		count[hook] = count_all(target, hook);
	pr_info("net:[%u], cookie %llu, is gone; packets/bytes: prerouting %llu/%llu input %llu/%llu forward %llu/%llu output %llu/%llu postrouting %llu/%llu\n",
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
		count[NF_INET_POST_ROUTING].bytes);
}

/* Frees targets that were released once no packet is in their hooks. */
static void bury(struct list_head *dead)
{
	struct nsgate_target *target, *next;

	if (list_empty(dead))
		return;
	list_for_each_entry(target, dead, list) {
		if (target->hidden_from)
			flush_work(&target->hide);
	}
	synchronize_net();
	list_for_each_entry_safe(target, next, dead, list) {
		/* Released after .pre_exit, so that .exit won't find it. */
		if (target->slot && !rcu_access_pointer(target->net))
			log_final(target);
		target_free(target);
	}
}

static int carry_out(const struct request *req)
{
	LIST_HEAD(dead);
	int err;

	mutex_lock(&targets_lock);
	switch (req->verb) {
	case BIND:
		err = bind_one(req, &dead);
		break;
	case RELEASE:
		err = release_one(req, &dead);
		break;
	default:
		err = replace_all(req, &dead);
	}
	mutex_unlock(&targets_lock);
	bury(&dead);
	return err;
}

void nsgate_target_release_all(void)
{
	static const struct request none = { .verb = REPLACE };

	carry_out(&none);
}

static int write_request(struct request *req, char *text)
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

int nsgate_target_write(const char *text)
{
	struct request *req;
	int err = -ENOMEM;
	char *copy;

	copy = kstrdup(text, GFP_KERNEL);
	req = kzalloc(sizeof(*req), GFP_KERNEL);
	if (copy && req)
		err = write_request(req, copy);
	kfree(req);
	kfree(copy);
	return err;
}

int nsgate_target_read(char *buf)
{
	struct nsgate_target *target;
	const char *comma = "";
	int len = 0;

	mutex_lock(&targets_lock);
	list_for_each_entry(target, &live_targets, list) {
		len += scnprintf(buf + len, PAGE_SIZE - len, "%s%u", comma,
				 target->inode);
		comma = ",";
	}
	mutex_unlock(&targets_lock);
	return len + scnprintf(buf + len, PAGE_SIZE - len, "\n");
}

/* A target is freed a grace period after its slot was cleared. */
static bool has_policy(const struct nsgate_net *slot)
{
	const struct nsgate_target *target;
	bool gated;

	rcu_read_lock();
	target = READ_ONCE(slot->target);
	gated = target && rcu_access_pointer(target->gate->policy);
	rcu_read_unlock();
	return gated;
}

/*
 * The namespace dies: nobody holds it, so no bind can come in between, and
 * what a release takes away from it is gone before its slot is cleared.  It goes
 * on to forward packets until its devices are gone, which is long after the gate.
 */
static void __net_exit target_net_pre_exit(struct net *net)
{
	struct nsgate_net *slot = nsgate_target_slot(net);
	struct nsgate_target *target;

	/* Pairs with detach(). */
	if (!smp_load_acquire(&slot->target))
		return;
	if (has_policy(slot))
		nsgate_hook_close_devices(net);
	mutex_lock(&targets_lock);
	target = slot->target;
	if (target) {
		nsgate_hook_unregister(target, net);
		nsgate_proc_remove_own(net);
		WRITE_ONCE(target->gone_at, ktime_get_boottime_seconds());
		RCU_INIT_POINTER(target->net, NULL);
		list_move_tail(&target->list, &gone_targets);
		nr_live--;
		nr_gone++;
	}
	mutex_unlock(&targets_lock);
}

/* A grace period has passed since .pre_exit: the figures are final. */
static void __net_exit target_net_exit(struct net *net)
{
	struct nsgate_net *slot = nsgate_target_slot(net);

	/* Pairs with detach(). */
	if (!smp_load_acquire(&slot->target))
		return;
	mutex_lock(&targets_lock);
	if (slot->target) {
		log_final(slot->target);
		slot->target->slot = NULL;
	}
	mutex_unlock(&targets_lock);
}

static struct pernet_operations target_net_ops = {
	.pre_exit = target_net_pre_exit,
	.exit = target_net_exit,
	.id = &nsgate_target_net_id,
	.size = sizeof(struct nsgate_net),
};

int nsgate_target_init(const struct nsgate_config *config)
{
	defaults = config;
	return register_pernet_subsys(&target_net_ops);
}

void nsgate_target_exit(void)
{
	unregister_pernet_subsys(&target_net_ops);
}
