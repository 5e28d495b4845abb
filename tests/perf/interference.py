# SPDX-License-Identifier: Apache-2.0
"""What an install at full speed does to the gateway's own work.

A neighbour appends 4 KiB and calls fdatasync a hundred times a second, on the same file system: alone, while a 512 MiB image is
installed, and while the same bytes are written the naive way (buffered, one fsync at the end). The slot is prefilled with
unrelated bytes, so that every frame is written. Page cache and processor are looked at during the install.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from harness import Fleet, Gateway, Keys, read  # noqa: E402
from install import BENCH, closed_window, image, prefill, unrelated_bytes, wait_state  # noqa: E402
from measure import Table, Watch, cpu_seconds  # noqa: E402

PERIOD_S, QUIET_S, RECORD = 0.01, 5, b"x" * 4096


class Neighbour:
    """Another program's durable writes; how long each fdatasync took, in seconds."""

    def __init__(self, folder):
        self.path, self.waits, self.done = folder / "neighbour", [], threading.Event()

    def work(self):
        with open(self.path, "wb", buffering=0) as file:
            due = time.monotonic()
            while not self.done.is_set():
                file.write(RECORD)
                begin = time.monotonic()
                os.fdatasync(file.fileno())
                self.waits.append(time.monotonic() - begin)
                due = max(due + PERIOD_S, time.monotonic())
                time.sleep(due - time.monotonic() if due > time.monotonic() else 0)

    def __enter__(self):
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self.path.unlink()

    def p99(self):
        return statistics.quantiles(self.waits, n=100)[98]


class Cache:
    """The most by which the page cache grew while the block ran."""

    def __init__(self):
        self.grown, self.done = 0, threading.Event()

    @staticmethod
    def now():
        return next(int(line.split()[1]) for line in read("/proc/meminfo").splitlines() if line.startswith("Cached:")) * 1024

    def watch(self):
        while not self.done.wait(0.02):
            self.grown = max(self.grown, self.now() - self.begin)

    def __enter__(self):
        self.begin = self.now()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def quiet(folder):
    with Neighbour(folder) as neighbour:
        time.sleep(QUIET_S)
    return neighbour.p99()


def naive(folder, source, slot):
    with Neighbour(folder) as neighbour, Cache() as cache:
        subprocess.run(["dd", f"if={source}", f"of={slot}", "bs=1M", "iflag=direct", "conv=notrunc,fsync", "status=none"],
                       check=True)
        time.sleep(0.5)
    return neighbour.p99(), cache.grown


def ours(folder, fleet, gateway, release):
    agent, helper = gateway.pid("agent"), gateway.pid("helper")
    before, watch = cpu_seconds(agent), Watch()
    with Neighbour(folder) as neighbour, Cache() as cache:
        job = fleet.deploy(release, gateway)
        wait_state(gateway, job, "staged")
        wall = watch.seconds()
    assert gateway.pid("agent") == agent and gateway.pid("helper") == helper, gateway.logs()
    return neighbour.p99(), cache.grown, (cpu_seconds(agent) - before) / wall


def drop_cache(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def round_of(number, folder, fleet, release, images, size, table):
    with Gateway(folder / f"gw-{number}", fleet, f"gw-{number}", images[1], conf=closed_window()) as gateway:
        slot = gateway.folder / "slots/b.img"
        gateway.wait_connected()
        drop_cache(images[2])
        idle = quiet(folder)
        prefill(slot, unrelated_bytes(size))
        drop_cache(slot)
        blind, blind_cache = naive(folder, images[2], slot)
        prefill(slot, unrelated_bytes(size))
        drop_cache(slot)
        mine, mine_cache, agent_share = ours(folder, fleet, gateway, release)
    table.add("fdatasync p99, added", "ms", (mine - idle) * 1e3, (blind - idle) * 1e3)
    table.add("fdatasync p99, alone", "ms", idle * 1e3)
    table.add("page cache grown", "bytes", mine_cache, blind_cache)
    table.add("agent's share of a core", "", agent_share)


def main():
    parser = argparse.ArgumentParser(prog="script/bench interference", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=7, help="rounds (7)")
    parser.add_argument("--size", default="512M", help="of the image (512M)")
    arguments = parser.parse_args()
    images = {number: image(number, arguments.size) for number in (1, 2)}
    size = images[2].stat().st_size
    table = Table("buffered, one fsync at the end")
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="run.") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Fleet(folder / "fleet", Keys(folder / "keys")) as fleet:
            release = fleet.publish(fleet.release(folder / "release", images[2], "2.0.0"))
            for number in range(1, arguments.n + 1):
                round_of(number, folder, fleet, release, images, size, table)
                print(f"round {number} of {arguments.n}", file=sys.stderr, flush=True)
    table.show()
    table.write(BENCH / "interference.json")


if __name__ == "__main__":
    main()
