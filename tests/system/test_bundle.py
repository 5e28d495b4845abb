# SPDX-License-Identifier: Apache-2.0
"""`fairlead bundle create`: what the fleet or an operator signs, what stands in the file, and what is refused."""
import base64
import hashlib
import json
import shutil
import struct
import time

import pytest

from faults import documents
from harness import BIN, PRODUCT, read, run

KINDS = {1: "root", 2: "release", 3: "job", 4: "tree", 5: "blob"}


def entries(path):
    """[(kind, digest, bytes)] of a bundle, read by nothing but docs/formats.md."""
    data = path.read_bytes()
    magic, version, count, size = struct.unpack(">8sIIQ", data[:24])
    assert (magic, version, size) == (b"FLBUNDLE", 1, len(data))
    index = 24 + 48 * count
    assert hashlib.sha256(data[:index]).digest() == data[index:index + 32]
    found, at = [], index + 32
    for number in range(count):
        kind, zero, length, digest = struct.unpack(">B7sQ32s", data[24 + 48 * number:72 + 48 * number])
        assert zero == bytes(7)
        found.append((KINDS[kind], digest.hex(), data[at:at + length]))
        at += length
    assert at == len(data)
    return found


def job_of(path):
    return documents.document(next(data for kind, _, data in entries(path) if kind == "job").decode())


@pytest.fixture
def enrolled(fleet):
    """Two devices that nobody has seen yet; their identities."""
    identities = {name: "sha256:" + f"{number:064x}" for number, name in enumerate(("gw-a", "gw-b"), 1)}
    for name, identity in identities.items():
        fleet.cli("device", "enroll", name, "--identity", identity)
    return identities


@pytest.fixture
def operator(tmp_path, keys):
    """The root document of a fleet with an operator, version 1 before it, and the operator's key."""
    folder = tmp_path / "operator"
    folder.mkdir()
    run(BIN / "fairlead", "keys", "generate", folder / "operator.key")
    run(BIN / "fairlead", "keys", "root-next", keys.root, "-o", folder / "root-2.json", "--add-operator",
        folder / "operator.key.pub", "--add-intent", "operator=install_offline")
    for key in ("root1", "root2"):
        run(BIN / "fairlead", "keys", "sign", folder / "root-2.json", "--key", keys[key])
    return folder / "operator.key", [keys.root, folder / "root-2.json"]


def by_operator(release, operator, out, *options, check=True):
    key, roots = operator
    return run(BIN / "fairlead", "bundle", "create", release, "-o", out, "--key", key,
               *(word for root in roots for word in ("--root", root)), *options, "--json", check=check)


def test_the_fleet_signs_one_job_for_all_devices(tmp_path, fleet, enrolled, published):
    release, out = published(2), tmp_path / "two.bundle"
    before = int(time.time())
    made = fleet.cli("bundle", "create", release, "--device", "gw-a", "--device", "gw-b", "-o", out, "--expires-s", 3600)
    assert made["file"] == str(out) and made["size"] == out.stat().st_size
    found = entries(out)
    assert [kind for kind, _, _ in found] == ["root", "release", "job", "tree", "tree", "blob"]
    for kind, digest, data in found:
        if kind in ("root", "release", "job"):
            assert hashlib.sha256(data).hexdigest() == digest
        else:
            assert data == (release / f"{kind}s" / "sha256-wide1" / digest).read_bytes()
    assert found[0][2].decode() == read(fleet.keys.root)
    job = job_of(out)
    assert job["intent"] == "install_offline" and job["job_id"] == made["job_id"] and job["release"] == made["release"]
    assert job["devices"] == [{"device_id": name, "identity": identity} for name, identity in enrolled.items()]
    assert job["offline_seq"] == made["offline_seq"] >= before
    assert job["expires"] - job["issued"] == 3600
    assert not {"device_id", "identity", "job_seq", "urls"} & job.keys()
    assert fleet.cli("jobs", "list")["jobs"] == [], "nothing is dispatched"
    assert "job.create_offline" in run(BIN / "fairlead-fleet", "audit", fleet.folder)


def test_numbers_of_bundles_rise(tmp_path, fleet, enrolled, published):
    release = published(2)
    made = [fleet.cli("bundle", "create", release, "--device", "gw-a", "-o", tmp_path / f"{i}")["offline_seq"] for i in range(3)]
    assert made == sorted(set(made))


