// SPDX-License-Identifier: GPL-2.0-only
/*
 * Per-CPU flow tables of fixed size.
 *
 * A table has its entries on the CPUs that are online, or once were, and a CPU
 * that comes gets its own before it runs.
 *
 * What a CPU has is a set-associative cache: a flow may stand in any entry of the set
 * that its hash names.  Where a set is full, a new flow takes the place of the
 * entry of the least weight, if it weighs as much itself.  An entry's weight is
 * the number of its packets, and halves with each HALF_LIFE that it is idle.  The
 * weight of a flow that has no entry is estimated by a count-min sketch, which
 * is halved whenever it has seen as many packets as it has counters.  So a
 * flood of flows of one packet each can only push out its own kind, a flow that
 * matters gets in with its first few packets or, past entries that weigh more than
 * the sketch can count, by being faster, and one that has ended makes room.
 *
 * This is the admission policy of TinyLFU (Einziger, Friedman, Manes: TinyLFU:
 * A Highly Efficient Cache Admission Policy, ACM Transactions on Storage 13,
 * 2017), with exact counts for those who are in.
 *
 * Only its own CPU writes a table, with softirqs (on PREEMPT_RT: other tasks)
 * kept out.  Readers are on any CPU, and try again when a sequence count tells
 * that an entry may have changed while they copied it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/etherdevice.h> /* get_unaligned() */
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/kcsan-checks.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/vmalloc.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "nsgate.h"

#define WAYS 16 /* entries in a set */
#define TAGS_PER_WORD 8
#define TAG_WORDS (WAYS / TAGS_PER_WORD)
#define EACH_BYTE 0x0101010101010101ULL

/*
 * Long enough for a flow that matters to pause during a flood, short enough for
 * one that has ended to make room.
 */
#define HALF_LIFE (16 * HZ) /* jiffies */

#define SKETCH_ROWS 2
#define SKETCH_MIN 2048 /* counters in a row */

/* An entry is a cache line. */
struct flow_entry {
	struct nsgate_flow_key key;
	u64 packets;
	u64 bytes;
	u32 first; /* jiffies */
	u32 last; /* jiffies */
};

/* A byte of the hash of each entry of a set, 0 if it is free. */
struct flow_set {
	u64 tags[TAG_WORDS];
};

/*
 * What a CPU has of a table.  One that has no entries, as it never was online or
 * there was no memory when it came, has a set all the same, in which nothing
 * is ever found: so the look-up of a flow doesn't have to ask.
 */
struct flow_cpu {
	seqcount_t seq;
	u32 mask; /* of the hash, for the set */
	u32 used; /* entries */
	u32 misses; /* since the sketch was halved */
	u64 evicted;
	struct flow_set *sets;
	struct flow_entry *entries; /* set last, and then for good */
	u8 *sketch;
	struct flow_set none;
};

struct nsgate_flow {
	u64 seeds[6];
	u32 ways; /* entries of a set that are used: fewer in the smallest */
	u32 sets; /* a power of two */
	u32 sketch_bits; /* of a row */
	struct flow_cpu __percpu *cpu;
	struct list_head list; /* tables_lock */
};

/*
 * Protects the list of tables, and the set of CPUs for which each of them is to
 * have entries.  Taken while a CPU is brought up, so who holds it waits for nobody who
 * needs the lock of CPUs: he touches no hook, no static key, no device.
 */
static DEFINE_MUTEX(tables_lock);
static LIST_HEAD(tables); /* tables_lock */
static struct cpumask cpus; /* online or once were; only grows, tables_lock */
static enum cpuhp_state hotplug_state; /* set once, by init */

static void *alloc_zeroed(size_t n, size_t size, int cpu, gfp_t gfp)
{
	/* Rather than let the kernel kill somebody for it, do without. */
	return kvzalloc_node(array_size(n, size),
			     gfp | __GFP_RETRY_MAYFAIL | __GFP_NOWARN,
			     cpu_to_node(cpu));
}

