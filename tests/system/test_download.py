# SPDX-License-Identifier: Apache-2.0
"""Downloads: no faster than the owner of the gateway allows, and from whoever has the bytes."""
import re
import shutil
import threading
import time

import pytest

from faults.cache import Cache
from faults.cdn import Cdn
from faults.hostile import Answer
from faults.proxy import Proxy
from harness import Fleet, Gateway, eventually, sha256

LIMIT_KIB_S = 256
RATE = "\n[download]\nrate_kib_s = {}\n"
ALWAYS_OPEN = "window = window.all_day\nwindow_rate_kib_s = 0\n[window.all_day]\ndays = mon-sun\nstart = 00:00\nlength = 1440\n"


class Meter:
    """Samples of (seconds, bytes served to a gateway), while they grow."""

    def __init__(self, hostile, gateway):
        self.hostile, self.id, self.samples, self.running = hostile, gateway.id, [], True
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.thread.join()

    def run(self):
        while self.running:
            served = self.hostile.served[self.id]
            if served and (not self.samples or served != self.samples[-1][1]):
                self.samples.append((time.monotonic(), served))
            time.sleep(0.01)

    def between(self, first, last):
        """Bytes per second between these two shares of all bytes."""
        total = self.samples[-1][1]
        (t0, b0), (t1, b1) = (next(s for s in self.samples if s[1] >= share * total) for share in (first, last))
        return (b1 - b0) / (t1 - t0)

    def burst(self, rate):
        """What came within some second more than the limit."""
        return max(b1 - b0 for i, (t0, b0) in enumerate(self.samples) for t1, b1 in self.samples[i:] if t1 - t0 <= 1) - rate


def test_the_limit_is_kept_on_the_mean_and_hardly_passed_at_once(fleet, hostile, new_gateway, published):
    gateway = new_gateway(conf=RATE.format(LIMIT_KIB_S), via=hostile)
    gateway.wait_connected()
    with Meter(hostile, gateway) as meter:
        fleet.wait_job(fleet.deploy(published(2), gateway), "committed", timeout=120)
    rate = LIMIT_KIB_S * 1024
    assert 0.95 * rate <= meter.between(0.1, 0.95) <= 1.05 * rate
    assert meter.burst(rate) <= (64 + 64 + 128) * 1024, "the bucket, and what the kernels hold on both sides"


def test_another_limit_holds_within_a_window(fleet, hostile, new_gateway, published):
    gateway = new_gateway(conf=RATE.format(1) + ALWAYS_OPEN, via=hostile)
    gateway.wait_connected()
    fleet.wait_job(fleet.deploy(published(2), gateway), "committed", timeout=60)


def test_a_cache_at_the_site_saves_the_link(fleet, hostile, new_gateway, published):
    release = published(2)
    with Cache(release) as cache:
        gateway = new_gateway(conf=cache.conf, via=hostile)
        gateway.wait_connected()
        fleet.wait_job(fleet.deploy(release, gateway), "committed")
    assert not hostile.requests


def test_without_the_cache_the_fleet_serves(fleet, hostile, new_gateway, published):
    release = published(2)
    gateway = new_gateway(conf=Cache(release).conf, via=hostile)
    gateway.wait_connected()
    fleet.wait_job(fleet.deploy(release, gateway), "committed")
    assert hostile.served[gateway.id]


def test_a_cache_that_lies_is_asked_no_more(fleet, hostile, new_gateway, published, tmp_path):
    release = published(2)
    shutil.copytree(release, tmp_path / "cache")
    for blob in (tmp_path / "cache/blobs").rglob("*"):
        if blob.is_file():
            data = bytearray(blob.read_bytes())
            data[3 << 20] ^= 1
            blob.write_bytes(data)
    with Cache(tmp_path / "cache") as cache:
        gateway = new_gateway(conf=cache.conf, via=hostile)
        gateway.wait_connected()
        fleet.wait_job(fleet.deploy(release, gateway), "committed")
    wrong = [line for line in gateway.log_lines() if "[chunk_mismatch]" in line]
    assert len(wrong) == 1, wrong
    total = sum(blob.stat().st_size for blob in (release / "blobs").rglob("*") if blob.is_file())
    assert total - (3 << 20) - (64 << 10) <= hostile.served[gateway.id] < total


def test_a_server_that_asks_for_patience_gets_it(fleet, hostile, new_gateway, published):
    busy, asked = True, []

    def answer(_request):
        asked.append(time.monotonic())
        return Answer(status="503 Service Unavailable", headers={"Retry-After": "14"}) if busy else None
    hostile.content = answer
    gateway = new_gateway(via=hostile)
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    begin = time.time()
    shown = eventually(lambda: (shown := fleet.job(job))["state"] == "waiting_to_download" and shown.get("reason") and shown, "it waits")
    assert shown["reason"] == "http_status"
    assert begin + 8 <= shown["until"] <= begin + 20
    busy = False
    fleet.wait_job(job, "committed")
    assert asked[1] - asked[0] >= 14


def sent_to(cdn):
    """A content rule: a redirect, signed anew each time."""
    return lambda request: Answer(status="302 Found", headers={"Location": cdn.url(request)})


