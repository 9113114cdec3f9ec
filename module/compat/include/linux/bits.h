/* SPDX-License-Identifier: GPL-2.0-only */
/* Found where the kernel has none, before Linux 4.19. */
#include <linux/bitops.h>
