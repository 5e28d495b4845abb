# SPDX-License-Identifier: Apache-2.0
"""A release with a delta: its few bytes do, and where they don't, the full artifact does, as the policy says."""
import random
import shutil
import time
from pathlib import Path

import pytest

from faults.cache import Cache
from faults.disk import SmallDisk, small_disk
from faults.documents import CHUNK, Key, change, document, tree
from harness import eventually, kill_pid, make_image, sha256

MIB = 1 << 20
READ_ONLY = "\n[component.rootfs]\nread_only = yes\n"
METERED = "\n[interface.lo]\nmetered = yes\n"
PAGES = 40000  # bytes of trees that a job may cost
IN_FLIGHT = 300000  # … and of what sockets and a chunk held when it was cut


@pytest.fixture(scope="session")
def next_image(images, tmp_path_factory):
    """Like image 1, and 3 MiB of news."""
    return make_image(tmp_path_factory.mktemp("next") / "2.ext4", "2.0.0", 2, like=1, news_mib=3)


@pytest.fixture(scope="session")
def made():
    """The release's folder, made by the first who needs it."""
    return {}


@pytest.fixture
def unpublished(tmp_path, tmp_path_factory, fleet, images, next_image, made):
    """The full artifact, and a delta from image 1, in a folder of the test's own."""
    if not made:
        made["folder"] = fleet.release(tmp_path_factory.mktemp("made") / "release", next_image, "2.0.0", "--delta", f"rootfs={images[1]}")
    return Path(shutil.copytree(made["folder"], tmp_path / "release"))


@pytest.fixture
def release(fleet, unpublished):
    return fleet.publish(unpublished)


def sizes(fleet, release):
    """{"full" or "delta": its bytes}"""
    return {a["format"] == "delta" and "delta" or "full": a["size"]
            for a in fleet.cli("release", "show", release)["components"][0]["artifacts"]}


def spooled(gateway):
    return sorted((gateway.folder / "var/store/spool").glob("*.blob"))


@pytest.fixture
def reader(new_gateway, hostile):
    """A gateway whose system is mounted read-only. conf: more of its configuration."""
    def start(conf="", **more):
        gateway = new_gateway(conf=READ_ONLY + conf, via=hostile, **more)
        gateway.wait_connected()
        return gateway
    return start


def flip(path, *places):
    with open(path, "r+b") as file:
        for place in places:
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes((byte[0] ^ 1,)))


def spoil_source(gateway, *places):
    flip(gateway.folder / "slots/a.img", *places)


