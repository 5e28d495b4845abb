# SPDX-License-Identifier: Apache-2.0
"""Updates without a network: a bundle, `fairleadctl install`, and the fleet hearing of it later.

The gateways have had one contact with their fleet, which is then down. Same signatures, windows, states and reasons as over the
network.
"""
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from harness import BIN, eventually, run, sha256
from test_bundle import entries
from test_main_job import WAY, closed_window

ALONE = ("--reach", "fleet,local", "--deadline-s", "30")


@pytest.fixture
def bundle(tmp_path, fleet):
    """bundle(release, "gw-1", …) is a bundle that the fleet signed."""
    def make(release, *devices, name=None, options=()):
        out = tmp_path / (name or f"{release.name}.bundle")
        fleet.cli("bundle", "create", release, "-o", out, *(word for one in devices for word in ("--device", one)), *options)
        return out
    return make


@pytest.fixture
def operator(tmp_path, fleet):
    """An operator's key, and the two root documents after the factory's, of which the second lists it; the fleet has neither."""
    folder = tmp_path / "operator"
    folder.mkdir()
    run(BIN / "fairlead", "keys", "generate", folder / "operator.key")
    roots = [fleet.keys.root, folder / "root-2.json", folder / "root-3.json"]
    for before, after, options in zip(roots, roots[1:], ((), ("--add-operator", folder / "operator.key.pub", "--add-intent",
                                                              "operator=install_offline"))):
        run(BIN / "fairlead", "keys", "root-next", before, "-o", after, *options)
        for key in ("root1", "root2"):
            run(BIN / "fairlead", "keys", "sign", after, "--key", fleet.keys[key])
    return folder / "operator.key", roots


def by_operator(operator, release, out, *options):
    key, roots = operator
    run(BIN / "fairlead", "bundle", "create", release, "-o", out, "--key", key,
        *(word for root in roots for word in ("--root", root)), *options)
    return out


def install(gateway, path):
    """The answer of `fairleadctl install`, or an assertion with what it said."""
    done = gateway.try_ctl("install", path)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{gateway.logs()}"
    return json.loads(done.stdout)


def refused(gateway, path):
    """The code of its refusal."""
    done = gateway.try_ctl("install", path)
    assert done.returncode == 1, done
    answer = json.loads(done.stdout)
    return answer.get("code") or answer["reason"]


def the_job(gateway, job):
    return next((one for one in gateway.jobs() if one["job_id"] == job), None)


def wait_gateway(gateway, job, state, timeout=60):
    return gateway.wait_state(state, job=job, timeout=timeout)


def wait_waiting(gateway, job, reason, timeout=30):
    def there():
        shown = the_job(gateway, job)
        return shown if shown and shown.get("reason") == reason else None
    return eventually(there, lambda: f"{reason}: {gateway.jobs()}\n{gateway.logs()}", timeout)


def wait_told(fleet, job, *states, timeout=60):
    """The fleet knows a bundle's job once its device has spoken of it."""
    eventually(lambda: fleet.try_cli("jobs", "show", job).returncode == 0, f"the fleet hears of {job}")
    return fleet.wait_job(job, *states, timeout=timeout)


def is_untouched(gateway, images):
    assert gateway.slot == "a"
    assert gateway.slot_digest("a") == sha256(images[1])
    assert "good=a\ntrial=\n" in gateway.decision


# acceptance: air-gapped


def test_a_bundle_installs_without_a_network_and_the_fleet_hears_of_it_later(fleet, gateway, published, images, bundle):
    path = bundle(published(2, *ALONE), gateway.id)
    fleet.stop()
    answer = install(gateway, path)
    job = answer["job_id"]
    eventually(lambda: "good=b" in gateway.decision, lambda: f"the commit {gateway.logs()}", 90)
    assert wait_gateway(gateway, job, "committed")["offline_seq"] > 0
    assert gateway.slot == "b" and gateway.slot_digest("b") == sha256(images[2])
    assert refused(gateway, path) == "replayed", "its job has ended"
    fleet.start()
    shown = wait_told(fleet, job, "committed")
    assert (shown["intent"], shown["device_id"], shown["version"]) == ("install_offline", gateway.id, "2.0.0")
    assert fleet.states(job) == WAY
    running = fleet.device(gateway)["components"][0]
    assert (running["version"], running["release_seq"], running["slot"]) == ("2.0.0", 2, "b")
    status = gateway.ctl("status")["helper"]
    assert status["job_seq"] == 0 and status["offline_seq"] == shown["offline_seq"]


