// SPDX-License-Identifier: GPL-2.0-only
/* Whether namespaces become targets when they are made. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "show.h"

static void show_auto(bool json)
{
	struct autobind state;

	if (!kernel_read_auto(&state))
		die(EXIT_FAILED, "the module that is loaded can't bind namespaces by itself");
	if (json) {
		json_print(json_pack("{s:s, s:I, s:I}", "mode", state.mode,
				     "born", (json_int_t)state.born,
				     "missed", (json_int_t)state.missed));
		return;
	}
	printf("%s\n%" PRIu64 " were bound when they were made, %" PRIu64 " could not be\n",
	       state.mode, state.born, state.missed);
}

static void set_auto(const char *mode)
{
	char *text = xasprintf("%s\n", mode);
	int error = kernel_write(PARAMETERS "/auto", text);

	free(text);
	switch (error) {
	case 0:
		return;
	case -ENOENT:
		die(EXIT_FAILED, "the module that is loaded can't bind namespaces by itself");
	case -EPERM:
		die(EXIT_FAILED, "that takes CAP_NET_ADMIN, in the initial network namespace");
	default:
		die(EXIT_FAILED, "the kernel refuses: %s; 'dmesg' tells why", strerror(-error));
	}
}

int command_auto(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	bool json = false;

	while (next_option(argc, argv, ":h", options) >= 0)
		json = true;
	count_arguments(argc, argv, 0, 1, "");
	if (optind < argc) {
		const char *mode = argv[optind];

		if (strcmp(mode, "off") && strcmp(mode, "children") && strcmp(mode, "all"))
			misused("%s is neither off nor children nor all", show_quoted(mode));
		if (json)
			misused("--json shows the mode, and sets none");
		kernel_check(command_name);
		set_auto(mode);
	} else {
		kernel_check(command_name);
		show_auto(json);
	}
	return EXIT_DONE;
}
