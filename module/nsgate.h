/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of nsgate share, a section for each of them.  Calls go one
 * way: main -> target -> {hook, proc} -> meter.
 */
#ifndef NSGATE_H
#define NSGATE_H

#include <linux/list.h>
#include <linux/netfilter.h>
#include <linux/notifier.h>
#include <linux/types.h>
#include <linux/u64_stats_sync.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "compat.h"

struct proc_dir_entry;

/* ---- meter.c: per-CPU counters ---- */

/**
 * enum nsgate_point - where packets are counted: a hook and a family
 * @NSGATE_PREROUTING: first of the points of IP, see NSGATE_IP_POINT()
 * @NSGATE_INGRESS: ingress of a device
 * @NSGATE_EGRESS: egress of a device
 * @NSGATE_POINTS: how many there are
 */
enum nsgate_point {
	NSGATE_PREROUTING,
	NSGATE_INGRESS = 2 * NF_INET_NUMHOOKS,
	NSGATE_EGRESS,
	NSGATE_POINTS
};

/**
 * NSGATE_IP_POINT() - the point of a hook of IP
 * @hook: NF_INET_*
 * @ipv6: 1 for IPv6, 0 for IPv4
 */
#define NSGATE_IP_POINT(hook, ipv6) (2 * (hook) + (ipv6))

/**
 * enum nsgate_proto - the classes that packets fall into at the points of IP
 * @NSGATE_TCP: TCP
 * @NSGATE_UDP: UDP
 * @NSGATE_ICMP: ICMP, and ICMPv6 for IPv6
 * @NSGATE_SCTP: SCTP
 * @NSGATE_ESP: ESP
 * @NSGATE_OTHER: all that is left, packets too damaged to tell included
 * @NSGATE_PROTOS: how many there are
 */
enum nsgate_proto {
	NSGATE_TCP,
	NSGATE_UDP,
	NSGATE_ICMP,
	NSGATE_SCTP,
	NSGATE_ESP,
	NSGATE_OTHER,
	NSGATE_PROTOS
};

/**
 * enum nsgate_frame - the classes that frames fall into at a device
 * @NSGATE_FRAME_IPV4: IPv4, behind VLAN tags too
 * @NSGATE_FRAME_IPV6: IPv6, likewise
 * @NSGATE_FRAME_ARP: ARP, likewise
 * @NSGATE_FRAME_OTHER: all that is left
 * @NSGATE_FRAMES: how many there are
 */
enum nsgate_frame {
	NSGATE_FRAME_IPV4,
	NSGATE_FRAME_IPV6,
	NSGATE_FRAME_ARP,
	NSGATE_FRAME_OTHER,
	NSGATE_FRAMES
};

/**
 * struct nsgate_count - one counter
 * @packets: number of skbs
 * @bytes: sum of their skb->len
 */
struct nsgate_count {
	u64 packets;
	u64 bytes;
};

/**
 * struct nsgate_meter - what one CPU has counted for one target
 * @seen: by point, and by enum nsgate_proto or enum nsgate_frame
 * @syncp: lets 32-bit readers see whole 64-bit values
 *
 * Only its own CPU writes it.
 */
struct nsgate_meter {
	struct nsgate_count seen[NSGATE_POINTS][NSGATE_PROTOS];
	struct u64_stats_sync syncp;
};

/**
 * nsgate_meter_alloc() - allocate a meter with all counters at zero
 *
 * Context: Process context, may sleep.
 * Return: the meter, or NULL if there is no memory.
 */
struct nsgate_meter __percpu *nsgate_meter_alloc(void);

/**
 * nsgate_meter_free() - free a meter that nothing counts on any more
 * @meter: the meter, or NULL
 *
 * Context: Any. The caller has waited for the packets that were in a hook.
 */
void nsgate_meter_free(struct nsgate_meter __percpu *meter);

/**
 * nsgate_meter_add() - count one packet
 * @meter: the target's meter
 * @point: where the packet is
 * @proto: its class, enum nsgate_proto or enum nsgate_frame as the point asks
 * @len: its length in bytes
 *
 * Context: Any but hard interrupt; takes no lock.
 */
void nsgate_meter_add(struct nsgate_meter __percpu *meter,
		      enum nsgate_point point, unsigned int proto,
		      unsigned int len);

/**
 * nsgate_meter_sum() - sum up what all CPUs counted at one point
 * @meter: the target's meter
 * @point: the point
 * @sum: filled in, indexed by class
 *
 * Each value is whole, and never less than in an earlier call; packets that
 * are being counted meanwhile may or may not be in it.
 *
 * Context: Any but hard interrupt; takes no lock.
 */
void nsgate_meter_sum(const struct nsgate_meter __percpu *meter,
		      enum nsgate_point point,
		      struct nsgate_count sum[NSGATE_PROTOS]);

/* ---- target.c: targets, their life and death ---- */

/**
 * struct nsgate_net - what every network namespace holds of nsgate
 * @target: the target that it is, if it is one; written under the target lock
 */
struct nsgate_net {
	struct nsgate_target *target;
};

/* Where a namespace keeps its struct nsgate_net. */
extern unsigned int nsgate_target_net_id;

/**
 * nsgate_target_slot() - find what a namespace holds of nsgate
 * @net: the namespace
 *
 * Context: Any, as long as neither @net nor the module goes away.
 * Return: its slot.
 */
static inline struct nsgate_net *nsgate_target_slot(const struct net *net)
{
	return net_generic(net, nsgate_target_net_id);
}

