# SPDX-License-Identifier: Apache-2.0
"""A release with a delta: its few bytes do, and where they don't, the full artifact does, as the policy says."""
import pytest

from harness import eventually, make_image, sha256

READ_ONLY = "\n[component.rootfs]\nread_only = yes\n"
METERED = "\n[interface.lo]\nmetered = yes\n"


@pytest.fixture(scope="session")
def next_image(images, tmp_path_factory):
    """What follows image 1, and is much the same."""
    return make_image(tmp_path_factory.mktemp("next") / "2.ext4", "2.0.0", 2, seed=1)


@pytest.fixture
def release(tmp_path, fleet, images, next_image):
    """Published: the full artifact, and a delta from image 1."""
    return fleet.publish(fleet.release(tmp_path / "release", next_image, "2.0.0", "--delta", f"rootfs={images[1]}"))


def sizes(fleet, release):
    """{artifact: its bytes}"""
    return {a["id"].split("-")[0]: a["size"] for a in fleet.cli("release", "show", release)["components"][0]["artifacts"]}


def spooled(gateway, kind="blob"):
    return sorted((gateway.folder / "var/spool").glob(f"*.{kind}"))


@pytest.fixture
def reader(new_gateway, hostile):
    """A gateway whose system is mounted read-only; more: its configuration."""
    def start(conf="", **more):
        gateway = new_gateway(conf=READ_ONLY + conf, via=hostile, **more)
        gateway.wait_connected()
        return gateway
    return start


def test_the_delta_is_all_that_is_fetched(fleet, hostile, reader, release, next_image):
    size = sizes(fleet, release)
    assert size["delta"] < size["full"] / 3
    gateway = reader()
    fleet.wait_job(fleet.deploy(release, gateway), "committed")
    assert size["delta"] <= hostile.served[gateway.id] <= size["delta"] * 1.01 + 40000, "with two pages of trees"
    assert gateway.slot == "b" and gateway.slot_digest("b") == sha256(next_image)
    assert gateway.slot_digest("a") != gateway.slot_digest("b")
