# SPDX-License-Identifier: Apache-2.0
"""A small file system of a gateway's own, and how it gets full."""
import contextlib
import os
from pathlib import Path


def small_disk(mount_point, mib):
    """The start of a command line: what follows has a small file system of its own there. Root or not."""
    mount = f'mount -t tmpfs -o size={mib}m,mode=0755 none "{mount_point}"'
    if os.getuid() == 0:
        return ("unshare", "--mount", "--", "sh", "-c", f'{mount} && exec "$0" "$@"')
    back = f"unshare --user --map-user={os.getuid()} --map-group={os.getgid()} --"
    return ("unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", f'{mount} && exec {back} "$0" "$@"')


class SmallDisk:
    """The inside of that file system, seen from here."""

    def __init__(self, gateway, mount_point):
        self.gateway, self.mount_point = gateway, mount_point

    @property
    def path(self):
        return Path(f"/proc/{self.gateway.child.pid}/root{self.gateway.folder / self.mount_point}")

    def fill(self):
        """Until nothing more fits."""
        with open(self.path / "ballast", "ab", buffering=0) as ballast:
            with contextlib.suppress(OSError):
                while ballast.write(bytes(4096)):
                    pass

    def make_room(self):
        (self.path / "ballast").unlink()