/* Gives a CPU that is not running, or a table that is not in use, its entries. */
static int cpu_alloc(const struct nsgate_flow *flow, int cpu, gfp_t gfp)
{
	struct flow_cpu *this = per_cpu_ptr(flow->cpu, cpu);
	struct flow_entry *entries;
	struct flow_set *sets;
	u8 *sketch;

	if (this->entries)
		return 0;
	sets = alloc_zeroed(flow->sets, sizeof(*sets), cpu, gfp);
	entries = alloc_zeroed(flow->sets * WAYS, sizeof(*entries), cpu, gfp);
	sketch = alloc_zeroed(SKETCH_ROWS, BIT(flow->sketch_bits), cpu, gfp);
	if (!sets || !entries || !sketch) {
		kvfree(sketch);
		kvfree(entries);
		kvfree(sets);
		return -ENOMEM;
	}
	this->sets = sets;
	this->sketch = sketch;
	this->mask = flow->sets - 1;
	/* Pairs with entries_of(). */
	smp_store_release(&this->entries, entries);
	return 0;
}

/* What a reader on any CPU finds of another, or NULL. */
static struct flow_entry *entries_of(const struct flow_cpu *this)
{
	/* Pairs with cpu_alloc(). */
	return smp_load_acquire(&this->entries);
}

/*
 * On the account of who binds, which may take as long as his limits say: without
 * the lock.
 */
static int alloc_entries(const struct nsgate_flow *flow)
{
	int cpu, err;

	for_each_possible_cpu(cpu) {
		if (!cpumask_test_cpu(cpu, &cpus))
			continue;
		err = cpu_alloc(flow, cpu, GFP_KERNEL_ACCOUNT);
		if (err)
			return err;
	}
	return 0;
}

/* From here on it gets entries for the CPUs that come; some came meanwhile. */
static void list_table(struct nsgate_flow *flow)
{
	int cpu;

	mutex_lock(&tables_lock);
	list_add_tail(&flow->list, &tables);
	for_each_cpu(cpu, &cpus)
		cpu_alloc(flow, cpu, GFP_KERNEL);
	mutex_unlock(&tables_lock);
}

/* Before it runs; without memory it does without flows. */
static int cpu_comes(unsigned int cpu)
{
	struct nsgate_flow *flow;
	unsigned int without = 0;

	mutex_lock(&tables_lock);
	cpumask_set_cpu(cpu, &cpus);
	list_for_each_entry(flow, &tables, list) {
		if (cpu_alloc(flow, cpu, GFP_KERNEL))
			without++;
		cond_resched();
	}
	mutex_unlock(&tables_lock);
	if (without)
		pr_warn("no memory for flows of %u targets on CPU %u\n",
			without, cpu);
	return 0;
}

/*
 * The CPUs that are online are taken from the mask, not from calls for each of
 * them: kernels before 6.8 make no such calls for this kind of state.
 */
int nsgate_flow_init(void)
{
	int state;

	cpus_read_lock();
	cpumask_copy(&cpus, cpu_online_mask);
	state = cpuhp_setup_state_nocalls_cpuslocked(CPUHP_BP_PREPARE_DYN,
						     "net/nsgate:prepare",
						     cpu_comes, NULL);
	cpus_read_unlock();
	if (state < 0)
		return state;
	hotplug_state = state;
	return 0;
}

void nsgate_flow_exit(void)
{
	cpuhp_remove_state_nocalls(hotplug_state);
}

static void init_cpus(struct nsgate_flow *flow)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct flow_cpu *this = per_cpu_ptr(flow->cpu, cpu);

		seqcount_init(&this->seq);
		this->sets = &this->none;
	}
}

struct nsgate_flow *nsgate_flow_alloc(unsigned int entries)
{
	struct nsgate_flow *flow;

	BUILD_BUG_ON(sizeof(struct flow_entry) != 64);
	flow = kzalloc(sizeof(*flow), GFP_KERNEL_ACCOUNT);
	if (!flow)
		return NULL;
	entries = roundup_pow_of_two(entries);
	get_random_bytes(flow->seeds, sizeof(flow->seeds));
	flow->ways = min_t(u32, entries, WAYS);
	flow->sets = entries / flow->ways;
	flow->sketch_bits = ilog2(max_t(u32, entries, SKETCH_MIN));
	INIT_LIST_HEAD(&flow->list);
	flow->cpu = alloc_percpu_gfp(struct flow_cpu,
				     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!flow->cpu)
		goto err_flow;
	init_cpus(flow);
	if (alloc_entries(flow))
		goto err_entries;
	list_table(flow);
	return flow;

err_entries:
	nsgate_flow_free(flow);
	return NULL;
err_flow:
	kfree(flow);
	return NULL;
}