def test_an_operators_bundle_brings_its_root_and_shows_in_the_history(tmp_path, fleet, gateway, published, images, operator):
    path = by_operator(operator, published(2, *ALONE), tmp_path / "own.bundle", "--device", gateway.id)
    fleet.stop()
    job = install(gateway, path)["job_id"]
    wait_gateway(gateway, job, "committed", 90)
    assert gateway.slot_digest("b") == sha256(images[2])
    assert gateway.ctl("status")["helper"]["root_version"] == 3
    fleet.start()
    for root in operator[1][1:]:
        fleet.cli("root", "publish", root)
    own = eventually(lambda: next((one for one in fleet.device(gateway)["jobs"] if one["state"] == "committed"), None), "its history")
    assert own["intent"] == "install_offline" and own["job_id"] != job, "an id of the fleet's own"
    assert fleet.states(own["job_id"]) == WAY
    assert fleet.device(gateway)["components"][0]["version"] == "2.0.0"


def test_a_release_that_does_not_allow_it_waits_for_the_fleet(fleet, gateway, published, images, bundle):
    path = bundle(published(2, "--deadline-s", "30"), gateway.id)
    fleet.stop()
    job = install(gateway, path)["job_id"]
    wait_gateway(gateway, job, "rolled_back", 120)
    is_untouched(gateway, images)
    fleet.start()
    assert wait_told(fleet, job, "rolled_back")["reason"] in ("unreachable", "trial_deadline")


def test_the_windows_are_those_of_every_job(fleet, new_gateway, published, images, bundle):
    conf, opens = closed_window()
    gateway = new_gateway(conf=conf)
    gateway.wait_connected()
    path = bundle(published(2, *ALONE), gateway.id)
    fleet.stop()
    job = install(gateway, path)["job_id"]
    waiting = wait_waiting(gateway, job, "window")
    assert waiting["state"] == "waiting_to_activate" and waiting["until"] == opens
    path.unlink()  # everything is staged: the stick may go
    assert gateway.ctl("why")["code"] == "window"
    is_untouched(gateway, images)


def test_a_gateway_that_never_had_a_contact_takes_a_bundle_when_a_person_says_so(tmp_path, fleet, new_gateway, published, images, operator):
    release = published(2, *ALONE)
    fleet.stop()
    gateway = new_gateway(enrol=False)
    path = by_operator(operator, release, tmp_path / "own.bundle", "--device", gateway.id)
    eventually(lambda: (gateway.ctl("status") or {"helper": {"connected": False}})["helper"]["connected"], "the helper")
    job = install(gateway, path)["job_id"]
    wait_waiting(gateway, job, "anchor_lost")
    assert gateway.try_ctl("anchor", "reset").returncode == 1, "nobody is asked, nothing is said"
    is_untouched(gateway, images)
    gateway.ctl("anchor", "reset", "--yes")
    wait_gateway(gateway, job, "committed", 90)
    assert gateway.slot_digest("b") == sha256(images[2])
    assert gateway.ctl("status")["helper"]["anchor_lost"] is False


# one bundle after the other


def test_the_same_bundle_is_the_same_job_and_an_older_one_is_refused(fleet, new_gateway, published, images, bundle):
    conf, _ = closed_window()
    gateway = new_gateway(conf=conf)
    gateway.wait_connected()
    old, new = published(2, *ALONE), published(4, *ALONE)
    first, second, third = (bundle(release, gateway.id, name=name) for release, name in ((old, "1"), (new, "2"), (old, "3")))
    fleet.stop()
    job = install(gateway, second)
    wait_waiting(gateway, job["job_id"], "window")
    again = install(gateway, second)
    assert again["job_id"] == job["job_id"] and again["known"]
    assert len(gateway.jobs()) == 1
    assert refused(gateway, first) == "replayed"
    gateway.kill_program("helper")
    gateway.kill_program("agent")
    eventually(lambda: (gateway.ctl("status") or {"helper": {"connected": False}})["helper"]["connected"], "they are back")
    assert refused(gateway, first) == "replayed"
    newest = install(gateway, third)["job_id"]
    wait_waiting(gateway, newest, "window")
    assert the_job(gateway, job["job_id"])["state"] == "cancelled"
    assert the_job(gateway, job["job_id"])["reason"] == "superseded"
    assert refused(gateway, second) == "replayed"
    assert gateway.slot_digest("b") == sha256(images[2])
    is_untouched(gateway, images)


