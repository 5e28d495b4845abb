# SPDX-License-Identifier: Apache-2.0
"""A whole gateway in QEMU: a small Debian with systemd in two slots, our packages installed as a user would, a fleet outside.

    image = SystemImage.ready()                              # made once per set of packages, below build/
    with SystemFleet(folder / "fleet", keys) as fleet, Gateway(folder / "gw", fleet, image, "grub") as gateway:
        gateway.wait_connected()
        job = fleet.deploy(gateway.release(2), gateway)
        gateway.wait_job(job, "committed")
    assert gateway.boots() == ["a", "b"]

The disk: what the boot loader needs, slot-a, slot-b and data, which is mounted on /var/lib/fairlead and holds the
configuration, too, so that one image serves all gateways. The root file system is read-only. Everything is made without
root, loop devices and mounts, but the tree of an ordinary user takes a user namespace.
"""
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from harness import BUILD, CLASS, FINAL, PRODUCT, ROOT, Fleet, eventually, image_info, run
from loader import ARGS, Disk, Machine, Part, boots, esp_tree, ovmf

CAMPAIGN = "FAIRLEAD_CAMPAIGN" in os.environ  # script/campaign boot: everything on every boot loader
SLOT_MIB = 192
BASE = ("systemd-sysv", "udev", "dbus", "initramfs-tools", "linux-image-amd64")
GATEWAY = ("fairlead-helper", "fairlead-agent", "fairlead-plugin-rootfs")
EXCLUDED = (*(f"/usr/share/{name}/*" for name in ("doc", "man", "info", "locale", "zoneinfo")),
            "/boot/System.map-*", "/lib/modules/*/kernel/sound/*", "/lib/modules/*/kernel/drivers/*")
INCLUDED = tuple(f"/lib/modules/*/kernel/drivers/{name}/*" for name in ("block", "net", "virtio", "watchdog"))
PSTORE = "0x10000000"  # memory that outlives a reset; a panic's record is kept there
# What QEMU has, and what the running system takes: the image keeps no modules.
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4", "vfat", "nls_cp437", "nls_ascii", "efivarfs", "i6300esb",
           f"ramoops mem_address={PSTORE} mem_size=0x40000 record_size=0x10000")
HOST = "fleet.test"
KERNEL_ARGS = f"{ARGS} memmap=256K!{PSTORE}"
WATCHDOG_S = 120  # from the initramfs of a trial to the start of the helper on a busy machine; what hangs costs that much

CONFIG = f"""[device]
device_id = @id@
product = {PRODUCT}
class_id = {CLASS}
hw_rev = 1
[trust]
root = /etc/fairlead/root.json
[fleet]
url = wss://{HOST}:@device_port@/device
enrol = https://{HOST}:@api_port@/enrol
ca = /etc/fairlead/fleet-ca.pem
[identity]
key = file:/var/lib/fairlead/identity/device.key
public = /var/lib/fairlead/identity/device.pub
certificate = /var/lib/fairlead/identity/device.pem
[store]
dir = /var/lib/fairlead/store
[control]
socket = /run/fairlead/agent/control.sock
[helper]
socket = /run/fairlead/helper.sock
user = fairlead
[anchor]
dir = /var/lib/fairlead/anchor
[runner]
program = /usr/libexec/fairlead/fairlead-runner
plugins = @plugins@
user = fairlead-runner
require_sandbox = true
[boot]
program = /usr/sbin/fairlead-boot
@boot@
[component.rootfs]
handler = rootfs
slot.a = partlabel:slot-a
slot.b = partlabel:slot-b
[check]
dir = /usr/lib/checks
[trial]
silence_s = 60
[watchdog]
device = /dev/watchdog
timeout_s = {WATCHDOG_S}
"""

