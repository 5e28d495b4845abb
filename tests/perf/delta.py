# SPDX-License-Identifier: Apache-2.0
"""Deltas beside those of xdelta3 (-S lzma) and bsdiff; blocks out of any base beside casync.

Two releases of a gateway's system, as ext4 image (512 MiB) and as tar: Debian 12 as it was last released, and with all
updates since, a kernel among them. Made once, from the archive, and cached. Three firmwares made with
gcc-arm-none-eabi: a fix, a feature, another optimisation of a library. Each delta is applied and compared.

Time and memory are those of the ext4 pair, runs interleaved: `fairlead delta create` (which hashes both images, and
decodes what it made) beside `xdelta3 -e`, the decoder in a bare host beside `xdelta3 -d`, both writing a file.

"Any base" is what a device fetches that has the old image, and for which nothing was made against it: the frames that lack, the
whole block index, the trees of image and index; beside the chunks that casync's store of the old image lacks, and its index.
"""
import argparse
import filecmp
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Table, read

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FAIRLEAD_BUILD", ROOT / "build/release"))
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fairlead/delta"
TIME = "1735689600"  # 2025-01-01
ARCHIVE = ["deb http://deb.debian.org/debian bookworm main"]
UPDATES = ["deb http://deb.debian.org/debian bookworm-updates main",
           "deb http://deb.debian.org/debian-security bookworm-security main"]
PACKAGES = """linux-image-amd64 systemd-sysv udev dbus iproute2 ca-certificates network-manager nginx python3 perl openssh-server
    modemmanager bluez curl wpasupplicant nftables chrony sudo vim-tiny less procps htop tcpdump python3-requests mosquitto sqlite3
    rsync usbutils pciutils ethtool apt gpg""".split()
WITHOUT = """/usr/share/doc/* /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/i18n/* /usr/lib/*/perl/*/CORE/*
    */kernel/sound/* */kernel/drivers/gpu/* */kernel/drivers/media/* */kernel/drivers/infiniband/* */kernel/drivers/scsi/*
    */kernel/drivers/net/ethernet/* */kernel/drivers/comedi/* */kernel/fs/ocfs2/*""".split()
UNTARRED = ["./dev/*", "./var/cache/*", "./var/lib/apt/*", "./var/log/*"]


def run(*command, **more):
    subprocess.run([str(one) for one in command], check=True, stdin=subprocess.DEVNULL, **more)


