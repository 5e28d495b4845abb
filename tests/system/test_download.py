# SPDX-License-Identifier: Apache-2.0
"""Downloads on a link that others use too: no faster than the owner of the gateway allows."""
import threading
import time

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
