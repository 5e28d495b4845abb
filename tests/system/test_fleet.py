# SPDX-License-Identifier: Apache-2.0
"""fairlead-fleet as its peers see it: operators over REST, gateways over mutual TLS, and hostile ones of both."""
import base64
import concurrent.futures
import datetime
import hashlib
import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import ssl
import stat
import struct
import subprocess
import time
import uuid

import pytest
import websocket
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from harness import BIN, CLASS, PRODUCT, eventually, free_ports, run

CHUNK = 65536
websocket._abnf.VALID_CLOSE_STATUS += (1012,)  # service restart, younger than this library
TOO_LONG = "x" * 100


# Documents, as docs/formats.md describes them


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pae(kind, payload):
    name = f"application/vnd.fairlead.{kind}.v1+json".encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def spki(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def signature(key, data):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def envelope(kind, payload, *keys):
    data = compact(payload).encode()
    return compact({"payloadType": f"application/vnd.fairlead.{kind}.v1+json", "payload": base64.b64encode(data).decode(),
                    "signatures": [{"keyid": hashlib.sha256(spki(key)).hexdigest(),
                                    "sig": base64.b64encode(signature(key, pae(kind, data))).decode()} for key in keys]})


def opened(text, kind, public):
    """The payload of an envelope that `public` (Ed25519) signed."""
    document = json.loads(text)
    payload = base64.b64decode(document["payload"])
    public.verify(base64.b64decode(document["signatures"][0]["sig"]), pae(kind, payload))
    return json.loads(payload)


def tree_of(data):
    """(root, tree object) of sha256-wide1, for content of at most 2,048 chunks."""
    def node(head, level, index, body):
        return hashlib.sha256(struct.pack(">BBQI", head, level, index, len(body)) + body).digest()
    chunks = [data[i:i + CHUNK] for i in range(0, len(data), CHUNK)] or [b""]
    page = b"".join(node(0, 0, i, chunk) for i, chunk in enumerate(chunks))
    top = node(1, 1, 0, page)
    root = hashlib.sha256(struct.pack(">BBQI", 2, 0, 0, 44) + struct.pack(">IQ", CHUNK, len(data)) + top).hexdigest()
    return root, page


def load_key(path):
    return serialization.load_pem_private_key(path.read_bytes(), None)


def release_document(version, seq, blob, permits=(), hw_rev_max=9, class_id=CLASS):
    root, _ = tree_of(blob)
    tree = {"alg": "sha256-wide1", "chunk": CHUNK, "root": "sha256:" + root}
    now = int(time.time())
    return {"type": "release", "spec": 1, "product": PRODUCT, "release_id": str(uuid.uuid4()), "version": version,
            "created": now, "expires": now + 86400 * 365,
            "compat": {"class_ids": [class_id], "hw_rev_min": 1, "hw_rev_max": hw_rev_max},
            **({"permits_rollback_to": list(permits)} if permits else {}),
            "set": {"order": ["rootfs"], "health": {"reach": ["fleet"], "deadline_s": 60}},
            "components": [{"name": "rootfs", "handler": "rootfs", "version": version, "release_seq": seq, "security_version": 1,
                            "installed": {"size": len(blob), "tree": tree},
                            "artifacts": [{"id": "full", "format": "zstd-frames", "frame": 1048576, "size": len(blob),
                                           "tree": tree}],
                            "restart": "host"}]}


# The two kinds of peers


class Operator:
    """REST with the token; each call is (status, parsed body)."""

    def __init__(self, fleet, token=None):
        self.fleet = fleet
        self.token = fleet.token.read_text().strip() if token is None else token

    def connection(self, timeout=30):
        context = ssl.create_default_context(cafile=str(self.fleet.ca))
        return http.client.HTTPSConnection("localhost", self.fleet.api_port, timeout=timeout, context=context)

    def raw(self, method, path, body=None, headers=None, timeout=30):
        connection = self.connection(timeout)
        try:
            auth = {"Authorization": f"Bearer {self.token}"} if self.token else {}
            connection.request(method, path, body, {**auth, **(headers or {})})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def __call__(self, method, path, body=None, headers=None):
        data = compact(body).encode() if isinstance(body, (dict, list)) else body
        status, _, text = self.raw(method, "/api/v1" + path, data, headers)
        return status, json.loads(text) if text else None

    def put(self, kind, root, data, size):
        return self("PUT", f"/{kind}/{root}", data, {"X-Fairlead-Size": str(size)})

    def put_content(self, data):
        root, tree = tree_of(data)
        assert self.put("blobs", root, data, len(data))[0] in (200, 201)
        assert self.put("trees", root, tree, len(data))[0] in (200, 201)
        return root

    def publish(self, document):
        key = load_key(self.fleet.keys["release"])
        return self("POST", "/releases", envelope("release", document, key).encode())

    def release(self, version="2.0.0", seq=2, blob=b"image", **more):
        self.put_content(blob)
        status, answer = self.publish(release_document(version, seq, blob, **more))
        assert status in (200, 201), answer
        return answer["digest"]

    def deploy(self, device, release, **more):
        status, answer = self("POST", "/jobs", {"device_id": device, "intent": "install", "release": release, **more})
        assert status == 201, answer
        return answer

    def job(self, job_id):
        return self("GET", f"/jobs/{job_id}")[1]

    def device(self, device_id):
        return self("GET", f"/devices/{device_id}")[1]

    def events(self, device_id):
        return [(e["kind"], e.get("code")) for e in self.device(device_id)["events"]]


class Device:
    """A gateway's end of the protocol, good or bad."""

    def __init__(self, fleet, folder, name, key=None, hw_rev=1):
        self.fleet, self.name, self.hw_rev = fleet, name, hw_rev
        self.folder = folder / f"{name}-{uuid.uuid4().hex[:6]}"
        self.folder.mkdir(parents=True)
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.identity = digest(spki(self.key))
        self.certificate, self.key_file = self.folder / "device.pem", self.folder / "device.key"
        self.key_file.write_bytes(self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                         serialization.NoEncryption()))
        self.ws, self.report_seq, self.boot_id = None, 0, str(uuid.uuid4())
        self.nonce = os.urandom(32)

    def request(self, name=None):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name or self.name)])
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def enrol(self, name=None, request=None):
        body = {"device_id": name or self.name, "request": request or self.request()}
        status, _, text = Operator(self.fleet, "").raw("POST", "/enrol", compact(body))
        answer = json.loads(text)
        if status == 200:
            self.certificate.write_text(answer["certificate"])
        return status, answer

    def authorize(self):
        assert Operator(self.fleet)("PUT", f"/devices/{self.name}", {"identity": self.identity})[0] in (200, 201)

    def join(self):
        self.authorize()
        assert self.enrol()[0] == 200
        return self

    def tls(self):
        context = ssl.create_default_context(cafile=str(self.fleet.ca))
        context.load_cert_chain(self.certificate, self.key_file)
        return context

    def get(self, path, method="GET", **headers):
        connection = http.client.HTTPSConnection("localhost", self.fleet.device_port, timeout=30, context=self.tls())
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, body

    def open(self, path="/device", subprotocols=("fairlead.v1",), timeout=20):
        self.close()
        self.ws = websocket.create_connection(
            f"wss://localhost:{self.fleet.device_port}{path}", timeout=timeout, subprotocols=list(subprotocols),
            sslopt={"ca_certs": str(self.fleet.ca), "certfile": str(self.certificate), "keyfile": str(self.key_file)})
        return self

    def close(self):
        if self.ws:
            self.ws.close()
        self.ws = None

    def send(self, **message):
        self.ws.send(compact(message))

    def hello(self, **more):
        self.nonce = os.urandom(32)
        self.send(**{"type": "hello", "device_id": self.name, "agent_version": "0.1.0", "boot_id": self.boot_id,
                     "nonce": base64.b64encode(self.nonce).decode(), "root_version": 1, "job_seq": 0, "report_seq": 0,
                     "product": PRODUCT, "class_id": CLASS, "hw_rev": self.hw_rev,
                     "components": [{"name": "rootfs", "handler": "rootfs", "slot": "a", "version": "1.0.0", "release_seq": 1,
                                     "security_version": 1}], **more})
        return self

    def connect(self, **more):
        self.open().hello(**more)
        assert self.next("welcome")["ping_s"] > 0
        self.next("heartbeat")
        return self

    def next(self, kind=None):
        """The next message, or the next of that type."""
        while True:
            opcode, data = self.ws.recv_data()
            assert opcode == websocket.ABNF.OPCODE_TEXT, f"closed: {data}"
            message = json.loads(data)
            if kind in (None, message["type"]):
                return message

    def silent(self, kind, seconds=0.5):
        """No message of that type comes within so many seconds."""
        self.ws.settimeout(seconds)
        try:
            self.next(kind)
            return False
        except websocket.WebSocketTimeoutException:
            return True
        finally:
            self.ws.settimeout(20)

    def close_code(self):
        """(code, reason) once the fleet closes."""
        while True:
            opcode, data = self.ws.recv_data(control_frame=True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return struct.unpack(">H", data[:2])[0], data[2:].decode()

    def report_text(self, state, job=None, seq=None, key=None, device=None, **more):
        job = job or {}
        payload = {"type": "report", "spec": 1, "device_id": device or self.name, "report_seq": seq or self.report_seq,
                   "boot_id": self.boot_id, **({"job_id": job["job_id"], "job_seq": job["job_seq"]} if job else {}),
                   "state": state, "utc": int(time.time()), "time_quality": "fleet", "components": [], **more}
        order = ("type spec device_id report_seq boot_id job_id job_seq state reason text until next utc time_quality"
                 " components").split()
        return envelope("report", {name: payload[name] for name in order if name in payload}, key or self.key)

    def report(self, state, job=None, seq=None, raw=None, wait=True, **more):
        if seq is None:
            self.report_seq += 1
            seq = self.report_seq
        self.send(type="report", report_seq=seq, envelope=raw or self.report_text(state, job, seq, **more))
        if wait:
            assert self.next("report_ack")["report_seq"] == seq


@pytest.fixture
def operator(fleet):
    return Operator(fleet)


@pytest.fixture
def new_device(fleet, tmp_path):
    made = []

    def make(name="gw-1", **more):
        made.append(Device(fleet, tmp_path / "devices", name, **more))
        return made[-1]

    yield make
    for device in made:
        device.close()


@pytest.fixture
def device(new_device):
    return new_device().join()


def dispatch_key(fleet):
    return load_key(fleet.keys["dispatch"]).public_key()


def setting(fleet, name):
    return int([line.split("=")[1] for line in (fleet.folder / "fleet.conf").read_text().splitlines()
                if line.startswith(f"{name} =")][0])


def audit(fleet):
    done = run(BIN / "fairlead-fleet", "audit", fleet.folder, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# init


def init(folder, keys, *more):
    ports = free_ports(2)
    return run(BIN / "fairlead-fleet", "init", folder, "--root", keys.root, "--dispatch-key", keys["dispatch"],
               "--device-port", ports[0], "--api-port", ports[1], *more, check=False)


def test_init_makes_a_folder_that_only_its_owner_reads(tmp_path, keys):
    folder = tmp_path / "fleet"
    assert init(folder, keys).returncode == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("token", "keys/ca.pem", "keys/server.pem", "keys/device-ca.pem", "keys/dispatch.pem"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name
    assert len((folder / "token").read_text().strip()) == 64
    assert (folder / "token").read_text().strip().encode() not in (folder / "fleet.db").read_bytes()
    server = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_init_refuses_a_folder_in_use_a_foreign_key_and_nonsense(tmp_path, keys):
    folder = tmp_path / "fleet"
    assert init(folder, keys).returncode == 0
    token = (folder / "token").read_text()
    assert init(folder, keys).returncode == 1
    assert (folder / "token").read_text() == token
    foreign = run(BIN / "fairlead-fleet", "init", tmp_path / "other", "--root", keys.root, "--dispatch-key", keys["release"],
                  check=False)
    assert foreign.returncode == 1 and "scope" in foreign.stderr
    assert not (tmp_path / "other/fleet.conf").exists()
    for arguments in (["init"], ["init", folder], ["run"], ["dance"], [], ["init", folder, "--root", "r", "--dispatch-key", "k",
                                                                        "--device-port", "70000"]):
        assert run(BIN / "fairlead-fleet", *arguments, check=False).returncode == 2, arguments
    assert "Exit status" in run(BIN / "fairlead-fleet", "--help")


def test_one_folder_has_one_server(fleet):
    second = run(BIN / "fairlead-fleet", "run", fleet.folder, check=False)
    assert second.returncode == 1 and "busy" in second.stderr


# The token


PLACES = [("GET", "/status"), ("GET", "/root"), ("POST", "/root"), ("GET", "/devices"), ("GET", "/devices/gw-1"),
          ("PUT", "/devices/gw-1"), ("DELETE", "/devices/gw-1"), ("PUT", "/blobs/" + "0" * 64), ("PUT", "/trees/" + "0" * 64),
          ("HEAD", "/blobs/" + "0" * 64), ("POST", "/releases"), ("GET", "/releases"), ("GET", "/releases/x"), ("POST", "/jobs"),
          ("GET", "/jobs"), ("GET", "/jobs/x"), ("POST", "/jobs/x/cancel"), ("GET", "/jobs/x/events"), ("GET", "/nowhere")]


def test_without_the_token_there_is_nothing(fleet):
    right = fleet.token.read_text().strip()
    wrong = right[:-1] + ("0" if right[-1] != "0" else "1")
    for token in ("", wrong, right[:-1], right + "0", "0" * 64, "*"):
        stranger = Operator(fleet, token)
        for method, path in PLACES:
            body = b"{}" if method in ("POST", "PUT") else None
            status, headers, _ = stranger.raw(method, "/api/v1" + path, body)
            assert status == 401, (token, method, path, status)
            assert headers.get("www-authenticate", headers.get("WWW-Authenticate")) == "Bearer"
    for header in ("Basic " + right, right, "Bearer", "Bearer  " + right):
        assert Operator(fleet, "").raw("GET", "/api/v1/status", headers={"Authorization": header})[0] == 401
    assert Operator(fleet)("GET", "/devices")[1] == {"devices": []}
    assert Operator(fleet)("GET", "/status")[1]["root_version"] == 1


# Enrolment


def test_enrolment_of_a_listed_device(device, operator):
    certificate = x509.load_pem_x509_certificate(device.certificate.read_bytes())
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == device.name
    assert certificate.not_valid_after > datetime.datetime.now() + datetime.timedelta(days=365)
    assert operator.device("gw-1")["enrolled"] is True
    assert ("enrolled", None) in operator.events("gw-1")
    assert device.enrol()[0] == 200, "a gateway whose answer was lost asks again"


def test_enrolment_tells_strangers_nothing(new_device):
    device, other = new_device("gw-1"), new_device("gw-2")
    device.authorize()
    refusals = [other.enrol(),                                        # not listed
                Device(device.fleet, device.folder, "gw-1").enrol(),  # listed, another key
                device.enrol(request=device.request("gw-2")),         # its own key, another name in the request
                device.enrol(request="-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"),
                device.enrol(request="nonsense")]
    assert all(status == 403 for status, _ in refusals), refusals
    assert len({compact(answer) for _, answer in refusals}) == 1, refusals
    assert refusals[0][1]["code"] == "enrol_refused"
    assert device.enrol()[0] == 200


def test_a_request_not_signed_by_its_own_key_is_refused(new_device):
    device = new_device()
    device.authorize()
    der = bytearray(x509.load_pem_x509_csr(device.request().encode()).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    pem = "-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(der).decode() + "-----END CERTIFICATE REQUEST-----\n"
    assert device.enrol(request=pem)[0] == 403


def test_enrolment_refuses_malformed_bodies(fleet):
    stranger = Operator(fleet, "")
    for body in (b"", b"{}", b"[]", b'{"device_id":"../x","request":"x"}', b'{"device_id":"a","device_id":"b","request":"x"}',
                 b"\xff" * 50, b"[" * 100000):
        assert stranger.raw("POST", "/enrol", body)[0] == 400, body[:40]
    assert stranger.raw("POST", "/enrol", b"x" * (600 * 1024))[0] == 413


# Mutual TLS


def refused_by_tls(device):
    """Neither content nor a WebSocket; with TLS 1.3 the refusal comes with the first byte that is read."""
    for attempt in (lambda: device.get("/blobs/sha256-wide1/" + "0" * 64), device.open):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected, websocket.WebSocketException)):
            attempt()


def test_devices_need_a_certificate_of_this_fleet(fleet, device):
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        context = ssl.create_default_context(cafile=str(fleet.ca))
        connection = http.client.HTTPSConnection("localhost", fleet.device_port, timeout=10, context=context)
        connection.request("GET", "/blobs/sha256-wide1/" + "0" * 64)
        connection.getresponse()
    assert device.get("/blobs/sha256-wide1/" + "0" * 64)[0] == 404


@pytest.mark.parametrize("issuer", ["self-signed", "a CA of the same name", "expired"])
def test_forged_certificates_are_refused(fleet, device, issuer):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device.name)])
    ca_name = x509.load_pem_x509_certificate((fleet.folder / "device-ca.pem").read_bytes()).subject
    now = datetime.datetime.utcnow()
    begin, end = now - datetime.timedelta(days=2), now + datetime.timedelta(days=2)
    signer, issued_by = ec.generate_private_key(ec.SECP256R1()), ca_name
    if issuer == "self-signed":
        signer, issued_by = device.key, name
    if issuer == "expired":
        signer, end = load_key(fleet.folder / "keys/device-ca.pem"), now - datetime.timedelta(days=1)
    certificate = x509.CertificateBuilder(issued_by, name, device.key.public_key(), x509.random_serial_number(), begin, end,
                                          []).sign(signer, hashes.SHA256())
    device.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    refused_by_tls(device)
    assert "gw-1' is online" not in fleet.log.read_text()


