# SPDX-License-Identifier: Apache-2.0
"""Processor time and memory of processes, and the table that a benchmark ends with."""
import json
import os
import re
import statistics
import threading
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def read(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def cpu_seconds(pid, with_children=False):
    """User and system time of a process (and of all children it has reaped); None when it is gone."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15 if with_children else 13])) / TICKS if fields else None


def threads(pid):
    try:
        return os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []


def family(pid):
    """The process and all below it, without a look at the others of the machine."""
    found = [pid]
    for one in found:
        for task in threads(one):
            found += map(int, read(f"/proc/{one}/task/{task}/children").split())
    return found


class Usage:
    """Processor time that the processes below some others spend while the block runs, those that end in it included.

    A process is looked at every few milliseconds: what one spends after the last look is lost, and nothing is counted twice,
    whoever reaps it or doesn't.
    """

    def __init__(self, roots, pause_s=0.01):
        self.roots, self.pause_s, self.done = roots, pause_s, threading.Event()
        self.before, self.last = {}, {}

    def look(self):
        for root in self.roots():
            for pid in family(root):
                seconds = cpu_seconds(pid)
                if seconds is not None:
                    self.last[pid] = max(seconds, self.last.get(pid, 0))

    def watch(self):
        while not self.done.wait(self.pause_s):
            self.look()

    def seconds(self):
        return sum(self.last.values()) - sum(self.before.values())

    def __enter__(self):
        self.look()
        self.before = dict(self.last)
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.look()


def memory(pid, *kinds):
    """Bytes of these kinds in smaps_rollup; the whole resident size where it may not be read."""
    text = read(f"/proc/{pid}/smaps_rollup")
    found = [re.search(rf"^{kind}:\s+(\d+)", text, re.M) for kind in kinds]
    if all(found):
        return sum(int(one[1]) for one in found) * 1024
    resident = re.search(r"^VmRSS:\s+(\d+)", read(f"/proc/{pid}/status"), re.M)
    return int(resident[1]) * 1024 if resident else 0


def private(pid):
    return memory(pid, "Private_Clean", "Private_Dirty")


class Peak:
    """The most memory that the processes pids() tells held together (Pss), looked at while the block runs."""

    def __init__(self, pids, pause_s=0.1):
        self.pids, self.pause_s, self.bytes, self.done = pids, pause_s, 0, threading.Event()

    def watch(self):
        while not self.done.wait(self.pause_s):
            self.bytes = max(self.bytes, sum(memory(pid, "Pss") for pid in self.pids()))

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


class Watch:
    """Seconds since it was made."""

    def __init__(self):
        self.begin = time.monotonic()

    def seconds(self):
        return time.monotonic() - self.begin


class Table:
    """Samples by metric; medians, ratio, spread."""

    def __init__(self, reference_name):
        self.reference_name, self.rows = reference_name, {}

    def add(self, metric, unit, ours, reference=None, name=None):
        row = self.rows.setdefault(metric, {"unit": unit, "ours": [], "reference": [], "name": name or self.reference_name})
        row["ours"].append(ours)
        if reference is not None:
            row["reference"].append(reference)

    def results(self):
        for metric, row in self.rows.items():
            ours = statistics.median(row["ours"])
            reference = statistics.median(row["reference"]) if row["reference"] else None
            yield {"metric": metric, "unit": row["unit"], "ours": round(ours, 6),
                   "reference": None if reference is None else round(reference, 6),
                   "reference_name": row["name"] if reference is not None else None,
                   "ratio": round(ours / reference, 3) if reference else None}

    def show(self):
        def text(value, unit):
            if value is None:
                return "-"
            return f"{value / 1e6:.1f} MB" if unit == "bytes" else f"{value:.2f} {unit}"
        print(f"{'':34}{'ours':>11}{'(spread)':>20}{'reference':>12}{'ratio':>8}")
        for result in self.results():
            samples = self.rows[result["metric"]]["ours"]
            spread = f"({text(min(samples), result['unit'])} – {text(max(samples), result['unit'])})"
            print(f"{result['metric']:34}{text(result['ours'], result['unit']):>11}{spread:>20}"
                  f"{text(result['reference'], result['unit']):>12}{result['ratio'] or '-':>8}")

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(list(self.results()), indent=1) + "\n")
