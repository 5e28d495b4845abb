# SPDX-License-Identifier: Apache-2.0
"""Two components that switch together: the root file system, and the kernel in partitions beside it. Real partitions of a disk."""
import os
import shutil

import pytest

from harness import CLASS, PRODUCT, image_info, run, sha256

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make partitions")
PARTS = {"slot-a": 16, "slot-b": 16, "kernel-a": 4, "kernel-b": 4}  # MiB, as large as their images
KERNEL = """
[component.kernel]
handler = rootfs
slot.a = {kernel-a}
slot.b = {kernel-b}
"""


def make_kernel(path, number):
    """The image of one kernel partition."""
    tree = path.with_suffix(".tree")
    (tree / "boot").mkdir(parents=True)
    (tree / "boot/vmlinuz").write_bytes(os.urandom(1 << 20))
    (tree / "usr/lib/fairlead").mkdir(parents=True)
    (tree / "usr/lib/fairlead/image-info").write_text(
        image_info(f"{number}.0.0", number).replace('"component":"rootfs"', '"component":"kernel"'))
    run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-m", "0", "-O", "^has_journal", "-d", tree, path, "4M")
    shutil.rmtree(tree)
    return path


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    return {number: make_kernel(folder / f"{number}.ext4", number) for number in (1, 2, 3)}


@pytest.fixture
def parts(tmp_path):
    """{name: device} of a disk; each belongs to root alone."""
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, (2 + sum(PARTS.values())) << 20)
    table = "label: gpt\n" + "".join(f"size={size}MiB, name={name}\n" for name, size in PARTS.items())
    (tmp_path / "table").write_text(table)
    run("sh", "-c", f"/sbin/sfdisk -q '{image}' <'{tmp_path}/table'")
    disk = run("losetup", "-f", "--show", image).strip()
    try:
        run("partx", "-a", disk)  # not every kernel reads the table by itself
        found = {name: f"{disk}p{number}" for number, name in enumerate(PARTS, 1)}
        for device in found.values():
            os.chown(device, 0, 0)
            os.chmod(device, 0o600)
        yield found
    finally:
        run("partx", "-d", disk, check=False)
        run("losetup", "-d", disk)


@pytest.fixture
def gateway(new_gateway, parts, images, kernels):
    def install(new):
        for letter in "ab":
            slot = new.folder / f"slots/{letter}.img"  # where the machine looks
            slot.unlink()
            slot.symlink_to(parts[f"slot-{letter}"])
            new.configure(f"slot.{letter}", parts[f"slot-{letter}"])
        with open(new.conf, "a", encoding="utf-8") as conf:
            conf.write(KERNEL.format(**parts))
        shutil.copyfile(images[1], parts["slot-a"])
        shutil.copyfile(kernels[1], parts["kernel-a"])
    running = new_gateway(before_start=install)
    running.wait_connected()
    return running


def release(fleet, folder, *components):
    """Of (name, image)s, published."""
    named = [word for name, image in components for word in ("--component", f"{name}={image}")]
    number = components[0][1].stem
    fleet.cli("release", "create", "--product", PRODUCT, "--version", f"{number}.0.0", *named, "--class", CLASS, "--hw-rev", "1-9",
              "--level", "3", "-o", folder)
    fleet.cli("release", "sign", folder / "release.json", "--key", fleet.keys["release"])
    return fleet.publish(folder)


def digests(parts):
    return {name: sha256(device) for name, device in parts.items()}


def test_kernel_and_root_are_committed_together(tmp_path, fleet, gateway, parts, images, kernels):
    before = digests(parts)
    job = fleet.deploy(release(fleet, tmp_path / "release", ("kernel", kernels[2]), ("rootfs", images[2])), gateway)
    fleet.wait_job(job, "committed")
    after = digests(parts)
    assert (after["kernel-b"], after["slot-b"]) == (sha256(kernels[2]), sha256(images[2]))
    assert (after["kernel-a"], after["slot-a"]) == (before["kernel-a"], before["slot-a"])
    assert "good=b\ntrial=\n" in gateway.decision and gateway.slot == "b"
    running = {one["name"]: (one["release_seq"], one["slot"]) for one in fleet.device(gateway)["components"]}
    assert running == {"kernel": (2, "b"), "rootfs": (2, "b")}


def test_a_kernel_goes_back_with_the_root_that_does_not_start(tmp_path, fleet, gateway, parts, images, kernels):
    before = digests(parts)
    job = fleet.deploy(release(fleet, tmp_path / "release", ("kernel", kernels[3]), ("rootfs", images[3])), gateway)
    fleet.wait_job(job, "rolled_back")
    after = digests(parts)
    assert (after["kernel-a"], after["slot-a"]) == (before["kernel-a"], before["slot-a"])
    assert "good=a\ntrial=\n" in gateway.decision and gateway.slot == "a"
    running = {one["name"]: one["slot"] for one in fleet.device(gateway)["components"]}
    assert running == {"kernel": "a", "rootfs": "a"}


def test_one_of_the_two_alone_is_refused(tmp_path, fleet, gateway, parts, images, kernels):
    before = digests(parts)
    for name, image in (("kernel", kernels[2]), ("rootfs", images[2])):
        job = fleet.deploy(release(fleet, tmp_path / name, (name, image)), gateway)
        assert fleet.wait_job(job, "rejected")["reason"] == "group_incomplete"
    assert digests(parts) == before
