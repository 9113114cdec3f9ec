/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kernels before 5.10 lack, and those of Red Hat.  What takes more than some
 * lines is in a file of its own.
 */
#ifndef NSGATE_OLDER_H
#define NSGATE_OLDER_H

#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/netfilter.h>
#include <linux/netfilter_bridge.h>
#include <linux/notifier.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
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
