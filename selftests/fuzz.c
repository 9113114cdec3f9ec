// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: fuzz param FILE SEED FIRST COUNT INODE...
 *        fuzz gate FILE SEED FIRST COUNT
 *        fuzz files FILE SEED FIRST COUNT FILE...
 *        fuzz frames DEVICE SEED FIRST COUNT [FLOWS] <FRAMES
 *
 * Writes COUNT texts to nsgate's parameter or to a gate, does COUNT things to
 * files, or sends COUNT frames. What they are depends on SEED and on their
 * number only, beginning with FIRST, so that each can be had again.
 *
 * It knows what must come of each text, by its own reading of the rules: of those
 * for the parameter (INODE... are all that may be bound, and none is), and of those
 * for the gate (which is as after a bind), with the kernel's socket filters for its
 * programs. It ends with 1, and says at which number, when something else comes of
 * it. A "-" before FILE: others write, too, so that only errors are looked at.
 *
 * Frames are lines of hexadecimal digits, "#" begins a comment. In FLOWS there
 * must be no other flows than theirs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT_MAX (200 * 1024)

static unsigned long long seed, number;
static bool alone = true;
static char text[TEXT_MAX];
static size_t len;
static char answer[TEXT_MAX];

/* ---- chance ---- */

static unsigned long long state;

