# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the whole gateways (system.py)."""
import pytest

from system import SystemFleet, SystemImage


@pytest.fixture(scope="session")
def image():
    return SystemImage.ready()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory, keys):
    with SystemFleet(tmp_path_factory.mktemp("fleet") / "fleet", keys) as running:
        yield running


@pytest.fixture(scope="session")
def published(tmp_path_factory, fleet, image):
    """published(number, {path: text}, *options): the folder of that release, on the fleet; made once."""
    folder, made = tmp_path_factory.mktemp("releases"), {}

    def publish(number, files=None, *options):
        if number not in made:
            changed = image.changed(folder / f"{number}.ext4", f"{number}.0.0", number, files or {})
            made[number] = fleet.publish(fleet.release(folder / f"release-{number}", changed, f"{number}.0.0", *options))
            changed.unlink()
        return made[number]
    return publish
