# SPDX-License-Identifier: Apache-2.0
"""fairlead against servers that are not its fleet, or not in their right mind; and a watch over a bad line."""
import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from cli_server import Server, make_ca
from harness import BIN, CLASS, PRODUCT, make_image, run

JOB_ID = "6661cafe-0000-4000-8000-000000000007"
JOB_PATH = f"/api/v1/jobs/{JOB_ID}"


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path) as running:
        running.answers["GET", "/api/v1/status"] = lambda _: (200, {"version": "1.2.3", "devices": 7, "online": 3})
        yield running


def job(state, **more):
    return {"job_id": JOB_ID, "job_seq": 1, "device_id": "gw-1", "intent": "install", "state": state, **more}


def event(state, **more):
    return f"event: job\ndata: {json.dumps(job(state, **more))}\n\n".encode()


def code_of(done):
    return done.returncode, json.loads(done.stdout)["code"]


# Who is asked, and by whom


def test_the_token_goes_to_the_fleet(server):
    assert json.loads(server.fairlead("status", "--json").stdout)["devices"] == 7
    (_, _, headers, _), = server.requests
    assert headers["Authorization"] == "Bearer c2VjcmV0"


def test_another_ca_is_not_believed(server, tmp_path):
    other, _ = make_ca(tmp_path, "other")
    assert code_of(server.fairlead("status", "--json", "--ca", other)) == (4, "tls")
    assert server.requests == [], "not even the token was sent"


def test_the_cas_of_the_system_are_not_believed(server, tmp_path):
    """Neither variable of OpenSSL or curl may add to the one CA that was named."""
    other, _ = make_ca(tmp_path, "other")
    done = server.fairlead("status", "--json", "--ca", other, SSL_CERT_FILE=str(server.ca), SSL_CERT_DIR=str(tmp_path),
                           CURL_CA_BUNDLE=str(server.ca))
    assert code_of(done) == (4, "tls")
    assert server.requests == []


def test_another_name_is_not_believed(server):
    url = server.url.replace("localhost", "127.0.0.1")
    assert code_of(server.fairlead("status", "--json", "--fleet", url)) == (4, "tls")
    assert server.requests == []


def test_redirects_are_not_followed(server):
    server.answers["GET", "/api/v1/status"] = lambda _: (302, b"", {"Location": f"{server.url}/elsewhere"})
    assert code_of(server.fairlead("status", "--json")) == (1, "http_status")
    assert len(server.requests) == 1


# What is answered


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b'{"devices":-1}', b'{"devices":1.5}', b'{"devices":"x"}',
                                    b'{"devices":1,"devices":2}', b'{"a":' * 30 + b"1" + b"}" * 30, b'\xff\xfe{}',
                                    b"<html>", b'{"devices":1} {}'])
def test_answers_that_are_none(server, answer):
    server.answers["GET", "/api/v1/status"] = lambda _: (200, answer)
    assert code_of(server.fairlead("status", "--json")) == (1, "protocol")


def test_an_endless_answer_has_a_limit(server):
    server.answers["GET", "/api/v1/status"] = lambda _: (200, (b" " * 65536 for _ in range(4096)))
    assert code_of(server.fairlead("status", "--json")) == (1, "too_large")


def test_new_members_are_no_harm(server):
    server.answers["GET", "/api/v1/status"] = lambda _: (200, {"version": "9", "new": {"a": [1, {"b": True}]}})
    assert "fleet       9" in server.fairlead("status").stdout


@pytest.mark.parametrize("status,body,code,exit_code", [
    (401, {"code": "auth", "text": "no"}, "auth", 1), (404, {"code": "not_found"}, "not_found", 2), (429, b"", "rate_limited", 1),
    (500, b"oops", "http_status", 1), (409, {"code": "downgrade", "text": "older"}, "downgrade", 1),
    (409, {"code": "a_code_of_the_future", "text": "x"}, "conflict", 1), (503, b"", "http_status", 1)])