void nsgate_flow_free(struct nsgate_flow *flow)
{
	int cpu;

	if (!flow)
		return;
	/* From here on no CPU gets entries. */
	mutex_lock(&tables_lock);
	list_del(&flow->list);
	mutex_unlock(&tables_lock);
	for_each_possible_cpu(cpu) {
		const struct flow_cpu *this = per_cpu_ptr(flow->cpu, cpu);

		if (!this->entries)
			continue;
		kvfree(this->sketch);
		kvfree(this->entries);
		kvfree(this->sets);
	}
	free_percpu(flow->cpu);
	kfree(flow);
}

static bool has_ports(u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		return true;
	default:
		return false;
	}
}

static inline bool read_bytes(void *to, const struct sk_buff *skb, int offset,
			      int len)
{
	const void *from = skb_header_pointer(skb, offset, len, to);

	if (from && from != to)
		memcpy(to, from, len);
	return from;
}

static void read_ports(struct nsgate_flow_key *key, const struct sk_buff *skb,
		       int transport)
{
	if (has_ports(key->protocol) &&
	    read_bytes(key->ports, skb, transport, sizeof(key->ports)))
		key->flags |= NSGATE_FLOW_PORTS;
}

/*
 * Nobody has looked at these headers before us, at a device.  What isn't of the
 * version that it is sent as, or ends before its addresses, is of no flow.
 */
static bool make_ipv4_key(struct nsgate_flow_key *key,
			  const struct sk_buff *skb, int offset)
{
	struct iphdr ip;

	if (!read_bytes(&ip, skb, offset, sizeof(ip)) || ip.version != 4 ||
	    ip.ihl < 5)
		return false;
	key->v4[0] = ip.saddr;
	key->v4[1] = ip.daddr;
	key->protocol = ip.protocol;
	if (!(ip.frag_off & htons(IP_OFFSET)))
		read_ports(key, skb, offset + ip.ihl * 4);
	return true;
}

static bool make_ipv6_key(struct nsgate_flow_key *key,
			  const struct sk_buff *skb, int offset)
{
	unsigned short fragoff = 0;
	unsigned int transport = offset;
	struct ipv6hdr ip;
	int protocol;

	key->flags |= NSGATE_FLOW_IPV6;
	if (!read_bytes(&ip, skb, offset, sizeof(ip)) || ip.version != 6)
		return false;
	key->v6[0] = ip.saddr;
	key->v6[1] = ip.daddr;
	protocol = ipv6_find_hdr(skb, &transport, -1, &fragoff, NULL);
	key->protocol = protocol < 0 ? IPPROTO_RAW : protocol;
	if (protocol >= 0 && !fragoff)
		read_ports(key, skb, transport);
	return true;
}

/*
 * What is compared to find a flow.  Unlike its key it stays in registers, which
 * an array would not; IPv4 has only the first word of addresses.
 */
struct probe {
	u64 word0, word1, word2, word3;
	u64 tail; /* see make_tail() */
};

/* What stands behind the addresses, in one word: the compiler reads it at once. */
static __always_inline u64 make_tail(u32 both_ports, u8 protocol, u8 flags,
				     u16 weight)
{
	return both_ports | (u64)protocol << 32 | (u64)flags << 40 |
	       (u64)weight << 48;
}

/* Whether a key has this tail, whatever its weight is. */
static __always_inline bool has_tail(const struct nsgate_flow_key *key,
				     u64 tail)
{
	u64 found = make_tail(key->both_ports, key->protocol, key->flags,
			      key->weight);

	return !((found ^ tail) << 16);
}

/* Both halves of the product, so that each bit of it counts. */
#ifdef CONFIG_ARCH_SUPPORTS_INT128
static __always_inline u64 fold(u64 a, u64 b)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	u64 folded = (u64)product ^ (u64)(product >> 64);

	/* Or else both halves are kept, for which there are too few registers. */
	OPTIMIZER_HIDE_VAR(folded);
	return folded;
}
#else
static __always_inline u64 fold(u64 a, u64 b)
{
	return (a * b) ^ mul_u64_u64_shr(a, b, 64);
}
#endif