def test_old_tls_is_refused(fleet):
    for port in (fleet.device_port, fleet.api_port):
        done = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        assert "Cipher is (NONE)" in done.stdout + done.stderr


def test_a_certificate_without_a_listing_is_closed_with_4003(device, operator):
    device.connect()
    assert operator("DELETE", "/devices/gw-1")[0] == 200
    started = time.monotonic()
    assert device.close_code()[0] == 4003
    assert time.monotonic() - started < 10
    assert device.open().close_code()[0] == 4003, "it cannot come back"
    assert device.get("/blobs/sha256-wide1/" + "0" * 64)[0] == 403
    assert operator.device("gw-1")["online"] is False
    device.authorize()
    device.connect()


def test_a_new_identity_ends_the_old_one(device, new_device, operator):
    device.connect()
    heir = new_device("gw-1").join()
    assert device.close_code()[0] == 4003
    heir.connect()
    assert device.open().close_code()[0] == 4003
    assert operator.device("gw-1")["identity"] == heir.identity


# The conversation


def test_hello_is_answered_by_welcome_and_a_signed_heartbeat(fleet, device, operator):
    device.open().hello()
    welcome, beat = device.next(), device.next()
    assert (welcome["type"], welcome["reconnect_spread_ms"], welcome["ping_s"]) == (
        "welcome", setting(fleet, "reconnect_spread_ms"), setting(fleet, "ping_s"))
    assert abs(welcome["utc"] - time.time()) < 5
    said = opened(beat["envelope"], "heartbeat", dispatch_key(fleet))
    assert base64.b64decode(said["nonce"]) == device.nonce
    assert (said["device_id"], said["latest_job_seq"], said["root_version"]) == ("gw-1", 0, 1)
    other = os.urandom(32)
    device.send(type="nonce", nonce=base64.b64encode(other).decode())
    assert base64.b64decode(opened(device.next("heartbeat")["envelope"], "heartbeat", dispatch_key(fleet))["nonce"]) == other
    seen = operator.device("gw-1")
    assert (seen["online"], seen["product"], seen["class_id"], seen["hw_rev"]) == (True, PRODUCT, CLASS, 1)
    assert seen["components"][0] == {"name": "rootfs", "handler": "rootfs", "slot": "a", "version": "1.0.0", "release_seq": 1,
                                     "security_version": 1}
    assert abs(seen["last_seen"] - time.time()) < 5
    device.close()
    eventually(lambda: not operator.device("gw-1")["online"], "offline")
    assert operator("GET", "/status")[1]["online"] == 0


