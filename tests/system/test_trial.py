# SPDX-License-Identifier: Apache-2.0
"""What decides between commit and way back: units, the user's checks, reach, soak, and an agent that is silent.

A trial is mostly waiting, so the scenarios run side by side, each on a gateway of its own; each test shows how one of them ended.
"""
import concurrent.futures
import contextlib
import os
import signal
import threading
import time

import pytest

from harness import Fleet, Gateway, eventually, read

UNIT = "app.service"
SOAK_S = 60
DEADLINE_S = 40
SYSTEMCTL = """\
#!/bin/sh
# Answers `show … -- UNIT…`: every unit is what the file beside this says.
echo asked >>"$0.asked"
while [ "$1" != -- ]; do shift; done
shift
for unit; do printf 'Id=%s\\n%s\\n\\n' "$unit" "$(cat "$0.state")"; done
"""


class Trial(Gateway):
    """A gateway whose units are what the test says, with a check of its own."""

    def __init__(self, folder, fleet, name, image, conf="", check=""):
        super().__init__(folder, fleet, name, image)
        self.systemctl, checks = self.folder / "systemctl", self.folder / "checks"
        checks.mkdir()
        for path, text in ((self.systemctl, SYSTEMCTL), (checks / "50-site", f"#!/bin/sh\n{check or ':'}\n")):
            path.write_text(text)
            path.chmod(0o755)
        with open(self.conf, "a", encoding="utf-8") as out:
            out.write(f"\n[check]\nsystemctl = {self.systemctl}\ndir = {checks}\ngateway = 127.0.0.1\n{conf}")
        self.units("active")

    def units(self, state):
        new = self.systemctl.with_suffix(".new")
        new.write_text(f"LoadState=loaded\nActiveState={state}\nNRestarts=0\n")
        os.replace(new, f"{self.systemctl}.state")

    def times_asked(self):
        return len(read(f"{self.systemctl}.asked").splitlines())

    def waits_for(self, what, timeout=60):
        """The job as the gateway tells it, once it waits in `checking` for that."""
        return eventually(lambda: next((job for job in self.jobs() if (job["state"], job.get("next")) == ("checking", what)), None),
                          lambda: f"waits for {what}, but {self.jobs()}\n{self.logs()}", timeout, 0.2)


class World:
    """Two fleets with their releases; the second one is stopped by the scenarios that need that."""

    def __init__(self, folder, keys, images, stack):
        self.folder, self.images, self.stack, self.lock = folder, images, stack, threading.Lock()
        self.fleet = stack.enter_context(Fleet(folder / "fleet", keys))
        self.units = self.publish(self.fleet, 2, "--unit", UNIT)
        self.soak = self.publish(self.fleet, 4, "--unit", UNIT, "--soak-s", SOAK_S)
        self.lost = stack.enter_context(Fleet(folder / "lost", keys))
        alone = ("--unit", UNIT, "--deadline-s", DEADLINE_S, "--reach")
        self.fleet_only = self.publish(self.lost, 2, *alone, "fleet")
        self.or_gateway = self.publish(self.lost, 4, *alone, "fleet-or-gateway")

    def publish(self, fleet, number, *options):
        folder = self.folder / f"{fleet.folder.name}-{number}"
        return fleet.publish(fleet.release(folder, self.images[number], f"{number}.0.0", *options))

    def gateway(self, fleet=None, **more):
        fleet = fleet or self.fleet
        with self.lock:
            name = fleet.new_name()
            gateway = Trial(self.folder / f"{fleet.folder.name}-{name}", fleet, name, self.images[1], **more)
            self.stack.enter_context(gateway)
        gateway.wait_connected(60)
        return gateway

    def end(self, job, state, timeout=120):
        return self.fleet.wait_job(job, state, timeout=timeout)


# the scenarios


def unit_that_is_active_is_committed(world):
    gateway = world.gateway()
    world.end(world.fleet.deploy(world.units, gateway), "committed")
    assert gateway.slot == "b"
    assert gateway.times_asked() >= 1


def unit_that_failed_is_rolled_back_with_its_name(world):
    gateway = world.gateway()
    gateway.units("failed")
    shown = world.end(world.fleet.deploy(world.units, gateway), "rolled_back")
    assert shown["reason"] == "unit_failed"
    assert f"{UNIT} is failed" in shown["text"]
    assert gateway.slot == "a"


def unit_that_still_starts_is_waited_for(world):
    gateway = world.gateway()
    gateway.units("activating")
    begin = time.time()
    job = world.fleet.deploy(world.units, gateway)
    told = gateway.waits_for("units")
    assert f"{UNIT} is activating" in told["text"]
    assert begin + 500 < told["until"] < time.time() + 610
    asked = gateway.times_asked()
    eventually(lambda: gateway.times_asked() >= asked + 2, "it is asked again", 30)
    assert world.fleet.job(job)["state"] == "checking"
    gateway.units("active")
    world.end(job, "committed")


