# SPDX-License-Identifier: Apache-2.0
"""A U-Boot as a board's maker builds it: with a boot count, and a redundant environment of its own on an SD card.

Debian's has neither. It is built from Debian's source package, with the options that agent/boot/loader/u-boot/README.md
asks for; the source comes from the machine's own package archives, which `apt-get source` alone would not look at.
"""
import fcntl
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import BUILD, run
from loader import INITRAMFS_INIT, Kit, Machine

# A partition "uboot-env" at 1 MiB, as test_uboot.py has it; the rest is the virtual board, with one slot for a card.
OPTIONS = """
-e BOOTCOUNT_LIMIT -e BOOTCOUNT_ENV
-d ENV_IS_NOWHERE -e ENV_IS_IN_MMC -e SYS_REDUNDAND_ENVIRONMENT
--set-val ENV_SIZE 0x4000 --set-val ENV_OFFSET 0x110000 --set-val ENV_OFFSET_REDUND 0x120000
--set-val BOOTDELAY -2
-e MMC -e MMC_PCI -e MMC_SDHCI -e MMC_SDHCI_ADMA -e CMD_MMC -d TOOLS_MKEFICAPSULE
""".split()
ENVIRONMENT = "altbootcmd=setenv fairlead_used_up 1; run distro_bootcmd\n"
ARCHIVES = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) $(COMPONENT)"


class BoardUBoot:
    """Below build/guest: u-boot.rom, and u-boot-initial-env, what it begins with where no environment is stored."""

    def __init__(self, folder):
        self.rom, self.initial = folder / "u-boot.rom", folder / "u-boot-initial-env"

    @classmethod
    def ready(cls):
        version = re.search(r"^Version: (\S+)", run("apt-cache", "show", "u-boot-qemu"), re.M)[1]
        recipe = hashlib.sha256(f"{OPTIONS}{ENVIRONMENT}".encode()).hexdigest()[:8]
        folder = BUILD.parent / "guest" / f"u-boot-{version}-{recipe}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.parent / "u-boot.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                    os.rename(cls.build(cls.fetch(Path(scratch)), Path(scratch) / "out"), folder)
        return cls(folder)

    @staticmethod
    def fetch(folder):
        """The unpacked source; apt has checked it, its lists stay in the folder."""
        (folder / "sources.list").write_text(
            run("apt-get", "indextargets", "--format", ARCHIVES, "Created-By: Packages", "Origin: Debian"))
        (folder / "state/lists/partial").mkdir(parents=True)
        apt = ["apt-get", "-q", "-o", f"Dir::Etc::SourceList={folder}/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
               "-o", f"Dir::State={folder}/state", "-o", f"Dir::Cache={folder}", "-o", "APT::Sandbox::User=",
               "-o", "APT::Update::Error-Mode=any"]
        for step in (["update"], ["source", "--download-only", "u-boot"]):
            done = subprocess.run([*apt, *step], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"no archive of source packages: {done.stderr[-500:]}")
        run("dpkg-source", "--no-check", "-x", next(folder.glob("*.dsc")), folder / "source")
        return folder / "source"

    @staticmethod
    def build(source, out):
        """README.md's steps, and a virtual board that starts from a card; the folder of what came out."""
        board = source / "include/configs/qemu-x86.h"
        text = board.read_text()
        assert text.count("func(USB, usb, 0)") == 1
        board.write_text(text.replace("func(USB, usb, 0)", "func(MMC, mmc, 0)"))
        (source / "board/emulation/qemu-x86/fairlead.env").write_text(ENVIRONMENT)
        make = ["env", "PATH=/usr/bin:/bin", "make", "-s", "-C", source, f"O={out}", f"-j{os.cpu_count()}"]  # Debian's Python
        run(*make, "qemu-x86_defconfig")
        run(source / "scripts/config", "--file", out / ".config", *OPTIONS, "--set-str", "ENV_SOURCE_FILE", "fairlead")
        run(*make, "olddefconfig")
        run(*make, "all", "u-boot-initial-env", timeout=900)
        made = out / "made"
        made.mkdir()
        for name in ("u-boot.rom", "u-boot-initial-env"):
            os.rename(out / name, made / name)
        return made


class CardKit(Kit):
    """The cloud's kernel knows no cards. They are found late."""

    package = "linux-image-amd64"
    modules = ("sdhci_pci", "mmc_block", "crc32c_generic", "ext4")
    init = INITRAMFS_INIT.replace("1 2 3 4 5 6 7 8 9 10", "$(seq 100)")


class CardMachine(Machine):
    """With the disk as an SD card, whose size is a power of two."""

    drive = "if=none,id=card"

    def __init__(self, disk, firmware):
        super().__init__(disk, firmware, ["-device", "sdhci-pci", "-device", "sd-card,drive=card"])
