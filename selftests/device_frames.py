#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sends frames through packet sockets in any network namespace.

Reads commands, one a line, and answers each (but flood) with the number of
frames that were sent, or an error:

send NAMESPACE DEVICE COUNT CLAIM FRAME
    FRAME, in hexadecimal digits, through DEVICE; CLAIM is the Ethernet type
    that the socket tells the kernel, in hexadecimal digits too
bypass NAMESPACE DEVICE COUNT CLAIM FRAME
    the same, past the queueing discipline
sweep NAMESPACE PREFIX COUNT CLAIM FRAME
    the same through every device whose name begins with PREFIX
flood NAMESPACE,... PREFIX PAUSE CLAIM FRAME
    sweep these, again and again, with so many seconds in between, whether it
    works or not
"""

import contextlib
import ctypes
import os
import socket
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
home = os.open("/proc/self/ns/net", os.O_RDONLY)


def enter(namespace):
    if libc.setns(namespace, 0):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(namespace):
    """Not to be found there when the namespace is cleaned up."""
    with open("/run/netns/" + namespace, encoding="ascii") as file:
        enter(file.fileno())
    try:
        yield
    finally:
        enter(home)


def sender_in(namespace, bypassing=0):
    """A socket stays in the namespace in which it was made."""
    with inside(namespace):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.setsockopt(263, 20, bypassing)  # SOL_PACKET, PACKET_QDISC_BYPASS
    return sender


def send_through(sender, device, count, claim, frame):
    for _ in range(int(count)):
        sender.sendto(bytes.fromhex(frame), (device, int(claim, 16)))
    return int(count)


def send(namespace, *what):
    return send_through(sender_in(namespace), *what)


def bypass(namespace, *what):
    return send_through(sender_in(namespace, 1), *what)


def devices(namespace, prefix):
    with inside(namespace):
        names = socket.if_nameindex()
    return [name for _, name in names if name.startswith(prefix)]


def sweep(namespace, prefix, *what):
    sender = sender_in(namespace)
    return sum(send_through(sender, name, *what)
               for name in devices(namespace, prefix))


def flood(namespaces, prefix, pause, *what):
    sockets = {name: sender_in(name) for name in namespaces.split(",")}
    while True:
        for namespace, sender in sockets.items():
            for device in devices(namespace, prefix):
                try:
                    send_through(sender, device, 1, *what)
                except OSError:
                    pass
        time.sleep(float(pause))


COMMANDS = {"send": send, "bypass": bypass, "sweep": sweep, "flood": flood}
for line in sys.stdin:
    command, *arguments = line.split()
    try:
        print(COMMANDS[command](*arguments), flush=True)
    except OSError as error:
        print(error, flush=True)
