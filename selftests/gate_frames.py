#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sends what the root of a container may think of, and watches what arrives.

Reads commands, one a line, and answers each with a line:

udp ADDRESS PORT TOKEN [PORT]   a datagram, and from where; "sent" or an error, as
                                for all that send something
connect SOURCE ADDRESS PORT     a TCP connection from this address; "connected"
knock ADDRESS PORT              the beginning of one, nobody waits for an answer
raw KIND SOURCE ADDRESS PORT TOKEN
                                packets of this KIND, from a raw socket
frame DEVICE HOW CLAIM TYPE KIND SOURCE ADDRESS PORT TOKEN
                                the same in frames from a packet socket. HOW is
                                queue, bypass, or split, where only the Ethernet
                                header is linear; CLAIM is the Ethernet type that
                                the socket tells the kernel, TYPE is that of the
                                frame, or more than one: tag.type
xdp DEVICE SOURCE ADDRESS PORT TOKEN
                                a frame from an AF_XDP socket
reflect DEVICE yes|no           has a program send all back that comes in there
flood PORT SOURCE ADDRESS [SOURCE ADDRESS...]
                                datagrams from here to there in turn, for ever,
                                from all CPUs, whether they can be sent or not
fence ADDRESS TOKEN             a datagram from each CPU; "sent"
icmp SOURCE ADDRESS TYPE CODE QUOTED_SOURCE QUOTED_ADDRESS PORT SIZE TOKEN
                                an error that quotes UDP from and to PORT, in so
                                many bytes of IP; "sent"
nd SOURCE ADDRESS TYPE HOPS SIZE TOKEN
                                neighbour discovery, in so many bytes; "sent"
disguise DEVICE ADDRESS SOURCE FRIEND PORT TOKEN
                                a frame whose Ethernet header begins an IP packet
                                to ADDRESS from 8.0.69.0, and which carries UDP
                                from SOURCE to FRIEND; "sent"

tun DEVICE pi|bare              makes it; what it sends counts as seen; "open"
write DEVICE CLAIM KIND SOURCE ADDRESS PORT TOKEN
                                has it receive a packet; CLAIM as for frame, which
                                a bare one doesn't take; "sent"
queue NUMBER VERDICT            answers all that comes to that NFQUEUE so; "bound"

listen ADDRESS PORT             TCP; "listening"
receive ADDRESS PORT            UDP, whose tokens count as seen; "receiving"
hear ADDRESS                    ICMP, whose tokens count as seen; "hearing"
watch                           all frames that come in, whose tokens count as
                                seen; "watching"
ignore                          them from here on; "ignoring"
seen TOKEN                      how many frames or datagrams had it; TOKEN/ADDRESS
                                are the frames of IPv4 that were sent there, and
                                DEVICE are all frames that came in by it, gone
                                those by what is no more when they are looked at
await TOKEN COUNT               the same, once they are so many or after a while

