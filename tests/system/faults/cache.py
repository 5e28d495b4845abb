# SPDX-License-Identifier: Apache-2.0
"""A cache at a gateway's site."""
import contextlib
import socket
import subprocess

from harness import eventually, free_ports


class Cache:
    """busybox httpd over the folder of a release."""

    def __init__(self, release):
        self.port, = free_ports(1)
        self.release, self.process = release, None

    def __enter__(self):
        self.process = subprocess.Popen(["busybox", "httpd", "-f", "-p", f"127.0.0.1:{self.port}", "-h", self.release],
                                        stdin=subprocess.DEVNULL)
        eventually(self.answers, "the cache answers")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False

    @property
    def conf(self):
        return f"\n[download]\nsource = {self.url}\n"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"