def test_an_older_root_is_brought_up_to_date(device):
    device.open().hello(root_version=0)
    roots = device.next("roots")["envelopes"]
    assert [json.loads(base64.b64decode(json.loads(root["envelope"])["payload"]))["version"] for root in roots] == [1]


def test_what_a_device_says_of_itself_comes_back_as_text(device, operator):
    evil = '</script><img src=x onerror="alert(1)">\\ \u2028 \U0001f4a5'
    device.connect(agent_version=evil[:40], product="'; DROP TABLE devices; --")
    seen = operator.device("gw-1")
    assert (seen["agent_version"], seen["product"]) == (evil[:40], "'; DROP TABLE devices; --")
    assert len(operator("GET", "/devices")[1]["devices"]) == 1


BAD_MESSAGES = [b"", b"{", b"[]", b'"hello"', b'{"type":"hello"}', b'{"type":7}', b"\xff\xfe", b'{"type":"x","type":"y"}',
                b'{"type":"nonce","nonce":"AAAA"}', b'{"type":"x","n":1.5}', b"[" * 5000, b'{"type":"report","report_seq":-1}']


@pytest.mark.parametrize("said_hello", [False, True])
def test_malformed_messages_end_with_1008(device, said_hello):
    for bad in BAD_MESSAGES:
        if not said_hello and b'"x","n"' in bad:
            continue
        device.open()
        if said_hello:
            device.hello().next("heartbeat")
        device.ws.send(bad, websocket.ABNF.OPCODE_TEXT)
        code = device.close_code()[0]
        assert code == 1008 or (bad.startswith(b"\xff") and code == 1007), (bad, code)


def test_frames_out_of_order_end_with_1008(device):
    for first in ("nonce", "report", "progress"):
        device.open().send(type=first, nonce=base64.b64encode(b"0" * 32).decode(), report_seq=1, envelope="{}",
                           job_id=str(uuid.uuid4()))
        assert device.close_code()[0] == 1008, first
    device.connect().hello()
    assert device.close_code()[0] == 1008, "a second hello"
    device.open().hello(device_id="gw-2")
    assert device.close_code()[0] == 1008, "another name"
    device.open().ws.send_binary(b"{}")
    assert device.close_code()[0] == 1008, "binary"


def test_unknown_messages_and_members_are_ignored(device):
    device.connect(mood="good", components=[])
    device.send(type="dance", steps=[1, 2, {"a": True}])
    device.send(type="welcome", reconnect_spread_ms=1, ping_s=1, utc=1)
    device.send(type="nonce", nonce=base64.b64encode(b"1" * 32).decode(), why="curious")
    device.next("heartbeat")


def test_messages_past_a_mebibyte_end_with_1008(device, fleet):
    def message(size):
        head = compact({"type": "dance", "text": ""})
        return head[:-2] + "x" * (size - len(head)) + head[-2:]
    device.connect()
    device.ws.send(message(1024 * 1024))
    device.send(type="nonce", nonce=base64.b64encode(b"1" * 32).decode())
    device.next("heartbeat")
    rss = lambda: int(open(f"/proc/{fleet.child.pid}/statm", encoding="ascii").read().split()[1]) * 4096
    before = rss()
    try:
        for _ in range(64):
            device.ws.send_frame(websocket.ABNF.create_frame("y" * 1024 * 1024, websocket.ABNF.OPCODE_TEXT, fin=0))
    except (OSError, websocket.WebSocketException):
        pass
    assert rss() - before < 32 << 20
    eventually(lambda: not Operator(fleet).device("gw-1")["online"], "cut off")
    device.ws = None
    device.connect()
    device.ws.send(message(1024 * 1024 + 1))
    assert device.close_code()[0] == 1008


def test_only_the_path_and_the_subprotocol_of_the_contract(device, operator):
    for attempt in (dict(path="/"), dict(path="/device/"), dict(subprotocols=()), dict(subprotocols=("mqtt",))):
        with pytest.raises((websocket.WebSocketException, ConnectionError)):
            device.open(**attempt)
    device.connect()
    with pytest.raises((websocket.WebSocketException, ConnectionError)):
        websocket.create_connection(f"wss://localhost:{device.fleet.api_port}/device", timeout=10, subprotocols=["fairlead.v1"],
                                    sslopt={"ca_certs": str(device.fleet.ca)})


