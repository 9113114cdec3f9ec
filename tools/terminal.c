// SPDX-License-Identifier: GPL-2.0-only
/* <term.h> gives common words other meanings, so it has a file of its own. */
#include <stdbool.h>
#include <unistd.h>

#include <ncurses.h>
#include <term.h>

bool terminal_has_cursor(void);

bool terminal_has_cursor(void)
{
	bool has_cursor;
	int error;

	if (setupterm(NULL, STDOUT_FILENO, &error) != OK)
		return false;
	has_cursor = cursor_address && clear_screen;
	/* A screen of ncurses sets up one of its own. */
	del_curterm(cur_term);
	return has_cursor;
}
