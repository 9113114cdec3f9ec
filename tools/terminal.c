// SPDX-License-Identifier: GPL-2.0-only
/* <term.h> gives common words other meanings, so it has a file of its own. */
#include <stdbool.h>
#include <unistd.h>

#include <ncurses.h>
#include <term.h>

bool terminal_has_cursor(void);

bool terminal_has_cursor(void)
{
	int error;

	return setupterm(NULL, STDOUT_FILENO, &error) == OK && cursor_address && clear_screen;
}
