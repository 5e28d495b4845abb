# SPDX-License-Identifier: Apache-2.0
"""Real boot loaders in QEMU under software emulation: disks made without root, loop devices or mounts; a small guest.

    kit = Kit.ready()                                       # kernel, initramfs: made once per build folder
    disk = Disk(path, [Part("uboot-env", 1), Part("boot", 16), Part("slot-a", 96), Part("slot-b", 96)])
    disk.ext4("slot-a", slot_tree(folder, kit, "a", "poweroff -f"))
    text = Machine(disk, ["-bios", rom]).run()              # until the guest powers off
    assert boots(text) == ["a"]

A slot is an ext4 file system with /boot/vmlinuz, /boot/initrd.img, busybox and /etc/test, a script that its init runs. The
initramfs mounts what root= names, panics if it can't, and so does the kernel when init ends: with panic=1 the machine then
starts again. Every start prints one line, `GUEST slot=NAME content=LETTER`, that boots() collects.
"""
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from harness import BIN, BUILD, ROOT, run

MIB = 1 << 20
MODULES = ("virtio_pci", "virtio_blk", "vfat", "nls_cp437", "nls_ascii")
KERNEL = "linux-image-cloud-amd64"
# Every guest starts again when it panics; on a busy host its timer seems not to tick, which is no reason to.
ARGS = "quiet panic=1 no_timer_check"

INITRAMFS_INIT = """#!/bin/busybox sh
export PATH=/bin
mkdir -p /proc /sys /dev /root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read module; do insmod /modules/$module; done </modules/order
for word in $(cat /proc/cmdline); do
  case $word in root=*) root=${word#root=} ;; esac
done
for i in 1 2 3 4 5 6 7 8 9 10; do
  device=$(/sbin/findfs "$root") && break
  sleep 0.1
done
mount -t ext4 -o ro "$device" /root || { echo "GUEST no root '$root'"; exit 1; }
exec switch_root /root /sbin/init
"""

SLOT_INIT = """#!/bin/busybox sh
export PATH=/usr/bin:/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mkdir -p /dev/disk/by-partlabel
for entry in /sys/class/block/*; do
  label=$(sed -n 's/^PARTNAME=//p' "$entry/uevent")
  case $label in ''|slot-*) ;; *) ln -s "/dev/${entry##*/}" "/dev/disk/by-partlabel/$label" ;; esac
done
for word in $(cat /proc/cmdline); do
  case $word in
    fairlead.slot=*) slot=${word#*=} ;;
    roothash=*) hash=" roothash=${word#*=}" ;;
  esac
done
echo "GUEST slot=$slot content=$(cat /etc/slot)$hash"
. /etc/test
sync
poweroff -f
sleep 60
"""


@dataclass
class Part:
    label: str
    mib: int
    kind: str = "linux"  # as sfdisk names it: linux, uefi, 21686148-… (BIOS boot)
    attrs: str = ""  # U-Boot looks for its script on "LegacyBIOSBootable"


def as_user(*command, cwd=None):
    return run("sh", "-c", 'cd "$1"; shift; exec "$@"', "sh", cwd or ".", *command, timeout=300)


class Kit:
    """What all guests share, below build/guest: kernel and initramfs. Made by an ordinary user, from Debian packages."""

    package, modules, init = KERNEL, MODULES, INITRAMFS_INIT

    def __init__(self, folder):
        self.folder, self.kernel, self.initramfs = folder, folder / "vmlinuz", folder / "initrd.img"

    @classmethod
    def ready(cls):
        depends = run("apt-cache", "depends", cls.package)
        package = re.search(r"Depends: (linux-image-[0-9]\S+)", depends)[1]
        content = hashlib.sha256(f"{cls.modules}{cls.init}".encode()).hexdigest()[:8]
        kit = cls(BUILD.parent / "guest" / f"{package}-{content}")
        kit.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(kit.folder.parent / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # files of tests run side by side
            if not kit.initramfs.exists():
                with tempfile.TemporaryDirectory(dir=kit.folder.parent) as scratch:
                    made = cls(Path(scratch) / "kit")
                    made.make(package)
                    shutil.rmtree(kit.folder, ignore_errors=True)
                    os.rename(made.folder, kit.folder)
        return kit

    def make(self, package):
        self.folder.mkdir()
        as_user("apt-get", "download", "-q", package, cwd=self.folder)
        deb = next(self.folder.glob("*.deb"))
        run("dpkg-deb", "-x", deb, self.folder / "deb")
        deb.unlink()
        shutil.copy(next(self.folder.glob("deb/boot/vmlinuz-*")), self.kernel)
        self.make_initramfs(package.removeprefix("linux-image-"))
        shutil.rmtree(self.folder / "deb")

    def make_initramfs(self, version):
        tree = self.folder / "tree"
        busybox_tree(tree)
        (tree / "modules").mkdir()
        for name in ("/sbin/findfs", "/sbin/blkid"):
            copy_program(name, tree)
        run("depmod", "-b", self.folder / "deb", version)
        needed = run("modprobe", "-d", self.folder / "deb", "-S", version, "-a", "--show-depends", *self.modules)
        paths = [line.split()[1] for line in needed.splitlines() if line.startswith("insmod ")]
        paths = list(dict.fromkeys(paths))
        for path in paths:
            shutil.copy(path, tree / "modules")
        (tree / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in paths))
        write_program(tree / "init", self.init)
        run("sh", "-c", f"cd '{tree}' && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1 >'{self.initramfs}'")
        shutil.rmtree(tree)


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def busybox_tree(tree):
    (tree / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for name in run("/bin/busybox", "--list").split():
        if name != "busybox":
            (tree / "bin" / name).symlink_to("busybox")


def copy_program(path, tree, name=None):
    """A program and the libraries it needs."""
    target = tree / (name or str(path).lstrip("/"))
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)
    for library in re.findall(r"(/\S+) \(0x", run("ldd", path)):
        to = tree / library.lstrip("/")
        if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, to)