# What the tree holds beside Debian and our packages: {path: text}; a mode in front of programs.
FILES = {
    "etc/fstab": """PARTLABEL=data /var/lib/fairlead ext4 rw,nosuid,nodev 0 0
PARTLABEL=boot /boot/loader auto rw,nosuid,nodev,noexec 0 0
tmpfs /tmp tmpfs mode=1777 0 0
tmpfs /var/tmp tmpfs mode=1777 0 0
/var/lib/fairlead/log /var/log none bind 0 0
tmpfs /var/lib/systemd tmpfs mode=755 0 0
""",
    "etc/hostname": "gateway\n",
    "etc/hosts": f"127.0.0.1 localhost\n10.0.2.2 {HOST}\n",
    "etc/machine-id": "5e1f0c2bd6d94e0e8f5a3c7b9d2e4f60\n",  # the journal of a boot belongs to one
    "etc/initramfs-tools/conf.d/gateway": "MODULES=list\nCOMPRESS=gzip\nCOMPRESSLEVEL=1\nRESUME=none\n",
    "etc/initramfs-tools/conf.d/fairlead": f"FAIRLEAD_WATCHDOG_TIMEOUT_S={WATCHDOG_S}\n",
    "etc/initramfs-tools/modules": "".join(f"{name}\n" for name in MODULES),
    # For boots() and the tests of the watchdog: the loader's word, the image's own, and whether something ends it.
    "etc/initramfs-tools/scripts/init-bottom/guest": """#!/bin/sh
[ "$1" != prereqs ] || exit 0
read -r info <"$rootmnt/usr/lib/fairlead/image-info"
info=${info#*\\"version\\":\\"}
read -r watchdog </sys/class/watchdog/watchdog0/state
for word in $(cat /proc/cmdline); do
  case $word in fairlead.slot=*) slot=${word#*=} ;; esac
done
echo "GUEST slot=$slot content=${info%%\\"*} watchdog=$watchdog"
""",
    "etc/systemd/network/10-net.network": """[Match]
Driver=virtio_net
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
LinkLocalAddressing=no
""",
    "etc/systemd/journald.conf.d/console.conf": """[Journal]
Storage=persistent
SystemMaxUse=8M
SystemMaxFileSize=1M
ForwardToConsole=yes
TTYPath=/dev/ttyS0
MaxLevelConsole=info
""",
    "etc/udev/rules.d/90-fairlead-slots.rules":
        'SUBSYSTEM=="block", ENV{PARTNAME}=="slot-a|slot-b", OWNER="root", GROUP="root", MODE="0600"\n',
    # Step 6 of docs/integration.md, with the console as the factory.
    "etc/systemd/system/factory.service": """[Unit]
ConditionPathExists=!/var/lib/fairlead/identity/device.pem
Before=fairlead-agent.service fairlead-helper.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo "GUEST identity $(runuser -u fairlead -- fairlead-agent --identity)" >/dev/ttyS0'
[Install]
WantedBy=multi-user.target
""",
    "usr/lib/checks/50-test": "#!/bin/sh\nexit 0\n",
}
UNITS = ("systemd-networkd.service", "factory.service")
MASKED = ("systemd-timesyncd.service", "getty@.service", "serial-getty@.service", "console-getty.service")

# As root, or as one of a user namespace, in a mount namespace of its own: BASE.tar EXTRA IMAGE, then packages. Ours have the
# initramfs made again.
MAKE_IMAGE = f"""set -e
base=$1 extra=$2 image=$3
shift 3
tree=$(mktemp -d)
trap 'rm -rf --one-file-system "$tree"' EXIT
tar -xpf "$base" -C "$tree" --numeric-owner --exclude='./dev/*'
mount --rbind /dev "$tree/dev"
tar -c -C "$extra" --owner=0 --group=0 . | tar -xp -C "$tree"
cp "$@" "$tree/root"
DEBIAN_FRONTEND=noninteractive chroot "$tree" sh -c 'dpkg -i /root/*.deb'
umount -l "$tree/dev"
rm "$tree"/root/*.deb
mv "$tree"/boot/vmlinuz-* "$tree/boot/vmlinuz"
mv "$tree"/boot/initrd.img-* "$tree/boot/initrd.img"
rm -rf "$tree"/boot/config-* "$tree"/lib/modules "$tree"/vmlinuz* "$tree"/initrd.img*
rm -rf "$tree"/etc/fairlead "$tree"/var/lib/apt "$tree"/var/cache/* "$tree"/var/lib/fairlead/*
rm -rf "$tree"/usr/share/perl "$tree"/usr/lib/udev/hwdb.*
mkdir -p "$tree/var/lib/fairlead"
ln -s /var/lib/fairlead/etc "$tree/etc/fairlead"
systemctl --root "$tree" -q enable {' '.join(UNITS)}
systemctl --root "$tree" -q mask {' '.join(MASKED)}
systemctl --root "$tree" -q set-default multi-user.target
mke2fs -q -F -t ext4 -m 0 -b 4096 -O ^64bit,^metadata_csum,^has_journal -E root_owner=0:0 -d "$tree" "$image" {SLOT_MIB}M
"""


