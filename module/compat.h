/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels; the only file that knows their versions.
 */
#ifndef NSGATE_COMPAT_H
#define NSGATE_COMPAT_H

#include <linux/proc_fs.h>
#include <linux/version.h>
#include <net/net_namespace.h>

#if KERNEL_VERSION(5, 12, 0) > LINUX_VERSION_CODE
static inline u64 nsgate_net_cookie(struct net *net)
{
	return atomic64_read(&net->net_cookie);
}
#else
static inline u64 nsgate_net_cookie(const struct net *net)
{
	return net->net_cookie;
}
#endif

#if KERNEL_VERSION(5, 17, 0) > LINUX_VERSION_CODE
#define pde_data PDE_DATA
#endif

#endif /* NSGATE_COMPAT_H */
