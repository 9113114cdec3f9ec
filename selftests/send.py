#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sends packets, also such as ordinary tools don't.

Reads commands, one a line, and answers each with "sent" or an error:

udp ADDRESS PORT COUNT SIZE [SOURCE_PORT]
    datagrams of SIZE bytes
raw ADDRESS COUNT PROTOCOL...
    20 bytes of each of these IP protocols
ip SOURCE ADDRESS COUNT PROTOCOL SIZE [OPTIONS]
    IPv4 with SIZE bytes behind so many bytes of options
ip6 SOURCE ADDRESS COUNT HEADER...
    IPv6 with these headers, one after another
frame DEVICE MAC SOURCE ADDRESS COUNT SIZE HEADER...
    the same, and SIZE bytes behind, in an Ethernet frame of which nothing
    beyond the IPv6 header is in the linear part of the skb
cpu NUMBER
    nothing, but from here on sends from this CPU
tcp ADDRESS PORT SIZE
    SIZE bytes through a connection, once somebody listens
sink PORT SIZE
    the other end of tcp: fails unless SIZE bytes come

HEADER is one of HEADERS, or the number of a protocol: 20 bytes of it. The last
can be cut short: dest/3 are the first three bytes of one.
"""

import os
import socket
import struct
import sys
import time

# What each has for a next header, and what it has behind that byte.
HEADERS = {
    "hop": (0, b"\0\x01\x04\0\0\0\0"),
    "route": (43, b"\0\xfd\0\0\0\0\0"),
    "first": (44, struct.pack("!xHI", 1, 0x6e7367)),
    "later": (44, struct.pack("!xHI", 185 << 3, 0x6e7368)),
    "dest": (60, b"\0\x01\x04\0\0\0\0"),
}


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def send_udp(address, port, count, size, source="0"):
    sender = socket.socket(family(address), socket.SOCK_DGRAM)
    sender.bind(("", int(source)))
    for _ in range(int(count)):
        sender.sendto(bytes(int(size)), (address, int(port)))


def send_raw(address, count, *protocols):
    for protocol in protocols:
        sender = socket.socket(family(address), socket.SOCK_RAW, int(protocol))
        for _ in range(int(count)):
            sender.sendto(bytes(20), (address, 0))


def send_ip(source, address, count, protocol, size, options="0"):
    """The kernel fills in length and checksum."""
    words = 5 + int(options) // 4
    packet = struct.pack(
        "!BBHHHBBH4s4s", 0x40 | words, 0, 0, 0, 0, 64, int(protocol), 0,
        socket.inet_aton(source), socket.inet_aton(address))
    packet += b"\x01" * int(options) + bytes(int(size))
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for _ in range(int(count)):
        sender.sendto(packet, (address, 0))


def ip6_packet(source, address, headers, behind=b""):
    packet = b""
    following = 59  # nothing
    for header in reversed(headers):
        name, _, cut = header.partition("/")
        if name.isdigit():
            protocol, text = int(name), bytes(20)
        else:
            protocol, rest = HEADERS[name]
            text = bytes([following]) + rest
        packet = text[:int(cut or len(text))] + packet
        following = protocol
    packet += behind
    return struct.pack("!IHBB", 6 << 28, len(packet), following, 64) + \
        socket.inet_pton(socket.AF_INET6, source) + \
        socket.inet_pton(socket.AF_INET6, address) + packet


def send_ip6(source, address, count, *headers):
    packet = ip6_packet(source, address, headers)
    sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for _ in range(int(count)):
        sender.sendto(packet, (address, 0))


def send_frame(device, mac, source, address, count, size, *headers):
    packet = ip6_packet(source, address, headers, bytes(int(size)))
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.setsockopt(263, 15, 1)  # SOL_PACKET, PACKET_VNET_HDR
    sender.bind((device, 0x86dd))
    ethernet = bytes.fromhex(mac.replace(":", "")) + bytes(6) + b"\x86\xdd"
    # struct virtio_net_hdr; hdr_len is what is to be linear.
    vnet = struct.pack("=BBHHHH", 0, 0, len(ethernet) + 40, 0, 0, 0)
    for _ in range(int(count)):
        sender.send(vnet + ethernet + packet)


def use_cpu(number):
    os.sched_setaffinity(0, {int(number)})


def send_tcp(address, port, size):
    pause = 0.05
    while True:
        try:
            sender = socket.create_connection((address, int(port)))
            break
        except ConnectionRefusedError:
            # Each attempt is two flows more, and a slow machine would fill a table.
            time.sleep(pause)
            pause *= 2
    with sender:
        sender.sendall(bytes(int(size)))


def sink(port, size):
    listener = socket.create_server(("", int(port)), family=socket.AF_INET6,
                                    dualstack_ipv6=True)
    received = 0
    with listener, listener.accept()[0] as connection:
        while chunk := connection.recv(1 << 18):
            received += len(chunk)
    if received != int(size):
        raise OSError(f"{received} bytes came instead of {size}")


COMMANDS = {"udp": send_udp, "raw": send_raw, "ip": send_ip, "ip6": send_ip6,
            "frame": send_frame, "cpu": use_cpu, "tcp": send_tcp, "sink": sink}
for line in sys.stdin:
    command, *arguments = line.split()
    try:
        COMMANDS[command](*arguments)
        print("sent", flush=True)
    except OSError as error:
        print(error, flush=True)
