/* SPDX-License-Identifier: GPL-2.0-only */
/* The subcommands, and what they share. */
#ifndef NSGATE_COMMAND_H
#define NSGATE_COMMAND_H

#include <getopt.h>
#include <jansson.h>

#include "set.h"

struct libscols_table;

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
};

extern const struct command commands[];
extern const size_t commands_count;

/* The subcommand that runs, NULL before there is one. */
extern const char *command_name;

/* The next option of a subcommand as getopt_long() has it; errors and --help end
 * the program. What is left then is at argv[optind].
 */
int next_option(int argc, char **argv, const char *letters, const struct option *options);

/* That at least and at most so many arguments are left; @what is the one missing. */
void count_arguments(int argc, char **argv, int least, int most, const char *what);

/* Each in a file of that name. */
int command_list(int argc, char **argv);
int command_bind(int argc, char **argv);
int command_release(int argc, char **argv);
int command_status(int argc, char **argv);
int command_top(int argc, char **argv);
int command_gate(int argc, char **argv);
int command_limit(int argc, char **argv);
int command_auto(int argc, char **argv);
int command_metrics(int argc, char **argv);
int command_exporter(int argc, char **argv);
int command_follow(int argc, char **argv);
int command_oci_hook(int argc, char **argv);

/* gate.c, limit.c: what the options of a gate say, and how a gate and a limit are
 * shown. All strings are to be freed.
 */
bool gate_option(struct gate_options *options, int option);
bool gate_options_given(const struct gate_options *options);
#define GATE_OPTIONS \
	{ "except", required_argument, NULL, 'E' }, \
	{ "log", required_argument, NULL, 'L' }, \
	{ "dry-run", no_argument, NULL, 'D' }, \
	{ "loopback", no_argument, NULL, 'B' }

char *gate_show(const struct gate *gate);
json_t *gate_json(const struct gate *gate);
char *limit_show(const struct limit *limit);
json_t *limit_json(const struct limit *limit);

/* status.c: the state of a target as members of an object. */
void json_state(json_t *object, const struct target *target, const char *name);

/* table.c: tables as those of lsns(8). A column is aligned to the right if its
 * name begins with '>'.
 */
struct libscols_table *table_new(const char *const *columns, size_t count);
/* Takes the strings. */
void table_row(struct libscols_table *table, char *const *cells, size_t count);
/* To be freed. */
char *table_text(struct libscols_table *table);
void table_free(struct libscols_table *table);

/* json.c: an array, an object a line, as they come. */
void json_array_start(void);
void json_array_add(json_t *object);
void json_array_end(void);
/* Frees it. */
void json_print(json_t *json);

/* metrics.c: what Prometheus reads. */
void metrics_text(struct text *text);

#endif
