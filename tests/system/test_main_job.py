# SPDX-License-Identifier: Apache-2.0
"""The main job, from the operator's command to the gateway's report, with every real process between them."""
import json
import os
import shutil
import sqlite3
import time

from cryptography.hazmat.primitives import serialization

from faults import documents
from harness import BIN, Fleet, Gateway, Keys, eventually, read, run, sha256

WAY = ["received", "verified", "waiting_to_download", "staging", "staged", "waiting_to_activate", "sealing", "activating",
       "restarting", "checking", "committing", "committed"]
WAY_BACK = [*WAY[:WAY.index("restarting") + 1], "rolling_back", "rolled_back"]


def component(gateway):
    """What `fairleadctl status` tells of the root file system."""
    return next(one for one in gateway.ctl("status")["components"] if one["name"] == "rootfs")


def blob_of(release):
    """The file of the transport."""
    path, = (path for path in (release / "blobs").rglob("*") if path.is_file())
    return path


def check_program(folder, script):
    """A folder for [check] with one executable, and the configuration that names it."""
    folder.mkdir()
    program = folder / "50-test"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    folder.chmod(0o755)
    return f"\n[check]\ndir = {folder}\n"


def closed_window(days_ahead=3):
    """A weekly window of one hour that opens in some days; its configuration and the second it opens at."""
    opens = (int(time.time()) // 86400 + days_ahead) * 86400 + 3 * 3600
    day = time.strftime("%a", time.gmtime(opens)).lower()
    return f"\n[policy]\nactivate = window.night\n\n[window.night]\ndays = {day}\nstart = 03:00\nlength = 60\n", opens


# the way forward


def test_release_is_committed(fleet, gateway, published, images):
    old = gateway.slot_digest("a")
    job = fleet.deploy(published(2), gateway)
    shown = fleet.wait_job(job, "committed")
    assert (shown["intent"], shown["version"], shown["device_id"]) == ("install", "2.0.0", gateway.id)
    assert fleet.states(job) == WAY
    assert gateway.slot == "b"
    assert gateway.slot_digest("b") == sha256(images[2])
    assert gateway.slot_digest("a") == old == sha256(images[1])
    assert gateway.boots() == ["slot a: boots", "slot b: boots, on trial"]
    assert "good=b\ntrial=\n" in gateway.decision


def test_floors_and_numbers_rise_with_the_commit(fleet, gateway, published):
    before = gateway.ctl("status")
    assert (before["helper"]["job_seq"], component(gateway)["release_seq"]) == (0, 1)
    job = fleet.deploy(published(2), gateway)
    fleet.wait_job(job, "committed")
    status = eventually(lambda: gateway.ctl("status"), "status")
    assert status["helper"]["job_seq"] == fleet.job(job)["job_seq"] == 1
    assert status["helper"]["trial"] is False
    assert status["helper"]["anchor_lost"] is False
    assert status["running_slot"] == "b"
    assert status["version"] == "2.0.0" or component(gateway)["version"] == "2.0.0"
    assert component(gateway)["release_seq"] == 2
    assert component(gateway)["security_version"] == 1
    running = fleet.device(gateway)["components"][0]
    assert (running["version"], running["release_seq"], running["slot"]) == ("2.0.0", 2, "b")


def test_reports_are_kept_with_the_signature_of_the_device(fleet, gateway, published):
    job = fleet.deploy(published(2), gateway)
    fleet.wait_job(job, "committed")
    key = serialization.load_der_public_key((gateway.folder / "var/identity/device.pub").read_bytes())
    with sqlite3.connect(f"file:{fleet.database}?mode=ro", uri=True) as database:
        kept = database.execute("SELECT report_seq, state, envelope FROM reports WHERE job_id = ? ORDER BY report_seq",
                                (job,)).fetchall()
    numbers = [number for number, _, _ in kept]
    assert numbers == sorted(set(numbers))
    assert [state for _, state, _ in kept] == WAY
    for number, state, envelope in kept:
        assert documents.verifies(envelope, key, "report")
        assert not documents.verifies(documents.flip_payload(envelope, 9), key, "report")
        report = documents.document(envelope)
        assert (report["report_seq"], report["state"], report["job_id"]) == (number, state, job)
        assert report["device_id"] == gateway.id


def test_two_updates_use_the_slots_in_turn(fleet, gateway, published, images):
    fleet.wait_job(fleet.deploy(published(2), gateway), "committed")
    fleet.wait_job(fleet.deploy(published(4), gateway), "committed")
    assert gateway.slot == "a"
    assert gateway.slot_digest("a") == sha256(images[4])
    assert gateway.slot_digest("b") == sha256(images[2])


def test_keys_on_the_other_curve_do_as_well(tmp_path, images):
    with Fleet(tmp_path / "fleet", Keys(tmp_path / "keys", alg="ecdsa-p256-sha256")) as fleet, \
            Gateway(tmp_path / "gw", fleet, "gw-1", images[1]) as gateway:
        gateway.wait_connected()
        release = fleet.publish(fleet.release(tmp_path / "release", images[2], "2.0.0"))
        fleet.wait_job(fleet.deploy(release, gateway), "committed")
        assert gateway.slot_digest("b") == sha256(images[2])


def test_what_stands_in_the_slot_already_is_not_fetched(fleet, hostile, new_gateway, published, images):
    gateway = new_gateway(via=hostile)
    shutil.copy(images[2], gateway.folder / "slots/b.img")
    with open(gateway.folder / "slots/b.img", "r+b") as slot:
        slot.seek(5 << 20)
        slot.write(os.urandom(100))
    gateway.wait_connected()
    release = published(2)
    fleet.wait_job(fleet.deploy(release, gateway), "committed")
    assert gateway.slot_digest("b") == sha256(images[2])
    assert 0 < hostile.served[gateway.id] <= (1 << 20) + 3 * documents.CHUNK  # the table, one frame


# the way back


def test_release_that_does_not_boot_is_rolled_back(fleet, gateway, published, images):
    job = fleet.deploy(published(3), gateway)
    shown = fleet.wait_job(job, "rolled_back")
    assert shown["reason"] == "boot_failed"
    assert "no init" in shown["text"]
    assert shown["boot_log"] == "slot b: no init, on trial\n"
    assert fleet.states(job) == WAY_BACK
    assert gateway.slot == "a"
    assert gateway.slot_digest("a") == sha256(images[1])
    assert gateway.boots() == ["slot a: boots", "slot b: no init, on trial", "slot a: boots"]
    assert component(gateway)["release_seq"] == 1


def test_next_release_installs_after_one_that_did_not_boot(fleet, gateway, published, images):
    fleet.wait_job(fleet.deploy(published(3), gateway), "rolled_back")
    fleet.wait_job(fleet.deploy(published(4), gateway), "committed")
    assert gateway.slot == "b"
    assert gateway.slot_digest("b") == sha256(images[4])


def test_the_log_of_an_older_boot_is_not_that_of_a_job_without_a_restart(fleet, new_gateway, published):
    def no_trial(made):
        boot = made.folder / "boot/program"
        boot.write_text(f'#!/bin/sh\ncase " $* " in *" trial "*) exit 1 ;; esac\nexec {BIN}/fairlead-boot "$@"\n')
        boot.chmod(0o755)
        made.conf.write_text(made.conf.read_text().replace(f"program = {BIN}/fairlead-boot", f"program = {boot}"))

    gateway = new_gateway(before_start=no_trial)
    gateway.wait_connected()
    (gateway.folder / "run/boot-failure").write_text("an older boot\nand its log\n")
    shown = fleet.wait_job(fleet.deploy(published(2), gateway), "rolled_back")
    assert gateway.boots() == ["slot a: boots"] and "boot_log" not in shown


def test_failing_check_rolls_back(fleet, new_gateway, published, tmp_path, images):
    conf = check_program(tmp_path / "checks", f'grep -q 1.0.0 "{tmp_path}/gw-1/run/image-info"')
    gateway = new_gateway(conf=conf)
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    shown = fleet.wait_job(job, "rolled_back")
    assert shown["reason"] == "check_failed"
    assert "50-test" in shown["text"]
    assert gateway.slot == "a"
    assert gateway.slot_digest("a") == sha256(images[1])
    assert gateway.boots() == ["slot a: boots", "slot b: boots, on trial", "slot a: boots"]
    assert fleet.states(job) == [*WAY[:WAY.index("checking") + 1], "rolling_back", "rolled_back"]


def test_without_the_fleet_the_trial_ends_at_its_deadline(fleet, stoppable, published, images):
    gateway, stops = stoppable()
    job = fleet.deploy(published(2, "--deadline-s", "30"), gateway)
    stops.at("agent", ": restarting")
    pid = stops.wait(gateway, "agent")
    fleet.kill_and_wait()
    stops.go_on(pid)
    eventually(lambda: gateway.slot == "b", "the trial runs")
    eventually(lambda: gateway.slot == "a", lambda: f"the old system is back {gateway.logs()}", 60)
    fleet.start()
    shown = fleet.wait_job(job, "rolled_back", timeout=90)
    assert shown["reason"] in ("unreachable", "trial_deadline")
    assert gateway.slot_digest("a") == sha256(images[1])


def test_without_the_fleet_a_release_that_allows_it_is_committed(fleet, stoppable, published, images):
    gateway, stops = stoppable()
    job = fleet.deploy(published(2, "--deadline-s", "30", "--reach", "fleet,local"), gateway)
    stops.at("agent", ": restarting")
    pid = stops.wait(gateway, "agent")
    fleet.kill_and_wait()
    stops.go_on(pid)
    eventually(lambda: "good=b" in gateway.decision, lambda: f"the commit {gateway.logs()}", 60)
    fleet.start()
    fleet.wait_job(job, "committed", timeout=90)
    assert gateway.slot == "b"
    assert gateway.slot_digest("b") == sha256(images[2])


# several jobs


def test_newer_job_takes_the_place_of_one_that_stages(fleet, hostile, new_gateway, published, images):
    gateway = new_gateway(via=hostile)
    gateway.wait_connected()
    older, newer = published(2), published(4)
    hostile.hold(1 << 20)
    first = fleet.deploy(older, gateway)
    hostile.wait_held()
    second = fleet.deploy(newer, gateway)
    assert fleet.wait_job(first, "cancelled")["reason"] == "superseded"
    hostile.release()
    fleet.wait_job(second, "committed")
    assert fleet.states(second) == WAY
    assert gateway.slot_digest("b") == sha256(images[4])


def test_newer_job_takes_the_place_of_one_that_waits_for_its_window(fleet, new_gateway, published, images):
    conf, _ = closed_window()
    gateway = new_gateway(conf=conf)
    gateway.wait_connected()
    first = fleet.deploy(published(2), gateway)
    fleet.wait_job(first, "waiting_to_activate")
    second = fleet.deploy(published(4), gateway)
    assert fleet.wait_job(first, "cancelled")["reason"] == "superseded"
    fleet.wait_job(second, "waiting_to_activate")
    assert gateway.slot_digest("b") == sha256(images[4])
    assert gateway.slot == "a"


def test_newer_job_waits_for_one_that_is_past_sealing(fleet, new_gateway, published, images, tmp_path):
    gate = tmp_path / "go"
    gateway = new_gateway(conf=check_program(tmp_path / "checks", f'while [ ! -e "{gate}" ]; do sleep 0.05; done'))
    gateway.wait_connected()
    first = fleet.deploy(published(2), gateway)
    fleet.wait_job(first, "checking")
    second = fleet.deploy(published(4), gateway)
    busy = eventually(lambda: (found := fleet.job(second)).get("reason") == "component_busy" and found, "the second job waits")
    assert busy["state"] == "waiting_to_download"
    assert fleet.job(first)["state"] == "checking"
    gate.touch()
    fleet.wait_job(first, "committed")
    fleet.wait_job(second, "committed")
    assert gateway.slot == "a"
    assert gateway.slot_digest("a") == sha256(images[4])


def test_cancel_ends_a_job_that_stages(fleet, hostile, new_gateway, published, images):
    gateway = new_gateway(via=hostile)
    gateway.wait_connected()
    release, decision = published(2), gateway.decision
    hostile.hold(1 << 20)
    job = fleet.deploy(release, gateway)
    hostile.wait_held()
    assert gateway.runners()
    fleet.cli("jobs", "cancel", job)
    assert fleet.wait_job(job, "cancelled")["reason"] == "cancelled"
    assert not gateway.runners()
    assert gateway.slot_digest("a") == sha256(images[1])
    assert gateway.slot == "a"
    assert "trial=\n" in gateway.decision and "trial=\n" in decision
    hostile.release()
    fleet.wait_job(fleet.deploy(release, gateway), "committed")


def test_cancel_after_sealing_is_too_late(fleet, new_gateway, published, tmp_path):
    gate = tmp_path / "go"
    gateway = new_gateway(conf=check_program(tmp_path / "checks", f'while [ ! -e "{gate}" ]; do sleep 0.05; done'))
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    fleet.wait_job(job, "checking")
    cancel = fleet.cli("jobs", "cancel", job)["job_id"]
    assert fleet.wait_job(cancel, "rejected")["reason"] == "too_late"
    assert fleet.job(job)["state"] == "checking"
    gate.touch()
    fleet.wait_job(job, "committed")


# gates


def test_closed_window_holds_the_activation_only(fleet, new_gateway, published, images):
    conf, opens = closed_window()
    gateway = new_gateway(conf=conf)
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    told = eventually(lambda: (found := fleet.job(job))["state"] == "waiting_to_activate" and found.get("reason") and found,
                      lambda: f"{fleet.job(job)}")
    assert (told["reason"], told["until"]) == ("window", opens)
    assert gateway.slot_digest("b") == sha256(images[2])
    why = gateway.ctl("why")
    assert (why["code"], why["until"]) == ("window", opens)
    assert any(rule["verdict"] == "wait_until" for rule in why["chain"])
    assert gateway.slot == "a"
    gateway.configure("activate", "always")
    gateway.kill_program("agent")
    fleet.wait_job(job, "committed")
    assert gateway.slot_digest("b") == sha256(images[2])


def test_closed_window_holds_the_download(fleet, hostile, new_gateway, published):
    conf, opens = closed_window()
    gateway = new_gateway(conf=conf.replace("activate =", "download ="), via=hostile)
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    told = eventually(lambda: (found := fleet.job(job))["state"] == "waiting_to_download" and found.get("reason") and found,
                      lambda: f"{fleet.job(job)}")
    assert (told["reason"], told["until"]) == ("window", opens)
    assert hostile.served[gateway.id] == 0


# the link


def test_cut_link_is_resumed_at_the_chunk(fleet, hostile, new_gateway, published, images):
    gateway = new_gateway(via=hostile)
    gateway.wait_connected()
    release = published(2)
    blob = blob_of(release)
    hostile.hold(3 << 20)
    job = fleet.deploy(release, gateway)
    hostile.wait_held()
    fleet.kill_and_wait()
    hostile.cut()
    hostile.release()
    fleet.start()
    fleet.wait_job(job, "committed", timeout=90)
    assert gateway.slot_digest("b") == sha256(images[2])
    assert hostile.served[gateway.id] - blob.stat().st_size <= documents.CHUNK
    assert fleet.states(job).count("staging") == 1


def test_many_cuts_cost_one_chunk_each(fleet, hostile, new_gateway, published, images):
    gateway = new_gateway(via=hostile)
    gateway.wait_connected()
    release = published(2)
    blob = blob_of(release)
    cuts, step = 6, blob.stat().st_size // 7
    hostile.hold(step)
    job = fleet.deploy(release, gateway)
    for n in range(1, cuts + 1):
        hostile.wait_held()
        hostile.hold(step * (n + 1) if n < cuts else 1 << 60)
        hostile.cut_downloads()
    fleet.wait_job(job, "committed", timeout=90)
    assert gateway.slot_digest("b") == sha256(images[2])
    assert hostile.served[gateway.id] - blob.stat().st_size <= cuts * documents.CHUNK


def test_gateway_runs_on_without_its_fleet(fleet, gateway, images):
    fleet.kill_and_wait()
    eventually(lambda: gateway.ctl("status")["fleet"]["connected"] is False, "the agent notices")
    why = gateway.ctl("why")
    assert why["code"] == "unreachable"
    boot, decision, memory = gateway.boot_id, gateway.decision, read(gateway.folder / "boot/machine")
    for _ in range(3):
        gateway.power_cut()
        gateway.start()
        eventually(lambda: gateway.ctl("status"), "status without a fleet")
        assert gateway.slot == "a"
    assert gateway.boot_id != boot
    assert (gateway.decision, read(gateway.folder / "boot/machine")) == (decision, memory)
    assert gateway.slot_digest("a") == sha256(images[1])
    fleet.start()
    gateway.wait_connected(60)


def test_many_power_cycles_without_an_update_change_nothing(fleet, gateway):
    before = (gateway.decision, read(gateway.folder / "boot/machine"))
    for _ in range(10):
        gateway.power_cut()
        gateway.start()
        eventually(lambda: gateway.pid("agent"), "the agent runs")
    gateway.wait_connected()
    assert (gateway.decision, read(gateway.folder / "boot/machine")) == before
    assert set(gateway.boots()) == {"slot a: boots"}


# trust over time


def next_root(keys, folder, *changes):
    """Root 2, signed by two root keys."""
    path = folder / "root-2.json"
    run(BIN / "fairlead", "keys", "root-next", keys.root, "-o", path, *changes)
    for number in (1, 2):
        run(BIN / "fairlead", "keys", "sign", path, "--key", keys[f"root{number}"])
    return path


def test_new_release_key_comes_with_a_new_root(fleet, gateway, keys, tmp_path, images, published):
    waits = published(2)
    run(BIN / "fairlead", "keys", "generate", tmp_path / "release2.key")
    old = documents.Key(keys["release"])
    root = next_root(keys, tmp_path, "--add-release", tmp_path / "release2.key.pub", "--revoke", old.id)
    fleet.cli("root", "publish", root)
    eventually(lambda: gateway.ctl("status")["helper"]["root_version"] == 2, lambda: f"root 2 arrives {gateway.logs()}")
    refused = fleet.try_cli("deploy", waits, "--device", gateway.id, "--force")
    if refused.returncode == 0:
        assert fleet.wait_job(json.loads(refused.stdout)["job_id"], "rejected")["reason"] == "key_revoked"
    else:
        assert "key_revoked" in refused.stdout + refused.stderr
    signed_by_old = fleet.release(tmp_path / "old", images[4], "4.0.0")
    assert fleet.try_cli("release", "publish", signed_by_old).returncode != 0
    new = fleet.release(tmp_path / "new", images[4], "4.0.0", key=None)
    fleet.cli("release", "sign", new, "--key", tmp_path / "release2.key")
    fleet.wait_job(fleet.deploy(fleet.publish(new), gateway), "committed")
    assert gateway.slot_digest("b") == sha256(images[4])
    assert gateway.slot_digest("a") == sha256(images[1])


def test_device_that_was_away_gets_the_new_root_first(fleet, gateway, keys, tmp_path, images):
    gateway.power_cut()
    run(BIN / "fairlead", "keys", "generate", tmp_path / "release2.key")
    root = next_root(keys, tmp_path, "--add-release", tmp_path / "release2.key.pub", "--revoke", documents.Key(keys["release"]).id)
    fleet.cli("root", "publish", root)
    new = fleet.release(tmp_path / "new", images[2], "2.0.0", key=None)
    fleet.cli("release", "sign", new, "--key", tmp_path / "release2.key")
    job = fleet.deploy(fleet.publish(new), gateway)
    gateway.start()
    fleet.wait_job(job, "committed")
    assert gateway.ctl("status")["helper"]["root_version"] == 2


# enrolment


def test_unlisted_device_is_enrolled_once_it_is_listed(fleet, new_gateway):
    gateway = new_gateway(enrol=False)
    gateway.wait_log("enrol_refused")
    assert gateway.ctl("why")["code"] == "not_enrolled"
    assert gateway.ctl("status")["fleet"]["enrolled"] is False
    assert not (gateway.folder / "var/identity/device.pem").exists()
    fleet.cli("device", "enroll", gateway.id, "--identity", gateway.identity)
    gateway.wait_connected(60)
    assert fleet.device(gateway)["online"] is True


def test_job_that_waits_for_the_first_contact_is_carried_out(fleet, published, images, tmp_path):
    gateway = Gateway(tmp_path / "gw-1", fleet, "gw-1", images[1])
    job = fleet.deploy(published(2), gateway)
    assert fleet.job(job)["state"] == "queued"
    with gateway:
        fleet.wait_job(job, "committed")
        assert gateway.slot_digest("b") == sha256(images[2])


def test_listed_name_with_another_key_is_refused(fleet, new_gateway):
    fleet.cli("device", "enroll", "gw-1", "--identity", "sha256:" + "ab" * 32)
    gateway = new_gateway(enrol=False)
    gateway.wait_log("enrol_refused")
    assert gateway.ctl("status")["fleet"]["enrolled"] is False
    assert fleet.device("gw-1").get("enrolled") in (None, False)


# lost memory


def delete_database(gateway):
    for path in (gateway.folder / "var/store").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_lost_database_in_mid_job_is_made_good_by_the_helper(fleet, hostile, new_gateway, published, images):
    gateway = new_gateway(via=hostile)
    gateway.wait_connected()
    release = published(2)
    hostile.hold(2 << 20)
    job = fleet.deploy(release, gateway)
    hostile.wait_held()
    gateway.power_cut()
    delete_database(gateway)
    hostile.release()
    gateway.start()
    fleet.wait_job(job, "committed", timeout=90)
    assert gateway.slot == "b"
    assert gateway.slot_digest("b") == sha256(images[2])
    assert fleet.states(job)[-1] == "committed"


def test_lost_database_on_trial_still_commits(fleet, new_gateway, published, images, tmp_path):
    gate = tmp_path / "go"
    gateway = new_gateway(conf=check_program(tmp_path / "checks", f'while [ ! -e "{gate}" ]; do sleep 0.05; done'))
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    fleet.wait_job(job, "checking")
    delete_database(gateway)
    gateway.kill_program("agent")
    gate.touch()
    fleet.wait_job(job, "committed", timeout=90)
    assert gateway.slot == "b"


def test_damaged_database_is_set_aside(fleet, gateway, published, images):
    fleet.wait_job(fleet.deploy(published(2), gateway), "committed")
    gateway.power_cut()
    for path in (gateway.folder / "var/store").glob("*"):
        if path.is_file():
            size = path.stat().st_size
            path.write_bytes(os.urandom(size))
    gateway.start()
    gateway.wait_connected(60)
    fleet.wait_job(fleet.deploy(published(4), gateway), "committed", timeout=90)
    assert gateway.slot_digest("a") == sha256(images[4])


def test_lost_anchor_accepts_no_job_before_the_fleet_has_spoken(fleet, gateway, published, images):
    release = published(2)
    fleet.wait_job(fleet.deploy(release, gateway), "committed")
    gateway.power_cut()
    shutil.rmtree(gateway.folder / "var/anchor")
    (gateway.folder / "var/anchor").mkdir(mode=0o700)
    fleet.kill_and_wait()
    gateway.start()
    status = eventually(lambda: (found := gateway.ctl("status")) and found["helper"]["connected"] and found, "status")
    assert status["helper"]["anchor_lost"] is True
    fleet.start()
    eventually(lambda: gateway.ctl("status")["helper"]["anchor_lost"] is False, "the heartbeat ends it", 60)
    assert gateway.ctl("status")["helper"]["job_seq"] == 1
    assert component(gateway)["release_seq"] == 2
    fleet.wait_job(fleet.deploy(published(4), gateway), "committed")
    assert gateway.slot_digest("a") == sha256(images[4])


def test_fallback_that_rots_is_told(fleet, new_gateway, published):
    gateway = new_gateway(conf="\n[component.rootfs]\nread_only = true\n\n[recheck]\nafter_s = 2\n")
    gateway.wait_connected()
    for number in (2, 4):
        fleet.wait_job(fleet.deploy(published(number), gateway), "committed")
    assert gateway.slot == "a"
    with open(gateway.folder / "slots/b.img", "r+b") as slot:
        slot.seek(3 << 20)
        byte = slot.read(1)
        slot.seek(3 << 20)
        slot.write(bytes([byte[0] ^ 1]))
    gateway.kill_program("helper")  # its next look comes 2 s after a start
    assert "slot 'b' of 'rootfs'" in fleet.wait_event(gateway, "fallback_rotten")["text"]
    assert gateway.slot == "a"
