// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/net/nsgate: formatting and permission only.
 *
 * A file gets at its target by what it was created with, never by who reads
 * it.  An open file doesn't keep a namespace alive: once an entry is removed, reads
 * fail.  But the removal waits for reads that have begun, and how long those take
 * is up to the reader: his memory may be a file of a file system of his own, and
 * he may have no CPU time.  In the own view, where anybody may be root, a reader
 * therefore holds the namespace while he runs our code, so that no death waits for
 * him.  A release leaves readers of both views to workers.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/in.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string_helpers.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "nsgate.h"

#define DIR_NAME "nsgate"

static struct proc_dir_entry *host_dir;

/**
 * struct look - what a file said at one moment
 * @lock: one reader of an open file at a time
 * @seq: the text: what is written to it with seq_printf() and its like, which
 *	need no more than its @buf, @size and @count
 * @free_work: frees it
 *
 * A read at offset 0 takes a look, and reads at other offsets go on in it. So the
 * lines of a shell's "while read line", which seeks back after each block, agree.
 */
struct look {
	struct mutex lock; /* protects @seq */
	struct seq_file seq;
	struct work_struct free_work;
};

/* The memory is the reader's, and so is the time that it takes to free it. */
static void look_free_work(struct work_struct *work)
{
	struct look *look = container_of(work, struct look, free_work);

	kvfree(look->seq.buf);
	kfree(look);
}

static struct look *look_of(struct file *file)
{
	struct look *look;
	void *other;

	/* Pairs with cmpxchg() below, of another reader of the open file. */
	look = smp_load_acquire(&file->private_data);
	if (look)
		return look;
	look = kzalloc(sizeof(*look), GFP_KERNEL_ACCOUNT);
	if (!look)
		return NULL;
	mutex_init(&look->lock);
	look->seq.private = pde_data(file_inode(file));
	INIT_WORK(&look->free_work, look_free_work);
	other = cmpxchg(&file->private_data, NULL, look);
	if (!other)
		return look;
	kfree(look);
	return other;
}

/* Makes room for more text, and keeps what is there. */
static int grow_text(struct seq_file *seq)
{
	size_t size = seq->size ? 2 * seq->size : PAGE_SIZE;
	char *buf;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (size > INT_MAX)
		return -ENOMEM;
	buf = kvmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!buf)
		return -ENOMEM;
	if (seq->count)
		memcpy(buf, seq->buf, seq->count);
	kvfree(seq->buf);
	seq->buf = buf;
	seq->size = size;
	return 0;
}

typedef int show_fn(struct seq_file *seq, void *v);

/* Appends what @show has to say of @v. */
static int show_whole(struct seq_file *seq, show_fn *show, void *v)
{
	size_t count = seq->count;
	int err;

	for (;;) {
		err = show(seq, v);
		if (err || !seq_has_overflowed(seq))
			return err;
		seq->count = count;
		err = grow_text(seq);
		if (err)
			return err;
	}
}

static int take_look(struct seq_file *seq, show_fn *show)
{
	int err;

	seq->count = 0;
	err = show_whole(seq, show, NULL);
	if (!err)
		return 0;
	kvfree(seq->buf);
	seq->buf = NULL;
	seq->size = 0;
	seq->count = 0;
	return err;
}

#define COPY_MAX SZ_64K /* bytes, before others get the CPU */

static ssize_t copy_text(const struct seq_file *seq, struct kiocb *iocb,
			 struct iov_iter *to)
{
	size_t len, copied, done = 0;

	while (iocb->ki_pos < seq->count && iov_iter_count(to)) {
		len = min3(seq->count - (size_t)iocb->ki_pos,
			   iov_iter_count(to), (size_t)COPY_MAX);
		copied = copy_to_iter(seq->buf + iocb->ki_pos, len, to);
		iocb->ki_pos += copied;
		done += copied;
		if (copied < len)
			return done ?: -EFAULT;
		cond_resched();
	}
	return done;
}

static ssize_t look_read(struct kiocb *iocb, struct iov_iter *to, show_fn *show)
{
	struct look *look = look_of(iocb->ki_filp);
	ssize_t ret = 0;

	if (!look)
		return -ENOMEM;
	if (mutex_lock_killable(&look->lock))
		return -EINTR;
	if (!iocb->ki_pos || !look->seq.buf)
		ret = take_look(&look->seq, show);
	if (!ret)
		ret = copy_text(&look->seq, iocb, to);
	mutex_unlock(&look->lock);
	return ret;
}

static int look_release(struct inode *inode, struct file *file)
{
	struct look *look = file->private_data;

	if (look)
		queue_work(nsgate_target_wq, &look->free_work);
	return 0;
}