def test_refusals(server, status, body, code, exit_code):
    server.answers["GET", "/api/v1/status"] = lambda _: (status, body)
    assert code_of(server.fairlead("status", "--json")) == (exit_code, code)


def test_words_of_others_cannot_steer_the_terminal(server):
    evil = {"device_id": "gw-1", "product": "\x1b[2J\x1b]0;owned\x07", "last_error": "a\r\nfake: line"}
    server.answers["GET", "/api/v1/devices/gw-1"] = lambda _: (200, evil)
    server.answers["GET", "/api/v1/devices"] = lambda _: (200, {"devices": [evil]})
    server.answers["GET", "/api/v1/jobs/" + JOB_ID] = lambda _: (409, {"code": "conflict", "text": "\x1b[31mred"})
    for words in (("device", "show", "gw-1"), ("device", "list"), ("jobs", "show", JOB_ID)):
        done = server.fairlead(*words)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr), words


def test_the_log_of_a_failed_boot_is_shown_line_by_line(server):
    job = {"job_id": JOB_ID, "state": "rolled_back", "boot_log": "one\n\ntwo \x1b[2J\r\x9b\nthree"}
    server.answers["GET", "/api/v1/jobs/" + JOB_ID] = lambda _: (200, job)
    shown = server.fairlead("jobs", "show", JOB_ID).stdout
    assert shown.endswith("\nlog of the boot that failed:\n  one\n  \n  two ?[2J??\n  three\n")


def test_a_list_is_asked_for_page_by_page(server):
    everyone = [f"gw-{number:04}" for number in range(1203)]

    def page(request):
        limit = int(re.search(r"limit=(\d+)", request.path).group(1))
        after = re.search(r"after=([\w-]+)", request.path)
        rest = [name for name in everyone if not after or name > after.group(1)][:limit]
        return 200, {"devices": [{"device_id": name, "online": False, "note": "}]{"} for name in rest]}

    server.answers["GET", "/api/v1/devices"] = page
    listed = json.loads(server.fairlead("device", "list", "--json").stdout)["devices"]
    assert [device["device_id"] for device in listed] == everyone
    assert listed[0] == {"device_id": "gw-0000", "online": False, "note": "}]{"}, "as the fleet said it"
    assert len(server.fairlead("device", "list").stdout.splitlines()) == 1 + len(everyone)


def test_pages_too_large_for_the_lexer_are_asked_for_in_parts(server):
    everyone = [f"gw-{number:03}" for number in range(300)]
    components = [{"name": f"c{number}", "version": "1", "slot": "a"} for number in range(60)]

    def page(request):
        limit = int(re.search(r"limit=(\d+)", request.path).group(1))
        after = re.search(r"after=([\w-]+)", request.path)
        rest = [name for name in everyone if not after or name > after.group(1)][:limit]
        return 200, {"devices": [{"device_id": name, "components": components} for name in rest]}

    server.answers["GET", "/api/v1/devices"] = page
    listed = json.loads(server.fairlead("device", "list", "--json").stdout)["devices"]
    assert [device["device_id"] for device in listed] == everyone


def test_a_list_that_never_ends_is_left(server):
    server.answers["GET", "/api/v1/devices"] = lambda _: (200, {"devices": [{"device_id": "gw"}] * 500})
    assert code_of(server.fairlead("device", "list", "--json")) == (1, "protocol")


# Publishing


@pytest.fixture
def release(tmp_path):
    image = make_image(tmp_path / "1.ext4", "1.0.0", 1, size_mib=4, fill_mib=1)
    run(BIN / "fairlead", "keys", "init", tmp_path / "keys", "--product", PRODUCT)
    run(BIN / "fairlead", "release", "create", "--product", PRODUCT, "--version", "1.0.0", "--component", f"rootfs={image}",
        "--class", CLASS, "--hw-rev", "1-3", "-o", tmp_path / "release")
    run(BIN / "fairlead", "release", "sign", tmp_path / "release", "--key", tmp_path / "keys/release.key")
    return tmp_path / "release"