def test_a_redirect_is_followed_and_renews_a_url_that_expires(fleet, hostile, new_gateway, published, images):
    release = published(2)
    blob, = (release / "blobs/sha256-wide1").iterdir()
    with Cdn(fleet, release, good_for=1 << 20) as cdn:
        hostile.content = sent_to(cdn)
        gateway = new_gateway(conf="\n[download]\nprivate_redirects = yes\n", via=hostile)
        gateway.wait_connected()
        job = fleet.deploy(release, gateway)
        fleet.wait_job(job, "committed")
    size = blob.stat().st_size
    assert fleet.states(job).count("staging") == 1
    assert next(cdn.numbers) > size >> 20, "each URL was good for a MiB"
    assert size <= cdn.served <= size * 1.01 + 65536
    assert not any(cdn.certificates), "it does not learn who asks"
    assert gateway.slot_digest("b") == sha256(images[2])


def test_a_circle_of_redirects_ends(fleet, hostile, new_gateway, published):
    hostile.content = lambda request: Answer(status="302 Found", headers={"Location": f"{hostile.base}{request.kind}/sha256-wide1/{request.root}"})
    gateway = new_gateway(via=hostile)
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    eventually(lambda: fleet.job(job).get("reason") == "http_status", lambda: f"{fleet.job(job)}")
    assert len(hostile.requests) < 40
    hostile.content = None
    fleet.wait_job(job, "committed")


@pytest.fixture
def hidden_fleet(tmp_path, keys):
    """Nobody but a proxy can look up its name."""
    with Fleet(tmp_path / "hidden", keys, host="fleet.invalid") as running:
        yield running


def behind(proxy, fleet, folder, images):
    return Gateway(folder / "gateway", fleet, "gw-1", images[1], conf=f"\n[fleet]\nproxy = {proxy.url}\n")


def test_everything_goes_through_the_proxy(hidden_fleet, tmp_path, images):
    fleet = hidden_fleet
    with Proxy(user="site:s3cret") as proxy, behind(proxy, fleet, tmp_path, images) as gateway:
        gateway.wait_connected()
        release = fleet.publish(fleet.release(tmp_path / "release", images[2], "2.0.0"))
        fleet.wait_job(fleet.deploy(release, gateway), "committed")
    assert proxy.asked == {f"fleet.invalid:{port}" for port in (fleet.device_port, fleet.api_port)}
    assert not proxy.refused


def test_a_proxy_that_refuses_is_told(hidden_fleet, tmp_path, images):
    with Proxy(user="site:s3cret") as proxy:
        proxy.admits = lambda head: False
        with behind(proxy, hidden_fleet, tmp_path, images) as gateway:
            eventually(lambda: "407" in gateway.logs(), lambda: f"the reason\n{gateway.logs()}")
    assert not proxy.asked


def budget(key, mib):
    return f"\n[interface.lo]\n{key} = {mib}\n"


def waits_for(fleet, job, what):
    return eventually(lambda: (shown := fleet.job(job))["state"] == "waiting_to_download" and shown.get("next") == what and shown,
                      lambda: f"waits for {what}, but {fleet.job(job)}")


def restarted_with(gateway, key, value):
    gateway.configure(key, value)
    pid = gateway.kill_program("agent")
    eventually(lambda: gateway.pid("agent") not in (None, pid), "a new agent")


def test_a_day_s_budget_is_kept_over_a_crash_and_the_next_day_goes_on(fleet, hostile, new_gateway, published):
    gateway = new_gateway(conf=budget("day_mib", 3), via=hostile)
    gateway.wait_connected()
    hostile.hold(2 << 20)
    release = published(2)
    job = fleet.deploy(release, gateway)
    hostile.wait_held()
    gateway.kill_program("agent")
    hostile.release()
    shown = waits_for(fleet, job, "budget")
    midnight = (int(time.time()) // 86400 + 1) * 86400
    assert (shown["reason"], shown["until"]) == ("byte_budget", midnight)
    late, kernel = 1 << 20, 1 << 20  # what a crash may forget; what was on its way
    assert 3 << 20 <= hostile.served[gateway.id] <= (3 << 20) + late + kernel
    restarted_with(gateway, "day_mib", 100)
    fleet.wait_job(job, "committed")
    total = sum(blob.stat().st_size for blob in (release / "blobs").rglob("*") if blob.is_file())
    assert hostile.served[gateway.id] <= total + 2 * ((1 << 20) + (64 << 10)) + kernel, "two frames again"


def test_a_deployment_that_might_cost_too_much_is_not_begun(fleet, hostile, new_gateway, published):
    gateway = new_gateway(conf=budget("deployment_mib", 2), via=hostile)
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    shown = waits_for(fleet, job, "consent")
    assert shown["reason"] == "byte_budget"
    assert re.fullmatch(r"may fetch \d+ bytes, 2097152 are allowed", shown["text"]), shown
    assert not hostile.requests
    restarted_with(gateway, "deployment_mib", 20)
    fleet.wait_job(job, "committed")
