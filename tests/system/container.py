# SPDX-License-Identifier: Apache-2.0
"""A machine with a systemd of its own, without a virtual one: systemd-nspawn boots a tree. Only root can.

    tree = make_debian(tmp_path / "tree", packages)
    install(tree, newest(packages, "fairlead-agent"))
    with Container(tree, log) as machine:
        machine.run("systemctl", "is-active", "dbus")
"""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import CLASS, PRODUCT, ROOT, Program, descendants, eventually, kill_pid, read, run

GATEWAY = ("fairlead-helper", "fairlead-agent", "fairlead-plugin-rootfs")

# 133: the container wants to be started again.
POWER = 'trap "kill \\$child" TERM; while "$@" & child=$!; wait $child; [ $? = 133 ]; do :; done; wait'


def newest(packages, name):
    path, = Path(packages).glob(f"{name}_*.deb")
    return path


def dependencies(packages):
    """What the packages ask for, of others; of alternatives the first that there is."""
    groups = set()
    for package in (*GATEWAY, "fairlead-fleet"):
        depends = run("dpkg-deb", "-f", newest(packages, package), "Depends")
        groups |= {tuple(re.findall(r"(?:^|\|)\s*([a-z0-9.+-]+)", one)) for one in depends.split(",")}
    names = {next(name for name in group if run("apt-cache", "show", name, check=False).returncode == 0)
             for group in groups if not group[0].startswith("fairlead-")}
    return sorted(names)


def make_debian(tree, packages):
    """The tree of a minimal Debian with systemd and what the packages depend on; its contents are made once and kept."""
    names = ",".join(["systemd-sysv", "dbus", *dependencies(packages)])
    kept = ROOT / f"build/cache/packaging-{hashlib.sha256(names.encode()).hexdigest()[:12]}.tar"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        new = kept.with_suffix(f".{os.getpid()}")
        run("mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", f"--include={names}",
            "--dpkgopt=force-unsafe-io", "--aptopt=Acquire::Languages \"none\"",
            "--customize-hook=rm -r \"$1\"/usr/share/doc \"$1\"/usr/share/locale \"$1\"/var/cache/apt",
            "bookworm", new, timeout=600)
        new.rename(kept)
    tree.mkdir()
    run("tar", "-xpf", kept, "-C", tree, "--numeric-owner", "--exclude=./dev/*")
    return tree


def install(tree, *paths):
    """dpkg -i without a running system, as in the making of an image."""
    for path in paths:
        shutil.copy(path, tree / "root")
    return run("systemd-nspawn", "--quiet", "-D", tree, "--register=no", "--keep-unit", "--pipe", "dpkg", "-i",
               *(f"/root/{path.name}" for path in paths), timeout=120)


def configure(tree, fleet, device, slots, boot, more, device_port=None):
    """/etc/fairlead, as docs/integration.md says; boot is the folder of a boot loader that is none, more the text that follows."""
    example = (tree / "usr/share/doc/fairlead-agent/examples/gateway.conf").read_text()
    changes = {"device_id": device, "product": PRODUCT, "class_id": CLASS, "backend": "sim",
               "url": f"wss://localhost:{device_port or fleet.device_port}/device", "enrol": f"https://localhost:{fleet.api_port}/enrol",
               **slots}
    for key, value in changes.items():
        example, n = re.subn(rf"(?m)^{re.escape(key)} = .*$", f"{key} = {value}", example)
        assert n == 1, key
    example = re.sub(r"(?m)^(backend = sim\ndir = ).*$", rf"\g<1>{boot}", example)
    shutil.copy(fleet.keys.root, tree / "etc/fairlead/root.json")
    shutil.copy(fleet.ca, tree / "etc/fairlead/fleet-ca.pem")
    (tree / "etc/fairlead/gateway.conf").write_text(example + more)


class Container(Program):
    """The network is the host's: a fleet on localhost is there for it, too."""

    def __init__(self, tree, log, *options):
        self.tree = Path(tree)
        super().__init__(["sh", "-c", POWER, "power", "systemd-nspawn", "--quiet", "-D", tree, "--register=no",
                          "--keep-unit", "--console=pipe",
                          "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self",
                          *options, "-b"], log)

    def start(self):
        super().start()
        self.wait_booted()
        return self

    def stop(self):
        """SIGTERM has the system shut down in order."""
        self.kill(signal.SIGTERM)
        try:
            return self.child.wait(30)
        except subprocess.TimeoutExpired:
            for pid in (self.child.pid, *descendants(self.child.pid)):
                kill_pid(pid)
            return self.child.wait()

    @property
    def init(self):
        """The pid, outside, of the container's process 1; None while there is none."""
        for pid, name in descendants(self.child.pid).items():
            numbers = status_of(pid).get("NSpid", "").split()
            if name == "systemd" and len(numbers) > 1 and numbers[-1] == "1":
                return pid
        return None

    @property
    def boot(self):
        """Differs after every boot."""
        init = self.init
        return (init, read(f"/proc/{init}/stat").rsplit(")", 1)[-1].split()[19:20]) if init else None

    def try_run(self, *command, timeout=60):
        assert self.is_alive(), f"the container ended: {read(self.log)[-3000:]}"
        return run("nsenter", "-t", self.init or 0, "-a", *command, check=False, timeout=timeout)

    def run(self, *command, timeout=60):
        done = self.try_run(*command, timeout=timeout)
        assert done.returncode == 0, f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def wait_booted(self, timeout=60):
        def booted():
            assert self.is_alive(), f"the container ended: {read(self.log)[-3000:]}"
            return self.init and self.try_run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")
        eventually(booted, lambda: f"booted: {read(self.log)[-3000:]}", timeout, 0.2)

    def show(self, unit, key):
        return self.run("systemctl", "show", "-P", key, unit).strip()

    def main_pid(self, unit):
        """The pid of a service, as seen outside; None while it has none."""
        inside = self.show(unit, "MainPID")
        for name in filter(str.isdigit, os.listdir("/proc")) if inside != "0" else ():
            numbers = [line.split() for line in read(f"/proc/{name}/status").splitlines() if line.startswith("NSpid:")]
            same = numbers and numbers[0][-1] == inside and len(numbers[0]) > 2
            if same and Path(f"/proc/{name}/ns/pid").stat().st_ino == Path(f"/proc/{self.init}/ns/pid").stat().st_ino:
                return int(name)
        return None

    def journal(self, *units, lines=60):
        options = [word for unit in units for word in ("-u", unit)]
        return self.try_run("journalctl", "--no-pager", "-o", "short-monotonic", "-n", lines, *options).stdout


def listening_ports(pid):
    """The TCP ports that this process listens on."""
    sockets = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    ports = []
    for table in ("tcp", "tcp6"):
        for line in read(f"/proc/{pid}/net/{table}").splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                ports.append(int(words[1].rsplit(":", 1)[1], 16))
    return ports


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    return dict(line.split(":\t", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":\t" in line)


def seconds(condition, what, timeout):
    """How long it took until the condition held."""
    begin = time.monotonic()
    eventually(condition, what, timeout, 0.2)
    return time.monotonic() - begin
