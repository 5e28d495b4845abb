# SPDX-License-Identifier: Apache-2.0
"""The agent beside a helper that forgets, and what its children get from it."""
import datetime
import os
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

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


def inherited(pid):
    """{descriptor: what it is} of those that the process's children would get, but for the standard ones."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        flags = [line.split()[1] for line in read(f"/proc/{pid}/fdinfo/{name}").splitlines() if line.startswith("flags:")]
        if int(name) > 2 and flags and not int(flags[0], 8) & os.O_CLOEXEC:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def test_no_descriptor_of_the_agent_is_for_its_children(fleet, hostile, new_gateway, published):
    gateway = new_gateway(via=hostile)
    gateway.wait_connected()
    hostile.hold(1)
    job = fleet.deploy(published(2), gateway)
    hostile.wait_held()
    assert inherited(gateway.pid("agent")) == {}
    hostile.release()
    fleet.wait_job(job, "committed")
    assert inherited(gateway.pid("agent")) == {}


def test_a_health_check_has_the_standard_descriptors_only(fleet, new_gateway, published):
    gateway = new_gateway(conf="\n[check]\ndir = etc/checks\n")
    checks, told = gateway.folder / "etc/checks", gateway.folder / "told"
    checks.mkdir(exist_ok=True)
    (checks / "fds").write_text(f"#!/bin/sh\nls /proc/self/fd > '{told}'\n")
    (checks / "fds").chmod(0o755)
    gateway.wait_connected()
    fleet.wait_job(fleet.deploy(published(2), gateway), "committed")
    assert sorted(map(int, told.read_text().split())) == [0, 1, 2, 3]  # 3: the folder that is listed


def test_an_idle_agent_has_not_loaded_what_downloads_need(fleet, gateway, published):
    pid = gateway.kill_program("agent", 15)  # the one that was enrolled has
    eventually(lambda: gateway.pid("agent") not in (None, pid), "a new agent")
    gateway.wait_connected()
    assert "libcurl" not in read(f"/proc/{gateway.pid('agent')}/maps")
    fleet.wait_job(fleet.deploy(published(2), gateway), "committed")


def test_a_job_that_ended_before_the_start_has_its_version(fleet, gateway, published):
    job = fleet.deploy(published(2), gateway)
    fleet.wait_job(job, "committed")
    pid = gateway.kill_program("agent", 15)
    eventually(lambda: gateway.pid("agent") not in (None, pid) and gateway.jobs(), "a new agent")
    shown, = gateway.jobs()
    assert (shown["job_id"], shown["state"], shown["version"]) == (job, "committed", "2.0.0")


def replace_certificate(gateway, begins, ends):
    """Its own certificate is one of the fleet's CA with that validity, in days from now."""
    folder = gateway.folder / "var/identity"
    authority = x509.load_pem_x509_certificate(gateway.fleet.device_ca.read_bytes())
    signer = serialization.load_pem_private_key((gateway.fleet.folder / "keys/device-ca.pem").read_bytes(), None)
    old = x509.load_pem_x509_certificate((folder / "device.pem").read_bytes())
    now = datetime.datetime.utcnow()
    made = x509.CertificateBuilder(authority.subject, old.subject, old.public_key(), x509.random_serial_number(),
                                   now + datetime.timedelta(begins), now + datetime.timedelta(ends), list(old.extensions))
    (folder / "device.pem").write_bytes(made.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def restarted_with(gateway, begins, ends):
    gateway.stop()
    replace_certificate(gateway, begins, ends)
    kept = (gateway.folder / "var/identity/device.pem").read_bytes()
    gateway.start()
    gateway.wait_connected(60)
    return lambda: (gateway.folder / "var/identity/device.pem").read_bytes() != kept


def test_an_expired_certificate_is_renewed(gateway):
    renewed = restarted_with(gateway, -10, -1)
    assert renewed()
    assert "certificate of gw-1 renewed" in gateway.wait_log("renewed")


def test_a_certificate_is_renewed_in_the_last_third_of_its_life(gateway):
    eventually(restarted_with(gateway, -201, 99), "a new certificate")


def test_a_certificate_stays_before_the_last_third_of_its_life(gateway):
    renewed = restarted_with(gateway, -199, 101)
    time.sleep(3)
    assert not renewed()


def test_a_revoked_device_gets_no_new_certificate(fleet, gateway):
    gateway.stop()
    replace_certificate(gateway, -10, -1)
    fleet.cli("device", "revoke", gateway.id)
    gateway.start()
    gateway.wait_log("renew the certificate")
    assert not gateway.ctl("status")["fleet"]["connected"]