def slot_tree(folder, kit, letter, test, files=None):
    """The content of a slot; `test` is what its init runs; files: {path: text}. fairlead-boot is there when it is built."""
    tree = Path(folder) / f"tree-{letter}"
    shutil.rmtree(tree, ignore_errors=True)
    busybox_tree(tree)
    for name in ("boot", "proc", "sys", "dev", "tmp", "etc", "sbin"):
        (tree / name).mkdir(exist_ok=True)
    shutil.copy(kit.kernel, tree / "boot/vmlinuz")
    shutil.copy(kit.initramfs, tree / "boot/initrd.img")
    copy_program(BIN / "fairlead-boot", tree, "usr/bin/fairlead-boot")
    (tree / "etc/slot").write_text(f"{letter}\n")
    (tree / "etc/test").write_text(test + "\n")
    write_program(tree / "sbin/init", SLOT_INIT)
    for path, text in (files or {}).items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    return tree


def kernel_tree(folder, kit, letter):
    """The content of a slot's kernel partition, whose initramfs prints one line more, `GUEST kernel=LETTER`."""
    tree = Path(folder) / f"kernel-{letter}"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "boot").mkdir(parents=True)
    shutil.copy(kit.kernel, tree / "boot/vmlinuz")
    write_program(tree / "init", kit.init.replace("exec switch_root", f"echo GUEST kernel={letter}\nexec switch_root"))
    run("sh", "-c", f"cd '{tree}' && {{ cat '{kit.initramfs}'; echo init | cpio -o -H newc -R 0:0 --quiet | gzip; }} >boot/initrd.img")
    return tree


def esp_tree(tree, slots, kernel, initramfs, args):
    """What an ESP with systemd-boot holds: the loader and, for each of `slots`, {letter: partuuid}, kernel and initramfs."""
    source = ROOT / "agent/boot/loader/systemd-boot"
    for letter in slots:
        (tree / "EFI/fairlead" / letter).mkdir(parents=True)
        shutil.copy(kernel, tree / "EFI/fairlead" / letter / "vmlinuz")
        shutil.copy(initramfs, tree / "EFI/fairlead" / letter / "initrd.img")
    (tree / "EFI/BOOT").mkdir()
    shutil.copy("/usr/lib/systemd/boot/efi/systemd-bootx64.efi", tree / "EFI/BOOT/BOOTX64.EFI")
    (tree / "loader").mkdir()
    shutil.copy(source / "loader.conf", tree / "loader")
    shutil.copy(source / "startup.nsh", tree)
    (tree / "loader/fairlead.conf").write_text(
        "[entry]\nkernel = /EFI/fairlead/{slot}/vmlinuz\ninitrd = /EFI/fairlead/{slot}/initrd.img\n"
        f"options = console=ttyS0 {args}\n" + "".join(f"partuuid.{letter} = {uuid}\n" for letter, uuid in slots.items()))


def ovmf(variables):
    """QEMU's arguments for EFI; the firmware keeps its variables in that file, new ones if it isn't there."""
    folder = Path("/usr/share/OVMF")
    if not variables.exists():
        shutil.copy(folder / "OVMF_VARS_4M.fd", variables)
    return ["-M", "q35", "-drive", f"if=pflash,format=raw,readonly=on,file={folder / 'OVMF_CODE_4M.fd'}",
            "-drive", f"if=pflash,format=raw,file={variables}"]


