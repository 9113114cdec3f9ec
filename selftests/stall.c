// SPDX-License-Identifier: GPL-2.0-only
/*
 * stall FILE NETNS
 *
 * Opens FILE, goes to the network namespace NETNS, and reads what it has opened
 * into memory that is never there: it waits until it is killed, as who has a file
 * system of his own could have it wait.  Exits with 4 if the kernel can't do
 * that, also without arguments, or else with 2.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A page that is missing for good. */
static void *make_memory(size_t size)
{
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	void *memory;
	int fd;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0)
		err(4, "userfaultfd");
	if (ioctl(fd, UFFDIO_API, &api))
		err(1, "UFFDIO_API");
	area.range.start = (unsigned long)memory;
	area.range.len = size;
	if (ioctl(fd, UFFDIO_REGISTER, &area))
		err(1, "UFFDIO_REGISTER");
	return memory;
}

int main(int argc, char **argv)
{
	size_t size = sysconf(_SC_PAGESIZE);
	void *memory;
	int file, net;

	memory = make_memory(size);
	if (argc != 3)
		errx(2, "usage: stall FILE NETNS");
	file = open(argv[1], O_RDONLY);
	if (file < 0)
		err(1, "%s", argv[1]);
	net = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (net < 0 || setns(net, CLONE_NEWNET))
		err(1, "%s", argv[2]);
	if (read(file, memory, size) < 0)
		err(1, "read");
	errx(1, "it could be read");
}
