// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "show.h"

const char *command_name;

void misused(const char *format, ...)
{
	va_list args;
	char *message;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = xstrdup("");
	va_end(args);
	die(EXIT_BAD_USAGE, "%s; 'nsgate %s%s--help' tells more", message,
	    command_name ? command_name : "", command_name ? " " : "");
}

static void print_help(void)
{
	size_t i;

	for (i = 0; i < commands_count; i++)
		if (!strcmp(commands[i].name, command_name))
			fputs(commands[i].usage, stdout);
	exit(EXIT_DONE);
}

int next_option(int argc, char **argv, const char *letters, const struct option *options)
{
	int option;

	opterr = 0;
	option = getopt_long(argc, argv, letters, options, NULL);
	if (option == 'h')
		print_help();
	if (option == ':')
		misused("%s needs a value", argv[optind - 1]);
	if (option == '?' && !starts_with(argv[optind - 1], "--"))
		misused("there is no option -%c", optopt);
	if (option == '?')
		misused("there is no option %s", argv[optind - 1]);
	return option;
}

void count_arguments(int argc, char **argv, int least, int most, const char *what)
{
	int count = argc - optind;

	if (count < least)
		misused("%s is missing", what);
	if (count > most)
		misused("%s is too much", show_quoted(argv[optind + most]));
}
