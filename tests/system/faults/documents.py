# SPDX-License-Identifier: Apache-2.0
"""Signed documents and hash trees made without our own code, from docs/formats.md, so that the two check each other."""
import base64
import hashlib
import json
import struct
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

CHUNK = 65536


class Key:
    """A private key of a file as `fairlead keys` writes it."""

    def __init__(self, path):
        self.private = serialization.load_pem_private_key(Path(path).read_bytes(), None)
        spki = self.private.public_key().public_bytes(serialization.Encoding.DER,
                                                      serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha256(spki).hexdigest()

    def sign(self, data):
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(data)
        r, s = utils.decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def signed_bytes(kind, payload):
    """What DSSE signs."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def payload_type(name):
    return f"application/vnd.fairlead.{name}.v1+json"


def envelope(name, document, *keys):
    """The envelope of a document (a dict, or the bytes of its payload), signed by the keys."""
    payload = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    kind = payload_type(name)
    signatures = [{"keyid": key.id, "sig": base64.b64encode(key.sign(signed_bytes(kind, payload))).decode()} for key in keys]
    return json.dumps({"payloadType": kind, "payload": base64.b64encode(payload).decode(), "signatures": signatures},
                      separators=(",", ":"))


def payload(text):
    """The payload's bytes of an envelope."""
    return base64.b64decode(json.loads(text)["payload"])


def document(text):
    return json.loads(payload(text))


def digest(text):
    """The identity of an envelope's document."""
    return "sha256:" + hashlib.sha256(payload(text)).hexdigest()


def change(text, name, key, **members):
    """The same document with other members (None: without it), properly signed by `key`."""
    changed = {**document(text), **members}
    return envelope(name, {name: value for name, value in changed.items() if value is not None}, key)


def verifies(text, public_key, name):
    """Whether an envelope is signed by this public key (a cryptography object)."""
    data = signed_bytes(payload_type(name), payload(text))
    for signature in json.loads(text)["signatures"]:
        raw = base64.b64decode(signature["sig"])
        try:
            if isinstance(public_key, ed25519.Ed25519PublicKey):
                public_key.verify(raw, data)
            else:
                der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
                public_key.verify(der, data, ec.ECDSA(hashes.SHA256()))
            return True
        except Exception:  # pylint: disable=broad-except
            continue
    return False


def flip_bit(data, bit):
    """bytes with one bit the other way round."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def flip_payload(text, bit):
    """The envelope with one bit of its payload flipped; it stays well-formed base64."""
    whole = json.loads(text)
    whole["payload"] = base64.b64encode(flip_bit(base64.b64decode(whole["payload"]), bit)).decode()
    return json.dumps(whole, separators=(",", ":"))


def flip_signature(text, bit):
    """The envelope with one bit of every signature flipped."""
    whole = json.loads(text)
    for signature in whole["signatures"]:
        signature["sig"] = base64.b64encode(flip_bit(base64.b64decode(signature["sig"]), bit)).decode()
    return json.dumps(whole, separators=(",", ":"))


# sha256-wide1


def _leaf(index, data):
    return hashlib.sha256(b"\0\0" + struct.pack(">QI", index, len(data)) + data).digest()


def tree(content):
    """(root in hexadecimal, tree object) of these bytes."""
    hashes_below = [_leaf(i, content[i * CHUNK:(i + 1) * CHUNK]) for i in range(max(1, -(-len(content) // CHUNK)))]
    levels, level = [], 1
    while True:
        pages = [b"".join(hashes_below[i:i + 2048]) for i in range(0, len(hashes_below), 2048)]
        levels.insert(0, pages)
        hashes_below = [hashlib.sha256(bytes((1, level)) + struct.pack(">QI", j, len(page)) + page).digest()
                        for j, page in enumerate(pages)]
        if len(pages) == 1:
            break
        level += 1
    top = struct.pack(">IQ", CHUNK, len(content)) + hashes_below[0]
    root = hashlib.sha256(b"\2\0" + struct.pack(">QI", 0, len(top)) + top).hexdigest()
    return root, b"".join(page for pages in levels for page in pages)


def frames(blob):
    """(image size, frame size, [(offset, length)]) of a transport in the format zstd-frames."""
    magic, version, size, frame, count = struct.unpack_from(">4sIQII", blob)
    assert magic == b"FLZF" and version == 1
    return size, frame, [struct.unpack_from(">QI", blob, 24 + 12 * k) for k in range(count)]
