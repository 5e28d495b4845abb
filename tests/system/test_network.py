# SPDX-License-Identifier: Apache-2.0
"""A link that is cut all the time. FAIRLEAD_NETWORK_CUTS: how often."""
import os
import random

from faults.proxy import Proxy
from harness import make_image, sha256

CUTS = int(os.environ.get("FAIRLEAD_NETWORK_CUTS", "100"))
RECORD, HANDSHAKE = 16384, 4096  # bytes of one TLS record; of a new connection, with the request and its answer


def test_a_cut_of_a_download_costs_a_record_of_tls_and_a_handshake(fleet, new_gateway, tmp_path):
    images = {number: make_image(tmp_path / f"{number}.ext4", f"{number}.0.0", number, size_mib=80, fill_mib=72) for number in (1, 2)}
    release = fleet.publish(fleet.release(tmp_path / "release", images[2], "2.0.0"))
    total = sum(blob.stat().st_size for blob in (release / "blobs").rglob("*") if blob.is_file())
    dice = random.Random(5)
    with Proxy() as proxy:
        gateway = new_gateway(images[1], conf=f"\n[fleet]\nproxy = {proxy.url}\n")
        gateway.wait_connected()
        before = proxy.passed
        proxy.cut = lambda _head: dice.randrange(4000, 2 * total // CUTS) if proxy.cuts < CUTS else None
        job = fleet.deploy(release, gateway)
        fleet.wait_job(job, "committed", timeout=600)
        extra = proxy.passed - before - total
    assert proxy.cuts == CUTS
    assert fleet.states(job).count("staging") == 1
    assert gateway.slot_digest("b") == sha256(images[2])
    assert extra <= 0.005 * total + CUTS * (RECORD + HANDSHAKE), extra