/* splitmix64, by Sebastiano Vigna (public domain). */
static unsigned long long random64(void)
{
	unsigned long long z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static unsigned int below(unsigned int n)
{
	return (random64() >> 32) * n >> 32;
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

/* Small more often than large. */
static unsigned int size_up_to(unsigned int max)
{
	return below(below(max) + 1);
}

static const unsigned int edges[] = {
	0, 1, 2, 3, 127, 128, 255, 256, 257, 4095, 4096, 4097, 32767, 32768, 65535,
	65536, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffff00, 0xfffffffe, 0xffffffff,
};

static unsigned int number_at_edge(void)
{
	return one_in(2) ? edges[below(ARRAY_SIZE(edges))] : random64();
}

static void begin_case(void)
{
	state = seed ^ number * 0xd1342543de82ef95;
	random64();
}

/* With what was written last. */
static void show_case(void)
{
	size_t i;

	printf("seed %llu, number %llu; after \"", seed, number);
	for (i = 0; i < len && i < 2000; i++)
		printf(isprint(text[i]) ? "%c" : "\\x%02x", (unsigned char)text[i]);
	printf("\"%s:\n", i < len ? "..." : "");
}

#define fail(...) do {			\
	show_case();			\
	printf(__VA_ARGS__);		\
	printf("\n");			\
	exit(1);			\
} while (0)

/* ---- text ---- */

static void add(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	len += vsnprintf(text + len, TEXT_MAX - len, format, args);
	va_end(args);
	if (len >= TEXT_MAX)
		len = TEXT_MAX - 1;
}

static void add_bytes(unsigned int n, const char *alphabet)
{
	while (n-- && len < TEXT_MAX - 1)
		text[len++] = alphabet ? alphabet[below(strlen(alphabet))] : (char)random64();
}

/* Changes some bytes; not the same as leaving out what should be there. */
static void damage(const char *alphabet)
{
	unsigned int changes = 1 + below(3);

	while (changes-- && len) {
		unsigned int at = below(len), n = 1 + size_up_to(len - at);
		char byte = one_in(4) ? (char)random64() : alphabet[below(strlen(alphabet))];

		switch (below(4)) {
		case 0:
			text[at] = byte;
			break;
		case 1: /* leave some out */
			memmove(text + at, text + at + n, len - at - n);
			len -= n;
			break;
		case 2: /* some twice */
			if (len + n >= TEXT_MAX)
				break;
			memmove(text + at + n, text + at, len - at);
			len += n;
			break;
		default: /* one more */
			if (len + 1 >= TEXT_MAX)
				break;
			memmove(text + at + 1, text + at, len - at);
			text[at] = byte;
			len++;
		}
	}
}

/* All there is to read; the length, with a NUL behind. */
static size_t read_all(int fd)
{
	size_t n = 0;
	ssize_t got;

	do {
		got = pread(fd, answer + n, sizeof(answer) - 1 - n, n);
		if (got < 0)
			fail("reading: %s", strerror(errno));
		n += got;
	} while (got);
	answer[n] = '\0';
	return n;
}

static int write_text(int fd)
{
	ssize_t n;

	/* Where it is written must not matter. */
	lseek(fd, one_in(16) ? number_at_edge() : 0, SEEK_SET);
	n = write(fd, text, len);
	/* A file of sysfs takes a page at most. */
	if (n >= 0 && (size_t)n != len && n != 4096)
		fail("wrote %zd of %zu bytes", n, len);
	return n < 0 ? errno : 0;
}

/* ---- the parameter ---- */

#define TARGETS_MAX 256
#define PAGE 4096

static unsigned int known[1024], targets[TARGETS_MAX];
static unsigned int nr_known, nr_targets;

static bool find(const unsigned int *list, unsigned int n, unsigned int inode)
{
	while (n--) {
		if (list[n] == inode)
			return true;
	}
	return false;
}

static void add_inode(void)
{
	unsigned int inode = known[below(nr_known)];

	switch (below(40)) {
	case 0:
		add("%u", number_at_edge());
		break;
	case 1:
		add("%s%u", one_in(2) ? "0000" : "+", inode);
		break;
	case 2:
		add("%u%s", inode, one_in(2) ? " " : "\n");
		break;
	case 3:
		add("%u%010u", inode, number_at_edge());
		break;
	default:
		add("%u", inode);
	}
}

static void make_list(unsigned int n)
{
	while (n-- && len < TEXT_MAX - 16) {
		add_inode();
		if (n)
			add(",");
	}
}

/* What changes something waits for a grace period: most shall not. */
static void make_param(void)
{
	unsigned int n;

	len = 0;
	switch (below(256)) {
	case 0 ... 2:
		make_list(1 + below(4));
		break;
	case 3 ... 9:
		add("%c", one_in(2) ? '+' : '-');
		add_inode();
		break;
	case 10 ... 14:
		make_list(1 + size_up_to(372));
		break;
	case 15 ... 19: /* about as many as there may be */
		for (n = 0; n < TARGETS_MAX + below(3); n++)
			add("%s%u", n ? "," : "", n + 1);
		break;
	case 20 ... 120:
		make_list(2 + below(8));
		damage("0123456789,,++--\n\n \t");
		break;
	case 121 ... 200:
		add_bytes(2 + size_up_to(64), "0123456789,+-\n x");
		break;
	case 201 ... 204: /* about a page */
		make_list(one_in(2) ? 372 : 1);
		while (len < PAGE - 4 + below(8))
			add_bytes(1, "0123456789,");
		break;
	default:
		add_bytes(2 + size_up_to(one_in(8) ? 3 * PAGE : 32), NULL);
	}
	if (one_in(2))
		add("\n");
}

/* The rules of the design once more, without a look at how nsgate does it. */
struct verdict {
	bool malformed, too_many, unknown;
	char verb; /* '=', '+' or '-' */
	unsigned int count;
	unsigned int inode[TARGETS_MAX];
};

static void judge_inode(struct verdict *v, const char *s, size_t n)
{
	unsigned long long inode = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!isdigit(s[i]) || inode > UINT32_MAX)
			break;
		inode = inode * 10 + s[i] - '0';
	}
	if (!n || i < n || !inode || inode > UINT32_MAX) {
		v->malformed = true;
		return;
	}
	if (v->verb == '-' ? !find(targets, nr_targets, inode) : !find(known, nr_known, inode))
		v->unknown = true;
	if (find(v->inode, v->count, inode))
		return;
	if (v->count == TARGETS_MAX)
		v->too_many = true;
	else
		v->inode[v->count++] = inode;
}

static void judge_param(struct verdict *v)
{
	size_t n = strnlen(text, len < PAGE ? len : PAGE);
	bool cut = n == PAGE;
	const char *s = text, *comma;

	memset(v, 0, sizeof(*v));
	v->verb = '=';
	if (n && s[n - 1] == '\n')
		n--;
	if (!n)
		return;
	if (*s == '+' || *s == '-') {
		v->verb = *s;
		judge_inode(v, s + 1, n - 1);
		return;
	}
	while ((comma = memchr(s, ',', n))) {
		judge_inode(v, s, comma - s);
		n -= comma + 1 - s;
		s = comma + 1;
	}
	judge_inode(v, s, n);
	v->malformed |= cut;
}

static bool may_be(const struct verdict *v, int error)
{
	switch (error) {
	case 0:
		return !v->malformed && !v->too_many && !v->unknown;
	case EINVAL:
		return v->malformed;
	case E2BIG:
		return v->too_many;
	case ENXIO:
		return v->unknown;
	default:
		return false;
	}
}

