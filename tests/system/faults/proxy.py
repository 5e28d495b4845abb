# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy that knows one word, CONNECT. Every name leads to this machine.

    with Proxy(user="site:secret") as proxy, Gateway(…, conf=f"[fleet]\nproxy = {proxy.url}\n") as gateway:
        …
    assert proxy.asked == {"fleet.invalid:8443"}

proxy.cut = lambda client: bytes or None    # client: "CONNECT host:port" head; the connection is reset after so many bytes
proxy.idle_s = 0.3                          # or, if it was to be cut, when nothing has passed for so long
"""
import asyncio
import base64
import re
import socket
import threading
import time

PIECE = 16384


class Proxy:
    def __init__(self, user=None):
        self.user, self.asked, self.refused = user, set(), 0
        self.cut, self.idle_s = None, None
        self.passed, self.cuts = 0, 0  # bytes down to clients; connections that were reset
        self.lengths = []  # bytes both ways of connections that are over
        self.loop, self.thread, self.server, self.port = asyncio.new_event_loop(), None, None, None

    def __enter__(self):
        sock = socket.create_server(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.call(self.listen(sock))
        return self

    def __exit__(self, *_):
        self.call(self.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    @property
    def url(self):
        return f"http://{self.user + '@' if self.user else ''}localhost:{self.port}"

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    async def listen(self, sock):
        self.server = await asyncio.start_server(self.serve, sock=sock)

    async def close(self):
        self.server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def admits(self, head):
        word = base64.b64encode((self.user or "").encode()).decode()
        return not self.user or re.search(rf"\r\nproxy-authorization: *basic {re.escape(word)}\r\n", head, re.I)

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            asked = re.match(r"CONNECT (\S+):(\d+) HTTP/1\.[01]\r\n", head)
            if not asked or not self.admits(head):
                self.refused += 1
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            self.asked.add(f"{asked[1]}:{asked[2]}")
            source, sink = await asyncio.open_connection("127.0.0.1", int(asked[2]))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for side in (writer, sink):
                side.transport.set_write_buffer_limits(high=0)  # what passed has left us
            tunnel = Tunnel(self, self.cut(head) if self.cut else None)
            try:
                await asyncio.gather(tunnel.pump(reader, sink, up=True), tunnel.pump(source, writer), tunnel.watch())
            finally:
                self.lengths.append(tunnel.length)
                sink.transport.abort()
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()


class Tunnel:
    """One connection, and how many bytes it may still pass."""

    def __init__(self, proxy, left):
        self.proxy, self.left, self.length, self.last, self.over = proxy, left, 0, time.monotonic(), False

    def reset(self):
        self.proxy.cuts += not self.over
        self.over = True
        raise ConnectionResetError

    async def watch(self):
        while self.left is not None and self.proxy.idle_s:
            await asyncio.sleep(self.proxy.idle_s / 4)
            if time.monotonic() - self.last > self.proxy.idle_s:
                self.reset()

    async def pump(self, source, sink, up=False):
        while data := await source.read(PIECE):
            data = data if self.left is None else data[:self.left]
            self.proxy.passed += 0 if up else len(data)
            self.length += len(data)
            self.last = time.monotonic()
            sink.write(data)
            await sink.drain()
            if self.left is not None:
                self.left -= len(data)
                if self.left <= 0:
                    self.reset()
        raise EOFError
