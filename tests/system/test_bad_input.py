# SPDX-License-Identifier: Apache-2.0
"""What is spoiled, stolen, replayed or broken ends in a clear code where an operator looks, and the running system is as before.

The hostile fleet (faults/hostile.py) holds the TLS keys and the dispatch key of the real one, which stands behind it and
keeps the reports: codes are read there, from `fairlead jobs show`, or from `fairlead device show` and `fairleadctl log`
where no job can be named.
"""
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from faults import documents
from faults.disk import SmallDisk, small_disk
from faults.hostile import Answer, HostileFleet
from harness import BUILD, FINAL, Fleet, eventually, read, sha256

CHUNK = documents.CHUNK


class Device:
    """A gateway behind the hostile fleet, and what may not change on it."""

    def __init__(self, gateway):
        self.gateway, self.fleet = gateway, gateway.fleet
        self.slots = {slot: gateway.slot_digest(slot) for slot in ("a", "b") if (gateway.folder / f"slots/{slot}.img").is_file()}
        self.decision, self.memory = gateway.decision, read(gateway.folder / "boot/machine")

    def is_untouched(self, staged=False):
        """It still runs the old system and would boot it; with `staged`, the other slot was written, else not a byte was."""
        gateway = self.gateway
        assert gateway.slot == "a"
        assert gateway.boots() == ["slot a: boots"]
        assert gateway.slot_digest("a") == self.slots["a"]
        assert "good=a\ntrial=\n" in gateway.decision
        if not staged:
            assert gateway.decision == self.decision
            assert {slot: gateway.slot_digest(slot) for slot in self.slots} == self.slots
        return True

    def waits(self, job, code, timeout=60):
        """`jobs show` tells that the job waits because of it."""
        return eventually(lambda: (shown := self.fleet.job(job)).get("reason") == code and shown["state"] not in FINAL and shown,
                          lambda: f"{code}: {self.fleet.job(job)}\n{self.gateway.logs()}", timeout, 0.1)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, keys):
    """One for all tests: nothing here changes it for good."""
    with Fleet(tmp_path_factory.mktemp("fleet") / "fleet", keys) as running:
        yield running


@pytest.fixture(scope="module")
def man_in_the_middle(fleet):
    with HostileFleet(fleet) as running:
        yield running


@pytest.fixture
def hostile(man_in_the_middle):
    yield man_in_the_middle
    man_in_the_middle.be_honest()


@pytest.fixture(scope="module")
def published(tmp_path_factory, fleet, images):
    releases = {}

    def publish(number, *options):
        key = (number, *options)
        if key not in releases:
            folder = tmp_path_factory.mktemp("release") / "release"
            releases[key] = fleet.publish(fleet.release(folder, images[number], f"{number}.0.0", *options))
        return releases[key]
    return publish


@pytest.fixture
def device(hostile, new_gateway):
    gateway = new_gateway(via=hostile)
    gateway.wait_connected()
    return Device(gateway)


def envelope_rule(spoil):
    """A rule for the hostile fleet: the message with its document spoiled."""
    return lambda message: {**message, "envelope": spoil(message["envelope"])}


# documents that are not what was signed


