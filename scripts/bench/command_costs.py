#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the command costs; bench-command runs it in a virtual machine, where a
nanosecond is an instruction. usage: command_costs.py MODULE COMMAND"""

import glob
import os
import resource
import subprocess
import sys

from traffic_namespaces import batch

VIEW = "/proc/net/nsgate"
TARGETS = 256
GOAL = 3


def cpu(*command):
    """Millions of instructions that a program and its children take; the least of
    three times, as the first time fills caches."""
    costs = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(costs) * 1000


def row(what, cost):
    print(f"{what:<50} {cost:10,.1f}", flush=True)
    return cost


def make_targets(nsgate):
    """Each has received and sent something."""
    names = [f"target-{i}" for i in range(TARGETS)]
    batch("add", names)
    subprocess.run([nsgate, "bind", *names], check=True)
    for name in names:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "netns", "exec", name, "ping", "-q", "-c", "1", "127.0.0.1"],
                       stdout=subprocess.DEVNULL, check=True)
    return names


def cost_of_targets(nsgate):
    files = [path for name in ("state", "stats", "gate", "limit")
             for path in sorted(glob.glob(f"{VIEW}/[0-9]*/{name}"))]
    assert len(files) == 4 * TARGETS
    cat = row(f"cat of the files of {TARGETS} targets", cpu("cat", *files))
    metrics = row(f"nsgate metrics, {TARGETS} targets", cpu(nsgate, "metrics"))
    row(f"nsgate status, {TARGETS} targets", cpu(nsgate, "status"))
    return metrics / cat


def cost_of_list(nsgate):
    """With what is there already; names of all are looked for."""
    made = TARGETS
    for count in (1000, 4000):
        batch("add", [f"other-{i}" for i in range(made, count)])
        made = count
        row(f"nsgate list, {count:,} namespaces", cpu(nsgate, "list"))


def main():
    module, nsgate = sys.argv[1], os.path.realpath(sys.argv[2])
    subprocess.run(["insmod", module], check=True)
    make_targets(nsgate)
    print("millions of instructions")
    ratio = cost_of_targets(nsgate)
    cost_of_list(nsgate)
    print(f"metrics cost {ratio:.2f} times what cat does; the goal is {GOAL}")
    sys.exit(ratio > GOAL)


main()
