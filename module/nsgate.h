/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of nsgate share, a section for each of them.  Calls go one
 * way: main -> target -> {hook, proc} -> {meter, flow, gate, limit, log}.
 */
#ifndef NSGATE_H
#define NSGATE_H

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/bottom_half.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netfilter.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/u64_stats_sync.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "compat/compat.h"

struct nsgate_entry;

/* ---- helpers that several files have ---- */

/**
 * nsgate_cpu_enter() - keep all others on this CPU out of what packets write
 *
 * A softirq does so by being one. Where softirqs are threads, it takes more.
 *
 * Context: Any but hard interrupt.
 * Return: what nsgate_cpu_leave() is to be told.
 */
static inline bool nsgate_cpu_enter(void)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT)) {
		preempt_disable();
		return true;
	}
	if (likely(in_softirq()))
		return false;
	local_bh_disable();
	return true;
}

/**
 * nsgate_cpu_leave() - let others in again
 * @entered: what nsgate_cpu_enter() said
 *
 * Context: Any but hard interrupt.
 */
static inline void nsgate_cpu_leave(bool entered)
{
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
	else if (entered)
		local_bh_enable();
}

/**
 * nsgate_take_word() - take the next word of a command, if it is this one
 * @text: the rest of the command, or NULL at its end; what follows the word and
 *	one blank, or NULL, if it is taken
 * @word: the word
 *
 * Return: whether it is.
 */
static inline bool nsgate_take_word(char **text, const char *word)
{
	size_t len = strlen(word);

	if (!*text || strncmp(*text, word, len) ||
	    ((*text)[len] && (*text)[len] != ' '))
		return false;
	strsep(text, " ");
	return true;
}

/* ---- meter.c: per-CPU counters ---- */

/**
 * enum nsgate_point - where packets are counted: a hook and a family
 * @NSGATE_PREROUTING: first of the points of IP, see NSGATE_IP_POINT()
 * @NSGATE_INGRESS: ingress of a device that is no edge
 * @NSGATE_IN: ingress of an edge whose frames have an Ethernet header
 * @NSGATE_IN_BARE: ingress of an edge whose frames begin with what they carry
 * @NSGATE_EGRESS: egress of a device that is no edge
 * @NSGATE_OUT: egress of an edge
 * @NSGATE_POINTS: how many there are
 */