def check_that_fails_gives_its_last_line(world):
    gateway = world.gateway(check='grep -q 1.0.0 "${0%/*}/../run/image-info" || { echo first; echo "the modem is gone"; exit 3; }')
    shown = world.end(world.fleet.deploy(world.units, gateway), "rolled_back")
    assert shown["reason"] == "check_failed"
    assert shown["text"].endswith("'50-site': exit status 3: the modem is gone")
    assert gateway.slot == "a"


def soak_is_waited_for_and_told(world):
    gateway = world.gateway()
    job = world.fleet.deploy(world.soak, gateway)
    told = gateway.waits_for("soak")
    begin = time.time()
    assert begin + SOAK_S - 10 < told["until"] <= begin + SOAK_S + 2
    why = gateway.ctl("why")
    assert (why["next"], why["until"], why["job_id"]) == ("soak", told["until"], job)
    assert world.fleet.job(job)["until"] == told["until"]
    assert gateway.ctl("status")["helper"]["trial"] is True
    world.end(job, "committed")
    assert time.time() >= told["until"] - 2
    assert gateway.slot == "b"
    assert "refused" not in read(gateway.folder / "log/helper.log")  # both count the soak from the same moment


def unit_that_fails_in_the_soak_is_rolled_back(world):
    gateway = world.gateway()
    job = world.fleet.deploy(world.soak, gateway)
    gateway.waits_for("soak")
    gateway.units("failed")
    shown = world.end(job, "rolled_back")
    assert (shown["reason"], shown["text"]) == ("unit_failed", f"{UNIT} is failed")


def agent_that_is_killed_in_the_soak_goes_on_where_it_was(world):
    gateway = world.gateway()
    job = world.fleet.deploy(world.soak, gateway)
    told = gateway.waits_for("soak")
    time.sleep(20)
    pid = gateway.kill_program("agent")
    eventually(lambda: (gateway.ctl("status") or {}).get("pid") not in (None, pid), "the next agent", 30)
    again = gateway.waits_for("soak")
    assert abs(again["until"] - told["until"]) <= 3
    world.end(job, "committed")
    assert told["until"] - 2 <= time.time() < told["until"] + SOAK_S / 2
    assert gateway.boots() == ["slot a: boots", "slot b: boots, on trial"]


def agent_that_is_silent_is_rolled_back_by_the_helper(world):
    gateway = world.gateway(conf="\n[trial]\nsilence_s = 30\n")
    gateway.units("activating")
    job = world.fleet.deploy(world.units, gateway)
    gateway.waits_for("units")
    begin = time.monotonic()
    os.kill(gateway.pid("agent"), signal.SIGSTOP)
    eventually(lambda: gateway.slot == "a", lambda: f"the old system is back\n{gateway.logs()}", 90)
    assert time.monotonic() - begin >= 10  # it was heard at most 15 s before
    assert world.end(job, "rolled_back")["reason"] == "trial_silent"


def without_the_fleet_its_release_decides(world):
    both = [world.gateway(world.lost) for _ in range(2)]
    for gateway in both:
        gateway.units("activating")
    jobs = [world.lost.deploy(release, gateway) for release, gateway in zip((world.or_gateway, world.fleet_only), both)]
    for gateway in both:
        gateway.waits_for("units")
    world.lost.kill_and_wait()
    for gateway in both:
        gateway.units("active")
    begin = time.time()
    told = both[1].waits_for("heartbeat")
    assert begin < told["until"] <= begin + DEADLINE_S
    eventually(lambda: "good=b" in both[0].decision, lambda: f"the commit by the rule\n{both[0].logs()}", 60)
    eventually(lambda: both[1].slot == "a", lambda: f"the old system is back\n{both[1].logs()}", 60)
    world.lost.start()
    assert world.lost.wait_job(jobs[0], "committed", timeout=90)["state"] == "committed"
    assert world.lost.wait_job(jobs[1], "rolled_back", timeout=90)["reason"] == "unreachable"
    assert [gateway.slot for gateway in both] == ["b", "a"]


SCENARIOS = [soak_is_waited_for_and_told, agent_that_is_killed_in_the_soak_goes_on_where_it_was,
             agent_that_is_silent_is_rolled_back_by_the_helper, without_the_fleet_its_release_decides,
             unit_that_fails_in_the_soak_is_rolled_back, unit_that_still_starts_is_waited_for,
             unit_that_is_active_is_committed, unit_that_failed_is_rolled_back_with_its_name,
             check_that_fails_gives_its_last_line]


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory, keys, images):
    """{scenario: how it ended} of those that are asked for; they have begun."""
    asked = [item.callspec.params["scenario"] for item in request.session.items if "scenario" in getattr(item, "fixturenames", ())
             and item.module is request.module]
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(len(SCENARIOS)) as pool:
        world = World(tmp_path_factory.mktemp("trial"), keys, images, stack)
        yield {scenario: pool.submit(scenario, world) for scenario in asked}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_trial(scenario, outcomes):
    outcomes[scenario].result()
