/* SPDX-License-Identifier: GPL-2.0-only */
/* What all of the command uses: how it ends, memory, files as text. */
#ifndef NSGATE_UTIL_H
#define NSGATE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the command exits with; also in nsgate(8). */
enum exit_status {
	EXIT_DONE,
	EXIT_FAILED,		/* the kernel or the system refused */
	EXIT_BAD_USAGE,
	EXIT_NO_NAMESPACE,
	EXIT_NO_TARGET,
	EXIT_NO_HOST,		/* no module, not root, not on the host */
	EXIT_BAD_EXPRESSION,
};

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define printf_like(f, a) __attribute__((format(printf, f, a)))
#define noreturn __attribute__((noreturn))

/* What die() does with its message before it ends the program, if it isn't to
 * stand on stderr: a CNI plugin, for one, has to answer in JSON.
 */
extern void (*die_hook)(enum exit_status status, const char *message);

noreturn printf_like(2, 3) void die(enum exit_status status, const char *format, ...);

/* Memory: no caller could go on without it. */
void *xmalloc(size_t size);
void *xrealloc(void *memory, size_t size);
char *xstrdup(const char *string);
printf_like(1, 2) char *xasprintf(const char *format, ...);

/* Makes room for one more in an array of @count that has room for *@room. */
void *grow(void *array, size_t count, size_t *room, size_t size);

/* Text that grows; a zeroed one is empty. */
struct text {
	char *s;		/* ends with NUL once something was added */
	size_t length;
	size_t room;
};

void text_add(struct text *text, const char *s, size_t length);
void text_puts(struct text *text, const char *s);
void text_putu(struct text *text, uint64_t number);
printf_like(2, 3) void text_printf(struct text *text, const char *format, ...);
void text_free(struct text *text);

/* The whole of a file, or of what comes, to be freed, or NULL and errno. */
char *read_all(int fd, size_t *length);
char *read_file(int directory, const char *path, size_t *length);

/* Reads what is decimal and nothing else. */
bool parse_u64(const char *s, uint64_t *number);

/* Of a clock that nobody sets. */
uint64_t now_us(void);

static inline bool starts_with(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return false;
	return true;
}

/* Cuts the first line, or word, off *@rest; NULL when there is none. */
char *next_line(char **rest);
char *next_word(char **rest);

#endif