enum nsgate_point {
	NSGATE_PREROUTING,
	NSGATE_INGRESS = 2 * NF_INET_NUMHOOKS,
	NSGATE_IN,
	NSGATE_IN_BARE,
	NSGATE_EGRESS,
	NSGATE_OUT,
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
 * enum nsgate_judged - what the gate has done with packets
 * @NSGATE_EXCEPTED: found them to be an exception
 * @NSGATE_DROPPED: dropped them, or would have, were it not a dry run
 * @NSGATE_UNLOGGED: didn't log them, as there were too many
 * @NSGATE_JUDGED: how many there are
 */
enum nsgate_judged {
	NSGATE_EXCEPTED,
	NSGATE_DROPPED,
	NSGATE_UNLOGGED,
	NSGATE_JUDGED
};

/**
 * struct nsgate_meter - what one CPU has counted for one target
 * @seen: by point, and by enum nsgate_proto or enum nsgate_frame
 * @dropped: those of them that the gate dropped there
 * @judged: what the gate did with packets, each of them counted once
 * @syncp: lets 32-bit readers see whole 64-bit values
 *
 * Only its own CPU writes it.
 */
struct nsgate_meter {
	struct nsgate_count seen[NSGATE_POINTS][NSGATE_PROTOS];
	struct nsgate_count dropped[NSGATE_POINTS][NSGATE_PROTOS];
	struct nsgate_count judged[NSGATE_JUDGED];
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

#if BITS_PER_LONG == 64
/**
 * nsgate_meter_count() - count one packet with one counter
 * @meter: the target's meter
 * @count: a counter in it
 * @len: its length in bytes
 *
 * A softirq may come in between, and at output and postrouting the task may
 * even move to another CPU: each addition is safe by itself against both.
 *
 * Context: Any but hard interrupt; takes no lock.
 */
static inline void nsgate_meter_count(struct nsgate_meter __percpu *meter,
				      struct nsgate_count __percpu *count,
				      unsigned int len)
{
	this_cpu_inc(count->packets);
	this_cpu_add(count->bytes, len);
}
#else
/* Here a value takes two stores. */
void nsgate_meter_count(struct nsgate_meter __percpu *meter,
			struct nsgate_count __percpu *count, unsigned int len);
#endif

/**
 * nsgate_meter_add() - count one packet
 * @meter: the target's meter
 * @point: where the packet is
 * @proto: its class, enum nsgate_proto or enum nsgate_frame as the point asks
 * @len: its length in bytes
 *
 * Context: Any but hard interrupt; takes no lock.
 */
static inline void nsgate_meter_add(struct nsgate_meter __percpu *meter,
				    enum nsgate_point point, long proto,
				    unsigned int len)
{
	if (BITS_PER_LONG == 64) {
		/* Not by a pointer to the row: gcc adds an instruction for that. */
		this_cpu_inc(meter->seen[point][proto].packets);
		this_cpu_add(meter->seen[point][proto].bytes, len);
	} else {
		nsgate_meter_count(meter, &meter->seen[point][proto], len);
	}
}

/**
 * nsgate_meter_drop() - count one packet that is dropped where it was counted
 * @meter: the target's meter
 * @point: where the packet is
 * @proto: its class
 * @len: its length in bytes
 *
 * Context: Any but hard interrupt; takes no lock.
 */
void nsgate_meter_drop(struct nsgate_meter __percpu *meter,
		       enum nsgate_point point, unsigned int proto,
		       unsigned int len);

/**
 * nsgate_meter_judge() - count one packet for the gate
 * @meter: the target's meter
 * @judged: what the gate did with it
 * @len: its length in bytes
 *
 * Context: Any but hard interrupt; takes no lock.
 */
void nsgate_meter_judge(struct nsgate_meter __percpu *meter,
			enum nsgate_judged judged, unsigned int len);

/**
 * nsgate_meter_header() - what in and out count of a packet besides its length
 * @point: where it was counted
 *
 * Return: the length in bytes of a header that the hook doesn't see.
 */
static inline unsigned int nsgate_meter_header(enum nsgate_point point)
{
	return point == NSGATE_IN ? ETH_HLEN : 0;
}

/**
 * struct nsgate_sum - what all CPUs counted of a class at a point
 * @seen: all packets
 * @dropped: those of them that the gate dropped there
 */
struct nsgate_sum {
	struct nsgate_count seen;
	struct nsgate_count dropped;
};

/**
 * nsgate_meter_sum_judged() - sum up what all CPUs counted for the gate
 * @meter: the target's meter
 * @judged: what the gate did
 *
 * Context: Any but hard interrupt; takes no lock.
 * Return: the number of packets.
 */
u64 nsgate_meter_sum_judged(const struct nsgate_meter __percpu *meter,
			    enum nsgate_judged judged);

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
		      struct nsgate_sum sum[NSGATE_PROTOS]);

/* ---- flow.c: per-CPU flow tables ---- */

/* Most entries that a table can have, for each CPU. */
#define NSGATE_FLOWS_MAX 65536

/**
 * struct nsgate_flow_key - a flow: a 5-tuple, or a 3-tuple if it has no ports
 * @v4: IPv4 source and destination; what is left of @words is 0
 * @v6: IPv6 source and destination
 * @words: both addresses, to compare them
 * @ports: source and destination port
 * @both_ports: both ports, to compare them
 * @protocol: transport protocol, IPPROTO_*
 * @flags: NSGATE_FLOW_*
 * @weight: of the entry of a table, 0 elsewhere: fills the struct up
 */
struct nsgate_flow_key {
	union {
		__be32 v4[2];
		struct in6_addr v6[2];
		u64 words[4];
	};
	union {
		__be16 ports[2];
		u32 both_ports;
	};
	u8 protocol;
	u8 flags;
	u16 weight;
};

#define NSGATE_FLOW_USED BIT(0) /* tells a flow from a free entry */
#define NSGATE_FLOW_IPV6 BIT(1)
#define NSGATE_FLOW_PORTS BIT(2)

/**
 * struct nsgate_flow_row - a flow, as all CPUs together have seen it
 * @key: the flow
 * @packets: number of skbs
 * @bytes: sum of their skb->len
 * @age_ms: milliseconds since it got its entry, modulo 2^32 jiffies
 * @idle_ms: milliseconds since its last packet, likewise
 */
struct nsgate_flow_row {
	struct nsgate_flow_key key;
	u64 packets;
	u64 bytes;
	u64 age_ms;
	u64 idle_ms;
};

/**
 * struct nsgate_flow_usage - how full a table is
 * @capacity: entries that there are, of all CPUs that are online or once were
 * @entries: entries that are used; a flow has one on each CPU that saw it
 * @evicted: number of times that a flow lost its entry or was refused one
 */
struct nsgate_flow_usage {
	u64 capacity;
	u64 entries;
	u64 evicted;
};

struct nsgate_flow;

/**
 * nsgate_flow_init() - begin to follow the CPUs that come
 *
 * Context: Process context, may sleep. Takes the CPUs' lock.
 * Return: 0 or an error.
 */
int nsgate_flow_init(void);

/**
 * nsgate_flow_exit() - follow the CPUs no more
 *
 * Context: Process context, may sleep. Takes the CPUs' lock. No table is left.
 */
void nsgate_flow_exit(void);

/**
 * nsgate_flow_alloc() - allocate a flow table
 * @entries: entries for each CPU, 1 to NSGATE_FLOWS_MAX; rounded up to a power
 *	of two
 *
 * Only CPUs that are online, or once were, have entries. One that comes later gets
 * them before it runs, or does without if there is no memory.
 *
 * Context: Process context, may sleep.
 * Return: the table, or NULL if there is no memory.
 */
struct nsgate_flow *nsgate_flow_alloc(unsigned int entries);

/**
 * nsgate_flow_free() - free a flow table that nothing writes any more
 * @flow: the table, or NULL
 *
 * Context: Process context, may sleep. The caller has waited for the packets
 * that were in a hook.
 */
void nsgate_flow_free(struct nsgate_flow *flow);

/**
 * nsgate_flow_touch_ipv4() - count a packet of IPv4 for its flow
 * @flow: the target's table
 * @skb: the packet
 * @offset: where its network header begins, in bytes from skb->data; what is
 *	before that isn't counted
 *
 * Context: Any but hard interrupt; takes no lock.
 */
void nsgate_flow_touch_ipv4(struct nsgate_flow *flow, const struct sk_buff *skb,
			    int offset);

/**
 * nsgate_flow_touch_ipv6() - count a packet of IPv6 for its flow
 * @flow: the target's table
 * @skb: the packet
 * @offset: where its network header begins, in bytes from skb->data; what is
 *	before that isn't counted
 *
 * Context: Any but hard interrupt; takes no lock.
 */
void nsgate_flow_touch_ipv6(struct nsgate_flow *flow, const struct sk_buff *skb,
			    int offset);

/**
 * nsgate_flow_touch() - count a packet for its flow
 * @flow: the target's table
 * @skb: the packet
 * @offset: where its network header begins, in bytes from skb->data; what is
 *	before that isn't counted
 * @ipv6: whether it is IPv6
 *
 * Context: Any but hard interrupt; takes no lock.
 */
static inline void nsgate_flow_touch(struct nsgate_flow *flow,
				     const struct sk_buff *skb, int offset,
				     bool ipv6)
{
	if (ipv6)
		nsgate_flow_touch_ipv6(flow, skb, offset);
	else
		nsgate_flow_touch_ipv4(flow, skb, offset);
}

/**
 * nsgate_flow_usage() - tell how full a table is
 * @flow: the target's table, or NULL
 * @usage: filled in
 *
 * Context: Any but hard interrupt; takes no lock.
 */
void nsgate_flow_usage(const struct nsgate_flow *flow,
		       struct nsgate_flow_usage *usage);

/**
 * nsgate_flow_snapshot() - list the flows of a table, most bytes first
 * @flow: the target's table, or NULL
 * @rows: set to the list, which the caller frees with kvfree()
 *
 * Packets go on meanwhile: each row is true of some moment of its own.
 *
 * Context: Process context, may sleep.
 * Return: the number of rows, or -ENOMEM.
 */
int nsgate_flow_snapshot(const struct nsgate_flow *flow,
			 struct nsgate_flow_row **rows);

/* ---- gate.c: policy and exception program ---- */

/* The longest command: a program of all the instructions that BPF allows. */
#define NSGATE_GATE_TEXT_MAX (128 * 1024)

/* What nsgate_gate_judge() says of a packet. */
#define NSGATE_IS_EXCEPTED BIT(0)
#define NSGATE_TO_DROP BIT(1) /* were it not a dry run */

/**
 * struct nsgate_policy - what a gate does with packets; never changes
 * @drop: drop all but the exceptions, rather than only them
 * @dry: only count what would be dropped
 * @log: hand what is dropped to NFLOG
 * @matched: what is said of a packet that @prog matches
 * @log_group: the group that gets it
 * @seal: random, for the stamps of packets that it has judged
 * @prog: tells what an exception is; NULL if there is none
 * @insns: the program as it was written
 * @count: its length in instructions
 * @label: what the writer said of it, or NULL
 */
struct nsgate_policy {
	bool drop;
	bool dry;
	bool log;
	u8 matched;
	u16 log_group;
	unsigned long seal;
	struct bpf_prog *prog;
	struct sock_filter *insns;
	unsigned int count;
	char *label;
};

/**
 * struct nsgate_gate - a gate, which targets may share
 * @policy: the policy in force; NULL lets all pass; readers under RCU, writers
 *	hold @lock
 * @lock: one writer at a time
 * @refs: how many targets have it
 * @may_cut_off: whether a policy may drop anything; set once
 */
struct nsgate_gate {
	struct nsgate_policy __rcu *policy;
	struct mutex lock; /* protects policy against other writers */
	struct kref refs;
	bool may_cut_off;
};

/**
 * nsgate_gate_alloc() - make a gate, with one reference
 * @may_cut_off: whether a policy may drop anything
 * @drop: begin with dropping all, rather than with letting all pass
 *
 * Context: Process context, may sleep.
 * Return: the gate; ERR_PTR(-EPERM) if it should begin with what it may not; or
 * ERR_PTR(-ENOMEM).
 */
struct nsgate_gate *nsgate_gate_alloc(bool may_cut_off, bool drop);

/**
 * nsgate_gate_get() - take one more reference to a gate
 * @gate: the gate
 *
 * Context: Any. The caller has a reference.
 * Return: the gate.
 */
struct nsgate_gate *nsgate_gate_get(struct nsgate_gate *gate);

/**
 * nsgate_gate_put() - give a reference to a gate back, and free it with the last
 * @gate: the gate
 *
 * Context: Process context, may sleep. The caller has waited for the packets
 * that were in a hook of what had this reference.
 */
void nsgate_gate_put(struct nsgate_gate *gate);

/**
 * nsgate_gate_write() - put another policy in force
 * @gate: the gate
 * @text: the command, one line; is written into
 * @why: set to a reason if there is an error
 *
 * When it returns, no packet is judged by the old policy any more.
 *
 * Context: Process context, may sleep. Takes the gate's lock.
 * Return: 0; -EINVAL if the text is malformed or the program is none; -E2BIG
 * if it is too long; -EPERM if this gate may not drop anything; -ENOMEM. On an
 * error the old policy stays in force.
 */
int nsgate_gate_write(struct nsgate_gate *gate, char *text, const char **why);

/**
 * nsgate_gate_judge() - say what a policy does with a packet
 * @policy: the policy, which isn't to let all pass
 * @skb: the packet; the same before and after
 * @offset: where its network header begins, in bytes from skb->data; negative if
 *	nobody can tell
 * @frame: what it is
 * @outwards: whether it is about to leave
 *
 * Context: RCU read side; in a softirq, or with migration disabled.
 * Return: NSGATE_IS_EXCEPTED and NSGATE_TO_DROP, each set or not.
 */
unsigned int nsgate_gate_judge(const struct nsgate_policy *policy,
			       struct sk_buff *skb, int offset,
			       enum nsgate_frame frame, bool outwards);

/**
 * nsgate_gate_judge_other() - say what a policy does with what is no exception
 * @policy: the policy, which has a program
 * @skb: a packet of IP that the program doesn't match
 * @offset: where its network header begins, in bytes from skb->data
 * @frame: IPv4 or IPv6
 * @outwards: whether it is about to leave
 *
 * Context: RCU read side; in a softirq, or with migration disabled.
 * Return: NSGATE_TO_DROP or 0.
 */
unsigned int nsgate_gate_judge_other(const struct nsgate_policy *policy,
				     const struct sk_buff *skb, int offset,
				     enum nsgate_frame frame, bool outwards);

/**
 * nsgate_gate_version() - the number that packets of IP begin with
 * @frame: IPv4 or IPv6
 *
 * Return: the number.
 */
static inline u8 nsgate_gate_version(enum nsgate_frame frame)
{
	return frame == NSGATE_FRAME_IPV6 ? 6 : 4;
}

/**
 * nsgate_gate_matches() - run the program of a policy on a packet
 * @policy: the policy, which has a program
 * @skb: a packet of IP; the same before and after
 * @offset: where its network header begins, in bytes from skb->data, which are there
 *
 * The program can't get at skb->cb, which so needs not be saved.
 *
 * Context: RCU read side; in a softirq, or with migration disabled.
 * Return: whether it matches.
 */
static __always_inline bool
nsgate_gate_matches(const struct nsgate_policy *policy, struct sk_buff *skb,
		    int offset)
{
	u32 found;

	__skb_pull(skb, offset);
	found = bpf_prog_run(policy->prog, skb);
	__skb_push(skb, offset);
	return found;
}

/**
 * nsgate_gate_judge_simple() - nsgate_gate_judge(), for the packet path
 * @policy: the policy, which isn't to let all pass
 * @skb: a packet of IP; the same before and after
 * @offset: where its network header begins, in bytes from skb->data
 * @frame: IPv4 or IPv6
 * @outwards: whether it is about to leave
 *
 * What most packets need, without a call but that of the program.
 *
 * Context: RCU read side; in a softirq, or with migration disabled.
 * Return: NSGATE_IS_EXCEPTED and NSGATE_TO_DROP, each set or not.
 */
static __always_inline unsigned int
nsgate_gate_judge_simple(const struct nsgate_policy *policy,
			 struct sk_buff *skb, int offset,
			 enum nsgate_frame frame, bool outwards)
{
	if (unlikely(!policy->prog || (int)skb_headlen(skb) <= offset ||
		     skb->data[offset] >> 4 != nsgate_gate_version(frame)))
		return nsgate_gate_judge(policy, skb, offset, frame, outwards);
	if (nsgate_gate_matches(policy, skb, offset))
		return policy->matched;
	return nsgate_gate_judge_other(policy, skb, offset, frame, outwards);
}

/* ---- limit.c: rates and quotas ---- */

/* More than the longest command. */
#define NSGATE_LIMIT_TEXT_MAX 1024

/**
 * enum nsgate_direction - the ways in which edges are passed
 * @NSGATE_INWARDS: into the namespace
 * @NSGATE_OUTWARDS: out of it
 * @NSGATE_DIRECTIONS: how many there are
 */
enum nsgate_direction {
	NSGATE_INWARDS,
	NSGATE_OUTWARDS,
	NSGATE_DIRECTIONS
};

/**
 * struct nsgate_limit_account - what a CPU has of a direction
 * @used: bytes that passed, ever
 * @free_until: the value of @used up to which nothing has to be looked at but what
 *	stands here; less if that is so no more
 * @fresh_until: jiffies up to which that is so
 * @epoch: the rule's for which that is so
 * @bucket: the bucket that @rate_until was paid from
 * @rate_until: the value of @used up to which the rate is paid
 * @quota_until: the same for the quota
 * @drawn_at: jiffies when @rate_until was set
 * @over_packets: packets that were over the limit, ever
 * @over_bytes: their bytes
 *
 * Only that CPU writes it, with softirqs (on PREEMPT_RT: other tasks) kept out.
 */
struct nsgate_limit_account {
	u64 used;
	u64 free_until;
	unsigned long fresh_until;
	u32 epoch;
	u32 bucket;
	u64 rate_until;
	u64 quota_until;
	unsigned long drawn_at;
	u64 over_packets;
	u64 over_bytes;
};

/* Of a tenth of a second, and one for what is of two. */
#define NSGATE_SPARED_SLOTS 11

/**
 * struct nsgate_limit_cpu - what a CPU has of a limit
 * @accounts: by direction
 * @syncp: lets 32-bit readers see whole 64-bit values
 * @spared_at: number of the slot in which a packet was last looked at that was over
 * @spared: how many of them passed all the same, by slot, the last ones in turn
 */
struct nsgate_limit_cpu {
	struct nsgate_limit_account accounts[NSGATE_DIRECTIONS];
	struct u64_stats_sync syncp;
	unsigned long spared_at;
	u8 spared[NSGATE_SPARED_SLOTS];
};

/**
 * struct nsgate_limit_rule - a direction as it was written, and what follows
 * @epoch: tells it from all others; 0 if no CPU may use what it holds, because
 *	the quota is near its end
 * @has_quota: whether there is a quota
 * @sets_used: whether @used was written
 * @rate: bytes per second; 0 for none
 * @burst: bytes
 * @quota: bytes
 * @used: bytes that were used already when all CPUs had used @used_from
 * @given: what the bucket had given at @start
 * @start: nanoseconds
 * @bucket: number of the bucket
 * @first_bucket: number of the one that began full, and goes on in this
 * @used_from: see @used
 * @used_end: what they will have when the quota is spent
 * @drawn_end: what may be drawn for the quota
 * @spent: the quota is
 */
struct nsgate_limit_rule {
	u32 epoch;
	bool has_quota;
	bool sets_used;
	u64 rate;
	u64 burst;
	u64 quota;
	u64 used;
	u64 given;
	u64 start;
	u32 bucket;
	u32 first_bucket;
	u64 used_from;
	u64 used_end;
	atomic64_t drawn_end;
	bool spent;
};

struct nsgate_limit_pool;

/**
 * struct nsgate_limit_rules - what is in force
 * @dry: only count
 * @cpu: what each CPU has
 * @pools: what all CPUs share, by direction
 * @rules: by direction
 *
 * It changes only in what says how near to its end a quota is.
 */
struct nsgate_limit_rules {
	bool dry;
	struct nsgate_limit_cpu __percpu *cpu;
	struct nsgate_limit_pool *pools;
	struct nsgate_limit_rule rules[NSGATE_DIRECTIONS];
};

/**
 * struct nsgate_limit - the limit of a family
 * @rules: struct nsgate_limit_rules in force; NULL limits nothing; readers under
 *	RCU, writers hold @lock
 * @lock: one writer at a time
 * @refs: members of the family
 * @may_cut_off: whether rules may cut the family off; set once
 * @cpu: what each CPU has used; NULL before the first rules
 * @pools: what all CPUs share, by direction; likewise
 * @epoch: of the last rule, @lock
 */
struct nsgate_limit {
	void __rcu *rules; /* gcc before 10 wants to know what RCU protects */
	struct mutex lock; /* protects rules, cpu and pools against other writers */
	struct kref refs;
	bool may_cut_off;
	struct nsgate_limit_cpu __percpu *cpu;
	struct nsgate_limit_pool *pools;
	u32 epoch;
};

/**
 * struct nsgate_limit_figures - a direction of a limit, for readers
 * @rate: bytes per second, 0 for no rate
 * @burst: bytes
 * @has_quota: whether there is a quota
 * @quota: bytes
 * @used: bytes that passed since the limit was set, or since the value that was
 *	written
 * @over: what was over the limit, ever
 */
struct nsgate_limit_figures {
	u64 rate;
	u64 burst;
	bool has_quota;
	u64 quota;
	u64 used;
	struct nsgate_count over;
};

/**
 * nsgate_limit_alloc() - make a limit that limits nothing
 * @may_cut_off: whether rules may cut the family off
 *
 * Context: Process context, may sleep.
 * Return: the limit, or NULL if there is no memory.
 */
struct nsgate_limit *nsgate_limit_alloc(bool may_cut_off);

/**
 * nsgate_limit_get() - share a limit with one more target
 * @limit: the limit
 *
 * Context: Any. The caller has a reference, and nsgate_limit_put() takes back
 * the new one.
 * Return: the limit.
 */
struct nsgate_limit *nsgate_limit_get(struct nsgate_limit *limit);

/**
 * nsgate_limit_put() - let go of a limit; frees it with the last reference
 * @limit: the limit, which no packet of this target asks any more
 *
 * Context: Process context, may sleep.
 */
void nsgate_limit_put(struct nsgate_limit *limit);

/**
 * nsgate_limit_write() - put other rules in force
 * @limit: the limit
 * @text: the command, one line; is written into
 * @why: set to a reason if there is an error
 *
 * When it returns, no packet is charged by the old rules any more. What passes
 * meanwhile is charged all the same.
 *
 * Context: Process context, may sleep. Takes the limit's lock.
 * Return: 0; -EINVAL if the text is malformed; -EPERM if this family may not be
 * cut off; -ENOMEM. On an error the old rules stay in force.
 */
int nsgate_limit_write(struct nsgate_limit *limit, char *text,
		       const char **why);

/**
 * nsgate_limit_read() - tell what a limit says, and what came of it
 * @limit: the limit
 * @figures: filled in, by direction
 *
 * Context: Any but hard interrupt; takes no lock.
 * Return: its mode: "none", "on" or "dry".
 */
const char *
nsgate_limit_read(const struct nsgate_limit *limit,
		  struct nsgate_limit_figures figures[NSGATE_DIRECTIONS]);

/**
 * nsgate_limit_use() - note what passed
 * @this: of this CPU
 * @account: the account in it
 * @len: bytes
 *
 * Context: As nsgate_cpu_enter() leaves it.
 */
static inline void nsgate_limit_use(struct nsgate_limit_cpu *this,
				    struct nsgate_limit_account *account,
				    unsigned int len)
{
	u64_stats_update_begin(&this->syncp);
	WRITE_ONCE(account->used, account->used + len);
	u64_stats_update_end(&this->syncp);
}

/**
 * nsgate_limit_take() - charge a packet, if this CPU holds enough already
 * @rules: the rules in force
 * @direction: which way it goes
 * @len: its length in bytes
 *
 * Context: RCU read side, any but hard interrupt; takes no lock.
 * Return: whether it was charged and is within its limit; if not, only
 * nsgate_limit_charge() can tell.
 */
static __always_inline bool
nsgate_limit_take(struct nsgate_limit_rules *rules,
		  enum nsgate_direction direction, unsigned int len)
{
	struct nsgate_limit_account *account;
	struct nsgate_limit_cpu *this;