def accept_uploads(server, release, kept):
    """A store for the release's content; `kept` maps path to bytes."""
    for content in ("blobs", "trees"):
        for path in (release / content / "sha256-wide1").iterdir():
            url = f"/api/v1/{content}/{path.name}"
            server.answers["HEAD", url] = lambda request: (200 if request.path in kept else 404, b"")
            server.answers["PUT", url] = lambda request: (kept.update({request.path: request.body}), (201, {}))[1]
    server.answers["POST", "/api/v1/releases"] = lambda request: (kept.update(release=request.body), (201, {"digest": "x"}))[1]


def test_what_is_sent_is_what_was_made(server, release):
    kept = {}
    accept_uploads(server, release, kept)
    done = server.fairlead("release", "publish", release, "--json")
    assert done.returncode == 0, done.stderr
    for content in ("blobs", "trees"):
        for path in (release / content / "sha256-wide1").iterdir():
            assert kept[f"/api/v1/{content}/{path.name}"] == path.read_bytes()
    assert json.loads(kept["release"]) == json.loads((release / "release.json").read_text())
    sizes = {path: headers["X-Fairlead-Size"] for _, path, headers, _ in server.seen("PUT")}
    blob = next((release / "blobs/sha256-wide1").iterdir())
    assert sizes[f"/api/v1/blobs/{blob.name}"] == sizes[f"/api/v1/trees/{blob.name}"] == str(blob.stat().st_size)
    order = [request[0] for request in server.requests if request[0] in ("PUT", "POST")]
    assert order == ["PUT", "PUT", "PUT", "POST"], "the release comes last"


def test_only_what_lacks_is_sent(server, release):
    kept = {}
    accept_uploads(server, release, kept)
    blob = next((release / "blobs/sha256-wide1").iterdir())
    kept[f"/api/v1/blobs/{blob.name}"] = blob.read_bytes()
    done = json.loads(server.fairlead("release", "publish", release, "--json").stdout)
    assert done["sent_objects"] == 2
    assert f"/api/v1/blobs/{blob.name}" not in [path for _, path, _, _ in server.seen("PUT")]


def test_a_refused_upload_ends_the_publication(server, release):
    kept = {}
    accept_uploads(server, release, kept)
    blob = next((release / "blobs/sha256-wide1").iterdir())
    server.answers["PUT", f"/api/v1/blobs/{blob.name}"] = lambda _: (500, {"code": "no_space", "text": "full"})
    assert code_of(server.fairlead("release", "publish", release, "--json")) == (1, "no_space")
    assert server.seen("POST") == []


# Watching


def test_a_watch_ends_with_the_final_state(server):
    server.answers["GET", JOB_PATH + "/events"] = lambda _: (
        200, iter([b": hello\n\n", event("staging", progress={"done_bytes": 1, "total_bytes": 4}),
                   event("staging", progress={"done_bytes": 2, "total_bytes": 4}), event("committed")]))
    done = server.fairlead("jobs", "watch", JOB_ID)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["staging", "committed"], "one line per change, no progress"


@pytest.mark.parametrize("state", ["rejected", "failed", "cancelled", "rolled_back", "stuck"])
def test_only_committed_is_success(server, state):
    server.answers["GET", JOB_PATH + "/events"] = lambda _: (200, iter([event(state, reason="boot_failed", text="no init")]))
    done = server.fairlead("jobs", "watch", JOB_ID)
    assert done.returncode == 1 and done.stdout == f"{state}  boot_failed: no init\n"


def test_a_watch_goes_on_after_every_loss(server):
    """The stream is cut in the middle of an event, then refused, then empty; the fleet answers again in the end."""
    streams = iter([lambda: (200, iter([event("staging"), event("staged")[:20]])), lambda: (503, b""), lambda: (200, iter([])),
                    lambda: (200, iter([event("checking"), event("committed")]))])
    server.answers["GET", JOB_PATH + "/events"] = lambda _: next(streams)()
    server.answers["GET", JOB_PATH] = lambda _: (200, job("restarting"))
    done = server.fairlead("jobs", "watch", JOB_ID)
    assert done.returncode == 0, done.stderr
    states = [line.split()[0] for line in done.stdout.splitlines()]
    assert states == ["staging", "restarting", "checking", "committed"]


