# SPDX-License-Identifier: Apache-2.0
"""A signed update of a 512 MiB image over HTTPS, by fleet, agent, helper and runner, beside the least that does the same work:

    curl | tee >(openssl dgst -sha256) | zstd -d | dd bs=1M conv=fsync

of the same zstd bytes from the same server into the same prefilled slot. Pairs are interleaved. What the pipeline does
not do is counted apart: the first hash of the slot (only what lacks is fetched) and the seal (the slot is read back
before the switch).
"""
import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from faults import documents  # noqa: E402
from harness import PRODUCT, ROOT, Fleet, Gateway, Keys, descendants, eventually, read, run, sha256  # noqa: E402
from measure import Peak, Table, Usage, Watch, cpu_seconds  # noqa: E402

BENCH = ROOT / "build/bench"
FLOOR = "curl | openssl dgst | zstd -d | dd conv=fsync"


def image(number, size):
    """A real root file system, made once."""
    path = BENCH / f"install-{size}-{number}.ext4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        extra = () if number == 1 else ("--with", "curl,tcpdump,vim-tiny")
        run(ROOT / "script/make-image", path, "--product", PRODUCT, "--version", f"{number}.0.0", "--release-seq", number,
            "--security-version", 1, "--size", size, *extra, timeout=1800)
    return path


def unrelated_bytes(size):
    """As many bytes that have nothing to do with the image, made once."""
    path = BENCH / f"unrelated-{size}"
    if not path.exists() or path.stat().st_size != size:
        with open(path, "wb") as out, open("/dev/zero", "rb") as zeros:
            key = ("-K", "00" * 32, "-iv", "00" * 16)
            with subprocess.Popen(["openssl", "enc", "-aes-256-ctr", *key], stdin=subprocess.PIPE, stdout=out) as cipher:
                for _ in range(size >> 20):
                    cipher.stdin.write(zeros.read(1 << 20))
                cipher.stdin.close()
    return path


def prefill(slot, source):
    """The slot as it is before every run, on the medium."""
    shutil.copyfile(source, slot)
    with open(slot, "rb") as file:
        os.fsync(file.fileno())


def closed_window():
    """No activation today: a job stands still once it is staged."""
    day = time.strftime("%a", time.gmtime(time.time() + 3 * 86400)).lower()
    return f"\n[policy]\nactivate = window.never\n\n[window.never]\ndays = {day}\nstart = 03:00\nlength = 1\n"


def states_in(gateway, job):
    return [line.rpartition(f"job {job}: ")[2] for line in read(gateway.folder / "log/agent.log").splitlines()
            if f"job {job}: " in line]


def wait_state(gateway, job, state, timeout=300):
    """By the log alone: nobody is asked while it is measured."""
    eventually(lambda: state in states_in(gateway, job), lambda: f"{state}: {gateway.logs()}", timeout, 0.01)


def stage(fleet, gateway, release):
    """(job, processor time of the gateway, of the fleet, wall time) up to `staged`."""
    server, watch = cpu_seconds(fleet.child.pid), Watch()
    with Usage(lambda: [pid for pid in map(gateway.pid, ("agent", "helper")) if pid]) as usage:
        job = fleet.deploy(release, gateway)
        wait_state(gateway, job, "staged")
        wall = watch.seconds()
        eventually(lambda: not gateway.runners(), "the runner is reaped")
    return job, usage.seconds(), cpu_seconds(fleet.child.pid) - server, wall


def seal(fleet, gateway, job):
    """Processor time of the helper and its reader while it reads the slot back, from the open gate to the restart."""
    gateway.configure("activate", "always")
    helper = gateway.pid("helper")
    with Usage(lambda: [helper]) as usage:
        gateway.kill_program("agent")
        eventually(lambda: not Path(f"/proc/{helper}").exists(), "the restart", 60, 0.01)
    fleet.wait_job(job, "committed", timeout=120)
    return usage.seconds()


def ours(fleet, gateway, release, table):
    with Peak(lambda: [gateway.pid("agent"), *descendants(gateway.pid("helper")), gateway.pid("helper")]) as peak:
        job, total, fleet_cpu, wall = stage(fleet, gateway, release)
    fetched = next(one for one in gateway.jobs() if one["job_id"] == job).get("fetched_bytes", 0)
    fleet.cli("jobs", "cancel", job)
    fleet.wait_job(job, "cancelled")
    job, hashing, _, _ = stage(fleet, gateway, release)  # all is right already: only looked at
    sealing = seal(fleet, gateway, job)
    table.add("CPU of seal", "s", sealing)
    table.add("CPU of first hash", "s", hashing)
    table.add("peak memory (PSS, gateway)", "bytes", peak.bytes)
    table.add("fetched bytes", "bytes", fetched)
    return {"total": total, "net": total - hashing, "fleet": fleet_cpu, "wall": wall}


