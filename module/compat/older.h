/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kernels before 5.10 lack, and those of Red Hat.  What takes more than some
 * lines is in a file of its own.
 */
#ifndef NSGATE_OLDER_H
#define NSGATE_OLDER_H

#include <linux/atomic.h>
#include <linux/filter.h>
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <linux/notifier.h>
#include <linux/preempt.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/u64_stats_sync.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#ifndef NSGATE_HAS_ktime_get_boottime_ns
#define ktime_get_boottime_ns ktime_get_boot_ns
#endif

#ifndef NSGATE_HAS_ktime_get_boottime_seconds
#define ktime_get_boottime_seconds() ktime_divns(ktime_get_boottime(), NSEC_PER_SEC)
#endif

#ifndef NSGATE_HAS_jiffies64_to_msecs
static inline u64 jiffies64_to_msecs(u64 j)
{
	return div_u64(j * MSEC_PER_SEC, HZ);
}
#endif

#ifndef NSGATE_HAS_str_has_prefix
static inline size_t str_has_prefix(const char *str, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(str, prefix, len) ? 0 : len;
}
#endif

#ifndef NSGATE_HAS_sysfs_emit
#define sysfs_emit(buf, ...) scnprintf(buf, PAGE_SIZE, __VA_ARGS__)
#endif

#ifndef NSGATE_HAS_kvcalloc
#define kvcalloc(n, size, gfp) kvmalloc_array(n, size, (gfp) | __GFP_ZERO)
#endif

#ifndef NSGATE_HAS_array_size
static inline size_t array_size(size_t n, size_t size)
{
	return size && n > SIZE_MAX / size ? SIZE_MAX : n * size;
}
#endif

#ifndef NSGATE_HAS_check_net
static inline int check_net(const struct net *net)
{
	return atomic_read(&net->count);
}
#endif

#ifndef rcu_replace_pointer
#define rcu_replace_pointer(rcu_ptr, ptr, c) ({				\
	typeof(rcu_ptr) *__where = &(rcu_ptr);				\
	typeof(ptr) __old = rcu_dereference_protected(*__where, (c));	\
									\
	rcu_assign_pointer(*__where, (ptr));				\
	__old;								\
})
#endif

#ifndef fallthrough
#define fallthrough do { } while (0)
#endif

#ifndef data_race
#define data_race(expr) (expr) /* tells KCSAN, which is not there */
#endif

#ifndef ASSERT_EXCLUSIVE_WRITER
#define ASSERT_EXCLUSIVE_WRITER(var) do { } while (0)
#endif

/* Before Linux 5.0, what br_netfilter knows of a packet is a field of it. */
#ifndef NSGATE_HAS_SKB_EXT_BRIDGE_NF
#define skb_ext_exist(skb, id) ((skb)->nf_bridge)
#endif
#if IS_ENABLED(CONFIG_BRIDGE_NETFILTER) && !defined(NSGATE_HAS_nf_bridge_info_get)
#define nf_bridge_info_get(skb) ((const struct nf_bridge_info *)(skb)->nf_bridge)
#endif

/* Before Linux 4.16 a work that waits for a grace period is made of two. */
#ifndef NSGATE_HAS_queue_rcu_work
struct rcu_work {
	struct work_struct work;
	struct rcu_head rcu;
	struct workqueue_struct *wq;
};

#define INIT_RCU_WORK(rwork, func) INIT_WORK(&(rwork)->work, (func))

static inline struct rcu_work *to_rcu_work(struct work_struct *work)
{
	return container_of(work, struct rcu_work, work);
}

bool queue_rcu_work(struct workqueue_struct *wq, struct rcu_work *rwork);
void nsgate_rcu_work_exit(void);
#else
static inline void nsgate_rcu_work_exit(void)
{
}
#endif

#ifndef NSGATE_HAS_atomic64_try_cmpxchg
static inline bool nsgate_atomic64_try_cmpxchg(atomic64_t *v, s64 *old, s64 new)
{
	s64 before = *old;

	*old = atomic64_cmpxchg(v, before, new);
	return *old == before;
}

#define atomic64_try_cmpxchg nsgate_atomic64_try_cmpxchg
#endif

#ifndef NSGATE_HAS_kernel_param_lock
#define kernel_param_lock(module) __kernel_param_lock()
#define kernel_param_unlock(module) __kernel_param_unlock()
#endif

/* Before Linux 4.3 there was no VRF. */
#ifndef NSGATE_HAS_netif_is_l3_master
#define netif_is_l3_master(dev) false
#define netif_is_l3_slave(dev) false
#endif

#ifndef __GFP_RETRY_MAYFAIL
#define __GFP_RETRY_MAYFAIL __GFP_NORETRY
#endif

#ifndef GOLDEN_RATIO_64
#define GOLDEN_RATIO_64 0x61C8864680B583EBull
#endif

/*
 * Before Linux 3.16 there is only classic BPF, and a program that belongs to no
 * socket is an unattached filter.
 */
