# SPDX-License-Identifier: GPL-2.0-only
"""What stands where no hook sees it, for bypass.sh: programs of bpf and AF_XDP sockets.

usage: bypass.py xdp|tcx-ingress|tcx-egress DEVICE
       bypass.py xdp-attached DEVICE
       bypass.py sockets COUNT

Says "there" and stays until standard input ends, and what it made goes with it; or
says "none", if this kernel has no such thing.
"""

import ctypes
import errno
import platform
import resource
import socket
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)

SYS_BPF = {"x86_64": 321, "s390x": 351, "i686": 357, "armv7l": 386}.get(
    platform.machine(), 280)
BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28
BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP = 3, 6
BPF_XDP, BPF_TCX_INGRESS, BPF_TCX_EGRESS = 37, 46, 47
XDP_PASS, TCX_NEXT = 2, -1
RTM_SETLINK, NLM_F_REQUEST, NLM_F_ACK = 19, 1, 4
IFLA_XDP, IFLA_XDP_FD, IFLA_XDP_FLAGS, NLA_F_NESTED = 43, 1, 3, 1 << 15
XDP_FLAGS_SKB_MODE = 2
AF_XDP = 44


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = libc.syscall(SYS_BPF, command, buffer, len(buffer))
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return result


def load(program_type, value):
    """return value;"""
    text = struct.pack("<BBhi", 0xB7, 0, 0, value) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    insns, licence = ctypes.create_string_buffer(text), ctypes.create_string_buffer(b"GPL")
    return bpf(
        BPF_PROG_LOAD,
        struct.pack("=IIQQ", program_type, 2, ctypes.addressof(insns), ctypes.addressof(licence)),
    )


def link(device, program_type, value, point):
    program = load(program_type, value)
    bpf(BPF_LINK_CREATE, struct.pack("=IIII", program, socket.if_nametoindex(device), point, 0))


def attribute(kind, value):
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + b"\0" * (-size % 4)


def attach(device, program):
    """Without a link, so that it stays until it is taken off by program -1."""
    xdp = attribute(IFLA_XDP_FD, struct.pack("=i", program)) + attribute(
        IFLA_XDP_FLAGS, struct.pack("=I", XDP_FLAGS_SKB_MODE)
    )
    body = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(device), 0, 0)
    body += attribute(IFLA_XDP | NLA_F_NESTED, xdp)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        header = struct.pack(
            "=IHHII", 16 + len(body), RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0
        )
        netlink.send(header + body)
        (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
    if error:
        raise OSError(-error, "RTM_SETLINK")


def open_sockets(count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 50, count + 50))
    return [socket.socket(AF_XDP, socket.SOCK_RAW, 0) for _ in range(count)]


def make(kind, argument):
    """What has to be kept."""
    if kind == "sockets":
        return open_sockets(int(argument))
    if kind == "xdp-attached":
        return attach(argument, load(BPF_PROG_TYPE_XDP, XDP_PASS))
    program_type, value, point = {
        "xdp": (BPF_PROG_TYPE_XDP, XDP_PASS, BPF_XDP),
        "tcx-ingress": (BPF_PROG_TYPE_SCHED_CLS, TCX_NEXT, BPF_TCX_INGRESS),
        "tcx-egress": (BPF_PROG_TYPE_SCHED_CLS, TCX_NEXT, BPF_TCX_EGRESS),
    }[kind]
    return link(argument, program_type, value, point)


def main():
    kind, argument = sys.argv[1:]
    try:
        kept = make(kind, argument)
    except OSError as error:
        lacks = (errno.EINVAL, errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.ENOSYS)
        if error.errno not in lacks:
            raise
        print("none", flush=True)
        return
    print("there", flush=True)
    sys.stdin.read()
    del kept
    if kind == "xdp-attached":
        attach(argument, -1)


main()
