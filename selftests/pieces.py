#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Compares ways to read files, whose text doesn't change, with one big read.

pieces.py SIZE,SIZE... FILE...   reads of SIZE bytes each, one after another;
                                 with a SIZE of 0 reads of any size anywhere
"""

import os
import random
import sys


def read_in_order(file, size):
    text = b""
    while piece := os.read(file, size):
        text += piece
    return text


def read_anywhere(file, whole):
    """Leaves the pieces that differ, for a difference to be seen."""
    for _ in range(200):
        offset = random.randrange(len(whole) + 10)
        size = random.choice((1, 7, 100, 4095, 4096, 65536))
        piece = os.pread(file, size, offset)
        # A read may return less than it was asked for, but not nothing.
        if piece != whole[offset:offset + len(piece)] or \
                not piece and offset < len(whole):
            return b"at %d of %d: " % (offset, len(whole)) + piece
    return whole


def read_whole(path):
    with open(path, "rb", buffering=0) as file:
        return file.read(1 << 20)


def compare(path, size):
    whole = read_whole(path)
    file = os.open(path, os.O_RDONLY)
    text = read_in_order(file, size) if size else read_anywhere(file, whole)
    os.close(file)
    if read_whole(path) != whole:
        # A namespace of somebody else came or went.
        compare(path, size)
    elif text != whole:
        sys.exit(f"{path} in pieces of {size}: '{text.decode()}' "
                 f"instead of '{whole.decode()}'")


for path in sys.argv[2:]:
    for size in sys.argv[1].split(","):
        compare(path, int(size))
