#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
#
# usage: command.py json
#        command.py list PID...
#        command.py metrics DIRECTORY
#
# A second opinion on what the command nsgate prints, which is read from stdin.
#
# json: whether it is JSON, one value a line or one in all.
# list: the output of "nsgate list --json" has all namespaces of this machine,
#     with the names that /run/netns has and the processes that /proc has, these
#     among them.
# metrics: the text is what Prometheus takes, and says the same as the files of
#     the targets in DIRECTORY, which nothing may change meanwhile.

import json
import os
import re
import sys


def fail(text):
    sys.exit(text)


def same(what, expected, found):
    if expected != found:
        fail(f"{what}: expected {expected!r}, found {found!r}")


def readable(name):
    return os.fsencode(name).decode("utf-8", "replace")


def check_json(text):
    try:
        json.loads(text)
    except json.JSONDecodeError:
        for line in text.splitlines():
            json.loads(line)
    if not text.strip():
        fail("no output")


def inode_of(path):
    try:
        return os.stat(path).st_ino
    except (FileNotFoundError, ProcessLookupError):
        return None


def check_list(text):
    found = {row["inode"]: row for row in json.loads(text)}
    with open("/proc/net/nsgate/namespaces") as file:
        rows = [line.split() for line in file][1:]
    same("inodes", sorted(int(row[0]) for row in rows), sorted(found))
    for inode, cookie, devices, bound in rows:
        row = found[int(inode)]
        same(f"{inode}: cookie", int(cookie), row["cookie"])
        same(f"{inode}: devices", int(devices), row["devices"])
        same(f"{inode}: bound", bound == "***", row["bound"])
        names = sorted(readable(name) for name in os.listdir("/run/netns")
                       if inode_of(f"/run/netns/{name}") == int(inode))
        same(f"{inode}: names", names,
             sorted(n["name"] for n in row["names"] if n["kind"] == "netns"))
    # What came and went meanwhile isn't told; we and what listed are that.
    told = {p["pid"]: inode for inode, row in found.items()
            for p in row["processes"]}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        inode = inode_of(f"/proc/{pid}/ns/net")
        if int(pid) in told and inode:
            same(f"namespace of process {pid}", inode, told[int(pid)])
    for pid in sys.argv[2:]:
        if int(pid) not in told:
            fail(f"process {pid} is missing")


SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? ([0-9]+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def unescape(text):
    return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), text)


def parse_metrics(text):
    """A dict of name, then of the set of labels; each type told before."""
    metrics = {}
    name = None
    for line in text.split("\n")[:-1]:
        match = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
        if match:
            if match[1] == "HELP":
                name = match[2]
                if name in metrics:
                    fail(f"{name} stands twice")
                metrics[name] = {}
            same("TYPE", name, match[2])
            continue
        match = SAMPLE.fullmatch(line)
        if not match or match[1] != name:
            fail(f"not a sample of {name}: {line}")
        labels = frozenset((k, unescape(v)) for k, v in LABEL.findall(match[2] or ""))
        if labels in metrics[name]:
            fail(f"sample stands twice: {line}")
        metrics[name][labels] = int(match[3])
    return metrics


def read_state(directory, name="state"):
    with open(f"{directory}/{name}") as file:
        return dict(line.rstrip("\n").split(" ", 1) for line in file)


def check_metrics(text):
    metrics = parse_metrics(text)
    same("nsgate_up", 1, metrics["nsgate_up"][frozenset()])
    mode = read_state(sys.argv[2], "auto")["mode"]
    same("nsgate_auto_info", {frozenset({("mode", mode)}): 1}, metrics["nsgate_auto_info"])
    columns = {"nsgate_packets_total": 0, "nsgate_bytes_total": 1,
               "nsgate_dropped_packets_total": 2, "nsgate_dropped_bytes_total": 3}
    told = {name: {} for name in columns}
    for name in columns:
        for labels, value in metrics.get(name, {}).items():
            labels = dict(labels)
            key = [labels[k] for k in ("inode", "hook", "family", "proto")]
            told[name][tuple(key)] = value
            total = (*key[:3], "all")
            told[name][total] = told[name].get(total, 0) + value
    inodes = [d for d in os.listdir(sys.argv[2]) if d.isdigit()]
    rows = {}
    for inode in inodes:
        state = read_state(f"{sys.argv[2]}/{inode}")
        with open(f"{sys.argv[2]}/{inode}/stats") as file:
            for line in file.readlines()[1:]:
                words = line.split()
                rows[(inode, *words[:3])] = [int(n) for n in words[3:]]
        info = [dict(labels) for labels in metrics["nsgate_target_info"]
                if ("inode", inode) in labels]
        same(f"{inode}: infos", 1, len(info))
        for key, value in (("status", state["status"]), ("cookie", state["cookie"]),
                           ("policy", state["policy"]),
                           ("limit", read_state(f"{sys.argv[2]}/{inode}", "limit")["mode"])):
            same(f"{inode}: {key}", value, info[0][key])
        evicted = [v for labels, v in metrics["nsgate_flow_evictions_total"].items()
                   if ("inode", inode) in labels]
        same(f"{inode}: evictions", [int(state["flow_evicted"])], evicted)
    for name, column in columns.items():
        for key, values in rows.items():
            same(f"{name} {key}", values[column], told[name].get(key))
        for key, value in told[name].items():
            if key not in rows:
                same(f"{name} {key}", 0, value)
    names = sorted({dict(labels)["netns"] for labels in metrics.get("nsgate_target_live", {})})
    print(json.dumps(names))


def main():
    text = sys.stdin.buffer.read().decode("utf-8")
    {"json": check_json, "list": check_list, "metrics": check_metrics}[sys.argv[1]](text)


main()
