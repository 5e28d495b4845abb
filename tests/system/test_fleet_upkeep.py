# SPDX-License-Identifier: Apache-2.0
"""What a fleet's keeper changes while it runs: tokens, addresses, what is kept for how long."""
import http.client
import ssl
import time

from harness import BIN, run


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
