// SPDX-License-Identifier: GPL-2.0-only
/* Commands for a gate, and the rules of what must come of them. */
#include <ctype.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz.h"

static struct sock_filter insns[BPF_MAXINSNS + 1];
static unsigned int nr_insns;

static const unsigned short codes[] = {
	0x00, 0x01, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x14, 0x15, 0x16, 0x1c, 0x1d,
	0x20, 0x24, 0x25, 0x28, 0x2c, 0x2d, 0x30, 0x34, 0x35, 0x3c, 0x3d, 0x40,
	0x44, 0x45, 0x48, 0x4c, 0x4d, 0x50, 0x54, 0x5c, 0x60, 0x61, 0x64, 0x6c,
	0x74, 0x7c, 0x80, 0x81, 0x84, 0x87, 0x94, 0x9c, 0xa4, 0xac, 0xb1, 0x02, 0x03,
};

static const unsigned int ancillary[] = {
	0xfffff000, 0xfffff004, 0xfffff008, 0xfffff00c, 0xfffff010, 0xfffff014,
	0xfffff018, 0xfffff01c, 0xfffff020, 0xfffff024, 0xfffff028, 0xfffff02c,
	0xfffff030, 0xfffff034, 0xfffff038, 0xfffff03c, 0xfffff040, 0xfff00000,
	0xfff00010, 0xffe00000, 0xffe0000e,
};

static unsigned int random_k(unsigned short code)
{
	switch (code & 0x07) {
	case 0x00: /* load */
	case 0x01:
		if (one_in(6))
			return ancillary[below(ARRAY_SIZE(ancillary))];
		return one_in(8) ? number_at_edge() : below(64);
	case 0x02: /* store */
	case 0x03:
		return below(one_in(32) ? 20 : 16);
	case 0x04: /* calculate; a shift of too much and a division by 0 are errors */
		return one_in(32) ? number_at_edge() : 1 + below(31);
	default:
		return number_at_edge();
	}
}

static void make_insn(unsigned int i)
{
	struct sock_filter *insn = insns + i;
	unsigned int room = nr_insns - i - 1;

	insn->code = one_in(200) ? random64() : codes[below(ARRAY_SIZE(codes))];
	insn->k = random_k(insn->code);
	insn->jt = 0;
	insn->jf = 0;
	if ((insn->code & 0x07) != 0x05)
		return;
	insn->jt = room && !one_in(100) ? below(room > 255 ? 255 : room) : random64();
	insn->jf = room && !one_in(100) ? below(room > 255 ? 255 : room) : random64();
	if (insn->code == 0x05)
		insn->k = room && !one_in(100) ? below(room) : number_at_edge();
}

static void make_program(void)
{
	unsigned int i;

	nr_insns = 1 + below(16);
	if (one_in(64))
		nr_insns = one_in(4) ? BPF_MAXINSNS + below(2) : 1 + size_up_to(BPF_MAXINSNS);
	for (i = 0; i < nr_insns; i++)
		make_insn(i);
	if (!one_in(100))
		insns[nr_insns - 1] = (struct sock_filter){ 0x06, 0, 0, one_in(2) };
}

/* Loads of ancillary data, and of other headers, are none for a gate. */
static bool leaves_packet(const struct sock_filter *insn)
{
	unsigned int kind = BPF_CLASS(insn->code) | BPF_MODE(insn->code);

	return (kind == (BPF_LD | BPF_ABS) || kind == (BPF_LDX | BPF_MSH)) &&
	       insn->k > 0x7fffffff;
}

/* What the kernel makes of the program elsewhere. */
static bool is_program(void)
{
	static int fd = -1;
	struct sock_fprog fprog = { .len = nr_insns, .filter = insns };
	unsigned int i;

	for (i = 0; i < nr_insns; i++) {
		if (leaves_packet(insns + i))
			return false;
	}
	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof(fprog)))
		return true;
	if (errno != EINVAL)
		fail("SO_ATTACH_FILTER: %s", strerror(errno));
	return false;
}

/* Now and then more than there is room for. */
static void add_number(char before, unsigned int n, unsigned int bits)
{
	add("%c%llu", before, n + (one_in(1000) ? 1ULL << bits : 0));
}

static void add_program(void)
{
	unsigned int i;

	make_program();
	add("%u", nr_insns);
	for (i = 0; i < nr_insns; i++) {
		add_number(',', insns[i].code, 16);
		add_number(' ', insns[i].jt, 8);
		add_number(' ', insns[i].jf, 8);
		add_number(' ', insns[i].k, 32);
	}
	if (one_in(2))
		add(",");
}

#define LABEL_MAX 255
#define GATE_TEXT_MAX (128 * 1024)

/* Now and then too long. */
static void add_label(void)
{
	unsigned int n = 1 + below(LABEL_MAX + 2);

	add(" # L");
	while (--n)
		add("%c", 0x20 + below(0x5f));
}

static void make_command(void)
{
	len = 0;
	if (one_in(3))
		add("dry ");
	add(one_in(2) ? "drop" : "accept");
	if (one_in(4))
		add(" log %u", one_in(4) ? number_at_edge() : below(65536));
	if (!one_in(8)) {
		add(" except ");
		add_program();
		if (one_in(2))
			add_label();
	}
	if (one_in(2))
		add("\n");
}