def as_root():
    """The start of a command that may own files as any account."""
    return () if os.geteuid() == 0 else ("unshare", "--map-auto", "--map-root-user")


def packages():
    """The folder of our packages. FAIRLEAD_PACKAGES: one that is there already."""
    folder = Path(os.environ.get("FAIRLEAD_PACKAGES", BUILD.parent / "packages"))
    if "FAIRLEAD_PACKAGES" not in os.environ:
        run(ROOT / "script/package", "--out", folder, timeout=900)
    return [next(folder.glob(f"{name}_*.deb")) for name in GATEWAY]


def dependencies(debs):
    """What the packages ask for, of others; of alternatives the first that there is."""
    names = set()
    for deb in debs:
        for group in run("dpkg-deb", "-f", deb, "Depends").split(","):
            choice = re.findall(r"(?:^|\|)\s*([a-z0-9.+-]+)", group)
            if not choice[0].startswith("fairlead-"):
                names.add(next(name for name in choice if run("apt-cache", "show", name, check=False).returncode == 0))
    return sorted(names)


class SystemImage:
    """The image of one slot, version 1.0.0, and its changed copies."""

    def __init__(self, path):
        self.path = path

    @classmethod
    def ready(cls):
        debs = packages()
        key = "".join(hashlib.sha256(deb.read_bytes()).hexdigest() for deb in debs) + f"{BASE}{EXCLUDED}{INCLUDED}{FILES}{MAKE_IMAGE}"
        path = BUILD.parent / f"guest/system-{hashlib.sha256(key.encode()).hexdigest()[:12]}.ext4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path.parent / "system.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # files of tests run side by side
            if not path.exists():
                with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                    made = Path(scratch) / "image"
                    cls.make(made, cls.base(debs), debs)
                    made.rename(path)
        return cls(path)

    @staticmethod
    def base(debs):
        """The tree of a minimal Debian with what our packages depend on."""
        names = ",".join(sorted({*BASE, *dependencies(debs)}))
        options = [f"--dpkgopt=path-{what}={path}" for what, paths in (("exclude", EXCLUDED), ("include", INCLUDED)) for path in paths]
        tree = BUILD.parent / f"guest/base-{hashlib.sha256(f'{names}{options}'.encode()).hexdigest()[:12]}.tar"
        if not tree.exists():
            new = tree.with_suffix(f".{os.getpid()}")
            run("mmdebstrap", "--quiet", "--variant=essential", "--format=tar", f"--include={names}",
                *options, "bookworm", new, timeout=900)
            new.rename(tree)
        return tree

    @staticmethod
    def make(path, base, debs):
        extra = path.parent / "extra"
        for name, text in FILES.items():
            (extra / name).parent.mkdir(parents=True, exist_ok=True)
            (extra / name).write_text(text)
            (extra / name).chmod(0o755 if text.startswith("#!") else 0o644)
        (extra / "boot/loader").mkdir(parents=True)
        (extra / "usr/lib/fairlead").mkdir(parents=True)
        (extra / "usr/lib/fairlead/image-info").write_text(image_info("1.0.0", 1))
        run("unshare", "--mount", *as_root()[1:], "bash", "-c", MAKE_IMAGE, "make", base, extra, path, *debs, timeout=900)

    def changed(self, path, version, release_seq, files):
        """A copy of another version in which files differ: {path: text, or None for "not there"}."""
        run("cp", "--sparse=always", "--reflink=auto", self.path, path)
        with tempfile.TemporaryDirectory(dir=Path(path).parent) as scratch:
            requests = []
            for n, (name, text) in enumerate({"usr/lib/fairlead/image-info": image_info(version, release_seq), **files}.items()):
                requests.append(f"rm /{name}")
                if text is not None:
                    (Path(scratch) / str(n)).write_text(text)
                    requests += [f"write {scratch}/{n} /{name}", f"sif /{name} mode 0{0o100755 if text.startswith('#!') else 0o100644:o}",
                                 f"sif /{name} uid 0", f"sif /{name} gid 0"]
            (Path(scratch) / "requests").write_text("\n".join(requests) + "\n")
            run("debugfs", "-w", "-f", f"{scratch}/requests", path)
        return Path(path)

    def plugins(self):
        return "/usr/lib/" + run("dpkg-architecture", "-qDEB_HOST_MULTIARCH").strip() + "/fairlead/plugins"