def test_no_hello_no_service(device):
    device.open(timeout=40)
    started = time.monotonic()
    assert device.close_code()[0] == 1008
    assert time.monotonic() - started < 30


def test_two_connections_of_one_device(fleet, device, operator):
    device.connect()
    old, device.ws = device.ws, None
    device.connect()
    new, device.ws = device.ws, old
    assert device.close_code()[0] == 4001
    device.ws = new
    device.send(type="nonce", nonce=base64.b64encode(b"1" * 32).decode())
    device.next("heartbeat")
    assert operator("GET", "/status")[1]["online"] == 1
    assert ("replaced", None) in operator.events("gw-1")
    assert [row for row in audit(fleet) if row[3] == "device.replaced" and row[4] == "gw-1"]


def test_sigterm_says_1012_and_how_to_come_back(fleet, device):
    device.connect()
    fleet.child.send_signal(signal.SIGTERM)
    assert device.close_code() == (1012, f"reconnect_spread_ms={setting(fleet, 'reconnect_spread_ms')}")
    assert fleet.child.wait(20) == 0


def test_a_dead_link_is_noticed(tmp_path, fleet, device, operator):
    """At 25 s a ping, at 40 s the end; here five times faster."""
    fleet.child.send_signal(signal.SIGTERM)
    fleet.child.wait(20)
    conf = fleet.folder / "fleet.conf"
    conf.write_text(conf.read_text().replace(f"ping_s = {setting(fleet, 'ping_s')}", "ping_s = 5"))
    fleet.start()
    device.connect()
    started = time.monotonic()  # from here on nobody reads: no pong
    eventually(lambda: not operator.device("gw-1")["online"], "offline", 20)
    assert 4 < time.monotonic() - started < 12
    device.ws = None
    device.connect()
    for _ in range(9):
        assert device.silent("job", 1)  # answers pings
    assert operator.device("gw-1")["online"] is True


# Content


def test_content_by_ranges(device, operator):
    data = random.Random(1).randbytes(300001)
    root = operator.put_content(data)
    path, etag = f"/blobs/sha256-wide1/{root}", f'"{root}"'
    status, headers, body = device.get(path)
    assert (status, headers["etag"], headers["accept-ranges"], body) == (200, etag, "bytes", data)
    for wanted, first, last in (("bytes=0-0", 0, 0), ("bytes=65536-131071", 65536, 131071), ("bytes=300000-", 300000, 300000),
                                ("bytes=-1", 300000, 300000), ("bytes=-300001", 0, 300000), ("bytes=-999999", 0, 300000),
                                ("bytes=299990-999999", 299990, 300000), ("bytes=0-", 0, 300000)):
        status, headers, body = device.get(path, Range=wanted)
        assert (status, headers["content-range"]) == (206, f"bytes {first}-{last}/300001"), wanted
        assert body == data[first:last + 1] and headers["etag"] == etag
    for wanted in ("bytes=300001-", "bytes=5-4", "bytes=-0", "bytes=x", "bytes=1-2,4-5", "bytes=", "bytes=-", "bytes=1-x",
                   "bytes=99999999999999999999-"):
        status, headers, body = device.get(path, Range=wanted)
        assert (status, headers["content-range"], body) == (416, "bytes */300001", b""), wanted
    assert device.get(path, Range="lines=1-2")[0] == 200
    assert device.get(path, Range="bytes=1-2", If_Range='"other"')[0] == 200
    assert device.get(path, Range="bytes=1-2", If_Range=etag)[0] == 206
    status, headers, body = device.get(path, If_None_Match=etag)
    assert (status, body) == (304, b"")
    status, headers, body = device.get(path, "HEAD")
    assert (status, headers["content-length"], headers["etag"], body) == (200, "300001", etag, b"")
    status, headers, body = device.get(path, "HEAD", Range="bytes=0-9")
    assert (status, headers["content-length"], headers["content-range"]) == (206, "10", "bytes 0-9/300001")
    assert device.get(f"/trees/sha256-wide1/{root}")[2] == tree_of(data)[1]


def test_no_other_path_leads_to_content(device, operator):
    root = operator.put_content(b"content")
    for path in ("/", "/device", "/token", "/keys/ca.pem", f"/blobs/sha256-wide1/{root}/", f"/blobs/sha256-wide1/{root[:-1]}",
                 f"/blobs/sha256-wide1/{root.upper()}", "/blobs/sha256-wide1/../../token", "/blobs/sha256-wide1/%2e%2e%2ftoken",
                 "/blobs/sha256-wide1//etc/passwd", f"/blobs/{root}", "/blobs/sha256-wide1/" + TOO_LONG * 4):
        assert device.get(path)[0] in (403, 404), path
    assert device.get(f"/blobs/sha256-wide1/{root}", "POST", Content_Length="0")[0] == 400
    assert device.get(f"/blobs/sha256-wide1/{root}", "DELETE")[0] == 400
    assert device.get(f"/blobs/sha256-wide1/{root}")[2] == b"content"


def test_many_ranges_over_one_connection(device, operator):
    data = random.Random(2).randbytes(2 << 20)
    root = operator.put_content(data)
    connection = http.client.HTTPSConnection("localhost", device.fleet.device_port, timeout=30, context=device.tls())
    for i in range(0, len(data), 50000):
        connection.request("GET", f"/blobs/sha256-wide1/{root}", headers={"Range": f"bytes={i}-{i + 49999}"})
        assert connection.getresponse().read() == data[i:i + 50000]
    connection.close()


def test_a_reader_that_stops_costs_nothing(fleet, device, operator):
    """Backpressure: a large blob is not read ahead of the peer; one that hangs up is noticed."""
    data = random.Random(3).randbytes(48 << 20)
    root = operator.put_content(data)
    rss = lambda: int(open(f"/proc/{fleet.child.pid}/statm", encoding="ascii").read().split()[1]) * 4096
    before, sockets = rss(), []
    for _ in range(20):
        tls = device.tls().wrap_socket(socket.create_connection(("localhost", fleet.device_port)), server_hostname="localhost")
        tls.sendall(f"GET /blobs/sha256-wide1/{root} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        sockets.append(tls)
    time.sleep(1)
    started, cpu = time.monotonic(), cpu_seconds(fleet.child.pid)
    time.sleep(2)
    assert (cpu_seconds(fleet.child.pid) - cpu) / (time.monotonic() - started) < 0.2, "it spins"
    assert rss() - before < 32 << 20
    for tls in sockets:
        tls.close()
    time.sleep(1.5)
    cpu = cpu_seconds(fleet.child.pid)
    time.sleep(2)
    assert cpu_seconds(fleet.child.pid) - cpu < 0.4, "it spins on connections that are gone"


# Uploads


def stored(fleet, kind="blobs"):
    return sorted(path.name for path in (fleet.folder / kind).rglob("*") if path.is_file())


def test_an_upload_is_what_it_says_or_nothing(fleet, operator):
    data = random.Random(4).randbytes(1000000)
    root, tree = tree_of(data)
    wrong = root[:-1] + ("0" if root[-1] != "0" else "1")
    flipped = bytes([data[0] ^ 1]) + data[1:]
    for status, kind, name, body, size in (
            (400, "blobs", wrong, data, len(data)), (400, "blobs", root, flipped, len(data)), (400, "blobs", root, data[:-1], len(data)),
            (400, "blobs", root, data + b"x", len(data)), (400, "blobs", root, data, len(data) + 1),
            (400, "blobs", root, data, len(data) - 1), (400, "blobs", root, b"", 0), (400, "trees", root, tree[:-1], len(data)),
            (400, "trees", root, tree + b"x", len(data)), (400, "trees", root, b"x" * len(tree), len(data)),
            (400, "trees", wrong, tree, len(data)), (400, "trees", root, tree, len(data) + CHUNK)):
        assert operator.put(kind, name, body, size)[0] == status, (kind, len(body), size)
    assert operator("PUT", f"/blobs/{root}", data)[0] == 400, "no X-Fairlead-Size"
    assert operator.put("blobs", root, data, "-5")[0] == 400
    assert operator.put("blobs", "../token", data, len(data))[0] == 404
    assert operator.put("blobs", root, data, 1 << 40)[0] == 413
    assert operator("HEAD", f"/blobs/{root}")[0] == 404
    eventually(lambda: not stored(fleet, "tmp"), lambda: stored(fleet, "tmp"))
    assert stored(fleet) == [] == stored(fleet, "trees")
    assert operator.put("blobs", root, data, len(data))[0] == 201
    assert operator.put("trees", root, tree, len(data))[0] == 201
    assert operator.put("blobs", root, data, len(data))[0] == 200, "it is there"
    assert operator("HEAD", f"/blobs/{root}")[0] == 200 == operator("HEAD", f"/trees/{root}")[0]
    assert stored(fleet) == [root] == stored(fleet, "trees")
    assert (fleet.folder / "blobs/sha256-wide1" / root).read_bytes() == data
    assert {row[3] for row in audit(fleet)} >= {"blob.put", "tree.put"}


def test_the_empty_upload(operator, fleet):
    root, tree = tree_of(b"")
    assert operator.put("blobs", root, b"", 0)[0] == 201
    assert operator.put("trees", root, tree, 0)[0] == 201
    assert stored(fleet) == [root]


def test_uploads_that_break_off_leave_nothing(fleet, operator):
    data = random.Random(5).randbytes(3 << 20)
    root, _ = tree_of(data)
    for _ in range(5):
        context = ssl.create_default_context(cafile=str(fleet.ca))
        tls = context.wrap_socket(socket.create_connection(("localhost", fleet.api_port)), server_hostname="localhost")
        tls.sendall(f"PUT /api/v1/blobs/{root} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {operator.token}\r\n"
                    f"X-Fairlead-Size: {len(data)}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:2 << 20])
        tls.close()
    eventually(lambda: not stored(fleet, "tmp"), "the temporary files are gone")
    assert stored(fleet) == []


def test_uploads_of_the_same_blob_at_once(fleet, operator):
    data = random.Random(6).randbytes(4 << 20)
    root, _ = tree_of(data)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: operator.put("blobs", root, data, len(data))[0], range(6)))
    assert set(results) <= {200, 201} and 201 in results
    assert (fleet.folder / "blobs/sha256-wide1" / root).read_bytes() == data


