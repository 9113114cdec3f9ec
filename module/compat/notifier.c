// SPDX-License-Identifier: GPL-2.0-only
/*
 * Notifiers of the devices of one namespace, before Linux 5.5: one notifier for all
 * devices looks for the one of the namespace.
 */
#include <linux/hashtable.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>

#include "older.h"

struct listener {
	struct hlist_node hash;
	struct net *net;
	struct notifier_block *notifier;
};

static DEFINE_HASHTABLE(listeners, 8); /* RTNL */

static struct listener *find_listener(const struct net *net,
				      const struct notifier_block *notifier)
{
	struct listener *listener;

	ASSERT_RTNL();
	hash_for_each_possible(listeners, listener, hash, (unsigned long)net) {
		if (listener->net == net && listener->notifier == notifier)
			return listener;
	}
	return NULL;
}

static int tell(struct listener *listener, struct net_device *dev,
		unsigned long event)
{
	struct netdev_notifier_info info = { .dev = dev };

	return listener->notifier->notifier_call(listener->notifier, event,
						 &info);
}

/* A namespace may have two listeners, while it is released and bound again. */
static int device_event(struct notifier_block *notifier, unsigned long event,
			void *info)
{
	const struct net_device *dev = netdev_notifier_info_to_dev(info);
	const struct net *net = dev_net(dev);
	struct listener *listener;
	int ret = NOTIFY_DONE;

	ASSERT_RTNL();
	hash_for_each_possible(listeners, listener, hash, (unsigned long)net) {
		if (listener->net != net)
			continue;
		ret = listener->notifier->notifier_call(listener->notifier,
							event, info);
		if (ret & NOTIFY_STOP_MASK)
			break;
	}
	return ret;
}

static struct notifier_block all_devices = { .notifier_call = device_event };

static void tell_all_gone(struct listener *listener,
			  const struct net_device *last)
{
	struct net_device *dev;

	for_each_netdev(listener->net, dev) {
		if (dev == last)
			break;
		tell(listener, dev, NETDEV_UNREGISTER);
	}
}

/* The devices that are there are told as if they had just come. */
static int tell_all_here(struct listener *listener)
{
	struct net_device *dev;
	int err;

	for_each_netdev(listener->net, dev) {
		err = notifier_to_errno(tell(listener, dev, NETDEV_REGISTER));
		if (err) {
			tell_all_gone(listener, dev);
			return err;
		}
	}
	return 0;
}

int nsgate_register_netdevice_notifier_net(struct net *net,
					   struct notifier_block *notifier)
{
	struct listener *listener;
	int err;

	listener = kzalloc(sizeof(*listener), GFP_KERNEL);
	if (!listener)
		return -ENOMEM;
	listener->net = net;
	listener->notifier = notifier;
	rtnl_lock();
	err = tell_all_here(listener);
	if (!err)
		hash_add(listeners, &listener->hash, (unsigned long)net);
	rtnl_unlock();
	if (err)
		kfree(listener);
	return err;
}

int nsgate_unregister_netdevice_notifier_net(struct net *net,
					     struct notifier_block *notifier)
{
	struct listener *listener;

	rtnl_lock();
	listener = find_listener(net, notifier);
	if (listener) {
		hash_del(&listener->hash);
		tell_all_gone(listener, NULL);
	}
	rtnl_unlock();
	kfree(listener);
	return listener ? 0 : -ENOENT;
}

/* Of two ways to register, 3.10 of el7 hands what is wanted here to this one only. */
#ifdef NSGATE_HAS_register_netdevice_notifier_rh
int nsgate_notifier_init(void)
{
	return register_netdevice_notifier_rh(&all_devices);
}

void nsgate_notifier_exit(void)
{
	unregister_netdevice_notifier_rh(&all_devices);
}
#else
int nsgate_notifier_init(void)
{
	return register_netdevice_notifier(&all_devices);
}

void nsgate_notifier_exit(void)
{
	unregister_netdevice_notifier(&all_devices);
}
#endif
