# SPDX-License-Identifier: Apache-2.0
"""fairlead, from keys to a published release, against the real fleet; what must be refused on the way."""
import json
import os
import re
import stat
import subprocess

import pytest

from harness import BIN, CLASS, ENVIRONMENT, PRODUCT, make_image, run

JOB = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
IDENTITY = "sha256:" + "1" * 64


def fairlead(*arguments, **more):
    return run(BIN / "fairlead", *arguments, check=False, env=more or None)


def parsed(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def create(folder, image, *options, version="1.0.0", **more):
    return fairlead("release", "create", "--product", PRODUCT, "--version", version, "--component", f"rootfs={image}",
                    "--class", CLASS, "--hw-rev", "1-3", *options, "-o", folder, "--json", **more)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return make_image(tmp_path_factory.mktemp("cli") / "1.ext4", "1.0.0", 1, size_mib=4, fill_mib=1)


@pytest.fixture
def release(tmp_path, image, keys):
    """A signed release in its folder."""
    folder = tmp_path / "release"
    parsed(create(folder, image))
    parsed(fairlead("release", "sign", folder, "--key", keys["release"], "--json"))
    return folder


def commands():
    """Every command, as the program's own help lists them."""
    listed = run(BIN / "fairlead", "--help").split("Commands:\n")[1].split("\n\n")[0]
    found = [re.match(r"  ((?:[a-z-]+ ?)+)", line).group(1).split() for line in listed.splitlines()]
    assert len(found) > 20
    return found


def flip(path, byte):
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


# The command line itself


def test_every_command_has_help():
    for words in commands():
        done = fairlead(*words, "--help")
        assert done.returncode == 0 and done.stderr == "", words
        assert done.stdout.startswith("Usage: fairlead " + " ".join(words)), words
        assert "--json" in done.stdout and "Exit codes:" in done.stdout, words


def test_every_group_has_help():
    for group in {words[0] for words in commands() if len(words) == 2}:
        assert fairlead(group, "--help").returncode == 0
        assert fairlead(group).returncode == 3


def test_exit_codes(tmp_path, image):
    assert fairlead().returncode == 3
    assert fairlead("bogus").returncode == 3
    assert fairlead("keys", "init", tmp_path / "k").returncode == 3, "--product lacks"
    assert fairlead("status").returncode == 3, "no fleet"
    assert fairlead("release", "show", tmp_path / "missing").returncode == 2
    assert create(tmp_path / "r", image, version="9.9.9").returncode == 1, "image-info says 1.0.0"
    (tmp_path / "token").write_text("x")
    (tmp_path / "ca").write_text("x")
    where = ("--fleet", "https://localhost:1", "--token", tmp_path / "token", "--ca", tmp_path / "ca")
    assert fairlead("status", *where).returncode == 4


def test_an_error_is_json_where_json_was_asked_for(tmp_path):
    done = fairlead("release", "show", tmp_path / "missing", "--json")
    assert json.loads(done.stdout)["code"] == "not_found"
    assert done.stderr.startswith("fairlead: ") and done.stderr.endswith("[not_found]\n")


# Keys and releases, without a network


def test_keys_are_made_private(tmp_path):
    keys = parsed(fairlead("keys", "init", tmp_path / "k", "--product", "p", "--json"))["keys"]
    assert [key["name"] for key in keys] == ["root1", "root2", "root3", "release", "dispatch"]
    assert stat.S_IMODE(os.stat(tmp_path / "k").st_mode) == 0o700
    for key in keys:
        assert stat.S_IMODE(os.stat(tmp_path / f"k/{key['name']}.key").st_mode) == 0o600
        spki = run("openssl", "pkey", "-pubin", "-in", tmp_path / f"k/{key['name']}.pub", "-pubcheck", "-noout", check=False)
        assert spki.returncode == 0, "others can read what we write"
    parsed(fairlead("keys", "verify", tmp_path / "k/root.json", "--json"))


def test_a_release_from_its_image_to_its_verification(release, keys, image):
    shown = parsed(fairlead("release", "verify", release, "--root", keys.root, "--json"))
    component, = shown["components"]
    assert (component["release_seq"], component["security_version"]) == (1, 1)
    assert component["image_size"] == image.stat().st_size
    artifact, = component["artifacts"]
    assert (artifact["id"], artifact["format"]) == ("full", "zstd-frames") and "source" not in artifact
    for content, root in (("blobs", artifact["transport"]), ("trees", artifact["transport"]), ("trees", component["installed"])):
        assert (release / content / "sha256-wide1" / root.removeprefix("sha256:")).is_file()


def test_the_same_image_gives_the_same_release(tmp_path, image):
    made = [parsed(create(tmp_path / name, image, SOURCE_DATE_EPOCH="1735689600")) for name in ("a", "b")]
    assert made[0] == made[1]
    assert subprocess.run(["diff", "-r", tmp_path / "a", tmp_path / "b"], check=False).returncode == 0


@pytest.mark.parametrize("content", ["blobs", "trees"])
def test_changed_content_is_neither_signed_nor_verified(tmp_path, image, keys, content):
    folder = tmp_path / "r"
    parsed(create(folder, image))
    before = (folder / "release.json").read_bytes()
    for path in (folder / content / "sha256-wide1").iterdir():
        for byte in (0, path.stat().st_size // 2, path.stat().st_size - 1):
            flip(path, byte)
            assert fairlead("release", "sign", folder, "--key", keys["release"]).returncode == 1
            assert fairlead("keys", "sign", folder / "release.json", "--key", keys["release"]).returncode == 1
            assert (folder / "release.json").read_bytes() == before
            flip(path, byte)
    parsed(fairlead("release", "sign", folder, "--key", keys["release"], "--json"))
    flip(next((folder / content / "sha256-wide1").iterdir()), 9)
    assert fairlead("release", "verify", folder, "--root", keys.root).returncode == 1


def test_a_changed_document_is_not_verified(release, keys):
    document = release / "release.json"
    text = document.read_text()
    payload = json.loads(text)["payload"]
    for at in range(0, len(payload), 41):
        other = "A" if payload[at] != "A" else "B"
        document.write_text(text.replace(payload, payload[:at] + other + payload[at + 1:]))
        assert fairlead("release", "verify", release, "--root", keys.root).returncode != 0, at


def test_only_a_release_key_of_that_root_counts(tmp_path, image, keys):
    folder = tmp_path / "r"
    parsed(create(folder, image))
    for key in ("root1", "dispatch"):
        parsed(fairlead("release", "sign", folder, "--key", keys[key], "--json"))
        assert fairlead("release", "verify", folder, "--root", keys.root).returncode == 1, key


def test_an_image_of_another_product_is_refused(tmp_path, image):
    done = fairlead("release", "create", "--product", "another", "--version", "1.0.0", "--component", f"rootfs={image}",
                    "--class", CLASS, "--hw-rev", "1", "-o", tmp_path / "r", "--json")
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "image_info")
    assert not (tmp_path / "r").exists()


# Against the real fleet


def test_publishing_twice_is_the_same_as_once(fleet, release):
    done = fleet.try_cli("release", "publish", release)
    assert done.stderr == ""  # not a terminal
    first = parsed(done)
    assert first["published"] and first["sent_objects"] == 3
    again = fleet.cli("release", "publish", release)
    assert not again["published"] and again["sent_objects"] == 0
    listed = fleet.cli("release", "list")["releases"]
    assert [one["digest"] for one in listed] == [first["digest"]]


def test_publishing_is_quiet_but_on_a_terminal(fleet, release):
    size = sum(path.stat().st_size for kind in ("blobs", "trees") for path in (release / kind).rglob("*") if path.is_file())
    environment = {**ENVIRONMENT, "FAIRLEAD_FLEET": fleet.url, "FAIRLEAD_TOKEN_FILE": str(fleet.token), "FAIRLEAD_CA": str(fleet.ca)}
    command = [BIN / "fairlead", "release", "publish", release, "--json"]
    master, slave = os.openpty()
    with open(master, "rb", buffering=0) as terminal:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=slave, text=True, check=True)
        os.close(slave)
        shown = terminal.read(65536).decode()
    assert json.loads(done.stdout)["sent_bytes"] == size
    assert shown.startswith("\rrootfs") and shown.count("\n") == 1, "one live line"