static unsigned int count_devices(struct net *net)
{
	struct net_device *dev;
	unsigned int n = 0;

	for_each_netdev_rcu(net, dev)
		n++;
	return n;
}

static unsigned int namespace_show(struct seq_file *seq, struct net *net)
{
	unsigned int devices = count_devices(net);

	seq_printf(seq, "%-10u  %-6llu  %-7u  %s\n", nsgate_net_inode(net),
		   nsgate_net_cookie(net), devices,
		   READ_ONCE(nsgate_target_slot(net)->target) ? "***" : "-");
	return devices;
}

/* Lets others have the CPU: a namespace that is held keeps its place in the list. */
static void give_way_in_list(struct net *net)
{
	rcu_read_unlock();
	cond_resched();
	rcu_read_lock();
	put_net(net);
}

#define STEPS_MAX 1024 /* namespaces and devices, before others get the CPU */

/* All rows in one go: no namespace is missed or told twice. */
static int namespaces_show(struct seq_file *seq, void *v)
{
	unsigned int steps = 0;
	struct net *net;

	seq_printf(seq, "%-10s  %-6s  %-7s  %s\n", "inode", "cookie", "devices",
		   "bound");
	rcu_read_lock();
	for_each_net_rcu(net) {
		if (seq_has_overflowed(seq))
			break;
		if (!check_net(net))
			continue;
		steps += 1 + namespace_show(seq, net);
		if (steps >= STEPS_MAX && maybe_get_net(net)) {
			give_way_in_list(net);
			steps = 0;
		}
	}
	rcu_read_unlock();
	return 0;
}

static int births_show(struct seq_file *seq, void *v)
{
	struct nsgate_births births;

	nsgate_target_births(&births);
	seq_printf(seq, "mode %s\n", nsgate_auto_names[births.mode]);
	seq_printf(seq, "born %llu\n", births.born);
	seq_printf(seq, "missed %llu\n", births.missed);
	return 0;
}

static const char *policy_name(const struct nsgate_policy *policy)
{
	return policy && policy->drop ? "drop" : "accept";
}

/* The policy and its program, as they are written. */
static void show_policy(struct seq_file *seq,
			const struct nsgate_policy *policy)
{
	unsigned int i;

	seq_printf(seq, "policy %s%s\n", policy && policy->dry ? "dry " : "",
		   policy_name(policy));
	if (!policy || !policy->prog) {
		seq_puts(seq, "except none\n");
		return;
	}
	seq_printf(seq, "except %u", policy->count);
	for (i = 0; i < policy->count; i++)
		seq_printf(seq, ",%u %u %u %u", policy->insns[i].code,
			   policy->insns[i].jt, policy->insns[i].jf,
			   policy->insns[i].k);
	seq_puts(seq, "\n");
}

static void show_finding(struct seq_file *seq, const char *key,
			 const struct nsgate_finding *finding)
{
	if (finding->is_unknown)
		seq_printf(seq, "%s -\n", key);
	else
		seq_printf(seq, "%s %s%u\n", key, finding->is_more ? ">" : "",
			   finding->count);
}

static int state_show(struct seq_file *seq, void *v)
{
	struct nsgate_target *target = seq->private;
	bool live = rcu_access_pointer(target->net);
	struct nsgate_flow_usage usage;
	struct nsgate_survey survey;
	unsigned int until;

	until = min_t(unsigned int, ktime_get_boottime_seconds(),
		      READ_ONCE(target->gone_at));
	seq_puts(seq, "version 1\n");
	seq_printf(seq, "status %s\n", live ? "live" : "gone");
	seq_printf(seq, "inode %u\n", target->inode);
	seq_printf(seq, "cookie %llu\n", target->cookie);
	seq_printf(seq, "bound_seconds %u\n", until - target->bound_at);
	seq_printf(seq, "devices %u\n",
		   live ? READ_ONCE(target->nr_devices) : 0);

	rcu_read_lock();
	show_policy(seq, rcu_dereference(target->gate->policy));
	rcu_read_unlock();

	nsgate_flow_usage(target->flow, &usage);
	seq_printf(seq, "flow_capacity %llu\n", usage.capacity);
	seq_printf(seq, "flow_entries %llu\n", usage.entries);
	seq_printf(seq, "flow_evicted %llu\n", usage.evicted);

	seq_puts(seq, "hooks ipv4");
	if (IS_ENABLED(CONFIG_IPV6))
		seq_puts(seq, " ipv6");
	if (IS_ENABLED(CONFIG_NETFILTER_INGRESS))
		seq_puts(seq, " ingress");
	if (IS_ENABLED(CONFIG_NETFILTER_EGRESS))
		seq_puts(seq, " egress");
	seq_puts(seq, "\n");
	seq_printf(seq, "parent %llu\n", target->parent);
	nsgate_hook_survey(target, &survey);
	show_finding(seq, "preceded", &survey.preceded);
	show_finding(seq, "tc", &survey.tc);
	show_finding(seq, "af_xdp", &survey.af_xdp);
	show_finding(seq, "xdp", &survey.xdp);
	return 0;
}