# what is refused


def test_bundles_of_others_are_refused_and_nothing_is_written(tmp_path, fleet, gateway, new_gateway, published, images, bundle, operator):
    release = published(2, *ALONE)
    other = new_gateway()
    other.wait_connected()
    before = gateway.slot_digest("b")
    strangers = bundle(release, other.id, name="other")
    expired = by_operator(operator, release, tmp_path / "expired", "--device", gateway.id, "--expires-s", "1")
    clone = by_operator(operator, release, tmp_path / "clone", "--device", f"{gateway.id}=sha256:{'7' * 64}", "--seq", "5")
    tenant = by_operator(operator, release, tmp_path / "tenant", "--device", gateway.id, "--tenant", "acme", "--seq", "6")
    ahead = by_operator(operator, release, tmp_path / "ahead", "--device", gateway.id, "--seq", str(2 ** 40))
    old = fleet.release(tmp_path / "class", images[4], "4.0.0", *ALONE, class_id="6661cafe-0000-4000-8000-0000000000ff")
    wrong_class = by_operator(operator, old, tmp_path / "wrong", "--device", gateway.id, "--seq", "7")
    fleet.stop()
    time.sleep(2)
    assert refused(gateway, strangers) == "wrong_device"
    assert refused(gateway, clone) == "wrong_device"
    assert refused(gateway, tenant) == "wrong_device"
    assert refused(gateway, expired) == "expired"
    assert refused(gateway, ahead) == "replayed"
    assert refused(gateway, wrong_class) == "incompatible"
    assert gateway.ctl("status")["helper"]["offline_seq"] == 0, "what is refused uses up no number"
    assert gateway.slot_digest("b") == before
    is_untouched(gateway, images)
    fleet.start()
    fleet.wait_event(gateway, "wrong_device")


