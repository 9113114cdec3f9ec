/* SPDX-License-Identifier: GPL-2.0-only */
/* Found where the kernel has none; see ../../compat.h for what it declares. */
