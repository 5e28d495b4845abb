# SPDX-License-Identifier: Apache-2.0
"""packaging/initramfs-tools: what the script and the hook do, each in a small tree of its own. With a real kernel: boot/."""
import shutil

import pytest

from harness import ROOT, run

SOURCE = ROOT / "packaging/initramfs-tools"
APPLETS = ("sh", "awk", "readlink", "rm")
# hook-functions, as far as the hook takes it.
FUNCTIONS = 'copy_exec() { echo "$1" >/copied; }\n'
IN_TREE = """mount --rbind /proc "$1/proc"
mount --bind "$1/cmdline" "$1/proc/cmdline"
[ -z "$2" ] || mount --bind "$2" "$1/dev/watchdog"
exec chroot "$1" /script"""


class Tree:
    def __init__(self, path, script):
        self.path = path
        self.write("bin/busybox", "")
        shutil.copy("/bin/busybox", path / "bin/busybox")
        for name in APPLETS:
            (path / "bin" / name).symlink_to("busybox")
        for name in ("proc", "sys"):
            (path / name).mkdir()
        self.write("dev/kmsg", "")
        shutil.copy(SOURCE / script, path / "script")
        self.write("usr/share/initramfs-tools/hook-functions", FUNCTIONS)
        self.write("bin/wdctl", "#!/bin/sh\necho \"$@\" >/asked\n", 0o755)

    def write(self, name, text, mode=0o644):
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)
        (self.path / name).chmod(mode)

    def read(self, name):
        return (self.path / name).read_text() if (self.path / name).exists() else ""

    def run(self, cmdline="", watchdog="", **env):
        """Runs it; what it says. It must end well, whatever lacks."""
        self.write("cmdline", cmdline + "\n")
        if watchdog:
            self.write("dev/watchdog", "")
        return run("unshare", "--map-root-user", "--mount", "sh", "-ec", IN_TREE, "sh", self.path, watchdog,
                   env={"PATH": "/bin:/sbin:/usr/bin:/usr/sbin", **env})

    def log(self):
        return self.read("dev/kmsg").splitlines()


TRIAL = "root=PARTUUID=11-02 fairlead.slot=b fairlead.trial=1 ro"


@pytest.fixture
def boot(tmp_path):
    return Tree(tmp_path / "tree", "watchdog")


def test_a_trial_arms_the_watchdog_for_as_long_as_the_image_says(boot):
    boot.run(TRIAL, "/dev/null")
    assert boot.read("asked") == "-s 120 /dev/watchdog\n"
    assert boot.log() == ["<4>fairlead: on trial, watchdog '/dev/watchdog' is armed, 120 s"]
    boot.write("conf/conf.d/fairlead", "FAIRLEAD_WATCHDOG_TIMEOUT_S=45\n")
    boot.run(TRIAL, "/dev/null")
    assert boot.read("asked") == "-s 45 /dev/watchdog\n"


@pytest.mark.parametrize("cmdline", ["", "fairlead.slot=b ro", "fairlead.trial=0", "nofairlead.trial=1", "fairlead.trial=10"])
def test_without_a_trial_nothing_is_touched(boot, cmdline):
    boot.run(cmdline, "/dev/full")
    assert (boot.log(), boot.read("asked")) == ([], "")


def test_zero_seconds_are_no_watchdog(boot):
    boot.write("conf/conf.d/fairlead", "FAIRLEAD_WATCHDOG_TIMEOUT_S=0\n")
    boot.run(TRIAL, "/dev/full")
    assert (boot.log(), boot.read("asked")) == ([], "")


def test_a_missing_watchdog_is_told(boot):
    boot.run(TRIAL)
    assert boot.log() == ["<4>fairlead: on trial, watchdog '/dev/watchdog' is not there"]


def test_a_watchdog_that_fails_is_told(boot):
    boot.write("bin/wdctl", "#!/bin/sh\necho 'no way'\nexit 1\n", 0o755)
    boot.run(TRIAL, "/dev/null")
    assert boot.log() == ["<4>fairlead: on trial, watchdog '/dev/watchdog' is armed with its own timeout: no way"]
    boot.run(TRIAL, "/dev/full")
    assert boot.log() == ["<4>fairlead: on trial, watchdog '/dev/watchdog' cannot be armed"]


@pytest.fixture
def hook(tmp_path):
    tree = Tree(tmp_path / "tree", "hook")
    tree.write("new/scripts/init-premount/fairlead", "")
    return tree


@pytest.mark.parametrize("config, armed", [
    (None, True),
    ("[watchdog]\ndevice = /dev/watchdog\n", True),
    ("[boot]\ndir = /x\n[watchdog]\ntimeout_s = 60\n  device=/dev/watchdog0\n[window.w]\n", True),
    ("[watchdog]\ntimeout_s = 60\n[device]\ndevice_id = x\ndevice = x\n", False),
    ("[watchdog]\n# device = /dev/watchdog\n", False),
    ("", False)])
def test_what_no_helper_feeds_is_not_armed(hook, config, armed):
    if config is not None:
        hook.write("etc/fairlead/gateway.conf", config)
    hook.run(DESTDIR="/new")
    assert (hook.path / "new/scripts/init-premount/fairlead").exists() == armed
    assert (hook.read("copied") == "/bin/wdctl\n") == armed
