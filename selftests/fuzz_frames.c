// SPDX-License-Identifier: GPL-2.0-only
/* Frames that are damaged on their way to a device. */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

#define FRAMES_MAX 512
#define FRAME_MAX 9000

static struct frame {
	unsigned int len;
	unsigned char data[2048];
} frames[FRAMES_MAX];
static unsigned int nr_frames, mtu;

unsigned long long refused;

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

unsigned int word_at(const unsigned char *p)
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

/* Devices want a whole header, and have no room for more than their MTU. */
void fuzz_frames(int fd)
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

int open_device(const char *name)
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
