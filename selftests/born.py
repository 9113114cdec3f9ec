#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Makes network namespaces in the ways that there are; run it in a target.

WAY is one of those below. Tells on a line of its own "INODE PARENT" for each
namespace that it made, where PARENT is the inode of where it was made, and ends
when its standard input does; until then they live. An error of the kernel is
told as its name.

send    makes one, and sends a packet in it as soon as it can: tells the inode,
        and then what came of the packet
fill N  makes namespaces until that fails, N at most: tells how many there are,
        and then the error
"""

import ctypes
import errno
import fcntl
import os
import platform
import signal
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
CLONE = {"x86_64": 56, "aarch64": 220, "i686": 120, "armv7l": 120, "s390x": 120}

libc = ctypes.CDLL(None, use_errno=True)
held = []


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def here():
    return os.open("/proc/self/ns/net", os.O_RDONLY)


def inode(namespace="/proc/self/ns/net"):
    return os.stat(namespace).st_ino


def tell(*words):
    print(*words, flush=True)


def unshare():
    check(libc.unshare(CLONE_NEWNET))


def by_unshare():
    parent = inode()
    unshare()
    tell(inode(), parent)


def by_clone():
    parent = inode()
    flags, stack = CLONE_NEWNET | signal.SIGCHLD, 0
    if platform.machine() == "s390x":  # it has them the other way round
        flags, stack = stack, flags
    child = check(libc.syscall(CLONE[platform.machine()], flags, stack, 0, 0, 0))
    if not child:
        tell(inode(), parent)
        sys.stdin.read()
        os._exit(0)


def by_setns():
    """Back and forth: two namespaces, and none of them made in the other."""
    home = here()
    for _ in range(2):
        check(libc.setns(home, CLONE_NEWNET))
        by_unshare()
        held.append(here())
    check(libc.setns(home, CLONE_NEWNET))


def by_child():
    """A namespace that is made in one that was made."""
    by_unshare()
    held.append(here())
    by_unshare()


def by_socket():
    """Kept by a socket only: there is no other trace of it."""
    home = here()
    by_unshare()
    held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    check(libc.setns(home, CLONE_NEWNET))


def loopback_up(sender):
    fcntl.ioctl(sender, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def send():
    unshare()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        loopback_up(sender)
        try:
            sender.sendto(bytes(20), ("127.0.0.1", 9))
            result = "sent"
        except OSError as error:
            result = errno.errorcode[error.errno]
    tell(inode())
    tell(result)


def fill(most):
    home = here()
    count = 0
    error = "none"
    while count < int(most) and error == "none":
        try:
            unshare()
            held.append(here())
            count += 1
        except OSError as problem:
            error = errno.errorcode[problem.errno]
        check(libc.setns(home, CLONE_NEWNET))
    tell(count)
    tell(error)


WAYS = {"unshare": by_unshare, "clone": by_clone, "setns": by_setns,
        "child": by_child, "socket": by_socket, "send": send, "fill": fill}
WAYS[sys.argv[1]](*sys.argv[2:])
sys.stdin.read()
