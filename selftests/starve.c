// SPDX-License-Identifier: GPL-2.0-only
/*
 * starve open|seek|read FILE NETNS
 *
 * Opens FILE, by O_PATH to open it again later, or to seek or read in it; goes to the
 * network namespace NETNS, and does that again and again, with the CPU time that it is
 * left, until it fails.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void enter_netns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		err(1, "%s", path);
	close(fd);
}

static int open_again(int file)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", file);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd;
}

static bool do_it(const char *what, int file)
{
	static char byte;
	static off_t somewhere = 1 << 30;

	if (!strcmp(what, "open"))
		return open_again(file) >= 0;
	if (!strcmp(what, "seek"))
		/* Not where it is already. */
		return lseek(file, somewhere++, SEEK_SET) >= 0;
	return pread(file, &byte, 1, 0) >= 0;
}

int main(int argc, char **argv)
{
	int file;

	if (argc != 4)
		errx(2, "usage: starve open|seek|read FILE NETNS");
	file = open(argv[2], strcmp(argv[1], "open") ? O_RDONLY : O_PATH);
	if (file < 0)
		err(1, "%s", argv[2]);
	enter_netns(argv[3]);
	while (do_it(argv[1], file))
		;
	return 0;
}
