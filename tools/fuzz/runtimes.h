/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NSGATE_FUZZ_RUNTIMES_H
#define NSGATE_FUZZ_RUNTIMES_H

/* Has all runtimes read what is in @text. */
void fuzz_runtimes(char *text);

#endif
