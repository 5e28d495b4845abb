# SPDX-License-Identifier: Apache-2.0
"""What a fleet's keeper changes while it runs: tokens, addresses, what is kept for how long."""
import hashlib
import http.client
import os
import socket
import ssl
import struct
import time

from harness import BIN, Fleet, eventually, run


def ask(fleet, token, connection):
    """The status that the operators' port answers to a token, over a connection that is kept."""
    connection.request("GET", "/api/v1/status", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_tokens_come_and_go_while_the_server_runs(fleet):
    connection = http.client.HTTPSConnection(fleet.host, fleet.api_port, timeout=20,
                                             context=ssl.create_default_context(cafile=fleet.ca))
    assert ask(fleet, "0" * 64, connection) == 401
    own = connection.sock
    token = run(BIN / "fairlead-fleet", "token", fleet.folder, "add", "ci").strip()
    time.sleep(1.1)
    assert ask(fleet, token, connection) == 200
    assert run(BIN / "fairlead-fleet", "token", fleet.folder, "revoke", "ci") == ""
    time.sleep(1.1)
    assert ask(fleet, token, connection) == 401
    assert ask(fleet, fleet.token.read_text().strip(), connection) == 200
    assert connection.sock is own, "the connection stayed"
    assert run(BIN / "fairlead-fleet", "token", fleet.folder, "revoke", "ci", check=False).returncode == 1
    audit = run(BIN / "fairlead-fleet", "audit", fleet.folder)
    assert audit.count('"token.add","ci"') == 1 and audit.count('"token.revoke","ci"') == 1


def greeted(address, port, fleet):
    """Does somebody with the fleet's certificate answer there?"""
    context = ssl.create_default_context(cafile=fleet.ca)
    try:
        with socket.create_connection((address, port), 5) as plain, context.wrap_socket(plain, server_hostname=fleet.host):
            return True
    except ConnectionRefusedError:
        return False


def test_both_ports_listen_on_ipv4_and_ipv6(tmp_path, keys):
    fleet = Fleet(tmp_path / "fleet", keys)
    conf = fleet.folder / "fleet.conf"
    conf.write_text(conf.read_text().replace("address = 127.0.0.1\n", ""))
    with fleet:
        assert [greeted(address, fleet.api_port, fleet) for address in ("127.0.0.1", "::1")] == [True, True]
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, fleet.device_port), 5).close()
    conf.write_text(conf.read_text().replace("[listen]\n", "[listen]\naddress = 127.0.0.1\n"))
    with fleet:
        assert [greeted(address, fleet.api_port, fleet) for address in ("127.0.0.1", "::1")] == [True, False]


def put_unnamed(fleet, fill):
    """A blob that no release names; its path."""
    data = bytes([fill]) * 1000
    leaf = hashlib.sha256(struct.pack(">BBQI", 0, 0, 0, len(data)) + data).digest()
    top = hashlib.sha256(struct.pack(">BBQI", 1, 1, 0, len(leaf)) + leaf).digest()
    root = hashlib.sha256(struct.pack(">BBQIIQ", 2, 0, 0, 44, 65536, len(data)) + top).hexdigest()
    status, _ = fleet.rest("PUT", f"/blobs/{root}", data, X_Fairlead_Size=len(data))
    assert status == 201
    return fleet.folder / "blobs/sha256-wide1" / root


def test_content_that_no_release_names_is_removed_at_the_start(fleet, published, gateway):
    published(2)
    old, young = put_unnamed(fleet, 1), put_unnamed(fleet, 2)
    past = time.time() - 8 * 86400
    for kind in ("blobs", "trees"):
        for path in (fleet.folder / kind).rglob("*"):
            if path.is_file() and path != young:
                os.utime(path, (past, past))
    fleet.stop()
    fleet.start()
    eventually(lambda: not old.exists(), "the old blob is removed")
    assert young.exists()
    job = fleet.deploy(fleet.cli("release", "list")["releases"][0]["digest"], gateway)
    fleet.wait_job(job, "committed")
