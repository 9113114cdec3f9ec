// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/net/nsgate: formatting and permission only.
 *
 * A file gets at its target by what it was created with, never by who reads
 * it.  An open file doesn't keep a namespace alive: removing an entry waits
 * for the readers that are in it, and later reads fail.  So no reader may wait
 * for somebody who removes entries.
 */
#include <linux/netdevice.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/timekeeping.h>
#include <net/net_namespace.h>

#include "nsgate.h"

#define DIR_NAME "nsgate"

static struct proc_dir_entry *host_dir;

static unsigned int count_devices(struct net *net)
{
	struct net_device *dev;
	unsigned int n = 0;

	for_each_netdev_rcu(net, dev)
		n++;
	return n;
}

/* All rows in one go: no namespace is missed or told twice. */
static int namespaces_show(struct seq_file *seq, void *v)
{
	struct net *net;

	seq_printf(seq, "%-10s  %-6s  %-7s  %s\n", "inode", "cookie", "devices",
		   "bound");
	rcu_read_lock();
	for_each_net_rcu(net) {
		if (!check_net(net))
			continue;
		seq_printf(seq, "%-10u  %-6llu  %-7u  %s\n", net->ns.inum,
			   nsgate_net_cookie(net), count_devices(net),
			   READ_ONCE(nsgate_target_slot(net)->target) ? "***" : "-");
	}
	rcu_read_unlock();
	return 0;
}

static int state_show(struct seq_file *seq, void *v)
{
	const struct nsgate_target *target = seq->private;
	unsigned int until, devices = 0;
	struct net *net;

	until = min_t(unsigned int, ktime_get_boottime_seconds(),
		      READ_ONCE(target->gone_at));
	rcu_read_lock();
	net = rcu_dereference(target->net);
	if (net)
		devices = count_devices(net);
	rcu_read_unlock();

	seq_puts(seq, "version 1\n");
	seq_printf(seq, "status %s\n", net ? "live" : "gone");
	seq_printf(seq, "inode %u\n", target->inode);
	seq_printf(seq, "cookie %llu\n", target->cookie);
	seq_printf(seq, "bound_seconds %u\n", until - target->bound_at);
	seq_printf(seq, "devices %u\n", devices);
	seq_puts(seq, "hooks ipv4");
	if (IS_ENABLED(CONFIG_IPV6))
		seq_puts(seq, " ipv6");
	if (IS_ENABLED(CONFIG_NETFILTER_INGRESS))
		seq_puts(seq, " ingress");
	if (IS_ENABLED(CONFIG_NETFILTER_EGRESS))
		seq_puts(seq, " egress");
	seq_puts(seq, "\n");
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

static const struct {
	const char *name;
	const char *const *protos;
} points[NSGATE_POINTS] = {
	[NSGATE_IP_POINT(NF_INET_PRE_ROUTING, 0)] = { "prerouting ipv4", ip_protos },
	[NSGATE_IP_POINT(NF_INET_PRE_ROUTING, 1)] = { "prerouting ipv6", ip_protos },
	[NSGATE_IP_POINT(NF_INET_LOCAL_IN, 0)] = { "input ipv4", ip_protos },
	[NSGATE_IP_POINT(NF_INET_LOCAL_IN, 1)] = { "input ipv6", ip_protos },
	[NSGATE_IP_POINT(NF_INET_FORWARD, 0)] = { "forward ipv4", ip_protos },
	[NSGATE_IP_POINT(NF_INET_FORWARD, 1)] = { "forward ipv6", ip_protos },
	[NSGATE_IP_POINT(NF_INET_LOCAL_OUT, 0)] = { "output ipv4", ip_protos },
	[NSGATE_IP_POINT(NF_INET_LOCAL_OUT, 1)] = { "output ipv6", ip_protos },
	[NSGATE_IP_POINT(NF_INET_POST_ROUTING, 0)] = { "postrouting ipv4", ip_protos },
	[NSGATE_IP_POINT(NF_INET_POST_ROUTING, 1)] = { "postrouting ipv6", ip_protos },
#if IS_ENABLED(CONFIG_NETFILTER_INGRESS)
	[NSGATE_INGRESS] = { "ingress netdev", frame_protos },
#endif
#if IS_ENABLED(CONFIG_NETFILTER_EGRESS)
	[NSGATE_EGRESS] = { "egress netdev", frame_protos },
#endif
};

static void show_count(struct seq_file *seq, enum nsgate_point point,
		       const char *proto, const struct nsgate_count *count)
{
	seq_printf(seq, "%s %s %llu %llu 0 0\n", points[point].name, proto,
		   count->packets, count->bytes);
}

static void show_point(struct seq_file *seq, const struct nsgate_target *target,
		       enum nsgate_point point)
{
	struct nsgate_count sum[NSGATE_PROTOS], all = {};
	int proto;

	nsgate_meter_sum(target->meter, point, sum);
	for (proto = 0; proto < NSGATE_PROTOS; proto++) {
		all.packets += sum[proto].packets;
		all.bytes += sum[proto].bytes;
	}
	show_count(seq, point, "all", &all);
	for (proto = 0; proto < NSGATE_PROTOS; proto++) {
		if (sum[proto].packets)
			show_count(seq, point, points[point].protos[proto],
				   &sum[proto]);
	}
}

static int stats_show(struct seq_file *seq, void *v)
{
	int point;

	seq_puts(seq, "hook family proto packets bytes dropped_packets dropped_bytes\n");
	for (point = 0; point < NSGATE_POINTS; point++) {
		if (points[point].name)
			show_point(seq, seq->private, point);
	}
	return 0;
}

/* What there is of each target, in the host view and in its own. */
static const struct {
	const char *name;
	int (*show)(struct seq_file *seq, void *v);
} files[] = {
	{ "state", state_show },
	{ "stats", stats_show },
};

static void remove_files(struct proc_dir_entry *dir, int n)
{
	while (n--)
		remove_proc_entry(files[n].name, dir);
}

static int add_files(struct proc_dir_entry *dir, struct nsgate_target *target,
		     umode_t mode, kuid_t uid, kgid_t gid)
{
	struct proc_dir_entry *file;
	int i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		file = proc_create_single_data(files[i].name, mode, dir,
					       files[i].show, target);
		if (!file) {
			remove_files(dir, i);
			return -ENOMEM;
		}
		proc_set_user(file, uid, gid);
	}
	return 0;
}