	if (IS_ENABLED(CONFIG_PREEMPT_RT) || unlikely(!in_softirq()))
		return false;
	this = this_cpu_ptr(rules->cpu);
	account = &this->accounts[direction];
	if (unlikely((s64)(account->free_until - account->used) <= 0 ||
		     account->epoch != READ_ONCE(rules->rules[direction].epoch) ||
		     (long)(account->fresh_until - jiffies) < 0))
		return false;
	nsgate_limit_use(this, account, len);
	return true;
}

/**
 * nsgate_limit_charge() - charge a packet, if it is within its limit
 * @rules: the rules in force
 * @direction: which way it goes
 * @len: its length in bytes
 *
 * Context: RCU read side, any but hard interrupt; takes no lock.
 * Return: whether it is within; if not, nothing was charged, and the caller goes
 * on with nsgate_limit_spare() or nsgate_limit_refuse().
 */
bool nsgate_limit_charge(struct nsgate_limit_rules *rules,
			 enum nsgate_direction direction, unsigned int len);

/**
 * nsgate_limit_spare() - charge a packet that is over, but which a link needs
 * @rules: the rules in force
 * @direction: which way it goes
 * @len: its length in bytes
 *
 * Context: RCU read side, any but hard interrupt; takes no lock.
 * Return: whether it passes: there may be so many in any second, of both directions.
 */
bool nsgate_limit_spare(struct nsgate_limit_rules *rules,
			enum nsgate_direction direction, unsigned int len);

/**
 * nsgate_limit_refuse() - count a packet that is over
 * @rules: the rules in force
 * @direction: which way it goes
 * @len: its length in bytes
 *
 * Context: RCU read side, any but hard interrupt; takes no lock.
 * Return: whether it is to be dropped; if not, this is a dry run.
 */
bool nsgate_limit_refuse(struct nsgate_limit_rules *rules,
			 enum nsgate_direction direction, unsigned int len);

/* ---- log.c: what was dropped, for NFLOG ---- */

/**
 * struct nsgate_log - keeps a target from logging too much
 * @next: the time in nanoseconds from which on one more may be logged at once,
 *	less a second
 */
struct nsgate_log {
	atomic64_t next;
};

/**
 * nsgate_log_alloc() - begin with nothing logged
 *
 * Context: Process context, may sleep.
 * Return: what nsgate_log_free() frees, or NULL if there is no memory.
 */
struct nsgate_log *nsgate_log_alloc(void);

/**
 * nsgate_log_free() - free what nsgate_log_alloc() made
 * @log: that, or NULL
 *
 * Context: Any. No packet of the target is in a hook.
 */
void nsgate_log_free(struct nsgate_log *log);

/**
 * nsgate_log_enable() - have the kernel's NFLOG ready, and loaded if need be
 *
 * Context: Process context, may sleep.
 * Return: 0, and nsgate_log_disable() undoes it; or -ENOENT if there is none.
 */
int nsgate_log_enable(void);

/**
 * nsgate_log_disable() - need the kernel's NFLOG no more
 *
 * Context: Any.
 */
void nsgate_log_disable(void);

/**
 * nsgate_log_packet() - hand a packet to NFLOG of the initial network namespace
 * @log: the target's
 * @group: the group
 * @prefix: what is said of the packet
 * @skb: the packet; the same before and after
 * @state: the hook that it is at
 * @frame: what it is; nothing but IP and ARP can be told
 * @offset: where its network header begins, in bytes from skb->data
 *
 * Context: RCU read side, any but hard interrupt. Takes NFLOG's locks.
 * Return: false if it isn't logged because there were too many.
 */
bool nsgate_log_packet(struct nsgate_log *log, u16 group, const char *prefix,
		       struct sk_buff *skb, const struct nf_hook_state *state,
		       enum nsgate_frame frame, int offset);

/* ---- target.c: targets, their life and death ---- */

/**
 * struct nsgate_config - what a target begins with
 * @flows: entries of its flow table for each CPU, 0 for no table
 * @drop: whether its gate drops all
 * @gate_init_net: whether the initial network namespace may be cut off
 */
struct nsgate_config {
	unsigned int flows;
	bool drop;
	bool gate_init_net;
};

/**
 * struct nsgate_net - what every network namespace holds of nsgate
 * @target: the target that it is, if it is one; written under the target lock
 * @compat: what newer kernels keep by themselves
 */
struct nsgate_net {
	struct nsgate_target *target;
	struct nsgate_net_compat compat;
};

/**
 * enum nsgate_auto - which namespaces become targets when they are made
 * @NSGATE_AUTO_OFF: none
 * @NSGATE_AUTO_CHILDREN: those that are made in a target, but for the initial
 *	namespace
 * @NSGATE_AUTO_ALL: all
 */
enum nsgate_auto {
	NSGATE_AUTO_OFF,
	NSGATE_AUTO_CHILDREN,
	NSGATE_AUTO_ALL
};

/* How they are written. */
extern const char *const nsgate_auto_names[];

/**
 * struct nsgate_births - what has come of it
 * @mode: which namespaces become targets now
 * @born: number of those that did
 * @missed: number of those that live without, as they could not be bound
 */
struct nsgate_births {
	enum nsgate_auto mode;
	u64 born;
	u64 missed;
};

struct nsgate_family;

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
 * struct nsgate_hook - a hook that can be moved to the front
 * @ops: two of the same, of which one is registered, so that the other one can
 *	be before it goes
 * @turn: which one
 */
struct nsgate_hook {
	struct nf_hook_ops ops[2];
	bool turn;
};

/**
 * struct nsgate_finding - a figure of a survey
 * @count: how many there are
 * @is_more: and there may be more
 * @is_unknown: this kernel can't tell
 */
struct nsgate_finding {
	unsigned int count;
	bool is_more;
	bool is_unknown;
};

/**
 * struct nsgate_survey - what stands around a target's hooks, and what goes past
 * @at: when this was found, in jiffies of 64 bits; 0 if it never was
 * @preceded: hooks of others that stand before ours
 * @tc: devices with something of tc at ingress, or anywhere, if it is loopback
 * @af_xdp: AF_XDP sockets
 * @xdp: devices with an XDP program
 */
struct nsgate_survey {
	u64 at;
	struct nsgate_finding preceded;
	struct nsgate_finding tc;
	struct nsgate_finding af_xdp;
	struct nsgate_finding xdp;
};

/* Devices with lower ones are known by that, without a look at the namespace. */
#define NSGATE_LOW_INDICES 256

/**
 * struct nsgate_target - a network namespace that nsgate is bound to
 * @meter: its counters
 * @flow: its flows, or NULL if none are kept
 * @gate: the gate of its family
 * @limit: the limit of its family
 * @log: how much it has logged
 * @low_indices: which low indices are those of its devices; RTNL to write
 * @passes_all: it was released, so its hooks let all pass until they are gone
 * @ip_hooks: its hooks for IP, whose priv is this target
 * @ip_hooked: whether @ip_hooks are registered, @walk_lock
 * @watching: whether @notifier is
 * @replaying: devices that are there already are being told to it
 * @unwatching: no device is hooked any more, RTNL
 * @missed_device: there was no memory for a device that came
 * @notifier: tells when devices come and go
 * @devices: struct nsgate_device of each device, RTNL
 * @nr_devices: how many those are, and those that a walk has; RTNL to write
 * @walk_lock: one walk through the hooks at a time; outside of RTNL
 * @front_work: moves the hooks to the front
 * @survey: the last one; one reader takes the next, others are content with it
 * @survey_lock: protects @survey, for as long as it takes to copy it
 * @refs: one for its list, one for its hooks, one for each entry of its views
 * @free_work: frees it, a grace period after the last reference was put
 * @net: the namespace; NULL once it dies, or is released; readers under RCU,
 *	writers hold the target lock
 * @unhook_net: the namespace, referenced while @unhook_work needs it
 * @unhook_work: unhooks it after a release
 * @renamed: cookie of the gone target that the host view showed by this inode
 *	before, or 0; target lock
 * @list: entry in the list of live or gone targets, target lock
 * @hash: entry in the look-up by inode, live or gone, target lock
 * @late_work: does what a release must do to a namespace that was being made
 * @family: those that it shares its gate with, referenced
 * @kin: entry in the family's list of those that are gone, target lock
 * @born: was bound when its namespace was made
 * @parent: cookie of the target that it was born in, 0 for the head of a family
 * @released: is in no list any more, target lock
 * @inode: proc inode by which the namespace was named when it was bound
 * @cookie: cookie of the namespace
 * @bound_at: when it was bound, in seconds since boot
 * @gone_at: when it died, in seconds since boot; UINT_MAX while it lives
 * @host_view: its directory in the host view, target lock
 * @named_by_cookie: that is named <inode>.<cookie>, as the inode has been bound
 *	again; target lock
 * @own_view: what there is of it in its own /proc/net, target lock
 * @prepared: memory for what both views need, target lock once it is shown
 *
 * The packet path reads what stands first.
 */
struct nsgate_target {
	struct nsgate_meter __percpu *meter;
	struct nsgate_flow *flow;
	struct nsgate_gate *gate;
	struct nsgate_limit *limit;
	struct nsgate_log *log;
	bool passes_all;
	DECLARE_BITMAP(low_indices, NSGATE_LOW_INDICES);

