# SPDX-License-Identifier: Apache-2.0
"""`fairleadctl doctor`, and the proof of the fallback, on a gateway whose boot loader is script/machine."""
import json
import re
import shutil

from harness import ROOT, Gateway, eventually, read


def doctor(gateway):
    """(exit status, what it found)"""
    done = gateway.try_ctl("doctor")
    return done.returncode, json.loads(done.stdout)


def test_a_healthy_gateway_has_no_fault(gateway):
    status, found = doctor(gateway)
    assert (status, found["ok"]) == (0, True), found
    assert (found["running"], found["good"]) == ("a", "a")
    assert (found["agent"], found["helper"]) == ("ok", "ok")
    assert found["protections"] == gateway.ctl("status")["protections"]
    assert all(one["ok"] for one in found["findings"]) and len(found["findings"]) >= 5
    assert "proof" not in found


def test_a_fault_is_found_also_without_agent_and_helper(gateway):
    gateway.stop()
    (gateway.folder / "boot/decision").write_text("damaged\n")
    status, found = doctor(gateway)
    assert (status, found["ok"]) == (1, False)
    assert any(not one["ok"] and "decision" in one["text"] for one in found["findings"])
    assert found["agent"].startswith("the agent does not answer")


def prove(gateway):
    boots = len(gateway.boots())
    assert gateway.try_ctl("doctor", "--prove-fallback").returncode == 1, "nobody agreed"
    assert gateway.ctl("doctor", "--prove-fallback", "--yes") == {"restart": True}
    eventually(lambda: doctor(gateway)[1].get("proof"), lambda: f"it ends\n{gateway.logs()}", 60, 0.3)
    # A loader that does not count is found out in its last boot as `prove`: the verdict stands before the restart.
    eventually(lambda: gateway.boots()[-1] == "slot a: boots", lambda: f"it is back\n{gateway.logs()}", 30)
    gateway.wait_connected()
    return gateway.boots()[boots:]


def test_the_fallback_is_proved_without_an_update(fleet, gateway, published):
    before = gateway.slot_digest("a"), gateway.slot_digest("b")
    assert prove(gateway) == ["slot prove: boots, on trial", "slot a: boots"]
    status, found = doctor(gateway)
    assert (status, found["proof"]) == (0, "ok the boot loader came back by itself (boots as 'prove': 1)")
    assert (gateway.slot_digest("a"), gateway.slot_digest("b")) == before
    fleet.wait_job(fleet.deploy(published(2), gateway), "committed")


class WithoutCount(Gateway):
    """Its boot loader forgets what it counted."""

    def __init__(self, folder, *arguments, **more):
        super().__init__(folder, *arguments, **more)
        machine = self.folder / "machine"
        text = (ROOT / "script/machine").read_text()
        changed = re.sub(r'new\["used"\] \+= on_trial', 'new["used"] = 0', text)
        assert changed != text
        machine.write_text(changed)
        shutil.copymode(ROOT / "script/machine", machine)
        self.command[0] = str(machine)


def test_a_loader_that_does_not_count_is_found_out(tmp_path, fleet, images):
    with WithoutCount(tmp_path / "gw-x", fleet, "gw-x", images[1]) as gateway:
        gateway.wait_connected()
        assert prove(gateway) == ["slot prove: boots, on trial", "slot prove: boots, on trial", "slot a: boots"]
        status, found = doctor(gateway)
        assert (status, found["proof"]) == (1, "FAULT the boot loader does not count the tries (boots as 'prove': 2)")
        assert read(gateway.folder / "boot/decision").count("trial=\n") == 1