def test_expect_100_continue(fleet, operator, tmp_path):
    data = random.Random(7).randbytes(2 << 20)
    root, _ = tree_of(data)
    (tmp_path / "blob").write_bytes(data)
    started = time.monotonic()
    out = run("curl", "-sS", "-w", "%{http_code}", "--cacert", fleet.ca, "-H", f"Authorization: Bearer {operator.token}", "-H",
              f"X-Fairlead-Size: {len(data)}", "-H", "Expect: 100-continue", "-T", tmp_path / "blob",
              f"{fleet.url}/api/v1/blobs/{root}")
    assert out == "{}201" and time.monotonic() - started < 0.9, "curl waited for the 100 in vain"


# Releases and roots


def test_releases_are_verified_and_complete(fleet, operator):
    data, stranger = b"image" * 100, ed25519.Ed25519PrivateKey.generate()
    document = release_document("2.0.0", 2, data)
    root, tree = tree_of(data)

    def post(*keys, document=document):
        return operator("POST", "/releases", envelope("release", document, *keys).encode())

    key = load_key(fleet.keys["release"])
    status, answer = post(key)
    assert (status, answer["code"]) == (409, "conflict") and root in answer["text"]
    assert operator.put("blobs", root, data, len(data))[0] == 201
    assert post(key)[0] == 409, "the tree lacks"
    assert operator.put("trees", root, tree, len(data))[0] == 201
    assert post(stranger)[0] == 403
    assert post(load_key(fleet.keys["dispatch"]))[0] == 403
    assert post()[0] in (400, 403)
    assert post(key, document={**document, "extra": 1})[0] == 400
    assert operator("POST", "/releases", b"{}")[0] == 400
    assert operator("GET", "/releases")[1] == {"releases": []}
    status, answer = post(key)
    assert (status, answer) == (201, {"digest": digest(compact(document).encode())})
    assert post(key)[0] == 200
    listed = operator("GET", "/releases")[1]["releases"]
    assert listed == [{"digest": answer["digest"], "product": PRODUCT, "version": "2.0.0", "created": document["created"],
                       "components": [{"name": "rootfs", "version": "2.0.0", "release_seq": 2, "size": len(data)}]}]
    kept = operator("GET", "/releases/" + answer["digest"])[1]
    assert json.loads(base64.b64decode(kept["payload"])) == document
    assert operator("GET", "/releases/sha256:" + "0" * 64)[0] == 404
    assert operator("GET", "/releases/nonsense")[0] == 404


def next_root(fleet, version=None, signers=("root1", "root2"), **changes):
    document = json.loads(fleet.keys.root.read_text())
    payload = json.loads(base64.b64decode(document["payload"]))
    payload["version"] = version or payload["version"] + 1
    payload.update(changes)
    return envelope("root", payload, *[load_key(fleet.keys[name]) for name in signers])


def test_roots_follow_each_other(fleet, operator, device):
    device.connect()
    assert operator("POST", "/root", next_root(fleet, signers=("root1",)).encode())[0] == 403
    assert operator("POST", "/root", next_root(fleet, signers=("release", "dispatch")).encode())[0] == 403
    assert operator("POST", "/root", next_root(fleet, version=3).encode())[0] == 409
    assert operator("POST", "/root", next_root(fleet, version=1).encode())[0] == 409
    assert operator("GET", "/status")[1]["root_version"] == 1
    text = next_root(fleet)
    assert operator("POST", "/root", text.encode()) == (201, {"version": 2})
    assert json.loads(device.next("roots")["envelopes"][0]["envelope"]) == json.loads(text)
    assert operator("GET", "/root")[1] == operator("GET", "/root/2")[1] == json.loads(text)
    assert operator("GET", "/root/1")[1] == json.loads(fleet.keys.root.read_text())
    assert operator("GET", "/root/3")[0] == 404 == operator("GET", "/root/x")[0]
    fleet.kill()
    fleet.child.wait()
    fleet.start()
    assert operator("GET", "/status")[1]["root_version"] == 2
    device.ws = None
    device.open().hello(root_version=1)
    assert json.loads(device.next("roots")["envelopes"][0]["envelope"]) == json.loads(text)


# Jobs and reports


def test_a_job_from_order_to_commit(fleet, device, operator):
    device.connect()
    release = operator.release()
    made = operator.deploy("gw-1", release)
    assert made["job_seq"] == 1
    message = device.next("job")
    job = opened(message["envelope"], "job", dispatch_key(fleet))
    assert job == {"type": "job", "spec": 1, "tenant": "default", "device_id": "gw-1", "identity": device.identity,
                   "epoch": job["epoch"], "job_seq": 1, "job_id": made["job_id"], "issued": job["issued"],
                   "expires": job["issued"] + 30 * 86400, "intent": "install", "release": release,
                   "urls": [f"https://localhost:{fleet.device_port}"], "root_version": 1}
    assert digest(base64.b64decode(json.loads(message["release"])["payload"])) == release
    assert device.get(job["urls"][0].split(str(fleet.device_port))[1] + "/blobs/sha256-wide1/" + tree_of(b"image")[0])[2] == b"image"
    assert operator.job(made["job_id"])["state"] == "queued"
    for state in ("received", "verified", "waiting_to_download"):
        device.report(state, made)
        assert operator.job(made["job_id"])["state"] == state
    device.report("waiting_to_activate", made, reason="window", text="outside the window", until=2000000000, next="window night")
    shown = operator.job(made["job_id"])
    assert {name: shown[name] for name in ("reason", "text", "until", "next", "version", "device_id", "intent")} == {
        "reason": "window", "text": "outside the window", "until": 2000000000, "next": "window night", "version": "2.0.0",
        "device_id": "gw-1", "intent": "install"}
    device.report("committed", made, components=[{"name": "rootfs", "slot": "b", "version": "2.0.0", "release_seq": 2,
                                                  "security_version": 1, "release": release}])
    shown = operator.job(made["job_id"])
    assert shown["state"] == "committed" and "until" not in shown and "reason" not in shown
    assert [step["state"] for step in shown["history"]] == ["received", "verified", "waiting_to_download", "waiting_to_activate",
                                                            "committed"]
    component = operator.device("gw-1")["components"][0]
    assert (component["version"], component["slot"], component["release"]) == ("2.0.0", "b", release)
    device.connect()
    assert device.silent("job"), "a final job is not sent again"