class SystemFleet(Fleet):
    """A fleet that gateways in QEMU call by another name than the operator beside it."""

    def __init__(self, folder, keys):
        super().__init__(folder, keys, host=HOST)
        conf = self.folder / "fleet.conf"
        conf.write_text(conf.read_text().replace("# address", "address"))


# Boot loaders: what a disk needs before its slots, and how it is filled


class Grub:
    """GRUB on BIOS and GPT. `boot` is mounted on /boot/loader."""

    parts = [Part("bios", 1, "21686148-6449-6E6F-744E-656564454649"), Part("boot", 16)]
    modules = ("biosdisk part_gpt ext2 normal linux loadenv test echo configfile regexp probe hashsum gcry_sha256 eval sleep "
               "reboot boot serial terminal").split()
    boot = "backend = grub\ndir = /boot/loader/fairlead\nloader = /boot/loader/grub.cfg"

    @classmethod
    def install(cls, disk, folder):
        source, at = Path("/usr/lib/grub/i386-pc"), disk.offset("bios") // 512
        run("grub-mkimage", "-O", "i386-pc", "-d", source, "-p", "(hd0,gpt2)/", "-o", folder / "core.img", *cls.modules)
        boot, core = bytearray((source / "boot.img").read_bytes()[:440]), bytearray((folder / "core.img").read_bytes())
        boot[0x5c:0x64] = at.to_bytes(8, "little")  # as grub-bios-setup does: where the first sector of the core is,
        core[0x1f4:0x1fc] = (at + 1).to_bytes(8, "little")  # and in it, where the others are
        with open(disk.path, "r+b") as file:
            file.write(boot)
        disk.write("bios", 0, bytes(core))
        cls.fill(disk, folder / "boot")

    @staticmethod
    def fill(disk, tree):
        files = tree / "fairlead"
        files.mkdir(parents=True)
        shutil.copy(ROOT / "agent/boot/loader/grub/grub.cfg", tree)
        uuid = {letter: disk.partuuid(f"slot-{letter}") for letter in "ab"}
        (files / "slots.cfg").write_text(
            f'set fl_slots="a b"\nset fl_part_a={uuid["a"]}\nset fl_part_b={uuid["b"]}\n'
            'set fl_kernel=/boot/vmlinuz\nset fl_initrd=/boot/initrd.img\n'
            f'set fl_args="console=ttyS0 ro {KERNEL_ARGS}"\nserial\nterminal_output serial\n')
        init_boot(tree.parent, f"backend = grub\ndir = {files}\nloader = {tree}/grub.cfg")
        at, size = disk.offsets["boot"]
        run(*as_root(), "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-J", "size=4", "-E", f"offset={at},root_owner=0:0",
            "-d", tree, disk.path, f"{size // 1024}k")

    @staticmethod
    def firmware(_folder):
        return []

    @staticmethod
    def state(disk):
        """All that a boot without an update must not change."""
        return {name: disk.debugfs("boot", f"cat /fairlead/{name}") for name in ("count", "first.sum", "second.sum", "first", "second")}



