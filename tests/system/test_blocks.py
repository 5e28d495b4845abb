# SPDX-License-Identifier: Apache-2.0
"""The blocks of an image, made by the program that makes them, found in file systems that other programs made."""
import json
import random

import pytest
from harness import BIN, run

WORDS = [random.Random(word).randbytes(random.Random(word).randrange(3, 40)) for word in range(3000)]


def program(seed, size=30000):
    choose = random.Random(seed)
    text = b"".join(choose.choice(WORDS) for _ in range(size // 20))
    return text[:size]


def file_system(folder, name, files, kind="ext4"):
    """An image of these files (path: content), as the builders of images make one."""
    tree = folder / f"{name}.tree"
    for path, content in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)
    image = folder / f"{name}.{kind}"
    if kind == "tar":
        run("tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C", tree, "-cf", image, ".")
    else:
        run("mke2fs", "-q", "-t", "ext4", "-d", tree, "-b", "4096", "-U", "6661cafe-0000-4000-8000-000000000001", image, "32M",
            env={"E2FSPROGS_FAKE_TIME": "1735689600"})
    return image


@pytest.fixture(scope="module", params=["ext4", "tar"])
def pair(request, tmp_path_factory):
    """Two systems of 150 programs: some were replaced, one grew, so that all behind it moved, one is new."""
    folder = tmp_path_factory.mktemp("pair")
    files = {f"usr/bin/{number:03}": program(number, 9000 + number * 101) for number in range(150)}
    old = file_system(folder, "old", files, request.param)
    changed = {f"usr/bin/{number:03}": program(1000 + number) for number in (3, 70, 140)}
    new = file_system(folder, "new", {**files, **changed, "usr/bin/000": program(0, 9000) + program(5000, 5001), "usr/bin/new": program(7)},
                      request.param)
    return old, new


def create(image, folder, *options):
    report = json.loads(run(BIN / "fairlead", "blocks", "create", image, "-o", folder, "--level", "3", *options, "--json"))
    return report, folder / "blobs/sha256-wide1" / report["index"].removeprefix("sha256:")


def plan(index, *arguments):
    return json.loads(run(BIN / "fairlead", "blocks", "plan", index, *arguments, "--json"))


def test_a_base_gives_all_but_what_is_new(pair, tmp_path):
    old, new = pair
    report, index = create(new, tmp_path)
    found = plan(index, old, "--image", new)
    assert found["frames_wrong"] == 0
    # 4 files of 30 kB are new, one grew by 5: 16 frames, one more at each end; and what the file system says of them
    assert 16 <= found["frames_lacking"] < 16 + 10 + 30
    assert found["frames_bytes"] < report["blocks_size"] / 10
    assert found["passes"] == 1
    # the end of a tar is half a block: found only where zeros follow it
    assert plan(index, new, "--image", new)["frames_lacking"] == (new.stat().st_size % 4096 != 0)


def test_a_base_that_was_written_to_is_one(pair, tmp_path):
    old, new = pair
    _, index = create(new, tmp_path)
    before = plan(index, old)
    used = tmp_path / "used"
    content = bytearray(old.read_bytes())
    for place in range(5000, len(content), len(content) // 10):
        content[place:place + 100] = bytes(100) if any(content[place:place + 100]) else bytes(range(100))
    used.write_bytes(content)
    after = plan(index, used, "--image", new)
    assert after["frames_wrong"] == 0
    assert before["frames_lacking"] <= after["frames_lacking"] <= before["frames_lacking"] + 20


def test_the_same_image_gives_the_same_blocks(pair, tmp_path):
    first, _ = create(pair[1], tmp_path / "1")
    second, _ = create(pair[1], tmp_path / "2")
    assert first == second


def test_every_size_of_frame(pair, tmp_path):
    old, new = pair
    lacking = []
    for frame in (4096, 16384, 32768):
        _, index = create(new, tmp_path / str(frame), "--frame", frame)
        found = plan(index, old, "--image", new)
        assert found["frames_wrong"] == 0
        lacking.append(found["frames_lacking"] * frame)
    assert lacking == sorted(lacking), "larger frames bring more that was there"


def test_an_index_that_was_damaged_is_no_index(pair, tmp_path):
    _, index = create(pair[1], tmp_path)
    content = bytearray(index.read_bytes())
    content[11] ^= 1
    index.write_bytes(content)
    done = run(BIN / "fairlead", "blocks", "plan", index, pair[0], "--json", check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["code"] == "format"
