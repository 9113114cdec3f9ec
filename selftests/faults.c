// SPDX-License-Identifier: GPL-2.0-only
/*
 * usage: faults NETNS memory|function ERROR OPERATION ARGUMENT...
 *
 * Does something again and again, and lets another of its chances to fail come
 * true each time, until there is none left: all allocations of memory, by Linux's
 * fault injection, or all calls of the function that inject.ko was told to fail.
 *
 * Where it fails, the error must be ERROR, all must be as it was before, and it
 * must work right after. Where it doesn't, which memory may have a way around
 * for, all must be as if there had been no fault. Then it is undone. Packets are
 * sent within NETNS each time.
 *
 *   load MODULE PARAMETERS     and unload
 *   write FILE TEXT UNDO       in one write; UNDO is what undoes it
 *   inherit INODE              bind a namespace that has the number of a dead target
 *   read FILE                  open it and read it all
 *   device                     make a tun device in NETNS, and set it up
 *   birth                      make a namespace in NETNS
 *
 * Prints how many chances there were, and how many of them gave an error. It
 * ends with 1, and says why, if something is not as it must be.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

#define INJECT "/sys/module/inject/parameters/nth"
#define NEVER 1000000 /* more chances than there are */

char **args;
int home, netns;
int fd = -1;
unsigned int nth;
int udp4;

static bool births; /* whether the operation makes namespaces, any of which will do */
static int udp6;

int open_file(const char *name, int flags)
{
	int file = open(name, flags | O_CLOEXEC);

	if (file < 0)
		err(2, "%s", name);
	return file;
}

void put(const char *name, const char *text)
{
	int file = open_file(name, O_WRONLY);

	if (write(file, text, strlen(text)) < 0)
		err(2, "%s: %s", name, text);
	close(file);
}

void enter(int namespace)
{
	if (setns(namespace, CLONE_NEWNET))
		err(2, "setns");
}

/* ---- what there is ---- */

/* "N.COOKIE" is another each time. */
static const char *without_cookie(const char *name)
{
	static char plain[256];
	const char *digits = strchr(name, '.');

	if (!digits || strncmp(name, VIEW "/", strlen(VIEW "/")))
		return name;
	digits++;
	snprintf(plain, sizeof(plain), "%.*sCOOKIE%s", (int)(digits - name), name,
		 digits + strspn(digits, "0123456789"));
	return plain;
}

/* Lines of a file that begin with one of the words, in which nothing moves. */
static void add_lines(FILE *out, const char *name, const char *words)
{
	char line[4096], word[64];
	FILE *file = fopen(name, "re");

	if (!file)
		err(2, "%s", name);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s", word) != 1)
			continue;
		if (!words || strstr(words, word))
			fprintf(out, "%s: %s", without_cookie(name), line);
	}
	fclose(file);
}

static void add_names(FILE *out, const char *pattern, const char *words)
{
	glob_t found;
	size_t i;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++) {
		if (words)
			add_lines(out, found.gl_pathv[i], words);
		else
			fprintf(out, "%s\n", without_cookie(found.gl_pathv[i]));
	}
	globfree(&found);
}

/* How many namespaces there are, and how many of those are targets. */
static void add_counts(FILE *out)
{
	unsigned int rows = 0, bound = 0;
	char line[256];
	FILE *file = fopen(VIEW "/namespaces", "re");

	while (file && fgets(line, sizeof(line), file)) {
		rows++;
		bound += !!strstr(line, "***");
	}
	if (file)
		fclose(file);
	fprintf(out, "namespaces: %u rows, %u bound\n", rows, bound);
	add_lines(out, VIEW "/auto", "mode missed");
}

/* Of nsgate, as the host and NETNS see it, and of the devices there. */
static char *snapshot(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		err(2, "snapshot");
	if (births) {
		enter(home);
		add_counts(out);
		if (fclose(out))
			err(2, "snapshot");
		return text;
	}
	if (!access(PARAM, F_OK))
		add_lines(out, PARAM, NULL);
	add_names(out, VIEW "/*", NULL);
	add_names(out, VIEW "/*/*", NULL);
	add_names(out, VIEW "/*/state", "status inode devices");
	add_names(out, VIEW "/*/gate", "policy except log label");
	add_names(out, VIEW "/*/limit", "mode in_rate in_burst in_quota out_quota");
	enter(netns);
	add_names(out, OWN_VIEW "/*", NULL);
	add_names(out, "/proc/thread-self/net/dev_snmp6/*", NULL);
	enter(home);
	if (fclose(out))
		err(2, "snapshot");
	return text;
}

static void expect(const char *when, const char *expected)
{
	char *found = snapshot();

	if (strcmp(expected, found))
		fail("%s\n%swas expected, and there is\n%s", when, expected, found);
	free(found);
}

/* Through all hooks that a packet can pass there, unless it is stopped. */
static void send_packets(void)
{
	struct sockaddr_in to4 = {
		.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_in6 to6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(9),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};

	sendto(udp4, "", 1, 0, (void *)&to4, sizeof(to4));
	sendto(udp6, "", 1, 0, (void *)&to6, sizeof(to6));
}

