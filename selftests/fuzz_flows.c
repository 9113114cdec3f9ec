// SPDX-License-Identifier: GPL-2.0-only
/* Of which flow each frame is, and whether nsgate has others. */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

struct flow {
	unsigned char source[16], destination[16]; /* of IPv4, the first 4 bytes */
	unsigned short ports[2];
	unsigned char family, protocol, has_ports;
};

static unsigned long long sent[1 << 22]; /* hashes of flows */
static unsigned int nr_sent;

static unsigned long long hash_of(const struct flow *flow)
{
	unsigned long long hash = 0xcbf29ce484222325; /* FNV-1a */
	size_t i;

	for (i = 0; i < sizeof(*flow); i++)
		hash = (hash ^ ((const unsigned char *)flow)[i]) * 0x100000001b3;
	return hash;
}

/* Where the hash of a flow is, or is to be. */
static unsigned long long *place_of(unsigned long long hash)
{
	size_t i = hash % ARRAY_SIZE(sent);

	while (sent[i] && sent[i] != hash)
		i = (i + 1) % ARRAY_SIZE(sent);
	return sent + i;
}

static void note(const struct flow *flow)
{
	unsigned long long hash = hash_of(flow), *place = place_of(hash);

	if (!*place && ++nr_sent == ARRAY_SIZE(sent))
		errx(2, "more flows than there is room for");
	*place = hash;
}

static void read_ports(struct flow *flow, const unsigned char *p, size_t n, size_t at)
{
	static const unsigned char with_ports[] = { 6, 17, 33, 132, 136 };

	if (!memchr(with_ports, flow->protocol, sizeof(with_ports)) || at + 4 > n)
		return;
	flow->has_ports = true;
	flow->ports[0] = word_at(p + at);
	flow->ports[1] = word_at(p + at + 2);
}

/*
 * Flows are taken at the device, where nobody has looked yet at how long a packet
 * says it is: all of the frame is the packet's.
 */
static bool dissect_ipv4(struct flow *flow, const unsigned char *p, size_t n)
{
	size_t header = (*p & 15) * 4;

	if (n < 20 || *p >> 4 != 4 || header < 20)
		return false;
	memcpy(flow->source, p + 12, 4);
	memcpy(flow->destination, p + 16, 4);
	flow->family = 4;
	flow->protocol = p[9];
	if (!(word_at(p + 6) & 0x1fff))
		read_ports(flow, p, n, header);
	return true;
}

/* The protocol behind extension headers and where it begins, 0 in a later fragment. */
static unsigned char skip_extensions(const unsigned char *p, size_t n, size_t *at)
{
	unsigned char next = p[6];

	for (*at = 40; strchr("\x2b\x2c\x33\x3c", next); ) { /* or 0, hop by hop */
		bool fragment = next == 44;
		size_t size = next == 51 ? 4 : 8;

		if (*at + (fragment ? 4 : 2) > n)
			return 255;
		if (fragment && word_at(p + *at + 2) & 0xfff8) {
			next = p[*at];
			*at = 0;
			return strchr("\x2b\x2c\x33\x3c", next) ? 255 : next;
		}
		if (!fragment)
			size = size * p[*at + 1] + 8;
		next = p[*at];
		*at += size;
	}
	return next;
}

static bool dissect_ipv6(struct flow *flow, const unsigned char *p, size_t n)
{
	size_t at;

	if (n < 40 || *p >> 4 != 6)
		return false;
	memcpy(flow->source, p + 8, 16);
	memcpy(flow->destination, p + 24, 16);
	flow->family = 6;
	flow->protocol = skip_extensions(p, n, &at);
	if (at)
		read_ports(flow, p, n, at);
	return true;
}

void note_flow(void)
{
	const unsigned char *p = (const unsigned char *)text;
	struct flow flow = { 0 };
	size_t at = 12;

	while (at + 6 <= len && (word_at(p + at) == 0x8100 || word_at(p + at) == 0x88a8))
		at += 4;
	if (word_at(p + at) == 0x0800 ? !dissect_ipv4(&flow, p + at + 2, len - at - 2) :
	    word_at(p + at) != 0x86dd || !dissect_ipv6(&flow, p + at + 2, len - at - 2))
		return;
	if (flow.protocol == 58)
		flow.protocol = 1;
	note(&flow);
	if (flow.family != 6)
		return;
	/* Where headers are broken; kernels differ in which those are. */
	flow.protocol = 255;
	flow.has_ports = false;
	memset(flow.ports, 0, sizeof(flow.ports));
	note(&flow);
}

/* "[ADDRESS]:PORT", "ADDRESS" or, of IPv4, "ADDRESS:PORT" */
static bool parse_end(struct flow *flow, char *end, unsigned char *address, int i)
{
	char *port = flow->family == 4 ? strchr(end, ':') : strstr(end, "]:");

	if (port) {
		flow->has_ports = true;
		flow->ports[i] = atoi(strrchr(port, ':') + 1);
		*port = '\0';
	}
	end += *end == '[';
	return inet_pton(flow->family == 4 ? AF_INET : AF_INET6, end, address) == 1;
}

static bool parse_flow(struct flow *flow, const char *line)
{
	static const struct { const char *name; int number; } protocols[] = {
		{ "tcp", 6 }, { "udp", 17 }, { "icmp", 1 }, { "sctp", 132 }, { "esp", 50 },
	};
	char proto[16], source[64], destination[64];
	size_t i;

	memset(flow, 0, sizeof(*flow));
	if (sscanf(line, "ipv%hhu %15s %63s %63s", &flow->family, proto, source, destination) != 4)
		return false;
	flow->protocol = atoi(proto);
	for (i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (!strcmp(proto, protocols[i].name))
			flow->protocol = protocols[i].number;
	}
	return parse_end(flow, source, flow->source, 0) &&
	       parse_end(flow, destination, flow->destination, 1);
}

/* Of what the namespaces themselves send. */
static bool is_ours(const struct flow *flow)
{
	static const unsigned char ipv4[] = { 10, 0, 0, 2 }, ipv6[16] = { 0xfd, [15] = 2 };
	const unsigned char *s = flow->source;

	if (flow->family == 4)
		return *s == 127 || !memcmp(s, ipv4, sizeof(ipv4));
	return !*s || word_at(s) == 0xfe80 || !memcmp(s, ipv6, sizeof(ipv6));
}

void check_flows(const char *file)
{
	FILE *flows = fopen(file, "re");
	struct flow flow;
	char line[256];

	if (!flows || !fgets(line, sizeof(line), flows))
		err(2, "%s", file);
	while (fgets(line, sizeof(line), flows)) {
		if (!parse_flow(&flow, line))
			fail("what flow is this? %s", line);
		if (!is_ours(&flow) && !*place_of(hash_of(&flow)))
			fail("none of the frames is of this flow: %s", line);
	}
	fclose(flows);
}