	struct nsgate_hook ip_hooks[2 * NF_INET_NUMHOOKS];
	bool ip_hooked;
	bool watching;
	bool replaying;
	bool unwatching;
	bool missed_device;
	struct notifier_block notifier;
	struct list_head devices;
	unsigned int nr_devices;
	struct mutex walk_lock; /* one walk at a time */
	struct work_struct front_work;
	struct nsgate_survey survey;
	spinlock_t survey_lock; /* protects survey */

	refcount_t refs;
	struct rcu_work free_work;
	struct net __rcu *net;
	struct net *unhook_net;
	struct work_struct unhook_work;
	u64 renamed;
	struct list_head list;
	struct hlist_node hash;
	struct delayed_work late_work;
	struct nsgate_family *family;
	struct list_head kin;
	bool born;
	u64 parent;
	bool released;
	u32 inode;
	u64 cookie;
	unsigned int bound_at;
	unsigned int gone_at;
	struct nsgate_entry *host_view;
	bool named_by_cookie;
	struct nsgate_entry *own_view;
	struct nsgate_entry *prepared;
};

/* Where what a release leaves to do is done. */
extern struct workqueue_struct *nsgate_target_wq;

/**
 * nsgate_target_get() - hold a target
 * @target: the target, which the caller holds already
 *
 * Context: Any.
 */
static inline void nsgate_target_get(struct nsgate_target *target)
{
	refcount_inc(&target->refs);
}

/**
 * nsgate_target_put() - hold a target no more
 * @target: the target; it is freed if that was the last that held it
 *
 * Context: Any.
 */
static inline void nsgate_target_put(struct nsgate_target *target)
{
	if (refcount_dec_and_test(&target->refs))
		queue_rcu_work(nsgate_target_wq, &target->free_work);
}

/**
 * nsgate_target_init() - give every namespace its slot; no target is bound yet
 * @config: what targets begin with; must stay
 *
 * Context: Process context, may sleep.
 * Return: 0, or the error of what could not be registered.
 */
int nsgate_target_init(const struct nsgate_config *config);

/**
 * nsgate_target_exit() - take the slots away again
 *
 * Context: Process context, may sleep. No target is left.
 */
void nsgate_target_exit(void);

/**
 * nsgate_target_set_auto() - say which namespaces become targets when they are made
 * @mode: holds for those that are made from now on
 *
 * Context: Process context, may sleep. Takes the target lock.
 */
void nsgate_target_set_auto(enum nsgate_auto mode);

/**
 * nsgate_target_births() - tell what has come of nsgate_target_set_auto()
 * @births: filled in
 *
 * Context: Any.
 */
void nsgate_target_births(struct nsgate_births *births);

/**
 * nsgate_target_get_net() - hold the namespace of a target
 * @target: the target
 *
 * Context: Any.
 * Return: the namespace, which the caller puts; or NULL, if it isn't there yet,
 * dies, or the target has been released.
 */
struct net *nsgate_target_get_net(const struct nsgate_target *target);

/**
 * nsgate_target_move_family_to_front() - put hooks before those of others
 * @one: any target of a family; nsgate_hook_move_to_front() is for all that live
 *
 * Context: Process context, may sleep. Takes the target lock.
 */
void nsgate_target_move_family_to_front(const struct nsgate_target *one);

/**
 * nsgate_target_release_all() - release all targets, gone ones too, for good
 *
 * No request is carried out any more.
 *
 * Context: Process context, may sleep. Waits until no target is left, so for all
 * who read something of one; holds no lock then.
 */
void nsgate_target_release_all(void);

/**
 * nsgate_target_write() - bind and release as a text says, wholly or not at all
 * @text: inodes, comma separated: these and only these shall be targets;
 *	or "+inode" or "-inode", to bind or release one, or "-inode.cookie", if
 *	several have had that inode; a newline may follow
 * @unsettled: set to whether something that was released is still to go, for
 *	nsgate_target_settle()
 *
 * Context: Process context, may sleep. Takes the lock of requests and that of
 * targets. Holds no lock that another parameter needs.
 * Return: 0; -EINVAL if the text is malformed; -ENXIO if an inode names no
 * live network namespace (or, after '-', no target); -E2BIG if there would be
 * too many targets; -EBUSY if a name in /proc isn't free yet; -ENODEV if the
 * module goes; -ENOMEM; or the error of a hook. On an error nothing has changed
 * and the log says why.
 */
int nsgate_target_write(const char *text, bool *unsettled);

/**
 * nsgate_target_settle() - wait until released targets have no hooks and no files
 *
 * Not for long, as it is up to the tenant how long that takes, and not if the
 * current task has a signal.  But no packet is judged for them any more when this
 * returns.
 *
 * Context: Process context, may sleep. Holds no lock.
 */
void nsgate_target_settle(void);

/**
 * nsgate_target_read() - list the inodes of the live targets, as many as fit
 * @buf: where to, of PAGE_SIZE bytes
 *
 * Context: Process context, may sleep. Takes the target lock.
 * Return: the length of the text in bytes.
 */
int nsgate_target_read(char *buf);

/* ---- hook.c: netfilter hooks and the packet path ---- */

/**
 * nsgate_hook_prepare() - initialize what a target's hooks need
 * @target: the target, which is new
 *
 * From here on nsgate_hook_unregister() may be called, whether or not hooks were
 * registered.
 *
 * Context: Any.
 */
void nsgate_hook_prepare(struct nsgate_target *target);

/**
 * nsgate_hook_register() - let a target's hooks come alive
 * @target: the target, ready to count
 * @net: its namespace
 *
 * Those of its devices, too, and of the devices that it will get.
 *
 * Context: Process context, may sleep. Takes RTNL, for a few devices at a time.
 * Return: 0, or the error of what could not be registered; then the caller has
 * the rest unregistered.
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
 * Context: Process context, may sleep. Takes RTNL, for a few devices at a time.
 * It is up to the tenant how long it takes.
 */
void nsgate_hook_unregister(struct nsgate_target *target, struct net *net);

/**
 * nsgate_hook_move_to_front() - let a target's hooks stand before all others
 * @target: the target, whose namespace is alive
 *
 * That is done by a worker, and only where the hook of somebody else stands
 * before ours.  Our hook is registered once more, so that it is the latest, and
 * only then is its old place given up: no packet passes unjudged, though one may
 * count twice.
 *
 * Context: Process context. The caller holds the target and its namespace.
 */
void nsgate_hook_move_to_front(struct nsgate_target *target);

/**
 * nsgate_hook_survey() - tell what stands around a target's hooks
 * @target: the target
 * @found: filled in; a second old at most
 *
 * Context: Process context, may sleep.
 */
void nsgate_hook_survey(struct nsgate_target *target,
			struct nsgate_survey *found);

/* ---- proc.c: /proc/net/nsgate ---- */

/**
 * nsgate_proc_may_control() - whether the current task may control targets
 *
 * Context: Process context.
 * Return: 0; or -EPERM, and the log says why.
 */
int nsgate_proc_may_control(void);

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
 * nsgate_proc_prepare() - allocate what both views of a target will need
 * @target: the target
 *
 * A worker shows the targets that are born.  What is allocated here is charged to
 * the caller, who is their maker.
 *
 * Context: Process context, may sleep.
 * Return: 0, or -ENOMEM; nsgate_proc_discard() is due in both cases.
 */
int nsgate_proc_prepare(struct nsgate_target *target);

/**
 * nsgate_proc_discard() - free what was prepared and not needed
 * @target: the target, which isn't going to be shown any more
 *
 * Context: Any.
 */
void nsgate_proc_discard(struct nsgate_target *target);

/**
 * nsgate_proc_can_add() - tell whether the names of both views of a target are free
 * @target: the target
 * @net: its namespace
 *
 * They are not as long as what was removed last can still be found.
 *
 * Context: Any. Holds the target lock.
 * Return: whether they are.
 */
bool nsgate_proc_can_add(const struct nsgate_target *target,
			 const struct net *net);

/**
 * nsgate_proc_add_host() - show a target in the host view
 * @target: the target; no other of its inode may be shown
 *
 * Context: Process context, may sleep. Holds the target lock.
 * Return: 0, or -ENOMEM; then nsgate_proc_remove_host() takes away what is there.
 */
int nsgate_proc_add_host(struct nsgate_target *target);

/**
 * nsgate_proc_rename_host() - show a target in the host view by another name
 * @target: the target
 * @by_cookie: as <inode>.<cookie>, rather than as <inode>
 *
 * Context: Process context, may sleep. Holds the target lock.
 * Return: 0; -EBUSY if the new name isn't free yet; or -ENOMEM; then it has its old
 * name.
 */
int nsgate_proc_rename_host(struct nsgate_target *target, bool by_cookie);

/**
 * nsgate_proc_remove_host() - take a target out of the host view, if it is there
 * @target: the target
 *
 * Readers that are in it are left to workers, who hold the target meanwhile.
 *
 * Context: Process context, may sleep. Holds the target lock.
 */
void nsgate_proc_remove_host(struct nsgate_target *target);

/**
 * nsgate_proc_has_leaving() - tell whether something that was removed is still there
 *
 * Context: Any.
 * Return: whether it can still be found.
 */
bool nsgate_proc_has_leaving(void);

/**
 * nsgate_proc_await_names() - wait until what was removed can't be found any more
 *
 * For readers nobody waits here, and in no case for more than a second.
 *
 * Context: Process context, may sleep. Holds no lock that .pre_exit takes.
 * Return: whether it is so.
 */
bool nsgate_proc_await_names(void);

/**
 * nsgate_proc_add_own() - show a target to those inside
 * @target: the target
 * @net: its namespace
 *
 * Context: Process context, may sleep. Holds the target lock.
 * Return: 0, or -ENOMEM; then nsgate_proc_remove_own() takes away what is there.
 */
int nsgate_proc_add_own(struct nsgate_target *target, struct net *net);

/**
 * nsgate_proc_remove_own() - take the own view out of a living namespace
 * @target: the target
 * @net: its namespace
 *
 * Readers that are in it are left to workers, who hold the target and the
 * namespace meanwhile.
 *
 * Context: Process context, may sleep. Holds the target lock.
 */
void nsgate_proc_remove_own(struct nsgate_target *target, struct net *net);

/**
 * nsgate_proc_remove_own_dead() - take the own view out of a namespace that dies
 * @target: the target
 *
 * Context: Process context, may sleep. Waits for readers, but those hold the
 * namespace for as long as they run code of ours.
 */
void nsgate_proc_remove_own_dead(struct nsgate_target *target);

#endif /* NSGATE_H */