static const char *const ip_protos[NSGATE_PROTOS] = {
	[NSGATE_TCP] = "tcp",
	[NSGATE_UDP] = "udp",
	[NSGATE_ICMP] = "icmp",
	[NSGATE_SCTP] = "sctp",
	[NSGATE_ESP] = "esp",
	[NSGATE_OTHER] = "other",
};

static const char *const frame_protos[NSGATE_PROTOS] = {
	[NSGATE_FRAME_IPV4] = "ipv4",
	[NSGATE_FRAME_IPV6] = "ipv6",
	[NSGATE_FRAME_ARP] = "arp",
	[NSGATE_FRAME_OTHER] = "other",
};

#define POINT_ROW(text, hook, ipv6) {				\
	.name = text, .protos = ip_protos,			\
	.points = { NSGATE_IP_POINT(hook, ipv6) },		\
	.nr_points = 1,						\
}

/* The rows of a hook and a family, and the points whose sum they are. */
static const struct row {
	const char *name;
	const char *const *protos;
	u8 points[3];
	u8 nr_points;
	bool with_header; /* counts nsgate_meter_header() */
} rows[] = {
	POINT_ROW("prerouting ipv4", NF_INET_PRE_ROUTING, 0),
	POINT_ROW("prerouting ipv6", NF_INET_PRE_ROUTING, 1),
	POINT_ROW("input ipv4", NF_INET_LOCAL_IN, 0),
	POINT_ROW("input ipv6", NF_INET_LOCAL_IN, 1),
	POINT_ROW("forward ipv4", NF_INET_FORWARD, 0),
	POINT_ROW("forward ipv6", NF_INET_FORWARD, 1),
	POINT_ROW("output ipv4", NF_INET_LOCAL_OUT, 0),
	POINT_ROW("output ipv6", NF_INET_LOCAL_OUT, 1),
	POINT_ROW("postrouting ipv4", NF_INET_POST_ROUTING, 0),
	POINT_ROW("postrouting ipv6", NF_INET_POST_ROUTING, 1),
#if IS_ENABLED(CONFIG_NETFILTER_INGRESS)
	{
		.name = "ingress netdev", .protos = frame_protos,
		.points = { NSGATE_INGRESS, NSGATE_IN, NSGATE_IN_BARE },
		.nr_points = 3,
	},
#endif
#if IS_ENABLED(CONFIG_NETFILTER_EGRESS)
	{
		.name = "egress netdev", .protos = frame_protos,
		.points = { NSGATE_EGRESS, NSGATE_OUT },
		.nr_points = 2,
	},
#endif
	{
		.name = "in netdev", .protos = frame_protos,
		.points = { NSGATE_IN, NSGATE_IN_BARE },
		.nr_points = 2,
		.with_header = true,
	},
	{
		.name = "out netdev", .protos = frame_protos,
		.points = { NSGATE_OUT },
		.nr_points = 1,
	},
};

static void add_count(struct nsgate_count *sum, const struct nsgate_count *count,
		      unsigned int header)
{
	sum->packets += count->packets;
	sum->bytes += count->bytes + count->packets * header;
}

static void sum_row(const struct row *row,
		    const struct nsgate_meter __percpu *meter,
		    struct nsgate_sum sum[NSGATE_PROTOS])
{
	struct nsgate_sum one[NSGATE_PROTOS];
	unsigned int header;
	int i, proto;

	memset(sum, 0, NSGATE_PROTOS * sizeof(*sum));
	for (i = 0; i < row->nr_points; i++) {
		header = row->with_header ?
			 nsgate_meter_header(row->points[i]) : 0;
		nsgate_meter_sum(meter, row->points[i], one);
		for (proto = 0; proto < NSGATE_PROTOS; proto++) {
			add_count(&sum[proto].seen, &one[proto].seen, header);
			add_count(&sum[proto].dropped, &one[proto].dropped,
				  header);
		}
	}
}

static void show_sum(struct seq_file *seq, const struct row *row,
		     const char *proto, const struct nsgate_sum *sum)
{
	seq_printf(seq, "%s %s %llu %llu %llu %llu\n", row->name,
		   proto, sum->seen.packets, sum->seen.bytes,
		   sum->dropped.packets, sum->dropped.bytes);
}

