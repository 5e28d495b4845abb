# SPDX-License-Identifier: Apache-2.0
"""The back end grub under a real GRUB: trials that fail, that last, that are only a proof; damage; power cuts.

The disk has an MBR, a boot partition (ext4 with a journal, which GRUB never replays) and two slots. What the guest does is
read from a second disk: a script, run as $slot by whichever slot starts, with the boot partition on /mnt.
"""
import os
import random
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

from harness import BIN, ROOT, run
from loader import ARGS, Disk, Kit, Machine, Part, boots, contents, copy_program, kernel_tree, kernels, slot_tree
from system import Grub

MODULES = ("biosdisk part_msdos ext2 normal linux loadenv test echo configfile regexp probe hashsum gcry_sha256 eval sleep "
           "reboot boot serial terminal").split()
PARTS = ["count", "first", "first.sum", "second", "second.sum"]
CONFIG = """[boot]
backend = grub
dir = {dir}
loader = {loader}
[host]
running_slot = /tmp/running
[component.rootfs]
handler = rootfs
slot.a = /dev/vda2
slot.b = /dev/vda3
"""
CUTS = int(os.environ.get("FAIRLEAD_POWER_CUTS", "5"))
START = """mount -t ext4 /dev/vda1 /mnt
echo $slot >/tmp/running
again() { umount /mnt; reboot -f; sleep 60; }
"""


def boot_tree(folder, disk_id):
    """The boot partition: GRUB's script, the list of the slots and the first decision."""
    files = folder / "boot/grub/fairlead"
    files.mkdir(parents=True)
    shutil.copy(ROOT / "agent/boot/loader/grub/grub.cfg", folder / "boot/grub/grub.cfg")
    (files / "slots.cfg").write_text(
        f'set fl_slots="a b"\nset fl_part_a={disk_id}-02\nset fl_part_b={disk_id}-03\n'
        'set fl_kernel=/boot/vmlinuz\nset fl_initrd=/boot/initrd.img\n'
        f'set fl_args="console=ttyS0 {ARGS}"\nserial\nterminal_output serial\n')
    config = folder / "host.conf"
    config.write_text(CONFIG.format(dir=files, loader=files.parent / "grub.cfg"))
    run(BIN / "fairlead-boot", "--config", config, "init", "a")
    return folder / "boot"


def install_grub(disk, folder):
    source = Path("/usr/lib/grub/i386-pc")
    run("grub-mkimage", "-O", "i386-pc", "-d", source, "-p", "(hd0,msdos1)/grub", "-o", folder / "core.img", *MODULES)
    with open(disk.path, "r+b") as file:
        file.write((source / "boot.img").read_bytes()[:440])
        file.seek(512)
        file.write((folder / "core.img").read_bytes())


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grub")
    kit = Kit.ready()
    disk = Disk(folder / "base.img", [Part("boot", 16), Part("slot-a", 64), Part("slot-b", 64)], table="dos")
    disk_id = run("sfdisk", "--disk-id", disk.path).strip().removeprefix("0x")
    install_grub(disk, folder)
    config = CONFIG.format(dir="/mnt/grub/fairlead", loader="/mnt/grub/grub.cfg")
    for letter in "ab":
        tree = slot_tree(folder, kit, letter, "tr -d '\\0' </dev/vdb >/tmp/script; . /tmp/script",
                         {"etc/fairlead/gateway.conf": config, "mnt/empty": ""})
        disk.ext4(f"slot-{letter}", tree)
    at, size = disk.offsets["boot"]
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-J", "size=4", "-E", f"offset={at},root_owner=0:0",
        "-d", boot_tree(folder, disk_id), disk.path, f"{size // 1024}k")
    return disk


class Gateway:
    """A copy of the disk; start(script) is one power-on until the guest powers off."""

    begin = START

    def __init__(self, base, folder):
        self.disk, self.script = base, folder / "script"
        self.disk = object.__new__(Disk)
        self.disk.path, self.disk.offsets = folder / "disk.img", base.offsets
        run("cp", "--sparse=always", base.path, self.disk.path)

    def machine(self, script):
        self.script.write_bytes((self.begin + script).encode().ljust(4096, b"\0"))
        return Machine(self.disk, [], ["-drive", f"if=virtio,file={self.script},format=raw,readonly=on"], memory=256)

    def start(self, script):
        self.text = self.machine(script).run(timeout=240)
        return boots(self.text)

    def block(self, name):
        """Where the file's only block is on the disk."""
        blocks = self.disk.debugfs("boot", f"blocks /grub/fairlead/{name}").split()
        assert len(blocks) == 1
        return int(blocks[0]) * 4096

    def state(self):
        return {name: self.disk.read("boot", self.block(name), 4096) for name in PARTS}

    def spoil(self, name, at=40):
        self.disk.write("boot", self.block(name) + at, b"\xff\x00\xff")


