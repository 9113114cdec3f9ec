// SPDX-License-Identifier: GPL-2.0-only
/* bind and release. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

static void bind_all(const struct ns *all, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!all[i].bound)
			bind_for_now(&all[i]);
	bind_keep();
}

/* What has been a target keeps the name that it has, but if it has none. */
static void record_names(const struct ns *all, size_t count)
{
	struct records records;
	struct target target;
	char directory[16];
	size_t i;

	records_read(&records);
	for (i = 0; i < count; i++) {
		if (all[i].name && (!all[i].bound || !records_find(&records, all[i].cookie)))
			records_add(&records, all[i].cookie, all[i].name, all[i].pod);
		snprintf(directory, sizeof(directory), "%" PRIu32, all[i].inode);
		if (!all[i].name && target_read(&target, directory, READ_STATE)) {
			records_name(&records, &target);
			target_free(&target);
		}
	}
	records_write(&records);
	records_free(&records);
}

static const struct option only_help[] = {
	{ "help", no_argument, NULL, 'h' },
	{ }
};

int command_bind(int argc, char **argv)
{
	struct ns *all;
	size_t i, count;

	while (next_option(argc, argv, ":h", only_help) >= 0)
		;
	count_arguments(argc, argv, 1, 100000, "NS");
	kernel_check(command_name);
	count = argc - optind;
	all = xmalloc(count * sizeof(*all));
	ns_demand(all, argv + optind, count);
	bind_all(all, count);
	record_names(all, count);
	for (i = 0; i < count; i++)
		ns_free(&all[i]);
	free(all);
	return EXIT_DONE;
}

struct release {
	struct target target;
	char *shown;
};

struct releases {
	struct release *rows;
	size_t count, room;
};

static void add_release(struct releases *releases, const struct target *target, const char *shown)
{
	size_t i;

	for (i = 0; i < releases->count; i++)
		if (releases->rows[i].target.cookie == target->cookie)
			return;
	releases->rows = grow(releases->rows, releases->count, &releases->room,
			      sizeof(*releases->rows));
	releases->rows[releases->count++] = (struct release){
		.target.inode = target->inode,
		.target.cookie = target->cookie,
		.target.live = target->live,
		.shown = xstrdup(shown),
	};
}

static void find_releases(struct releases *releases, const char *said)
{
	struct records records;
	struct targets gone;
	struct target target;
	char *shown;
	size_t i;

	target_find(&target, said, READ_STATE, &shown);
	add_release(releases, &target, shown);
	records_read(&records);
	targets_find(&gone, &records, said, false);
	for (i = 0; i < gone.count; i++)
		add_release(releases, &gone.rows[i], shown);
	targets_free(&gone);
	records_free(&records);
	target_free(&target);
	free(shown);
}

int command_release(int argc, char **argv)
{
	struct releases releases = { };
	size_t i;
	int said;

	while (next_option(argc, argv, ":h", only_help) >= 0)
		;
	count_arguments(argc, argv, 1, 100000, "NS");
	kernel_check(command_name);
	for (said = optind; said < argc; said++)
		find_releases(&releases, argv[said]);
	for (i = 0; i < releases.count; i++) {
		release_target(&releases.rows[i].target, releases.rows[i].shown);
		free(releases.rows[i].shown);
	}
	free(releases.rows);
	return EXIT_DONE;
}