static void drop_targets(const struct verdict *v, bool listed)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr_targets; i++) {
		if (find(v->inode, v->count, targets[i]) != listed)
			targets[n++] = targets[i];
	}
	nr_targets = n;
}

static void apply_param(const struct verdict *v)
{
	unsigned int i;

	if (v->verb == '-') {
		drop_targets(v, true);
		return;
	}
	if (v->verb == '=')
		drop_targets(v, false);
	for (i = 0; i < v->count; i++) {
		if (!find(targets, nr_targets, v->inode[i]))
			targets[nr_targets++] = v->inode[i];
	}
}

static void check_param(int fd)
{
	char expected[TARGETS_MAX * 11 + 2], *end = expected;
	unsigned int i;

	for (i = 0; i < nr_targets; i++)
		end += sprintf(end, "%s%u", i ? "," : "", targets[i]);
	strcpy(end, "\n");
	read_all(fd);
	if (strcmp(answer, expected))
		fail("the parameter is %sand not %s", answer, expected);
}

static void fuzz_param(int fd)
{
	struct verdict verdict;
	int error;

	make_param();
	judge_param(&verdict);
	error = write_text(fd);
	if (!alone) {
		if (error && error != EINVAL && error != E2BIG && error != ENXIO)
			fail("%s", strerror(error));
		return;
	}
	if (!len) /* is no write */
		return;
	if (!may_be(&verdict, error))
		fail("%s; malformed: %d, too many: %d, unknown: %d", strerror(error),
		     verdict.malformed, verdict.too_many, verdict.unknown);
	if (!error)
		apply_param(&verdict);
	check_param(fd);
}

/* ---- the gate ---- */

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

/* What the kernel makes of the program elsewhere. */
static bool is_program(void)
{
	static int fd = -1;
	struct sock_fprog fprog = { .len = nr_insns, .filter = insns };

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
		  one_in(2) ? NULL : "0123456789,, #\nadrypcxept");
}

/* The rules once more, without a look at how nsgate does it. */
static struct {
	bool malformed, too_long, dry, drop;
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
static char stands[TEXT_MAX] = "policy accept\nexcept none\n";

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
	to += sprintf(to, "\n");
	if (*gate.label)
		sprintf(to, "label %s\n", gate.label);
}

static void fuzz_gate(int fd)
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

/* ---- all files ---- */

#define FILES_MAX 64

static char **files;
static int nr_files;
static int fds[FILES_MAX];

static void reopen(int i)
{
	static const int modes[] = { O_RDONLY, O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY };
	int mode = modes[below(ARRAY_SIZE(modes))] | O_CLOEXEC;

	if (fds[i] >= 0)
		close(fds[i]);
	fds[i] = open(files[i], mode | (one_in(4) ? O_NONBLOCK : 0) | (one_in(4) ? O_APPEND : 0));
	/* It may be a target's, which others release. */
	if (fds[i] < 0 && errno != ENOENT && errno != EACCES && errno != ENOMEM)
		fail("open %s: %s", files[i], strerror(errno));
}

static void use(int i)
{
	static char buffer[65536];
	struct iovec vec[4];
	struct pollfd poller = { .fd = fds[i], .events = POLLIN | POLLOUT };
	unsigned int n = size_up_to(sizeof(buffer)), j;
	off_t at = one_in(2) ? below(5000) : (off_t)number_at_edge();
	void *map;

	switch (below(10)) {
	case 0:
	case 1:
	case 2:
		n = read(fds[i], buffer, n);
		break;
	case 3:
		n = pread(fds[i], buffer, n, one_in(8) ? (off_t)random64() : at);
		break;
	case 4:
		for (j = 0; j < ARRAY_SIZE(vec); j++)
			vec[j] = (struct iovec){ buffer, size_up_to(300) };
		n = readv(fds[i], vec, ARRAY_SIZE(vec));
		break;
	case 5:
		lseek(fds[i], one_in(8) ? (off_t)random64() : at, below(4));
		break;
	case 6: /* memory that isn't there */
		n = read(fds[i], (void *)(uintptr_t)(one_in(2) ? 8 : random64()), n);
		break;
	case 7:
		poll(&poller, 1, 0);
		break;
	case 8:
		map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[i], 0);
		if (map != MAP_FAILED)
			fail("%s can be mapped", files[i]);
		break;
	default:
		ioctl(fds[i], number_at_edge(), buffer);
	}
	(void)n;
}

