/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of fuzz share; see fuzz.c. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define TEXT_MAX (200 * 1024)
#define FILES_MAX 64
#define KNOWN_MAX 1024
#define NR_EDGES 22

/* The case: of which seed, and its number. */
extern unsigned long long seed, number;
extern bool alone; /* nobody else writes */

/* What is written or sent, and what was read then. */
extern char text[TEXT_MAX];
extern size_t len;
extern char answer[TEXT_MAX];

/* What main() was given. */
extern unsigned int known[KNOWN_MAX], nr_known;
extern char **files;
extern int nr_files;
extern unsigned long long refused; /* frames */

/* ---- fuzz_text.c ---- */

extern const unsigned int edges[NR_EDGES];

unsigned long long random64(void);
unsigned int below(unsigned int n);
bool one_in(unsigned int n);
unsigned int size_up_to(unsigned int max);
unsigned int number_at_edge(void);
void begin_case(void);
void show_case(void);
void add(const char *format, ...);
void add_bytes(unsigned int n, const char *alphabet);
void damage(const char *alphabet);
size_t read_all(int fd);
int write_text(int fd);

#define fail(...) do {			\
	show_case();			\
	printf(__VA_ARGS__);		\
	printf("\n");			\
	exit(1);			\
} while (0)

/* ---- the kinds of cases ---- */

void fuzz_param(int fd);
void fuzz_gate(int fd);
void fuzz_limit(int fd);
int open_device(const char *name);
void fuzz_frames(int fd);

/* ---- fuzz_frames.c and fuzz_flows.c ---- */

unsigned int word_at(const unsigned char *p);
void note_flow(void);
void check_flows(const char *file);

#endif
