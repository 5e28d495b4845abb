# SPDX-License-Identifier: Apache-2.0
"""The Debian packages, from their build to the last trace after a purge, in a small Debian with its own systemd.

One container goes through the life of a gateway, so the tests below `machine` are in that order.
"""
import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from container import GATEWAY, Container, configure, install, listening_ports, make_debian, newest, seconds, status_of
from faults.hostile import HostileFleet
from harness import BIN, ROOT, Fleet, descendants, eventually, free_ports, image_info, read, run, sha256

DEVICE = "gw-nspawn"
UNITS = {"fairlead-agent.service": 2.0, "fairlead-helper.service": 3.0, "fairlead-fleet.service": 2.0}
STATE = "var/lib/fairlead"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a container")


# building


@pytest.fixture(scope="module")
def second_build(tmp_path_factory, packages):
    """Built beside the other tests, by another clock and umask, in another folder, and with no compiler cache."""
    folder = tmp_path_factory.mktemp("again")
    command = f"umask 027; exec nice script/package --fresh --out {folder}/out"
    with subprocess.Popen(["sh", "-c", command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, "TZ": "Pacific/Auckland", "LC_ALL": "C", "CCACHE_DISABLE": "1"}) as child:
        yield folder / "out", child
        child.kill()


def test_lintian_has_nothing_to_say(packages, second_build):
    changes, = packages.glob("*.changes")
    said = run("lintian", "--profile", "debian", "--allow-root", changes, check=False, timeout=300)
    findings = [line for line in said.stdout.splitlines() if re.match(r"[EWO]:", line)]
    assert findings == [] and said.returncode == 0, said.stderr


def test_what_the_build_needs_is_asked_for():
    """The libraries of script/bootstrap, but for those of the tests."""
    listed = re.search(r"  # build\n(.*?)  # test\n", (ROOT / "script/bootstrap").read_text(), re.S).group(1)
    wanted = set(re.findall(r"\blib\S+-dev\b", listed)) - {"libc6-dev"}
    asked = re.search(r"Build-Depends:(.*?)\n\n", (ROOT / "packaging/debian/control").read_text(), re.S).group(1)
    assert wanted <= set(re.findall(r"lib\S+-dev", asked))


def test_every_program_and_unit_is_explained(packages, tmp_path):
    for package in ("fairlead-agent", "fairlead-helper", "fairlead-cli", "fairlead-fleet"):
        run("dpkg-deb", "-x", newest(packages, package), tmp_path)
    for program in [*tmp_path.glob("usr/bin/*"), *tmp_path.glob("usr/sbin/*")]:
        assert list(tmp_path.glob(f"usr/share/man/man[18]/{program.name}.[18].gz")), program.name
    for page in tmp_path.glob("usr/share/man/man*/*.gz"):
        said = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page, check=False,
                   env={"MANROFFSEQ": "", "MANWIDTH": "80"})
        assert said.stderr == "", page
    for unit in tmp_path.glob("lib/systemd/system/*"):
        for page, section in re.findall(r"man:([a-z.-]+)\((\d)\)", unit.read_text()):
            assert (tmp_path / f"usr/share/man/man{section}/{page}.{section}.gz").exists(), (unit.name, page)


def test_a_plugin_is_built_by_what_the_development_package_holds(packages, tmp_path):
    run("dpkg-deb", "-x", newest(packages, "fairlead-dev"), tmp_path)
    pkgconfig, = tmp_path.glob("usr/lib/*/pkgconfig")
    environment = {"PKG_CONFIG_PATH": str(pkgconfig), "PKG_CONFIG_SYSROOT_DIR": str(tmp_path),
                   "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1"}
    flags = run("pkg-config", "--cflags", "fairlead-plugin", env=environment).split()
    assert flags == [f"-I{tmp_path}/usr/include"]
    run("cc", "-std=c11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-fPIC", "-shared", *flags,
        "-o", tmp_path / "rootfs.so", ROOT / "plugins/rootfs/rootfs.c")
    folder = run("pkg-config", "--variable=plugindir", "fairlead-plugin", env=environment).strip()
    names = run("dpkg-deb", "-c", newest(packages, "fairlead-plugin-rootfs"))
    assert f".{folder.removeprefix(str(tmp_path))}/rootfs.so" in names


# a small Debian


@pytest.fixture(scope="module")
def system(tmp_path_factory, packages):
    return make_debian(tmp_path_factory.mktemp("machine") / "tree", packages)


def next_version(folder, path):
    """The same package, but of version 0.1.1."""
    tree = folder / path.stem
    run("dpkg-deb", "-R", path, tree)
    control = tree / "DEBIAN/control"
    version = re.search(r"(?m)^Version: (.*)$", control.read_text()).group(1)
    control.write_text(control.read_text().replace(version, "0.1.1-0fairlead1"))
    new = folder / f"{path.name.split('_')[0]}_0.1.1.deb"
    run("dpkg-deb", "--root-owner-group", "-b", tree, new)
    return new