static void fuzz_files(int fd)
{
	int i = below(nr_files);

	(void)fd;
	if (fds[i] < 0 || one_in(8))
		reopen(i);
	if (fds[i] >= 0)
		use(i);
}

/* ---- frames ---- */

#define FRAMES_MAX 512
#define FRAME_MAX 9000

static struct frame {
	unsigned int len;
	unsigned char data[2048];
} frames[FRAMES_MAX];
static unsigned int nr_frames, mtu;
static unsigned long long refused;

static int digit(char c)
{
	return isdigit(c) ? c - '0' : tolower(c) - 'a' + 10;
}

static void read_frames(void)
{
	char line[8192], *c;
	struct frame *frame;

	while (fgets(line, sizeof(line), stdin)) {
		if (!isxdigit(*line))
			continue;
		if (nr_frames == FRAMES_MAX)
			errx(2, "more than %d frames", FRAMES_MAX);
		frame = &frames[nr_frames++];
		for (c = line; isxdigit(c[0]) && isxdigit(c[1]); c += 2) {
			if (frame->len == sizeof(frame->data))
				errx(2, "a frame is longer than %u bytes", frame->len);
			frame->data[frame->len++] = digit(c[0]) << 4 | digit(c[1]);
		}
	}
	if (!nr_frames)
		errx(2, "no frames");
}

/* Places where a field of a header is likely to be. */
static unsigned int likely_offset(void)
{
	static const unsigned char offsets[] = {
		12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 34, 35, 36, 37, 38,
		46, 47, 54, 55, 56, 57, 62, 63,
	};

	return one_in(2) ? offsets[below(ARRAY_SIZE(offsets))] : below(len);
}

static void mutate_frame(void)
{
	static const unsigned short types[] = {
		0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x9100, 0x8847, 0x8863, 0x8864,
		0x88cc, 0x0004, 0x6558, 0x8906,
	};
	unsigned int at = likely_offset(), n;
	unsigned short type;

	if (at >= len)
		return;
	switch (below(8)) {
	case 0:
		text[at] ^= 1 << below(8);
		break;
	case 1:
		text[at] = one_in(2) ? edges[below(ARRAY_SIZE(edges))] : random64();
		break;
	case 2: /* shorter */
		len = below(len) + 1;
		break;
	case 3: /* longer */
		n = below(mtu);
		while (len < n)
			text[len++] = random64();
		break;
	case 4: /* another type, or a tag */
		type = types[below(ARRAY_SIZE(types))];
		if (len < 14)
			break;
		if (one_in(2) && len + 4 < FRAME_MAX) {
			memmove(text + 16, text + 12, len - 12);
			len += 4;
		}
		text[12] = type >> 8;
		text[13] = type;
		break;
	case 5: /* a piece of another one */
		n = below(frames[0].len + 1);
		memcpy(text + at, frames[below(nr_frames)].data, n < len - at ? n : len - at);
		break;
	case 6: /* another flow */
		if (len > 38)
			text[26 + below(12)] = random64();
		break;
	default: /* the header of IPv4 is that long */
		if (len > 14)
			text[14] = (text[14] & 0xf0) | below(16);
	}
}

static unsigned int word_at(const unsigned char *p)
{
	return p[0] << 8 | p[1];
}

static void put_word(unsigned char *p, unsigned int word)
{
	p[0] = word >> 8;
	p[1] = word;
}

/*
 * A length or a checksum that is wrong has IP drop a packet before anybody else
 * sees what is wrong behind its header.
 */
