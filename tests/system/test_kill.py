# SPDX-License-Identifier: Apache-2.0
"""kill -9 and power cuts in every state of a job: it ends in the right state with the right content, and little is fetched again.

A program is stopped (faults/stops.py) at the moment the case names, and killed there. `announced`: the agent has said
the state, and not saved it yet; `saved`: it stands in the journal, its step has not begun. All cases share one fleet and
run side by side.

FAIRLEAD_CAMPAIGN=1 runs many more cases at random moments.
"""
import concurrent.futures
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from faults import documents, stops
from faults.hostile import HostileFleet
from harness import FINAL, Fleet, Gateway, eventually, kill_pid, make_image, sha256

STATES = ["received", "verified", "waiting_to_download", "staging", "staged", "waiting_to_activate", "sealing", "activating",
          "restarting", "checking", "committing"]
ON_TRIAL = STATES.index("checking")  # from here on a power cut uses up the trial's boot
DECIDED = 2
SIDE_BY_SIDE = 4
# Durable writes of the helper: the documents of the job, open, staging, sealed, trial; then in the new system, after it has
# seen the trial: its start, the decision, the commit.
WRITES = [("update", number) for number in range(1, 9)] + [("trial", number) for number in range(4)]
FIRST_LINE = {"update": "", "trial": "open job in phase trial"}
CUTS = 20  # of one download, a frame and some more apart
CUT_EVERY = 1400 << 10
SEEDS = 200 if os.environ.get("FAIRLEAD_CAMPAIGN") else 10