static void show_row(struct seq_file *seq, const struct nsgate_target *target,
		     const struct row *row)
{
	struct nsgate_sum sum[NSGATE_PROTOS], all = {};
	int proto;

	sum_row(row, target->meter, sum);
	for (proto = 0; proto < NSGATE_PROTOS; proto++) {
		add_count(&all.seen, &sum[proto].seen, 0);
		add_count(&all.dropped, &sum[proto].dropped, 0);
	}
	show_sum(seq, row, "all", &all);
	for (proto = 0; proto < NSGATE_PROTOS; proto++) {
		if (sum[proto].seen.packets)
			show_sum(seq, row, row->protos[proto], &sum[proto]);
	}
}

static int stats_show(struct seq_file *seq, void *v)
{
	int i;

	seq_puts(seq, "hook family proto packets bytes dropped_packets dropped_bytes\n");
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		show_row(seq, seq->private, &rows[i]);
	return 0;
}

/* NULL for what has none. */
static const char *protocol_name(u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return "icmp";
	case IPPROTO_SCTP:
		return "sctp";
	case IPPROTO_ESP:
		return "esp";
	default:
		return NULL;
	}
}

static void show_protocol(struct seq_file *seq, u8 protocol)
{
	const char *name = protocol_name(protocol);

	if (name)
		seq_puts(seq, name);
	else
		seq_printf(seq, "%u", protocol);
}

/* Source is end 0, destination is end 1. */
static void show_end(struct seq_file *seq, const struct nsgate_flow_key *key,
		     int end)
{
	bool ports = key->flags & NSGATE_FLOW_PORTS;

	if (!(key->flags & NSGATE_FLOW_IPV6))
		seq_printf(seq, " %pI4", &key->v4[end]);
	else if (ports)
		seq_printf(seq, " [%pI6c]", &key->v6[end]);
	else
		seq_printf(seq, " %pI6c", &key->v6[end]);
	if (ports)
		seq_printf(seq, ":%u", ntohs(key->ports[end]));
}

static int flow_show(struct seq_file *seq, void *v)
{
	const struct nsgate_flow_row *row = v;

	seq_puts(seq, row->key.flags & NSGATE_FLOW_IPV6 ? "ipv6 " : "ipv4 ");
	show_protocol(seq, row->key.protocol);
	show_end(seq, &row->key, 0);
	show_end(seq, &row->key, 1);
	seq_printf(seq, " %llu %llu %llu %llu\n", row->packets, row->bytes,
		   row->age_ms, row->idle_ms);
	return 0;
}

static int flows_header_show(struct seq_file *seq, void *v)
{
	seq_puts(seq, "family proto source destination packets bytes age_ms idle_ms\n");
	return 0;
}

/* There may be a great many: the text grows as it is written. */
static int flows_show(struct seq_file *seq, void *v)
{
	const struct nsgate_target *target = seq->private;
	struct nsgate_flow_row *rows;
	int i, count, err;

	count = nsgate_flow_snapshot(target->flow, &rows);
	if (count < 0)
		return count;
	err = show_whole(seq, flows_header_show, NULL);
	for (i = 0; !err && i < count; i++) {
		err = show_whole(seq, flow_show, &rows[i]);
		cond_resched();
	}
	kvfree(rows);
	return err;
}

/*
 * A container may well have CAP_NET_ADMIN; only who also stands in the initial
 * network namespace is the host.
 */
int nsgate_proc_may_control(void)
{
	if (capable(CAP_NET_ADMIN) &&
	    net_eq(current->nsproxy->net_ns, &init_net))
		return 0;
	pr_warn_ratelimited(NSGATE_QUOTED " (%d) lacks CAP_NET_ADMIN, or is not in the initial network namespace\n",
			    (int)strlen(current->comm), current->comm,
			    task_pid_nr(current));
	return -EPERM;
}

static int gate_show(struct seq_file *seq, void *v)
{
	const struct nsgate_target *target = seq->private;
	const struct nsgate_policy *policy;

	rcu_read_lock();
	policy = rcu_dereference(target->gate->policy);
	show_policy(seq, policy);
	if (policy && policy->log)
		seq_printf(seq, "log %u\n", policy->log_group);
	else
		seq_puts(seq, "log none\n");
	if (policy && policy->label)
		seq_printf(seq, "label %s\n", policy->label);
	rcu_read_unlock();
	seq_printf(seq, "excepted %llu\n",
		   nsgate_meter_sum_judged(target->meter, NSGATE_EXCEPTED));
	seq_printf(seq, "dropped %llu\n",
		   nsgate_meter_sum_judged(target->meter, NSGATE_DROPPED));
	seq_printf(seq, "unlogged %llu\n",
		   nsgate_meter_sum_judged(target->meter, NSGATE_UNLOGGED));
	return 0;
}

static void show_number(struct seq_file *seq, const char *direction,
			const char *key, bool is_set, u64 value)
{
	if (is_set)
		seq_printf(seq, "%s_%s %llu\n", direction, key, value);
	else
		seq_printf(seq, "%s_%s none\n", direction, key);
}

