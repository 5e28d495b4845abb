# SPDX-License-Identifier: Apache-2.0
"""An agent that is connected and has nothing to do, beside a bare libwebsockets client with TLS.

idle memory      private memory of the agent
helper's memory  that of the helper
wake-ups         times the agent was run by the scheduler, beside two for each ping that the fleet asks for
disk writes      bytes that agent and helper caused to be written
"""
import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system"))

from harness import ROOT, Fleet, Gateway, Keys, eventually, make_image, read, run  # noqa: E402
from measure import Table, private  # noqa: E402

BENCH = ROOT / "build/bench"
SETTLE_S = 30
PING_S = 30  # as the fleet's default


def switches(pid):
    """How often it has given up the processor by itself."""
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", read(f"/proc/{pid}/status"), re.M)[1])


def written(pid):
    return int(re.search(r"^write_bytes: (\d+)", read(f"/proc/{pid}/io"), re.M)[1])


def ours(folder, fleet, image, seconds, table):
    """Returns the folder of its identity; every start of an agent but the first is one without enrolment."""
    with Gateway(folder / "idle", fleet, "idle", image) as gateway:
        gateway.wait_connected()
        enrolled = gateway.kill_program("agent", signal.SIGTERM)
        eventually(lambda: gateway.pid("agent") not in (None, enrolled), "a new agent")
        gateway.wait_connected()
        time.sleep(SETTLE_S)
        agent, helper = gateway.pid("agent"), gateway.pid("helper")
        before = switches(agent), written(agent) + written(helper)
        time.sleep(seconds)
        table.add("wake-ups", "times", switches(agent) - before[0], 2 * (seconds // PING_S + 1), "two a ping")
        table.add("disk writes", "bytes", written(agent) + written(helper) - before[1])
        memory = private(agent), private(helper)
        gateway.power_cut()
        return memory, gateway.folder / "var/identity"


def bare(folder, fleet, identity):
    client = folder / "lws_client"
    run("cc", "-O2", "-o", client, Path(__file__).with_name("lws_client.c"), "-lwebsockets")
    with subprocess.Popen([client, "localhost", str(fleet.device_port), fleet.ca, identity / "device.pem",
                           identity / "device.key"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "connected\n"
        time.sleep(5)
        memory = private(process.pid)
        process.kill()
    return memory


def main():
    parser = argparse.ArgumentParser(prog="script/bench idle", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-s", type=int, default=600, help="seconds to look on (600)")
    arguments = parser.parse_args()
    BENCH.mkdir(parents=True, exist_ok=True)
    table = Table("a bare libwebsockets client")
    with tempfile.TemporaryDirectory(dir=BENCH, prefix="run.") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Fleet(folder / "fleet", Keys(folder / "keys")) as fleet:
            (agent, helper), identity = ours(folder, fleet, make_image(folder / "1.ext4", "1.0.0", 1), arguments.s, table)
            table.add("idle memory", "bytes", agent, bare(folder, fleet, identity))
            table.add("helper's memory", "bytes", helper)
    table.show()
    table.write(BENCH / "idle.json")


if __name__ == "__main__":
    main()
