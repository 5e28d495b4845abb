# SPDX-License-Identifier: Apache-2.0
"""The back end systemd-boot under the real one and OVMF: trials that fail, that last, that are only a proof; power cuts.

The disk has an ESP with both slots' kernels and two slots. What the guest does is read from a second disk: a script, run as
$slot by whichever slot starts, with the ESP on /mnt.
"""
import os
import random
import sys
import time
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

from harness import BIN, run
from loader import ARGS, Disk, Kit, Machine, Part, boots, contents, esp_tree, ovmf, slot_tree

CUTS = int(os.environ.get("FAIRLEAD_POWER_CUTS", "5"))
CONFIG = """[boot]
backend = systemd-boot
dir = {dir}
[host]
running_slot = /tmp/running
[component.rootfs]
handler = rootfs
slot.a = /dev/vda2
slot.b = /dev/vda3
"""
START = """mount -t vfat /dev/vda1 /mnt
echo $slot >/tmp/running
again() { umount /mnt; reboot -f; sleep 60; }
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("systemd-boot")
    kit = Kit.ready()
    disk = Disk(folder / "base.img", [Part("esp", 128, kind="uefi"), Part("slot-a", 64), Part("slot-b", 64)])
    esp = folder / "esp"
    esp_tree(esp, {letter: disk.partuuid(f"slot-{letter}") for letter in "ab"}, kit.kernel, kit.initramfs, ARGS)
    (folder / "host.conf").write_text(CONFIG.format(dir=esp / "loader"))
    run(BIN / "fairlead-boot", "--config", folder / "host.conf", "init", "a")
    disk.vfat("esp", esp)
    for letter in "ab":
        tree = slot_tree(folder, kit, letter, "tr -d '\\0' </dev/vdb >/tmp/script; . /tmp/script",
                         {"etc/fairlead/gateway.conf": CONFIG.format(dir="/mnt/loader"), "mnt/empty": ""})
        disk.ext4(f"slot-{letter}", tree)
    return disk


class Gateway:
    """A copy of the disk; start(script) is one power-on until the guest powers off."""

    def __init__(self, base, folder):
        self.script, self.variables = folder / "script", folder / "variables.fd"
        self.disk = object.__new__(Disk)
        self.disk.path, self.disk.offsets = folder / "disk.img", base.offsets
        run("cp", "--sparse=always", base.path, self.disk.path)

    def machine(self, script):
        self.script.write_bytes((START + script).encode().ljust(4096, b"\0"))
        return Machine(self.disk, ovmf(self.variables), ["-drive", f"if=virtio,file={self.script},format=raw,readonly=on"],
                       memory=384)

    def start(self, script):
        self.text = self.machine(script).run(timeout=240)
        return boots(self.text)

    def mtools(self, command, *arguments):
        return self.disk.mtools("esp", command, *arguments)

    def entries(self):
        listed = self.mtools("mdir", "-b", "::/loader/entries").split()
        return sorted(path.rpartition("/")[2] for path in listed)


@pytest.fixture
def gateway(base, tmp_path):
    return Gateway(base, tmp_path)


def test_a_trial_that_panics_is_tried_as_often_as_it_may_and_the_good_slot_is_back(gateway):
    assert gateway.start(f"""
        [ $slot = b ] && exit 1
        if [ -e /mnt/done ]; then fairlead-boot observe; poweroff -f; fi
        touch /mnt/done
        fairlead-boot trial b --tries 2 --root-hash {'5a' * 32} && again
    """) == ["a", "b", "b", "a"]
    assert gateway.text.count(f"roothash={'5a' * 32}") == 2
    assert '"tries":2,"used":2,' in gateway.text
    assert gateway.entries() == ["fairlead-0000000001-a.conf", "fairlead-0000000002-b+0-2.conf"]


def test_a_trial_without_a_kernel_is_the_good_slot_at_once(gateway):
    """And one with a kernel that is none, after the firmware has come round again."""
    gateway.mtools("mdel", "::/EFI/fairlead/b/vmlinuz")
    assert gateway.start("""
        [ -e /mnt/twice ] && poweroff -f
        if [ -e /mnt/done ]; then
          touch /mnt/twice
          head -c 1000000 /dev/zero >/mnt/EFI/fairlead/b/vmlinuz
          fairlead-boot fallback
        fi
        touch /mnt/done
        fairlead-boot trial b && again
    """) == ["a", "a", "a"]
    assert gateway.entries() == ["fairlead-0000000003-a.conf", "fairlead-0000000004-b+0-1.conf"]


def test_a_good_trial_stays(gateway):
    assert gateway.start("""
        if [ $slot = a ]; then fairlead-boot withdraw b && fairlead-boot trial b && again; fi
        if [ -e /mnt/done ]; then fairlead-boot doctor; poweroff -f; fi
        touch /mnt/done
        fairlead-boot good && fairlead-boot withdraw a && again
    """) == ["a", "b", "b"]
    assert contents(gateway.text) == ["a", "b", "b"]
    assert "FAULT" not in gateway.text and gateway.text.count("ok ") > 10
    assert gateway.entries() == ["fairlead-0000000005-b.conf"]


def test_a_proof_comes_back_and_a_half_made_entry_is_none(gateway):
    assert gateway.start("""
        [ $slot = prove ] && again
        if [ -e /mnt/twice ]; then fairlead-boot observe; poweroff -f; fi
        if [ -e /mnt/done ]; then
          touch /mnt/twice
          fairlead-boot fallback && fairlead-boot trial b || exit 1
          sed '/^linux/,$d' /mnt/loader/entries/*-b+1.conf >/tmp/part
          cat /tmp/part >"$(echo /mnt/loader/entries/*-b+1.conf)"
          again
        fi
        touch /mnt/done
        fairlead-boot prove && again
    """) == ["a", "prove", "a", "a"]
    assert contents(gateway.text) == ["a"] * 4
    assert '"trial":""' in gateway.text


def test_power_cuts_without_a_trial_change_nothing(gateway):
    """At moments from power-on to the end of the start, as long as that takes here."""
    source = random.Random(20)
    begun = time.monotonic()
    assert gateway.start("") == ["a"]
    span = min(time.monotonic() - begun, 6)
    entries = gateway.entries()
    for _ in range(CUTS):
        with gateway.machine("sleep 60") as machine:
            time.sleep(source.uniform(0, span))
            machine.cut()
        assert gateway.entries() == entries
    assert gateway.start("") == ["a"]
    assert gateway.entries() == entries == ["fairlead-0000000001-a.conf"]