/*
 * Products of what nobody knows, in the way of wyhash (Wang Yi, 2019): who
 * forges addresses can't tell which of them meet in a set, and if he could, all
 * that he wins is that set.
 */
static __always_inline u32 hash_probe(const struct nsgate_flow *flow,
				      const struct probe *probe, bool ipv6)
{
	const u64 *seeds = flow->seeds;
	u64 hash = fold(probe->tail ^ seeds[0], probe->word0 ^ seeds[1]);

	if (ipv6) {
		hash ^= fold(probe->word1 ^ seeds[2], probe->word2 ^ seeds[3]);
		hash = fold(hash ^ seeds[4], probe->word3 ^ seeds[5]);
	}
	/*
	 * Flows that are alike, as those of one host to many ports, differ in
	 * few bits of it: let these be in all, as in those that name the set.
	 */
	return lower_32_bits(hash) * GOLDEN_RATIO_64 >> 32;
}

static __always_inline bool is_probed(const struct nsgate_flow_key *key,
				      const struct probe *probe, bool ipv6)
{
	if (key->words[0] != probe->word0 || !has_tail(key, probe->tail))
		return false;
	return !ipv6 || (key->words[1] == probe->word1 &&
			 key->words[2] == probe->word2 &&
			 key->words[3] == probe->word3);
}

static u8 tag_of(u32 hash)
{
	return hash >> 24 ?: 1;
}

/*
 * The top bit of each byte of @word that is 0; bytes above the lowest one may
 * be in error.
 */
static u64 zero_bytes(u64 word)
{
	return (word - EACH_BYTE) & ~word & (EACH_BYTE << 7);
}

/* Among the entries that a word of tags is of. */
static __always_inline struct flow_entry *
find_among(struct flow_entry *entries, u64 tags, u64 wanted,
	   const struct probe *probe, bool ipv6)
{
	u64 hits = zero_bytes(tags ^ wanted);

	for (; hits; hits &= hits - 1) {
		struct flow_entry *entry = entries + __ffs64(hits) / 8;

		if (is_probed(&entry->key, probe, ipv6))
			return entry;
	}
	return NULL;
}

static __always_inline struct flow_entry *find(const struct flow_cpu *this,
					       u32 set, u8 tag,
					       const struct probe *probe,
					       bool ipv6)
{
	struct flow_entry *entries = this->entries + (size_t)set * WAYS;
	const u64 *tags = this->sets[set].tags;
	u64 wanted = tag * EACH_BYTE;
	struct flow_entry *entry;

	BUILD_BUG_ON(TAG_WORDS != 2);
	entry = find_among(entries, tags[0], wanted, probe, ipv6);
	if (!entry)
		entry = find_among(entries + TAGS_PER_WORD, tags[1], wanted,
				   probe, ipv6);
	return entry;
}

static u16 weight_now(const struct flow_entry *entry, u32 now)
{
	u32 idle = now - entry->last;

	if (likely(idle < HALF_LIFE))
		return entry->key.weight;
	idle /= HALF_LIFE;
	return idle < 16 ? entry->key.weight >> idle : 0;
}

/* The next entry of a set to go; of those that weigh the same, the idlest. */
static u32 lightest(const struct nsgate_flow *flow,
		    const struct flow_entry *entries, u32 now)
{
	u64 least = U64_MAX;
	u32 way, best = 0;

	for (way = 0; way < flow->ways; way++) {
		u64 rank = (u64)weight_now(entries + way, now) << 32 |
			   (u32)~(now - entries[way].last);

		if (rank < least) {
			least = rank;
			best = way;
		}
	}
	return best;
}

/* There is none if it isn't one of those that are used. */
static u32 first_free(const struct flow_set *set)
{
	u32 i;

	for (i = 0; i < TAG_WORDS; i++) {
		u64 free = zero_bytes(set->tags[i]);

		if (free)
			return i * TAGS_PER_WORD + __ffs64(free) / 8;
	}
	return WAYS;
}

