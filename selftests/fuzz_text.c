// SPDX-License-Identifier: GPL-2.0-only
/* What is the same for all kinds of cases: chance, and texts that are written. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

unsigned long long seed, number;
char text[TEXT_MAX];
size_t len;
char answer[TEXT_MAX];

/* ---- chance ---- */

static unsigned long long state;

/* splitmix64, by Sebastiano Vigna (public domain). */
unsigned long long random64(void)
{
	unsigned long long z = state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

unsigned int below(unsigned int n)
{
	return (random64() >> 32) * n >> 32;
}

bool one_in(unsigned int n)
{
	return !below(n);
}

/* Small more often than large. */
unsigned int size_up_to(unsigned int max)
{
	return below(below(max) + 1);
}

const unsigned int edges[NR_EDGES] = {
	0, 1, 2, 3, 127, 128, 255, 256, 257, 4095, 4096, 4097, 32767, 32768, 65535,
	65536, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffff00, 0xfffffffe, 0xffffffff,
};

unsigned int number_at_edge(void)
{
	return one_in(2) ? edges[below(NR_EDGES)] : random64();
}

void begin_case(void)
{
	state = seed ^ number * 0xd1342543de82ef95;
	random64();
}

/* With what was written last. */
void show_case(void)
{
	size_t i;

	printf("seed %llu, number %llu; after \"", seed, number);
	for (i = 0; i < len && i < 2000; i++)
		printf(isprint(text[i]) ? "%c" : "\\x%02x", (unsigned char)text[i]);
	printf("\"%s:\n", i < len ? "..." : "");
}

/* ---- text ---- */

void add(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	len += vsnprintf(text + len, TEXT_MAX - len, format, args);
	va_end(args);
	if (len >= TEXT_MAX)
		len = TEXT_MAX - 1;
}

void add_bytes(unsigned int n, const char *alphabet)
{
	while (n-- && len < TEXT_MAX - 1)
		text[len++] = alphabet ? alphabet[below(strlen(alphabet))] : (char)random64();
}

/* Changes some bytes; not the same as leaving out what should be there. */
void damage(const char *alphabet)
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
size_t read_all(int fd)
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

int write_text(int fd)
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