SPOILED = {
    "first bit": lambda text: documents.flip_payload(text, 0),
    "a bit in the middle": lambda text: documents.flip_payload(text, 8 * (len(documents.payload(text)) // 2) + 1),
    "last bit": lambda text: documents.flip_payload(text, 8 * len(documents.payload(text)) - 1),
    "signature": lambda text: documents.flip_signature(text, 100),
}


@pytest.mark.parametrize("what", SPOILED)
def test_flipped_bit_in_a_job(fleet, hostile, device, published, images, what):
    hostile.down["job"] = envelope_rule(SPOILED[what])
    release = published(2)
    job = fleet.deploy(release, device.gateway)
    fleet.wait_event(device.gateway, "signature")
    device.gateway.wait_log("[signature]")
    assert fleet.job(job)["state"] == "queued"
    assert device.gateway.jobs() == []
    assert device.is_untouched()
    hostile.down.clear()
    hostile.cut()
    fleet.wait_job(job, "committed")
    assert device.gateway.slot_digest("b") == sha256(images[2])


@pytest.mark.parametrize("what, code", [("first bit", "release_mismatch"), ("a bit in the middle", "release_mismatch"),
                                        ("signature", "signature")])
def test_flipped_bit_in_a_release(fleet, hostile, device, published, what, code):
    hostile.down["job"] = lambda message: {**message, "release": SPOILED[what](message["release"])}
    job = fleet.deploy(published(2), device.gateway)
    assert fleet.wait_job(job, "rejected")["reason"] == code
    assert device.is_untouched()
    assert hostile.served[device.gateway.id] == 0


@pytest.mark.parametrize("what", SPOILED)
def test_flipped_bit_in_a_root(fleet, hostile, device, keys, tmp_path, what):
    path = tmp_path / "root-2.json"
    fleet.cli("keys", "root-next", keys.root, "-o", path)
    for number in (1, 2):
        fleet.cli("keys", "sign", path, "--key", keys[f"root{number}"])
    hostile.send(device.gateway.id, {"type": "roots", "envelopes": [{"envelope": SPOILED[what](path.read_text().strip())}]})
    fleet.wait_event(device.gateway, "signature")
    device.gateway.wait_log("[signature]")
    assert device.gateway.ctl("status")["helper"]["root_version"] == 1
    assert device.is_untouched()


def test_root_signed_by_one_key_only(fleet, hostile, device, keys, tmp_path):
    path = tmp_path / "root-2.json"
    fleet.cli("keys", "root-next", keys.root, "-o", path)
    fleet.cli("keys", "sign", path, "--key", keys["root1"])
    hostile.send(device.gateway.id, {"type": "roots", "envelopes": [{"envelope": path.read_text().strip()}]})
    fleet.wait_event(device.gateway, "signature")
    assert device.gateway.ctl("status")["helper"]["root_version"] == 1


def test_root_that_skips_a_version(fleet, hostile, device, keys, tmp_path):
    two, three = tmp_path / "root-2.json", tmp_path / "root-3.json"
    for before, path in ((keys.root, two), (two, three)):
        fleet.cli("keys", "root-next", before, "-o", path)
        for number in (1, 2):
            fleet.cli("keys", "sign", path, "--key", keys[f"root{number}"])
    hostile.send(device.gateway.id, {"type": "roots", "envelopes": [{"envelope": three.read_text().strip()}]})
    fleet.wait_event(device.gateway, "root_version")
    assert device.gateway.ctl("status")["helper"]["root_version"] == 1


@pytest.mark.parametrize("what", SPOILED)
def test_flipped_bit_in_a_heartbeat(fleet, hostile, device, what):
    hostile.down["heartbeat"] = envelope_rule(SPOILED[what])
    hostile.cut()
    fleet.wait_event(device.gateway, "signature")
    device.gateway.wait_log("[signature]")
    assert device.is_untouched()


def test_heartbeat_on_another_nonce(fleet, hostile, device):
    old = hostile.of_type("heartbeat", "down")[-1]
    for _ in range(3):  # each start of the agent asks for a nonce, and the last two are still accepted
        link = hostile.wait_link()
        device.gateway.kill_program("agent")
        hostile.wait_link(other_than=link)
        device.gateway.wait_connected()
    hostile.down["heartbeat"] = lambda message: old
    device.gateway.kill_program("agent")
    fleet.wait_event(device.gateway, "nonce")
    assert device.is_untouched()


def test_no_commit_without_a_heartbeat_of_the_fleet(fleet, hostile, device, published):
    """The new system is good, but whoever answers it does not hold the dispatch key."""
    def spoil(message):
        on_trial = device.gateway.slot == "b"
        return {**message, "envelope": documents.flip_signature(message["envelope"], 7)} if on_trial else message
    hostile.down["heartbeat"] = spoil
    job = fleet.deploy(published(2, "--deadline-s", "30"), device.gateway)
    shown = fleet.wait_job(job, "rolled_back", timeout=90)
    assert shown["reason"] in ("unreachable", "trial_deadline")
    assert device.gateway.slot == "a"
    assert device.gateway.slot_digest("a") == device.slots["a"]
    assert "committing" not in fleet.states(job)


# jobs that are properly signed, and wrong


NOT_FOR_US = {
    "device": ("wrong_device", {"device_id": "gw-2"}),
    "identity": ("wrong_device", {"identity": "sha256:" + "ab" * 32}),
    "tenant": ("wrong_device", {"tenant": "other"}),
    "epoch": ("wrong_epoch", {"epoch": 2}),
    "expired": ("expired", {"issued": int(time.time()) - 7200, "expires": int(time.time()) - 3600}),
    "too far ahead": ("replayed", {"job_seq": 2 ** 33}),
    "not a number": ("doc_field", {"job_seq": "1"}),
    "unknown member": ("doc_field", {"command": "reboot"}),
    "unknown intent": ("doc_field", {"intent": "format"}),
    "no release": ("doc_field", {"release": None}),
}


@pytest.mark.parametrize("what", NOT_FOR_US)
def test_signed_job_that_is_not_for_this_device(fleet, hostile, device, published, what):
    code, members = NOT_FOR_US[what]
    hostile.down["job"] = envelope_rule(lambda text: documents.change(text, "job", hostile.dispatch, **members))
    fleet.deploy(published(2), device.gateway)
    fleet.wait_event(device.gateway, code)
    device.gateway.wait_log(f"[{code}]")
    assert device.gateway.jobs() == []
    assert device.gateway.ctl("status")["helper"]["job_seq"] == 0
    assert device.is_untouched()


NOT_A_JOB = {
    "no JSON": ("doc_syntax", b"{"),
    "two keys the same": ("doc_syntax", b'{"type":"job","type":"job"}'),
    "null": ("doc_syntax", b'{"type":null}'),
    "a float": ("doc_syntax", b'{"spec":1.5}'),
    "deep": ("doc_syntax", b'{"a":' * 20 + b"1" + b"}" * 20),
    "not UTF-8": ("doc_syntax", b'{"type":"\xff"}'),
    "empty": ("doc_field", b"{}"),
    "bytes after the end": ("doc_syntax", b"{}{}"),
}


@pytest.mark.parametrize("what", NOT_A_JOB)
def test_signed_bytes_that_are_no_job(fleet, hostile, device, published, what):
    code, payload = NOT_A_JOB[what]
    hostile.down["job"] = envelope_rule(lambda text: documents.envelope("job", payload, hostile.dispatch))
    fleet.deploy(published(2), device.gateway)
    fleet.wait_event(device.gateway, code)
    assert device.is_untouched()


def test_job_signed_by_a_key_that_may_not(fleet, hostile, device, published, keys):
    release_key = documents.Key(keys["release"])
    hostile.down["job"] = envelope_rule(lambda text: documents.envelope("job", documents.payload(text), release_key))
    fleet.deploy(published(2), device.gateway)
    eventually(lambda: {event.get("code") for event in fleet.device(device.gateway).get("events", [])}
               & {"signature", "key_unknown", "scope"}, "a code")
    assert device.is_untouched()


def test_heartbeat_passed_off_as_a_job(fleet, hostile, device, published):
    heartbeat = hostile.of_type("heartbeat", "down")[-1]["envelope"]
    hostile.down["job"] = lambda message: {**message, "envelope": heartbeat}
    fleet.deploy(published(2), device.gateway)
    fleet.wait_event(device.gateway, "doc_type")
    assert device.is_untouched()


def delivered(hostile, job):
    """The job message as the gateway got it."""
    return next(hostile.take_over(message) for message in hostile.of_type("job", "down")
                if documents.document(message["envelope"])["job_id"] == job)


def test_replayed_job_changes_nothing(fleet, hostile, device, published, images):
    gateway = device.gateway
    job = fleet.deploy(published(2), gateway)
    fleet.wait_job(job, "committed")
    replay, boots, decision = delivered(hostile, job), gateway.boots(), gateway.decision
    reports = len(hostile.of_type("report"))
    for _ in range(50):
        hostile.send(gateway.id, replay)
    eventually(lambda: len(hostile.of_type("report")) > reports, "the end of the job is told again")
    assert fleet.job(job)["state"] == "committed"
    assert (gateway.boots(), gateway.decision) == (boots, decision)
    assert [one["state"] for one in gateway.jobs()] == ["committed"]
    assert gateway.slot_digest("b") == sha256(images[2])


def test_replayed_job_is_refused_by_a_device_that_forgot_it(fleet, hostile, device, published):
    gateway = device.gateway
    job = fleet.deploy(published(2), gateway)
    fleet.wait_job(job, "committed")
    gateway.power_cut()
    shutil.rmtree(gateway.folder / "var/store")
    (gateway.folder / "var/store").mkdir()
    gateway.start()
    gateway.wait_connected()
    boots, decision = gateway.boots(), gateway.decision
    hostile.send(gateway.id, delivered(hostile, job))
    fleet.wait_event(gateway, "replayed")
    assert (gateway.boots(), gateway.decision) == (boots, decision)


def test_older_job_after_a_newer_one(fleet, hostile, device, published, images):
    gateway, kept = device.gateway, []
    older, newer = published(2), published(4)

    def withhold(message):
        first = documents.document(message["envelope"])["job_seq"] == 1
        kept.extend([message] if first else [])
        return [] if first else message

    hostile.down["job"] = withhold
    fleet.deploy(older, gateway)
    job = fleet.deploy(newer, gateway)
    fleet.wait_job(job, "committed")
    decision = gateway.decision
    hostile.send(gateway.id, kept[0])
    fleet.wait_event(gateway, "replayed")
    assert gateway.slot_digest("b") == sha256(images[4])
    assert gateway.decision == decision


def test_release_that_the_job_does_not_pin(fleet, hostile, device, published):
    two, four = published(2), published(4)
    hostile.down["job"] = lambda message: {**message, "release": (four / "release.json").read_text().strip()}
    job = fleet.deploy(two, device.gateway)
    assert fleet.wait_job(job, "rejected")["reason"] == "release_mismatch"
    assert device.is_untouched()


def test_job_without_its_release(fleet, hostile, device, published):
    hostile.down["job"] = lambda message: {name: value for name, value in message.items() if name != "release"}
    job = fleet.deploy(published(2), device.gateway)
    assert fleet.wait_job(job, "rejected")["reason"] == "release_mismatch"
    assert device.is_untouched()


def swap_release(hostile, release):
    """The job pins this release (its envelope's text) instead; signed with the dispatch key."""
    def rule(message):
        return {**message, "release": release,
                "envelope": documents.change(message["envelope"], "job", hostile.dispatch, release=documents.digest(release))}
    hostile.down["job"] = rule


@pytest.mark.parametrize("spoil, code", [("unsigned", "signature"), ("wrong key", "signature"), ("content", "signature")])
def test_stolen_server_cannot_make_a_release(fleet, hostile, device, published, keys, spoil, code):
    """Row 2 of the threats: it holds the dispatch key, and pins what it likes."""
    folder = published(2)
    text = (folder / "release.json").read_text().strip()
    made = {**documents.document(text), "version": "6.6.6"}
    if spoil == "unsigned":
        release = documents.envelope("release", made)
    elif spoil == "wrong key":
        release = documents.envelope("release", made, hostile.dispatch)
    else:
        release = json.dumps({**json.loads(text), "payload": json.loads(documents.envelope("release", made))["payload"]})
    swap_release(hostile, release)
    job = fleet.deploy(folder, device.gateway)
    assert fleet.wait_job(job, "rejected")["reason"] in (code, "key_unknown", "envelope", "scope")
    assert device.is_untouched()
    assert hostile.served[device.gateway.id] == 0


def test_release_for_another_product(fleet, hostile, device, published, keys):
    folder = published(2)
    made = {**documents.document((folder / "release.json").read_text()), "product": "other-gateway"}
    swap_release(hostile, documents.envelope("release", made, documents.Key(keys["release"])))
    job = fleet.deploy(folder, device.gateway)
    assert fleet.wait_job(job, "rejected")["reason"] in ("incompatible", "scope")
    assert device.is_untouched()


def test_release_for_another_class(fleet, hostile, device, tmp_path, images):
    folder = fleet.publish(fleet.release(tmp_path / "r", images[2], "2.0.0", class_id="6661cafe-0000-4000-8000-00000000dead"))
    refused = fleet.try_cli("deploy", folder, "--device", device.gateway.id)
    assert refused.returncode == 1 and "incompatible" in refused.stdout + refused.stderr
    job = fleet.deploy(folder, device.gateway, "--force")
    assert fleet.wait_job(job, "rejected")["reason"] == "incompatible"
    assert device.is_untouched()
    assert not hostile.requests


@pytest.mark.parametrize("hw_rev", ["2-9", "0-0"])
def test_release_for_another_hardware_revision(fleet, hostile, device, tmp_path, images, hw_rev):
    folder = fleet.publish(fleet.release(tmp_path / "r", images[2], "2.0.0", hw_rev=hw_rev))
    refused = fleet.try_cli("deploy", folder, "--device", device.gateway.id)
    assert refused.returncode == 1 and "incompatible" in refused.stdout + refused.stderr
    job = fleet.deploy(folder, device.gateway, "--force")
    assert fleet.wait_job(job, "rejected")["reason"] == "incompatible"
    assert device.is_untouched()
    assert not hostile.requests


def test_release_for_a_component_that_is_not_there(fleet, device, hostile, published, keys):
    folder = published(2)
    made = documents.document((folder / "release.json").read_text())
    made["components"][0]["name"], made["set"]["order"] = "modem", ["modem"]
    swap_release(hostile, documents.envelope("release", made, documents.Key(keys["release"])))
    job = fleet.deploy(folder, device.gateway)
    assert fleet.wait_job(job, "rejected")["reason"] == "incompatible"
    assert device.is_untouched()


def test_downgrade(fleet, hostile, device, published, images):
    older = published(2)
    fleet.wait_job(fleet.deploy(published(4), device.gateway), "committed")
    decision, served = device.gateway.decision, hostile.served[device.gateway.id]
    refused = fleet.try_cli("deploy", older, "--device", device.gateway.id)
    assert refused.returncode == 1 and "downgrade" in refused.stdout + refused.stderr
    job = fleet.deploy(older, device.gateway, "--force")
    assert fleet.wait_job(job, "rejected")["reason"] == "downgrade"
    assert device.gateway.slot_digest("b") == sha256(images[4])
    assert device.gateway.decision == decision
    assert hostile.served[device.gateway.id] == served


def test_security_version_below_the_floor(fleet, hostile, device, published, keys):
    folder = published(2)
    made = documents.document((folder / "release.json").read_text())
    made["components"][0]["security_version"] = 0
    swap_release(hostile, documents.envelope("release", made, documents.Key(keys["release"])))
    job = fleet.deploy(folder, device.gateway)
    assert fleet.wait_job(job, "rejected")["reason"] == "below_floor"
    assert device.is_untouched()


def test_revoked_release(fleet, hostile, device, published, keys, tmp_path):
    folder = published(2)
    path, digest = tmp_path / "root-2.json", documents.digest((folder / "release.json").read_text())
    fleet.cli("keys", "root-next", keys.root, "-o", path, "--revoke-release", digest)
    for number in (1, 2):
        fleet.cli("keys", "sign", path, "--key", keys[f"root{number}"])
    hostile.send(device.gateway.id, {"type": "roots", "envelopes": [{"envelope": path.read_text().strip()}]})
    eventually(lambda: device.gateway.ctl("status")["helper"]["root_version"] == 2, "the root arrives")
    job = fleet.deploy(folder, device.gateway, "--force")
    assert fleet.wait_job(job, "rejected")["reason"] == "key_revoked"
    assert device.is_untouched()


# messages that are none


@pytest.mark.parametrize("text", ["{", "[]", '{"type":7}', '{"type":"job"}', '{"type":"job","envelope":"' + "x" * 99000 + '"}',
                                  '{"type":"welcome"}', "[" * 100000],
                         ids=["cut off", "no object", "type is no text", "lacks a member", "too long a member", "lacks members",
                              "deep"])
def test_malformed_message_ends_the_connection_only(fleet, hostile, device, published, text):
    gateway = device.gateway
    agent = gateway.pid("agent")
    link = hostile.wait_link()
    hostile.send(gateway.id, text)
    hostile.wait_link(other_than=link)
    assert gateway.pid("agent") == agent
    assert device.is_untouched()
    fleet.wait_job(fleet.deploy(published(2), gateway), "committed")


def test_message_larger_than_any_may_be(hostile, device):
    gateway = device.gateway
    agent = gateway.pid("agent")
    link = hostile.wait_link()
    with contextlib.suppress(Exception):
        hostile.send(gateway.id, '{"type":"job","envelope":"' + "x" * (12 << 20) + '"}')
    hostile.wait_link(other_than=link)
    assert gateway.pid("agent") == agent
    resident = int(read(f"/proc/{agent}/status").partition("VmHWM:")[2].split()[0])
    assert resident < 32 << 10
    assert device.is_untouched()


def test_unknown_message_is_ignored(fleet, hostile, device, published):
    link = hostile.wait_link()
    hostile.send(device.gateway.id, {"type": "dance", "steps": [1, 2, 3]})
    assert device.gateway.ctl("status")["fleet"]["connected"] is True
    assert hostile.wait_link() is link
    fleet.wait_job(fleet.deploy(published(2), device.gateway), "committed")


# content that is not what was signed


def content_file(fleet, kind, root):
    """Where the fleet keeps it."""
    path, = (path for path in fleet.folder.rglob(root) if kind in path.parts)
    return path


def roots_of(folder):
    """(root of the transport tree, root of the installed tree) of a release."""
    component = documents.document((folder / "release.json").read_text())["components"][0]
    return [tree["root"].removeprefix("sha256:")
            for tree in (component["artifacts"][0]["tree"], component["installed"]["tree"])]


@contextlib.contextmanager
def flipped(path, offset):
    """A file of the fleet with one bit the other way round, for a while."""
    good = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(documents.flip_bit(good, 8 * offset + 3))
    yield
    path.write_bytes(good)


FLIPS = {
    "frame table": ("blobs", 0, 30),
    "chunk": ("blobs", 0, 2 << 20),
    "last byte": ("blobs", 0, -1),
    "transport tree": ("trees", 0, 40),
    "installed tree": ("trees", 1, 40),
}


@pytest.mark.parametrize("what", FLIPS)
def test_flipped_bit_in_the_content(fleet, hostile, device, published, images, what):
    kind, which, offset = FLIPS[what]
    release = published(2)
    path = content_file(fleet, kind, roots_of(release)[which])
    with flipped(path, offset % path.stat().st_size):
        job = fleet.deploy(release, device.gateway)
        device.waits(job, "chunk_mismatch")
        device.gateway.wait_log("[chunk_mismatch]")
        assert device.is_untouched(staged=True)
    fleet.wait_job(job, "committed", timeout=90)
    assert device.gateway.slot_digest("b") == sha256(images[2])


def publish_unchecked(fleet, folder):
    """As `fairlead release publish` would, which looks into the transport first."""
    transport, installed = roots_of(folder)
    made = documents.document((folder / "release.json").read_text())["components"][0]
    for kind, root, size in (("blobs", transport, made["artifacts"][0]["size"]), ("trees", transport, made["artifacts"][0]["size"]),
                             ("trees", installed, made["installed"]["size"])):
        path, = (path for path in folder.rglob(root) if kind in path.parts)
        status, body = fleet.rest("PUT", f"/{kind}/{root}", path.read_bytes(), X_Fairlead_Size=size)
        assert status in (200, 201), body
    status, body = fleet.rest("POST", "/releases", (folder / "release.json").read_bytes(), Content_Type="application/json")
    assert status == 201, body
    return body


def remake(folder, keys, change):
    """The release with a transport that `change` made of the real one, trees and signature all proper."""
    old_transport, _ = roots_of(folder)
    made = documents.document((folder / "release.json").read_text())
    path, = (path for path in folder.rglob(old_transport) if "blobs" in path.parts)
    tree, = (path for path in folder.rglob(old_transport) if "trees" in path.parts)
    blob = change(path.read_bytes())
    root, pages = documents.tree(blob)
    path.rename(path.with_name(root)).chmod(0o644)
    tree.rename(tree.with_name(root)).chmod(0o644)
    path.with_name(root).write_bytes(blob)
    tree.with_name(root).write_bytes(pages)
    artifact = made["components"][0]["artifacts"][0]
    artifact["size"], artifact["tree"]["root"] = len(blob), f"sha256:{root}"
    (folder / "release.json").write_text(documents.envelope("release", made, documents.Key(keys["release"])) + "\n")


def patch(blob, offset, data):
    return blob[:offset] + data + blob[offset + len(data):]


def large_frame(blob):
    """The frame with the most bytes: no slot has its content by chance."""
    offset, length = max(documents.frames(blob)[2], key=lambda frame: frame[1])
    return blob[offset:offset + length]


def with_frame(blob, frame):
    """The transport with another frame in the place of its largest; the table says so."""
    size, frame_size, table = documents.frames(blob)
    parts = [blob[offset:offset + length] for offset, length in table]
    parts[parts.index(large_frame(blob))] = frame
    head, offset = b"FLZF" + (1).to_bytes(4, "big") + size.to_bytes(8, "big") + frame_size.to_bytes(4, "big") \
        + len(parts).to_bytes(4, "big"), 24 + 12 * len(parts)
    for part in parts:
        head += offset.to_bytes(8, "big") + len(part).to_bytes(4, "big")
        offset += len(part)
    return head + b"".join(parts)


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c", "-19"], input=data, capture_output=True, check=True).stdout


MALFORMED = {
    "magic": lambda blob: patch(blob, 0, b"FLZG"),
    "version": lambda blob: patch(blob, 4, b"\0\0\0\2"),
    "image size": lambda blob: patch(blob, 8, (1 << 40).to_bytes(8, "big")),
    "number of frames": lambda blob: patch(blob, 20, b"\xff\xff\xff\xff"),
    "gap between frames": lambda blob: patch(blob, 24 + 12, (documents.frames(blob)[2][1][0] + 1).to_bytes(8, "big")),
    "frame longer than the file": lambda blob: patch(blob, 24 + 12 * 15 + 8, b"\x7f\xff\xff\xff"),
    "frame cut off": lambda blob: with_frame(blob, large_frame(blob)[:-5]),
    "frame is no frame": lambda blob: with_frame(blob, b"not a frame of zstd"),
    "frame of other bytes": lambda blob: with_frame(blob, zstd(b"x" * (1 << 20))),
    "frame too short": lambda blob: with_frame(blob, zstd(b"x" * 1000)),
    "frame that explodes": lambda blob: with_frame(blob, zstd(bytes(64 << 20))),
    "bytes after the last frame": lambda blob: blob + b"x",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_signed_transport_that_is_malformed(fleet, device, tmp_path, images, keys, what):
    """Release key and server are both the enemy's: it may fail, and nothing else."""
    folder = fleet.release(tmp_path / "r", images[2], "2.0.0")
    remake(folder, keys, MALFORMED[what])
    assert fleet.try_cli("release", "publish", folder).returncode != 0
    job = fleet.deploy(json.loads(publish_unchecked(fleet, folder))["digest"], device.gateway)
    shown = fleet.wait_job(job, "failed")
    assert shown["reason"] in ("format", "size_mismatch")
    assert device.is_untouched(staged=True)


def of_blobs(answer):
    """A content rule for payloads alone; trees pass."""
    return lambda request: answer(request) if request.kind == "blobs" else None


def true_bytes(fleet, request):
    data = content_file(fleet, request.kind, request.root).read_bytes()
    return data[request.first:request.last + 1], len(data)


def half(fleet, request):
    body, total = true_bytes(fleet, request)
    return Answer.of_range(request, body[:len(body) // 2], total, length=len(body))


def endless(fleet, request):
    body, total = true_bytes(fleet, request)
    return Answer.of_range(request, body, total, endless=True)


def too_long(fleet, request):
    body, total = true_bytes(fleet, request)
    return Answer.of_range(request, body + bytes(1 << 20), total)


def whole_file(fleet, request):
    data = content_file(fleet, request.kind, request.root).read_bytes()
    return Answer("200 OK", body=data)


def other_range(fleet, request):
    body, total = true_bytes(fleet, request)
    return Answer(headers={"Content-Range": f"bytes 0-{len(body) - 1}/{total}"}, body=body)


def other_size(fleet, request):
    body, _ = true_bytes(fleet, request)
    return Answer(headers={"Content-Range": f"bytes {request.first}-{request.last}/7"}, body=body)


def elsewhere(_, request):
    return Answer("302 Found", headers={"Location": f"http://127.0.0.1:1/blobs/sha256-wide1/{request.root}"})


def into_the_site(_, request):
    return Answer("307 Temporary Redirect", headers={"Location": f"https://127.0.0.1:1/blobs/sha256-wide1/{request.root}"})


def zeros(fleet, request):
    body, total = true_bytes(fleet, request)
    return Answer.of_range(request, bytes(len(body)), total)


LIES = {
    "half of it": (half, "truncated"),
    "endless": (endless, "http_range"),
    "more than was asked for": (too_long, "http_range"),
    "the whole file": (whole_file, "http_range"),
    "another range": (other_range, "http_range"),
    "a redirect to another scheme": (elsewhere, "url_refused"),
    "a redirect into the site": (into_the_site, "url_refused"),
    "not found": (lambda _, request: Answer("404 Not Found"), "http_status"),
    "an error": (lambda _, request: Answer("500 Internal Server Error", body=b"x" * 100), "http_status"),
    "other bytes": (zeros, "chunk_mismatch"),
}


@pytest.mark.parametrize("what", LIES)
def test_source_that_lies(fleet, hostile, device, published, images, what):
    lie, code = LIES[what]
    hostile.content = of_blobs(lambda request: lie(fleet, request))
    job = fleet.deploy(published(2), device.gateway)
    device.waits(job, code)
    device.gateway.wait_log(f"[{code}]")
    assert device.is_untouched(staged=True)
    assert hostile.served[device.gateway.id] < 32 << 20
    hostile.content = None
    fleet.wait_job(job, "committed", timeout=90)
    assert device.gateway.slot_digest("b") == sha256(images[2])


@pytest.mark.parametrize("what", ["half of it", "endless", "a redirect into the site", "other bytes"])
def test_next_source_is_used_when_one_lies(fleet, hostile, device, published, images, what):
    lie, _ = LIES[what]
    urls = [f"{hostile.base}", f"https://{fleet.host}:{fleet.device_port}/"]
    hostile.down["job"] = envelope_rule(lambda text: documents.change(text, "job", hostile.dispatch, urls=urls))
    hostile.content = lambda request: lie(fleet, request)
    job = fleet.deploy(published(2), device.gateway)
    fleet.wait_job(job, "committed")
    assert fleet.states(job).count("staging") == 1
    assert hostile.requests
    assert device.gateway.slot_digest("b") == sha256(images[2])


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "file:///etc/", "ftp://127.0.0.1/"])
def test_source_of_another_scheme(fleet, hostile, device, published, url):
    hostile.down["job"] = envelope_rule(lambda text: documents.change(text, "job", hostile.dispatch, urls=[url]))
    job = fleet.deploy(published(2), device.gateway)
    shown = eventually(lambda: (found := fleet.job(job)).get("reason") and found, lambda: f"{fleet.job(job)}")
    assert (shown["reason"], shown["state"]) == ("url_refused", "waiting_to_download")
    device.gateway.wait_log("[url_refused]")
    assert device.is_untouched(staged=True)


def test_source_of_one_byte_a_second_times_out(fleet, hostile, device, published, images):
    def crawl(request):
        body, total = true_bytes(fleet, request)
        return Answer.of_range(request, body, total, bytes_per_second=1)
    hostile.content = of_blobs(crawl)
    job = fleet.deploy(published(2), device.gateway)
    device.waits(job, "timeout", 120)
    assert device.is_untouched(staged=True)
    hostile.content = None
    fleet.wait_job(job, "committed", timeout=120)
    assert device.gateway.slot_digest("b") == sha256(images[2])


# slots


def no_slot(gateway):
    (gateway.folder / "slots/b.img").unlink()


def folder_for_slot(gateway):
    no_slot(gateway)
    (gateway.folder / "slots/b.img").mkdir()


def link_for_slot(gateway):
    no_slot(gateway)
    (gateway.folder / "slots/b.img").symlink_to("a.img")


def running_slot_again(gateway):
    no_slot(gateway)
    os.link(gateway.folder / "slots/a.img", gateway.folder / "slots/b.img")


def small_slot(gateway):
    os.truncate(gateway.folder / "slots/b.img", 8 << 20)


def no_inactive_slot(gateway):
    gateway.conf.write_text(gateway.conf.read_text().replace("slot.b = slots/b.img\n", ""))
    no_slot(gateway)


SLOTS = {
    "missing": (no_slot, "slot_missing"),
    "a folder": (folder_for_slot, "slot_missing"),
    "a link": (link_for_slot, "slot_missing"),
    "not configured": (no_inactive_slot, "slot_missing"),
    "too small": (small_slot, "slot_too_small"),
    "the running one": (running_slot_again, "slot_running"),
}


@pytest.mark.parametrize("what", SLOTS)
def test_slot_that_cannot_be_written(fleet, hostile, new_gateway, published, what):
    spoil, code = SLOTS[what]
    gateway = new_gateway(via=hostile, before_start=spoil)
    gateway.wait_connected()
    device = Device(gateway)
    job = fleet.deploy(published(2), gateway)
    assert fleet.wait_job(job, "failed")["reason"] == code
    assert device.is_untouched()
    assert hostile.served[gateway.id] == 0


def test_busy_slot_is_waited_for(fleet, device, published, images):
    with open(device.gateway.folder / "slots/b.img", "r+b") as slot:
        fcntl.flock(slot, fcntl.LOCK_EX)
        job = fleet.deploy(published(2), device.gateway)
        assert device.waits(job, "slot_busy")["state"] == "waiting_to_download"
        assert device.is_untouched()
    fleet.wait_job(job, "committed")
    assert device.gateway.slot_digest("b") == sha256(images[2])


def test_slot_changed_after_staging_is_found_by_the_seal(fleet, stoppable, hostile, published, images):
    gateway, stops = stoppable(via=hostile)
    device = Device(gateway)
    job = fleet.deploy(published(2), gateway)
    stops.at("agent", ": sealing", 1)
    agent = stops.wait(gateway, "agent")
    with open(gateway.folder / "slots/b.img", "r+b") as slot:
        slot.seek(7 << 20)
        slot.write(b"changed")
    stops.go_on(agent)
    fleet.wait_job(job, "committed")
    history = fleet.job(job)["history"]
    assert [step["state"] for step in history if step.get("reason") == "seal_mismatch"] == ["staging"]
    assert fleet.states(job).count("sealing") == 2
    assert gateway.slot_digest("b") == sha256(images[2])
    assert gateway.slot_digest("a") == device.slots["a"]


# a full disk


def test_full_disk_of_the_agent(fleet, hostile, new_gateway, published, images):
    """No room for state: the job waits, tells so, and goes on by itself."""
    gateway = new_gateway(via=hostile, wrap=lambda folder: small_disk(folder / "var/store", 16))
    gateway.wait_connected()
    device, disk = Device(gateway), SmallDisk(gateway, "var/store")
    disk.fill()
    job = fleet.deploy(published(2), gateway)
    shown = device.waits(job, "no_space")
    assert (shown["state"], shown["next"]) == ("waiting_to_download", "space")
    assert gateway.ctl("why")["code"] == "no_space"
    assert device.is_untouched()
    disk.make_room()
    fleet.wait_job(job, "committed", timeout=90)
    assert gateway.slot == "b"


def test_disk_that_fills_up_while_staging(fleet, hostile, new_gateway, published, images):
    gateway = new_gateway(via=hostile, wrap=lambda folder: small_disk(folder / "var/store", 16))
    gateway.wait_connected()
    device, disk = Device(gateway), SmallDisk(gateway, "var/store")
    release = published(2)
    hostile.hold(2 << 20)
    job = fleet.deploy(release, gateway)
    hostile.wait_held()
    disk.fill()
    hostile.release()
    eventually(lambda: gateway.slot_digest("b") == sha256(images[2]) or fleet.job(job).get("reason"), "it goes on or waits", 60)
    assert fleet.job(job)["state"] != "failed"
    eventually(lambda: (gateway.ctl("status") or {"fleet": {}})["fleet"].get("connected"), "the agent is online")
    assert gateway.slot_digest("a") == device.slots["a"]
    disk.make_room()
    fleet.wait_job(job, "committed", timeout=90)
    assert gateway.slot_digest("b") == sha256(images[2])


def test_full_file_system_of_the_slot(fleet, hostile, new_gateway, published, images):
    """The slot is a sparse file, and the rest of its file system is taken."""
    def wrap(folder):
        slots = folder / "slots"
        inside = f'&& cp --sparse=always "{images[1]}" "{slots}/a.img" && truncate -s 16M "{slots}/b.img" &&'
        return [word.replace("&&", inside, 1) for word in small_disk(slots, 40)]

    gateway = new_gateway(via=hostile, wrap=wrap)
    gateway.wait_connected()
    disk = SmallDisk(gateway, "slots")
    disk.fill()
    job = fleet.deploy(published(2), gateway)
    shown = eventually(lambda: (found := fleet.job(job)).get("reason") == "no_space" and found,
                       lambda: f"{fleet.job(job)} {gateway.logs()}", 60)
    assert (shown["state"], shown["next"]) == ("waiting_to_download", "space")
    assert gateway.slot == "a"
    assert sha256(disk.path / "a.img") == sha256(images[1])
    disk.make_room()
    fleet.wait_job(job, "committed", timeout=90)
    assert sha256(disk.path / "b.img") == sha256(images[2])


# plugins


@pytest.fixture
def plugin_folder():
    """Where other users can read it too: the runner may be one."""
    with tempfile.TemporaryDirectory(prefix="fairlead-plugins.") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


PLUGINS = {
    "another ABI": ("abi_major", "failed", "plugin_abi"),
    "too small an object": ("abi_size", "failed", "plugin_abi"),
    "no symbol": ("no_symbol", "failed", "plugin_abi"),
    "lacks a call it promised": ("no_call", "failed", "plugin_abi"),
    "unknown symbols": ("undefined", "failed", "plugin_abi"),
    "refuses": ("no_hello", "failed", "incompatible"),
    "crashes": ("crash", "failed", "plugin_crashed"),
    "hangs": ("hang", "failed", "plugin_hung"),
    "lies": ("liar", "failed", "seal_mismatch"),
}


@pytest.mark.parametrize("what", PLUGINS)
def test_bad_plugin(fleet, hostile, new_gateway, published, plugin_folder, what):
    name, state, code = PLUGINS[what]
    shutil.copy(BUILD / f"tests/runner-plugins/{name}.so", plugin_folder / "rootfs.so")
    gateway = new_gateway(via=hostile, before_start=lambda new: new.configure("plugins", plugin_folder))
    gateway.wait_connected()
    device = Device(gateway)
    agent = gateway.pid("agent")
    job = fleet.deploy(published(2), gateway)
    assert fleet.wait_job(job, state, timeout=90)["reason"] == code
    assert device.is_untouched(staged=True)
    assert gateway.runners() == []
    assert gateway.pid("agent") == agent


def test_missing_plugin(fleet, hostile, new_gateway, published, plugin_folder):
    gateway = new_gateway(via=hostile, before_start=lambda new: new.configure("plugins", plugin_folder))
    gateway.wait_connected()
    device = Device(gateway)
    job = fleet.deploy(published(2), gateway)
    assert fleet.wait_job(job, "failed")["reason"] == "plugin_missing"
    assert device.is_untouched(staged=True)


def test_agent_answers_while_a_plugin_hangs(fleet, hostile, new_gateway, published, plugin_folder):
    shutil.copy(BUILD / "tests/runner-plugins/hang.so", plugin_folder / "rootfs.so")
    gateway = new_gateway(via=hostile, before_start=lambda new: new.configure("plugins", plugin_folder))
    gateway.wait_connected()
    fleet.deploy(published(2), gateway)
    gateway.wait_state("staging")
    slowest = 0
    for _ in range(10):
        begin = time.monotonic()
        assert gateway.ctl("status")["fleet"]["connected"] is True
        slowest = max(slowest, time.monotonic() - begin)
    assert slowest < 1