# a gateway in it

MACHINE = """\
#!/bin/sh
# What firmware and boot loader do on a real machine.
set -e
cd /var/lib/machine
slot=$(sed -n 's/^trial=//p' boot/decision)
[ -n "$slot" ] || slot=$(sed -n 's/^good=//p' boot/decision)
echo "$slot" >/run/fairlead/slot
cp "image-info.$slot" /run/fairlead/image-info
"""
MACHINE_UNIT = """\
[Unit]
ConditionPathExists=/etc/fairlead/gateway.conf
Before=fairlead-helper.service
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/machine
[Install]
RequiredBy=fairlead-helper.service
"""
# It asks the service manager, as checks do, and waits for the test where the test wants it to.
CHECK = """\
#!/bin/sh
systemctl is-active --quiet dbus.service || exit 1
while [ -e /etc/fairlead/hold ]; do sleep 0.2; done
"""


MORE = """
[host]
running_slot = /run/fairlead/slot
image_info = /run/fairlead/image-info

[check]
dir = /etc/fairlead/check.d
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, keys):
    with Fleet(tmp_path_factory.mktemp("fleet") / "fleet", keys) as running:
        yield running


@pytest.fixture(scope="module")
def hostile(fleet):
    """Here it is honest, but can be slow."""
    with HostileFleet(fleet) as running:
        yield running


@pytest.fixture(scope="module")
def slots(tmp_path_factory, images):
    """Two block devices; a holds image 1."""
    folder = tmp_path_factory.mktemp("slots")
    with contextlib.ExitStack() as stack:
        devices = []
        for name in "ab":
            path = folder / name
            shutil.copy(images[1], path) if name == "a" else path.write_bytes(b"")
            os.truncate(path, images[1].stat().st_size)
            devices.append(run("losetup", "-f", "--show", path).strip())
            stack.callback(run, "losetup", "-d", devices[-1], check=False)
            stack.callback(os.chmod, devices[-1], os.stat(devices[-1]).st_mode & 0o7777)
            os.chmod(devices[-1], 0o600)
        yield devices


@pytest.fixture(scope="module")
def machine(tmp_path_factory, system, packages, slots):
    """A booted container with our packages; not configured."""
    install(system, *(newest(packages, name) for name in (*GATEWAY, "fairlead-fleet")))
    program = system / "usr/local/sbin/machine"
    program.write_text(MACHINE)
    program.chmod(0o755)
    (system / "etc/systemd/system/machine.service").write_text(MACHINE_UNIT)
    run("systemctl", "--root", system, "enable", "machine.service")
    log = tmp_path_factory.mktemp("log") / "console.log"
    with Container(system, log, *(f"--bind={device}" for device in slots)) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(machine, fleet, hostile, slots):
    """… configured as docs/integration.md says, and enrolled; connected."""
    tree = machine.tree
    configure(tree, fleet, DEVICE, {"slot.a": slots[0], "slot.b": slots[1]}, "/var/lib/machine/boot", MORE,
              device_port=hostile.device_port)
    folder = tree / "var/lib/machine"
    (folder / "boot").mkdir(parents=True)
    for slot, number in (("a", 1), ("b", 2)):
        (folder / f"image-info.{slot}").write_text(image_info(f"{number}.0.0", number))
    drop_in = tree / "etc/systemd/system/fairlead-helper.service.d"
    drop_in.mkdir()
    (drop_in / "machine.conf").write_text("[Service]\nReadWritePaths=/var/lib/machine/boot\n")
    checks = tree / "etc/fairlead/check.d"
    checks.mkdir()
    (checks / "50-hold").write_text(CHECK)
    (checks / "50-hold").chmod(0o755)
    identity = machine.run("runuser", "-u", "fairlead", "--", "fairlead-agent", "--identity").strip()
    fleet.cli("device", "enroll", DEVICE, "--identity", identity)
    hostile.identities[DEVICE], hostile.device = tree / STATE / "identity", DEVICE
    machine.run("fairlead-boot", "init", "a")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "fairlead-helper.socket", "fairlead-helper.service", "fairlead-agent.service")
    wait_connected(machine)
    return machine


def ctl(machine, verb):
    done = machine.try_run("fairleadctl", verb, "--json")
    return json.loads(done.stdout) if done.returncode == 0 else None


def wait_connected(machine, timeout=30):
    def ready():
        status = ctl(machine, "status")
        helper = status and status["helper"]
        return status and status["fleet"]["connected"] and helper["connected"] and not helper["anchor_lost"]
    return eventually(ready, lambda: f"connected: {machine.journal('fairlead-*')}", timeout, 0.2)


def deploy(fleet, folder, image, number, *options):
    release = fleet.publish(fleet.release(folder, image, f"{number}.0.0", *options))
    return fleet.deploy(release, DEVICE)


def wait_job(fleet, machine, job, state, timeout=120):
    try:
        return fleet.wait_job(job, state, timeout=timeout)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{machine.journal('fairlead-*')}") from None


@root_only
def test_an_unconfigured_machine_starts_nothing(machine):
    for unit in ("fairlead-agent.service", "fairlead-helper.service", "fairlead-helper.socket", "fairlead-fleet.service"):
        assert machine.show(unit, "ActiveState") == "inactive", unit
        assert machine.show(unit, "UnitFileState") == "enabled", unit
    assert machine.show("fairlead-restart.path", "ActiveState") == "active"
    assert machine.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").strip() == ""


@root_only
def test_units_are_valid_and_not_exposed(machine):
    tree = machine.tree
    units = sorted(path.name for path in (tree / "lib/systemd/system").glob("fairlead-*"))
    said = run("systemd-analyze", "verify", "--man=no", f"--root={tree}", *units, check=False)
    assert (said.stdout + said.stderr, said.returncode) == ("", 0)
    for unit, limit in UNITS.items():
        report = run("systemd-analyze", "security", "--offline=true", f"--root={tree}", unit, check=False)
        assert not re.search("(?i)unknown|ignoring", report.stdout + report.stderr), unit
        assert float(re.search(r"exposure level for \S+: ([0-9.]+)", report.stdout).group(1)) <= limit, report.stdout


@root_only
def test_the_agent_is_nobody_and_listens_nowhere(gateway):
    agent, helper = gateway.main_pid("fairlead-agent"), gateway.main_pid("fairlead-helper")
    one, other = status_of(agent), status_of(helper)
    assert "0" not in one["Uid"].split()
    assert (one["CapEff"], one["CapBnd"], one["NoNewPrivs"], one["Seccomp"]) == ("0" * 16, "0" * 16, "1", "2")
    assert other["Uid"].split() == ["0"] * 4 and (other["NoNewPrivs"], other["Seccomp"]) == ("1", "2")
    assert listening_ports(agent) == listening_ports(helper) == []
    network = [os.stat(f"/proc/{pid}/ns/net").st_ino for pid in (agent, helper)]
    assert network[0] != network[1], "the helper is on the network"
    asked = gateway.try_run("runuser", "-u", "fairlead-runner", "--", "fairleadctl", "status")
    assert asked.returncode != 0, "every user may ask the agent"


@root_only
def test_a_release_is_installed_over_a_real_restart(gateway, fleet, images, tmp_path, slots):
    boot = gateway.boot
    job = deploy(fleet, tmp_path / "r2", images[2], 2)
    wait_job(fleet, gateway, job, "committed")
    assert gateway.boot != boot, "the machine was restarted"
    assert sha256(slots[1]) == sha256(images[2])
    assert read(gateway.tree / "run/fairlead/slot") in ("", "b")
    protections = ctl(gateway, "status")["protections"]
    sandbox = {"user:fairlead-runner", "pid_namespace", "net_namespace", "no_capabilities", "seccomp", "no_network"}
    assert {"seal", "anchor: root", *(f"runner: {name}" for name in sandbox)} <= set(protections), protections


@root_only
def test_the_server_starts_when_there_is_a_fleet(machine, keys):
    device_port, api_port = free_ports(2)
    folder = machine.tree / "var/lib/fairlead-fleet"
    shutil.copy(keys.root, folder / "first-root.json")
    shutil.copy(keys["dispatch"], folder / "dispatch.key")
    inside = Path("/var/lib/fairlead-fleet")
    machine.run("chown", "fairlead-fleet", inside / "dispatch.key", inside / "first-root.json")
    machine.run("runuser", "-u", "fairlead-fleet", "--", "fairlead-fleet", "init", inside,
                "--root", inside / "first-root.json", "--dispatch-key", inside / "dispatch.key",
                "--device-port", device_port, "--api-port", api_port)
    machine.run("systemctl", "start", "fairlead-fleet")
    asked = eventually(lambda: run(BIN / "fairlead", "device", "list", "--json", check=False, env={
        "FAIRLEAD_FLEET": f"https://localhost:{api_port}", "FAIRLEAD_TOKEN_FILE": str(folder / "token"),
        "FAIRLEAD_CA": str(folder / "ca.pem")}).returncode == 0, lambda: machine.journal("fairlead-fleet"), 20, 0.2)
    server = machine.main_pid("fairlead-fleet")
    assert asked and "0" not in status_of(server)["Uid"].split()
    assert set(listening_ports(server)) == {device_port, api_port}
    machine.run("systemctl", "stop", "fairlead-fleet")


def hang(machine, unit):
    """Seconds until the service runs again after its process was frozen."""
    old = machine.main_pid(unit)
    os.kill(old, 19)
    return seconds(lambda: machine.show(unit, "SubState") == "running" and machine.main_pid(unit) not in (None, old),
                   lambda: f"{unit} is started again: {machine.journal(unit)}", 60)


@root_only
def test_a_loop_that_hangs_is_ended_and_started_again(gateway):
    starts = int(gateway.show("fairlead-agent", "NRestarts"))
    took = hang(gateway, "fairlead-agent")
    assert 10 < took <= 60
    assert int(gateway.show("fairlead-agent", "NRestarts")) == starts + 1
    wait_connected(gateway)


@root_only
def test_an_upgrade_in_the_middle_loses_no_job(gateway, fleet, hostile, packages, images, tmp_path):
    """While it downloads, and again while the new system is on trial."""
    (gateway.tree / "var/lib/machine/image-info.a").write_text(image_info("4.0.0", 4))
    new = [next_version(tmp_path, newest(packages, name)) for name in GATEWAY]
    old = [newest(packages, name) for name in GATEWAY]
    for path in (*new, *old):
        shutil.copy(path, gateway.tree / "root")
    hold = gateway.tree / "etc/fairlead/hold"
    hold.touch()
    hostile.bytes_per_second = 400_000
    job = deploy(fleet, tmp_path / "r4", images[4], 4)
    before = hostile.served[DEVICE]
    eventually(lambda: hostile.served[DEVICE] - before > 1_000_000, "a part is downloaded", 30)
    upgrade(gateway, new)
    assert fleet.job(job)["state"] == "staging"
    hostile.bytes_per_second = None
    wait_job(fleet, gateway, job, "checking")
    upgrade(gateway, old)
    assert fleet.job(job)["state"] == "checking"
    hold.unlink()
    assert wait_job(fleet, gateway, job, "committed")["state"] == "committed"
    states = fleet.states(job)
    assert not {"failed", "rolling_back", "rolled_back", "stuck"} & set(states), gateway.journal("fairlead-*")


def upgrade(machine, paths):
    """dpkg -i of other versions: what runs is started again, with the new programs."""
    pids = [machine.main_pid(unit) for unit in ("fairlead-helper", "fairlead-agent")]
    machine.run("dpkg", "--force-downgrade", "-i", *(f"/root/{path.name}" for path in paths), timeout=120)
    assert all(machine.main_pid(unit) not in (None, *pids) for unit in ("fairlead-helper", "fairlead-agent"))
    wait_connected(machine)


@root_only
def test_a_database_of_a_newer_version_is_set_aside(gateway, fleet):
    gateway.run("systemctl", "stop", "fairlead-agent")
    database, = (gateway.tree / STATE / "store").glob("*.db")
    with contextlib.closing(sqlite3.connect(database)) as store:
        store.execute("PRAGMA user_version = 99")
    gateway.run("systemctl", "start", "fairlead-agent")
    wait_connected(gateway)
    assert "set aside" in gateway.journal("fairlead-agent")
    assert fleet.device(DEVICE)["online"]


@root_only
def test_remove_stops_and_purge_keeps_what_cannot_be_made_again(gateway):
    gateway.run("dpkg", "--remove", *GATEWAY, "fairlead-fleet", timeout=120)
    units = gateway.run("systemctl", "list-units", "--state=active,failed", "--plain", "--no-legend", "fairlead-*")
    assert units.strip() == ""
    assert not [name for name in descendants(gateway.init).values() if name.startswith("fairlead")]
    tree = gateway.tree
    assert (tree / STATE / "store").is_dir() and (tree / "etc/fairlead/gateway.conf").exists()
    gateway.run("dpkg", "--purge", *GATEWAY, "fairlead-fleet", timeout=120)
    assert sorted(path.name for path in (tree / STATE).iterdir()) == ["anchor", "identity"]
    assert (tree / STATE / "identity/device.key").exists()
    of_this_test = {"fairlead-helper.service.d", "fairlead-helper.service.requires"}
    left = [path for folder in ("etc/systemd", "lib/systemd", "usr", "var/lib/systemd")
            for path in (tree / folder).rglob("*fairlead*") if path.name not in of_this_test]
    assert left == []


def test_building_again_gives_the_same_packages(packages, second_build):
    folder, child = second_build
    output = child.communicate(timeout=600)[0]
    assert child.returncode == 0, output
    first = {path.name: sha256(path) for path in packages.glob("*.deb")}
    assert first == {path.name: sha256(path) for path in folder.glob("*.deb")}
    assert len(first) >= 6