def test_a_watch_learns_the_end_without_events(server):
    server.answers["GET", JOB_PATH + "/events"] = lambda _: (200, iter([]))
    server.answers["GET", JOB_PATH] = lambda _: (200, job("rolled_back", reason="check_failed"))
    done = server.fairlead("jobs", "watch", JOB_ID, "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["reason"] == "check_failed"


def test_a_refused_watch_is_not_tried_for_ever(server):
    started = time.monotonic()
    server.answers["GET", JOB_PATH + "/events"] = lambda _: (401, {"code": "auth", "text": "no"})
    assert server.fairlead("jobs", "watch", JOB_ID).returncode == 1
    server.answers["GET", JOB_PATH + "/events"] = lambda _: (404, {"code": "not_found", "text": "no"})
    assert server.fairlead("jobs", "watch", JOB_ID).returncode == 2
    assert time.monotonic() - started < 10


def test_an_endless_event_has_a_limit(server):
    server.answers["GET", JOB_PATH + "/events"] = lambda _: (200, (b"data: " + b"x" * 65536 for _ in range(64)))
    assert "[too_large]" in server.fairlead("jobs", "watch", JOB_ID).stderr


def in_terminal(command, environment, seconds=30):
    """What the command showed on a terminal of 80 columns, and its exit status."""
    master, slave = pty.openpty()
    subprocess.run(["stty", "cols", "80", "rows", "24"], stdin=slave, check=True)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.DEVNULL, env=environment) as child:
        os.close(slave)
        shown, deadline = b"", time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(master, 4096)
            except OSError:
                break
            if not piece:
                break
            shown += piece
        status = child.wait(5)
    os.close(master)
    return shown.decode(), status


def test_a_terminal_sees_one_live_line(server):
    progress = {"component": "rootfs", "done_bytes": 32 << 20, "total_bytes": 64 << 20, "rate_bytes_s": 3 << 20}
    server.answers["GET", JOB_PATH + "/events"] = lambda _: (
        200, iter([event("staging", progress=progress), event("waiting_to_activate", reason="window", text="x" * 300),
                   event("committed")]))
    shown, status = in_terminal([BIN / "fairlead", "jobs", "watch", JOB_ID], server.environment())
    assert status == 0
    assert "\rstaging   50 %  32.0 MiB of 64.0 MiB  3.0 MiB/s  rootfs\x1b[K" in shown
    assert shown.endswith("\rcommitted\x1b[K\r\n") and shown.count("\n") == 1
    assert all(len(line.replace("\x1b[K", "")) < 80 for line in shown.split("\r")), "it never wraps"


def test_deploy_waits_for_every_device(server):
    jobs = iter([JOB_ID, JOB_ID[:-1] + "8"])
    server.answers["POST", "/api/v1/jobs"] = lambda _: (201, {"job_id": next(jobs), "job_seq": 1})
    server.answers["GET", JOB_PATH + "/events"] = lambda _: (200, iter([event("committed")]))
    server.answers["GET", JOB_PATH[:-1] + "8/events"] = lambda _: (200, iter([event("failed")]))
    release = "sha256:" + "a" * 64
    done = server.fairlead("deploy", release, "--device", "gw-1", "--device", "gw-2", "--force", "--expires-s", "60", "--wait")
    assert done.returncode == 1, "one of them failed"
    bodies = [json.loads(body) for _, _, _, body in server.seen("POST")]
    assert bodies == [{"device_id": name, "intent": "install", "release": release, "expires_s": 60, "force": True}
                      for name in ("gw-1", "gw-2")]
    assert [line for line in done.stdout.splitlines() if line in ("committed", "failed")] == ["committed", "failed"]