static void set_tag(struct flow_set *set, u32 way, u8 tag)
{
	u64 *word = &set->tags[way / TAGS_PER_WORD];
	u32 shift = way % TAGS_PER_WORD * 8;

	*word &= ~(0xffULL << shift);
	*word |= (u64)tag << shift;
}

static void halve_sketch(const struct nsgate_flow *flow, struct flow_cpu *this)
{
	u64 *word = (u64 *)this->sketch;
	u64 *end = (u64 *)(this->sketch + (SKETCH_ROWS << flow->sketch_bits));

	for (; word < end; word++)
		*word = *word >> 1 & EACH_BYTE * 0x7f;
	this->misses = 0;
}

/* The counters of a flow in the sketch. */
struct counters {
	u8 *a, *b;
};

static struct counters find_counters(const struct nsgate_flow *flow,
				     struct flow_cpu *this, u32 hash)
{
	u32 bits = flow->sketch_bits;

	return (struct counters) {
		.a = this->sketch + (hash & (BIT(bits) - 1)),
		.b = this->sketch + BIT(bits) + hash_32(hash, bits),
	};
}

/* Counts a packet of a flow without entry; tells how many there were lately. */
static u8 estimate(const struct nsgate_flow *flow, struct flow_cpu *this,
		   struct counters of)
{
	u8 least;

	if (++this->misses >> flow->sketch_bits)
		halve_sketch(flow, this);
	least = min(*of.a, *of.b);
	if (least == U8_MAX)
		return least;
	/* Only what says least is true: the other has counted others, too. */
	if (*of.a == least)
		(*of.a)++;
	if (*of.b == least)
		(*of.b)++;
	return least + 1;
}

/*
 * The sketch counts no further, and the entry weighs more.  Both lose half: if
 * the flow gets there again before the entry has made up for it, it will win.
 */
static void contest(struct flow_entry *entry, struct counters of)
{
	entry->key.weight >>= 1;
	*of.a >>= 1;
	*of.b >>= 1;
}

/* Finds room for a flow in its set, or fails if others matter more. */
static noinline struct flow_entry *admit(const struct nsgate_flow *flow,
					 struct flow_cpu *this, u32 hash,
					 const struct nsgate_flow_key *key,
					 u32 now)
{
	u32 set = hash & this->mask;
	struct flow_entry *entries = this->entries + set * WAYS;
	struct counters of = find_counters(flow, this, hash);
	u32 way = first_free(this->sets + set);
	u16 weight = 0;

	if (unlikely(!this->entries)) {
		this->evicted++;
		return NULL;
	}
	if (way < flow->ways) {
		this->used++;
	} else {
		this->evicted++;
		weight = estimate(flow, this, of);
		way = lightest(flow, entries, now);
		if (weight < weight_now(entries + way, now)) {
			if (weight == U8_MAX)
				contest(entries + way, of);
			return NULL;
		}
		weight--; /* its packet will be counted */
	}
	set_tag(this->sets + set, way, tag_of(hash));
	entries[way] = (struct flow_entry) { .key = *key, .first = now,
					     .last = now };
	entries[way].key.weight = weight;
	return entries + way;
}

static inline void count_packet(struct flow_entry *entry, unsigned int len,
				u32 now)
{
	u16 weight = entry->key.weight;

	if (unlikely(now - entry->last >= HALF_LIFE))
		weight = weight_now(entry, now);
	if (likely(weight != U16_MAX))
		weight++;
	entry->key.weight = weight;
	entry->packets++;
	entry->bytes += len;
	entry->last = now;
}

/* The table to write; KCSAN, if it is there, watches that nobody else does. */
static __always_inline struct flow_cpu *
own_table(const struct nsgate_flow *flow)
{
	struct flow_cpu *this = this_cpu_ptr(flow->cpu);

	ASSERT_EXCLUSIVE_WRITER(this->seq.sequence);
	return this;
}

