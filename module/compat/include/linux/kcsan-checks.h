/* SPDX-License-Identifier: GPL-2.0-only */
/* Found where the kernel has none; see ../../older.h for what it declares. */
