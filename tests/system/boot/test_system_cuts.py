# SPDX-License-Identifier: Apache-2.0
"""Power cuts at the steps of updates of a whole gateway (system.py): each ends in a whole system, and nobody helps."""
import os
import random
import time

import pytest

from system import BACK_ENDS, Gateway
from table import note

CUTS = -(-int(os.environ.get("FAIRLEAD_POWER_CUTS", "10")) // len(BACK_ENDS))  # of each; a minute and more for one
SEED = int(os.environ.get("FAIRLEAD_SEED", random.SystemRandom().randrange(1 << 32)))  # the moments; the host's load is not in it
# Seconds after the agent has told the step, at most. One of the trial in an update: it has no second boot.
BEFORE_TRIAL = {"staging": 6, "sealing": 3, "activating": 1}
TRIAL = {"restarting": 25, "checking": 5, "committing": 2}


def draw(source):
    """When to cut in one update: {step: seconds}."""
    steps = source.sample(list(BEFORE_TRIAL), source.randint(1, 2))
    follows = {"restarting"} if "activating" in steps else set()  # at once: a cut a moment later is one of both
    steps.append(source.choice([step for step in TRIAL if step not in follows]))
    return {step: source.uniform(0, {**BEFORE_TRIAL, **TRIAL}[step]) for step in steps}


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_power_cuts_in_updates_end_in_a_whole_system(tmp_path, fleet, image, published, back_end):
    print(f"FAIRLEAD_SEED={SEED}")
    source, began, number, cuts, ends = random.Random(f"{back_end} {SEED}"), time.monotonic(), 20, 0, []
    runs = "a", "1.0.0"
    with Gateway(tmp_path / "gw", fleet, image, back_end) as gateway:
        gateway.enrol().wait_connected()
        while cuts < CUTS:
            job, plan = fleet.deploy(published(number), gateway), draw(source)
            done = gateway.cut_at(job, plan)
            shown = gateway.wait_job(job, "committed", "rolled_back")
            print(plan, done, shown["state"], shown.get("reason"))
            if shown["state"] == "committed":
                runs, number = ("b" if runs[0] == "a" else "a", f"{number}.0.0"), number + 1
            gateway.wait_connected()
            component = fleet.device(gateway)["components"][0]
            assert (component["slot"], component["version"]) == runs, (plan, done, shown)
            cuts += len(done)
            ends.append(shown["state"])
        boots = len(gateway.boots())
        gateway.cut()
        gateway.on().wait_boots(boots + 1)
        gateway.wait_connected()
        assert gateway.boots()[boots:] == [runs[0]], "it stays"
    assert cuts >= CUTS
    note(gateway, f"{cuts} power cuts, {len(ends)} updates", gateway.boots(), time.monotonic() - began,
         f"{ends.count('committed')} committed, {ends.count('rolled_back')} rolled back")