def fetched_at_most(blob, kills):
    """One frame, its chunks whole, and the chunk with the frame table for every kill."""
    _, _, frames = documents.frames(blob.read_bytes())
    chunks = max((offset + length - 1) // documents.CHUNK - offset // documents.CHUNK + 1 for offset, length in frames)
    return kills * (chunks + 1) * documents.CHUNK


class World:
    """One fleet, one release, and the images before and after."""

    def __init__(self, folder, keys, images, library):
        self.folder, self.images, self.library = folder, images, library
        self.fleet = Fleet(folder / "fleet", keys)
        self.old, self.new = sha256(images[1]), sha256(images[2])

    def __enter__(self):
        self.fleet.start()
        self.hostile = HostileFleet(self.fleet).__enter__()
        self.release = self.fleet.publish(self.fleet.release(self.folder / "release", self.images[2], "2.0.0"))
        self.blob, = (path for path in (self.release / "blobs").rglob("*") if path.is_file())
        with Case(self, "undisturbed") as case:
            case.deploy()
            case.ends("committed")
            self.fetched = self.hostile.served[case.gateway.id]
        return self

    def __exit__(self, *error):
        self.hostile.__exit__(*error)
        self.fleet.stop()


class Case:
    """A gateway that is to install the release, and what may be asked of it at the end."""

    def __init__(self, world, name):
        self.world, self.fleet, self.kills = world, world.fleet, 0
        self.stops = stops.Stops(world.folder / f"{name}-programs", world.library)
        self.gateway = Gateway(world.folder / name, world.fleet, name, world.images[1], via=world.hostile,
                               programs=self.stops.folder)
        self.job = None

    def __enter__(self):
        self.gateway.start()
        self.gateway.wait_connected(60)
        return self

    def __exit__(self, error, *_):
        self.world.hostile.release(self.gateway.id)
        for name in ("agent", "helper"):
            self.stops.forget(name)
        self.gateway.power_cut() if self.gateway.is_alive() else None
        if not error:
            shutil.rmtree(self.gateway.folder)

    def deploy(self):
        self.job = self.fleet.deploy(self.world.release, self.gateway)

    def stopped_at(self, state, moment):
        """The agent's pid, standing still in that state."""
        self.stops.at("agent", f": {state}", 1 if moment == "saved" else 0)
        if self.job is None:
            self.deploy()
        return self.stops.wait(self.gateway, "agent")

    def kill(self, pid):
        self.kills += 1
        kill_pid(pid)

    def power_cut(self):
        """Old or new runs afterwards, whole."""
        self.kills += 1
        self.gateway.power_cut()
        self.gateway.start()
        slot = eventually(lambda: self.gateway.pid("helper") and self.gateway.slot, "the machine is up again")
        assert self.gateway.slot_digest(slot) == {"a": self.world.old, "b": self.world.new}[slot]

    def ends(self, *states):
        """The job's last state is one of these, and slots and bytes are as they should be."""
        shown = self.fleet.wait_job(self.job, *states, timeout=90)
        gateway = self.gateway
        committed = shown["state"] == "committed"
        eventually(lambda: gateway.slot == ("b" if committed else "a"), "the right slot runs")
        assert gateway.slot_digest("a") == self.world.old
        if committed:
            assert gateway.slot_digest("b") == self.world.new
        assert f"good={gateway.slot}\ntrial=\n" in gateway.decision
        status = eventually(lambda: gateway.ctl("status"), "status")
        assert status["helper"]["trial"] is False
        assert [one["state"] for one in gateway.jobs() if one["state"] not in FINAL] == []
        if self.kills:
            extra = self.world.hostile.served[gateway.id] - self.world.fetched
            assert extra <= fetched_at_most(self.world.blob, self.kills), f"{extra} bytes were fetched again"
        return shown


# the ways to kill; each is one case


def kill_agent(world, name, state, moment):
    with Case(world, name) as case:
        case.kill(case.stopped_at(state, moment))
        case.ends("committed")


def kill_helper(world, name, state, moment):
    with Case(world, name) as case:
        agent = case.stopped_at(state, moment)
        case.kill(case.gateway.pid("helper"))
        stops.Stops.go_on(agent)
        case.ends("committed")


def kill_helper_at_write(world, name, part, number):
    """Between a durable write of the helper and what it would do next."""
    with Case(world, name) as case:
        case.stops.at("helper", FIRST_LINE[part], number)
        case.deploy()
        case.kill(case.stops.wait(case.gateway, "helper"))
        case.ends("committed")


def kill_runner(world, name, after, which):
    """`after` so many bytes; the runner's outer process (which 0), or the one inside its PID namespace (-1)."""
    with Case(world, name) as case:
        world.hostile.hold(after, name)
        case.deploy()
        world.hostile.wait_held(name)
        runners = eventually(case.gateway.runners, "a runner")
        case.kill(runners[which])
        eventually(lambda: not set(runners) & set(case.gateway.runners()), "all of that runner is gone")
        world.hostile.release(name)
        case.ends("committed")


def kill_reader(world, name, *_):
    """The helper's child that reads the slot back."""
    with Case(world, name) as case:
        agent = case.stopped_at("sealing", "saved")
        helper = case.gateway.pid("helper")
        stops.Stops.go_on(agent)
        children = Path(f"/proc/{helper}/task/{helper}/children")
        reader = eventually(lambda: children.read_text().split(), "the reader", 20, 0)
        case.kill(int(reader[0]))
        case.ends("committed")


def cut_power(world, name, state, moment):
    with Case(world, name) as case:
        case.stopped_at(state, moment)
        case.power_cut()
        case.ends("committed", *(["rolled_back"] if STATES.index(state) >= ON_TRIAL else []))


def cut_power_at_write(world, name, part, number):
    with Case(world, name) as case:
        case.stops.at("helper", FIRST_LINE[part], number)
        case.deploy()
        case.stops.wait(case.gateway, "helper")
        case.power_cut()
        case.ends("committed", *(["rolled_back"] if part == "trial" and number < DECIDED else []))


def kill_at_random(world, name, seed, _):
    """Three kills of anything at any moment of about as long as an update takes."""
    dice = random.Random(seed)
    with Case(world, name) as case:
        case.deploy()
        for _ in range(3):
            time.sleep(dice.uniform(0, 1.5))
            victim = dice.choice(["agent", "helper", "runner", "power"])
            if victim == "power":
                case.power_cut()
            elif victim == "runner":
                for pid in case.gateway.runners()[:1]:
                    case.kill(pid)
            elif case.gateway.pid(victim):
                case.kill(case.gateway.pid(victim))
        case.ends("committed", "rolled_back")


def stop_and_go(world, name, program, _):
    """Not killed: suspended for longer than any pause of the protocol between the processes."""
    with Case(world, name) as case:
        case.stopped_at("sealing", "saved")
        pid = case.gateway.pid(program)
        kill_pid(pid, signal.SIGSTOP)
        stops.Stops.go_on(case.gateway.pid("agent")) if program != "agent" else None
        time.sleep(3)
        stops.Stops.go_on(pid)
        case.ends("committed")


KILLS = {"agent": kill_agent, "helper": kill_helper, "helper-write": kill_helper_at_write, "runner": kill_runner,
         "reader": kill_reader, "power": cut_power, "power-write": cut_power_at_write, "random": kill_at_random,
         "suspend": stop_and_go}
CASES = [(victim, state, moment) for victim in ("agent", "helper", "power") for state in STATES
         for moment in ("announced", "saved")]
CASES += [("runner", after, which) for after in (1, 2 << 20, 4 << 20) for which in (0, -1)]
CASES += [("reader", "sealing", "")]
CASES += [(victim, *write) for victim in ("helper-write", "power-write") for write in WRITES]
CASES += [("suspend", program, "") for program in ("agent", "helper")]
CASES += [("random", seed, "") for seed in range(SEEDS)]


def name_of(case):
    return "-".join(str(part).replace("_", "-") for part in case if part != "")


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory, keys, images, stop_library):
    """{case: its future}; the cases that were chosen are all under way, some at a time."""
    folder = tmp_path_factory.mktemp("kill")
    chosen = [item.callspec.params["case"] for item in request.session.items
              if getattr(item, "callspec", None) and "case" in item.callspec.params]
    with World(folder, keys, images, stop_library) as world, \
            concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {case: pool.submit(KILLS[case[0]], world, name_of(case), *case[1:]) for case in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_job_survives(outcomes, case):
    outcomes[case].result()


@pytest.fixture(scope="module")
def large_world(tmp_path_factory, keys, stop_library):
    folder = tmp_path_factory.mktemp("large")
    images = {number: make_image(folder / f"{number}.ext4", f"{number}.0.0", number, size_mib=80, fill_mib=72) for number in (1, 2)}
    with World(folder, keys, images, stop_library) as world:
        yield world


def test_a_download_that_is_cut_often_fetches_a_frame_again_for_each_cut(large_world):
    with Case(large_world, "often") as case:
        hostile, gateway = large_world.hostile, case.gateway
        hostile.hold(CUT_EVERY, gateway.id)
        case.deploy()
        for number in range(CUTS):
            hostile.wait_held(gateway.id)
            victim = ("power", "agent", "helper")[number % 3]  # a runner that ends three times is to blame
            case.power_cut() if victim == "power" else case.kill(gateway.pid(victim))
            hostile.hold(hostile.served[gateway.id] + CUT_EVERY, gateway.id)
        hostile.release(gateway.id)
        case.ends("committed")
