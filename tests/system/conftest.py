# SPDX-License-Identifier: Apache-2.0
"""Fixtures: images once for all tests, a fleet and gateways for each."""
import contextlib

import pytest

from faults import stops
from faults.hostile import HostileFleet
from harness import ROOT, Fleet, Gateway, Keys, make_image, run


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """{release_seq: image}; 3 has no init."""
    folder = tmp_path_factory.mktemp("images")
    return {number: make_image(folder / f"{number}.ext4", f"{number}.0.0", number, init=number != 3)
            for number in (1, 2, 3, 4)}


@pytest.fixture(scope="session")
def packages():
    """The folder of the Debian packages of this tree."""
    run(ROOT / "script/package", timeout=600)
    return ROOT / "build/packages"


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture(scope="session")
def stop_library(tmp_path_factory):
    return stops.build(tmp_path_factory.mktemp("stops"))


@pytest.fixture
def fleet(tmp_path, keys):
    with Fleet(tmp_path / "fleet", keys) as running:
        yield running


@pytest.fixture
def hostile(fleet):
    """Between the fleet and the gateways that are started with via=hostile."""
    with HostileFleet(fleet) as running:
        yield running


@pytest.fixture
def new_gateway(tmp_path, fleet, images):
    """new_gateway(conf="…") starts one more gateway, changed by before_start; all are stopped after the test."""
    with contextlib.ExitStack() as stack:
        def start(image=None, before_start=None, **more):
            name = fleet.new_name()
            made = Gateway(tmp_path / name, fleet, name, image or images[1], **more)
            if before_start:
                before_start(made)
            return stack.enter_context(made)
        yield start


@pytest.fixture
def gateway(new_gateway):
    running = new_gateway()
    running.wait_connected()
    return running


@pytest.fixture
def stoppable(tmp_path, new_gateway, stop_library):
    """stoppable(…) is a gateway with its Stops (faults/stops.py), connected."""
    def start(**more):
        stopper = stops.Stops(tmp_path / "programs", stop_library)
        running = new_gateway(programs=stopper.folder, **more)
        running.wait_connected()
        return running, stopper
    return start


@pytest.fixture
def published(tmp_path, fleet, images):
    """published(2) is the folder of release 2.0.0, signed and on the fleet."""
    def publish(number, *options, **more):
        folder = tmp_path / f"release-{number}"
        return fleet.publish(fleet.release(folder, images[number], f"{number}.0.0", *options, **more))
    return publish
