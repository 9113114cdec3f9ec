#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Holds many network namespaces, and sends packets within each.

Commands come on stdin, one a line, and each is answered with a line:

add COUNT   makes namespaces, whose loopback device is up, and tells their
            inodes; they live until they are dropped, or this process ends
talk        sends packets of all protocols of both families in each of them:
            of each protocol one packet in the first, two in the second, and so
            on up to five
within INODE  makes one in a namespace, and tells its inode, or the error's name
drop INODE  lets go of a namespace
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
PROTOCOLS = (6, 17, 132, 50, 253)

libc = ctypes.CDLL(None, use_errno=True)
home = os.open("/proc/self/ns/net", os.O_RDONLY)
held = {}


def check(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def make():
    check(libc.unshare(CLONE_NEWNET))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS,
                    struct.pack("16sH14x", b"lo", IFF_UP))
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
    held[os.fstat(namespace).st_ino] = namespace
    return os.fstat(namespace).st_ino


def add(count):
    for _ in range(int(count)):
        check(libc.setns(home, 0))
        print(make(), end=" ")
    check(libc.setns(home, 0))
    print()


def within(inode):
    check(libc.setns(held[int(inode)], 0))
    try:
        print(make())
    except OSError as problem:
        print(errno.errorcode[problem.errno])
    check(libc.setns(home, 0))


def talk():
    for number, namespace in enumerate(held.values()):
        check(libc.setns(namespace, 0))
        for family, address in ((socket.AF_INET, "127.0.0.1"),
                                (socket.AF_INET6, "::1")):
            for protocol in PROTOCOLS:
                with socket.socket(family, socket.SOCK_RAW, protocol) as sender:
                    for _ in range(number % 5 + 1):
                        sender.sendto(bytes(20), (address, 0))
    check(libc.setns(home, 0))
    print("sent")


def drop(inode):
    os.close(held.pop(int(inode)))
    print("dropped")


COMMANDS = {"add": add, "talk": talk, "within": within,
            "drop": drop}
for line in sys.stdin:
    command, *arguments = line.split()
    COMMANDS[command](*arguments)
    sys.stdout.flush()
