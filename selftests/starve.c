// SPDX-License-Identifier: GPL-2.0-only
/*
 * starve open|seek FILE NETNS CGROUP
 *
 * Opens FILE, by O_PATH to open it again later, or to seek in it; goes to the
 * network namespace NETNS and to the cgroup CGROUP, and does that again and
 * again with the CPU time that it has there, until it fails.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
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

int main(int argc, char **argv)
{
	int file, opens;

	if (argc != 5)
		errx(2, "usage: starve open|seek FILE NETNS CGROUP");
	opens = !strcmp(argv[1], "open");
	file = open(argv[2], opens ? O_PATH : O_RDONLY);
	if (file < 0)
		err(1, "%s", argv[2]);
	enter_netns(argv[3]);
	enter_cgroup(argv[4]);
	while (opens ? open_again(file) >= 0 :
		       lseek(file, 1 << 30, SEEK_SET) >= 0)
		;
	return 0;
}
