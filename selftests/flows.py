#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Tells flows by other means than nsgate, and looks at what nsgate tells.

flows.py capture FILE ADDRESS...
    Prints the flows of a capture (by tcpdump -i any -y LINUX_SLL2) that was
    made in the namespace with these addresses, in the words of flows: family
    proto source destination packets bytes. A packet that enters counts, and one
    that the namespace itself sends: not one that it forwards.
"""

import ipaddress
import struct
import sys

PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 50: "esp", 58: "icmp", 132: "sctp"}
WITH_PORTS = {6, 17, 33, 132, 136}
EXTENSION_HEADERS = {0, 43, 60}  # all but that of fragments, 44
OTHERHOST, OUTGOING = 3, 4  # who a packet is for


def read_packets(file):
    """Yields whom each packet is for, its protocol, and itself."""
    magic, _, _, _, _, _, link_type = struct.unpack("=IHHIIII", file.read(24))
    assert magic == 0xa1b2c3d4 and link_type == 276, "not what was asked of tcpdump"
    # The last packet may not be all there yet.
    while len(header := file.read(16)) == 16:
        length = struct.unpack("=8xII", header)[0]
        packet = file.read(length)
        if len(packet) < length:
            return
        protocol, whom = struct.unpack("!H8xB9x", packet[:20])
        yield whom, protocol, packet[20:]


def find_transport(packet):
    """Tells an IPv6 packet's protocol, where that begins, and whether it is
    the later part of something that was fragmented."""
    following, offset = packet[6], 40
    while following in EXTENSION_HEADERS or following == 44:
        if following == 44:
            length, fragment = 8, struct.unpack_from("!H", packet, offset + 2)[0] >> 3
            if fragment:
                return packet[offset], offset + 8, True
        else:
            length = 8 + 8 * packet[offset + 1]
        following = packet[offset]
        offset += length
    return following, offset, False


def parse(protocol, packet):
    """Tells family, protocol, source, destination, ports and bytes."""
    if protocol == 0x0800:
        words, total = packet[0] & 15, struct.unpack_from("!H", packet, 2)[0]
        later = struct.unpack_from("!H", packet, 6)[0] & 0x1fff != 0
        transport, offset, source, destination = packet[9], words * 4, 12, 16
        size = 4
    else:
        total = 40 + struct.unpack_from("!H", packet, 4)[0]
        transport, offset, later = find_transport(packet)
        source, destination, size = 8, 24, 16
    ports = None
    if transport in WITH_PORTS and not later and total >= offset + 4:
        ports = struct.unpack_from("!HH", packet, offset)
    return ("ipv6" if size == 16 else "ipv4", transport,
            ipaddress.ip_address(packet[source:source + size]),
            ipaddress.ip_address(packet[destination:destination + size]),
            ports, total)


def end(address, port):
    if port is None:
        return str(address)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def capture(path, *addresses):
    own = {ipaddress.ip_address(address) for address in addresses}
    flows = {}
    with open(path, "rb") as file:
        for whom, protocol, packet in read_packets(file):
            if whom == OTHERHOST or protocol not in (0x0800, 0x86dd):
                continue
            family, transport, source, destination, ports, length = parse(protocol, packet)
            if whom == OUTGOING and source not in own:
                continue
            name = PROTOCOLS.get(transport, str(transport))
            ports = ports or (None, None)
            key = f"{family} {name} {end(source, ports[0])} {end(destination, ports[1])}"
            packets, total = flows.get(key, (0, 0))
            flows[key] = packets + 1, total + length
    for key, (packets, total) in flows.items():
        print(key, packets, total)


{"capture": capture}[sys.argv[1]](*sys.argv[2:])