A TOKEN is ng and 8 hexadecimal digits. KIND is one of KINDS.
"""

import errno
import fcntl
import os
import re
import select
import socket
import struct
import sys
import time

# Not in Debian's python3-minimal; who lacks them can't do what needs them.
try:
    import ctypes
    import mmap
except ImportError:
    pass

PATIENCE = 60  # seconds

listening = []
watched = []
tokens = {}


def is_ip6(address):
    return ":" in address


def family(address):
    return socket.AF_INET6 if is_ip6(address) else socket.AF_INET


# ---- packets ----

def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip4(source, address, protocol, body, options=b"", fragment=0):
    """fragment: as in the header, 0x2000 is more of them."""
    words = 5 + len(options) // 4
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x40 | words, 0, words * 4 + len(body), 0x6e67,
        fragment, 64, protocol, 0, socket.inet_aton(source),
        socket.inet_aton(address)) + options
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def ip6(source, address, protocol, body):
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + \
        socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, address) + body


def udp(source, address, port, token):
    body = struct.pack("!HHHH", port, port, 8 + len(token), 0) + token
    if not is_ip6(address):
        return body
    pseudo = socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, address) + \
        struct.pack("!II", len(body), 17)
    return body[:6] + struct.pack("!H", checksum(pseudo + body)) + body[8:]


def tcp(source, address, port, token):
    """What belongs to a connection, as far as a filter without memory can tell."""
    return struct.pack("!HHIIBBHHH", port, port, 1, 1, 0x50, 0x18, 1024, 0, 0) + \
        token


def plain(protocol, make):
    def packets(source, address, port, token):
        build = ip6 if is_ip6(address) else ip4
        return [build(source, address, protocol,
                      make(source, address, port, token))]
    return packets


def cut(source, address, port, token, first):
    """Fragments, the first one with so many bytes behind the IP header."""
    if is_ip6(address):
        body = udp(source, address, port, token)
        return [ip6(source, address, 44, struct.pack("!BxHI", 17, offset | more,
                                                     0x6e67) + part)
                for offset, more, part in ((0, 1, body[:first]),
                                           (first, 0, body[first:]))]
    body = udp(source, address, port, token)
    return [ip4(source, address, 17, body[:first], fragment=0x2000),
            ip4(source, address, 17, body[first:], fragment=first // 8)]


def fragments(source, address, port, token):
    return cut(source, address, port, bytes(64) + token, 32)


def tiny(source, address, port, token):
    return cut(source, address, port, token, 8)


def later(source, address, port, token):
    return fragments(source, address, port, token)[1:]


def options(source, address, port, token):
    """The most that there can be: TCP or UDP begins 60 bytes in."""
    return [ip4(source, address, 17, udp(source, address, port, token),
                options=b"\x01" * 40)]


def hop(source, address, port, token):
    """IPv6 with a hop-by-hop header before UDP."""
    return [ip6(source, address, 0, b"\x11\0\x01\x04\0\0\0\0" +
                udp(source, address, port, token))]


def tunnel(source, address, port, token):
    """IP in IP in UDP: the token is inside."""
    return [ip4(source, address, 4,
                ip4(source, address, 17, udp(source, address, port, token)))]


def arp(source, address, port, token):
    return [struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, bytes(6),
                        socket.inet_aton(source), bytes(6),
                        socket.inet_aton(address)) + token]


def text(source, address, port, token):
    return [token + bytes(46)]


KINDS = {"udp": plain(17, udp), "tcp": plain(6, tcp), "fragments": fragments,
         "tiny": tiny, "later": later, "options": options, "hop": hop,
         "tunnel": tunnel, "arp": arp, "text": text}


def make_packets(kind, source, address, port, token):
    return KINDS[kind](source, address, int(port), token.encode())


def ethernet(source, types, packet):
    """To all, so that nobody needs to know an address."""
    frame = b"\xff" * 6 + source
    *tags, last = types.split(".")
    for tag in tags:
        frame += bytes.fromhex(tag) + struct.pack("!H", 5)
    if last == "length":  # IEEE 802.3 with LLC and SNAP
        return frame + struct.pack("!HBBB3s", len(packet) + 8, 0xaa, 0xaa, 3,
                                   b"\0\0\0") + b"\x08\x00" + packet
    return frame + bytes.fromhex(last) + packet


# ---- sending ----

def send_udp(address, port, token, source="0"):
    sender = socket.socket(family(address), socket.SOCK_DGRAM)
    sender.bind(("", int(source)))
    sender.sendto(token.encode(), (address, int(port)))
    return "sent"


def connect(source, address, port):
    sender = socket.socket(family(address), socket.SOCK_STREAM)
    sender.settimeout(PATIENCE)
    sender.bind((source, 0))
    sender.connect((address, int(port)))
    return "connected"


def knock(address, port):
    sender = socket.socket(family(address), socket.SOCK_STREAM)
    sender.setblocking(False)
    try:
        sender.connect((address, int(port)))
    except BlockingIOError:
        pass
    return "sent"


def send_raw(kind, source, address, port, token):
    sender = socket.socket(family(address), socket.SOCK_RAW, socket.IPPROTO_RAW)
    for packet in make_packets(kind, source, address, port, token):
        sender.sendto(packet, (address, 0))
    return "sent"


def packet_socket(device):
    """Also says the address of the device."""
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((device, 0))
    return sender, sender.getsockname()[4]


def send_frame(device, how, claim, types, kind, source, address, port, token):
    sender, mac = packet_socket(device)
    if how == "bypass":
        sender.setsockopt(263, 20, 1)  # SOL_PACKET, PACKET_QDISC_BYPASS
    vnet = b""
    if how == "split":
        sender.setsockopt(263, 15, 1)  # PACKET_VNET_HDR: what is linear, and more
        vnet = struct.pack("=BBHHHH", 0, 0, 14, 0, 0, 0)
    for packet in make_packets(kind, source, address, port, token):
        if vnet:  # no less than a page is ever split
            packet += bytes(8192)
        sender.sendto(vnet + ethernet(mac, types, packet), (device, int(claim, 16)))
    return "sent"


def flood(port, *addresses):
    for cpu in os.sched_getaffinity(0):
        if os.fork():
            continue
        os.sched_setaffinity(0, {cpu})
        library().prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
        senders = []
        for source, address in zip(addresses[::2], addresses[1::2]):
            sender = socket.socket(family(address), socket.SOCK_DGRAM)
            sender.bind((source, 0))
            sender.connect((address, int(port)))
            senders.append(sender)
        while True:
            for sender in senders:
                try:
                    sender.send(bytes(100))
                except OSError:
                    pass
            time.sleep(0.01)  # others need the CPU as well
    return "sent"


def fence(address, token):
    sender = socket.socket(family(address), socket.SOCK_DGRAM)
    cpus = os.sched_getaffinity(0)
    for cpu in cpus:
        os.sched_setaffinity(0, {cpu})
        sender.sendto(token.encode(), (address, 9))
    os.sched_setaffinity(0, cpus)
    return "sent"


def of_size(packet, size):
    """Made longer, as if there were more behind it."""
    return packet + bytes(int(size) - len(packet))


def icmp6(source, address, body, hops=64):
    pseudo = socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, address) + \
        struct.pack("!II", len(body), 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    packet = ip6(source, address, 58, body)
    return packet[:7] + bytes([hops]) + packet[8:]


def send_packet(address, packet):
    sender = socket.socket(family(address), socket.SOCK_RAW, socket.IPPROTO_RAW)
    sender.sendto(packet, (address, 0))
    return "sent"


def send_icmp(source, address, kind, code, quoted_source, quoted_address, port,
              size, token):
    quote = make_packets("udp", quoted_source, quoted_address, port, token)[0]
    head = struct.pack("!BBHI", int(kind), int(code), 0, 0)
    if is_ip6(address):
        body = of_size(head + quote, int(size) - 40)
        return send_packet(address, icmp6(source, address, body))
    body = of_size(head + quote, int(size) - 20)
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    return send_packet(address, ip4(source, address, 1, body))


def send_nd(source, address, kind, hops, size, token):
    body = struct.pack("!BBHI16s", int(kind), 0, 0, 0,
                       socket.inet_pton(socket.AF_INET6, address)) + token.encode()
    return send_packet(address, icmp6(source, address,
                                      of_size(body, int(size) - 40), int(hops)))


def disguise(device, address, source, friend, port, token):
    sender, _ = packet_socket(device)
    inner = ip4(source, friend, 17, udp(source, friend, int(port), token.encode()))
    # Where the source of the outer header ends and its destination stands, the
    # inner one has its version, its length and its identification.
    inner = inner[:2] + socket.inet_aton(address) + inner[6:]
    outer = struct.pack("!BBHHHBBH", 0x45, 0, 14 + len(inner), 1, 0, 64, 253, 0)
    sender.sendto(outer + b"\x08\x00" + inner, (device, 0x800))
    return "sent"


# ---- tun devices ----

class Tun:
    """In the place of a socket that is watched."""
    family = None

    def __init__(self, device, with_pi):
        self.file = os.open("/dev/net/tun", os.O_RDWR)
        flags = 1 | (0 if with_pi else 0x1000)  # IFF_TUN, IFF_NO_PI
        name = struct.pack("=16sH22x", device.encode(), flags)
        fcntl.ioctl(self.file, 0x400454ca, name)  # TUNSETIFF
        self.with_pi = with_pi

    def fileno(self):
        return self.file

    def recvfrom(self, size):
        return os.read(self.file, size), None

    def write(self, claim, packet):
        if self.with_pi:
            packet = bytes(2) + bytes.fromhex(claim) + packet
        os.write(self.file, packet)

    def close(self):
        os.close(self.file)


tuns = {}


def open_tun(device, kind):
    tuns[device] = Tun(device, kind == "pi")
    watched.append(tuns[device])
    return "open"


def write_tun(device, claim, *packet):
    for data in make_packets(*packet):
        tuns[device].write(claim, data)
    return "sent"


# ---- NFQUEUE ----

def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def queue_message(kind, number, flags, *attributes):
    """To nfnetlink_queue."""
    body = struct.pack("!BBH", 0, 0, number) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), 3 << 8 | kind, flags, 0, 0) + body


def answer_queue(number, verdict):
    number, verdict = int(number), int(verdict)
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    # NFQNL_MSG_CONFIG with NFQNL_CFG_CMD_BIND, and packets without their bytes
    link.send(queue_message(2, number, 5, attribute(1, struct.pack("!BxH", 1, 0)),
                            attribute(2, struct.pack("!IB", 0, 1))))
    error, = struct.unpack_from("=i", link.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))
    if os.fork():
        return "bound"
    library().prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    while True:
        message = link.recv(65536)
        # Behind the headers, the first attribute begins with the number of the
        # packet, which stands in the verdict in the same way.
        if struct.unpack_from("=H", message, 4)[0] == 3 << 8:
            link.send(queue_message(1, number, 1, attribute(
                2, struct.pack("!I", verdict) + message[24:28])))


# ---- XDP ----

def library():
    return ctypes.CDLL(None, use_errno=True)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def send_xdp(*arguments):
    """What the last socket had of the device, a worker of the kernel gives back."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return send_by_new_socket(*arguments)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def send_by_new_socket(device, source, address, port, token):
    """One frame through the transmit ring; copied, for any device can do that."""
    frames = 64
    sender = socket.socket(44, socket.SOCK_RAW, 0)  # AF_XDP
    umem = mmap.mmap(-1, frames * 2048, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    frame = ethernet(packet_socket(device)[1], "0800",
                     make_packets("udp", source, address, port, token)[0])
    umem[:len(frame)] = frame
    where = ctypes.addressof(ctypes.c_char.from_buffer(umem))
    # SOL_XDP: UMEM_REG, fill ring, completion ring, transmit ring
    sender.setsockopt(283, 4, struct.pack("=QQIIII", where, len(umem), 2048, 0, 0, 0))
    sender.setsockopt(283, 5, struct.pack("=I", frames))
    sender.setsockopt(283, 6, struct.pack("=I", frames))
    sender.setsockopt(283, 3, struct.pack("=I", frames))
    # XDP_MMAP_OFFSETS: producer, consumer, descriptors, flags of each ring
    offsets = struct.unpack("=16Q", sender.getsockopt(283, 1, 128))
    producer, _, descriptors, _ = offsets[4:8]
    ring = mmap.mmap(sender.fileno(), descriptors + frames * 16, mmap.MAP_SHARED,
                     offset=0x80000000)
    struct.pack_into("=QII", ring, descriptors, 0, len(frame), 0)
    name = struct.pack("=HHIII", 44, 1 << 1, socket.if_nametoindex(device), 0, 0)
    check(library().bind(sender.fileno(), name, len(name)))
    struct.pack_into("=I", ring, producer, 1)
    check(library().sendto(sender.fileno(), None, 0, socket.MSG_DONTWAIT, None, 0))
    return "sent"


def bpf(command, attributes):
    number = {"x86_64": 321, "s390x": 351, "i686": 357, "ppc64le": 361, "armv7l": 386}
    return check(library().syscall(number.get(os.uname().machine, 280), command,
                                   attributes, len(attributes)))


def attach(device, program):
    """Attaches an XDP program to the device, in the way that any device can."""
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    # IFLA_XDP with IFLA_XDP_FD, IFLA_XDP_FLAGS: generic
    body = struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(device), 0, 0) + \
        struct.pack("=HHHHiHHI", 20, 43 | 0x8000, 8, 1, program, 8, 3, 2)
    link.send(struct.pack("=IHHII", 16 + len(body), 19, 5, 1, 0) + body)
    error, = struct.unpack_from("=i", link.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))