def test_content_that_the_fleet_has_is_not_sent_again(fleet, release, tmp_path, image, keys):
    """Another release of the same image: only its document is new."""
    fleet.cli("release", "publish", release)
    another = tmp_path / "another"
    parsed(create(another, image, "--deadline-s", "60"))
    parsed(fairlead("release", "sign", another, "--key", keys["release"], "--json"))
    done = fleet.cli("release", "publish", another)
    assert done["published"] and done["sent_objects"] == 0
    assert len(fleet.cli("release", "list")["releases"]) == 2


def test_changed_or_unsigned_releases_do_not_reach_the_fleet(fleet, release, tmp_path, image):
    unsigned = tmp_path / "unsigned"
    parsed(create(unsigned, image))
    assert fleet.try_cli("release", "publish", unsigned).returncode == 1
    blob = next((release / "blobs/sha256-wide1").iterdir())
    flip(blob, 100)
    done = fleet.try_cli("release", "publish", release)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "chunk_mismatch")
    assert fleet.cli("release", "list")["releases"] == []


def test_devices_are_enrolled_shown_and_listed(fleet):
    fleet.cli("device", "enroll", "gw-1", "--identity", IDENTITY)
    fleet.cli("device", "enroll", "gw-1", "--identity", IDENTITY)
    assert [one["device_id"] for one in fleet.cli("device", "list")["devices"]] == ["gw-1"]
    assert fleet.cli("device", "show", "gw-1")["identity"] == IDENTITY
    assert fleet.try_cli("device", "show", "gw-2").returncode == 2
    assert fleet.cli("status")["devices"] == 1


