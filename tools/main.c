// SPDX-License-Identifier: GPL-2.0-only
/* Meters and polices network namespaces, by the names that people have for them.
 * See nsgate(8).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "show.h"
#include "usage.h"

const struct command commands[] = {
	{ "list", command_list, USAGE_LIST },
	{ "bind", command_bind, USAGE_BIND },
	{ "release", command_release, USAGE_RELEASE },
	{ "status", command_status, USAGE_STATUS },
	{ "top", command_top, USAGE_TOP },
	{ "gate", command_gate, USAGE_GATE },
	{ "limit", command_limit, USAGE_LIMIT },
	{ "auto", command_auto, USAGE_AUTO },
	{ "metrics", command_metrics, USAGE_METRICS },
	{ "exporter", command_exporter, USAGE_EXPORTER },
	{ "follow", command_follow, USAGE_FOLLOW },
	{ "oci-hook", command_oci_hook, USAGE_OCI_HOOK },
};

const size_t commands_count = ARRAY_SIZE(commands);

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < commands_count; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	misused("there is no command %s", show_quoted(name));
}

/* What could not be written was not said. A reader that has gone is no error of
 * ours, and kills us before.
 */
static int finish(int status)
{
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_FAILED, "could not write the output: %m");
	return status;
}

int main(int argc, char **argv)
{
	const struct command *command;

	show_init();
	if (argc < 2) {
		fputs(USAGE, stderr);
		return EXIT_BAD_USAGE;
	}
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help")) {
		fputs(USAGE, stdout);
		return finish(EXIT_DONE);
	}
	if (!strcmp(argv[1], "--version")) {
		puts("nsgate " VERSION);
		return finish(EXIT_DONE);
	}
	if (!strcmp(argv[1], "help")) {
		fputs(argc > 2 ? find_command(argv[2])->usage : USAGE, stdout);
		return finish(EXIT_DONE);
	}
	command = find_command(argv[1]);
	command_name = command->name;
	return finish(command->run(argc - 1, argv + 1));
}