@pytest.fixture
def gateway(base, tmp_path):
    return Gateway(base, tmp_path)


@pytest.mark.parametrize("tries", [1, 2])
def test_a_trial_that_panics_is_tried_as_often_as_it_may_and_the_good_slot_is_back(gateway, tries):
    booted = gateway.start(f"""
        [ $slot = b ] && exit 1
        if [ -e /mnt/done ]; then fairlead-boot observe; poweroff -f; fi
        touch /mnt/done
        fairlead-boot trial b --tries {tries} --root-hash {'5a' * 32} && again
    """)
    assert booted == ["a", *["b"] * tries, "a"]
    assert gateway.text.count("Attempted to kill init") == tries
    assert gateway.text.count(f"roothash={'5a' * 32}") == tries
    assert f'"tries":{tries},"used":{tries},' in gateway.text


def test_a_trial_without_a_kernel_is_the_good_slot_at_once(gateway):
    gateway.disk.debugfs("slot-b", "rm /boot/vmlinuz", write=True)
    assert gateway.start("""
        [ -e /mnt/done ] && poweroff -f
        touch /mnt/done
        fairlead-boot trial b && again
    """) == ["a", "a"]


def test_a_good_trial_stays_and_outlives_both_copies_of_the_decision(gateway):
    assert gateway.start("""
        if [ $slot = a ]; then fairlead-boot withdraw b && fairlead-boot trial b && again; fi
        if [ -e /mnt/done ]; then fairlead-boot doctor; poweroff -f; fi
        touch /mnt/done
        fairlead-boot good && fairlead-boot withdraw a && again
    """) == ["a", "b", "b"]
    assert contents(gateway.text) == ["a", "b", "b"]
    assert "FAULT" not in gateway.text and gateway.text.count("ok ") > 15
    gateway.spoil("first.sum")
    assert gateway.start("") == ["b"]
    gateway.spoil("second")
    assert gateway.start("fairlead-boot observe") == ["b"], "the slot that was offered last"
    assert "damaged" in gateway.text
    gateway.spoil("count", 100)
    assert gateway.start("fairlead-boot init $slot && fairlead-boot observe") == ["a"], "the first slot that loads"
    assert '"good":"a"' in gateway.text


def test_a_proof_comes_back(gateway):
    assert gateway.start("""
        [ $slot = prove ] && again
        [ -e /mnt/done ] && poweroff -f
        touch /mnt/done
        fairlead-boot prove && again
    """) == ["a", "prove", "a"]
    assert contents(gateway.text) == ["a", "a", "a"]


def test_a_count_of_garbage_is_a_used_up_trial(gateway):
    assert gateway.start("""
        [ -e /mnt/done ] && poweroff -f
        touch /mnt/done
        fairlead-boot trial b --tries 9 || exit 1
        dd if=/dev/urandom of=/mnt/grub/fairlead/count bs=1024 count=1 conv=notrunc 2>/dev/null
        again
    """) == ["a", "a"]


def test_a_first_decision_is_seen_by_grub_before_the_journal_is_replayed(gateway):
    machine = gateway.machine("""
        rm /mnt/grub/fairlead/first* /mnt/grub/fairlead/second* /mnt/grub/fairlead/count
        sync; umount /mnt; mount /dev/vda1 /mnt
        fairlead-boot init b && echo INIT $?
        sleep 60
    """)
    with machine:
        machine.wait_for("INIT 0")
        machine.cut()
    assert gateway.start("") == ["b"]


def test_power_cuts_without_a_trial_change_nothing(gateway):
    """At moments from power-on to the end of the start, as long as that takes here."""
    source = random.Random(20)
    before = gateway.state()
    begun = time.monotonic()
    assert gateway.start("") == ["a"]
    span = min(time.monotonic() - begun, 6)
    for _ in range(CUTS):
        with gateway.machine("sleep 60") as machine:
            time.sleep(source.uniform(0, span))
            machine.cut()
        assert gateway.state() == before
    assert gateway.start("") == ["a"]


