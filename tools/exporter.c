// SPDX-License-Identifier: GPL-2.0-only
/* Hands the metrics to node_exporter, or to who asks for them by HTTP. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "show.h"

/* Who sends a request may be anybody: no more than a scrape needs. */
#define REQUEST_SIZE 16384
#define REQUEST_US 10000000

/* The request up to its empty line, or what came before it ended; false if none. */
static bool read_request(char *request, size_t size)
{
	uint64_t end = now_us() + REQUEST_US, now;
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	size_t length = 0;
	ssize_t n;

	while (length < size - 1) {
		now = now_us();
		if (now >= end || poll(&in, 1, (end - now) / 1000 + 1) <= 0)
			return false;
		n = read(STDIN_FILENO, request + length, size - 1 - length);
		if (n < 0)
			return false;
		length += n;
		request[length] = '\0';
		if (!n)
			return length > 0;
		if (strstr(request, "\r\n\r\n") || strstr(request, "\n\n"))
			return true;
	}
	return true;
}

static int answer(const char *status, const char *body, size_t length, bool head)
{
	printf("HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
	       "Content-Length: %zu\r\nConnection: close\r\n\r\n", status, length);
	if (!head)
		fwrite(body, 1, length, stdout);
	return EXIT_DONE;
}

static int answer_text(const char *status, const char *body, bool head)
{
	return answer(status, body, strlen(body), head);
}

static int exporter_http(void)
{
	char request[REQUEST_SIZE], *rest = request, *line, *method, *path;
	struct text body = { };
	bool head;

	if (!read_request(request, sizeof(request)))
		return EXIT_DONE;
	line = next_line(&rest);
	method = line ? next_word(&line) : NULL;
	path = method ? next_word(&line) : NULL;
	if (!path)
		return EXIT_DONE;
	path[strcspn(path, "?\r")] = '\0';
	head = !strcmp(method, "HEAD");
	if (!head && strcmp(method, "GET"))
		return answer_text("405 Method Not Allowed", "There is GET and HEAD.\n", false);
	if (!strcmp(path, "/"))
		return answer_text("200 OK", "The metrics of nsgate are at /metrics.\n", head);
	if (strcmp(path, "/metrics"))
		return answer_text("404 Not Found", "The metrics are at /metrics.\n", head);
	metrics_text(&body);
	answer("200 OK", body.s, body.length, head);
	text_free(&body);
	return EXIT_DONE;
}

/* A reader of the file finds the old figures in it, or the new. */
static void write_file(const char *file, const char *new)
{
	struct text text = { };
	FILE *stream = fopen(new, "we");

	if (!stream)
		die(EXIT_FAILED, "could not write %s: %m", new);
	metrics_text(&text);
	fwrite(text.s, 1, text.length, stream);
	text_free(&text);
	if (fclose(stream) || rename(new, file)) {
		int error = errno;

		unlink(new);
		die(EXIT_FAILED, "could not write %s: %s", file, strerror(error));
	}
}

/* Until a signal to end comes; those are blocked, but while we wait. */
static void write_again(const char *file, const char *new, unsigned int interval)
{
	const struct timespec pause = { .tv_sec = interval };
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	do {
		write_file(file, new);
	} while (sigtimedwait(&ends, NULL, &pause) < 0);
	unlink(file);
}

static void check_directory(const char *directory)
{
	struct stat st;

	if (stat(directory, &st) || !S_ISDIR(st.st_mode))
		die(EXIT_FAILED, "there is no directory %s; install prometheus-node-exporter, or say where its textfiles are",
		    directory);
}

static int exporter_textfile(const char *file, unsigned int interval, bool once)
{
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
	size_t length = strlen(base);
	char *directory, *new;

	if (length < 5 || strcmp(base + length - 5, ".prom"))
		misused("%s: node_exporter reads files whose names end in .prom", file);
	directory = slash ? strndup(file, slash > file ? slash - file : 1) : xstrdup(".");
	if (!directory)
		die(EXIT_FAILED, "out of memory");
	check_directory(directory);
	new = xasprintf("%s/.%s.%d", directory, base, getpid());
	umask(022);
	if (once)
		write_file(file, new);
	else
		write_again(file, new, interval);
	free(new);
	free(directory);
	return EXIT_DONE;
}

int command_exporter(int argc, char **argv)
{
	static const struct option options[] = {
		{ "interval", required_argument, NULL, 'i' },
		{ "once", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const char *given = NULL, *what;
	uint64_t interval = 15;
	bool once = false;
	int option;

	while ((option = next_option(argc, argv, ":h", options)) >= 0) {
		if (option == 'i')
			given = optarg;
		else
			once = true;
	}
	count_arguments(argc, argv, 1, 2, "textfile or http");
	if (geteuid())
		die(EXIT_NO_HOST, "only root may do this; try 'sudo nsgate exporter'");
	what = argv[optind];
	if (!strcmp(what, "http")) {
		count_arguments(argc, argv, 1, 1, "");
		if (given || once)
			misused("http has no options");
		return exporter_http();
	}
	if (strcmp(what, "textfile"))
		misused("%s is neither textfile nor http", show_quoted(what));
	if (given && (!parse_u64(given, &interval) || !interval || interval > INT32_MAX))
		misused("--interval %s: not a number of seconds", given);
	return exporter_textfile(optind + 1 < argc ? argv[optind + 1] :
				 "/var/lib/prometheus/node-exporter/nsgate.prom", interval, once);
}