/* ---- the walk ---- */

static const struct operation *operation;
static bool function;
static int expected_error;
static int fail_nth;

static void set_fail_nth(unsigned int number)
{
	char text[16];

	if (pwrite(fail_nth, text, snprintf(text, sizeof(text), "%u", number), 0) < 0)
		err(2, "fail-nth");
}

/* Linux or inject.ko count down from nth, and let what comes then fail. */
static void begin_faults(void)
{
	char text[16];

	if (!function && operation->kind != LOADS) {
		set_fail_nth(nth);
		return;
	}
	snprintf(text, sizeof(text), "%u", nth);
	put(INJECT, text);
	/* When a module is loaded, inject.ko makes it nth at the right time. */
	if (!function)
		set_fail_nth(NEVER);
}

/* Whether something has failed. */
static bool end_faults(void)
{
	int file = function ? open_file(INJECT, O_RDONLY) : fail_nth;
	char text[16] = "";
	int left;

	if (pread(file, text, sizeof(text) - 1, 0) < 0)
		err(2, "fault injection");
	left = atoi(text);
	if (function) {
		close(file);
		put(INJECT, "0");
	} else {
		set_fail_nth(0);
	}
	if (left > NEVER / 2)
		fail("inject.ko has not seen that the module was loaded");
	return !left;
}

static void setup(const char *namespace)
{
	struct rlimit limit = { 32768, 32768 };

	home = open_file("/proc/self/ns/net", O_RDONLY);
	netns = open_file(namespace, O_RDONLY);
	enter(netns);
	udp4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	udp6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	enter(home);
	if (udp4 < 0 || udp6 < 0 || setrlimit(RLIMIT_NOFILE, &limit))
		err(2, "setup");
	fail_nth = open_file("/proc/thread-self/fail-nth", O_RDWR);
	/* No page of ours may be missing, or that would be what fails. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		err(2, "mlockall");
}

/* Gives the error, or 0. */
static int attempt(bool with_faults, bool *failed)
{
	long n;
	int error;

	operation->prepare();
	if (with_faults)
		begin_faults();
	n = operation->attempt();
	error = n < 0 ? errno : 0;
	*failed = with_faults && end_faults();
	if (births && !error)
		hold_child();
	return error;
}

/* That it has worked, and is undone. */
static void finish(const char *before, const char *done)
{
	expect("when it was done", done);
	send_packets();
	operation->use();
	close(fd);
	operation->undo();
	expect("when it was undone", before);
	send_packets();
}

/*
 * Linux has other words for it where a device gets its name, or its addresses, and
 * where something else is set up in a new namespace.
 */
static bool is_of_linux(int error)
{
	if (births)
		return !function || error == EEXIST;
	return operation->kind == MAKES_DEVICE && !function &&
	       (error == EINVAL || error == ENOBUFS);
}

static void check_error(int error, const char *before, const char *done)
{
	bool failed;

	if (error != expected_error && !is_of_linux(error))
		fail("%s", strerror(error));
	close(fd);
	expect("when it had failed", before);
	send_packets();
	/* That takes long; what comes after the last failure must do. */
	if (operation->kind == LOADS)
		return;
	error = attempt(false, &failed);
	if (error)
		fail("right after: %s", strerror(error));
	finish(before, done);
}

static void walk(const char *before, const char *done)
{
	unsigned int errors = 0;
	bool failed;
	int error;

	for (nth = 1; ; nth++) {
		error = attempt(true, &failed);
		if (error && !failed)
			fail("without a fault: %s", strerror(error));
		if (failed && function && !error)
			fail("the function failed, and nobody minds");
		if (error) {
			errors++;
			check_error(error, before, done);
		} else {
			finish(before, done);
		}
		if (!failed)
			break;
	}
	printf("%u chances, %u errors\n", nth - 1, errors);
	if (!errors)
		fail("nothing has failed");
}

int main(int argc, char **argv)
{
	char *before, *done;
	bool failed;
	int error;

	for (operation = operations; argc > 4; operation++) {
		if (!operation->name)
			errx(2, "%s: no such operation", argv[4]);
		if (!strcmp(argv[4], operation->name))
			break;
	}
	if (argc <= 4 || argc != 5 + operation->args)
		errx(2, "usage: faults NETNS memory|function ERROR OPERATION ARGUMENT...");
	function = !strcmp(argv[2], "function");
	expected_error = atoi(argv[3]);
	args = argv + 5;
	births = operation->kind == GIVES_BIRTH;
	setup(argv[1]);
	operation->begin();
	before = snapshot();
	error = attempt(false, &failed);
	if (error)
		fail("without a fault: %s", strerror(error));
	done = snapshot();
	if (operation->kind != READS && !strcmp(before, done))
		fail("what it does can't be seen");
	finish(before, done);
	walk(before, done);
	return 0;
}
