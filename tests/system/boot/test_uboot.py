# SPDX-License-Identifier: Apache-2.0
"""Our boot.cmd under both kinds of U-Boot: Debian's own, which keeps no environment and counts no boots, so that the script
does both; and one that is built as README.md asks of a board's maker, with a boot count and an environment.
"""
import os
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import BIN, ROOT, run
from loader import ARGS, Disk, Kit, Machine, Part, boots, contents, kernel_tree, kernels, slot_tree
from uboot import BoardUBoot, CardKit, CardMachine

LOADER = ROOT / "agent/boot/loader/u-boot"
ROM = Path("/usr/lib/u-boot/qemu-x86/u-boot.rom")
FIRST, SECOND, SIZE = 0x10000, 0x20000, 0x4000
HASH = "0123456789abcdef" * 4
PANIC = "echo c >/proc/sysrq-trigger"
CUTS = int(os.environ.get("FAIRLEAD_POWER_CUTS", 20))
BOOT_S = 5.0  # about what one boot takes; cuts fall anywhere in it

CONFIG = """[boot]
backend = uboot
dir = {dir}
[component.rootfs]
handler = rootfs
slot.a = {a}
slot.b = {b}
"""


class ByScript:
    """Debian's."""

    name, kit, machine, initial = "script", Kit, Machine, ""

    def __init__(self, folder):
        stock = ROM.read_bytes()
        assert stock.count(b"\0bootdelay=2\0") == 1
        self.rom = folder / "u-boot.rom"
        self.rom.write_bytes(stock.replace(b"\0bootdelay=2\0", b"\0bootdelay=0\0"))  # nobody is there to press a key


class ByUBoot:
    """As README.md says."""

    name, kit, machine = "bootcount", CardKit, CardMachine

    def __init__(self, _folder):
        made = BoardUBoot.ready()
        self.rom, self.initial = made.rom, made.initial.read_text()


class Gateway:
    """A disk, and fairlead-boot at work on it from outside, as if it ran in slot `running`."""

    def __init__(self, folder, uboot):
        self.folder, self.uboot = folder, uboot
        self.disk = Disk(folder / "disk", [Part("uboot-env", 1), Part("boot", 4, attrs="LegacyBIOSBootable"),
                                           Part("slot-a", 40), Part("slot-b", 40), Part("kernel-a", 20),
                                           Part("kernel-b", 20), Part("rest", 1)])
        self.write_config()

    def write_config(self):
        folder, at = self.folder, self.disk.offset("uboot-env")
        for name in ("a.img", "b.img"):
            (folder / name).write_text("stands for the partition\n")
        (folder / "gateway.conf").write_text(
            CONFIG.format(dir=folder, a=folder / "a.img", b=folder / "b.img")
            + f"[host]\nrunning_slot = {folder}/running\n")
        (folder / "fw_env.config").write_text("".join(
            f"{self.disk.path} {at + copy:#x} {SIZE:#x}\n" for copy in (FIRST, SECOND)))
        if self.uboot.name == "script":
            (folder / "fw_count.config").write_text(f"{self.disk.path} {at:#x} 0x200\n")
        (folder / "u-boot-initial-env").write_text(self.uboot.initial)

    def copy(self, folder):
        new = Gateway.__new__(Gateway)
        new.folder, new.uboot, new.disk = folder, self.uboot, Disk.__new__(Disk)
        new.disk.path, new.disk.offsets = folder / "disk", self.disk.offsets
        run("cp", "--sparse=always", "--reflink=auto", self.disk.path, new.disk.path)
        new.write_config()
        return new

    def slot(self, letter, test):
        """What that slot does when it has started."""
        guest = {"etc/gateway.conf": CONFIG.format(dir="/etc", a="partlabel:slot-a", b="partlabel:slot-b"),
                 "etc/fw_env.config": "".join(f"/dev/disk/by-partlabel/uboot-env {copy:#x} {SIZE:#x}\n"
                                              for copy in (FIRST, SECOND))}
        if self.uboot.name == "script":
            guest["etc/fw_count.config"] = "/dev/disk/by-partlabel/uboot-env 0x0 0x200\n"
        self.disk.ext4(f"slot-{letter}", slot_tree(self.folder, self.uboot.kit.ready(), letter, test, guest))

    def kernel_apart(self, letter):
        """The kernel of that slot lies in its partition kernel-X, and nowhere else."""
        self.disk.ext4(f"kernel-{letter}", kernel_tree(self.folder, self.uboot.kit.ready(), letter))
        for name in ("vmlinuz", "initrd.img"):
            self.disk.debugfs(f"slot-{letter}", f"rm /boot/{name}", write=True)

    def set(self, line):
        """One more line in fairlead.env."""
        settings = self.folder / "fairlead.env"
        settings.write_text(self.disk.debugfs("boot", "cat fairlead.env") + line + "\n")
        self.disk.debugfs("boot", "rm fairlead.env", write=True)
        self.disk.debugfs("boot", f"write {settings} fairlead.env", write=True)

    def boot(self, *verb, running="a", check=True):
        (self.folder / "running").write_text(running + "\n")
        return run(BIN / "fairlead-boot", "--config", self.folder / "gateway.conf", *verb, check=check)

    def start(self):
        return self.uboot.machine(self.disk, ["-bios", self.uboot.rom])

    def run(self):
        text = self.start().run(timeout=240)
        print(text)  # seen where a test fails
        return text

    def decision(self):
        """The partition with the count and both copies."""
        return self.disk.read("uboot-env")

    def newest(self):
        """Where the copy lies that counts."""
        flags = [self.disk.read("uboot-env", copy + 4, 1)[0] for copy in (FIRST, SECOND)]
        return SECOND if (flags[1] - flags[0]) % 256 == 1 else FIRST