/**
 * struct nsgate_target - a network namespace that nsgate is bound to
 * @meter: its counters
 * @ops: its hooks for IP, whose priv is this target
 * @notifier: tells when devices come and go
 * @devices: struct nsgate_device of each device that has hooks, RTNL
 * @net: the namespace, NULL once it dies; readers under RCU, writers hold the
 *	target lock
 * @slot: what the namespace holds of us; NULL once it is dead, target lock
 * @replaces: the gone target that had this inode, until the bind is sure,
 *	target lock
 * @list: entry in the list of live or gone targets, target lock
 * @keep: is in the list of inodes that is being written, target lock
 * @inode: proc inode by which the namespace was named when it was bound
 * @cookie: cookie of the namespace
 * @bound_at: when it was bound, in seconds since boot
 * @gone_at: when it died, in seconds since boot; UINT_MAX while it lives
 * @host: its directory in the host view, target lock
 *
 * The packet path reads the meter only, and nothing of it changes after bind.
 */
struct nsgate_target {
	struct nsgate_meter __percpu *meter;

	struct nf_hook_ops ops[2 * NF_INET_NUMHOOKS];
	struct notifier_block notifier;
	struct list_head devices;
	struct net __rcu *net;
	struct nsgate_net *slot;
	struct nsgate_target *replaces;
	struct list_head list;
	bool keep;
	u32 inode;
	u64 cookie;
	unsigned int bound_at;
	unsigned int gone_at;
	struct proc_dir_entry *host;
};

/**
 * nsgate_target_init() - give every namespace its slot; no target is bound yet
 *
 * Context: Process context, may sleep.
 * Return: 0, or the error of what could not be registered.
 */
int nsgate_target_init(void);

/**
 * nsgate_target_exit() - take the slots away again
 *
 * Context: Process context, may sleep. No target is left.
 */
void nsgate_target_exit(void);

/**
 * nsgate_target_release_all() - release all targets, gone ones too
 *
 * Context: Process context, may sleep. Takes the target lock.
 */
void nsgate_target_release_all(void);

/**
 * nsgate_target_may_control() - whether the current task may control targets
 *
 * Context: Process context.
 * Return: 0; or -EPERM, and the log says why.
 */
int nsgate_target_may_control(void);

/**
 * nsgate_target_write() - bind and release as a text says, wholly or not at all
 * @text: inodes, comma separated: these and only these shall be targets;
 *	or "+inode" or "-inode", to bind or release one; a newline may follow
 *
 * Context: Process context, may sleep. Takes the target lock.
 * Return: 0; -EINVAL if the text is malformed; -ENXIO if an inode names no
 * live network namespace (or, after '-', no target); -E2BIG if there would be
 * too many targets; -ENOMEM; or the error of a hook. On an error nothing has
 * changed and the log says why.
 */
int nsgate_target_write(const char *text);

/**
 * nsgate_target_read() - list the inodes of the live targets
 * @buf: where to, of PAGE_SIZE bytes
 *
 * Context: Process context, may sleep. Takes the target lock.
 * Return: the length of the text in bytes.
 */
int nsgate_target_read(char *buf);

/* ---- hook.c: netfilter hooks and the packet path ---- */

/**
 * nsgate_hook_register() - let a target's hooks come alive
 * @target: the target, ready to count
 * @net: its namespace
 *
 * Those of its devices, too, and of the devices that it will get.
 *
 * Context: Process context, may sleep. Holds the target lock, takes RTNL.
 * Return: 0, or the error of what could not be registered; then nothing is.
 */
int nsgate_hook_register(struct nsgate_target *target, struct net *net);

/**
 * nsgate_hook_unregister() - let no more packets into a target's hooks
 * @target: the target
 * @net: its namespace
 *
 * Packets that are in a hook go on: a grace period must pass before the target
 * is freed.
 *
 * Context: Process context, may sleep. Holds the target lock, takes RTNL.
 */
void nsgate_hook_unregister(struct nsgate_target *target, struct net *net);

/* ---- proc.c: /proc/net/nsgate ---- */

/**
 * nsgate_proc_init() - create the host view
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int nsgate_proc_init(void);

/**
 * nsgate_proc_exit() - remove the host view with all that is in it
 *
 * Context: Process context; waits for the readers that are in it.
 */
void nsgate_proc_exit(void);

/**
 * nsgate_proc_add_host() - show a target in the host view
 * @target: the target; no other of its inode may be shown
 *
 * Context: Process context, may sleep. Holds the target lock.
 * Return: 0 or -ENOMEM.
 */
int nsgate_proc_add_host(struct nsgate_target *target);

/**
 * nsgate_proc_remove_host() - take a target out of the host view
 * @target: the target
 *
 * Context: Process context; waits for the readers that are in it. Holds the
 * target lock, which is why no reader may take it.
 */
void nsgate_proc_remove_host(struct nsgate_target *target);

/**
 * nsgate_proc_add_own() - show a target to those inside
 * @target: the target
 * @net: its namespace
 *
 * Context: Process context, may sleep. Holds the target lock.
 * Return: 0 or -ENOMEM.
 */
int nsgate_proc_add_own(struct nsgate_target *target, struct net *net);

/**
 * nsgate_proc_remove_own() - take the own view out of a namespace
 * @net: the namespace
 *
 * Context: Process context; waits for the readers that are in it. Holds the
 * target lock, which is why no reader may take it.
 */
void nsgate_proc_remove_own(struct net *net);

#endif /* NSGATE_H */
