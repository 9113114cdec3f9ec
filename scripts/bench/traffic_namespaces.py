# SPDX-License-Identifier: GPL-2.0-only
"""What it costs to work with namespaces; for bench-traffic."""

import glob
import os
import signal
import statistics
import subprocess
import sys
import time


def duration(step, rounds=1):
    start = time.perf_counter_ns()
    for _ in range(rounds):
        step()
    return (time.perf_counter_ns() - start) / rounds


class Others:
    """Tells for how long all but a process that has no priority has run. While
    that one runs, time never jumps as it does when there is nothing to do."""

    def __init__(self):
        self.pid = os.fork()
        if not self.pid:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            while True:
                pass

    def time(self):
        with open(f"/proc/{self.pid}/schedstat", encoding="ascii") as file:
            idle = int(file.read().split()[0])
        return time.perf_counter_ns() - idle

    def settle(self):
        """Until next to nothing runs: what has died is buried by then."""
        quiet = 0
        for _ in range(1000):
            start = self.time()
            time.sleep(0.05)
            quiet = quiet + 1 if self.time() - start < 5_000_000 else 0
            if quiet == 3:
                return
        sys.exit("something runs all the time")

    def cost(self, step):
        start = self.time()
        step()
        return self.time() - start

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def batch(verb, names):
    """All by one command: to start one takes longer than what it does."""
    lines = "".join(f"netns {verb} {name}\n" for name in names)
    subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)


def inode(name):
    return os.stat(f"/run/netns/{name}").st_ino


def read_again(file):
    """All lines of an open file of the kernel, which hands out a page at a time."""
    text = b""
    while part := os.pread(file, 1 << 16, len(text)):
        text += part
    return text.decode().splitlines()


class Memory:
    """What the kernel has allocated, in bytes. Of a slab in use all pieces count
    as allocated, so that there must be none: to shrink the others takes one of
    8 bytes, and files that stay open take no more."""

    def __init__(self):
        slabs = glob.glob("/sys/kernel/slab/*/shrink")
        slabs.sort(key=lambda name: "/kmalloc-8/" in name)
        self.slabs = [os.open(name, os.O_WRONLY) for name in slabs]
        self.files = [os.open(f"/proc/{name}", os.O_RDONLY) for name in ("slabinfo", "meminfo")]
        self.read()

    def read(self):
        """Small pieces to the byte; all but those for each processor; those."""
        for slab in self.slabs:
            os.pwrite(slab, b"1", 0)
        slabs, info = map(read_again, self.files)
        rows = [line.split() for line in slabs if line.startswith("kmalloc-")]
        info = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in info}
        return (
            sum(int(active) * int(size) for _, active, _, size, *_ in rows),
            info["SUnreclaim"] + info["VmallocUsed"],
            info["Percpu"],
        )

    def between(self, do, undo):
        """What is taken from one to the other. Others take and give memory, too, all
        the time: so it is the median of some rounds."""
        rounds, before = [], self.read()
        for _ in range(7):
            do()
            done = self.read()
            undo()
            after = self.read()
            rounds.append([now - (then + later) / 2
                           for now, then, later in zip(done, before, after)])
            before = after
        return [statistics.median(column) for column in zip(*rounds)]


class Module:
    """Is loaded as long as the with statement lasts."""

    def __init__(self, *parameters):
        self.parameters = parameters

    def __enter__(self):
        subprocess.run(["insmod", *self.parameters], check=True)

    def __exit__(self, *_):
        subprocess.run(["rmmod", "nsgate"], check=True)


ADDED = 50


def add_and_delete(others, case, count):
    """Who deletes one leaves the work to the kernel, and doesn't wait for it."""
    names = [f"new{i}" for i in range(ADDED)]

    def delete():
        batch("del", names)
        others.settle()

    others.settle()
    added = others.cost(lambda: batch("add", names)) / ADDED
    others.settle()
    deleted = others.cost(delete) / ADDED
    return {(case, f"add{count}"): added, (case, f"del{count}"): deleted}


def measure_loaded(others, module, count):
    """The least of some rounds: they come in turn, to be fair to each."""
    least = {}
    for _ in range(4):
        rounds = add_and_delete(others, "absent", count)
        with Module(module):
            rounds |= add_and_delete(others, "idle", count)
        with Module(module, f"inode={inode('other')}", "flows=0"):
            rounds |= add_and_delete(others, "elsewhere", count)
        with Module(module, "auto=all"):
            rounds |= add_and_delete(others, "all", count)
        for key, value in rounds.items():
            least[key] = min(value, least.get(key, value))
    return least


def write_inode(text):
    with open("/sys/module/nsgate/parameters/inode", "w", encoding="ascii") as file:
        file.write(text)


def measure_bind(module, name, count):
    """The most of some: the first one after a load has more to do."""
    number, costs = inode(name), []
    with Module(module):
        for _ in range(3):
            costs.append(duration(lambda: write_inode(f"+{number}")))
            write_inode(f"-{number}")
    return {("bind", f"bind{count}"): max(costs)}


TARGETS = 256


def measure_target(others, memory, module, inodes, flows):
    """What one takes of all memory but that for each processor, and of that, which
    the first bind takes and the kernel keeps for the next. A worker frees what was
    released."""

    def release():
        write_inode("\n")
        others.settle()

    with Module(module, f"flows={flows}"):
        before = memory.read()
        write_inode(inodes)
        percpu = memory.read()[2] - before[2]
        release()
        shared = memory.between(lambda: write_inode(inodes), release)[1]
    return shared / TARGETS, percpu / TARGETS


def measure_load(memory, module):
    loaded = Module(module)
    return memory.between(loaded.__enter__, loaded.__exit__)[0]


def measure_targets(others, memory, module, names):
    """Without flows, and with. The tables of these, one for each processor, are not
    allocated as other memory for each processor is."""
    inodes = ",".join(str(inode(name)) for name in names[:TARGETS])
    shared, percpu = measure_target(others, memory, module, inodes, 0)
    with_flows, _ = measure_target(others, memory, module, inodes, 1024)
    return {
        ("memory", "target"): shared,
        ("memory", "target_cpu"): percpu,
        ("memory", "flows_cpu"): with_flows - shared,
    }


def measure_namespaces(module, counts):
    """The first count and the last one tell what a namespace takes of memory. What
    targets take comes before any is deleted, which leaves gaps to be filled."""
    others, memory, names, loaded = Others(), Memory(), [], {}
    for count in counts:
        new = [f"many{i}" for i in range(len(names), count)]
        batch("add", new)
        names += new
        figures = {}
        loaded[count] = measure_load(memory, module)
        if count == counts[-1]:
            more = loaded[count] - loaded[counts[0]]
            figures["memory", "namespace"] = more / (count - counts[0])
            figures |= measure_targets(others, memory, module, names)
        figures |= measure_loaded(others, module, count)
        figures |= measure_bind(module, names[-1], count)
        for (case, what), value in figures.items():
            print(case, what, round(value), sep="\t", flush=True)
    others.end()