static void show_figures(struct seq_file *seq, const char *direction,
			 const struct nsgate_limit_figures *figures)
{
	show_number(seq, direction, "rate", figures->rate, figures->rate);
	show_number(seq, direction, "burst", figures->rate, figures->burst);
	show_number(seq, direction, "quota", figures->has_quota,
		    figures->quota);
	show_number(seq, direction, "used", true, figures->used);
	show_number(seq, direction, "over_packets", true,
		    figures->over.packets);
	show_number(seq, direction, "over_bytes", true, figures->over.bytes);
}

static int limit_show(struct seq_file *seq, void *v)
{
	const struct nsgate_target *target = seq->private;
	struct nsgate_limit_figures figures[NSGATE_DIRECTIONS];

	seq_printf(seq, "mode %s\n",
		   nsgate_limit_read(target->limit, figures));
	show_figures(seq, "in", &figures[NSGATE_INWARDS]);
	show_figures(seq, "out", &figures[NSGATE_OUTWARDS]);
	return 0;
}

/* Who opens the file to write is judged, whoever writes then. */
static int control_open(struct inode *inode, struct file *file)
{
	int err;

	if (file->f_mode & FMODE_WRITE) {
		err = nsgate_proc_may_control();
		if (err)
			return err;
	}
	return 0;
}

/* A file of the host view that takes commands. */
struct control {
	const char *name;
	size_t text_max;
	int too_long; /* the error, if it is longer */
	int (*write)(struct nsgate_target *target, char *text,
		     const char **why);
};

static int write_control(const struct control *control,
			 struct nsgate_target *target, const char __user *buf,
			 size_t len, const char **why)
{
	struct net *net;
	char *text;
	int err;

	*why = "the line is too long";
	if (len > control->text_max)
		return control->too_long;
	/* It doesn't die before the file is as it is told to be. */
	*why = "no live network namespace";
	net = nsgate_target_get_net(target);
	if (!net)
		return -ENXIO;
	*why = "no memory";
	err = -ENOMEM;
	text = kvmalloc(len + 1, GFP_KERNEL);
	if (!text)
		goto out_net;
	text[len] = '\0';
	err = -EFAULT;
	*why = "the text can't be read";
	if (copy_from_user(text, buf, len))
		goto out;
	err = -EINVAL;
	*why = "a text without NUL is needed";
	if (strlen(text) == len)
		err = control->write(target, text, why);
out:
	kvfree(text);
out_net:
	put_net(net);
	return err;
}

static ssize_t control_write(const struct control *control, struct file *file,
			     const char __user *buf, size_t len)
{
	struct nsgate_target *target = pde_data(file_inode(file));
	const char *why;
	int err;

	err = write_control(control, target, buf, len, &why);
	if (err) {
		pr_err("%s of net:[%u]: %s: error %d\n", control->name,
		       target->inode, why, err);
		return err;
	}
	pr_info_ratelimited("%s of net:[%u]: written by " NSGATE_QUOTED " (%d)\n",
			    control->name, target->inode,
			    (int)strlen(current->comm), current->comm,
			    task_pid_nr(current));
	return len;
}

static int write_gate(struct nsgate_target *target, char *text,
		      const char **why)
{
	int err = nsgate_gate_write(target->gate, text, why);

	if (!err)
		nsgate_target_move_family_to_front(target);
	return err;
}

static ssize_t gate_write(struct file *file, const char __user *buf, size_t len,
			  loff_t *pos)
{
	static const struct control gate = { "gate", NSGATE_GATE_TEXT_MAX,
					     -E2BIG, write_gate };

	return control_write(&gate, file, buf, len);
}

static int write_limit(struct nsgate_target *target, char *text,
		       const char **why)
{
	return nsgate_limit_write(target->limit, text, why);
}

static ssize_t limit_write(struct file *file, const char __user *buf, size_t len,
			   loff_t *pos)
{
	static const struct control limit = { "limit", NSGATE_LIMIT_TEXT_MAX,
					      -EINVAL, write_limit };

	return control_write(&limit, file, buf, len);
}

/*
 * Fails as if the file were gone already where that is only a matter of time.
 * No .proc_open: what would be done there, no death could do without.
 */
static ssize_t own_look_read(struct kiocb *iocb, struct iov_iter *to,
			     show_fn *show)
{
	struct net *net = nsgate_target_get_net(pde_data(file_inode(iocb->ki_filp)));
	ssize_t ret;

	if (!net)
		return -EIO;
	ret = look_read(iocb, to, show);
	put_net(net);
	return ret;
}