static void repair_frame(void)
{
	unsigned char *p = (unsigned char *)text + 14;
	unsigned int n = len - 14, header = (*p & 15) * 4, sum = 0, i;

	if (len < 34)
		return;
	if (word_at(p - 2) == 0x86dd && n >= 40)
		put_word(p + 4, n - 40);
	if (word_at(p - 2) != 0x0800 || header < 20 || header > n)
		return;
	put_word(p + 2, n);
	put_word(p + 10, 0);
	for (i = 0; i < header; i += 2)
		sum += word_at(p + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put_word(p + 10, ~(sum + (sum >> 16)));
}

static void make_frame(void)
{
	const struct frame *frame = &frames[below(nr_frames)];
	unsigned int n;

	if (one_in(20)) {
		len = 0;
		add_bytes(14 + below(mtu), NULL);
		return;
	}
	len = frame->len;
	memcpy(text, frame->data, len);
	if (one_in(8))
		return;
	for (n = 1 + below(6); n; n--)
		mutate_frame();
	/* To the device, or it is dropped before anybody has looked at it. */
	if (len >= 6 && !one_in(16))
		memcpy(text, frame->data, 6);
	if (!one_in(3))
		repair_frame();
}

/* ---- their flows ---- */

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

/* Of what the kernel takes for a packet; it may refuse more than these do. */
static bool dissect_ipv4(struct flow *flow, const unsigned char *p, size_t n)
{
	size_t header = (*p & 15) * 4;

	if (n < 20 || *p >> 4 != 4 || header < 20 || word_at(p + 2) < header || word_at(p + 2) > n)
		return false;
	memcpy(flow->source, p + 12, 4);
	memcpy(flow->destination, p + 16, 4);
	flow->family = 4;
	flow->protocol = p[9];
	if (!(word_at(p + 6) & 0x1fff))
		read_ports(flow, p, word_at(p + 2), header);
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

	if (n < 40 || *p >> 4 != 6 || word_at(p + 4) + 40u > n)
		return false;
	if (word_at(p + 4) || p[6])
		n = word_at(p + 4) + 40;
	memcpy(flow->source, p + 8, 16);
	memcpy(flow->destination, p + 24, 16);
	flow->family = 6;
	flow->protocol = skip_extensions(p, n, &at);
	if (at)
		read_ports(flow, p, n, at);
	return true;
}

static void note_flow(void)
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

static void check_flows(const char *file)
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

/* Devices want a whole header, and have no room for more than their MTU. */
static void fuzz_frames(int fd)
{
	make_frame();
	if (len < 14)
		len = 14;
	if (len > mtu + 14)
		len = mtu + 14;
	if (nr_files)
		note_flow();
	while (send(fd, text, len, 0) < 0) {
		if (errno == EMSGSIZE) {
			refused++;
			return;
		}
		if (errno != ENOBUFS && errno != EAGAIN)
			fail("send: %s", strerror(errno));
		usleep(1000);
	}
	if (nr_files && number % 1000 == 999)
		check_flows(*files);
}

static int open_device(const char *name)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex(name),
	};
	struct ifreq request = { 0 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (void *)&address, sizeof(address)))
		err(2, "%s", name);
	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	if (ioctl(fd, SIOCGIFMTU, &request))
		err(2, "%s", name);
	mtu = request.ifr_mtu < FRAME_MAX - 14 ? request.ifr_mtu : FRAME_MAX - 14;
	read_frames();
	return fd;
}

/* ---- what to do ---- */

static int open_text(const char *file)
{
	int fd = open(file, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(2, "%s", file);
	return fd;
}

static int no_file(const char *file)
{
	(void)file;
	memset(fds, -1, sizeof(fds));
	return -1;
}

static const struct {
	const char *name;
	int (*open)(const char *file);
	void (*fuzz)(int fd);
} kinds[] = {
	{ "param", open_text, fuzz_param },
	{ "gate", open_text, fuzz_gate },
	{ "files", no_file, fuzz_files },
	{ "frames", open_device, fuzz_frames },
};

int main(int argc, char **argv)
{
	const char *file = argc > 2 ? argv[2] : "";
	unsigned long long end;
	size_t kind;
	int i, fd;

	for (kind = 0; argc >= 6 && kind < ARRAY_SIZE(kinds); kind++) {
		if (!strcmp(argv[1], kinds[kind].name))
			break;
	}
	if (argc < 6 || kind == ARRAY_SIZE(kinds))
		errx(2, "usage: fuzz param|gate|files|frames FILE SEED FIRST COUNT ...");
	if (*file == '-') {
		alone = false;
		file++;
	}
	seed = strtoull(argv[3], NULL, 10);
	number = strtoull(argv[4], NULL, 10);
	end = number + strtoull(argv[5], NULL, 10);
	files = argv + 6;
	nr_files = argc - 6;
	if (nr_files > FILES_MAX)
		errx(2, "more than %d files", FILES_MAX);
	for (i = 6; i < argc; i++)
		known[nr_known++] = strtoul(argv[i], NULL, 10);

	fd = kinds[kind].open(file);
	for (; number < end; number++) {
		begin_case();
		kinds[kind].fuzz(fd);
	}
	printf("%s %s: %s, %llu refused\n", argv[1], argv[5], argv[2], refused);
	return 0;
}