def test_deploy_makes_one_job_per_device(fleet, release):
    fleet.cli("release", "publish", release)
    for name in ("gw-1", "gw-2"):
        fleet.cli("device", "enroll", name, "--identity", IDENTITY)
    one = fleet.cli("deploy", release, "--device", "gw-1")
    assert JOB.fullmatch(one["job_id"]) and one["jobs"][0]["job_id"] == one["job_id"]
    done = fleet.try_cli("deploy", one["release"], "--device", "gw-1", "--device", "missing", "--device", "gw-2")
    jobs = {job["device_id"]: job for job in json.loads(done.stdout)["jobs"]}
    assert done.returncode == 1
    assert jobs["missing"]["code"] == "not_found" and "job_id" not in jobs["missing"]
    assert JOB.fullmatch(jobs["gw-2"]["job_id"]), "one that is refused does not keep the others from theirs"
    listed = fleet.cli("jobs", "list", "--device", "gw-2")["jobs"]
    assert [job["job_id"] for job in listed] == [jobs["gw-2"]["job_id"]]
    assert fleet.cli("jobs", "show", jobs["gw-2"]["job_id"])["device_id"] == "gw-2"
    assert fleet.try_cli("deploy", release, "--device", "missing").returncode == 2


def test_a_watch_has_a_limit(fleet, release):
    fleet.cli("release", "publish", release)
    fleet.cli("device", "enroll", "gw-1", "--identity", IDENTITY)
    job = fleet.cli("deploy", release, "--device", "gw-1")["job_id"]
    done = fleet.try_cli("jobs", "watch", job, "--timeout-s", "1", timeout=20)
    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert done.returncode == 1 and states and set(states) == {states[0]}
    assert fleet.try_cli("jobs", "watch", "00000000-0000-4000-8000-000000000000").returncode == 2


def test_jobs_are_cancelled(fleet, release):
    fleet.cli("release", "publish", release)
    fleet.cli("device", "enroll", "gw-1", "--identity", IDENTITY)
    job = fleet.cli("deploy", release, "--device", "gw-1")["job_id"]
    cancel = fleet.cli("jobs", "cancel", job)["job_id"]
    assert cancel != job
    assert fleet.try_cli("jobs", "cancel", "00000000-0000-4000-8000-000000000000").returncode == 2


def test_every_answer_as_text_too(fleet, release):
    environment = {"FAIRLEAD_FLEET": fleet.url, "FAIRLEAD_TOKEN_FILE": str(fleet.token), "FAIRLEAD_CA": str(fleet.ca)}
    fleet.cli("device", "enroll", "gw-1", "--identity", IDENTITY)
    published = fairlead("release", "publish", release, **environment)
    assert published.returncode == 0 and "3 objects sent" in published.stdout
    made = fairlead("deploy", release, "--device", "gw-1", **environment)
    job = JOB.search(made.stdout).group()
    for words, expected in ((("status",), "devices     1, 0 online"), (("device", "list"), "gw-1"),
                            (("device", "show", "gw-1"), job), (("jobs", "list"), job), (("jobs", "show", job), "1.0.0"),
                            (("release", "list"), PRODUCT), (("release", "show", release), "rootfs")):
        done = fairlead(*words, **environment)
        assert done.returncode == 0 and expected in done.stdout, (words, done.stdout, done.stderr)


def test_the_next_root_is_published_and_only_the_next(fleet, keys, tmp_path):
    following = tmp_path / "2.json"
    parsed(fairlead("keys", "root-next", keys.root, "-o", following, "--json"))
    assert fleet.try_cli("root", "publish", following).returncode == 1, "unsigned"
    for key in ("root1", "root3"):
        parsed(fairlead("keys", "sign", following, "--key", keys[key], "--json"))
    assert fleet.cli("root", "publish", following)["version"] == 2
    assert fleet.cli("status")["root_version"] == 2


def test_a_wrong_token_is_refused(fleet, tmp_path):
    (tmp_path / "other").write_text("0" * 64)
    done = fairlead("status", "--fleet", fleet.url, "--ca", fleet.ca, "--token", tmp_path / "other", "--json")
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "auth")


def test_a_revoked_device_gets_no_job(fleet, release):
    fleet.cli("release", "publish", release)
    fleet.cli("device", "enroll", "gw-1", "--identity", IDENTITY)
    fleet.cli("device", "revoke", "gw-1")
    assert fleet.try_cli("deploy", release, "--device", "gw-1").returncode == 1
