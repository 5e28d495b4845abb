# SPDX-License-Identifier: Apache-2.0
"""What the agent tells a service manager: that it lives, also on a slow disk, and not when its loop stands still.

That systemd then ends it and starts it again is in test_packaging.py.
"""
import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from harness import BIN, eventually, run

WATCH_MS = 400
SYNC_MS = 500
BEFORE_THE_RESTART = ("staged", "waiting_to_activate", "sealing", "activating", "restarting")
SLOW_SYNC = f"""\
#include <unistd.h>
int fsync(int fd) {{ (void)fd; usleep({SYNC_MS} * 1000); return 0; }}
int fdatasync(int fd) {{ (void)fd; usleep({SYNC_MS} * 1000); return 0; }}
"""


class Manager:
    """Hears one agent: (time, text) of every datagram."""

    def __init__(self, path):
        self.path, self.heard = path, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        with contextlib.suppress(OSError):
            while True:
                text = self.socket.recv(4096).decode()
                self.heard.append((time.monotonic(), text))

    def longest_silence(self, since):
        times = [since, *(at for at, text in self.heard if text == "WATCHDOG=1" and at >= since), time.monotonic()]
        return max(after - before for before, after in zip(times, times[1:]))


@pytest.fixture
def watched(tmp_path, new_gateway):
    """watched(library) is a gateway whose agent is watched, and the Manager."""
    manager = Manager(tmp_path / "notify")

    def start(library=""):
        folder = tmp_path / "programs"
        folder.mkdir()
        (folder / "fairlead-helper").symlink_to(BIN / "fairlead-helper")
        agent = folder / "fairlead-agent"
        agent.write_text(f'#!/bin/sh\nexec env NOTIFY_SOCKET="{manager.path}" WATCHDOG_USEC={WATCH_MS * 1000} '
                         f'LD_PRELOAD="{library}" "{BIN}/fairlead-agent" "$@"\n')
        agent.chmod(0o755)
        gateway = new_gateway(programs=folder)
        gateway.wait_connected()
        return gateway, manager
    yield start
    manager.socket.close()


def test_a_slow_disk_does_not_look_like_a_hang(tmp_path, fleet, published, watched):
    """Every sync takes half a second, a dozen of them; the loop waits for none, and the watch of the unit is 30 s."""
    (tmp_path / "slow.c").write_text(SLOW_SYNC)
    run("cc", "-shared", "-fPIC", "-o", tmp_path / "slow.so", tmp_path / "slow.c")
    gateway, manager = watched(tmp_path / "slow.so")
    assert manager.heard[0][1] == "READY=1"
    begin = time.monotonic()
    fleet.wait_job(fleet.deploy(published(2), gateway), *BEFORE_THE_RESTART, timeout=120)
    assert manager.longest_silence(begin) < 4 * SYNC_MS / 1000


def test_a_loop_that_stands_still_is_silent_and_an_ended_one_says_so(watched):
    gateway, manager = watched()
    pid = gateway.pid("agent")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.1)
    before = len(manager.heard)
    time.sleep(2 * WATCH_MS / 1000)
    assert len(manager.heard) == before
    os.kill(pid, signal.SIGCONT)
    eventually(lambda: len(manager.heard) > before, "alive again", 10)
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: any(text == "STOPPING=1" for _, text in manager.heard[before:]), "it says that it stops", 10)
