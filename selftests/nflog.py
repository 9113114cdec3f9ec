#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""nflog.py FILE: what a group of NFLOG got, as tcpdump has written it to FILE.

A line for each packet: the family, an underscore for each blank of the prefix, and
all the bytes that were logged, in hexadecimal.
"""

import struct
import sys

LINK_TYPE = 239  # of NFLOG
PAYLOAD, PREFIX = 9, 10
FAMILIES = {2: "ipv4", 3: "arp", 10: "ipv6"}


def attributes(record):
    """Each has its length, with these four bytes, and its type before it."""
    offset = 4
    while offset + 4 <= len(record):
        length, kind = struct.unpack_from("=HH", record, offset)
        yield kind, record[offset + 4:offset + length]
        offset += (length + 3) & ~3


def records(capture):
    assert struct.unpack_from("=I", capture, 20)[0] == LINK_TYPE
    offset = 24
    while offset < len(capture):
        length = struct.unpack_from("=I", capture, offset + 8)[0]
        yield capture[offset + 16:offset + 16 + length]
        offset += 16 + length


for packet in records(open(sys.argv[1], "rb").read()):
    found = dict(attributes(packet))
    print(FAMILIES.get(packet[0], packet[0]),
          found.get(PREFIX, b"").rstrip(b"\0").decode().replace(" ", "_") or "_",
          found.get(PAYLOAD, b"").hex() or "-")