def test_hostile_and_broken_files_are_refused_and_the_gateway_stays_well(tmp_path, fleet, gateway, published, images, bundle):
    good = bundle(published(2, *ALONE), gateway.id).read_bytes()
    before = gateway.slot_digest("b")
    pid = gateway.pid("agent")
    index = 24 + 48 * len(entries(tmp_path / "release-2.bundle")) + 32

    def case(name, data):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    job_at = good.index(b'{"payloadType":"application/vnd.fairlead.job')
    assert refused(gateway, case("empty", b"")) == "format"
    assert refused(gateway, case("text", b"hello" * 1000)) == "format"
    assert refused(gateway, case("longer", good + b"x")) == "format"
    assert refused(gateway, case("count", good[:12] + b"\xff\xff\xff\xff" + good[16:])) == "format"
    assert refused(gateway, case("size", good[:16] + b"\x7f" + b"\xff" * 7 + good[24:])) == "truncated"
    for cut in (10, 24, index - 1, index, job_at + 50, len(good) // 2, len(good) - 1):
        assert refused(gateway, case("cut", good[:cut])) in ("truncated", "format"), cut
    for at in (0, 9, 30, index - 5):
        assert refused(gateway, case("flip", good[:at] + bytes([good[at] ^ 4]) + good[at + 1:])) == "format", at
    assert refused(gateway, case("job", good[:job_at + 99] + bytes([good[job_at + 99] ^ 4]) + good[job_at + 100:])) == "corrupt"
    huge = tmp_path / "huge"
    with open(huge, "wb") as file:
        file.truncate(1 << 40)
    assert refused(gateway, huge) == "format"
    os.mkfifo(tmp_path / "fifo")
    assert refused(gateway, tmp_path / "fifo") == "format"
    assert refused(gateway, tmp_path) == "format"
    assert refused(gateway, tmp_path / "none") == "not_found"
    assert gateway.pid("agent") == pid and gateway.jobs() == []
    assert gateway.slot_digest("b") == before
    is_untouched(gateway, images)


# the stick


@pytest.fixture
def waiting_at_staging(tmp_path, fleet, stoppable, published, bundle):
    """A gateway whose agent stands still at the beginning of `staging`, with the fleet away, and the bundle that it reads."""
    gateway, stops = stoppable()
    path = bundle(published(2, *ALONE), gateway.id)
    stick = tmp_path / "stick"
    stick.mkdir()
    path = Path(shutil.move(path, stick / "update.bundle"))
    fleet.stop()
    stops.at("agent", ": staging")
    done = run(BIN / "fairleadctl", "--config", gateway.conf, "install", path, "--json", check=False, timeout=60)
    del done  # the agent stops before or after its answer
    return gateway, stops, path, stops.wait(gateway, "agent")


def commits(gateway, images, timeout=90):
    eventually(lambda: "good=b" in gateway.decision, lambda: f"the commit {gateway.logs()}", timeout)
    assert gateway.slot_digest("b") == sha256(images[2])


def test_a_file_that_ends_under_the_reader_is_waited_for(waiting_at_staging, images):
    gateway, stops, path, pid = waiting_at_staging
    content = path.read_bytes()
    os.truncate(path, len(content) // 2)
    stops.go_on(pid)
    job = eventually(lambda: gateway.jobs(), "its jobs")[0]["job_id"]
    waiting = wait_waiting(gateway, job, "bundle_missing")
    assert waiting["state"] == "waiting_to_download"
    eventually(lambda: gateway.jobs()[0].get("next") == "bundle", lambda: f"what it waits for {gateway.jobs()}")
    assert gateway.ctl("why")["code"] == "bundle_missing"
    is_untouched(gateway, images)
    path.write_bytes(content)
    commits(gateway, images)


def test_a_restart_finds_the_file_again(waiting_at_staging, images):
    gateway, _, _, _ = waiting_at_staging
    gateway.power_cut()
    gateway.start()
    commits(gateway, images)


def test_a_stick_that_is_gone_after_a_restart_is_waited_for(waiting_at_staging, images):
    gateway, _, path, _ = waiting_at_staging
    gateway.power_cut()
    path.parent.rename(path.parent.with_name("pocket"))
    gateway.start()
    job = eventually(lambda: gateway.jobs(), "its jobs")[0]["job_id"]
    wait_waiting(gateway, job, "bundle_missing")
    path.parent.with_name("pocket").rename(path.parent)
    commits(gateway, images)


def test_a_file_at_another_place_is_named_again(waiting_at_staging, images):
    gateway, _, path, _ = waiting_at_staging
    gateway.power_cut()
    elsewhere = path.with_name("copy")
    path.rename(elsewhere)
    path.write_bytes(b"something else")
    gateway.start()
    job = eventually(lambda: gateway.jobs(), "its jobs")[0]["job_id"]
    wait_waiting(gateway, job, "bundle_missing")
    assert install(gateway, elsewhere)["known"]
    commits(gateway, images)


def test_a_damaged_chunk_is_never_written_and_a_good_copy_goes_on(waiting_at_staging, images):
    gateway, stops, path, pid = waiting_at_staging
    content = path.read_bytes()
    at = len(content) - 70000
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
    stops.go_on(pid)
    job = eventually(lambda: gateway.jobs(), "its jobs")[0]["job_id"]
    wait_waiting(gateway, job, "chunk_mismatch")
    is_untouched(gateway, images)
    path.write_bytes(content)
    install(gateway, path)
    commits(gateway, images)


def test_an_older_job_of_the_fleet_gives_way_and_a_newer_one_takes_over(fleet, new_gateway, published, images, bundle):
    conf, _ = closed_window()
    gateway = new_gateway(conf=conf)
    gateway.wait_connected()
    two, four = published(2, *ALONE), published(4, *ALONE)
    first = fleet.deploy(two, gateway)
    fleet.wait_job(first, "waiting_to_activate")
    job = install(gateway, bundle(four, gateway.id))["job_id"]
    assert fleet.wait_job(first, "cancelled")["reason"] == "superseded"
    wait_told(fleet, job, "waiting_to_activate")
    last = fleet.deploy(two, gateway)
    assert fleet.wait_job(job, "cancelled")["reason"] == "superseded"
    fleet.wait_job(last, "waiting_to_activate")
    assert gateway.slot_digest("b") == sha256(images[2])
    fleet.cli("jobs", "cancel", last)
    fleet.wait_job(last, "cancelled")