static loff_t own_lseek(struct file *file, loff_t offset, int whence)
{
	struct net *net = nsgate_target_get_net(pde_data(file_inode(file)));
	loff_t ret;

	if (!net)
		return -EINVAL;
	ret = no_seek_end_llseek(file, offset, whence);
	put_net(net);
	return ret;
}

#define DEFINE_READ(name, read)						\
static ssize_t name##_##read(struct kiocb *iocb, struct iov_iter *to)	\
{									\
	return read(iocb, to, name##_show);				\
}

#define HOST_OPS(name) {				\
	.proc_read_iter = name##_look_read,		\
	.proc_lseek = no_seek_end_llseek,		\
	.proc_release = look_release,			\
}

#define OWN_OPS(name) {					\
	.proc_read_iter = name##_own_look_read,		\
	.proc_lseek = own_lseek,			\
	.proc_release = look_release,			\
}

DEFINE_READ(namespaces, look_read)
DEFINE_READ(births, look_read)
DEFINE_READ(gate, look_read)
DEFINE_READ(limit, look_read)
DEFINE_READ(state, look_read)
DEFINE_READ(state, own_look_read)
DEFINE_READ(stats, look_read)
DEFINE_READ(stats, own_look_read)
DEFINE_READ(flows, look_read)
DEFINE_READ(flows, own_look_read)

static const struct proc_ops namespaces_ops = HOST_OPS(namespaces);
static const struct proc_ops births_ops = HOST_OPS(births);

#define CONTROL_OPS(name) {				\
	.proc_open = control_open,			\
	.proc_read_iter = name##_look_read,		\
	.proc_write = name##_write,			\
	.proc_lseek = no_seek_end_llseek,		\
	.proc_release = look_release,			\
}

static const struct proc_ops gate_ops = CONTROL_OPS(gate);
static const struct proc_ops limit_ops = CONTROL_OPS(limit);

/* What there is of each target, in the host view and in its own. */
static const struct {
	const char *name;
	const struct proc_ops host_ops;
	const struct proc_ops own_ops;
} files[] = {
	{ "state", HOST_OPS(state), OWN_OPS(state) },
	{ "stats", HOST_OPS(stats), OWN_OPS(stats) },
	{ "flows", HOST_OPS(flows), OWN_OPS(flows) },
};

#define NAME_LEN sizeof("4294967295.18446744073709551615")

/*
 * An entry whose name can be taken away without a wait for its readers.
 *
 * remove_proc_subtree() takes the name away, and then waits.  If two tasks call
 * it, one of them does that, and the other finds nothing and returns.  So when
 * the first returns, the name is free, whatever the readers do.
 */
struct nsgate_entry {
	struct proc_dir_entry *parent;
	struct nsgate_target *target; /* referenced */
	struct net *net; /* referenced while @parent is needed */
	struct nsgate_entry *next; /* of the same view */
	struct list_head leaving; /* in leaving_entries, leaving_lock */
	struct work_struct removals[2];
	refcount_t refs; /* one for its name, one for each of @removals */
	spinlock_t lock; /* protects what follows */
	unsigned int removers; /* are in remove_proc_subtree() */
	bool removed;
	bool unlinked;
	char name[NAME_LEN];
};

static struct workqueue_struct *removal_wq;
static DEFINE_SPINLOCK(leaving_lock); /* protects leaving_entries */
static LIST_HEAD(leaving_entries); /* names that may be taken yet */
static DECLARE_WAIT_QUEUE_HEAD(name_is_free);

static void entry_put(struct nsgate_entry *entry)
{
	if (!refcount_dec_and_test(&entry->refs))
		return;
	if (entry->net)
		put_net(entry->net);
	nsgate_target_put(entry->target);
	kfree(entry);
}

/* If the other has removed it altogether, the name may be somebody else's now. */
static bool begin_removal(struct nsgate_entry *entry)
{
	bool removed;

	spin_lock(&entry->lock);
	removed = entry->removed;
	if (!removed)
		entry->removers++;
	spin_unlock(&entry->lock);
	return !removed;
}

static void free_name(struct nsgate_entry *entry)
{
	spin_lock(&leaving_lock);
	list_del(&entry->leaving);
	spin_unlock(&leaving_lock);
	wake_up_all(&name_is_free);
	entry_put(entry);
}

/* One who has found it may leave another behind who is yet to look for it. */
static void end_removal(struct nsgate_entry *entry, bool found)
{
	bool is_first;

	spin_lock(&entry->lock);
	entry->removers--;
	if (found)
		entry->removed = true;
	is_first = !entry->unlinked && (!found || !entry->removers);
	if (is_first)
		entry->unlinked = true;
	spin_unlock(&entry->lock);
	if (is_first)
		free_name(entry);
}