class UBoot:
    """Debian's U-Boot: the script keeps the decision and the count in a partition of their own."""

    parts = [Part("uboot-env", 1), Part("boot", 4, attrs="LegacyBIOSBootable")]
    boot = "backend = uboot\ndir = /etc/fairlead"
    rom = Path("/usr/lib/u-boot/qemu-x86/u-boot.rom")
    copies, size = (0x10000, 0x20000), 0x4000

    @classmethod
    def install(cls, disk, folder):
        stock = cls.rom.read_bytes()
        assert stock.count(b"\0bootdelay=2\0") == 1
        (folder / "u-boot.rom").write_bytes(stock.replace(b"\0bootdelay=2\0", b"\0bootdelay=0\0"))
        source, script = ROOT / "agent/boot/loader/u-boot", folder / "boot"
        script.mkdir()
        run("mkimage", "-T", "script", "-C", "none", "-n", "fairlead", "-d", source / "boot.cmd", script / "boot.scr")
        settings = (source / "fairlead.env.example").read_text()
        (script / "fairlead.env").write_text(settings.replace("panic=10", KERNEL_ARGS))
        disk.ext4("boot", script)
        at = disk.offset("uboot-env")
        cls.write_places(folder, disk.path, at)
        init_boot(folder, f"backend = uboot\ndir = {folder}")
        (folder / "data/etc").mkdir(parents=True)
        cls.write_places(folder / "data/etc", "/dev/disk/by-partlabel/uboot-env", 0)

    @classmethod
    def write_places(cls, folder, device, at):
        (folder / "fw_env.config").write_text("".join(f"{device} {at + copy:#x} {cls.size:#x}\n" for copy in cls.copies))
        (folder / "fw_count.config").write_text(f"{device} {at:#x} 0x200\n")
        (folder / "u-boot-initial-env").write_text("")

    @staticmethod
    def firmware(folder):
        return ["-bios", folder / "u-boot.rom"]

    @staticmethod
    def state(disk):
        return disk.read("uboot-env")


class SystemdBoot:
    """systemd-boot under OVMF. The kernels of both slots are on the ESP, which is mounted on /boot/loader."""

    parts = [Part("boot", 64, "uefi")]
    boot = "backend = systemd-boot\ndir = /boot/loader/loader"

    @staticmethod
    def install(disk, folder):
        for name in ("vmlinuz", "initrd.img"):
            disk.debugfs("slot-a", f"dump /boot/{name} {folder / name}")
        esp_tree(folder / "boot", {letter: disk.partuuid(f"slot-{letter}") for letter in "ab"}, folder / "vmlinuz",
                 folder / "initrd.img", f"ro {KERNEL_ARGS}")
        init_boot(folder, f"backend = systemd-boot\ndir = {folder}/boot/loader")
        disk.vfat("boot", folder / "boot")

    @staticmethod
    def firmware(folder):
        return ovmf(folder / "variables.fd")

    @staticmethod
    def state(disk):
        entries = disk.mtools("boot", "mdir", "-b", "::/loader/entries").split()
        return {path: disk.mtools("boot", "mtype", path) for path in entries}


LOADERS = {"grub": Grub, "uboot": UBoot, "systemd-boot": SystemdBoot}
BACK_ENDS = list(LOADERS) if CAMPAIGN else ["grub"]


def init_boot(folder, boot):
    """The first decision, made outside."""
    (folder / "slot-a").write_text("")
    (folder / "slot-b").write_text("")
    (folder / "host.conf").write_text(f"[boot]\n{boot}\n[host]\nrunning_slot = {folder}/running\n[component.rootfs]\n"
                                      f"handler = rootfs\nslot.a = {folder}/slot-a\nslot.b = {folder}/slot-b\n")
    (folder / "running").write_text("a\n")
    run(BUILD / "bin/fairlead-boot", "--config", folder / "host.conf", "init", "a")


