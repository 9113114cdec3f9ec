// SPDX-License-Identifier: GPL-2.0-only
/* top on a terminal: by ncurses, or where the terminal can't move its cursor, one
 * frame below the other.
 */
#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "show.h"
#include "top.h"

static volatile sig_atomic_t ended_by;

static void note_signal(int number)
{
	ended_by = number;
}

static void catch_signals(void)
{
	/* No SA_RESTART: who waits for a key is to hear of it. */
	const struct sigaction action = { .sa_handler = note_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/* Ends as what had not caught the signal would. */
static void die_of_signal(void)
{
	if (!ended_by)
		return;
	signal(ended_by, SIG_DFL);
	raise(ended_by);
}

static void add_cells(struct libscols_table *table, const struct rate *rate, size_t words)
{
	char *copy = xstrdup(rate->key), *rest = copy, *cells[8];
	struct figure figure;
	size_t i, n = 0, length;

	cells[n++] = xstrdup(show_number(&figure, rate->packets_rate, ""));
	show_number(&figure, rate->bytes_rate * 8, "bit");
	length = strlen(figure.s) - 3;
	cells[n++] = strndup(figure.s, length);
	cells[n++] = xstrdup(show_number(&figure, rate->dropped_rate, ""));
	cells[n++] = xstrdup(show_number(&figure, rate->bytes, "B"));
	/* The last may have blanks. */
	for (i = 1; i < words; i++)
		cells[n++] = xstrdup(next_word(&rest));
	cells[n++] = xstrdup(rest);
	table_row(table, cells, n);
	free(copy);
}

/* So many lines at most of a table of the rates. */
static void add_table(struct text *frame, const struct top *top, enum rate_kind kind, size_t lines)
{
	static const char *const keys[][4] = {
		{ "HOOK", "FAMILY", "PROTO" },
		{ "FAMILY", "PROTO", "SOURCE", "DESTINATION" },
		{ "INODE", "COOKIE", "STATUS", "NAME" },
	};
	const char *columns[8] = { ">PACKETS/S", ">BIT/S", ">DROPPED/S", ">TOTAL" };
	size_t i, count, words = kind == RATE_HOOK ? 3 : 4;
	const struct rate **sorted = top_sorted(top, kind, &count);
	struct libscols_table *table;
	char *text;

	for (i = 0; i < words; i++)
		columns[4 + i] = keys[kind][i];
	table = table_new(columns, 4 + words);
	for (i = 0; i < count && i + 1 < lines; i++)
		add_cells(table, sorted[i], words);
	free(sorted);
	if (i) {
		text = table_text(table);
		text_puts(frame, text);
		free(text);
	} else {
		/* A table without lines has no heading. */
		for (i = 0; i < 4 + words; i++)
			text_printf(frame, "%s%s", i ? "  " : "",
				    columns[i] + (*columns[i] == '>'));
		text_puts(frame, "\n");
	}
	table_free(table);
}

static void add_title(struct text *frame, const struct top *top)
{
	const struct target *target = &top->target;
	char clock[16], *called, *gate;

	text_printf(frame, "%s  ", top_clock(clock, sizeof(clock)));
	if (!top->shown) {
		text_printf(frame, "%zu targets\n", top->targets);
		return;
	}
	called = *top->called ? show_string(top->called) : xstrdup("-");
	gate = gate_show(&target->gate);
	text_printf(frame, "%s, inode %u, cookie %llu, %s, gate: %s", called, target->inode,
		    (unsigned long long)target->cookie, target->live ? "live" : "gone", gate);
	free(called);
	free(gate);
	if (limit_is_set(&target->limit)) {
		char *limit = limit_show(&target->limit);

		text_printf(frame, ", limit: %s", limit);
		free(limit);
	}
	text_puts(frame, "\n");
}

static void compose(struct text *frame, const struct top *top, int lines)
{
	static const char *const orders[] = { "packets", "bytes", "total" };
	size_t left = lines > 8 ? lines - 4 : 4;

	add_title(frame, top);
	if (top->shown) {
		add_table(frame, top, RATE_HOOK, left / 2);
		text_puts(frame, "\n");
		add_table(frame, top, RATE_FLOW, left - left / 2 - 1);
	} else {
		add_table(frame, top, RATE_TARGET, left);
	}
	text_printf(frame, "\nsorted by %s   keys: b bytes, p packets, t total bytes, q quit",
		    orders[top->sort_by]);
}

/* How many bytes of a line fit in so many columns. */
static size_t clip(const char *line, int columns)
{
	size_t length, bytes = 0;
	wchar_t c;
	int width = 0;

	while ((length = utf8_length(line + bytes))) {
		if (mbrtowc(&c, line + bytes, length, &(mbstate_t){ }) != length)
			break;
		width += wcwidth(c) > 0 ? wcwidth(c) : 0;
		if (width > columns)
			break;
		bytes += length;
	}
	return bytes;
}

/* The last line stands at the bottom of what is drawn, also where not all fits. */
static void draw(const struct top *top)
{
	struct text frame = { };
	char *rest, *line, *last;
	int row = 0;

	compose(&frame, top, LINES);
	last = strrchr(frame.s, '\n');
	*last++ = '\0';
	rest = frame.s;
	erase();
	while (row < LINES - 1 && (line = next_line(&rest))) {
		if (!row)
			attron(A_BOLD);
		mvaddnstr(row, 0, line, clip(line, COLS));
		attroff(A_BOLD);
		row++;
	}
	mvaddnstr(row, 0, last, clip(last, COLS));
	refresh();
	text_free(&frame);
}

/* False if it was the one to end. */
static bool handle_key(struct top *top, int key)
{
	switch (key) {
	case 'b':
		top->sort_by = SORT_BYTES;
		break;
	case 'p':
		top->sort_by = SORT_PACKETS;
		break;
	case 't':
		top->sort_by = SORT_TOTAL;
		break;
	case 'q':
	case 'Q':
		return false;
	}
	return true;
}

/* Keys, for so long. False if one, or a signal, was to end. */
static bool await_keys(struct top *top, uint64_t delay)
{
	uint64_t now, end = now_us() + delay;
	int key;

	while (!ended_by && (now = now_us()) < end) {
		timeout((end - now) / 1000 + 1);
		key = getch();
		if (key == ERR)
			continue;
		if (!handle_key(top, key))
			return false;
		if (top->looked)
			draw(top);
	}
	return !ended_by;
}

static struct screen *curses;

static void leave_curses(void)
{
	if (!curses)
		return;
	endwin();
	delscreen(curses);
	curses = NULL;
}

static void top_curses(struct top *top, uint64_t delay, uint64_t count)
{
	uint64_t i;

	atexit(leave_curses);
	/* ncurses has handlers of its own, which must not stay. */
	catch_signals();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	for (i = 0; !count || i < count; i++) {
		if (!await_keys(top, i ? delay : 500000))
			break;
		top_look(top);
		draw(top);
	}
	leave_curses();
	die_of_signal();
}

/* Keys come with the end of their line here. */
static bool await_lines(struct top *top, uint64_t delay)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t now, end = now_us() + delay;
	char key;

	while ((now = now_us()) < end) {
		if (poll(&in, 1, (end - now) / 1000 + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) <= 0 || !handle_key(top, key))
			return false;
	}
	return true;
}

static void top_plain(struct top *top, uint64_t delay, uint64_t count)
{
	struct text frame = { };
	uint64_t i;

	for (i = 0; !count || i < count; i++) {
		if (!await_lines(top, i ? delay : 500000))
			break;
		top_look(top);
		compose(&frame, top, 24);
		printf("%s\n\n", frame.s);
		fflush(stdout);
		text_free(&frame);
	}
}

void top_screen(struct top *top, uint64_t delay, uint64_t count)
{
	if (terminal_has_cursor())
		curses = newterm(NULL, stdout, stdin);
	if (curses)
		top_curses(top, delay, count);
	else
		top_plain(top, delay, count);
}