IN_GUEST = "fairlead-boot --config /etc/gateway.conf"
EVERY = [ByScript, ByUBoot]


def under(*kinds):
    return pytest.mark.parametrize("template", kinds, ids=lambda kind: kind.name, indirect=True)


@pytest.fixture(scope="module", params=EVERY if "FAIRLEAD_CAMPAIGN" in os.environ else [ByScript], ids=lambda kind: kind.name)
def template(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("uboot")
    gateway = Gateway(folder, request.param(folder))
    script = folder / "script"
    script.mkdir()
    run("mkimage", "-T", "script", "-C", "none", "-n", "fairlead", "-d", LOADER / "boot.cmd", script / "boot.scr")
    settings = (LOADER / "fairlead.env.example").read_text()
    (script / "fairlead.env").write_text(settings.replace("panic=10", ARGS))
    gateway.disk.ext4("boot", script)
    gateway.slot("a", "")
    gateway.slot("b", "")
    gateway.boot("init", "a")
    return gateway


@pytest.fixture
def gateway(template, tmp_path):
    return template.copy(tmp_path)


@under(*EVERY)
def test_the_good_slot_boots_and_knows_itself(gateway):
    gateway.slot("a", f"{IN_GUEST} observe; {IN_GUEST} doctor; echo DOCTOR $?")
    before = gateway.decision()
    text = gateway.run()
    assert boots(text) == ["a"]
    assert '{"running":"a","good":"a","trial":"",' in text, "by the device of its root, without udev"
    assert "DOCTOR 0" in text
    assert gateway.decision() == before, "nothing is counted without a trial"


@under(*EVERY)
@pytest.mark.parametrize("tries", [1, 3])
def test_a_trial_that_panics_is_over_after_its_tries(gateway, tries):
    gateway.slot("b", PANIC)
    gateway.boot("trial", "b", "--tries", tries, "--root-hash", HASH)
    text = gateway.run()
    assert boots(text) == ["b"] * tries + ["a"]
    assert text.count(f"slot=b content=b roothash={HASH}") == tries
    assert '"trial":"b"' in gateway.boot("observe") and f'"used":{tries}' in gateway.boot("observe")
    gateway.boot("fallback")
    assert '"trial":""' in gateway.boot("observe")


@under(*EVERY)
def test_a_trial_that_says_good_stays(gateway):
    gateway.slot("b", f"{IN_GUEST} good; echo GOOD $?")
    gateway.boot("trial", "b")
    text = gateway.run()
    assert boots(text) == ["b"] and "GOOD 0" in text
    assert '"running":"b","good":"b","trial":""' in gateway.boot("observe", running="b")
    assert boots(gateway.run()) == ["b"]


@under(*EVERY)
def test_prove_leads_back_by_the_count_alone(gateway):
    gateway.slot("a", f'test "$slot" != prove || {{ {IN_GUEST} observe; reboot -f; sleep 60; }}')
    gateway.boot("prove", "--tries", "2")
    text = gateway.run()
    assert boots(text) == ["prove", "prove", "a"]
    assert contents(text) == ["a", "a", "a"], "what is proved is the good slot's own content"
    assert '"running":"a","good":"a","trial":"prove"' in text and '"proving":true' in text
    assert "counted 2 of 2" in gateway.boot("doctor")
    gateway.boot("fallback")


def test_a_trial_without_a_kernel_costs_no_restart(gateway):
    gateway.disk.debugfs("slot-b", "rm /boot/vmlinuz", write=True)
    gateway.boot("trial", "b")
    text = gateway.run()
    assert boots(text) == ["a"] and "slot b does not boot" in text


def test_a_damaged_copy_leaves_the_other(gateway):
    gateway.boot("trial", "b")
    gateway.disk.write("uboot-env", gateway.newest() + 100, b"\xff" * 8)
    assert boots(gateway.run()) == ["a"], "the older decision"


def test_a_damaged_older_copy_changes_nothing(gateway):
    gateway.boot("trial", "b")
    gateway.disk.write("uboot-env", (FIRST + SECOND) - gateway.newest(), bytes(512))
    assert boots(gateway.run()) == ["b"]


@under(ByScript)
def test_a_damaged_count_is_used_up(gateway):
    gateway.boot("trial", "b", "--tries", "9")
    gateway.disk.write("uboot-env", 40, b"\xff")
    before = gateway.decision()
    assert boots(gateway.run()) == ["a"]
    assert gateway.decision() == before


def test_without_any_decision_the_first_slot_boots(gateway):
    gateway.disk.write("uboot-env", 0, bytes(random.Random(1).randbytes(0x30000)))
    text = gateway.run()
    assert boots(text) == ["a"] and "no valid decision" in text
    assert gateway.boot("observe", check=False).returncode == 4
    gateway.boot("init", "a")
    gateway.boot("doctor")
    assert boots(gateway.run()) == ["a"]


def test_a_withdrawn_slot_never_boots(gateway):
    """Not even where nothing else does."""
    gateway.disk.debugfs("slot-a", "rm /boot/vmlinuz", write=True)
    assert boots(gateway.run()) == ["b"], "rather an older system than none"
    gateway.boot("withdraw", "b")
    with gateway.start() as machine:
        machine.wait_for("slot b is withdrawn(.|\n)*slot b does not boot")
        time.sleep(1)
    assert boots(machine.text) == []


@under(ByScript)
def test_a_kernel_partition_is_tried_and_given_up_with_its_root(gateway):
    gateway.set("fairlead_kernel_label=kernel-")
    gateway.slot("b", PANIC)
    for letter in "ab":
        gateway.kernel_apart(letter)
    gateway.boot("trial", "b")
    text = gateway.run()
    assert boots(text) == contents(text) == kernels(text) == ["b", "a"]


@under(ByScript)
@pytest.mark.parametrize("damage", ["file system", "partition"])
def test_a_trial_without_its_kernel_partition_is_the_good_slot_at_once(gateway, damage):
    gateway.set("fairlead_kernel_label=kernel-")
    gateway.kernel_apart("a")
    if damage == "partition":
        run("sfdisk", "-q", "--no-reread", "--no-tell-kernel", "--delete", gateway.disk.path, 6)
    gateway.boot("trial", "b")
    text = gateway.run()
    assert boots(text) == kernels(text) == ["a"] and "slot b does not boot" in text


def cut_again_and_again(gateway, cuts, seed):
    rng = random.Random(seed)
    started = 0
    for _ in range(cuts):
        with gateway.start() as machine:
            time.sleep(rng.uniform(0.05, BOOT_S))
        started += "Starting kernel" in machine.text
    return started


def test_power_cuts_change_nothing(template, tmp_path):
    """No trial is pending: the machine is cut off at random moments of its boot, and not a byte is written."""
    gateways = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        gateways.append(template.copy(tmp_path / name))
        gateways[-1].slot("a", "sleep 1")
    before = [gateway.decision() for gateway in gateways]
    with ThreadPoolExecutor(2) as pool:
        started = sum(pool.map(cut_again_and_again, gateways, (CUTS // 2, CUTS - CUTS // 2), (1, 2)))
    print(f"{CUTS} power cuts, {started} of them after the loader")
    assert [gateway.decision() for gateway in gateways] == before
    for gateway in gateways:
        shutil.rmtree(gateway.folder / "tree-a")
        assert boots(gateway.run()) == ["a"]


def test_power_cuts_during_a_trial_only_shorten_it(gateway):
    gateway.slot("b", PANIC)
    gateway.boot("trial", "b", "--tries", "3")
    rng = random.Random(3)
    for _ in range(3):
        with gateway.start() as machine:
            time.sleep(rng.uniform(0.5, BOOT_S))
    text = gateway.run()
    assert boots(text)[-1] == "a" and boots(text).count("b") <= 3


@under(ByUBoot)
def test_a_copy_damaged_during_a_trial_gives_one_try_back(gateway):
    """U-Boot counts in the older copy: the one that is left is of the boot before."""
    gateway.slot("b", PANIC)
    gateway.boot("trial", "b", "--tries", "2")
    with gateway.start() as machine:
        machine.wait_for("GUEST slot=b")
    assert '"used":1' in gateway.boot("observe")
    gateway.disk.write("uboot-env", gateway.newest() + 100, b"\xff" * 8)
    assert '"used":0' in gateway.boot("observe")
    assert boots(gateway.run()) == ["b", "b", "a"]
