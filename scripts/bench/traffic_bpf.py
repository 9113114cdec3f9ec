# SPDX-License-Identifier: GPL-2.0-only
"""Programs of bpf at the hooks of IP; for bench-traffic."""

import ctypes
import socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)

SYS_BPF = 321
BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_LINK_CREATE = 0, 5, 28
BPF_MAP_TYPE_PERCPU_ARRAY = 6
BPF_PROG_TYPE_NETFILTER = 32
BPF_NETFILTER = 45


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = libc.syscall(SYS_BPF, command, buffer, len(buffer))
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return result


def count_program(counters, index):
    """count[index]++; return NF_ACCEPT;"""
    insns = [
        (0x62, 10, 0, -4, index),  # *(u32 *)(r10 - 4) = index
        (0xBF, 2, 10, 0, 0),  # r2 = r10
        (0x07, 2, 0, 0, -4),  # r2 += -4
        (0x18, 1, 1, 0, counters),  # r1 = counters
        (0, 0, 0, 0, 0),
        (0x85, 0, 0, 0, 1),  # call bpf_map_lookup_elem
        (0x15, 0, 0, 3, 0),  # if (!r0) goto accept
        (0x79, 1, 0, 0, 0),  # r1 = *(u64 *)r0
        (0x07, 1, 0, 0, 1),  # r1++
        (0x7B, 0, 1, 0, 0),  # *(u64 *)r0 = r1
        (0xB7, 0, 0, 0, 1),  # accept: r0 = NF_ACCEPT
        (0x95, 0, 0, 0, 0),  # exit
    ]
    return b"".join(
        struct.pack("<BBhi", code, source << 4 | target, offset, value)
        for code, target, source, offset, value in insns
    )


def attach_programs():
    """Lasts until standard input ends."""
    counters = bpf(BPF_MAP_CREATE, struct.pack("=IIII", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 5))
    for hook in range(5):
        text = count_program(counters, hook)
        insns, licence = ctypes.create_string_buffer(text), ctypes.create_string_buffer(b"GPL")
        attributes = struct.pack(
            "=IIQQ44xI",
            BPF_PROG_TYPE_NETFILTER,
            len(text) // 8,
            ctypes.addressof(insns),
            ctypes.addressof(licence),
            BPF_NETFILTER,
        )
        program = bpf(BPF_PROG_LOAD, attributes)
        for family in socket.AF_INET, socket.AF_INET6:
            # Not at the first priority: there is no place for them.
            bpf(
                BPF_LINK_CREATE,
                struct.pack("=IIIIIIiI", program, 0, BPF_NETFILTER, 0, family, hook, -300, 0),
            )


def run_bpf():
    try:
        attach_programs()
    except OSError as error:
        print(error.strerror, flush=True)
    else:
        print("attached", flush=True)
    sys.stdin.read()