def test_an_operator_signs_without_a_fleet(tmp_path, keys, fleet, images, operator):
    release, out = fleet.release(tmp_path / "release", images[2], "2.0.0"), tmp_path / "own.bundle"
    identity = "sha256:" + "5" * 64
    by_operator(release, operator, out, "--device", "gw-9", "--device", f"gw-8={identity}", "--seq", 42, "--tenant", "acme")
    job = job_of(out)
    assert job["devices"] == [{"device_id": "gw-9"}, {"device_id": "gw-8", "identity": identity}]
    assert (job["offline_seq"], job["tenant"], job["root_version"]) == (42, "acme", 2)
    roots = [json.loads(base64.b64decode(json.loads(data)["payload"]))["version"] for kind, _, data in entries(out) if kind == "root"]
    assert roots == [1, 2]
    shown = json.loads(run(BIN / "fairlead", "bundle", "show", out, "--json"))
    assert [one["device_id"] for one in shown["devices"]] == ["gw-9", "gw-8"]
    assert (shown["product"], shown["version"], shown["offline_seq"]) == (PRODUCT, "2.0.0", 42)
    assert [one["kind"] for one in shown["objects"]] == [kind for kind, _, _ in entries(out)]


def test_what_no_device_would_take_is_not_made(tmp_path, keys, fleet, images, operator):
    release, out = fleet.release(tmp_path / "release", images[2], "2.0.0"), tmp_path / "no.bundle"
    key, roots = operator

    def refused(code, *options, signer=operator):
        done = by_operator(release, signer, out, *(options or ("--device", "gw-9")), check=False)
        assert done.returncode != 0 and json.loads(done.stdout)["code"] == code, done
        assert not out.exists() and not list(tmp_path.glob("*.part"))

    refused("scope", signer=(keys["release"], roots))
    refused("key_unknown", signer=(key, roots[:1]))
    refused("scope", signer=(keys["root1"], roots))
    refused("root_version", signer=(key, [roots[0], roots[0]]))
    refused("doc_field", "--device", "gw-9", "--device", "gw-9")
    refused("invalid_argument", "--device", "gw-9=sha256:short")
    refused("invalid_argument", "--device", "GW 9")
    refused("invalid_argument", "--device", "gw-9", "--component", "no-such")
    unsigned = fleet.release(tmp_path / "unsigned", images[4], "4.0.0", key=None)
    done = by_operator(unsigned, operator, out, "--device", "gw-9", check=False)
    assert json.loads(done.stdout)["code"] in ("signature", "key_unknown")


def test_content_that_does_not_fit_its_release_is_not_packed(tmp_path, fleet, images, operator):
    release, out = fleet.release(tmp_path / "release", images[2], "2.0.0"), tmp_path / "no.bundle"
    blob, = (path for path in (release / "blobs").rglob("*") if path.is_file())
    good = blob.read_bytes()
    blob.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
    done = by_operator(release, operator, out, "--device", "gw-9", check=False)
    assert json.loads(done.stdout)["code"] == "chunk_mismatch", done
    blob.unlink()
    done = by_operator(release, operator, out, "--device", "gw-9", check=False)
    assert json.loads(done.stdout)["code"] == "corrupt", done
    assert not out.exists()


def test_the_fleet_refuses_as_it_does_for_a_deployment(tmp_path, fleet, enrolled, published, images):
    release, out = published(2), tmp_path / "no.bundle"

    def refused(code, folder, *devices):
        done = fleet.try_cli("bundle", "create", folder, "-o", out, *(word for one in devices for word in ("--device", one)))
        assert done.returncode != 0 and json.loads(done.stdout)["code"] == code, done
        assert not out.exists()

    refused("not_found", release, "gw-a", "no-such")
    refused("not_found", fleet.release(tmp_path / "unpublished", images[4], "4.0.0"), "gw-a")
    fleet.cli("device", "revoke", "gw-b")
    refused("conflict", release, "gw-a", "gw-b")
    body = json.dumps({"devices": ["gw-a"], "release": "sha256:" + "1" * 64}).encode()
    assert fleet.rest("POST", "/offline-jobs", body, Authorization="Bearer nonsense")[0] == 401
    assert fleet.rest("POST", "/offline-jobs", b"{}")[0] == 400
    assert fleet.rest("POST", "/offline-jobs", body)[0] == 404


def test_a_full_disk_leaves_no_half_of_a_bundle(tmp_path, fleet, images, operator):
    release = fleet.release(tmp_path / "release", images[2], "2.0.0")
    key, roots = operator
    out = tmp_path / "full.bundle"
    done = run("sh", "-c", 'ulimit -f 1024; trap "" XFSZ; exec "$@"', "sh", BIN / "fairlead", "bundle", "create", release, "-o", out,
               "--key", key, "--root", roots[0], "--root", roots[1], "--device", "gw-9", "--json", check=False)
    assert done.returncode != 0 and json.loads(done.stdout)["code"] in ("too_large", "no_space", "io"), done
    assert not out.exists() and not out.with_name(out.name + ".part").exists()
    shutil.rmtree(release)
