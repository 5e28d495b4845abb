# SPDX-License-Identifier: Apache-2.0
"""The agent beside a helper that forgets, and what its children get from it."""
import time

from harness import eventually, read

CLOSED = "\n[policy]\n{gate} = window.never\n\n[window.never]\ndays = {day}\nstart = 03:00\nlength = 1\n"


def closed(gate):
    """Not within the next two days."""
    return CLOSED.format(gate=gate, day=time.strftime("%a", time.gmtime(time.time() + 3 * 86400)).lower())


def lose_documents(gateway):
    """Every job and release beside the anchor; the roots stay. Returns how many there were."""
    lost = [path for path in (gateway.folder / "var/anchor").iterdir()
            if any(kind in path.read_bytes() for kind in (b'"type":"job"', b'"type":"release"'))]
    for path in lost:
        path.unlink()
    return len(lost)


def open_gate(gateway, gate):
    gateway.configure(gate, "always")
    pid = gateway.kill_program("agent")
    eventually(lambda: gateway.pid("agent") not in (None, pid), "a new agent")


def test_documents_lost_before_staging_are_presented_again(fleet, new_gateway, published):
    gateway = new_gateway(conf=closed("download"))
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    eventually(lambda: "window" in gateway.jobs()[0].get("next", "") if gateway.jobs() else False, "the job waits")
    assert lose_documents(gateway) == 2
    open_gate(gateway, "download")
    fleet.wait_job(job, "committed")
    assert gateway.slot == "b"
    assert len([line for line in gateway.log_lines() if "presented again" in line]) == 1


def test_documents_lost_before_sealing_are_presented_again(fleet, new_gateway, published):
    gateway = new_gateway(conf=closed("activate"))
    gateway.wait_connected()
    job = fleet.deploy(published(2), gateway)
    gateway.wait_state("waiting_to_activate")
    assert lose_documents(gateway) == 2
    open_gate(gateway, "activate")
    fleet.wait_job(job, "committed")
    assert len([line for line in gateway.log_lines() if "presented again" in line]) == 1


def test_documents_lost_again_end_the_job(fleet, stoppable, published):
    gateway, stops = stoppable(conf=closed("download"))
    job = fleet.deploy(published(2), gateway)
    eventually(lambda: "window" in gateway.jobs()[0].get("next", "") if gateway.jobs() else False, "the job waits")
    assert lose_documents(gateway) == 2
    stops.at("helper", "", 2)  # both are kept again, and not answered yet
    open_gate(gateway, "download")
    helper = stops.wait(gateway, "helper")
    assert lose_documents(gateway) >= 1
    stops.go_on(helper)
    shown = fleet.wait_job(job, "failed")
    assert shown["reason"] == "not_found", shown
    assert gateway.slot == "a"
