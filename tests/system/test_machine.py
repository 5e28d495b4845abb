# SPDX-License-Identifier: Apache-2.0
"""script/machine boots, counts and restarts as the firmware and init of a real gateway would."""
import hashlib
import json
import os
import shutil
import signal

import pytest

from harness import ROOT, Program, eventually, image_info, is_gone, make_image, read, run

SERVICE = "#!/bin/sh\necho start >>{folder}/{name}.starts\nexec sleep 1000\n"


class Machine(Program):
    """script/machine with programs that only sleep."""

    def __init__(self, folder, images):
        self.folder = folder
        for name in ("slots", "boot", "run", "log", "bin"):
            (folder / name).mkdir()
        for slot, image in images.items():
            shutil.copy(image, folder / f"slots/{slot}.img")
        for name in ("helper", "agent"):
            program = folder / f"bin/fairlead-{name}"
            program.write_text(SERVICE.format(folder=folder, name=name))
            program.chmod(0o755)
        (folder / "gateway.conf").write_text("")
        super().__init__([ROOT / "script/machine", folder, "--bin", folder / "bin"], folder / "log/console.log")

    def decide(self, seq, good, trial="", tries=0):
        body = f"fairlead-sim-boot 1\nseq={seq}\ngood={good}\ntrial={trial}\ntries={tries}\nwithdrawn=\n"
        digest = hashlib.sha256(body.encode()).hexdigest()
        (self.folder / "boot/decision").write_text(f"{body}sha256={digest}\n")

    def says(self, name):
        return read(self.folder / "run" / name)

    def pids(self):
        """Of helper and agent, once both run."""
        return eventually(lambda: all(pids := [self.says(f"{name}.pid") for name in ("helper", "agent")])
                          and [int(pid) for pid in pids], "both programs run")

    def restart(self):
        """As the helper asks for it; returns when the next system runs."""
        before = self.says("boot-id")
        (self.folder / "run/restart").touch()
        eventually(lambda: self.says("boot-id") not in ("", before), "the next boot")
        self.pids()

    def boots(self):
        return [line.split(" ", 1)[1] for line in read(self.folder / "log/machine.log").splitlines()]


@pytest.fixture
def machine(tmp_path, images):
    with_slots = Machine(tmp_path, {"a": images[1], "b": images[2]})
    yield with_slots
    if with_slots.child:
        with_slots.stop()


def test_prove_is_the_good_slot_under_that_name_until_the_count_is_used_up(machine):
    machine.decide(2, "a", "prove", 2)
    machine.start()
    machine.pids()
    assert machine.says("slot") == "prove"
    assert machine.says("image-info") == image_info("1.0.0", 1)
    machine.restart()
    assert machine.says("slot") == "prove"
    machine.restart()
    assert machine.says("slot") == "a"
    assert machine.boots() == ["slot prove: boots, on trial"] * 2 + ["slot a: boots"]


def test_boots_the_good_slot_and_tells_which(machine):
    machine.decide(1, "a")
    machine.start()
    machine.pids()
    assert machine.says("slot") == "a"
    assert machine.says("image-info") == image_info("1.0.0", 1)
    assert len(machine.says("boot-id")) == 36


def test_trial_is_counted_and_ends_at_the_good_slot(machine):
    machine.decide(2, "a", trial="b", tries=2)
    machine.start()
    machine.pids()
    assert machine.says("slot") == "b"
    machine.restart()
    assert machine.says("slot") == "b"
    machine.restart()
    assert machine.says("slot") == "a"
    assert json.loads(machine.folder.joinpath("boot/machine").read_text())["used"] == 2


def test_boots_are_counted_only_during_a_trial(machine):
    machine.decide(3, "b")
    machine.start()
    machine.pids()
    memory = read(machine.folder / "boot/machine")
    for _ in range(3):
        machine.restart()
    assert read(machine.folder / "boot/machine") == memory


@pytest.mark.parametrize("fault", ["no init", "no image-info", "damaged file system"])
def test_slot_that_cannot_boot_falls_back_with_the_reason(machine, images, tmp_path, fault):
    slot = tmp_path / "slots/b.img"
    if fault == "no init":
        shutil.copy(images[3], slot)
    elif fault == "no image-info":
        run("debugfs", "-w", "-R", "rm /usr/lib/fairlead/image-info", slot)
    else:
        with open(slot, "r+b") as image:
            image.write(bytes(1 << 20))
    machine.decide(4, "a", trial="b", tries=2)
    machine.start()
    machine.pids()
    assert machine.says("slot") == "a"
    assert machine.says("boot-failure") == f"slot b: {fault}\nslot b: {fault}, on trial"
    assert machine.boots() == [f"slot b: {fault}, on trial"] * 2 + ["slot a: boots"]


def test_failure_is_told_until_the_next_trial(machine, images, tmp_path):
    shutil.copy(images[3], tmp_path / "slots/b.img")
    machine.decide(5, "a", trial="b", tries=1)
    machine.start()
    machine.pids()
    machine.decide(6, "a")
    machine.restart()
    assert machine.says("boot-failure").startswith("slot b: no init\n")
    shutil.copy(images[2], tmp_path / "slots/b.img")
    machine.decide(7, "a", trial="b", tries=1)
    machine.restart()
    assert machine.says("boot-failure") == ""
    assert machine.says("slot") == "b"


@pytest.mark.parametrize("damage", [b"", b"fairlead-sim-boot 1\nseq=9\ngood=b\n", bytes(4096)])
def test_damaged_decision_boots_the_last_good_slot(machine, tmp_path, damage):
    machine.decide(8, "b")
    machine.start()
    machine.pids()
    (tmp_path / "boot/decision").write_bytes(damage)
    machine.restart()
    assert machine.says("slot") == "b"


def test_programs_are_started_again_after_a_kill(machine):
    machine.decide(1, "a")
    machine.start()
    for place in (0, 1):
        before = machine.pids()[place]
        os.kill(before, signal.SIGKILL)
        eventually(lambda: machine.pids()[place] != before, "a new process", 5)


def test_nothing_outlives_the_machine(machine):
    machine.decide(1, "a")
    machine.start()
    pids = machine.pids()
    machine.kill()
    eventually(lambda: all(map(is_gone, pids)), "the programs die with the machine", 5)
    machine.start()
    pids = eventually(lambda: (new := machine.pids()) != pids and new, "the next programs")
    assert machine.stop() == 0
    assert all(map(is_gone, pids))


def test_images_depend_on_nothing_but_their_arguments(tmp_path):
    images = [make_image(tmp_path / f"{name}.ext4", "1.0.0", 1) for name in ("one", "two")]
    assert images[0].read_bytes() == images[1].read_bytes()
