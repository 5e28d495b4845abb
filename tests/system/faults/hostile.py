# SPDX-License-Identifier: Apache-2.0
"""A hostile fleet: it stands between gateways and their fleet, holds the fleet's TLS key and the dispatch key, and no other.

    with HostileFleet(fleet) as hostile, Gateway(…, via=hostile) as gateway:
        hostile.down["job"] = lambda message: {**message, "envelope": spoil(message["envelope"])}

What nobody changes passes through, so the gateway's reports reach the real fleet and its jobs can be looked at there.
All downloads come through it as well (it signs the jobs anew with its own URL), are counted, and can be held, slowed,
cut or answered by the test.
"""
import asyncio
import contextlib
import json
import re
import socket
import ssl
import threading
from collections import Counter
from dataclasses import dataclass, field

from harness import eventually, free_ports

from . import documents, websocket

PIECE = 16384
HEAD_LIMIT = 65536


@dataclass
class Request:
    """A download that a gateway asks for."""
    device: str
    kind: str  # blobs, trees
    root: str
    first: int
    last: int
    head: bytes

    @property
    def size(self):
        return self.last - self.first + 1


@dataclass
class Answer:
    """What the test answers to it. `length`: the Content-Length that is told, if not the body's; then the connection ends."""
    status: str = "206 Partial Content"
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    length: int = None
    bytes_per_second: float = None
    endless: bool = False

    @classmethod
    def of_range(cls, request, body, total, **more):
        """The answer of an honest server for the range, with any body."""
        return cls(headers={"Content-Range": f"bytes {request.first}-{request.last}/{total}"}, body=body, **more)