/* Any packet of any flow, known or not. */
static noinline void touch_any(struct nsgate_flow *flow,
			       const struct sk_buff *skb, int offset, bool ipv6)
{
	struct nsgate_flow_key key = { .flags = NSGATE_FLOW_USED };
	struct flow_entry *entry;
	struct flow_cpu *this;
	struct probe probe;
	bool entered;
	u32 hash, now;

	if (!(ipv6 ? make_ipv6_key(&key, skb, offset) :
		     make_ipv4_key(&key, skb, offset)))
		return;
	probe.word0 = key.words[0];
	probe.word1 = key.words[1];
	probe.word2 = key.words[2];
	probe.word3 = key.words[3];
	probe.tail = make_tail(key.both_ports, key.protocol, key.flags, 0);
	hash = hash_probe(flow, &probe, ipv6);

	entered = nsgate_cpu_enter();
	this = own_table(flow);
	now = jiffies; /* not before, or who comes in between is ahead of it */
	write_seqcount_begin(&this->seq);
	entry = find(this, hash & this->mask, tag_of(hash), &probe, ipv6);
	if (!entry)
		entry = admit(flow, this, hash, &key, now);
	if (entry)
		count_packet(entry, skb->len - offset, now);
	write_seqcount_end(&this->seq);
	nsgate_cpu_leave(entered);
}

/* Fail for what needs a closer look. */
static __always_inline bool probe_tail(struct probe *probe, u8 protocol,
				       const struct sk_buff *skb,
				       const void *ports, u8 flags)
{
	if (unlikely((const u8 *)ports + sizeof(u32) > skb_tail_pointer(skb)))
		return false;
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		break;
	default:
		return false;
	}
	probe->tail = make_tail(get_unaligned((const u32 *)ports), protocol,
				NSGATE_FLOW_USED | NSGATE_FLOW_PORTS | flags, 0);
	return true;
}

static __always_inline bool probe_ipv4(struct probe *probe,
				       const struct sk_buff *skb, int offset)
{
	const struct iphdr *ip = (const void *)(skb->data + offset);

	if (!probe_tail(probe, ip->protocol, skb, ip + 1, 0) ||
	    unlikely(ip->version != 4 || ip->ihl != 5 ||
		     ip->frag_off & htons(IP_OFFSET)))
		return false;
	probe->word0 = get_unaligned((const u64 *)&ip->saddr);
	return true;
}

static __always_inline bool probe_ipv6(struct probe *probe,
				       const struct sk_buff *skb, int offset)
{
	const struct ipv6hdr *ip = (const void *)(skb->data + offset);
	const u64 *words = (const u64 *)&ip->saddr;

	if (!probe_tail(probe, ip->nexthdr, skb, ip + 1, NSGATE_FLOW_IPV6) ||
	    unlikely(ip->version != 6))
		return false;
	probe->word0 = get_unaligned(words);
	probe->word1 = get_unaligned(words + 1);
	probe->word2 = get_unaligned(words + 2);
	probe->word3 = get_unaligned(words + 3);
	return true;
}

/* Counts a packet if that is simple and its flow is known. */
static __always_inline bool touch_known(struct nsgate_flow *flow,
					const struct sk_buff *skb, int offset,
					bool ipv6)
{
	struct flow_entry *entry;
	struct flow_cpu *this;
	struct probe probe = {};
	bool entered;
	u32 hash;

	if (!(ipv6 ? probe_ipv6(&probe, skb, offset) :
		     probe_ipv4(&probe, skb, offset)))
		return false;
	hash = hash_probe(flow, &probe, ipv6);

	entered = nsgate_cpu_enter();
	this = own_table(flow);
	entry = find(this, hash & this->mask, tag_of(hash), &probe, ipv6);
	if (likely(entry)) {
		write_seqcount_begin(&this->seq);
		count_packet(entry, skb->len - offset, jiffies);
		write_seqcount_end(&this->seq);
	}
	nsgate_cpu_leave(entered);
	return entry;
}

/* By themselves, so that neither saves registers that only the other needs. */
void nsgate_flow_touch_ipv4(struct nsgate_flow *flow, const struct sk_buff *skb,
			    int offset)
{
	if (!touch_known(flow, skb, offset, false))
		touch_any(flow, skb, offset, false);
}

void nsgate_flow_touch_ipv6(struct nsgate_flow *flow, const struct sk_buff *skb,
			    int offset)
{
	if (!touch_known(flow, skb, offset, true))
		touch_any(flow, skb, offset, true);
}

