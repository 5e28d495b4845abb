# SPDX-License-Identifier: Apache-2.0
"""What interruptions cost: bytes over the network to bring an image of 200 MiB, that hardly compresses, to a slot.

bytes      100 connections are reset at random; all that came over the link, TLS and requests included, beside the
           transport's own size
refetched  20 kills and power cuts at even distances; bytes of content that came twice, beside 20 × (frame + chunk)

Bytes are counted, not times: the load of the machine is not in the figures.
"""
import argparse
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from faults.documents import CHUNK, frames  # noqa: E402
from faults.hostile import HostileFleet  # noqa: E402
from faults.proxy import Proxy  # noqa: E402
from harness import ROOT, Fleet, Gateway, Keys, make_image, sha256  # noqa: E402
from measure import Table  # noqa: E402

BENCH = ROOT / "build/bench"
RESETS, KILLS = 100, 20


class Bench:
    def __init__(self, folder, fleet, images, release):
        self.folder, self.fleet, self.images, self.release = folder, fleet, images, release
        self.blob, = (release / "blobs/sha256-wide1").iterdir()
        self.size = self.blob.stat().st_size

    def gateway(self, name, **more):
        return Gateway(self.folder / name, self.fleet, name, self.images[1], **more)

    def complete(self, gateway, job):
        self.fleet.wait_job(job, "committed", timeout=1800)
        assert gateway.slot_digest("b") == sha256(self.images[2])

    def resets(self, number):
        """Bytes that came down the link for the update."""
        dice = random.Random(number)
        with Proxy() as proxy, self.gateway(f"reset-{number}", conf=f"\n[fleet]\nproxy = {proxy.url}\n") as gateway:
            gateway.wait_connected()
            before = proxy.passed
            proxy.cut = lambda _head: dice.randrange(4000, 18 * self.size // (10 * RESETS)) if proxy.cuts < RESETS else None
            self.complete(gateway, self.fleet.deploy(self.release, gateway))
            assert proxy.cuts == RESETS, proxy.cuts
            return proxy.passed - before

    def kills(self, number):
        """Bytes of content beyond the transport's own."""
        step = self.size // (KILLS + 1)
        with HostileFleet(self.fleet) as hostile, self.gateway(f"kill-{number}", via=hostile) as gateway:
            gateway.wait_connected()
            hostile.hold(step)
            job = self.fleet.deploy(self.release, gateway)
            for kill in range(KILLS):
                hostile.wait_held()
                if kill % 3 == 0:
                    gateway.power_cut()
                    gateway.start()
                else:
                    gateway.kill_program(("agent", "helper")[kill % 3 - 1])
                hostile.hold(hostile.served[gateway.id] + step)
            hostile.release()
            self.complete(gateway, job)
            return max(0, hostile.served[gateway.id] - self.size)


def main():
    parser = argparse.ArgumentParser(prog="script/bench resume", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=3, help="rounds (3)")
    parser.add_argument("--mib", type=int, default=200, help="of the image (200)")
    arguments = parser.parse_args()
    BENCH.mkdir(parents=True, exist_ok=True)
    table = Table("the limit")
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="run.") as name:
        folder = Path(name)
        folder.chmod(0o755)
        images = {number: make_image(folder / f"{number}.ext4", f"{number}.0.0", number, size_mib=arguments.mib, fill_mib=2,
                                     news_mib=arguments.mib * 17 // 20) for number in (1, 2)}
        with Fleet(folder / "fleet", Keys(folder / "keys")) as fleet:
            bench = Bench(folder, fleet, images, fleet.publish(fleet.release(folder / "release", images[2], "2.0.0")))
            longest = max(length for _, length in frames(bench.blob.read_bytes())[2])
            for number in range(1, arguments.n + 1):
                table.add("bytes", "bytes", bench.resets(number), bench.size, "the transport alone")
                table.add("refetched", "bytes", bench.kills(number), KILLS * (longest + CHUNK))
                print(f"round {number} of {arguments.n}", file=sys.stderr, flush=True)
    table.show()
    table.write(BENCH / "resume.json")


if __name__ == "__main__":
    main()
