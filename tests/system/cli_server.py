# SPDX-License-Identifier: Apache-2.0
"""A fleet that answers what a test wants, over TLS: for what a real fleet never does to its operators.

    with Server(tmp_path) as server:
        server.answers["GET", "/api/v1/status"] = lambda request: (200, {"version": "1"})
        done = server.fairlead("status")
"""
import http.server
import json
import os
import ssl
import subprocess
import threading

from harness import BIN, ENVIRONMENT


def make_ca(folder, name):
    """A CA and a certificate for localhost under it: (CA, chain with key)."""
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    key, ca, leaf_key, request, leaf, chain = (folder / f"{name}{end}" for end in
                                               (".key", ".pem", "-leaf.key", ".csr", "-leaf.pem", "-chain.pem"))
    ec = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    openssl("genpkey", *ec, "-out", key)
    openssl("req", "-x509", "-new", "-key", key, "-subj", f"/CN={name}", "-days", "2", "-out", ca)
    openssl("genpkey", *ec, "-out", leaf_key)
    openssl("req", "-new", "-key", leaf_key, "-subj", "/CN=localhost", "-out", request)
    names = folder / f"{name}.names"
    names.write_text("subjectAltName=DNS:localhost\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", "2", "-extfile", names,
            "-out", leaf)
    chain.write_text(leaf.read_text() + leaf_key.read_text())
    return ca, chain


class Handler(http.server.BaseHTTPRequestHandler):
    """Looks the request up in server.answers; an answer is (status, body or generator of bytes, headers)."""
    protocol_version = "HTTP/1.1"

    def answer(self):
        fleet = self.server.fleet
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        path = self.path.split("?")[0]
        fleet.requests.append((self.command, self.path, dict(self.headers), self.body))
        function = fleet.answers.get((self.command, path), lambda _: (404, {"code": "not_found", "text": "nothing there"}))
        status, body, *more = function(self)
        self.send_response(status)
        for name, value in (more[0] if more else {}).items():
            self.send_header(name, value)
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            return
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for piece in body:
            self.wfile.write(piece)
            self.wfile.flush()

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer

    def log_message(self, *_):
        pass


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Server:
    def __init__(self, folder):
        self.folder, self.answers, self.requests = folder, {}, []
        self.ca, chain = make_ca(folder, "fleet")
        self.token = folder / "token"
        self.token.write_text("c2VjcmV0\n")
        self.token.chmod(0o600)
        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.server.fleet = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        # The handshake is made in the thread of its connection: a client that refuses us must not end the server.
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def environment(self, **more):
        proxies = {name: value for name, value in ENVIRONMENT.items() if not name.lower().endswith("_proxy")}
        return {**proxies, "FAIRLEAD_FLEET": self.url, "FAIRLEAD_TOKEN_FILE": str(self.token), "FAIRLEAD_CA": str(self.ca),
                **more}

    def fairlead(self, *arguments, timeout=60, **more):
        return subprocess.run([BIN / "fairlead", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=timeout, env=self.environment(**more), cwd=self.folder)

    def seen(self, method, path=None):
        return [one for one in self.requests if one[0] == method and path in (None, one[1].split("?")[0])]
