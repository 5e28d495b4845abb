# SPDX-License-Identifier: Apache-2.0
"""What a boot leaves behind (packaging/boot-failure.sh): a line that says why it ended, and the end of its log."""
import os
import signal
import subprocess

import pytest

from harness import ROOT, eventually

SCRIPT = ROOT / "packaging/boot-failure.sh"
PANIC = "<0>[    1.2] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n<4>[    1.2] CPU: 0 PID: 1\n"
PATHS = {"pstore": "sys/fs/pstore/dmesg-efi-1", "archived": "var/lib/systemd/pstore/17/dmesg.txt",
         "console": "sys/fs/pstore/console-ramoops-0", "bootstatus": "sys/class/watchdog/watchdog0/bootstatus"}
LIMIT = 4096  # the agent and the helper read no more

# journalctl on the boot before: what it says to --dmesg, --priority and otherwise.
JOURNALCTL = """#!/bin/sh
case "$*" in
  *--dmesg*) printf '%b' '{dmesg}' ;;
  *--priority*) printf '%b' '{errors}' ;;
  *) printf '%b' '{log}' ;;
esac
exit {status}
"""


class Machine:
    """Its last boot was of slot b unless `slot` says otherwise; a runs now."""

    def __init__(self, folder):
        self.folder, self.tools = folder, folder / "tools"
        self.write("proc/cmdline", "root=PARTUUID=1 fairlead.slot=a quiet\n")

    def write(self, path, text):
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def boot(self, log="", errors="", slot="b", status=0, **files):
        """The lines that are left, or None."""
        dmesg = f"Linux version 6.1\\nCommand line: root=PARTUUID=2 fairlead.slot={slot} quiet\\n" if log or errors else ""
        self.write("tools/journalctl", JOURNALCTL.format(dmesg=dmesg, errors=errors, log=log, status=status))
        for name, text in files.items():
            self.write(PATHS[name], text)
        self.write("out", "of the boot before\n")
        with self.start() as child:
            assert (child.wait(20), child.stderr.read()) == (0, "")
        return self.left()

    def start(self):
        (self.folder / "tools/journalctl").chmod(0o755)
        return subprocess.Popen([SCRIPT, self.folder / "out", self.folder / "seen"], stderr=subprocess.PIPE, text=True, start_new_session=True,
                                env={"PATH": f"{self.folder}/tools:{os.environ['PATH']}", "FAIRLEAD_ROOT": str(self.folder)})

    def left(self):
        out = self.folder / "out"
        return out.read_text().splitlines() if out.exists() else None


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_boot_that_left_nothing_leaves_no_file(machine):
    assert machine.boot() is None
    assert machine.boot(bootstatus="0\n") is None
    assert machine.boot(status=1) is None


def test_a_panic_is_told_with_its_log(machine):
    line, *log = machine.boot(pstore=PANIC)
    assert line == "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100"
    assert log == PANIC.splitlines()


@pytest.mark.parametrize("place", ["pstore", "archived"])
def test_a_panic_is_told_once(machine, place):
    assert machine.boot(**{place: PANIC})[0].startswith("Kernel panic")
    assert machine.boot() is None, "the record is still there, and that boot did not panic"
    assert machine.boot(**{place: PANIC.replace("1.2", "3.4")})[1].startswith("<0>[    3.4]")


def test_a_panic_is_told_also_where_nothing_can_be_remembered(machine):
    machine.write("seen/is a folder", "")
    assert machine.boot(pstore=PANIC)[0].startswith("Kernel panic")


def test_a_reset_by_the_watchdog_is_told_with_the_journals_last_words(machine):
    assert machine.boot(log="[ 7.1] app[3]: no modem\\n[ 7.2] app[3]: gave up\\n", errors="no modem\\ngave up\\n", bootstatus="32\n") == [
        "reset by the watchdog; log: no modem;gave up;", "[ 7.1] app[3]: no modem", "[ 7.2] app[3]: gave up"]


def test_a_journal_without_complaints_is_a_log_all_the_same(machine):
    assert machine.boot(log="[ 7.1] app[3]: started\\n") == ["", "[ 7.1] app[3]: started"]


def test_an_orderly_end_does_not_push_out_what_came_before(machine):
    end = "".join(f"[ 8.{n}] systemd[1]: {what}\\n" for n, what in enumerate(
        ["Stopping app.service - App...", "app.service: Deactivated successfully.", "Unmounted var-tmp.mount - /var/tmp."] * 100))
    told = ["[ 7.1] systemd[1]: app.service: Main process exited, code=dumped, status=11/SEGV",
            "[ 7.2] systemd[1]: Failed to start app.service - App."]
    assert machine.boot(log="\\n".join(told) + "\\n" + end)[1:] == told


def test_the_reason_is_there_before_a_journal_that_takes_long(machine):
    """On a slow machine the service manager may end it."""
    machine.write("tools/journalctl", "#!/bin/sh\nexec sleep 60\n")
    machine.write(PATHS["bootstatus"], "32\n")
    with machine.start() as child:
        eventually(lambda: machine.left() == ["reset by the watchdog"], "the reason", 15)
        os.killpg(child.pid, signal.SIGKILL)
    assert machine.boot(pstore=PANIC)[0].startswith("Kernel panic")


def test_a_panic_says_more_than_the_watchdog_that_followed(machine):
    assert machine.boot(pstore=PANIC, bootstatus="32\n")[0].startswith("Kernel panic")


def test_the_journal_of_the_slot_that_runs_is_not_that_of_the_boot_that_failed(machine):
    """Nothing of a boot that ended before its journal began was kept: the newest one is the old system's."""
    assert machine.boot(log="all well", errors="modem is slow", slot="a") is None
    assert machine.boot(log="all well", errors="modem is slow", slot="a", bootstatus="32\n") == ["reset by the watchdog"]


def test_the_console_of_a_boot_without_a_journal_is_its_log(machine):
    console = "Linux version 6.1\nKernel command line: fairlead.slot=b\nmodem: no answer\n"
    of_old = {"log": "all well", "slot": "a"}
    assert machine.boot(**of_old, console=console, bootstatus="32\n") == ["reset by the watchdog", *console.splitlines()]
    assert machine.boot(**of_old) == ["reset by the watchdog"], "it was told"
    assert machine.boot(console=console.replace("no", "an"))[-1] == "modem: an answer", "where no journal is kept"
    assert machine.boot(**of_old, console=console.replace("slot=b", "slot=a")) == ["reset by the watchdog"], "not of that boot"


def test_it_stays_printable_and_short(machine):
    line, *log = machine.boot(errors="a\\033[31mred\\000\\n" + "x" * 500,
                              log="".join(f"{n:04} \\033[31mred\\n" for n in range(700)) + "y" * 5000)
    assert len(line) <= 230 and len("\n".join([line, *log])) < LIMIT
    assert all(text.isascii() and text.isprintable() for text in [line, *log])
    assert log[-1] == "y" * 230 and log[-2] == "0699  [31mred" and log[0].startswith("0"), "whole lines, the last ones"
    assert len("\n".join(log)) > 3000, "as many as may be"
