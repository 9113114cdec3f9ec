/* SPDX-License-Identifier: GPL-2.0-only */
/* The two programs, whose main is renamed where they are compiled into one. */
#ifndef NSGATE_FUZZ_CONTAINERS_H
#define NSGATE_FUZZ_CONTAINERS_H

int plugin_main(int argc, char **argv);
int command_main(int argc, char **argv);

#endif
