// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

void (*die_hook)(enum exit_status status, const char *message);

void die(enum exit_status status, const char *format, ...)
{
	char *message;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	if (die_hook)
		die_hook(status, message ? message : "out of memory");
	else
		fprintf(stderr, "nsgate: %s\n", message ? message : "out of memory");
	free(message);
	exit(status);
}

void *xrealloc(void *memory, size_t size)
{
	memory = realloc(memory, size ? size : 1);
	if (!memory)
		die(EXIT_FAILED, "out of memory");
	return memory;
}

void *xmalloc(size_t size)
{
	return xrealloc(NULL, size);
}

char *xstrdup(const char *string)
{
	size_t size = strlen(string) + 1;

	return memcpy(xmalloc(size), string, size);
}

char *xasprintf(const char *format, ...)
{
	char *string;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&string, format, args);
	va_end(args);
	if (length < 0)
		die(EXIT_FAILED, "out of memory");
	return string;
}

void *grow(void *array, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return array;
	*room = *room ? *room * 2 : 16;
	return xrealloc(array, *room * size);
}

void text_add(struct text *text, const char *s, size_t length)
{
	if (text->room - text->length <= length) {
		text->room = (text->room + length + 64) * 2;
		text->s = xrealloc(text->s, text->room);
	}
	memcpy(text->s + text->length, s, length);
	text->length += length;
	text->s[text->length] = '\0';
}

void text_puts(struct text *text, const char *s)
{
	text_add(text, s, strlen(s));
}

void text_putu(struct text *text, uint64_t number)
{
	char digits[20], *d = digits + sizeof(digits);

	do {
		*--d = '0' + number % 10;
		number /= 10;
	} while (number);
	text_add(text, d, digits + sizeof(digits) - d);
}

void text_printf(struct text *text, const char *format, ...)
{
	va_list args;
	char *s;
	int length;

	va_start(args, format);
	length = vasprintf(&s, format, args);
	va_end(args);
	if (length < 0)
		die(EXIT_FAILED, "out of memory");
	text_add(text, s, length);
	free(s);
}

void text_free(struct text *text)
{
	free(text->s);
	*text = (struct text){ };
}

char *read_all(int fd, size_t *length)
{
	struct text text = { };
	ssize_t n;

	text_add(&text, "", 0);
	do {
		if (text.room - text.length < 4096) {
			text.room = text.room * 2 + 8192;
			text.s = xrealloc(text.s, text.room);
		}
		n = read(fd, text.s + text.length, text.room - text.length - 1);
		if (n > 0)
			text.length += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0) {
		int error = errno;

		text_free(&text);
		errno = error;
		return NULL;
	}
	text.s[text.length] = '\0';
	if (length)
		*length = text.length;
	return text.s;
}

char *read_file(int directory, const char *path, size_t *length)
{
	int error, fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *s;

	if (fd < 0)
		return NULL;
	s = read_all(fd, length);
	error = errno;
	close(fd);
	errno = error;
	return s;
}

bool parse_u64(const char *s, uint64_t *number)
{
	uint64_t sum = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' ||
		    __builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, *s - '0', &sum))
			return false;
	}
	*number = sum;
	return true;
}

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000) + now.tv_nsec / 1000;
}

char *next_line(char **rest)
{
	char *line = *rest, *end;

	if (!line || !*line)
		return NULL;
	end = strchr(line, '\n');
	if (end)
		*end++ = '\0';
	*rest = end;
	return line;
}

char *next_word(char **rest)
{
	char *word = *rest + strspn(*rest, " \t"), *end;

	if (!*word)
		return NULL;
	end = word + strcspn(word, " \t");
	if (*end)
		*end++ = '\0';
	*rest = end;
	return word;
}