def places_of(image, what, count):
    """Places in the image that hold bytes of `what`, each in another MiB."""
    content, found = image.read_bytes(), {}
    for at in range(0, len(what) - 64, 4096):
        place = content.find(what[at:at + 64])
        if place >= 0:
            found.setdefault(place // MIB, place + 7)
    return sorted(found.values())[:count]


def bulk(number):
    return random.Random(number).randbytes(4 * MIB)


# what it is for


def test_the_delta_is_all_that_is_fetched(fleet, hostile, reader, release, next_image, images):
    size = sizes(fleet, release)
    assert 3 * MIB < size["delta"] < size["full"] / 2
    gateway = reader()
    fleet.wait_job(fleet.deploy(release, gateway), "committed")
    assert size["delta"] <= hostile.served[gateway.id] <= size["delta"] + PAGES
    assert gateway.slot == "b" and gateway.slot_digest("b") == sha256(next_image)
    assert gateway.slot_digest("a") == sha256(images[1])


def test_the_job_may_ask_for_the_full_one(fleet, hostile, reader, release, next_image):
    gateway = reader(METERED)
    fleet.wait_job(fleet.deploy(release, gateway, "--artifact", "full"), "committed")
    assert hostile.served[gateway.id] >= sizes(fleet, release)["full"]
    assert gateway.slot_digest("b") == sha256(next_image)


@pytest.mark.parametrize("conf", ["", READ_ONLY + "\n[spool]\nquota_mib = 3\n"],
                         ids=["what runs may change", "the spool is too small"])
def test_where_it_cannot_be_used_the_full_one_is(fleet, hostile, new_gateway, release, next_image, conf):
    gateway = new_gateway(conf=conf, via=hostile)
    gateway.wait_connected()
    fleet.wait_job(fleet.deploy(release, gateway), "committed")
    assert hostile.served[gateway.id] >= sizes(fleet, release)["full"]
    assert gateway.slot_digest("b") == sha256(next_image)


# the source is not what it should be (acceptance 17)


def test_a_byte_of_the_source_costs_a_frame(fleet, hostile, reader, release, next_image, images):
    gateway = reader()
    spoil_source(gateway, *places_of(images[1], bulk(1), 1))
    fleet.wait_job(fleet.deploy(release, gateway), "committed")
    size = sizes(fleet, release)
    assert size["delta"] < hostile.served[gateway.id] < size["delta"] + 2 * MIB
    assert gateway.slot_digest("b") == sha256(next_image)
    assert gateway.wait_log("the decoder made chunks")


def test_on_a_metered_link_a_wrong_source_waits_for_consent(fleet, hostile, reader, release, next_image, images):
    gateway = reader(METERED)
    spoil_source(gateway, *places_of(images[1], bulk(1), 3))
    job = fleet.deploy(release, gateway)
    shown = eventually(lambda: (found := fleet.job(job)).get("reason") == "consent" and found, lambda: f"{fleet.job(job)}")
    assert (shown["state"], shown["next"]) == ("waiting_to_download", "consent")
    assert "metered" in str(gateway.ctl("why"))
    size = sizes(fleet, release)
    assert hostile.served[gateway.id] <= size["delta"] + size["full"] // 100, "nothing more without consent"
    time.sleep(1)
    assert hostile.served[gateway.id] <= size["delta"] + size["full"] // 100
    assert gateway.slot == "a"
    consent = fleet.deploy(release, gateway, "--artifact", "full")
    fleet.wait_job(consent, "committed")
    assert fleet.job(job)["state"] == "cancelled" and fleet.job(job)["reason"] == "superseded"
    assert hostile.served[gateway.id] < size["delta"] + 5 * MIB, "what the delta made right stays"
    assert gateway.slot_digest("b") == sha256(next_image)


def test_on_a_metered_link_without_its_source_not_a_byte_is_fetched(fleet, hostile, new_gateway, release):
    gateway = new_gateway(conf=METERED, via=hostile)
    gateway.wait_connected()
    job = fleet.deploy(release, gateway)
    eventually(lambda: fleet.job(job).get("reason") == "consent", lambda: f"{fleet.job(job)}")
    assert hostile.served[gateway.id] == 0
    gateway.kill_and_wait()
    with open(gateway.conf, "a", encoding="utf-8") as conf:
        conf.write("\n[download]\nfull_on_metered = yes\n")
    gateway.start()
    fleet.wait_job(job, "committed")


# the way of the bytes


def test_a_cut_link_goes_on_where_it_was(fleet, hostile, reader, release, next_image):
    gateway = reader()
    size = sizes(fleet, release)["delta"]
    hostile.hold(size // 2)
    job = fleet.deploy(release, gateway)
    hostile.wait_held()
    hostile.cut_downloads()
    hostile.release()
    fleet.wait_job(job, "committed")
    assert hostile.served[gateway.id] <= size + IN_FLIGHT
    assert gateway.slot_digest("b") == sha256(next_image)


def resumed(fleet, hostile, reader, release, meanwhile=lambda gateway: None):
    """The gateway, updated over a power cut at three quarters of the delta, and the bytes that came after it."""
    gateway = reader()
    hostile.hold(sizes(fleet, release)["delta"] * 3 // 4)
    job = fleet.deploy(release, gateway)
    hostile.wait_held()
    gateway.power_cut()
    before = hostile.served[gateway.id]
    meanwhile(gateway)
    hostile.cut_downloads()
    hostile.release()
    gateway.start()
    fleet.wait_job(job, "committed")
    return gateway, hostile.served[gateway.id] - before


def test_a_power_cut_finds_what_was_spooled(fleet, hostile, reader, release, next_image):
    gateway, came = resumed(fleet, hostile, reader, release)
    assert came <= sizes(fleet, release)["delta"] // 4 + IN_FLIGHT
    assert gateway.slot_digest("b") == sha256(next_image)


def test_what_rots_in_the_spool_comes_again(fleet, hostile, reader, release, next_image):
    gateway, came = resumed(fleet, hostile, reader, release, lambda gateway: flip(spooled(gateway)[0], 100, 70000, 1000000))
    assert 3 * CHUNK <= came <= sizes(fleet, release)["delta"] // 4 + 3 * CHUNK + IN_FLIGHT
    assert gateway.slot_digest("b") == sha256(next_image)


def test_a_cache_that_lies_is_asked_no_more(fleet, hostile, reader, release, next_image, tmp_path):
    shutil.copytree(release, tmp_path / "cache")
    for blob in (tmp_path / "cache/blobs/sha256-wide1").iterdir():
        flip(blob, MIB)
    with Cache(tmp_path / "cache") as cache:
        gateway = reader(cache.conf)
        fleet.wait_job(fleet.deploy(release, gateway), "committed")
    assert len([line for line in gateway.log_lines() if "[chunk_mismatch]" in line]) == 1
    assert gateway.slot_digest("b") == sha256(next_image)


# killed in the middle


@pytest.mark.parametrize("who", ["agent", "helper", "runner", "all"])
def test_killed_while_it_is_decoded(fleet, hostile, reader, release, next_image, who):
    gateway = reader()
    job = fleet.deploy(release, gateway)
    runners = eventually(gateway.runners, "a runner", pause=0.001)
    if who == "all":
        gateway.power_cut()
        gateway.start()
    elif who == "runner":
        for pid in runners:
            kill_pid(pid)
    else:
        gateway.kill_program(who)
    fleet.wait_job(job, "committed", timeout=90)
    assert gateway.slot_digest("b") == sha256(next_image)
    assert hostile.served[gateway.id] <= sizes(fleet, release)["delta"] + IN_FLIGHT, "nothing comes twice"


# no room


def test_a_full_disk_makes_it_wait(fleet, hostile, new_gateway, release, next_image):
    gateway = new_gateway(conf=READ_ONLY, via=hostile, wrap=lambda folder: small_disk(folder / "var/store", 20))
    gateway.wait_connected()
    disk = SmallDisk(gateway, "var/store")
    disk.fill()
    job = fleet.deploy(release, gateway)
    shown = eventually(lambda: (found := fleet.job(job)).get("reason") == "no_space" and found, lambda: f"{fleet.job(job)}", 60)
    assert (shown["state"], shown["next"]) == ("waiting_to_download", "space")
    assert hostile.served[gateway.id] == 0
    disk.make_room()
    fleet.wait_job(job, "committed", timeout=90)
    assert hostile.served[gateway.id] <= sizes(fleet, release)["delta"] + PAGES
    assert gateway.slot_digest("b") == sha256(next_image)


def test_the_spool_is_cleared_when_nobody_needs_it(fleet, reader, release):
    gateway = reader("\n[spool]\nkeep_days = 0\n")
    fleet.wait_job(fleet.deploy(release, gateway), "committed")
    eventually(lambda: not spooled(gateway), "it is empty")


# what a release key signed, and no decoder takes


def forged(fleet, release, content, **members):
    """The release with other bytes in place of its delta, signed and published."""
    text = (release / "release.json").read_text()
    root, pages = tree(content)
    whole = document(text)
    artifact = next(a for a in whole["components"][0]["artifacts"] if a["format"] == "delta")
    artifact.update(tree={**artifact["tree"], "root": f"sha256:{root}"}, size=len(content), **members)
    (release / "blobs/sha256-wide1" / root).write_bytes(content)
    (release / "trees/sha256-wide1" / root).write_bytes(pages)
    (release / "release.json").write_text(change(text, "release", Key(fleet.keys["release"]), components=whole["components"]))
    return fleet.publish(release)


@pytest.mark.parametrize("kind", ["no delta", "half of one", "too much memory", "no such decoder"])
def test_what_no_decoder_takes_is_given_up_for_the_full_one(fleet, reader, unpublished, next_image, kind):
    delta = next(content for path in (unpublished / "blobs/sha256-wide1").iterdir() if (content := path.read_bytes())[:4] == b"FLDT")
    content, members = {"no delta": (bytes(200000), {}), "half of one": (delta[:len(delta) // 2], {}),
                        "too much memory": (delta, {"mem_max": 1 << 29}), "no such decoder": (delta, {"format": "brotli"})}[kind]
    gateway = reader()
    job = fleet.deploy(forged(fleet, unpublished, content, **members), gateway)
    fleet.wait_job(job, "committed")
    assert gateway.wait_log("'full' instead of 'delta-")
    assert gateway.slot_digest("b") == sha256(next_image)
    assert fleet.states(job).count("waiting_to_download") == 2
