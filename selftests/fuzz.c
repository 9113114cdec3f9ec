// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: fuzz param FILE SEED FIRST COUNT INODE...
 *        fuzz gate|limit FILE SEED FIRST COUNT
 *        fuzz files FILE SEED FIRST COUNT FILE...
 *        fuzz frames DEVICE SEED FIRST COUNT [FLOWS] <FRAMES
 *
 * Writes COUNT texts to nsgate's parameter, a gate or a limit, does COUNT things to
 * files, or sends COUNT frames. What they are depends on SEED and on their
 * number only, beginning with FIRST, so that each can be had again.
 *
 * It knows what must come of each text, by its own reading of the rules: of those
 * for the parameter (INODE... are all that may be bound, and none is), and of those
 * for the gate and the limit (which are as after a bind), with the kernel's socket
 * filters for programs of a gate. It ends with 1, and says at which number, when
 * something else comes of it. A "-" before FILE: others write, too, so that only
 * errors are looked at.
 *
 * Frames are lines of hexadecimal digits, "#" begins a comment. In FLOWS there
 * must be no other flows than theirs.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fuzz.h"

bool alone = true;

/* ---- all files ---- */

char **files;
int nr_files;

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
	off_t at = one_in(2) ? (off_t)below(5000) : (off_t)number_at_edge();
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
	{ "limit", open_text, fuzz_limit },
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
		errx(2, "usage: fuzz param|gate|limit|files|frames FILE SEED FIRST COUNT ...");
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
