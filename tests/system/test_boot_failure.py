# SPDX-License-Identifier: Apache-2.0
"""What a boot leaves behind, in one line (packaging/boot-failure.sh)."""
import os
import subprocess

import pytest

from harness import ROOT

SCRIPT = ROOT / "packaging/boot-failure.sh"
PANIC = "<0>[    1.2] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n<4>[    1.2] CPU: 0 PID: 1\n"


@pytest.fixture
def left(tmp_path):
    """left(journal="…", **files below /sys): the line, or None."""
    def run(journal="", status=0, **files):
        sys, tools, out = tmp_path / "sys", tmp_path / "tools", tmp_path / "out"
        tools.mkdir(exist_ok=True)
        (tools / "journalctl").write_text(f"#!/bin/sh\nprintf '%b' '{journal}'\nexit {status}\n")
        (tools / "journalctl").chmod(0o755)
        for name, text in files.items():
            path = sys / {"pstore": "fs/pstore/dmesg-efi-1", "bootstatus": "class/watchdog/watchdog0/bootstatus"}[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        out.write_text("of the boot before\n")
        subprocess.run([SCRIPT, out], check=True, timeout=20,
                       env={"PATH": f"{tools}:{os.environ['PATH']}", "FAIRLEAD_SYS": str(sys)})
        return out.read_text() if out.exists() else None
    return run


def test_a_boot_that_left_nothing_leaves_no_file(left):
    assert left() is None
    assert left(bootstatus="0\n") is None
    assert left(status=1) is None


def test_a_panic_is_told(left):
    assert left(pstore=PANIC) == "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n"


def test_a_reset_by_the_watchdog_is_told_with_the_journals_last_words(left):
    assert left(journal="app: no modem\\napp: gave up\\n", bootstatus="32\n") == \
        "reset by the watchdog; log: app: no modem;app: gave up;\n"


def test_a_panic_says_more_than_the_watchdog_that_followed(left):
    assert left(pstore=PANIC, bootstatus="32\n").startswith("Kernel panic")


def test_it_stays_one_short_line_of_printable_characters(left):
    line = left(journal="a\\033[31mred\\000\\n" + "x" * 5000)
    assert line.count("\n") == 1 and len(line) <= 231 and line.isascii() and line.rstrip("\n").isprintable()
