/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of faults share; see faults.c. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdio.h>
#include <stdlib.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define VIEW "/proc/net/nsgate"
#define PARAM "/sys/module/nsgate/parameters/inode"
#define OWN_VIEW "/proc/thread-self/net/nsgate"

#define fail(...) do {			\
	printf("chance %u: ", nth);	\
	printf(__VA_ARGS__);		\
	printf("\n");			\
	exit(1);			\
} while (0)

extern char **args; /* of the operation */
extern int home, netns; /* namespaces */
extern int fd; /* of the operation */
extern unsigned int nth; /* chance */
extern int udp4; /* a socket in netns */

int open_file(const char *name, int flags);
void put(const char *name, const char *text);
void enter(int namespace);

struct operation {
	const char *name;
	int args;
	void (*begin)(void); /* once */
	void (*prepare)(void); /* in which nothing fails, gives fd */
	long (*attempt)(void);
	void (*use)(void); /* when it has worked */
	void (*undo)(void); /* when fd is closed */
	enum { ORDINARY, LOADS, READS, MAKES_DEVICE, GIVES_BIRTH } kind;
};

/* With an empty one at the end. */
extern const struct operation operations[];

/* Keeps the namespace that has just been made. */
void hold_child(void);

#endif /* FAULTS_H */
