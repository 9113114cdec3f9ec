#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""number.py INODE: makes INODE the number that the next namespace gets.

The kernel hands out the lowest that is free. All below it are taken until the
standard input ends, by namespaces of cgroups: unlike one of the network, such a
one takes no more numbers, as for files under /proc. Says so when INODE is free.
"""

import ctypes
import os
import sys
import time

CLONE_NEWCGROUP = 0x02000000
PATIENCE = 60  # seconds; a namespace that died may keep its number for a while

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def take(wanted):
    """Holds numbers below, and lets go of the first that isn't: tells it."""
    home = os.open("/proc/self/ns/cgroup", os.O_RDONLY)
    number = 0
    while number < wanted:
        check(libc.unshare(CLONE_NEWCGROUP))
        namespace = os.open("/proc/self/ns/cgroup", os.O_RDONLY)
        number = os.fstat(namespace).st_ino
    check(libc.setns(home, CLONE_NEWCGROUP))
    os.close(namespace)
    return number


wanted = int(sys.argv[1])
end = time.monotonic() + PATIENCE
while take(wanted) != wanted:
    if time.monotonic() > end:
        sys.exit(f"somebody else has the number {wanted}")
    time.sleep(0.05)
print("free", flush=True)
sys.stdin.read()
