# SPDX-License-Identifier: Apache-2.0
"""A whole gateway (system.py): an update, from the operator's command to the second start of the new system."""
import re

import pytest

from system import BACK_ENDS, Gateway


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_an_update_is_committed(tmp_path, fleet, image, published, back_end):
    with Gateway(tmp_path / "gw", fleet, image, back_end, empty=True) as gateway:
        release = published(2)
        gateway.enrol().wait_connected()
        job = fleet.deploy(release, gateway)
        gateway.wait_job(job, "committed")
        assert gateway.boots() == ["a", "b"]
        running = fleet.device(gateway)["components"][0]
        assert (running["version"], running["slot"]) == ("2.0.0", "b")
        gateway.cut()
        gateway.on().wait_boots(3)
    assert gateway.boots() == ["a", "b", "b"], "it stays"
    watched = re.findall(r"GUEST slot=(\S) content=\S+ watchdog=(\S+)\n", gateway.text)
    assert watched == [("a", "inactive"), ("b", "active"), ("b", "inactive")], "armed before init, and only on trial"