static void remove_entry(struct nsgate_entry *entry)
{
	if (begin_removal(entry))
		end_removal(entry, !remove_proc_subtree(entry->name,
							entry->parent));
	entry_put(entry);
}

static void first_removal(struct work_struct *work)
{
	remove_entry(container_of(work, struct nsgate_entry, removals[0]));
}

static void second_removal(struct work_struct *work)
{
	remove_entry(container_of(work, struct nsgate_entry, removals[1]));
}

/* One of those that were prepared, as long as there are any. */
static struct nsgate_entry *entry_alloc(struct nsgate_target *target,
					struct proc_dir_entry *parent)
{
	struct nsgate_entry *entry = target->prepared;

	if (entry)
		target->prepared = entry->next;
	else
		entry = kzalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT);
	if (!entry)
		return NULL;
	entry->next = NULL;
	entry->parent = parent;
	nsgate_target_get(target);
	entry->target = target;
	INIT_WORK(&entry->removals[0], first_removal);
	INIT_WORK(&entry->removals[1], second_removal);
	refcount_set(&entry->refs, 1);
	spin_lock_init(&entry->lock);
	return entry;
}

int nsgate_proc_prepare(struct nsgate_target *target)
{
	struct nsgate_entry *entry;
	int i;

	for (i = 0; i < 2; i++) {
		entry = kzalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT);
		if (!entry)
			return -ENOMEM;
		entry->next = target->prepared;
		target->prepared = entry;
	}
	return 0;
}

void nsgate_proc_discard(struct nsgate_target *target)
{
	struct nsgate_entry *entry, *next;

	for (entry = target->prepared; entry; entry = next) {
		next = entry->next;
		kfree(entry);
	}
	target->prepared = NULL;
}

/* Has workers remove the entries of a view; @net is what they need, or NULL. */
static void schedule_removal(struct nsgate_entry *entry, struct net *net)
{
	struct nsgate_entry *next;
	int i;

	for (; entry; entry = next) {
		next = entry->next;
		if (net)
			entry->net = get_net(net);
		spin_lock(&leaving_lock);
		list_add_tail(&entry->leaving, &leaving_entries);
		spin_unlock(&leaving_lock);
		refcount_add(ARRAY_SIZE(entry->removals), &entry->refs);
		for (i = 0; i < ARRAY_SIZE(entry->removals); i++)
			queue_work(removal_wq, &entry->removals[i]);
	}
}

bool nsgate_proc_has_leaving(void)
{
	return !list_empty(&leaving_entries);
}

/*
 * Workers are there in no time, unless hundreds of them wait for readers already.
 * Then the names stay taken for a while.
 */
bool nsgate_proc_await_names(void)
{
	return wait_event_timeout(name_is_free, !nsgate_proc_has_leaving(), HZ);
}

static bool is_leaving(const struct proc_dir_entry *parent, const char *name)
{
	const struct nsgate_entry *entry;
	bool found = false;

	spin_lock(&leaving_lock);
	list_for_each_entry(entry, &leaving_entries, leaving) {
		found = entry->parent == parent && !strcmp(entry->name, name);
		if (found)
			break;
	}
	spin_unlock(&leaving_lock);
	return found;
}

static int add_host_files(struct nsgate_target *target,
			  struct proc_dir_entry *dir)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (!proc_create_data(files[i].name, 0400, dir,
				      &files[i].host_ops, target))
			return -ENOMEM;
	}
	if (!proc_create_data("gate", 0600, dir, &gate_ops, target) ||
	    !proc_create_data("limit", 0600, dir, &limit_ops, target))
		return -ENOMEM;
	return 0;
}

int nsgate_proc_init(void)
{
	removal_wq = alloc_workqueue("nsgate_removal", WQ_UNBOUND,
				     WQ_MAX_ACTIVE);
	if (!removal_wq)
		return -ENOMEM;
	host_dir = proc_mkdir_mode(DIR_NAME, 0500, init_net.proc_net);
	if (!host_dir)
		goto err_wq;
	if (!proc_create("namespaces", 0400, host_dir, &namespaces_ops))
		goto err_dir;
	if (!proc_create("auto", 0400, host_dir, &births_ops))
		goto err_dir;
	return 0;

err_dir:
	remove_proc_subtree(DIR_NAME, init_net.proc_net);
err_wq:
	destroy_workqueue(removal_wq);
	return -ENOMEM;
}

void nsgate_proc_exit(void)
{
	remove_proc_subtree(DIR_NAME, init_net.proc_net);
	destroy_workqueue(removal_wq);
}

static void name_in_host_view(const struct nsgate_target *target,
			      char name[NAME_LEN])
{
	if (target->named_by_cookie)
		snprintf(name, NAME_LEN, "%u.%llu", target->inode,
			 target->cookie);
	else
		snprintf(name, NAME_LEN, "%u", target->inode);
}

