# SPDX-License-Identifier: Apache-2.0
"""A fleet and its gateways, from the real programs, for the tests in this folder.

    keys = Keys(tmp_path / "keys")
    with Fleet(tmp_path / "fleet", keys) as fleet, Gateway(tmp_path / "gw", fleet, "gw-1", image) as gateway:
        job = fleet.deploy(fleet.publish(release), gateway)
        gateway.wait_job(job, "committed")
"""
import hashlib
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FAIRLEAD_BUILD", ROOT / "build/release"))
BIN = BUILD / "bin"
PRODUCT = "demo-gateway"
CLASS = "6661cafe-0000-4000-8000-00000000c1a5"
SPREAD_MS = 200  # how long gateways wait before they come back; nobody here needs to be spread
FINAL = {"rejected", "failed", "cancelled", "committed", "rolled_back", "stuck"}
ENVIRONMENT = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


def run(*command, check=True, env=None, timeout=120):
    """What the command wrote to its standard output; with check, a failure raises what it said."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**ENVIRONMENT, **(env or {})}, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout if check else done


def eventually(condition, what, timeout=30, pause=0.05):
    """The first true value of condition(); an assertion when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout} s: {what() if callable(what) else what}"
        time.sleep(pause)


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def read(path):
    """The file's text without the line end, or '' when there is none."""
    try:
        return Path(path).read_text(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def descendants(pid):
    """All processes below this one, {pid: name}."""
    children = {}
    for one in filter(str.isdigit, os.listdir("/proc")):
        name, _, rest = read(f"/proc/{one}/stat").partition("(")[2].rpartition(")")
        if rest:
            children.setdefault(int(rest.split()[1]), []).append((int(one), name))
    found, new = {}, [pid]
    while new:
        below = children.get(new.pop(), [])
        found.update(below)
        new += [one for one, _ in below]
    return found


def is_gone(pid):
    """Dead; where nobody adopts orphans (a container whose first process is no init) it may never be reaped."""
    state = read(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1]
    return state in ([], ["Z"], ["X"])


def kill_pid(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


# Images


def image_info(version, release_seq, security_version=1, product=PRODUCT):
    return json.dumps({"product": product, "component": "rootfs", "version": version, "release_seq": release_seq,
                       "security_version": security_version}, separators=(",", ":"))


def make_tree(folder, version, release_seq, security_version, init, fill_mib, like, news_mib):
    """A system small enough for a test: half of its bulk is random, that of release `like`, half compresses well; the same every time."""
    (folder / "usr/sbin").mkdir(parents=True)
    (folder / "usr/lib/fairlead").mkdir(parents=True)
    (folder / "sbin").symlink_to("usr/sbin")
    (folder / "usr/lib/fairlead/image-info").write_text(image_info(version, release_seq, security_version))
    if init:
        (folder / "usr/lib/real-init").write_text("#!/bin/sh\n")
        (folder / "usr/sbin/init").symlink_to("/usr/lib/real-init")
    source = random.Random(like)
    half = fill_mib << 19
    (folder / "usr/random").write_bytes(source.randbytes(half))
    (folder / "usr/text").write_bytes((b"release %d, the same line again and again\n" % release_seq * (half // 30))[:half])
    if news_mib:
        (folder / "usr/news").write_bytes(random.Random(f"news {release_seq}").randbytes(news_mib << 20))


def make_image(path, version, release_seq, security_version=1, init=True, size_mib=16, fill_mib=8, like=None, news_mib=0):
    """An ext4 image of one slot, without root; the bytes depend on nothing but the arguments. `like`: shares its bulk with that release."""
    tree = Path(f"{path}.tree")
    make_tree(tree, version, release_seq, security_version, init, fill_mib, like or release_seq, news_mib)
    epoch = "1735689600"
    for name in [tree, *tree.rglob("*")]:
        os.utime(name, (int(epoch), int(epoch)), follow_symlinks=False)
    identity = ("-U", "6661cafe-0000-4000-8000-000000000001",
                "-E", "hash_seed=6661cafe-0000-4000-8000-000000000002,root_owner=0:0,lazy_itable_init=0")
    run("mke2fs", "-q", "-t", "ext4", "-I", "128", "-b", "4096", "-m", "0", *identity, "-d", tree, path, f"{size_mib}M",
        env={"E2FSPROGS_FAKE_TIME": epoch})
    requests = "".join(f"sif <{inode}> ctime @{epoch}\nsif <{inode}> uid 0\nsif <{inode}> gid 0\n"
                       for inode in (2, *range(11, 12 + len(list(tree.rglob("*"))))))
    subprocess.run(["debugfs", "-w", "-f", "-", path], input=requests, text=True, capture_output=True, check=True,
                   env={**ENVIRONMENT, "E2FSPROGS_FAKE_TIME": epoch})
    run("rm", "-r", tree)
    return Path(path)


# Programs


class Keys:
    """The keys of one product and its first root document."""

    def __init__(self, folder, product=PRODUCT, alg="ed25519"):
        self.folder, self.root = Path(folder), Path(folder) / "root.json"
        run(BIN / "fairlead", "keys", "init", folder, "--product", product, "--alg", alg)

    def __getitem__(self, role):
        return self.folder / f"{role}.key"


class Program:
    """One of our programs that runs until it is stopped; its output is in `log`."""

    def __init__(self, command, log):
        self.command, self.log, self.child = [str(word) for word in command], Path(log), None

    def start(self):
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=ENVIRONMENT, start_new_session=True)
        return self

    def is_alive(self):
        return self.child is not None and self.child.poll() is None

    def kill(self, number=signal.SIGKILL):
        if self.is_alive():
            self.child.send_signal(number)

    def stop(self):
        """SIGTERM, and SIGKILL after 10 s; returns the exit status."""
        self.kill(signal.SIGTERM)
        try:
            return self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.child.wait()

    def kill_and_wait(self):
        self.kill()
        self.child.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.child is not None:
            self.stop()


class Fleet(Program):
    """fairlead-fleet on SQLite, and the operator's command line for it. `host`: what gateways call it."""

    def __init__(self, folder, keys, host="localhost"):
        self.folder, self.keys, self.host = Path(folder), keys, host
        self.device_port, self.api_port = free_ports(2)
        run(BIN / "fairlead-fleet", "init", folder, "--root", keys.root, "--dispatch-key", keys["dispatch"],
            "--host", host if host == "localhost" else f"{host},localhost", "--device-port", self.device_port, "--api-port", self.api_port)
        self.ca, self.token = self.folder / "ca.pem", self.folder / "token"
        self.device_ca, self.database = self.folder / "device-ca.pem", self.folder / "fleet.db"
        self.server_identity = self.folder / "server.pem", self.folder / "keys/server.pem"
        self.url, self.n_gateways = f"https://localhost:{self.api_port}", 0
        conf = self.folder / "fleet.conf"
        text = re.sub(r"(?m)^reconnect_spread_ms = .*$", f"reconnect_spread_ms = {SPREAD_MS}", conf.read_text())
        conf.write_text(re.sub(r"(?m)^host = .*$", f"host = {host}", text))
        super().__init__([BIN / "fairlead-fleet", "run", folder], self.folder / "fleet.log")

    def new_name(self):
        """gw-1, gw-2 …"""
        self.n_gateways += 1
        return f"gw-{self.n_gateways}"

    def start(self):
        super().start()
        eventually(self.answers, lambda: f"the fleet answers: {read(self.log)[-2000:]}", 20)
        return self

    def answers(self):
        assert self.is_alive(), f"the fleet ended: {read(self.log)[-2000:]}"
        return self.try_cli("device", "list").returncode == 0

    def try_cli(self, *arguments, timeout=120):
        """The finished process of `fairlead … --json`, whatever its exit status."""
        return run(BIN / "fairlead", *arguments, "--json", check=False, timeout=timeout,
                   env={"FAIRLEAD_FLEET": self.url, "FAIRLEAD_TOKEN_FILE": str(self.token), "FAIRLEAD_CA": str(self.ca)})

    def cli(self, *arguments):
        """What `fairlead … --json` printed, parsed."""
        done = self.try_cli(*arguments)
        assert done.returncode == 0, f"fairlead {arguments}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def rest(self, method, path, data=None, **headers):
        """The answer's status and body to a request of our own, with the operator's token."""
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, method=method, headers={
            "Authorization": f"Bearer {read(self.token)}", **{name.replace("_", "-"): str(value) for name, value in headers.items()}})
        try:
            with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.ca), timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def release(self, folder, image, version, *options, key="release", hw_rev="1-9", class_id=CLASS):
        """Makes and signs a release of one image; returns its folder."""
        self.cli("release", "create", "--product", PRODUCT, "--version", version, "--component", f"rootfs={image}",
                 "--class", class_id, "--hw-rev", hw_rev, "--level", "3", *options, "-o", folder)
        if key:
            self.cli("release", "sign", Path(folder) / "release.json", "--key", self.keys[key])
        return Path(folder)

    def publish(self, folder):
        self.cli("release", "publish", folder)
        return folder

    def deploy(self, release, gateway, *options):
        """The id of the new job."""
        return self.cli("deploy", release, "--device", getattr(gateway, "id", gateway), *options)["job_id"]

    def job(self, job):
        return self.cli("jobs", "show", job)

    def states(self, job):
        """Every state that the job was in, in order, each once in a row."""
        states = [step["state"] for step in self.job(job)["history"]]
        return [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]

    def device(self, gateway):
        return self.cli("device", "show", getattr(gateway, "id", gateway))

    def wait_event(self, gateway, code, timeout=30):
        """What `device show` tells of something refused with that code."""
        def found():
            return next((event for event in self.device(gateway).get("events", []) if event.get("code") == code), None)
        return eventually(found, lambda: f"event {code}: {self.device(gateway)}", timeout, 0.1)

    def wait_job(self, job, *states, timeout=60):
        """The job once it is in one of the states; another final state ends the wait."""
        seen = {}

        def there():
            seen.update(self.job(job))
            assert seen["state"] in states or seen["state"] not in FINAL, f"the job ended otherwise: {seen}"
            return seen["state"] in states

        eventually(there, lambda: f"{states}, but {seen}", timeout, 0.1)
        return seen


class Gateway(Program):
    """One gateway on script/machine.

    conf      added to its configuration
    via       a HostileFleet (faults/hostile.py) between it and its fleet
    programs  where its agent and helper are, if they are not ours alone
    wrap      function of its folder: the start of the command line that runs the machine
    """

    def __init__(self, folder, fleet, name, image, conf="", enrol=True, hw_rev=1, via=None, programs=BIN, wrap=None):
        self.folder, self.fleet, self.id = Path(folder), fleet, name
        self.conf = self.folder / "gateway.conf"
        run(ROOT / "script/new-gateway", folder, "--id", name, "--image", image, "--product", PRODUCT, "--class", CLASS,
            "--hw-rev", hw_rev, "--root", fleet.keys.root, "--ca", fleet.ca, "--host", fleet.host,
            "--device-port", (via or fleet).device_port, "--api-port", fleet.api_port, "--build", BUILD)
        with open(self.conf, "a", encoding="utf-8") as out:
            out.write(conf)
        self.identity = run(BIN / "fairlead-agent", "--config", self.conf, "--identity").strip()
        if enrol:
            fleet.cli("device", "enroll", name, "--identity", self.identity)
        if via:
            via.register(self)
        super().__init__([*(wrap(self.folder) if wrap else ()), ROOT / "script/machine", folder, "--bin", programs], self.folder / "log/console.log")

    def configure(self, key, value):
        """Changes one line of the configuration: `slot.b`, the new path."""
        text = self.conf.read_text()
        changed = re.sub(rf"^{re.escape(key)} = .*$", f"{key} = {value}", text, flags=re.M)
        assert changed != text, f"no {key} in {self.conf}"
        self.conf.write_text(changed)

    def pid(self, name):
        """Of helper, agent or machine; None while it doesn't run."""
        text = read(self.folder / "run" / f"{name}.pid")
        return int(text) if text else None

    def kill_program(self, name, number=signal.SIGKILL):
        """Kills helper or agent; the machine starts it again. Returns the pid that was hit."""
        pid = eventually(lambda: self.pid(name), f"a pid of {name}")
        kill_pid(pid, number)
        return pid

    def runners(self):
        """The pids of its runners, the outermost process of each first."""
        helper = self.pid("helper")
        return sorted(pid for pid, name in descendants(helper).items() if name == "fairlead-runner") if helper else []

    def power_cut(self):
        """Everything of this gateway stops at once; start() is the next power on."""
        programs = descendants(self.child.pid)
        self.kill()
        for pid in programs:
            kill_pid(pid)
        self.child.wait()
        eventually(lambda: all(map(is_gone, programs)), "all of the gateway died")

    @property
    def slot(self):
        return read(self.folder / "run/slot")

    @property
    def boot_id(self):
        return read(self.folder / "run/boot-id")

    @property
    def boot_failure(self):
        return read(self.folder / "run/boot-failure")

    def slot_digest(self, slot):
        """SHA-256 of the whole slot."""
        return sha256(self.folder / "slots" / f"{slot}.img")

    @property
    def decision(self):
        """What fairlead-boot decided last."""
        return read(self.folder / "boot/decision")

    def try_ctl(self, *arguments):
        return run(BIN / "fairleadctl", "--config", self.conf, *arguments, "--json", check=False)

    def ctl(self, *arguments):
        """What `fairleadctl … --json` printed, parsed; None while nobody answers."""
        done = self.try_ctl(*arguments)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_connected(self, timeout=30):
        """With a whole anchor: a new one is ended by the first heartbeat, and then the agent connects once more."""
        def ready():
            status = self.ctl("status")
            return status and status["fleet"]["connected"] and status["helper"]["connected"] and not status["helper"]["anchor_lost"]
        return eventually(ready, lambda: f"{self.id} is connected: {self.logs()}", timeout)

    def jobs(self):
        return (self.ctl("jobs") or {}).get("jobs", [])

    def log_lines(self):
        """What `fairleadctl log` tells."""
        return [line["text"] for line in (self.ctl("log") or {}).get("lines", [])]

    def wait_log(self, text, timeout=30):
        """The first line of `fairleadctl log` with the text."""
        return eventually(lambda: next((line for line in self.log_lines() if text in line), None),
                          lambda: f"a line with '{text}'\n{self.logs()}", timeout, 0.1)

    def boots(self):
        """What the machine did, without the times."""
        return [line.split(" ", 1)[1] for line in read(self.folder / "log/machine.log").splitlines()]

    def wait_state(self, *states, job=None, timeout=60):
        """The gateway's own word on its job (the newest, when none is named), once in one of the states."""
        def there():
            found = [one for one in self.jobs() if job in (None, one["job_id"])]
            newest = max(found, key=lambda one: one["job_seq"], default=None)
            return newest if newest and newest["state"] in states else None
        return eventually(there, lambda: f"{states}, but {self.jobs()}\n{self.logs()}", timeout)

    def logs(self, size=3000):
        return "\n".join(f"--- {path.name}\n{read(path)[-size:]}" for path in sorted((self.folder / "log").glob("*.log")))
