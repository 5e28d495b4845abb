# SPDX-License-Identifier: Apache-2.0
"""Fixtures: images once for all tests, a fleet and gateways for each."""
import contextlib

import pytest

from harness import Fleet, Gateway, Keys, make_image


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """{release_seq: image}; 3 has no init."""
    folder = tmp_path_factory.mktemp("images")
    return {number: make_image(folder / f"{number}.ext4", f"{number}.0.0", number, init=number != 3) for number in (1, 2, 3)}


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture
def fleet(tmp_path, keys):
    with Fleet(tmp_path / "fleet", keys) as running:
        yield running


@pytest.fixture
def new_gateway(tmp_path, fleet, images):
    """new_gateway("gw-2", conf="…") starts one more gateway; all are stopped after the test."""
    with contextlib.ExitStack() as stack:
        def start(name="gw-1", image=None, **more):
            return stack.enter_context(Gateway(tmp_path / name, fleet, name, image or images[1], **more))
        yield start


@pytest.fixture
def gateway(new_gateway):
    running = new_gateway()
    running.wait_connected()
    return running


@pytest.fixture
def published(tmp_path, fleet, images):
    """published(2) is the folder of release 2.0.0, signed and on the fleet."""
    def publish(number):
        return fleet.publish(fleet.release(tmp_path / f"release-{number}", images[number], f"{number}.0.0"))
    return publish
