// SPDX-License-Identifier: GPL-2.0-only
/* What faults does again and again. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "faults.h"

#define PATIENCE 60000 /* ms */

/* ---- load ---- */

static void prepare_load(void)
{
	fd = open_file(args[0], O_RDONLY);
}

static long load(void)
{
	return syscall(SYS_finit_module, fd, args[1], 0);
}

static void unload(void)
{
	if (syscall(SYS_delete_module, "nsgate", O_NONBLOCK))
		fail("rmmod: %s", strerror(errno));
}

/* ---- write ---- */

static void prepare_write(void)
{
	fd = open_file(args[0], O_WRONLY);
}

static long write_text(void)
{
	return write(fd, args[1], strlen(args[1]));
}

static void write_undo(void)
{
	put(args[0], args[2]);
}

/* ---- inherit ---- */

static int heir = -1;

/* All lower numbers are held, as in number.py: the next namespace gets it. */
static int make_namespace(ino_t inode)
{
	int file = -1, held[16384];
	struct stat st = { 0 };
	unsigned int n = 0;
	int cgroup = open_file("/proc/self/ns/cgroup", O_RDONLY);

	while (st.st_ino < inode && n < ARRAY_SIZE(held)) {
		if (unshare(CLONE_NEWCGROUP))
			err(2, "unshare");
		held[n] = open_file("/proc/self/ns/cgroup", O_RDONLY);
		fstat(held[n++], &st);
	}
	if (setns(cgroup, CLONE_NEWCGROUP))
		err(2, "setns");
	close(cgroup);
	close(held[--n]);
	if (st.st_ino == inode) {
		if (unshare(CLONE_NEWNET))
			err(2, "unshare");
		file = open_file("/proc/thread-self/ns/net", O_RDONLY);
		enter(home);
		fstat(file, &st);
		if (st.st_ino != inode) { /* somebody else was faster */
			close(file);
			file = -1;
		}
	}
	while (n)
		close(held[--n]);
	return file;
}

static bool is_gone(const char *inode)
{
	char name[256], line[256] = "";
	FILE *file;

	snprintf(name, sizeof(name), VIEW "/%s/state", inode);
	file = fopen(name, "re");
	if (!file)
		fail("%s: %s", name, strerror(errno));
	while (fgets(line, sizeof(line), file) && strncmp(line, "status ", 7))
		;
	fclose(file);
	return !strcmp(line, "status gone\n");
}

static void await_gone(const char *inode)
{
	int ms;

	for (ms = 0; !is_gone(inode); ms += 10) {
		if (ms > PATIENCE)
			fail("the namespace doesn't die");
		usleep(10000);
	}
}

/* Those that had the number before. */
static void release_older(const char *inode)
{
	char pattern[64], text[64];
	glob_t found;
	size_t i;

	snprintf(pattern, sizeof(pattern), VIEW "/%s.*", inode);
	if (glob(pattern, 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++) {
		snprintf(text, sizeof(text), "-%s", found.gl_pathv[i] + strlen(VIEW "/"));
		put(PARAM, text);
	}
	globfree(&found);
}

/* Kills the namespace that is bound, and makes another of the same number. */
static void make_heir(void)
{
	ino_t inode = strtoul(args[0], NULL, 10);
	int ms;

	close(heir);
	await_gone(args[0]);
	release_older(args[0]);
	for (ms = 0; (heir = make_namespace(inode)) < 0; ms += 10) {
		if (ms > PATIENCE)
			fail("no new namespace gets the number %s", args[0]);
		usleep(10000);
	}
}

static void prepare_inherit(void)
{
	fd = open_file(PARAM, O_WRONLY);
}

static long inherit(void)
{
	char text[16];

	return write(fd, text, snprintf(text, sizeof(text), "+%s", args[0]));
}

/* ---- read ---- */

/* As long as the file is open, the kernel remembers the way to it. */
static void prepare_read(void)
{
	fd = open_file(args[0], O_PATH);
}

static long read_file(void)
{
	static char buffer[65536];
	int file = open(args[0], O_RDONLY | O_CLOEXEC);
	int error;
	long n, total = 0;

	if (file < 0)
		return -1;
	while ((n = read(file, buffer, sizeof(buffer))) > 0)
		total += n;
	error = errno;
	close(file);
	errno = error;
	return n < 0 ? n : total;
}

static void nothing(void)
{
}

/* ---- device ---- */

static void prepare_device(void)
{
	enter(netns);
	fd = open_file("/dev/net/tun", O_RDWR);
	enter(home);
}

static long make_device(void)
{
	struct ifreq request = {
		.ifr_name = "x0",
		.ifr_flags = IFF_TUN | IFF_NO_PI,
	};

	if (ioctl(fd, TUNSETIFF, &request))
		return -1;
	/* Here it gets the hooks that it may not have got when it came. */
	request.ifr_flags = IFF_UP;
	return ioctl(udp4, SIOCSIFFLAGS, &request);
}

static unsigned long long ingress_packets(void)
{
	unsigned long long packets = 0;
	char line[256];
	FILE *file;

	enter(netns);
	file = fopen(OWN_VIEW "/stats", "re");
	enter(home);
	while (file && fgets(line, sizeof(line), file) &&
	       sscanf(line, "ingress netdev all %llu", &packets) != 1)
		;
	if (file)
		fclose(file);
	return packets;
}

/* What comes in by the device must count. */
static void use_device(void)
{
	static const unsigned char packet[20] = {
		0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1,
	};
	unsigned long long before;

	before = ingress_packets();
	if (write(fd, packet, sizeof(packet)) != sizeof(packet))
		fail("the device doesn't take a packet: %s", strerror(errno));
	if (ingress_packets() != before + 1)
		fail("the device has no hook");
}

/* ---- birth ---- */

static int child = -1;

static void prepare_birth(void)
{
	enter(netns);
	fd = open_file("/dev/null", O_RDONLY);
}

static long give_birth(void)
{
	return unshare(CLONE_NEWNET);
}

void hold_child(void)
{
	child = open_file("/proc/thread-self/ns/net", O_RDONLY);
}

/* It dies, and nothing of it is kept. */
static void bury_child(void)
{
	char inode[16], text[20];
	struct stat st;

	enter(home);
	if (fstat(child, &st))
		err(2, "fstat");
	close(child);
	snprintf(inode, sizeof(inode), "%u", (unsigned int)st.st_ino);
	await_gone(inode);
	snprintf(text, sizeof(text), "-%s", inode);
	put(PARAM, text);
}

const struct operation operations[] = {
	{ "load", 2, nothing, prepare_load, load, nothing, unload, LOADS },
	{ "write", 3, nothing, prepare_write, write_text, nothing, write_undo, ORDINARY },
	{ "inherit", 1, make_heir, prepare_inherit, inherit, nothing, make_heir, ORDINARY },
	{ "read", 1, nothing, prepare_read, read_file, nothing, nothing, READS },
	{ "device", 0, nothing, prepare_device, make_device, use_device, nothing, MAKES_DEVICE },
	{ "birth", 0, nothing, prepare_birth, give_birth, nothing, bury_child, GIVES_BIRTH },
	{ 0 }
};
