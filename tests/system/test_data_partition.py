# SPDX-License-Identifier: Apache-2.0
"""A data partition that is late, empty or missing below a read-only root, with our packages and units in a Debian with its own systemd.

What the agent does without a service manager is in test_degraded.py.
"""
import contextlib
import json
import os
import time

import pytest

from container import GATEWAY, Container, configure, install, make_debian, newest
from harness import eventually, image_info, read, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a container")
DEVICE = "gw-data"
DATA = "/var/lib/fairlead"
MOUNT_UNIT = "var-lib-fairlead.mount"
MORE = """
[host]
running_slot = /boot/running
image_info = /boot/image-info
"""
# In a container no line of fstab with a device becomes a unit.
MOUNT = f"""\
[Unit]
DefaultDependencies=no
%s
[Mount]
What=%s
Where={DATA}
[Install]
WantedBy=local-fs.target
"""
# What the partition is waited for, in the place of a device.
LATE = """\
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=sh -c 'until [ -e /run/found ]; do sleep 0.2; done'
"""


@pytest.fixture(scope="module")
def debian(tmp_path_factory, packages):
    """The tree of a machine with our packages; its data folder is an empty mount point."""
    tree = make_debian(tmp_path_factory.mktemp("machine") / "tree", packages)
    install(tree, *(newest(packages, name) for name in GATEWAY))
    for folder in (tree / DATA[1:]).iterdir():
        folder.rmdir()
    (tree / "etc/fairlead").mkdir(exist_ok=True)
    (tree / "etc/systemd/system/late.service").write_text(LATE)
    return tree


@pytest.fixture
def partition(tmp_path):
    """A block device without a file system."""
    image = tmp_path / "data.img"
    image.touch()
    os.truncate(image, 32 << 20)
    device = run("losetup", "-f", "--show", image).strip()
    yield device
    run("losetup", "-d", device, check=False)


class Machine(Container):
    """A gateway with a read-only root, /boot beside it, and a data partition; wanted: its unit is started with the machine."""

    def __init__(self, tree, folder, partition, fleet, wanted, after=""):
        self.fleet = fleet
        boot = folder / "boot"
        boot.mkdir()
        (boot / "running").write_text("a\n")
        (boot / "image-info").write_text(image_info("1.0.0", 1))
        for slot in "ab":
            (boot / f"{slot}.img").write_bytes(bytes(4096))
        configure(tree, fleet, DEVICE, {"slot.a": "/boot/a.img", "slot.b": "/boot/b.img"}, "/boot/fairlead", MORE)
        units = tree / "etc/systemd/system"
        (units / MOUNT_UNIT).write_text(MOUNT % (after, partition))
        run("systemctl", "--root", tree, "enable" if wanted else "disable", MOUNT_UNIT)
        super().__init__(tree, folder / "console.log", "--read-only", f"--bind={boot}:/boot", f"--bind={partition}")

    def wait_booted(self, timeout=60):
        """So far that services start; a mount may still be waited for."""
        eventually(lambda: self.init and self.try_run("systemctl", "is-active", "basic.target").returncode == 0,
                   lambda: f"booted: {read(self.log)[-3000:]}", timeout, 0.1)

    def status(self):
        done = self.try_run("fairleadctl", "status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_status(self, condition, timeout):
        def found():
            status = self.status()
            return status if status and condition(status) else None
        return eventually(found, lambda: f"another status than {self.status()}\n{self.journal('fairlead-*', '*.mount')}", timeout, 0.1)

    def wait_degraded(self):
        return self.wait_status(lambda status: "degraded" in status, 5)

    def wait_healed(self):
        return self.wait_status(lambda status: "degraded" not in status and status["helper"]["connected"], 15)

    def mount(self):
        self.run("systemctl", "start", MOUNT_UNIT)

    def enrol(self):
        """The fleet gets to know the key that the agent has made; it hears the fleet's word on the anchor."""
        identity = self.run("runuser", "-u", "fairlead", "--", "fairlead-agent", "--identity").strip()
        self.fleet.cli("device", "enroll", DEVICE, "--identity", identity)
        self.wait_known()

    def wait_known(self):
        return self.wait_status(lambda status: status["fleet"]["connected"] and not status["helper"]["anchor_lost"], 30)

    def agent(self):
        """(pid, how often it was started again)"""
        return self.main_pid("fairlead-agent"), self.show("fairlead-agent", "NRestarts")


@pytest.fixture
def machine(tmp_path, debian, partition, fleet):
    with contextlib.ExitStack() as stack:
        yield lambda **more: stack.enter_context(Machine(debian, tmp_path, partition, fleet, **more))


def make_file_system(partition):
    run("mkfs.ext4", "-q", partition)


def test_an_empty_partition_and_a_late_one_heal_a_degraded_machine(machine, partition):
    make_file_system(partition)
    gateway = machine(wanted=False)
    said = gateway.wait_degraded()
    assert said["helper"]["connected"] is False and "Read-only file system" in said["degraded"]
    assert said["degraded"] in gateway.run("fairleadctl", "status")
    before = gateway.agent()
    time.sleep(4)
    assert gateway.agent() == before and before[1] == "0", gateway.journal("fairlead-agent")
    assert int(gateway.show("fairlead-helper", "NRestarts")) in range(2, 12), "about once a second"
    assert gateway.show("fairlead-helper.socket", "ActiveState") == "active"
    gateway.mount()
    gateway.wait_healed()
    assert gateway.agent() == before
    owners = gateway.run("stat", "-c", "%n %U %a", *(f"{DATA}/{name}" for name in ("anchor", "identity", "store")))
    assert owners.split("\n")[:3] == [f"{DATA}/anchor root 700", f"{DATA}/identity fairlead 700", f"{DATA}/store fairlead 700"]
    gateway.enrol()

    gateway.stop()
    gateway.start()
    gateway.wait_degraded()
    gateway.mount()
    gateway.wait_healed()
    gateway.wait_known()


def test_a_mount_that_systemd_still_waits_for_holds_nothing_back(machine, partition):
    make_file_system(partition)
    gateway = machine(wanted=True, after="Requires=late.service\nAfter=late.service")
    gateway.wait_degraded()
    before = gateway.agent()
    assert gateway.show(MOUNT_UNIT, "ActiveState") == "inactive"
    gateway.run("touch", "/run/found")
    gateway.wait_healed()
    assert gateway.agent() == before and before[1] == "0"


def test_a_mount_that_failed_is_made_good_later(machine, partition):
    gateway = machine(wanted=True)
    gateway.wait_degraded()
    before = gateway.agent()
    assert gateway.show(MOUNT_UNIT, "ActiveState") == "failed"
    make_file_system(partition)
    gateway.mount()
    gateway.wait_healed()
    assert gateway.agent() == before and before[1] == "0"
