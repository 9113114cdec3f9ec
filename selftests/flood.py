#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A flood of mice, flows of one packet from forged sources, with heavy flows
among them, and the check that flows lists nothing else. What a flow is can be
told by its source, and so can the size of its packets.

flood.py pktgen ORDER MICE HEAVY CPU...
    Sends so many mice, and so many packets of each of the 10 heavy flows, by
    pktgen on these CPUs, from device s. ORDER is "bursts" of each heavy flow
    with many mice between, or "evenly" after a first part of the mice. The
    sources of the mice are random.
flood.py collide DEVICE MAC MICE HEAVY
    Sends them evenly from one CPU, with such sources that all mice would have
    the same hash, were that not seeded.
flood.py watch ORDER FILE HEAVY
    Reads the flows in FILE until stdin ends, and tells how often it did, or
    what is wrong with them.
"""

import random
import select
import socket
import struct
import sys
import time

HEAVIES = range(1, 11)
GROUPS = range(1, 5)  # of mice
BURSTS = 10

# Seconds between reads, at least. pktgen lets others go first after each packet, so
# where processors take turns it would send no more than a few packets for each read.
PAUSE = 0.01


def heavy(k):
    """Source, destination, both ports, and bytes of a packet."""
    return f"10.1.0.{100 + k}", f"10.2.0.{100 + k}", 1000 + k, 1000 + k, 200 + 16 * k


# ---- pktgen ----

def pktgen(file, *lines):
    for line in lines:
        with open("/proc/net/pktgen/" + file, "w") as control:
            control.write(line + "\n")


def add_device(name, cpu, count, delay, *lines):
    pktgen(f"kpktgend_{cpu}", "add_device " + name)
    pktgen(name, f"count {count}", f"delay {delay}", "clone_skb 0",
           "dst_mac 02:00:00:00:00:01", *lines)


def add_mice(cpu, count, delay):
    for group in GROUPS:
        add_device(f"s@mice{group}_{cpu}", cpu, count // len(GROUPS), delay,
                   f"pkt_size {14 + 46 + group}", f"dst 10.2.1.{group}",
                   f"src_min {10 + group}.0.0.0", f"src_max {10 + group}.255.255.255",
                   "flag IPSRC_RND", "flag UDPSRC_RND",
                   "udp_src_min 1", "udp_src_max 65535",
                   f"udp_dst_min {group}", f"udp_dst_max {group}")


def add_heavies(cpu, count, delay):
    for k in HEAVIES:
        source, destination, source_port, port, length = heavy(k)
        add_device(f"s@heavy{k}_{cpu}", cpu, count, delay,
                   f"pkt_size {14 + length}", "src_min " + source, "src_max " + source,
                   "dst " + destination,
                   f"udp_src_min {source_port}", f"udp_src_max {source_port}",
                   f"udp_dst_min {port}", f"udp_dst_max {port}")


def devices_of(cpu):
    with open(f"/proc/net/pktgen/kpktgend_{cpu}") as thread:
        return [name for line in thread if line.startswith(("Running:", "Stopped:"))
                for name in line.split()[1:]]


def remove_devices(cpu):
    """The thread does it when it gets to run, whoever asked for it: where there
    are none, it would remove those that come next."""
    if devices_of(cpu):
        pktgen(f"kpktgend_{cpu}", "rem_device_all")
    while devices_of(cpu):
        time.sleep(0.05)


def await_result(device):
    while True:
        with open("/proc/net/pktgen/" + device) as file:
            result = file.read().split("Result: ")[1]
        if "usec" in result:
            break
        time.sleep(0.05)
    if not result.startswith("OK: ") or "errors: 0" not in result:
        sys.exit(f"pktgen {device}: {result}")


def run(mice, heavy_packets, delay, cpus):
    """Of the devices of a thread, the next to send is the one whose time has
    come first, and only then its delay is added to that. So delays far too
    short to be kept make an order that doesn't depend on the clock. Without
    delays, one device after another sends all, and the last is the first."""
    count, heavy_count = mice // len(cpus), heavy_packets // len(cpus)
    for cpu in cpus:
        remove_devices(cpu)
        add_mice(cpu, count, delay)
        if heavy_count:
            add_heavies(cpu, heavy_count, delay * count // len(GROUPS) // heavy_count)
    pktgen("pgctrl", "start")
    for cpu in cpus:
        # That it returned means nothing if a thread was slow to start.
        for device in devices_of(cpu):
            await_result(device)
        remove_devices(cpu)


def send_by_pktgen(order, mice, heavy_packets, *cpus):
    mice, heavy_packets = int(mice), int(heavy_packets)
    if order == "bursts":
        for _ in range(BURSTS):
            run(mice // BURSTS, heavy_packets // BURSTS, 0, cpus)
    else:
        part = mice // 20
        run(part, 0, 0, cpus)
        run(mice - part, heavy_packets, 1000, cpus)


# ---- sources that collide ----

# To this address and port 0, all from addresses whose last octet is less than
# 15 have the same product, as far as that counts: no carry gets there.
COLLIDERS = socket.inet_aton("192.0.2.1")


def unseeded_hash(addresses_and_ports):
    """That of nsgate, with 0 for all seeds and protocol UDP."""
    addresses, ports = struct.unpack("=QI", addresses_and_ports)
    product = (17 << 32 | ports) * addresses
    return (product ^ product >> 64) & 0xffffffff


COMMON_HASH = unseeded_hash(bytes(4) + COLLIDERS + bytes(4))


ROUTED = [octet for octet in range(1, 224) if octet not in (10, 127)]


def frame(mac, addresses_and_ports, length):
    addresses, ports = addresses_and_ports[:8], addresses_and_ports[8:]
    header = struct.pack("!BBHHHBB", 0x45, 0, length, 0, 0, 64, 17)
    total = sum(struct.unpack("!9H", header + addresses))
    return mac + bytes(6) + b"\x08\0" + header + struct.pack("!H", checksum(total)) + \
        addresses + ports + struct.pack("!HH", length - 20, 0) + bytes(length - 28)


def checksum(total):
    total = (total & 0xffff) + (total >> 16)
    return (total & 0xffff) + (total >> 16) ^ 0xffff


def mice_by_octet(mac):
    """A mouse for each first octet, cut where the rest of its source goes: an
    emulated machine takes long to make each mouse from nothing."""
    mice = {}
    for octet in ROUTED:
        whole = frame(mac, bytes([octet, 0, 0, 0]) + COLLIDERS + bytes(4), 46 + octet)
        mice[octet] = whole[:24], struct.unpack("!H", whole[24:26])[0] ^ 0xffff, whole[30:]
    return mice


def draw_mouse(mice):
    bits = random.getrandbits(32)
    octet, middle, last = ROUTED[bits % len(ROUTED)], bits >> 16, bits % 15
    before, total, after = mice[octet]
    total += (middle >> 8) + ((middle & 0xff) << 8 | last)
    return before + struct.pack("!HBHB", checksum(total), octet, middle, last) + after


def send_colliders(device, mac, mice, heavy_packets):
    mac = bytes.fromhex(mac.replace(":", ""))
    mice, heavy_packets = int(mice), int(heavy_packets)
    heavies = []
    for k in HEAVIES:
        source, destination, source_port, port, length = heavy(k)
        words = socket.inet_aton(source) + socket.inet_aton(destination) + \
            struct.pack("!HH", source_port, port)
        heavies.append(frame(mac, words, length))
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((device, 0x0800))
    sent, all_heavy = 0, len(heavies) * heavy_packets
    by_octet = mice_by_octet(mac)
    for i in range(mice):
        sender.send(draw_mouse(by_octet))
        while sent * mice < (i + 1) * all_heavy:
            sender.send(heavies[sent % len(heavies)])
            sent += 1


# ---- what is listed ----

def split_end(end):
    address, port = end.split(":")
    return address, int(port)


def mouse_length(order, source, source_port, destination, port):
    """Tells how long a mouse's packet is, None if it isn't one."""
    octet = int(source.split(".")[0])
    if order != "collide":
        group = octet - 10
        known = group in GROUPS and port == group and destination == f"10.2.1.{group}"
        return 46 + group if known else None
    collider = socket.inet_aton(source) + socket.inet_aton(destination) + \
        struct.pack("!HH", source_port, port)
    return 46 + octet if unseeded_hash(collider) == COMMON_HASH else None


class Watch:
    def __init__(self, order, heavy_packets):
        self.order = order
        self.most = heavy_packets
        self.lengths = {}
        for k in HEAVIES:
            source, destination, source_port, port, length = heavy(k)
            self.lengths[f"{source}:{source_port}", f"{destination}:{port}"] = length
        self.before = {}

    def check_row(self, row):
        family, proto, source, destination, *figures = row.split(" ")
        packets, total, age, idle = map(int, figures)
        if family != "ipv4" or proto != "udp":
            return "nobody sent this"
        length = self.lengths.get((source, destination))
        if length:
            # Some of its first packets may get lost in the flood.
            if packets < self.before.get(source, 0):
                return f"it had {self.before[source]} packets"
            if packets > self.most:
                return f"{self.most} were sent"
            if packets >= 100:
                self.before[source] = packets
        else:
            length = mouse_length(self.order, *split_end(source), *split_end(destination))
        if not length:
            return "nobody sent this"
        if total != packets * length:
            return f"its packets have {length} bytes"
        if age < idle:
            return "it was idle before it began"
        return None

    def check(self, text):
        header, *rows = text.splitlines()
        if header != "family proto source destination packets bytes age_ms idle_ms":
            return f"header {header}"
        seen, last = set(), None
        for row in rows:
            columns = row.split(" ")
            error = self.check_row(row)
            if not error and (columns[2], columns[3]) in seen:
                error = "a second row of this flow"
            if not error and last is not None and int(columns[5]) > last:
                error = f"more than {last} bytes, and comes later"
            if error:
                return f"{row}: {error}"
            seen.add((columns[2], columns[3]))
            last = int(columns[5])
        for source in self.before:
            if source not in {ends[0] for ends in seen}:
                return f"{source} is no longer there"
        return None


def watch(order, path, heavy_packets):
    checker = Watch(order, int(heavy_packets))
    reads, rows, ended, pause = 0, 0, False, PAUSE
    while not ended:
        ended = bool(select.select([sys.stdin], [], [], pause)[0])
        start = time.monotonic()
        with open(path) as file:
            text = file.read()
        error = checker.check(text)
        if error:
            sys.exit(error)
        reads += 1
        rows = text.count("\n") - 1
        pause = max(PAUSE, time.monotonic() - start)
    print(reads, rows)


COMMANDS = {"pktgen": send_by_pktgen, "collide": send_colliders, "watch": watch}
COMMANDS[sys.argv[1]](*sys.argv[2:])