class HostileFleet:
    def __init__(self, fleet):
        self.fleet, self.host = fleet, fleet.host
        self.device_port, = free_ports(1)
        self.api_port, self.keys, self.ca = fleet.api_port, fleet.keys, fleet.ca
        self.base = f"https://{self.host}:{self.device_port}/"
        self.dispatch = documents.Key(fleet.keys["dispatch"])
        self.down, self.up = {}, {}     # by message type: function of the message → message, text, list of them, or None
        self.content = None             # function of a Request → Answer, or None to let it pass
        self.served = Counter()         # bytes of blobs, by device
        self.requests, self.messages, self.errors = [], [], []
        self.holds, self.held = {}, {}  # by device: downloads stand still after so many bytes …, … and an event says so
        self.bytes_per_second = None
        self.device = None              # the last gateway that was registered: the one that is meant when none is named
        self.identities, self.renamed, self.links, self.tasks, self.tunnels = {}, {}, {}, set(), set()
        self.loop, self.thread, self.server = asyncio.new_event_loop(), None, None

    def __getattr__(self, name):
        """The operator's side is the fleet's own."""
        return getattr(self.fleet, name)

    # life

    def __enter__(self):
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.call(self.listen())
        return self

    def __exit__(self, kind, *_):
        self.call(self.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
        assert kind or not self.errors, self.errors

    def call(self, coroutine, timeout=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    async def listen(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.fleet.server_identity)
        context.load_verify_locations(self.fleet.device_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        sock = socket.create_server(("127.0.0.1", self.device_port))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        self.server = await asyncio.start_server(self.serve, sock=sock, ssl=context, limit=1 << 20)

    async def close(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def register(self, gateway):
        """Called by Gateway: with this device's key its connections are passed on."""
        self.device = gateway.id
        self.identities[gateway.id] = gateway.folder / "var/identity"

    # what a test does

    def send(self, device, message):
        """A message of our own to the device."""
        self.wait_link(device)
        self.call(self.put(self.links[device], message))

    def wait_link(self, device=None, other_than=None, timeout=60):
        """Its present connection, and not the one named."""
        device = device or self.device
        return eventually(lambda: (link := self.links.get(device)) is not other_than and link, f"{device} connects", timeout)

    def cut(self):
        """Every connection is reset."""
        self.call(self.abort_all())

    async def abort_all(self, links=True):
        for task in list(self.tasks):
            if links or task not in self.tunnels:
                task.cancel()

    def cut_downloads(self):
        """Every download is reset, the messages go on."""
        self.call(self.abort_all(links=False))

    def hold(self, after, device=None):
        """Downloads stop after so many bytes of blobs, until release() or a greater `after`."""
        device = device or self.device
        self.held[device] = threading.Event()
        self.holds[device] = after

    def wait_held(self, device=None, timeout=60):
        assert self.held[device or self.device].wait(timeout), f"the download was not held: {self.served}"

    def release(self, device=None):
        self.holds.pop(device or self.device, None)

    def of_type(self, kind, direction="up"):
        return [message for device, way, message in self.messages
                if (device, way, message.get("type")) == (self.device, direction, kind)]

    def be_honest(self):
        """No rule is left."""
        self.down.clear()
        self.up.clear()
        self.content = self.bytes_per_second = None
        self.holds.clear()
        self.requests.clear()

    # connections

    async def serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        writer.transport.set_write_buffer_limits(high=PIECE)
        subject = dict(pair for part in writer.get_extra_info("peercert")["subject"] for pair in part)
        try:
            await self.converse(subject["commonName"], reader, writer)
        except (OSError, EOFError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(repr(error))
        finally:
            writer.transport.abort()
            self.tasks.discard(task)
            self.tunnels.discard(task)

    async def converse(self, device, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path = head.split(b" ", 2)[:2]
            if path == b"/device":
                self.tunnels.add(asyncio.current_task())
                await self.tunnel(device, head, reader, writer)
                return
            found = re.fullmatch(rb"/(blobs|trees)/sha256-wide1/([0-9a-f]{64})", path)
            asked = re.search(rb"\r\nRange: bytes=(\d+)-(\d+)\r\n", head, re.I)
            if method != b"GET" or not found or not asked:
                raise AssertionError(f"unexpected request {head!r}")
            request = Request(device, found[1].decode(), found[2].decode(), int(asked[1]), int(asked[2]), head)
            self.requests.append(request)
            answer = self.content(request) if self.content else None
            if answer:
                await self.answer(request, answer, writer)
            else:
                await self.pass_on(request, writer)

    async def upstream(self, device):
        folder = self.identities[device]
        context = ssl.create_default_context(cafile=self.fleet.ca)
        context.load_cert_chain(folder / "device.pem", folder / "device.key")
        return await asyncio.open_connection("127.0.0.1", self.fleet.device_port, ssl=context, server_hostname=self.host,
                                             limit=1 << 20)

    # downloads

    async def write_body(self, request, writer, data):
        if self.bytes_per_second:
            await asyncio.sleep(len(data) / self.bytes_per_second)
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0)  # drain alone lets nobody else run, and so never hears that the peer is gone
        if request.kind == "blobs":
            self.served[request.device] += len(data)
        while self.served[request.device] >= self.holds.get(request.device, 1 << 60):
            self.held[request.device].set()
            await asyncio.sleep(0.005)

    async def pass_on(self, request, writer):
        source, sink = await self.upstream(request.device)
        try:
            sink.write(request.head)
            head = (await source.readuntil(b"\r\n\r\n"))
            left = int(re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)[1])
            writer.write(re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.I))
            while left > 0:
                data = await source.readexactly(min(left, PIECE))
                left -= len(data)
                await self.write_body(request, writer, data)
            await writer.drain()
        finally:
            sink.transport.abort()

    async def answer(self, request, answer, writer):
        length = len(answer.body) if answer.length is None else answer.length
        lines = [f"HTTP/1.1 {answer.status}", f"Content-Length: {length}",
                 *(f"{name}: {value}" for name, value in answer.headers.items())]
        if answer.endless:
            lines[1] = "Transfer-Encoding: chunked"
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        body = answer.body
        while body:
            step = 1 if answer.bytes_per_second else PIECE
            await self.write_body(request, writer, body[:step])
            body = body[step:]
            if answer.bytes_per_second:
                await asyncio.sleep(1 / answer.bytes_per_second)
        while answer.endless:
            await self.write_body(request, writer, b"%x\r\n" % PIECE + bytes(PIECE) + b"\r\n")
        if length != len(answer.body):
            writer.close()
            await writer.wait_closed()
            raise EOFError

    # messages

    async def put(self, link, message):
        text = message if isinstance(message, (str, bytes)) else json.dumps(message, separators=(",", ":"))
        link.write(websocket.frame(websocket.TEXT, text.encode() if isinstance(text, str) else text, False))
        await link.drain()

    def through(self, rules, device, way, data):
        """The messages that become of one."""
        message = json.loads(data)
        self.messages.append((device, way, message))
        if way == "down" and message["type"] == "job":
            message = self.take_over(message)
        rule = rules.get(message.get("type"))
        made = rule(message) if rule else message
        return made if isinstance(made, list) else [] if made is None else [made]

    def take_over(self, message):
        """The same job with our URL, signed with the dispatch key that every fleet has."""
        text = message["envelope"]
        job = documents.document(text)
        changes = {"urls": [self.base]} if "urls" in job else {}
        if job.get("target") in self.renamed:
            changes["target"] = self.renamed[job["target"]]
        if not changes:
            return message
        new = documents.change(text, "job", self.dispatch, **changes)
        self.renamed[documents.digest(text)] = documents.digest(new)
        return {**message, "envelope": new}

    async def pump(self, device, way, source, sink, rules):
        masked = way == "up"
        while True:
            opcode, data = await websocket.read_message(source)
            made = self.through(rules, device, way, data) if opcode == websocket.TEXT else [data]
            for message in made:
                text = message if isinstance(message, (bytes, str)) else json.dumps(message, separators=(",", ":"))
                text = text.encode() if isinstance(text, str) else text
                sink.write(websocket.frame(opcode, text, masked))
            await sink.drain()
            if opcode == websocket.CLOSE:
                return

    async def tunnel(self, device, head, reader, writer):
        source, sink = await self.upstream(device)
        try:
            sink.write(head)
            reply = await source.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await writer.drain()
            if not reply.startswith(b"HTTP/1.1 101"):
                return
            self.links[device] = writer
            pumps = [asyncio.ensure_future(self.pump(device, "up", reader, sink, self.up)),
                     asyncio.ensure_future(self.pump(device, "down", source, writer, self.down))]
            try:
                done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
            finally:
                for one in pumps:
                    one.cancel()
                with contextlib.suppress(BaseException):
                    await asyncio.gather(*pumps, return_exceptions=True)
                if self.links.get(device) is writer:
                    del self.links[device]
        finally:
            sink.transport.abort()