def floor(fleet, gateway, blob, slot, device_root):
    """The pipeline, every process a child of this one; returns its processor time, the fleet's and the wall time."""
    start = documents.frames(blob.read_bytes())[2][0][0]
    identity = gateway.folder / "var/identity"
    url = f"https://localhost:{fleet.device_port}/blobs/sha256-wide1/{device_root}"
    before, fleet_before = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_seconds(fleet.child.pid)
    watch = Watch()
    hash_in, hash_out = os.pipe()
    digest = subprocess.Popen(["openssl", "dgst", "-sha256"], stdin=hash_in, stdout=subprocess.DEVNULL)
    os.close(hash_in)
    fetch = subprocess.Popen(["curl", "-sS", "--fail", "--cacert", fleet.ca, "--cert", identity / "device.pem",
                              "--key", identity / "device.key", "-r", f"{start}-", url], stdout=subprocess.PIPE)
    tee = subprocess.Popen(["tee", f"/dev/fd/{hash_out}"], stdin=fetch.stdout, stdout=subprocess.PIPE, pass_fds=[hash_out])
    unpack = subprocess.Popen(["zstd", "-d", "-q", "-c"], stdin=tee.stdout, stdout=subprocess.PIPE)
    write = subprocess.Popen(["dd", f"of={slot}", "bs=1M", "conv=notrunc,fsync", "status=none"], stdin=unpack.stdout)
    os.close(hash_out)
    for pipe in (fetch.stdout, tee.stdout, unpack.stdout):
        pipe.close()
    for child in (fetch, tee, unpack, write, digest):
        assert child.wait() == 0, child.args
    wall, after = watch.seconds(), resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": spent, "fleet": cpu_seconds(fleet.child.pid) - fleet_before, "wall": wall}


def pair(number, folder, fleet, release, images, size, table):
    """One install by each, from the same state, on a gateway of its own."""
    blob, = (path for path in (release / "blobs").rglob("*") if path.is_file())
    with Gateway(folder / f"gw-{number}", fleet, f"gw-{number}", images[1], conf=closed_window()) as gateway:
        slot = gateway.folder / "slots/b.img"
        gateway.wait_connected()
        made = {}

        def run_floor():
            prefill(slot, unrelated_bytes(size))
            made["floor"] = floor(fleet, gateway, blob, slot, blob.name)
            assert sha256(slot) == sha256(images[2]), "the pipeline wrote something else"

        def run_ours():
            prefill(slot, unrelated_bytes(size))
            made["ours"] = ours(fleet, gateway, release, table)
            assert gateway.slot == "b" and sha256(slot) == sha256(images[2]), "the slot holds something else"

        run_floor()  # always first: ours ends in the new system
        run_ours()
    shutil.rmtree(gateway.folder)
    mine, least = made["ours"], made["floor"]
    table.add("CPU of install", "s", mine["total"], least["cpu"])
    table.add("CPU of install, without first hash", "s", mine["net"], least["cpu"])
    table.add("CPU of fleet", "s", mine["fleet"], least["fleet"])
    table.add("wall", "s", mine["wall"], least["wall"])


def main():
    parser = argparse.ArgumentParser(prog="script/bench install", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=7, help="pairs (7)")
    parser.add_argument("--size", default="512M", help="of the image (512M)")
    arguments = parser.parse_args()
    images = {number: image(number, arguments.size) for number in (1, 2)}
    size = images[2].stat().st_size
    table = Table(FLOOR)
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="run.") as name:
        folder = Path(name)
        folder.chmod(0o755)
        keys = Keys(folder / "keys")
        with Fleet(folder / "fleet", keys) as fleet:
            release = fleet.publish(fleet.release(folder / "release", images[2], "2.0.0"))
            for number in range(1, arguments.n + 1):
                pair(number, folder, fleet, release, images, size, table)
                print(f"pair {number} of {arguments.n}", file=sys.stderr, flush=True)
    table.show()
    table.write(BENCH / "install.json")


if __name__ == "__main__":
    main()
