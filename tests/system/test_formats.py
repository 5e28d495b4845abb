# SPDX-License-Identifier: Apache-2.0
"""A to B to A, when the agent of B has changed the database's format: the gateway stays on the fleet, and jobs end."""
import sqlite3

from harness import eventually, sha256
from test_main_job import check_program, component


def change_format(gateway):
    """As an agent would that is newer than ours; it runs while ours does not."""
    path = gateway.folder / "var/store/state.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE more(id INTEGER PRIMARY KEY, what TEXT NOT NULL) STRICT")
        database.execute("ALTER TABLE job ADD COLUMN more INTEGER NOT NULL DEFAULT 0")
        database.execute("PRAGMA user_version = 2")
    database.close()


def aside(gateway):
    """The format of the database that was set aside."""
    path = gateway.folder / "var/store/state.db.corrupt"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        version = database.execute("PRAGMA user_version").fetchone()[0]
    database.close()
    return version


def test_a_trial_that_changed_the_format_and_failed_ends_on_the_old_system(fleet, new_gateway, published, images, tmp_path):
    gate = tmp_path / "go"
    gateway = new_gateway(conf=check_program(tmp_path / "checks", f'while [ ! -e "{gate}" ]; do sleep 0.05; done'))
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    fleet.wait_job(job, "checking")
    gateway.power_cut()
    change_format(gateway)
    gateway.start()
    gateway.wait_connected()
    assert gateway.slot == "a"
    assert aside(gateway) == 2
    assert fleet.wait_job(job, "rolled_back")["job_id"] == job
    gate.touch()
    fleet.wait_job(fleet.deploy(published(4), gateway), "committed")
    assert gateway.slot_digest("b") == sha256(images[4])


def test_a_committed_release_that_goes_on_with_a_newer_database_stays_on_the_fleet(fleet, gateway, published):
    fleet.wait_job(fleet.deploy(published(2), gateway), "committed")
    eventually(lambda: component(gateway)["release_seq"] == 2, "it is told")
    gateway.power_cut()
    change_format(gateway)
    gateway.start()
    gateway.wait_connected()
    assert aside(gateway) == 2
    assert component(gateway)["release_seq"] == 2, "what is committed is the anchor's"
    assert fleet.device(gateway)["components"][0]["version"] == "2.0.0"
    fleet.wait_job(fleet.deploy(published(4), gateway), "committed")
    assert gateway.slot == "a"