class Group(Gateway):
    """A GPT, and beside each slot's root a partition for its kernel: two components of the same letters."""

    begin = START.replace("/dev/vda1", "/dev/vda2") + """
mkdir -p /dev/disk/by-partuuid
link() { ln -sf /dev/vda$1 /dev/disk/by-partuuid/$(blkid -o value -s PART_ENTRY_UUID -p /dev/vda$1); }
"""
    config = """[boot]
backend = grub
dir = /mnt/fairlead
loader = /mnt/grub.cfg
[host]
running_slot = /tmp/running
[component.kernel]
handler = rootfs
slot.a = /dev/vda5
slot.b = /dev/vda6
[component.rootfs]
handler = rootfs
slot.a = /dev/vda3
slot.b = /dev/vda4
"""


@pytest.fixture(scope="module")
def group_base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    kit = Kit.ready()
    disk = Disk(folder / "base.img", [*Grub.parts, Part("slot-a", 40), Part("slot-b", 40), Part("kernel-a", 20), Part("kernel-b", 20)])
    for letter in "ab":
        tree = slot_tree(folder, kit, letter, "tr -d '\\0' </dev/vdb >/tmp/script; . /tmp/script",
                         {"etc/fairlead/gateway.conf": Group.config, "mnt/empty": ""})
        shutil.rmtree(tree / "boot")
        copy_program("/sbin/blkid", tree)
        disk.ext4(f"slot-{letter}", tree)
        disk.ext4(f"kernel-{letter}", kernel_tree(folder, kit, letter))
    Grub.install(disk, folder)
    slots = folder / "boot/fairlead/slots.cfg"
    slots.write_text(slots.read_text() + "".join(
        f"set fl_kernel_part_{letter}={run('sfdisk', '--part-uuid', disk.path, number).strip().lower()}\n"
        for letter, number in (("a", 5), ("b", 6))))
    disk.debugfs("boot", "rm /fairlead/slots.cfg", write=True)
    disk.debugfs("boot", f"write {slots} /fairlead/slots.cfg", write=True)
    return disk


@pytest.fixture
def group(group_base, tmp_path):
    return Group(group_base, tmp_path)


def test_a_kernel_partition_is_tried_and_given_up_with_its_root(group):
    assert group.start("""
        [ $slot = b ] && exit 1
        if [ -e /mnt/done ]; then poweroff -f; fi
        touch /mnt/done
        for number in 3 4 5 6; do link $number; done
        fairlead-boot doctor
        fairlead-boot trial b && again
    """) == ["a", "b", "a"]
    assert contents(group.text) == ["a", "b", "a"]
    assert kernels(group.text) == ["a", "b", "a"]
    assert "FAULT" not in group.text
    for letter in "ab":
        assert re.search(f"ok +fl_kernel_part_{letter} .* is a partition of slot {letter}", group.text)


def spoil_kernel(disk):
    disk.write("kernel-b", 0, bytes(64 * 1024))


def delete_kernel(disk):
    run("sfdisk", "-q", "--no-reread", "--no-tell-kernel", "--delete", disk.path, 6)


@pytest.mark.parametrize("break_it", [spoil_kernel, delete_kernel])
def test_a_trial_without_its_kernel_partition_is_the_good_slot_at_once(group, break_it):
    break_it(group.disk)
    assert group.start("""
        [ -e /mnt/done ] && poweroff -f
        touch /mnt/done
        fairlead-boot trial b && again
    """) == ["a", "a"]
    assert kernels(group.text) == ["a", "a"]


def test_a_list_with_another_slots_kernel_is_a_fault(group):
    assert group.start("""
        for number in 3 4 5 6; do link $number; done
        sed -i s/fl_kernel_part_b/fl_kernel_part_x/ /mnt/fairlead/slots.cfg
        sed -i s/fl_kernel_part_a/fl_kernel_part_b/ /mnt/fairlead/slots.cfg
        fairlead-boot doctor
    """) == ["a"]
    assert re.search("FAULT +fl_kernel_part_b .* is a partition of slot b", group.text)