static void make_gate(void)
{
	if (!one_in(3)) {
		make_command();
		if (one_in(2))
			damage("0123456789,,  ##\n\nx-+");
		return;
	}
	len = 0;
	if (one_in(4))
		add("drop except ");
	add_bytes(size_up_to(one_in(64) ? TEXT_MAX - 64 : 256),
		  one_in(2) ? NULL : "0123456789,, #\nadrypcxeptlog");
}

/* The rules once more, without a look at how nsgate does it. */
static struct {
	bool malformed, too_long, dry, drop, log;
	unsigned int group;
	char label[LABEL_MAX + 1];
} gate;

static const char *at, *end; /* what is left of the text */

static bool skip(const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(end - at) < n || memcmp(at, word, n))
		return false;
	at += n;
	return true;
}

/* 0xa0 is a blank to the kernel. */
static bool is_blank(char c)
{
	return c && strchr(" \t\v\f\r\xa0", c);
}

static bool read_number(unsigned int max, unsigned int *number)
{
	unsigned long long n = 0;
	const char *first = at;

	for (; at < end && isdigit((unsigned char)*at); at++) {
		if (n <= max)
			n = n * 10 + *at - '0';
	}
	*number = n;
	return at > first && n <= max;
}

static bool read_insn(struct sock_filter *insn)
{
	unsigned int code, jt, jf;

	if (!read_number(UINT16_MAX, &code) || !skip(" ") ||
	    !read_number(UINT8_MAX, &jt) || !skip(" ") ||
	    !read_number(UINT8_MAX, &jf) || !skip(" ") ||
	    !read_number(UINT32_MAX, &insn->k))
		return false;
	insn->code = code;
	insn->jt = jt;
	insn->jf = jf;
	return true;
}

static bool read_program(void)
{
	unsigned int i, count;

	if (!read_number(UINT32_MAX, &count) || !count)
		return false;
	if (count > BPF_MAXINSNS && (at == end || *at == ',')) {
		gate.too_long = true;
		return true;
	}
	if (count > BPF_MAXINSNS)
		return false;
	for (i = 0; i < count; i++) {
		if (!skip(",") || !read_insn(insns + i))
			return false;
	}
	skip(",");
	nr_insns = count;
	return at == end && is_program();
}

static void read_label(const char *label)
{
	size_t n;

	while (label < end && is_blank(*label))
		label++;
	n = end - label;
	if (n > LABEL_MAX)
		gate.too_long = true;
	else
		memcpy(gate.label, label, n);
	for (; label < end; label++)
		gate.malformed |= (unsigned char)*label < ' ' || *label == 0x7f;
}

static void judge_gate(void)
{
	const char *label;

	memset(&gate, 0, sizeof(gate));
	nr_insns = 0;
	at = text;
	end = text + len;
	if (len > GATE_TEXT_MAX) {
		gate.too_long = true;
		return;
	}
	if (len && end[-1] == '\n')
		end--;
	gate.malformed = memchr(at, '\n', end - at) || memchr(at, '\0', end - at);
	gate.dry = skip("dry ");
	gate.drop = skip("drop");
	if (!gate.drop && !skip("accept"))
		gate.malformed = true;
	if (gate.malformed || at == end)
		return;
	gate.log = skip(" log ");
	if (gate.log) {
		gate.malformed = !read_number(UINT16_MAX, &gate.group);
		if (gate.malformed || at == end)
			return;
	}
	if (!skip(" except ")) {
		gate.malformed = true;
		return;
	}
	label = memchr(at, '#', end - at);
	if (label) {
		read_label(label + 1);
		end = label;
	}
	while (at < end && is_blank(*at))
		at++;
	while (at < end && is_blank(end[-1]))
		end--;
	gate.malformed |= !read_program();
}

/* What the gate says of itself, up to its figures: what was taken as it stands. */
static char stands[TEXT_MAX] = "policy accept\nexcept none\nlog none\n";

static void apply_gate(void)
{
	char *to = stands;
	unsigned int i;

	to += sprintf(to, "policy %s%s\nexcept ", gate.dry ? "dry " : "",
		      gate.drop ? "drop" : "accept");
	if (nr_insns)
		to += sprintf(to, "%u", nr_insns);
	else
		to += sprintf(to, "none");
	for (i = 0; i < nr_insns; i++)
		to += sprintf(to, ",%u %u %u %u", insns[i].code, insns[i].jt, insns[i].jf,
			      insns[i].k);
	if (gate.log)
		to += sprintf(to, "\nlog %u\n", gate.group);
	else
		to += sprintf(to, "\nlog none\n");
	if (*gate.label)
		sprintf(to, "label %s\n", gate.label);
}

void fuzz_gate(int fd)
{
	int error;

	make_gate();
	judge_gate();
	error = write_text(fd);
	if (error ? !(error == EINVAL && gate.malformed) && !(error == E2BIG && gate.too_long) :
		    gate.malformed || gate.too_long)
		fail("%s; malformed, or no program: %d, too long: %d", strerror(error),
		     gate.malformed, gate.too_long);
	if (!alone)
		return;
	if (!error)
		apply_gate();
	read_all(fd);
	if (strncmp(answer, stands, strlen(stands)) ||
	    strncmp(answer + strlen(stands), "excepted ", strlen("excepted ")))
		fail("the gate is:\n%sand not:\n%s", answer, stands);
}
