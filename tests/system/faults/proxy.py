# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy that knows one word, CONNECT. Every name leads to this machine.

    with Proxy(user="site:secret") as proxy, Gateway(…, conf=f"[fleet]\nproxy = {proxy.url}\n") as gateway:
        …
    assert proxy.asked == {"fleet.invalid:8443"}
"""
import asyncio
import base64
import re
import socket
import threading

PIECE = 16384


class Proxy:
    def __init__(self, user=None):
        self.user, self.asked, self.refused = user, set(), 0
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
            try:
                await asyncio.gather(self.pump(reader, sink), self.pump(source, writer))
            finally:
                sink.transport.abort()
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.transport.abort()

    @staticmethod
    async def pump(source, sink):
        while data := await source.read(PIECE):
            sink.write(data)
            await sink.drain()
        raise EOFError