def reflect(device, wanted):
    if wanted == "no":
        attach(device, -1)
        return "sent"
    program = ctypes.create_string_buffer(
        struct.pack("=BBhiBBhi", 0xb7, 0, 0, 3, 0x95, 0, 0, 0))  # return XDP_TX
    licence = ctypes.create_string_buffer(b"GPL")
    attach(device, bpf(5, struct.pack(  # BPF_PROG_LOAD
        "=IIQQ", 6, 2, ctypes.addressof(program),
        ctypes.addressof(licence)).ljust(72, b"\0")))
    return "sent"


# ---- watching ----

def listen(address, port):
    listener = socket.socket(family(address), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen(64)
    listening.append(listener)
    return "listening"


def receive(address, port):
    watcher = socket.socket(family(address), socket.SOCK_DGRAM)
    if is_ip6(address):
        watcher.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    watcher.bind((address, int(port)))
    watched.append(watcher)
    return "receiving"


def hear(address):
    protocol = socket.IPPROTO_ICMPV6 if is_ip6(address) else socket.IPPROTO_ICMP
    watcher = socket.socket(family(address), socket.SOCK_RAW, protocol)
    watcher.bind((address, 0))
    watched.append(watcher)
    return "hearing"


def watch():
    watcher = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                            socket.htons(3))  # ETH_P_ALL
    watcher.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
    watched.append(watcher)
    return "watching"