#ifndef NSGATE_HAS_bpf_prog_create
struct sock_fprog_kern {
	u16 len;
	struct sock_filter *filter;
};

static inline int bpf_prog_create(struct bpf_prog **prog,
				  struct sock_fprog_kern *fprog)
{
	struct sock_fprog told = {
		.len = fprog->len,
		.filter = (struct sock_filter __force __user *)fprog->filter,
	};

	return sk_unattached_filter_create((struct sk_filter **)prog, &told);
}

static inline void bpf_prog_destroy(struct bpf_prog *prog)
{
	sk_unattached_filter_destroy((struct sk_filter *)prog);
}

static inline u32 bpf_prog_run(const struct bpf_prog *prog,
			       struct sk_buff *skb)
{
	const struct sk_filter *filter = (const struct sk_filter *)prog;

	return SK_RUN_FILTER(filter, skb);
}
#elif !defined(NSGATE_HAS_bpf_prog_run)
#define bpf_prog_run(prog, skb) BPF_PROG_RUN(prog, skb)
#endif

#ifndef NSGATE_HAS_migrate_disable
#define migrate_disable() preempt_disable()
#define migrate_enable() preempt_enable()
#endif

/* See nf_hooks.c. */
#ifndef NSGATE_HAS_nf_register_net_hook
struct nsgate_nf_hook_state {
	unsigned int hook;
	u8 pf;
	struct net_device *in;
	struct net_device *out;
	struct sock *sk;
	struct net *net;
};

struct nsgate_nf_hook_ops {
	unsigned int (*hook)(void *priv, struct sk_buff *skb,
			     const struct nsgate_nf_hook_state *state);
	struct net_device *dev;
	void *priv;
	u8 pf;
	unsigned int hooknum;
	int priority;
};

int nsgate_nf_register_net_hook(struct net *net,
				const struct nsgate_nf_hook_ops *ops);
void nsgate_nf_unregister_net_hook(struct net *net,
				   const struct nsgate_nf_hook_ops *ops);
void nsgate_nf_hooks_exit(void);

#define nf_hook_state nsgate_nf_hook_state
#define nf_hook_ops nsgate_nf_hook_ops
#define nf_register_net_hook nsgate_nf_register_net_hook
#define nf_unregister_net_hook nsgate_nf_unregister_net_hook
#else
static inline void nsgate_nf_hooks_exit(void)
{
}
#endif

/* See proc_ops.c. */
#ifndef NSGATE_HAS_proc_read_iter
struct nsgate_proc_ops {
	int (*proc_open)(struct inode *inode, struct file *file);
	ssize_t (*proc_read_iter)(struct kiocb *iocb, struct iov_iter *to);
	ssize_t (*proc_write)(struct file *file, const char __user *buf,
			      size_t len, loff_t *pos);
	loff_t (*proc_lseek)(struct file *file, loff_t offset, int whence);
	int (*proc_release)(struct inode *inode, struct file *file);
};

struct proc_dir_entry *nsgate_proc_create_data(const char *name, umode_t mode,
					       struct proc_dir_entry *parent,
					       const struct nsgate_proc_ops *ops,
					       void *data);

#ifndef NSGATE_HAS_copy_to_iter
size_t nsgate_copy_to_iter(const void *from, size_t len, struct iov_iter *to);
#define copy_to_iter nsgate_copy_to_iter
#endif

#define proc_ops nsgate_proc_ops
#define proc_create_data nsgate_proc_create_data
#define proc_create(name, mode, parent, ops) \
	nsgate_proc_create_data(name, mode, parent, ops, NULL)
#endif

/* See pre_exit.c. */
#ifndef NSGATE_HAS_pre_exit
struct nsgate_pernet_operations {
	int (*init)(struct net *net);
	void (*pre_exit)(struct net *net);
	void (*exit)(struct net *net);
	unsigned int *id;
	size_t size;
};

int nsgate_register_pernet_subsys(struct nsgate_pernet_operations *ops);
void nsgate_unregister_pernet_subsys(struct nsgate_pernet_operations *ops);

#define pernet_operations nsgate_pernet_operations
#define register_pernet_subsys nsgate_register_pernet_subsys
#define unregister_pernet_subsys nsgate_unregister_pernet_subsys
#endif

/* See notifier.c. */
#ifndef NSGATE_HAS_register_netdevice_notifier_net
int nsgate_register_netdevice_notifier_net(struct net *net,
					   struct notifier_block *notifier);
int nsgate_unregister_netdevice_notifier_net(struct net *net,
					     struct notifier_block *notifier);
int nsgate_notifier_init(void);
void nsgate_notifier_exit(void);

#define register_netdevice_notifier_net nsgate_register_netdevice_notifier_net
#define unregister_netdevice_notifier_net nsgate_unregister_netdevice_notifier_net
#else
static inline int nsgate_notifier_init(void)
{
	return 0;
}

static inline void nsgate_notifier_exit(void)
{
}
#endif

#endif /* NSGATE_OLDER_H */
