#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""born_race.py GATE HEAD SECONDS: a gate is written while there are births.

GATE is the gate file of a target, and HEAD its namespace, a file.
Processes of HEAD make namespaces all the time, send in
them at once, and leave them, so that they die. Once a write of "drop" has
returned, nothing that is begun before the next "accept" may pass in any of them.
Tells how many were made, and how often something was sent with an open and with
a closed gate; fails if what had to be dropped passed.
"""

import ctypes
import fcntl
import mmap
import os
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
MAKERS = 4
WORDS = {"epoch": 0, "end": 1}  # what processes share
SHARED = 4096
COUNTS = ("made", "failed", "open", "closed", "passed")

libc = ctypes.CDLL(None, use_errno=True)
shared = mmap.mmap(-1, SHARED)
words = (ctypes.c_uint64 * (SHARED // 8)).from_buffer(shared)


def count(number, name):
    words[8 + 8 * number + COUNTS.index(name)] += 1


def send(number, sender):
    """An epoch that is odd begins when the gate is closed, and ends before it opens."""
    before = words[WORDS["epoch"]]
    try:
        sender.sendto(bytes(20), ("127.0.0.1", 9))
        passed = True
    except PermissionError:
        passed = False
    if words[WORDS["epoch"]] != before:
        return
    if not before & 1:
        count(number, "open")
        return
    count(number, "closed")
    if passed:
        count(number, "passed")


def make(number):
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    while not words[WORDS["end"]]:
        if libc.unshare(CLONE_NEWNET):
            count(number, "failed")
            continue
        count(number, "made")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            fcntl.ioctl(sender, SIOCSIFFLAGS,
                        struct.pack("16sH14x", b"lo", IFF_UP))
            for _ in range(5):
                send(number, sender)
        libc.setns(home, CLONE_NEWNET)


def start(namespace, number):
    child = os.fork()
    if child:
        return child
    fd = os.open(namespace, os.O_RDONLY)
    if libc.setns(fd, CLONE_NEWNET):
        os._exit(1)
    make(number)
    os._exit(0)


def write(gate, text):
    fd = os.open(gate, os.O_WRONLY)
    os.write(fd, text.encode())
    os.close(fd)


def main(gate, head, seconds):
    children = [start(head, number) for number in range(MAKERS)]
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        write(gate, "drop\n")
        words[WORDS["epoch"]] += 1
        time.sleep(0.05)
        words[WORDS["epoch"]] += 1
        write(gate, "accept\n")
        time.sleep(0.02)
    words[WORDS["end"]] = 1
    for child in children:
        os.waitpid(child, 0)
    sums = [sum(words[8 + 8 * number + i] for number in range(MAKERS))
            for i in range(len(COUNTS))]
    print(*(f"{name} {value}" for name, value in zip(COUNTS, sums)))
    return sums[COUNTS.index("passed")] != 0


sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3]))
