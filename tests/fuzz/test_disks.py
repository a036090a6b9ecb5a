"""Disk images to be imported: a tree or an error comes of them, and they lead nowhere else."""

import os
import random
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import SkinnyboxError
from skinnybox.ext4 import open_descriptor
from skinnybox.ext4.device import Device
from skinnybox.masters.disk_blocks import check_whole
from skinnybox.masters.disk_header import FORMATS, LARGEST, examine
from skinnybox.masters.disk_image import unpacked_disk
from skinnybox.masters.ext4_tar import tar_of
from skinnybox.masters.partitions import KINDS, MOST, Stretch, stretches
from skinnybox.operation import Operation
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import BYTES, mutated

pytestmark = pytest.mark.image

SECTOR = 512
_END = 64 << 10
WORDS = (
    b"QFI\xfb\0\0\0\3", b"KDMV", b"conectix", b"EFI PART", b"# Disk DescriptorFile\n", b"\x55\xaa",
    b"\xff" * 8, b"\0" * 16, b'createType="monolithicFlat"\n', b'RW 99 FLAT "/etc/passwd" 0\n',
    b'parentFileNameHint="/etc/passwd"', b"victim\0",
    b"\x44\x41\x54\x41\0\0\0\x0b/etc/passwd", b"vhdxfile", b"\x7f\x10\xda\xbe", b"COWD", b"ustar", b"\x05",
    b"\xee",
)  # fmt: skip


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small ext4 with what a system has, as far as an import looks at it."""
    tree = tmp_path_factory.mktemp("disk") / "tree"
    for name in ("etc", "usr/lib", "boot", "dev", "bin"):
        (tree / name).mkdir(parents=True)
    (tree / "etc/os-release").write_text("ID=debian\n")
    (tree / "boot/vmlinuz-6.1").write_bytes(b"k" * 3000)
    (tree / "bin/sh").symlink_to("dash")
    os.link(tree / "etc/os-release", tree / "usr/lib/os-release")
    os.mkfifo(tree / "dev/pipe")
    os.setxattr(tree / "boot", "user.x", b"v")
    with (tree / "holes").open("wb") as file:
        file.seek(300_000)
        file.write(b"end")
    image = tree.parent / "volume"
    run.run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-b", "1024", "-d", tree, image, "2M"])
    return image.read_bytes()


def mbr(volume: bytes) -> bytes:
    slots = b"".join(
        struct.pack("<B3sB3sII", 0, b"\0" * 3, kind, b"\0" * 3, start, count)
        for kind, start, count in (
            (0x83, 64, len(volume) // SECTOR),
            (0x05, 6000, 400),
            (0x82, 7000, 100),
            (0, 0, 0),
        )
    )
    disk = bytearray(8192 * SECTOR)
    disk[446 : 446 + 66] = slots + b"\x55\xaa"
    disk[64 * SECTOR : 64 * SECTOR + len(volume)] = volume
    logical = struct.pack("<B3sB3sII", 0, b"\0" * 3, 0x83, b"\0" * 3, 10, 20) + bytes(48) + b"\x55\xaa"
    disk[6000 * SECTOR + 446 : 6000 * SECTOR + 512] = logical
    return bytes(disk)


def gpt(volume: bytes) -> bytes:
    entry = struct.pack("<16s16sQQQ72s", b"\x0f" * 16, b"\1" * 16, 64, 64 + len(volume) // SECTOR - 1, 0, b"")
    disk = bytearray(8192 * SECTOR)
    disk[2 * SECTOR : 2 * SECTOR + 128] = entry
    disk[64 * SECTOR : 64 * SECTOR + len(volume)] = volume
    return _summed(disk)


def _summed(disk: bytearray) -> bytes:
    """With checksums that fit."""
    table = zlib.crc32(disk[2 * SECTOR : 2 * SECTOR + 128 * 128])
    head = struct.pack(
        "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, 1, 8191, 34, 8158, b"", 2, 128, 128, table
    )
    head = head[:16] + struct.pack("<I", zlib.crc32(head)) + head[20:]
    disk[SECTOR : SECTOR + len(head)] = head
    return bytes(disk)


@pytest.fixture(scope="module")
def images(volume: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One of each format."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "raw").write_bytes(gpt(volume))
    found = {"raw": gpt(volume), "mbr": mbr(volume), "whole": volume}
    for name, words in (
        ("qcow2", ["-O", "qcow2"]),
        ("vmdk", ["-O", "vmdk"]),
        ("stream", ["-O", "vmdk", "-o", "subformat=streamOptimized"]),
        ("vhd", ["-O", "vpc"]),
        ("fixed", ["-O", "vpc", "-o", "subformat=fixed"]),
        ("vdi", ["-O", "vdi"]),
        ("vhdx", ["-O", "vhdx"]),
    ):
        run.run(["qemu-img", "convert", "-f", "raw", *words, folder / "raw", folder / name])
        found[name] = (folder / name).read_bytes()
    return found


def broken(images: dict[str, bytes], chance: random.Random) -> bytes:
    """Mostly in the headers; a GPT gets checksums that fit."""
    good = images[chance.choice(sorted(images))]
    cut = chance.choice((600, 1600, 21 * SECTOR))
    if chance.random() < 0.2 and good[SECTOR : SECTOR + 8] == b"EFI PART":
        return _summed(
            bytearray(
                good[: 2 * SECTOR]
                + mutated(good[2 * SECTOR : 2 * SECTOR + 300], chance)[:300]
                + good[2 * SECTOR + 300 :]
            )
        )
    head = bytearray(mutated(good[:cut], chance, WORDS) if chance.random() < 0.5 else good[:cut])
    for _ in range(chance.choice((1, 2, 6))):
        if head:
            head[chance.randrange(len(head))] = chance.choice(BYTES)
    tail = mutated(good[cut:], chance, WORDS) if chance.random() < 0.2 else good[cut:]
    return bytes(head) + tail


def test_any_header_and_partition_table(
    rounds: int, chance: random.Random, around: Path, images: dict[str, bytes]
) -> None:
    file = around / "inside" / "disk"
    seen = set()
    for _ in range(rounds):
        data = broken(images, chance)
        _write_ends(file, data)
        with file.open("rb") as opened:
            device = Device(opened.fileno(), len(data))
            told = chance.choice((None, None, *FORMATS))
            found = survives(examine, device, told)
            seen.add(found.message[:12] if isinstance(found, SkinnyboxError) else found[0])
            if isinstance(found, tuple):
                assert found[0] in FORMATS and SECTOR <= found[1] <= LARGEST
                assert told in (None, found[0])
                survives(check_whole, device, found[0])
            parts = survives(stretches, device)
            assert isinstance(parts, SkinnyboxError) or _sensible(parts, len(data))
    # What a VHDX says of itself lies behind what is written here of each.
    assert set(FORMATS) - {"vhdx"} < seen and len(seen) > 8


def _write_ends(file: Path, data: bytes) -> None:
    """What headers, tables and footers are in; holes between."""
    with file.open("wb") as out:
        out.write(data[:_END])
        out.seek(max(_END, len(data) - _END))
        out.write(data[max(_END, len(data) - _END) :])


def _sensible(parts: list[Stretch], size: int) -> bool:
    return 0 < len(parts) <= MOST and all(
        part.holds in KINDS and part.start >= 0 and part.length > 0 and part.start + part.length <= size
        for part in parts
    )


def test_any_volume_as_a_tar(rounds: int, chance: random.Random, around: Path, volume: bytes) -> None:
    file = around / "inside" / "volume"
    used = [at for at in range(0, len(volume), 64) if any(volume[at : at + 64])]
    for _ in range(rounds // 2):
        data = bytearray(volume)
        for _ in range(chance.choice((1, 2, 5, 40))):
            at = min(chance.choice(used) + chance.randrange(64), len(data) - 1)
            data[at] = chance.choice(BYTES)
        file.write_bytes(data)
        survives(_length_of_tar, file)


def _length_of_tar(file: Path) -> int:
    """No more than the volume's content and a header for each name, whoever claims whose blocks."""
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        total = sum(map(len, tar_of(open_descriptor(opened.fileno(), 0, size), apparent=1 << 40)))
    assert total < 64 << 20
    return total


@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user each takes a namespace")
def test_any_image_through_the_confined_readers(
    few: int, chance: random.Random, around: Path, images: dict[str, bytes]
) -> None:
    """The whole way of an import, QEMU's converters included, until the tree is there."""
    inside = around / "inside"
    taken = 0
    for number in range(few // 6):
        data = broken(images, chance) if number % 4 else images[chance.choice(sorted(images))]
        (inside / "disk.img").write_bytes(data)
        work = inside / f"work{number}"
        work.mkdir()
        found = survives(_unpacked, inside / "disk.img", work)
        taken += isinstance(found, Path)
        assert (inside / "disk.img").read_bytes() == data
        shutil.rmtree(work)
    assert taken > few / 50


def _unpacked(source: Path, work: Path) -> Path:
    tree, _ = unpacked_disk(source, work, Operation(), format=None, partition=None, devices=False)
    assert (tree / "etc").is_dir() and tree.is_relative_to(work)
    return tree


@pytest.fixture(autouse=True)
def nothing_left(around: Path) -> Iterator[None]:
    yield
    assert {path.name for path in (around / "inside").iterdir()} <= {"disk", "disk.img", "volume"}
