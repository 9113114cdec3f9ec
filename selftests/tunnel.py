#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A tunnel: makes two tun devices and carries packets from one to the other.

usage: tunnel.py DEVICE DEVICE

A device may be moved to another namespace then, and stays at its end of the
tunnel. Says "ready" once both are there.
"""

import fcntl
import os
import select
import struct
import sys


def open_tun(name):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    # TUNSETIFF; IFF_TUN and IFF_NO_PI
    fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x1001))
    return tun


one, other = map(open_tun, sys.argv[1:])
print("ready", flush=True)
while True:
    for end in select.select([one, other], [], [])[0]:
        packet = os.read(end, 65536)
        try:
            os.write(one if end == other else other, packet)
        except OSError:  # that end is down
            pass
