#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""number.py INODE SPARE: makes INODE the number that the next namespace gets.

The kernel hands out the lowest that is free. All below it but the last SPARE
are taken until the standard input ends, by namespaces of cgroups: unlike one of
the network, such a one takes no more numbers, as for files under /proc. Says so
when INODE is free.
"""

import ctypes
import os
import sys
import time

CLONE_NEWCGROUP = 0x02000000
OWN = "/proc/self/ns/cgroup"
PATIENCE = 60  # seconds; a namespace that died may keep its number for a while

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def take_below(wanted, held):
    """Tells whether all below are taken, and that one is free."""
    while True:
        check(libc.unshare(CLONE_NEWCGROUP))
        namespace = os.open(OWN, os.O_RDONLY)
        number = os.fstat(namespace).st_ino
        if number >= wanted:
            os.close(namespace)
            return number == wanted
        held.append((number, namespace))


def main(wanted, spare):
    home = os.open(OWN, os.O_RDONLY)
    held = []
    end = time.monotonic() + PATIENCE
    while not take_below(wanted, held):
        if time.monotonic() > end:
            sys.exit(f"somebody else has the number {wanted}")
        time.sleep(0.05)
    check(libc.setns(home, CLONE_NEWCGROUP))
    held.sort()
    for _ in range(spare):
        os.close(held.pop()[1])
    print("free", flush=True)
    sys.stdin.read()


main(*map(int, sys.argv[1:]))