class Disk:
    """A raw image with a GPT (or an MBR: table="dos"), the first partition at 1 MiB."""

    def __init__(self, path, parts, table="gpt"):
        self.path, self.offsets = Path(path), {}
        lines, at = [f"label: {table}", "unit: sectors"], MIB
        for part in parts:
            name = f', name="{part.label}"' if table == "gpt" else ""
            name += f', attrs="{part.attrs}"' if part.attrs else ""
            lines.append(f"start={at // 512}, size={part.mib * MIB // 512}, type={part.kind}{name}")
            self.offsets[part.label] = (at, part.mib * MIB)
            at += part.mib * MIB
        with open(self.path, "wb") as file:
            file.truncate(at + MIB)
        with subprocess.Popen(["/sbin/sfdisk", "-q", "--no-reread", "--no-tell-kernel", str(self.path)], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            said = child.communicate("\n".join(lines) + "\n")[0]
        assert child.returncode == 0, said

    def offset(self, label):
        return self.offsets[label][0]

    def ext4(self, label, tree):
        """A file system that also U-Boot and GRUB read."""
        at, size = self.offsets[label]
        with open(self.path, "r+b") as file:
            file.seek(at)
            file.write(bytes(64 * 1024))
        run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^64bit,^metadata_csum,^has_journal", "-E",
            f"offset={at},root_owner=0:0", "-d", tree, self.path, f"{size // 1024}k")

    def vfat(self, label, tree):
        at, size = self.offsets[label]
        with tempfile.NamedTemporaryFile(dir=self.path.parent) as image:
            image.truncate(size)
            run("mkfs.vfat", "-F", "32" if size >= 64 * MIB else "16", image.name)
            for entry in sorted(Path(tree).iterdir()):
                run("mcopy", "-s", "-i", image.name, entry, "::")
            self.write(label, 0, Path(image.name).read_bytes())

    def read(self, label, start=0, length=None):
        at, size = self.offsets[label]
        with open(self.path, "rb") as file:
            file.seek(at + start)
            return file.read(size - start if length is None else length)

    def write(self, label, start, data):
        at, size = self.offsets[label]
        assert start + len(data) <= size
        with open(self.path, "r+b") as file:
            file.seek(at + start)
            file.write(data)

    def partuuid(self, label):
        return run("sfdisk", "--part-uuid", self.path, list(self.offsets).index(label) + 1).strip().lower()

    def mtools(self, label, command, *arguments):
        return run(command, "-i", f"{self.path}@@{self.offset(label)}", *arguments)

    def debugfs(self, label, request, write=False):
        return run("debugfs", *(["-w"] if write else []), "-R", request, f"{self.path}?offset={self.offset(label)}")


class Machine:
    """One QEMU. `firmware`: its arguments; the console's text grows in .text."""

    drive = "if=virtio"

    def __init__(self, disk, firmware, more=(), memory=512, cache="writethrough", log=None):
        self.command = ["qemu-system-x86_64", "-accel", "tcg", "-m", str(memory), "-nodefaults", "-nographic",
                        "-serial", "stdio", "-net", "none",
                        "-drive", f"{self.drive},file={disk.path},format=raw,cache={cache}", *firmware, *more]
        self.process, self.reader, self.bytes, self.log = None, None, b"", log

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.cut()

    def read(self):
        for piece in iter(lambda: os.read(self.process.stdout.fileno(), 65536), b""):
            self.bytes += piece
            if self.log:
                with open(self.log, "ab") as out:
                    out.write(piece)

    @property
    def text(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.bytes.decode("utf-8", "replace")).replace("\r", "")

    def cut(self):
        """The power goes off."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def wait_end(self, timeout=90):
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no power-off within {timeout} s:\n{self.text[-4000:]}") from None

    def wait_for(self, pattern, timeout=60):
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline and self.process.poll() is None, \
                f"no '{pattern}' within {timeout} s:\n{self.text[-4000:]}"
            time.sleep(0.02)

    def run(self, timeout=90):
        """From power-on until the guest powers off; the console's text."""
        with self:
            self.wait_end(timeout)
        return self.text


def boots(text):
    """The slots that started, in order, by the name that the loader gave them."""
    return re.findall(r"GUEST slot=(\S*) content=", text)


def contents(text):
    return re.findall(r"GUEST slot=\S* content=(\S*)", text)


def kernels(text):
    """Of kernel_tree(), in order."""
    return re.findall(r"GUEST kernel=(\S*)", text)