def test_an_undone_job_is_sent_at_every_connection(device, operator):
    release = operator.release()
    device.connect()
    first, second = operator.deploy("gw-1", release), operator.deploy("gw-1", release)
    assert (first["job_seq"], second["job_seq"]) == (1, 2)
    for _ in range(3):
        device.connect(job_seq=2)
        seqs = [json.loads(base64.b64decode(json.loads(device.next("job")["envelope"])["payload"]))["job_seq"] for _ in range(2)]
        assert seqs == [1, 2]
    device.report("cancelled", first, reason="superseded")
    device.connect()
    assert json.loads(base64.b64decode(json.loads(device.next("job")["envelope"])["payload"]))["job_seq"] == 2
    assert device.silent("job")


def test_reports_come_twice_and_late(device, operator):
    device.connect()
    job = operator.deploy("gw-1", operator.release())
    texts = {}
    for state in ("received", "verified", "staging", "staged"):
        device.report_seq += 1
        texts[device.report_seq] = device.report_text(state, job, device.report_seq)
    for seq in (1, 2, 1, 2, 4, 3, 4, 1):
        device.report("", seq=seq, raw=texts[seq])
    assert operator.job(job["job_id"])["state"] == "staged"
    assert [step["state"] for step in operator.job(job["job_id"])["history"]] == ["received", "verified", "staging", "staged"]
    device.report("rolled_back", job, reason="check_failed", text="unit x")
    device.report("committed", job)
    device.report("staging", job)
    assert operator.job(job["job_id"])["state"] == "rolled_back", "final stays final"
    assert operator.device("gw-1")["last_error"] == "rolled_back: check_failed: unit x"
    device.connect()
    device.report_seq = 2
    device.report("failed", job)  # number 3, other content
    assert ("report", "conflict") in operator.events("gw-1")


def test_forged_reports_change_nothing(fleet, device, new_device, operator):
    other = new_device("gw-2").join()
    device.connect()
    other.connect()
    job = operator.deploy("gw-1", operator.release())

    def changed(seq, **members):
        good = json.loads(device.report_text("failed", job, seq))
        payload = {**json.loads(base64.b64decode(good["payload"])), "state": "committed"}
        return compact({**good, "payload": base64.b64encode(compact(payload).encode()).decode(), **members})

    cases = {  # each is right but for one thing
        "by another key": lambda seq: device.report_text("committed", job, seq, key=ec.generate_private_key(ec.SECP256R1())),
        "by another device": lambda seq: device.report_text("committed", job, seq, key=other.key),
        "by the dispatch key": lambda seq: device.report_text("committed", job, seq, key=load_key(fleet.keys["dispatch"])),
        "unsigned": lambda seq: changed(seq, signatures=[]),
        "changed": changed,
        "of another device": lambda seq: device.report_text("committed", job, seq, device="gw-2"),
        "another number": lambda seq: device.report_text("committed", job, seq + 1),
        "another type": lambda seq: envelope("job", json.loads(base64.b64decode(json.loads(
            device.report_text("committed", job, seq))["payload"])), device.key),
        "nonsense": lambda seq: "nonsense",
        "null": lambda seq: "null",
    }
    for seq, (name, forge) in enumerate(cases.items(), 10):
        device.report("", seq=seq, raw=forge(seq), wait=False)
        device.next("report_ack")
        assert operator.job(job["job_id"])["state"] == "queued", name
    events = operator.events("gw-1")
    assert events.count(("report", "report_invalid")) == len(cases)
    other.report("committed", job)  # well signed, but not its job
    assert operator.job(job["job_id"])["state"] == "queued"
    assert ("report", "not_found") in operator.events("gw-2")
    assert operator.job(job["job_id"])["history"] == []


def test_refused_jobs_become_events(device, operator):
    device.connect()
    device.report("refused", reason="signature", text="job 5: not enough valid signatures")
    device.report("dancing", operator.deploy("gw-1", operator.release()))
    event = [e for e in operator.device("gw-1")["events"] if e["kind"] == "refused"][0]
    assert (event["code"], event["text"]) == ("signature", "job 5: not enough valid signatures")


def test_a_device_that_lost_its_store_is_told_where_to_go_on(device, operator):
    device.connect()
    for _ in range(3):
        device.report("refused", reason="signature")
    device.open().hello()
    assert device.next("welcome")["report_seq"] == 3


def test_deploying_what_cannot_fit(device, new_device, operator):
    device.connect()
    fits = operator.release()
    cases = [(404, "not_found", {"release": "sha256:" + "1" * 64}),
             (404, "not_found", {"device_id": "gw-9", "release": fits}),
             (409, "incompatible", {"release": operator.release("3.0.0", 3, class_id="another-class")}),
             (409, "incompatible", {"release": operator.release("3.0.1", 3, hw_rev_max=1), "device_id": "gw-2"}),
             (400, "bad_request", {}), (400, "bad_request", {"intent": "dance"}), (400, "bad_request", {"intent": "cancel"}),
             (400, "bad_request", {"release": fits, "expires_s": 5}), (400, "bad_request", {"intent": "inventory", "release": fits}),
             (400, "bad_request", {"release": "x"})]
    new_device("gw-2", hw_rev=5).join().connect()
    for status, code, body in cases:
        got, answer = operator("POST", "/jobs", {"device_id": "gw-1", "intent": "install", **body})
        assert (got, answer["code"]) == (status, code), body
    assert operator("GET", "/jobs")[1] == {"jobs": []}
    forced = operator.deploy("gw-1", cases[2][2]["release"], force=True)
    assert forced["job_seq"] == 1, "refused orders take no number"
    assert operator("DELETE", "/devices/gw-1")[0] == 200
    assert operator("POST", "/jobs", {"device_id": "gw-1", "intent": "install", "release": fits})[0] == 409


def test_deploying_backwards(device, operator):
    old = operator.release("1.0.0", 1, b"old")
    new = operator.release("2.0.0", 5, b"new", permits=[old])
    running = {"name": "rootfs", "version": "2.0.0", "release_seq": 5}
    device.connect(components=[{**running, "release": "sha256:" + "2" * 64}])
    status, answer = operator("POST", "/jobs", {"device_id": "gw-1", "intent": "rollback", "release": old})
    assert (status, answer["code"]) == (409, "downgrade")
    status, answer = operator("POST", "/jobs", {"device_id": "gw-1", "intent": "install", "release": new})
    assert (status, answer["code"]) == (409, "downgrade"), "the same number for another release"
    device.connect(components=[{**running, "release": new}])
    operator.deploy("gw-1", new)
    operator.deploy("gw-1", old, intent="rollback")


def test_cancelling(fleet, device, operator):
    device.connect()
    job = operator.deploy("gw-1", operator.release())
    sent = json.loads(device.next("job")["envelope"])
    status, cancel = operator("POST", f"/jobs/{job['job_id']}/cancel")
    assert status == 202 and cancel["job_seq"] == 2
    said = opened(device.next("job")["envelope"], "job", dispatch_key(fleet))
    assert (said["intent"], said["target"]) == ("cancel", digest(base64.b64decode(sent["payload"])))
    assert "release" not in said
    device.report("cancelled", job, reason="cancelled")
    assert operator("POST", f"/jobs/{job['job_id']}/cancel")[0] == 409
    assert operator("POST", f"/jobs/{uuid.uuid4()}/cancel")[0] == 404
    assert operator("POST", f"/jobs/{cancel['job_id']}/cancel")[0] == 409
    listed = operator("GET", "/jobs?device=gw-1&state=cancelled")[1]["jobs"]
    assert [one["job_id"] for one in listed] == [job["job_id"]]
    assert len(operator("GET", "/jobs?device=gw-1")[1]["jobs"]) == 2
    assert operator("GET", "/jobs?device=gw-2")[1]["jobs"] == []
    assert {one["job_id"] for one in operator.device("gw-1")["jobs"]} == {job["job_id"], cancel["job_id"]}