class Gateway:
    """A disk, and the machine that boots from it, whose power the tests have. Slot b: `empty`, or as the factory filled it."""

    def __init__(self, folder, fleet, image, back_end, empty=False):
        self.folder, self.fleet, self.image, self.back_end = Path(folder), fleet, image, LOADERS[back_end]
        self.id, self.machine, self.past = fleet.new_name(), None, ""
        self.folder.mkdir(parents=True)
        self.disk = Disk(self.folder / "disk.img", [*self.back_end.parts, Part("slot-a", SLOT_MIB), Part("slot-b", SLOT_MIB),
                                                    Part("data", 64)])
        for label in ("slot-a",) if empty else ("slot-a", "slot-b"):
            run("dd", f"if={image.path}", f"of={self.disk.path}", "bs=1M", f"seek={self.disk.offset(label) >> 20}", "conv=notrunc,sparse")
        self.back_end.install(self.disk, self.folder)
        self.make_data()

    def make_data(self):
        etc = self.folder / "data/etc"
        etc.mkdir(parents=True, exist_ok=True)
        (self.folder / "data/log/journal").mkdir(parents=True, exist_ok=True)
        shutil.copy(self.fleet.keys.root, etc / "root.json")
        shutil.copy(self.fleet.ca, etc / "fleet-ca.pem")
        text = CONFIG
        for name, value in (("id", self.id), ("device_port", self.fleet.device_port), ("api_port", self.fleet.api_port),
                            ("plugins", self.image.plugins()), ("boot", self.back_end.boot)):
            text = text.replace(f"@{name}@", str(value))
        (etc / "gateway.conf").write_text(text)
        for path in etc.iterdir():
            path.chmod(0o644)
        at, size = self.disk.offsets["data"]
        run(*as_root(), "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-E", f"offset={at},root_owner=0:0", "-d",
            etc.parent, self.disk.path, f"{size // 1024}k")

    def on(self):
        self.machine = Machine(self.disk, self.back_end.firmware(self.folder), [
            "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=", "-device", "i6300esb", "-action", "watchdog=reset"],
            memory=384, cache="unsafe", log=self.folder / "console.log")  # what the guest wrote outlives QEMU
        self.machine.__enter__()
        return self

    def cut(self):
        """The power goes off."""
        if self.machine:
            self.machine.cut()
            self.past += self.machine.text
            self.machine = None

    def __enter__(self):
        return self.on()

    def __exit__(self, *_):
        self.cut()

    @property
    def text(self):
        return self.past + (self.machine.text if self.machine else "")

    def boots(self):
        return boots(self.text)

    def enrol(self):
        found = eventually(lambda: re.search(r"GUEST identity (\S+)\n", self.text), self.tail, 240, 0.2)
        self.fleet.cli("device", "enroll", self.id, "--identity", found[1])
        return self

    def tail(self):
        return f"{self.boots()}\n{self.text[-6000:]}"

    def wait_connected(self, timeout=240):
        eventually(lambda: self.fleet.device(self)["online"], self.tail, timeout, 0.5)
        return self

    def wait_boots(self, count, timeout=240):
        eventually(lambda: len(self.boots()) >= count, self.tail, timeout, 0.1)

    def wait_job(self, job, *states, timeout=400):
        try:
            return self.fleet.wait_job(job, *states, timeout=timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def state(self):
        """What the boot loader decides by."""
        return self.back_end.state(self.disk)

    def cut_at(self, job, delays):
        """Cuts the power once in each of these states, so many seconds after the agent told it; {state: boots before}."""
        cuts, left, deadline = {}, dict(delays), time.monotonic() + 400
        seen = len(self.text)
        while left and time.monotonic() < deadline and self.fleet.job(job)["state"] not in FINAL:
            for state in re.findall(rf"job {job}: ([a-z_]+)", self.text[seen:]):
                if state in left:
                    time.sleep(left.pop(state))
                    self.cut()
                    cuts[state], seen = len(self.boots()), len(self.text)
                    self.on()
                    break
            time.sleep(0.25)
        return cuts