bool nsgate_proc_can_add(const struct nsgate_target *target,
			 const struct net *net)
{
	char name[NAME_LEN];
	int i;

	name_in_host_view(target, name);
	if (is_leaving(host_dir, name))
		return false;
	if (!net_eq(net, &init_net))
		return !is_leaving(net->proc_net, DIR_NAME);
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (is_leaving(host_dir, files[i].name))
			return false;
	}
	return true;
}

int nsgate_proc_add_host(struct nsgate_target *target)
{
	struct nsgate_entry *entry;
	struct proc_dir_entry *dir;

	entry = entry_alloc(target, host_dir);
	if (!entry)
		return -ENOMEM;
	name_in_host_view(target, entry->name);
	dir = proc_mkdir_mode(entry->name, 0500, host_dir);
	if (!dir) {
		entry_put(entry);
		return -ENOMEM;
	}
	/* From here on it is taken away by nsgate_proc_remove_host(). */
	target->host_view = entry;
	return add_host_files(target, dir);
}

int nsgate_proc_rename_host(struct nsgate_target *target, bool by_cookie)
{
	struct nsgate_entry *old = target->host_view;
	bool before = target->named_by_cookie;
	char name[NAME_LEN];
	int err;

	target->named_by_cookie = by_cookie;
	target->host_view = NULL;
	name_in_host_view(target, name);
	err = is_leaving(host_dir, name) ? -EBUSY : nsgate_proc_add_host(target);
	if (err) {
		nsgate_proc_remove_host(target);
		target->host_view = old;
		target->named_by_cookie = before;
		return err;
	}
	schedule_removal(old, NULL);
	return 0;
}

void nsgate_proc_remove_host(struct nsgate_target *target)
{
	schedule_removal(target->host_view, NULL);
	target->host_view = NULL;
}

/* As for all of /proc/net: the initial one's, where there is no such user. */
static kuid_t root_uid(const struct net *net)
{
	kuid_t uid = make_kuid(net->user_ns, 0);

	return uid_valid(uid) ? uid : GLOBAL_ROOT_UID;
}

static kgid_t root_gid(const struct net *net)
{
	kgid_t gid = make_kgid(net->user_ns, 0);

	return gid_valid(gid) ? gid : GLOBAL_ROOT_GID;
}

static int add_own_file(struct nsgate_target *target, struct net *net,
			struct proc_dir_entry *dir, int i)
{
	struct proc_dir_entry *file;

	file = proc_create_data(files[i].name, 0440, dir, &files[i].own_ops,
				target);
	if (!file)
		return -ENOMEM;
	proc_set_user(file, root_uid(net), root_gid(net));
	return 0;
}

static int add_own_dir(struct nsgate_target *target, struct net *net)
{
	struct nsgate_entry *entry;
	struct proc_dir_entry *dir;
	int i, err = 0;

	entry = entry_alloc(target, net->proc_net);
	if (!entry)
		return -ENOMEM;
	strscpy(entry->name, DIR_NAME, sizeof(entry->name));
	dir = proc_net_mkdir(net, DIR_NAME, net->proc_net);
	if (!dir) {
		entry_put(entry);
		return -ENOMEM;
	}
	target->own_view = entry;
	for (i = 0; !err && i < ARRAY_SIZE(files); i++)
		err = add_own_file(target, net, dir, i);
	return err;
}

/* In the initial network namespace both views share a directory. */
static int add_own_to_host_dir(struct nsgate_target *target, int i)
{
	struct nsgate_entry *entry;
	int err;

	entry = entry_alloc(target, host_dir);
	if (!entry)
		return -ENOMEM;
	strscpy(entry->name, files[i].name, sizeof(entry->name));
	err = add_own_file(target, &init_net, host_dir, i);
	if (err) {
		entry_put(entry);
		return err;
	}
	entry->next = target->own_view;
	target->own_view = entry;
	return 0;
}

int nsgate_proc_add_own(struct nsgate_target *target, struct net *net)
{
	int i, err = 0;

	if (!net_eq(net, &init_net))
		return add_own_dir(target, net);
	for (i = 0; !err && i < ARRAY_SIZE(files); i++)
		err = add_own_to_host_dir(target, i);
	return err;
}

void nsgate_proc_remove_own(struct nsgate_target *target, struct net *net)
{
	schedule_removal(target->own_view, net);
	target->own_view = NULL;
}

void nsgate_proc_remove_own_dead(struct nsgate_target *target)
{
	struct nsgate_entry *entry = target->own_view;

	/* There is one: the initial namespace doesn't die. */
	remove_proc_subtree(entry->name, entry->parent);
	target->own_view = NULL;
	entry_put(entry);
}
