# SPDX-License-Identifier: Apache-2.0
"""A whole gateway (system.py) gets systems that do not come up, and no power: the old one is back, and the fleet knows why."""
import random
import time

import pytest

from system import BACK_ENDS, CAMPAIGN, Gateway
from table import note

BOOTS, SECONDS = 3, 300  # until the old system is back
IDLE_CUTS = 20 if CAMPAIGN else 3
PANIC = "Kernel panic - not syncing: "

# What is wrong with a system; the reasons, what its text says, and what the log of the failed boot says (None: nothing could
# keep one). In each the trial is the only boot that it gets.
BAD = {
    "panics": ({"usr/sbin/init": "#!/bin/sh\nmount -t proc proc /proc\necho c >/proc/sysrq-trigger\n"},
               {"boot_failed"}, PANIC, "sysrq triggered crash"),
    "has an init that exits": ({"usr/sbin/init": "#!/bin/sh\nexit 1\n"}, {"boot_failed"}, PANIC, "Attempted to kill init"),
    "hangs": ({"usr/sbin/init": "#!/bin/sh\nexec sleep infinity\n"}, {"boot_failed"}, "reset by the watchdog", None),
    "has no network": ({"etc/systemd/network/10-net.network": None}, {"unreachable", "trial_deadline"}, "", "fairlead-agent"),
    "has an agent that crashes": ({"usr/sbin/fairlead-agent": "#!/bin/sh\nkill -SEGV $$\n"}, {"trial_silent"}, "",
                                  "fairlead-agent.service: Main process exited, code="),
    "fails its check": ({"usr/lib/checks/50-test": "#!/bin/sh\necho the modem is silent\nexit 1\n"}, {"check_failed"},
                        "the modem is silent", "rolling_back (check_failed)"),
}
FAULTS = [fault for fault in BAD if CAMPAIGN or fault != "has an init that exits"]  # that is a panic, too


@pytest.fixture(scope="module", params=BACK_ENDS)
def gateway(request, tmp_path_factory, fleet, image):
    """One for all tests below: each leaves it on its first system."""
    folder = tmp_path_factory.mktemp("gateway")
    with Gateway(folder / "gw", fleet, image, request.param) as running:
        yield running.enrol().wait_connected()


def wait_back(gateway, before):
    """Seconds from the start of the new system to that of the old one."""
    gateway.wait_boots(before + 1, 400)
    began = time.monotonic()
    gateway.wait_boots(before + 2, SECONDS)
    return time.monotonic() - began


@pytest.mark.parametrize("fault", FAULTS)
def test_the_old_system_is_back_after_one_that(gateway, fleet, published, fault):
    files, reasons, text, log = BAD[fault]
    release = published(10 + list(BAD).index(fault), files, "--deadline-s", "60")
    gateway.wait_connected()
    before = len(gateway.boots())
    job = fleet.deploy(release, gateway)
    seconds = wait_back(gateway, before)
    shown = gateway.wait_job(job, "rolled_back")
    boots = gateway.boots()[before:]
    note(gateway, fault, boots, seconds, f"{shown['state']}, {shown['reason']}")
    assert shown["reason"] in reasons and text in shown.get("text", ""), (shown, gateway.tail())
    assert boots == ["b", "a"] and len(boots) <= BOOTS and seconds <= SECONDS, gateway.tail()
    assert (log or "") in shown.get("boot_log", "") and (log is None) == ("boot_log" not in shown), shown
    assert fleet.device(gateway)["components"][0]["version"] == "1.0.0"


def test_power_cuts_without_an_update_change_nothing(gateway):
    gateway.wait_connected()
    gateway.cut()
    before, booted, began, source = gateway.state(), len(gateway.boots()), time.monotonic(), random.Random(8)
    for _ in range(IDLE_CUTS):
        gateway.on()
        time.sleep(source.uniform(0, 20))
        gateway.cut()
        assert gateway.state() == before
    gateway.on().wait_connected()
    assert set(gateway.boots()[booted:]) == {"a"}
    assert gateway.state() == before
    note(gateway, f"{IDLE_CUTS} power cuts, no update", gateway.boots()[booted:], time.monotonic() - began, "nothing changed")
