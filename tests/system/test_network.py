# SPDX-License-Identifier: Apache-2.0
"""A link that is cut all the time. FAIRLEAD_NETWORK_CUTS, FAIRLEAD_CONTROL_CUTS: how often."""
import contextlib
import os
import random
import re
from concurrent import futures

import pytest

from faults.cache import Cache
from faults.proxy import Proxy
from harness import eventually, make_image, sha256

CUTS = int(os.environ.get("FAIRLEAD_NETWORK_CUTS", "300"))
CONTROL_CUTS = int(os.environ.get("FAIRLEAD_CONTROL_CUTS", "64"))
GATEWAYS = 16
BACKOFF_S = 320  # the longest pause of an agent whose connections never last
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


# the messages


@pytest.fixture
def releases(fleet, tmp_path):
    """As many as a gateway may need while its connection is cut, one above the other."""
    made = []
    for number in range(1, 13):
        image = make_image(tmp_path / f"{number}.ext4", f"{number}.0.0", number, size_mib=2, fill_mib=0)
        made.append(image if number == 1 else fleet.publish(fleet.release(tmp_path / f"release-{number}", image, f"{number}.0.0")))
    return made


class Site:
    """A gateway whose content comes from a cache, so that only messages go through its proxy."""

    def __init__(self, stack, fleet, new_gateway, releases, cache):
        self.fleet, self.releases, self.jobs = fleet, releases, []
        self.proxy = stack.enter_context(Proxy())
        self.gateway = new_gateway(releases[0], conf=f"{cache.conf}[fleet]\nproxy = {self.proxy.url}\n")
        self.gateway.wait_connected()

    def update(self):
        self.jobs.append(self.fleet.deploy(self.releases[len(self.jobs) + 1], self.gateway))
        eventually(lambda: self.fleet.job(self.jobs[-1])["state"] == "committed", lambda: f"{self.fleet.job(self.jobs[-1])}", 2 * BACKOFF_S, 1)

    def update_while_cut(self, places):
        """A connection ends at each of the places, and one between them when it has nothing more to say. The agent takes them all for
        failures, and waits longer each time."""
        turns = [turn for place in places for turn in (place, 1 << 40)]
        self.proxy.idle_s = 0.8
        self.proxy.cut = lambda head: turns.pop() if turns and f":{self.fleet.device_port} " in head else None
        while turns and len(self.jobs) + 1 < len(self.releases):
            self.update()
        eventually(lambda: not turns, lambda: f"{len(turns) // 2} places are left", 2 * BACKOFF_S, 0.2)
        if len(self.jobs) + 1 < len(self.releases):
            self.update()
        self.gateway.wait_connected(BACKOFF_S)
        assert self.proxy.cuts >= len(places), "the rest ended by themselves: the system restarts"

    def check(self):
        for job in self.jobs:
            states = self.fleet.states(job)
            assert states[-1] == "committed" and len(states) == len(set(states)), f"each state once: {states}"
        assert len(self.gateway.boots()) == 1 + len(self.jobs), "nothing was installed twice"


@pytest.fixture
def whole_cache(releases, tmp_path):
    """One cache for the content of all."""
    folder = tmp_path / "content"
    for release in releases[1:]:
        for file in release.rglob("sha256-wide1/*"):
            place = folder / file.relative_to(release)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    with Cache(folder) as cache:
        yield cache


def test_the_messages_are_cut_at_every_byte(fleet, new_gateway, releases, whole_cache):
    """FAIRLEAD_CONTROL_CUTS of all places, spread over gateways that update at the same time: what was to be done is done once."""
    conf = fleet.folder / "fleet.conf"
    conf.write_text(re.sub(r"(?m)^reconnect_spread_ms = .*$", "reconnect_spread_ms = 5", conf.read_text()))
    fleet.stop()
    fleet.start()
    with contextlib.ExitStack() as stack:
        first = Site(stack, fleet, new_gateway, releases, whole_cache)
        first.update()
        first.gateway.stop()
        eventually(lambda: len(first.proxy.lengths) >= 2, "its connections are over")
        last = max(first.proxy.lengths)
        assert last > 4000
        dice = random.Random(7)
        places = [place for _ in range(-(-CONTROL_CUTS // last)) for place in dice.sample(range(1, last), last - 1)][:CONTROL_CUTS]
        sites = [Site(stack, fleet, new_gateway, releases, whole_cache) for _ in range(GATEWAYS)]
        with futures.ThreadPoolExecutor(GATEWAYS) as pool:
            list(pool.map(lambda site: site[1].update_while_cut(places[site[0]::GATEWAYS]), enumerate(sites)))
        for site in sites:
            site.check()