int nsgate_proc_init(void)
{
	host_dir = proc_mkdir_mode(DIR_NAME, 0500, init_net.proc_net);
	if (!host_dir)
		return -ENOMEM;
	if (!proc_create_single("namespaces", 0400, host_dir,
				namespaces_show)) {
		nsgate_proc_exit();
		return -ENOMEM;
	}
	return 0;
}

void nsgate_proc_exit(void)
{
	remove_proc_subtree(DIR_NAME, init_net.proc_net);
}

int nsgate_proc_add_host(struct nsgate_target *target)
{
	char name[sizeof("4294967295")];
	int err;

	snprintf(name, sizeof(name), "%u", target->inode);
	target->host = proc_mkdir_mode(name, 0500, host_dir);
	if (!target->host)
		return -ENOMEM;
	err = add_files(target->host, target, 0400, GLOBAL_ROOT_UID,
			GLOBAL_ROOT_GID);
	if (err)
		nsgate_proc_remove_host(target);
	return err;
}

void nsgate_proc_remove_host(struct nsgate_target *target)
{
	proc_remove(target->host);
	target->host = NULL;
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

/* In the initial network namespace both views share a directory. */
int nsgate_proc_add_own(struct nsgate_target *target, struct net *net)
{
	struct proc_dir_entry *dir = host_dir;
	int err;

	if (!net_eq(net, &init_net)) {
		dir = proc_net_mkdir(net, DIR_NAME, net->proc_net);
		if (!dir)
			return -ENOMEM;
	}
	err = add_files(dir, target, 0440, root_uid(net), root_gid(net));
	if (err && dir != host_dir)
		remove_proc_subtree(DIR_NAME, net->proc_net);
	return err;
}

void nsgate_proc_remove_own(struct net *net)
{
	if (net_eq(net, &init_net))
		remove_files(host_dir, ARRAY_SIZE(files));
	else
		remove_proc_subtree(DIR_NAME, net->proc_net);
}
