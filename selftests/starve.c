// SPDX-License-Identifier: GPL-2.0-only
/*
 * starve open|seek|read FILE NETNS CGROUP
 *
 * Opens FILE, by O_PATH to open it again later, or to seek or read in it; goes to the
 * network namespace NETNS and to the cgroup CGROUP, and does that again and
 * again with the CPU time that it has there, until it fails.
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

static void enter_cgroup(const char *path)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s/cgroup.procs", path);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		err(1, "%s", name);
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

	if (!strcmp(what, "open"))
		return open_again(file) >= 0;
	if (!strcmp(what, "seek"))
		return lseek(file, 1 << 30, SEEK_SET) >= 0;
	return pread(file, &byte, 1, 0) >= 0;
}

int main(int argc, char **argv)
{
	int file;

	if (argc != 5)
		errx(2, "usage: starve open|seek|read FILE NETNS CGROUP");
	file = open(argv[2], strcmp(argv[1], "open") ? O_RDONLY : O_PATH);
	if (file < 0)
		err(1, "%s", argv[2]);
	enter_netns(argv[3]);
	enter_cgroup(argv[4]);
	while (do_it(argv[1], file))
		;
	return 0;
}
