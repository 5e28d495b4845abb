# SPDX-License-Identifier: Apache-2.0
"""Acceptance 35: a read-only root, and a data partition that is late, empty or missing.

Each machine runs in a mount namespace of its own, in which the data partition is what the test mounts there.
"""
import os
import time
from pathlib import Path

import pytest

from harness import BIN, eventually, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
READ_ONLY = 'mount -t tmpfs -o ro none "$0" && exec "$@"'  # what stands on a read-only root below the mount point: an empty folder
NOT_MOUNTED = 'exec "$@"'


def wrap(script):
    return lambda folder: ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, folder / "var")


def mount(gateway, *command):
    run("nsenter", "--mount", "--target", gateway.pid("agent"), *command)


def degraded(gateway):
    """What `status` tells while it is, within 5 s of the machine's start."""
    return eventually(lambda: (gateway.ctl("status") or {}).get("degraded"), lambda: f"degraded\n{gateway.logs()}", 5)


def healed(gateway):
    return eventually(lambda: (status := gateway.ctl("status")) and "degraded" not in status and status, lambda: f"healed\n{gateway.logs()}", 10)


def test_a_late_data_partition_is_waited_for_in_the_same_process(fleet, new_gateway, published):
    gateway = new_gateway(wrap=wrap(READ_ONLY))
    said = degraded(gateway)
    assert said.startswith("degraded: store '") and "make directory" in said  # the rest may be cut off: a test's paths are long
    pid = gateway.ctl("status")["pid"]
    why = gateway.ctl("why")
    assert (why["answer"], why["next"]) == (said, "storage")
    assert gateway.jobs() == [] and gateway.log_lines() == []
    assert gateway.ctl("status")["helper"]["connected"] is False
    assert said in run(BIN / "fairleadctl", "--config", gateway.conf, "status")
    time.sleep(2.5)
    assert gateway.ctl("status")["pid"] == pid
    mount(gateway, "umount", gateway.folder / "var")
    assert healed(gateway)["pid"] == pid
    gateway.wait_connected()
    fleet.wait_job(fleet.deploy(published(2), gateway), "committed")


def test_nothing_is_written_below_a_mount_point_without_its_mount(new_gateway):
    gateway = new_gateway(wrap=wrap(NOT_MOUNTED), before_start=wait_for_mount)
    said = degraded(gateway)
    assert f"nothing is mounted at '{gateway.folder}/var'" in said
    time.sleep(1.5)
    below = {str(path.relative_to(gateway.folder / "var")) for path in (gateway.folder / "var").rglob("*")}
    assert not any(name.startswith(("store", "identity", "anchor")) for name in below), below
    mount(gateway, "mount", "-t", "tmpfs", "none", gateway.folder / "var")
    status = healed(gateway)
    assert status["fleet"]["enrolled"] is False, "an empty partition: another key"
    seen = f"/proc/{status['pid']}/root{gateway.folder}/var"
    assert all(Path(seen, name).exists() for name in ("identity/device.key", "store/state.db", "store/spool"))
    eventually(lambda: gateway.ctl("status")["helper"]["connected"], lambda: f"a helper\n{gateway.logs()}", 10)
    assert Path(seen, "anchor/anchor").exists()


def wait_for_mount(gateway):
    """A new gateway whose data partition is to be there before anything is written."""
    text = gateway.conf.read_text()
    gateway.conf.write_text(text.replace("[store]\n", "[store]\nmount = var\n"))
    run("rm", "-rf", *(gateway.folder / "var" / name for name in ("identity", "store", "anchor")))
