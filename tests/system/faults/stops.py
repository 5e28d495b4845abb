# SPDX-License-Identifier: Apache-2.0
"""Programs that stop at a moment a test names (stop.c), so that a kill hits that moment every time."""
import os
import signal
from pathlib import Path

from harness import BIN, eventually, read, run

PROGRAMS = ("agent", "helper")
SOURCE = Path(__file__).with_name("stop.c")


def build(folder):
    """The library to preload."""
    library = Path(folder) / "stop.so"
    run("cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE)
    return library


def is_stopped(pid):
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] == ["T"]


class Stops:
    """A folder of programs to give to a gateway as `programs`; agent and helper in it can be stopped."""

    def __init__(self, folder, library):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        for name in PROGRAMS:
            script = self.folder / f"fairlead-{name}"
            script.write_text(f'#!/bin/sh\nexec env LD_PRELOAD="{library}" FAIRLEAD_STOP="{self.plan(name)}" '
                              f'"{BIN}/fairlead-{name}" "$@"\n')
            script.chmod(0o755)

    def plan(self, name):
        return self.folder / f"{name}.stop"

    def at(self, name, text="", syncs=0):
        """The program stops after it has logged a line with `text` and done `syncs` more durable writes."""
        new = self.folder / f"{name}.new"
        new.write_text(f"{syncs} {text}\n")
        os.replace(new, self.plan(name))

    def wait(self, gateway, name, timeout=60):
        """The pid of the program, once it stands still."""
        def stopped():
            if self.plan(name).exists():
                return None
            pid = gateway.pid(name)
            return pid if pid and is_stopped(pid) else None
        return eventually(stopped, lambda: f"{name} stops: {read(self.plan(name))}\n{gateway.logs()}", timeout, 0.005)

    def forget(self, name):
        """No stop any more; True when it had not happened."""
        try:
            self.plan(name).unlink()
            return True
        except FileNotFoundError:
            return False

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
