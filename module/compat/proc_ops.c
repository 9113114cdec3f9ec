// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of /proc with struct proc_ops and its proc_read_iter, before Linux 5.10.
 *
 * The kernel calls a function of the file, and doesn't tell it which operations the
 * file was made with.  So there is a function to read for each operations that
 * files are made with; a few, as these are constants.
 */
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "older.h"

#undef proc_ops
#undef proc_create_data

#ifdef NSGATE_HAS_proc_ops
#define kernel_ops proc_ops
#define open proc_open
#define read proc_read
#define write proc_write
#define llseek proc_lseek
#define release proc_release
#else
#define kernel_ops file_operations
#endif

#define SLOTS 16

static const struct nsgate_proc_ops *wanted[SLOTS]; /* set once, lock */
static struct kernel_ops made[SLOTS]; /* likewise */
static DEFINE_MUTEX(lock);

#ifdef NSGATE_HAS_iov_iter_init
static void init_iter(struct iov_iter *iter, const struct iovec *iov)
{
	iov_iter_init(iter, READ, iov, 1, iov->iov_len);
}
#else
static void init_iter(struct iov_iter *iter, const struct iovec *iov)
{
	iov_iter_init(iter, iov, 1, iov->iov_len, 0);
}
#endif

#ifndef NSGATE_HAS_copy_to_iter
/* To one that init_iter() made. */
size_t nsgate_copy_to_iter(const void *from, size_t len, struct iov_iter *to)
{
	len -= copy_to_user(to->iov->iov_base + to->iov_offset, from, len);
	iov_iter_advance(to, len);
	return len;
}
#endif

static ssize_t read_slot(int slot, struct file *file, char __user *buf,
			 size_t len, loff_t *pos)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct iov_iter iter;
	struct kiocb kiocb;
	ssize_t ret;

	init_sync_kiocb(&kiocb, file);
	kiocb.ki_pos = *pos;
	init_iter(&iter, &iov);
	ret = wanted[slot]->proc_read_iter(&kiocb, &iter);
	*pos = kiocb.ki_pos;
	return ret;
}

#define READ_SLOT(n)							\
static ssize_t read_##n(struct file *file, char __user *buf,		\
			size_t len, loff_t *pos)			\
{									\
	return read_slot(n, file, buf, len, pos);			\
}

READ_SLOT(0)
READ_SLOT(1)
READ_SLOT(2)
READ_SLOT(3)
READ_SLOT(4)
READ_SLOT(5)
READ_SLOT(6)
READ_SLOT(7)
READ_SLOT(8)
READ_SLOT(9)
READ_SLOT(10)
READ_SLOT(11)
READ_SLOT(12)
READ_SLOT(13)
READ_SLOT(14)
READ_SLOT(15)

static ssize_t (*const reads[SLOTS])(struct file *file, char __user *buf,
				     size_t len, loff_t *pos) = {
	read_0, read_1, read_2, read_3, read_4, read_5, read_6, read_7,
	read_8, read_9, read_10, read_11, read_12, read_13, read_14, read_15,
};

static const struct kernel_ops *make_ops(int slot,
					 const struct nsgate_proc_ops *ops)
{
	if (!wanted[slot]) {
		made[slot].open = ops->proc_open;
		made[slot].read = reads[slot];
		made[slot].write = ops->proc_write;
		made[slot].llseek = ops->proc_lseek;
		made[slot].release = ops->proc_release;
		wanted[slot] = ops;
	}
	return &made[slot];
}

static const struct kernel_ops *find_ops(const struct nsgate_proc_ops *ops)
{
	const struct kernel_ops *found = NULL;
	int slot;

	mutex_lock(&lock);
	for (slot = 0; slot < SLOTS && !found; slot++) {
		if (!wanted[slot] || wanted[slot] == ops)
			found = make_ops(slot, ops);
	}
	mutex_unlock(&lock);
	return found;
}

struct proc_dir_entry *nsgate_proc_create_data(const char *name, umode_t mode,
					       struct proc_dir_entry *parent,
					       const struct nsgate_proc_ops *ops,
					       void *data)
{
	const struct kernel_ops *found = find_ops(ops);

	if (WARN_ON_ONCE(!found))
		return NULL;
	return proc_create_data(name, mode, parent, found, data);
}