def measured(*command):
    """(processor time, most memory in bytes) of a command."""
    peak = 0  # ru_maxrss would be at least ours: exec keeps the mark of what was there before
    with subprocess.Popen([str(one) for one in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as child:
        while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            found = re.search(r"^VmHWM:\s+(\d+)", read(f"/proc/{child.pid}/status"), re.M)
            peak = max(peak, int(found[1]) * 1024 if found else 0)
            time.sleep(0.005)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command[0]}: exit status {child.returncode}")
    return usage.ru_utime + usage.ru_stime, peak


# The pairs

def make_tree(name, sources):
    """CACHE/name.tar and CACHE/name.ext4, of the packages as those archives have them."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": TIME, "E2FSPROGS_FAKE_TIME": TIME, "PATH": os.environ["PATH"] + ":/usr/sbin"}
    without = [f"--dpkgopt=path-exclude={one}" for one in WITHOUT]
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        tree, image = Path(folder) / "tree", CACHE / f"{name}.ext4.new"
        tree.mkdir()
        run("mmdebstrap", "--quiet", "--variant=extract", "--format=tar", f"--include={','.join(PACKAGES)}", *without,
            "--aptopt=APT::Install-Recommends \"false\"", "bookworm", f"{folder}/all.tar", *sources, env=environment)
        run("tar", "-xpf", f"{folder}/all.tar", "-C", tree, "--numeric-owner", *[f"--exclude={one}" for one in UNTARRED])
        run("find", tree, "-exec", "touch", "-hd", f"@{TIME}", "{}", "+")
        run("tar", "--sort=name", "--numeric-owner", "--owner=0", "--group=0", "-C", tree, "-cf", CACHE / f"{name}.tar", ".")
        run("mke2fs", "-q", "-t", "ext4", "-d", tree, "-L", "fairlead", "-m", "0", "-b", "4096", "-U", "6661cafe-0000-4000-8000-000000000001",
            "-E", "hash_seed=6661cafe-0000-4000-8000-000000000002,lazy_itable_init=0,root_owner=0:0", image, "512M", env=environment)
        image.rename(CACHE / f"{name}.ext4")


def system_pairs():
    CACHE.mkdir(parents=True, exist_ok=True)
    for name, sources in (("old", ARCHIVE), ("new", ARCHIVE + UPDATES)):
        if not (CACHE / f"{name}.ext4").exists():
            print(f"making {name}", file=sys.stderr, flush=True)
            make_tree(name, sources)
    return {kind: (CACHE / f"old.{kind}", CACHE / f"new.{kind}") for kind in ("ext4", "tar")}


APPLICATION = """
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
volatile unsigned reg[16];
const char version[] = "meter VERSION";
static float calibration[8] = {1.0f, 0.98f, FACTOR, 1.1f};
float measure(int channel) { CHECK return sqrtf(reg[channel & 15] * calibration[channel & 7]) * 3.3f / 4096; }
int main(void)
{
    char line[80];
    for (int i = 0;; i++) {
        snprintf(line, sizeof(line), "%s channel %d: %.3f V\\r\\n", version, i, (double)measure(i));
        reg[1] = strlen(line);
        if (strtod(line, NULL) > 4)
            abort();
    }
}
"""
LIBRARIES = {"base": "buf encode err job_state words", "trust": "documents envelope json_lex root tree tree_builder verify",
             "ipc": "codec frames", "wire": "messages"}
FEATURE = {"policy/src": "window window_parse", "agent/boot/src": "boot decision grub_text print rules"}


def firmware(folder, name, application, optimise="-Os", feature=False):
    """A flat binary for a Cortex-M4 with newlib, and with modules of this tree that know no system."""
    compiler = ["arm-none-eabi-gcc", "-std=gnu17", "-mcpu=cortex-m4", "-mthumb", "-w", "-D_GNU_SOURCE", "-ffunction-sections"]
    includes = [f"-I{one}" for one in [*ROOT.glob("lib/*/include"), ROOT / "policy/include", ROOT / "agent/boot/include"]]
    sources = [(ROOT / f"lib/{library}/src/{one}.c", optimise if library == "trust" else "-Os")
               for library, names in LIBRARIES.items() for one in names.split()]
    if feature:
        sources[5:5] = [(ROOT / where / f"{one}.c", "-Os") for where, names in FEATURE.items() for one in names.split()]
    path = folder / f"{name}.c"
    path.write_text(APPLICATION.replace("VERSION", application[0]).replace("FACTOR", application[1]).replace("CHECK", application[2]))
    sources.insert(5, (path, "-Os"))
    objects = []
    for number, (source, level) in enumerate(sources):
        objects.append(folder / f"{name}-{number}.o")
        run(*compiler, level, *includes, f"-I{source.parent}", "-c", source, "-o", objects[-1])
    # what a system would have to give is never called
    run(*compiler, "--specs=nosys.specs", "-u", "_printf_float", "-nostartfiles", "-Wl,-e,main,--unresolved-symbols=ignore-all", *objects,
        "-lm", "-o", folder / f"{name}.elf", stderr=subprocess.DEVNULL)
    run("arm-none-eabi-objcopy", "-O", "binary", folder / f"{name}.elf", folder / f"{name}.bin")
    return folder / f"{name}.bin"


def firmware_pairs(folder):
    new = ("1.8.5", "1.03f", "if (channel > 11) return -1;")
    old = firmware(folder, "old", ("1.8.4", "1.02f", ""))
    return {"fix": (old, firmware(folder, "fix", new)), "feature": (old, firmware(folder, "feature", new, feature=True)),
            "optimisation": (old, firmware(folder, "optimisation", new, optimise="-O2"))}


# The programs

class Bench:
    def __init__(self, folder):
        self.folder, self.apply = folder, folder / "apply"
        run("cc", "-O2", "-I", ROOT / "sdk/include", Path(__file__).with_name("delta_apply.c"), "-o", self.apply, "-ldl")

    def compare(self, image):
        if not filecmp.cmp(image, self.folder / "out", shallow=False):
            sys.exit(f"{image}: what was applied is another image")

    def create(self, source, image):
        """(delta, processor time, memory)"""
        run("rm", "-rf", self.folder / "made")
        cpu, memory = measured(BUILD / "bin/fairlead", "delta", "create", source, image, "-o", self.folder / "made")
        return next((self.folder / "made/blobs/sha256-wide1").iterdir()), cpu, memory

    def decode(self, source, delta, image):
        """(processor time, memory)"""
        used = measured(self.apply, BUILD / "plugins/delta.so", source, delta, self.folder / "out", image.stat().st_size)
        self.compare(image)
        return used

    def xdelta3(self, source, image):
        delta = self.folder / "xdelta3"
        return delta, *measured("xdelta3", "-f", "-e", "-S", "lzma", "-s", source, image, delta)

    def xdelta3_decode(self, source, delta, image):
        used = measured("xdelta3", "-f", "-d", "-s", source, delta, self.folder / "out")
        self.compare(image)
        return used

    def bsdiff(self, source, image):
        run("bsdiff", source, image, self.folder / "bsdiff")
        return (self.folder / "bsdiff").stat().st_size


def chunks_of(store):
    return {path: path.stat().st_size for path in store.rglob("*.cacnk")}


def casync(folder, source, image):
    """Bytes that casync fetches for the image where the source is."""
    store = folder / "casync"
    run("casync", "make", f"--store={store}", folder / "source.caibx", source, stdout=subprocess.DEVNULL)
    before = chunks_of(store)
    run("casync", "make", f"--store={store}", folder / "image.caibx", image, stdout=subprocess.DEVNULL)
    fetched = sum(size for path, size in chunks_of(store).items() if path not in before)
    run("rm", "-r", store)
    return fetched + (folder / "image.caibx").stat().st_size


def size_of(delta):
    return delta.stat().st_size


def firmwares(bench, table):
    worst = (0, 0, None)
    for name, (source, image) in firmware_pairs(bench.folder).items():
        delta = bench.create(source, image)[0]
        bench.decode(source, delta, image)
        others = {"bsdiff": bench.bsdiff(source, image), "xdelta3": size_of(bench.xdelta3(source, image)[0])}
        peer = min(others, key=others.get)
        table.add(f"firmware, {name}", "kB", size_of(delta) / 1000, others[peer] / 1000, peer)
        worst = max(worst, (size_of(delta) / others[peer], size_of(delta) / 1000, others[peer] / 1000, f"{peer}, the worst of the pairs"))
    table.add("mcu size", "kB", *worst[1:])


def any_base(bench, name, pair, table):
    source, image = pair
    made = subprocess.run([BUILD / "bin/fairlead", "blocks", "create", image, "-o", bench.folder / "blocks", "--json"], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout
    index = bench.folder / "blocks/blobs/sha256-wide1" / json.loads(made)["index"].removeprefix("sha256:")
    command = [BUILD / "bin/fairlead", "blocks", "plan", index, source]
    plan = json.loads(subprocess.run([*command, "--image", image, "--json"], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout)
    if plan["frames_wrong"]:
        sys.exit(f"{image}: {plan['frames_wrong']} frames of the base are not those of the image")
    table.add(f"any base{name}", "bytes", plan["bytes"], casync(bench.folder, source, image), "casync, new chunks and index")
    cpu, memory = measured(*command)
    table.add(f"search{name} cpu", "s", cpu)
    table.add(f"search{name} memory", "bytes", memory)
    run("rm", "-r", bench.folder / "blocks")


def times(bench, pair, n, table):
    for number in range(1, n + 1):
        delta, cpu, memory = bench.create(*pair)
        other, other_cpu, other_memory = bench.xdelta3(*pair)
        table.add("ext4 size", "bytes", size_of(delta), size_of(other))
        table.add("create cpu", "s", cpu, other_cpu)
        table.add("create memory", "bytes", memory, other_memory)
        ours, theirs = bench.decode(pair[0], delta, pair[1]), bench.xdelta3_decode(pair[0], other, pair[1])
        table.add("apply cpu", "s", ours[0], theirs[0])
        table.add("apply memory", "bytes", ours[1], theirs[1])
        print(f"pair {number} of {n}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(prog="script/bench delta", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=7, help="pairs of runs (7)")
    parser.add_argument("--bsdiff", action="store_true", help="also bsdiff of the tar (4 GB of memory, minutes)")
    arguments = parser.parse_args()
    table = Table("xdelta3 -S lzma")
    pairs = system_pairs()
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="run.") as folder:
        bench = Bench(Path(folder))
        firmwares(bench, table)
        delta = bench.create(*pairs["tar"])[0]
        bench.decode(pairs["tar"][0], delta, pairs["tar"][1])
        table.add("tar size", "bytes", size_of(delta), size_of(bench.xdelta3(*pairs["tar"])[0]))
        if arguments.bsdiff:
            table.add("tar beside bsdiff", "bytes", size_of(delta), bench.bsdiff(*pairs["tar"]), "bsdiff")
        any_base(bench, "", pairs["ext4"], table)
        any_base(bench, ", tar", pairs["tar"], table)
        times(bench, pairs["ext4"], arguments.n, table)
    table.show()
    table.write(ROOT / "build/bench/delta.json")


if __name__ == "__main__":
    main()
