# SPDX-License-Identifier: Apache-2.0
"""A content server on another host's port whose URLs are good for a while only, as those of an object store."""
import http.server
import itertools
import re
import ssl
import threading
from pathlib import Path

from harness import free_ports


class Cdn:
    """HTTPS over the folder of a release; url() signs one more URL, which is good for so many bytes."""

    def __init__(self, fleet, release, good_for):
        self.port, = free_ports(1)
        self.release, self.good_for, self.fleet = Path(release), good_for, fleet
        self.numbers, self.left, self.served, self.certificates = itertools.count(1), {}, 0, []
        cdn = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # pylint: disable=invalid-name
                cdn.answer(self)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*fleet.server_identity)
        context.load_verify_locations(fleet.device_ca)
        context.verify_mode = ssl.CERT_OPTIONAL
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def url(self, request):
        """Of a Request (hostile.py)."""
        number = next(self.numbers)
        self.left[str(number)] = self.good_for
        return f"https://{self.fleet.host}:{self.port}/{request.kind}/sha256-wide1/{request.root}?signature={number}"

    def answer(self, client):
        path, _, signature = client.path.partition("?signature=")
        self.certificates.append(client.connection.getpeercert())
        if self.left.get(signature, 0) <= 0:
            client.send_error(403, "Request has expired")
            return
        data = (self.release / path.lstrip("/")).read_bytes()
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", client.headers["Range"]).groups())
        body = data[first:last + 1]
        client.send_response(206)
        client.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        client.send_header("Content-Length", str(len(body)))
        client.end_headers()
        good = body[:self.left[signature]]
        self.left[signature] -= len(good)
        self.served += len(good)
        client.wfile.write(good)
        client.close_connection = len(good) < len(body)