void nsgate_flow_usage(const struct nsgate_flow *flow,
		       struct nsgate_flow_usage *usage)
{
	int cpu;

	memset(usage, 0, sizeof(*usage));
	if (!flow)
		return;
	for_each_possible_cpu(cpu) {
		const struct flow_cpu *this = per_cpu_ptr(flow->cpu, cpu);
		unsigned int seq;
		u64 evicted;
		u32 used;

		do {
			seq = read_seqcount_begin(&this->seq);
			used = this->used;
			evicted = this->evicted;
		} while (read_seqcount_retry(&this->seq, seq));
		if (entries_of(this))
			usage->capacity += flow->sets * flow->ways;
		usage->entries += used;
		usage->evicted += evicted;
	}
}

/* Fails if there is nothing in the entry. */
static bool read_entry(const struct flow_cpu *this,
		       const struct flow_entry *entry,
		       struct nsgate_flow_row *row)
{
	struct flow_entry copy;
	unsigned int seq;
	u32 now;

	do {
		seq = read_seqcount_begin(&this->seq);
		copy = *entry;
		now = jiffies;
	} while (read_seqcount_retry(&this->seq, seq));

	row->key = copy.key;
	row->key.weight = 0;
	row->packets = copy.packets;
	row->bytes = copy.bytes;
	row->age_ms = jiffies64_to_msecs(now - copy.first);
	row->idle_ms = jiffies64_to_msecs(now - copy.last);
	return copy.packets;
}

/* A table may be large, and sort() doesn't give way of its own accord. */
static int compare_keys(const void *a, const void *b)
{
	cond_resched();
	return memcmp(a, b, sizeof(struct nsgate_flow_key));
}

static int compare_bytes(const void *a, const void *b)
{
	const struct nsgate_flow_row *x = a, *y = b;

	cond_resched();
	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return compare_keys(a, b);
}

/* Makes one row of the rows of each flow; returns how many are left. */
static int merge_rows(struct nsgate_flow_row *rows, int n)
{
	int i, last = 0;

	sort(rows, n, sizeof(*rows), compare_keys, NULL);
	for (i = 1; i < n; i++) {
		if (compare_keys(rows + i, rows + last)) {
			rows[++last] = rows[i];
			continue;
		}
		rows[last].packets += rows[i].packets;
		rows[last].bytes += rows[i].bytes;
		rows[last].age_ms = max(rows[last].age_ms, rows[i].age_ms);
		rows[last].idle_ms = min(rows[last].idle_ms, rows[i].idle_ms);
	}
	return last + 1;
}

/* Fills @rows; returns how many it took, or -1 if that is more than @room. */
static int read_entries(const struct nsgate_flow *flow,
			struct nsgate_flow_row *rows, u64 room)
{
	u32 i, size = flow->sets * WAYS;
	struct nsgate_flow_row row;
	int cpu, n = 0;

	for_each_possible_cpu(cpu) {
		const struct flow_cpu *this = per_cpu_ptr(flow->cpu, cpu);
		const struct flow_entry *entries = entries_of(this);

		for (i = 0; entries && i < size; i++) {
			cond_resched();
			if (!read_entry(this, entries + i, &row))
				continue;
			if (n == room)
				return -1;
			rows[n++] = row;
		}
	}
	return n;
}

int nsgate_flow_snapshot(const struct nsgate_flow *flow,
			 struct nsgate_flow_row **rows)
{
	struct nsgate_flow_usage usage;
	u64 room;
	int n;

	*rows = NULL;
	if (!flow)
		return 0;
	/* Entries are never given back: this ends with all of them. */
	do {
		kvfree(*rows);
		nsgate_flow_usage(flow, &usage);
		room = min(usage.capacity, usage.entries + usage.entries / 8 + 64);
		*rows = kvmalloc_array(room, sizeof(**rows),
				       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!*rows)
			return -ENOMEM;
		n = read_entries(flow, *rows, room);
	} while (n < 0);
	if (n)
		n = merge_rows(*rows, n);
	sort(*rows, n, sizeof(**rows), compare_bytes, NULL);
	return n;
}