def ignore():
    for watcher in watched:
        watcher.close()
    watched.clear()
    return "ignoring"


def look(timeout):
    for watcher in select.select(watched, [], [], timeout)[0]:
        frame, sender = watcher.recvfrom(65536)
        if watcher.family == socket.AF_PACKET and sender[2] == 4:  # outgoing
            continue
        names = set(re.findall(rb"ng[0-9a-f]{8}", frame))
        if watcher.family == socket.AF_PACKET:
            if frame[12:14] == b"\x08\x00":
                names |= {name + b"/" + socket.inet_ntoa(frame[30:34]).encode()
                          for name in names}
            names.add(sender[0].encode() or b"gone")
        for name in names:
            tokens[name] = tokens.get(name, 0) + 1


def seen(token):
    while select.select(watched, [], [], 0)[0]:
        look(0)
    for watcher in watched:
        # SOL_PACKET, PACKET_STATISTICS: how many were lost is the second.
        if watcher.family == socket.AF_PACKET and \
           struct.unpack("=II", watcher.getsockopt(263, 6, 8))[1]:
            return "lost"
    return tokens.get(token.encode(), 0)


def wait_for(token, count):
    end = time.monotonic() + PATIENCE
    while tokens.get(token.encode(), 0) < int(count) and time.monotonic() < end:
        look(1)
    return tokens.get(token.encode(), 0)


COMMANDS = {"udp": send_udp, "connect": connect, "knock": knock,
            "raw": send_raw, "frame": send_frame, "xdp": send_xdp,
            "reflect": reflect, "flood": flood, "fence": fence,
            "icmp": send_icmp, "nd": send_nd, "disguise": disguise,
            "tun": open_tun, "write": write_tun, "queue": answer_queue,
            "hear": hear, "listen": listen, "receive": receive, "watch": watch,
            "ignore": ignore, "seen": seen, "await": wait_for}
for line in sys.stdin:
    command, *arguments = line.split()
    try:
        print(COMMANDS[command](*arguments), flush=True)
    except (OSError, NameError) as error:
        print(error, flush=True)