def test_progress_is_shown_and_not_kept(fleet, device, new_device, operator):
    other = new_device("gw-2").join().connect()
    device.connect()
    job = operator.deploy("gw-1", operator.release())
    other.send(type="progress", job_id=job["job_id"], done_bytes=99)
    device.send(type="progress", job_id=job["job_id"], component="rootfs", state="staging", done_bytes=10, total_bytes=20,
                fetched_bytes=5, rate_bytes_s=7)
    shown = eventually(lambda: operator.job(job["job_id"]).get("progress"), "progress")
    assert shown == {"component": "rootfs", "done_bytes": 10, "total_bytes": 20, "fetched_bytes": 5, "rate_bytes_s": 7}


def test_malformed_requests(operator, fleet):
    for path, method in (("/jobs", "POST"), ("/devices/gw-1", "PUT"), ("/releases", "POST"), ("/root", "POST")):
        for body in (b"", b"{", b"null", b"[]", b'{"a":1e5}', b"\xff\xfe", b"[" * 60000, b'{"device_id":"x","device_id":"y"}'):
            assert operator(method, path, body)[0] == 400, (path, body[:20])
        assert operator.raw(method, "/api/v1" + path, b"x" * (513 * 1024))[0] == 413
    assert operator("PUT", "/devices/Big", {"identity": "sha256:" + "0" * 64})[0] == 400
    assert operator("PUT", "/devices/x", {"identity": "sha256:" + "0" * 63})[0] == 400
    for path in ("", "/", "/jobs/", "/jobs/x/y", "/devices/a/b", "/blobs", "/jobs/" + TOO_LONG):
        assert operator("GET", path)[0] == 404, path
    assert operator("GET", "/jobs/x")[0] == 404
    assert operator.raw("GET", "/api/v1/" + "x" * 3000)[0] in (400, 404)
    with pytest.raises((http.client.HTTPException, OSError)):
        operator.raw("GET", "/api/v1/status", headers={"X-Long": "x" * 9000})
    assert operator("GET", "/status")[0] == 200


# Server-sent events


class Events:
    def __init__(self, operator, job_id):
        self.connection = operator.connection(30)
        self.connection.request("GET", f"/api/v1/jobs/{job_id}/events", headers={"Authorization": f"Bearer {operator.token}"})
        self.response = self.connection.getresponse()
        assert (self.response.status, self.response.getheader("content-type")) == (200, "text/event-stream")

    def next(self):
        """The next object, None at the end."""
        lines = []
        while True:
            line = self.response.readline().decode()
            if line == "":
                return None
            if line.startswith(":"):
                self.response.readline()
            elif line != "\n":
                lines.append(line.rstrip("\n"))
            elif lines:
                assert lines[0] == "event: job"
                return json.loads(lines[1].removeprefix("data: "))


def test_events_of_a_job(fleet, device, operator):
    device.connect()
    job = operator.deploy("gw-1", operator.release())
    events = Events(operator, job["job_id"])
    assert events.next()["state"] == "queued"
    for state in ("received", "staging"):
        device.report(state, job)
        assert events.next()["state"] == state
    device.send(type="progress", job_id=job["job_id"], done_bytes=1, total_bytes=2)
    assert events.next()["progress"]["done_bytes"] == 1
    started = time.monotonic()
    for i in range(40):
        device.report("staging", job, text=f"step {i}")
        time.sleep(0.025)
    device.report("failed", job, reason="no_source")
    seen = []
    while True:
        event = events.next()
        if event is None:
            break
        seen.append(event)
    assert (seen[-1]["state"], seen[-1]["reason"]) == ("failed", "no_source")
    assert len(seen) <= 4 * (time.monotonic() - started) + 2
    late = Events(operator, job["job_id"])
    assert late.next()["state"] == "failed" and late.next() is None
    assert operator("GET", f"/jobs/{uuid.uuid4()}/events")[0] == 404


def test_listeners_that_leave_cost_nothing(fleet, device, operator):
    device.connect()
    job = operator.deploy("gw-1", operator.release())
    for _ in range(300):  # more than may be open at once
        events = Events(operator, job["job_id"])
        events.next()
        events.response.close()
        events.connection.close()
    time.sleep(1.5)
    cpu = cpu_seconds(fleet.child.pid)
    time.sleep(2)
    assert cpu_seconds(fleet.child.pid) - cpu < 0.3, "it spins on streams that nobody reads"
    assert len(os.listdir(f"/proc/{fleet.child.pid}/fd")) < 60
    assert Events(operator, job["job_id"]).next()["state"] == "queued"


# What libwebsockets 4.1.6 would fall for


def talk(fleet, port, text, context=None, seconds=3):
    """What the server answers to raw bytes until it closes, or for some seconds."""
    context = context or ssl.create_default_context(cafile=str(fleet.ca))
    tls = context.wrap_socket(socket.create_connection(("localhost", port)), server_hostname="localhost")
    tls.settimeout(seconds)
    answer = b""
    try:
        tls.sendall(text)
        while True:
            part = tls.recv(65536)
            if not part:
                break
            answer += part
    except (socket.timeout, OSError):
        pass
    finally:
        tls.close()
    return answer


def test_hostile_http(fleet, device, operator):
    auth = f"Authorization: Bearer {operator.token}\r\n"
    root = operator.put_content(b"content")
    requests = {
        "an unknown upgrade": "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: nonsense\r\n\r\n",
        "an upgrade without a name": "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade:\r\n\r\n",
        "h2c": "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
               "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT": "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\nSSH-2.0-x\r\n" * 3,
        "a WebSocket": "GET /device HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                       "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "chunks": f"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n{auth}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "chunks and a length": f"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n{auth}Content-Length: 4\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "a negative length": f"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n{auth}Content-Length: -1\r\n\r\n{{}}",
        "two lengths": f"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n{auth}Content-Length: 2\r\nContent-Length: 9\r\n\r\n{{}}",
        "a huge length": f"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n{auth}Content-Length: 99999999999999999999\r\n\r\n{{}}",
        "no length": f"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n{{}}",
        "a body with GET": f"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n{auth}Content-Length: 5\r\n\r\nhello",
        "pipelining": f"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n" * 50,
        "pipelining on content": f"GET /blobs/sha256-wide1/{root} HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,
        "no host": f"GET /api/v1/status HTTP/1.1\r\n{auth}\r\n",
        "HTTP/1.0": f"GET /api/v1/status HTTP/1.0\r\n{auth}\r\n",
        "an absolute path": f"GET http://localhost/api/v1/status HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n",
        "binary": "\x16\x03\x01" + "\x00" * 2000,
        "a header of 64 KiB": "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + "x" * 65536 + "\r\n\r\n",
        "2,000 headers": "GET / HTTP/1.1\r\nHost: localhost\r\n" + "X-Y: z\r\n" * 2000 + "\r\n",
        "a broken escape": f"GET /api/v1/devices/%zz%0 HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n",
        "a zero byte": f"GET /api/v1/devices/%00 HTTP/1.1\r\nHost: localhost\r\n{auth}\r\n",
        "TRACE": "TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PRI": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    }
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = {(name, port): pool.submit(talk, fleet, port, text.encode("latin-1"), context)
                for name, text in requests.items()
                for port, context in ((fleet.api_port, None), (fleet.device_port, device.tls()))}
        answers = {key: job.result() for key, job in jobs.items()}
    assert fleet.child.poll() is None, fleet.log.read_text()[-3000:]
    assert operator("GET", "/status")[0] == 200
    device.connect()
    for name in ("chunks", "chunks and a length", "a negative length", "two lengths", "a huge length", "a body with GET", "no length"):
        answer = answers[name, fleet.api_port]
        assert answer.startswith(b"HTTP/1.1 400"), (name, answer[:100])
        assert answer.count(b"HTTP/1.1 ") == 1, (name, answer)
    assert operator("GET", "/jobs")[1]["jobs"] == []
    for port in (fleet.api_port, fleet.device_port):
        for name in ("an unknown upgrade", "h2c", "CONNECT", "a WebSocket"):
            assert b"101 " not in answers[name, port] and b"200 OK" not in answers[name, port], (name, answers[name, port][:80])
    cpu = cpu_seconds(fleet.child.pid)
    time.sleep(1)
    assert cpu_seconds(fleet.child.pid) - cpu < 0.3


def test_http2_is_not_offered(fleet):
    context = ssl.create_default_context(cafile=str(fleet.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls = context.wrap_socket(socket.create_connection(("localhost", fleet.api_port)), server_hostname="localhost")
    assert tls.selected_alpn_protocol() == "http/1.1"
    tls.close()


def test_slow_peers_are_cut_off(fleet, operator):
    """Slowloris in the handshake, in the head and in the body; others are served meanwhile."""
    context = ssl.create_default_context(cafile=str(fleet.ca))

    def drip(first, port, secs=60, tls=True):
        sock = socket.create_connection(("localhost", port))
        if tls:
            sock = context.wrap_socket(sock, server_hostname="localhost")
        started = time.monotonic()
        try:
            sock.sendall(first)
            while time.monotonic() - started < secs:
                sock.sendall(b"x")
                sock.settimeout(0.5)
                try:
                    if not sock.recv(100):
                        break
                except socket.timeout:
                    pass
        except OSError:
            pass
        finally:
            sock.close()
        return time.monotonic() - started

    auth = f"Authorization: Bearer {operator.token}\r\n"
    body = f"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\n{auth}Content-Length: 400000\r\n\r\n".encode()
    blob = body.replace(b"POST /api/v1/jobs", b"PUT /api/v1/blobs/" + b"0" * 64).replace(
        b"Content-Length", b"X-Fairlead-Size: 400000\r\nContent-Length")
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        drips = [pool.submit(drip, b"", fleet.device_port, 60, False) for _ in range(5)]
        drips += [pool.submit(drip, b"GET / HTTP/1.1\r\nX: ", fleet.api_port) for _ in range(20)]
        drips += [pool.submit(drip, body, fleet.api_port) for _ in range(5)]
        drips += [pool.submit(drip, blob, fleet.api_port) for _ in range(5)]
        time.sleep(1)
        started = time.monotonic()
        for _ in range(20):
            assert operator("GET", "/status")[0] == 200
        assert time.monotonic() - started < 5
        assert max(one.result() for one in drips) < 45


def test_connections_are_limited(fleet, device, operator):
    fleet.child.send_signal(signal.SIGTERM)
    fleet.child.wait(20)
    conf = fleet.folder / "fleet.conf"
    conf.write_text(conf.read_text().replace(f"max = {setting(fleet, 'max')}", "max = 12"))
    fleet.start()
    for i in range(60):  # neither half handshakes nor whole ones nor WebSockets are counted for ever
        with socket.create_connection(("localhost", fleet.api_port if i % 2 else fleet.device_port)) as sock:
            sock.sendall(b"\x16\x03\x01")
        operator("GET", "/status")
        device.open()
        device.close()
    held = [socket.create_connection(("localhost", fleet.api_port)) for _ in range(30)]
    with pytest.raises(OSError):
        operator.raw("GET", "/api/v1/status", timeout=3)
    for sock in held:
        sock.close()
    eventually(lambda: device.get("/blobs/sha256-wide1/" + "0" * 64)[0] == 404, "there is room again")
    device.connect()


# One bad device among good ones


def test_a_flooding_device_is_slowed_down(device, new_device, operator):
    """200 messages at once, then 50 a second; the others don't notice."""
    good = new_device("gw-2").join().connect()
    device.connect()
    last = os.urandom(32)
    worst, running = 0.0, True

    def watch():
        nonlocal worst
        while running:
            started = time.monotonic()
            good.send(type="nonce", nonce=base64.b64encode(b"2" * 32).decode())
            good.next("heartbeat")
            worst = max(worst, time.monotonic() - started)
            time.sleep(0.05)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        started = time.monotonic()
        for _ in range(499):
            device.send(type="nonce", nonce=base64.b64encode(b"1" * 32).decode())
        device.send(type="nonce", nonce=base64.b64encode(last).decode())
        while base64.b64decode(json.loads(base64.b64decode(json.loads(device.next("heartbeat")["envelope"])["payload"]))["nonce"]) != last:
            pass
        took = time.monotonic() - started
        running = False
        watching.result()
    assert 4 < took < 15, f"500 messages took {took:.1f} s"
    assert worst < 1.0, f"the other one waited {worst:.2f} s"
    assert operator("GET", "/status")[0] == 200


# Nothing that was acknowledged is lost


def test_killed_at_any_moment_nothing_acknowledged_is_lost(fleet, operator, tmp_path):
    """kill -9 while uploads, orders and reports run; what was answered must be there afterwards, and nothing half."""
    seed = int(os.environ.get("FAIRLEAD_SEED", str(random.randrange(1 << 30))))
    print("seed", seed)
    rng = random.Random(seed)
    device = Device(fleet, tmp_path / "devices", "gw-1").join()
    device.connect()
    release = operator.release()
    blobs, jobs, reported, rounds = {}, {}, {}, int(os.environ.get("FAIRLEAD_KILLS", "12"))
    outcome = {"seq": 0}

    def upload():
        data = rng.randbytes(rng.randrange(1, 3 << 20))
        root, tree = tree_of(data)
        while True:
            if operator.put("blobs", root, data, len(data))[0] in (200, 201):
                blobs[root] = hashlib.sha256(data).digest()
            data = rng.randbytes(rng.randrange(1, 1 << 20))
            root, tree = tree_of(data)

    def order():
        while True:
            made = operator.deploy("gw-1", release)
            jobs[made["job_id"]] = made["job_seq"]

    def report():
        mine = Device(fleet, tmp_path / "devices", "gw-1", key=device.key)
        mine.certificate.write_bytes(device.certificate.read_bytes())
        mine.open().hello()
        outcome["seq"] = max(outcome["seq"], mine.next("welcome").get("report_seq", 0))
        while True:
            for job_id, job_seq in list(jobs.items())[-1:]:
                seq = outcome["seq"] = outcome["seq"] + 1
                mine.report("staging", {"job_id": job_id, "job_seq": job_seq}, seq=seq, text=f"n {seq}")
                reported[seq] = job_id

    def until_it_dies(work):
        try:
            work()
        except Exception as error:  # the fleet died: that is the idea
            print(work.__name__, repr(error))

    for _ in range(rounds):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for work in (upload, upload, order, report):
                pool.submit(until_it_dies, work)
            time.sleep(rng.uniform(0.05, 1.2))
            fleet.kill()
        fleet.child.wait()
        fleet.start()
        for root, content in blobs.items():
            assert hashlib.sha256((fleet.folder / "blobs/sha256-wide1" / root).read_bytes()).digest() == content, f"seed {seed}"
        for name in stored(fleet):
            assert tree_of((fleet.folder / "blobs/sha256-wide1" / name).read_bytes())[0] == name, f"half a blob, seed {seed}"
        assert stored(fleet, "tmp") == []
        kept = {job["job_id"]: job["job_seq"] for job in operator("GET", "/jobs?limit=10000")[1]["jobs"]}
        assert jobs.items() <= kept.items(), f"seed {seed}"
        assert len(set(kept.values())) == len(kept), "a number given twice"
        with sqlite3.connect(f"file:{fleet.folder}/fleet.db?mode=ro", uri=True) as db:
            rows = dict(db.execute("SELECT report_seq, job_id FROM reports"))
        assert reported.items() <= rows.items(), f"seed {seed}"
        audit(fleet)
    assert blobs and jobs and reported
    device.connect()
    assert json.loads(base64.b64decode(json.loads(device.next("job")["envelope"])["payload"]))["job_seq"] == min(kept.values())


def test_the_audit_chain_tells_a_changed_row(fleet, device, operator):
    operator.deploy("gw-1", operator.release())
    rows = audit(fleet)
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert {row[3] for row in rows} >= {"root.add", "device.authorize", "device.enrol", "release.add", "job.create"}
    fleet.child.send_signal(signal.SIGTERM)
    fleet.child.wait(20)
    for change in ("UPDATE audit SET actor = 'nobody' WHERE seq = 2", "DELETE FROM audit WHERE seq = 3"):
        with sqlite3.connect(fleet.folder / "fleet.db") as db:
            db.execute(change)
        db.close()
        broken = run(BIN / "fairlead-fleet", "audit", fleet.folder, check=False)
        assert broken.returncode == 1 and "corrupt" in broken.stderr


def test_a_newer_database_is_left_alone(fleet):
    fleet.child.send_signal(signal.SIGTERM)
    fleet.child.wait(20)
    with sqlite3.connect(fleet.folder / "fleet.db") as db:
        db.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
    db.close()
    refused = run(BIN / "fairlead-fleet", "run", fleet.folder, check=False)
    assert refused.returncode == 1 and "newer" in refused.stderr
