"""Where the root filesystem lies on a disk: it is found, or what is there is named."""

import os
import random
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.masters import namespace
from tests.image.disks import (
    SECTOR,
    SIGNED,
    as_ext4,
    describe,
    mbr,
    refused,
    seal,
    signed,
    unpack,
    with_gpt,
    write_system,
)

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]


def test_the_root_is_found_among_partitions(tmp_path: Path, plain: Path) -> None:
    (tmp_path / "data").mkdir()
    data = as_ext4(tmp_path / "data.raw", tmp_path / "data", size="4M").read_bytes()
    wanted = describe(unpack(plain, tmp_path / "plain"))
    parts = {1: b"boot loader", 2: data, 5: plain.read_bytes(), 14: signed("LUKS")}
    assert describe(unpack(with_gpt(tmp_path / "gpt", parts), tmp_path / "a")) == wanted
    assert describe(unpack(with_gpt(tmp_path / "4k", parts, sector=4096), tmp_path / "b")) == wanted
    size = plain.stat().st_size // SECTOR
    disk = tmp_path / "mbr"
    with disk.open("wb") as out:
        out.write(mbr([(0x83, 2048, 8192), (0x05, 20480, size + 8192)]))
        out.seek(2048 * SECTOR)
        out.write(data)
        out.seek(20480 * SECTOR)
        out.write(mbr([(0x83, 2048, 2), (0x05, 4096, size + 4096)]))
        out.seek((20480 + 4096) * SECTOR)
        out.write(mbr([(0x83, 2048, size)]))
        out.seek((20480 + 4096 + 2048) * SECTOR)
        out.write(plain.read_bytes())
        out.truncate((20480 + size + 8192) * SECTOR)
    assert describe(unpack(disk, tmp_path / "c")) == wanted
    assert describe(unpack(disk, tmp_path / "d", partition=6)) == wanted


def test_a_partitioning_tool_and_we_agree(tmp_path: Path, plain: Path) -> None:
    if not run.find("sfdisk"):
        pytest.skip("no sfdisk")
    for label in ("gpt", "dos"):
        disk = tmp_path / label
        with disk.open("wb") as out:
            out.truncate(64 << 20)
        layout = f"label: {label}\nstart=2048, size=4096\nstart=8192, size={plain.stat().st_size // SECTOR}\n"
        run.run(["sfdisk", "--quiet", disk], stdin=layout.encode())
        with disk.open("r+b") as out:
            out.seek(8192 * SECTOR)
            out.write(plain.read_bytes())
        assert (unpack(disk, tmp_path / f"work-{label}") / "etc/os-release").exists()


def by_sfdisk(disk: Path, plain: Path) -> Path:
    if not run.find("sfdisk"):
        pytest.skip("no sfdisk")
    with disk.open("wb") as out:
        out.truncate(64 << 20)
    layout = f"label: gpt\nstart=8192, size={plain.stat().st_size // SECTOR}\n"
    run.run(["sfdisk", "--quiet", disk], stdin=layout.encode())
    with disk.open("r+b") as out:
        out.seek(8192 * SECTOR)
        out.write(plain.read_bytes())
    return disk


@pytest.mark.parametrize(
    ("start", "length"), [(SECTOR, 8), (2 * SECTOR, SECTOR), (SECTOR, 33 * SECTOR), (0, 1 << 20)]
)
def test_a_gpt_with_only_its_copy_is_read(tmp_path: Path, plain: Path, start: int, length: int) -> None:
    disk = by_sfdisk(tmp_path / "disk", plain)
    with disk.open("r+b") as out:
        out.seek(start)
        out.write(bytes(length))
    assert describe(unpack(disk, tmp_path / "a")) == describe(unpack(plain, tmp_path / "b"))
    with disk.open("r+b") as out:
        out.seek(-SECTOR, os.SEEK_END)
        out.write(bytes(8))
    refused(disk, tmp_path / "c", SkinnyboxError, "GPT|no ext4 volume")


def test_a_copy_of_a_gpt_that_was_left_is_not_taken(tmp_path: Path, plain: Path) -> None:
    """The disk got an MBR afterwards, or a filesystem without partitions."""
    disk = by_sfdisk(tmp_path / "disk", plain)
    with disk.open("r+b") as out:
        out.write(mbr([(0x83, 65536, 2048)]).ljust(1 << 20, b"\0"))
    refused(disk, tmp_path / "a", Unsupported, "no ext4 volume")
    other = as_ext4(
        tmp_path / "other", write_system(tmp_path / "tree", without="boot"), size="8M"
    ).read_bytes()
    with disk.open("r+b") as out:
        out.write(other)
    assert not (unpack(disk, tmp_path / "b") / "boot").exists()


def test_what_this_reader_does_not_support_is_not_called_damaged(tmp_path: Path) -> None:
    work = tmp_path / "work"
    tree = write_system(tmp_path / "tree")
    image = as_ext4(tmp_path / "bigalloc", tree, "-b", "1024", "-O", "bigalloc")
    refused(image, work, Unsupported, "bigalloc")
    image = as_ext4(tmp_path / "journal", tree)
    with image.open("r+b") as out:  # without a checksum, so that only the feature is odd
        out.seek(1024 + 0x60)
        flags = out.read(8)
        out.seek(1024 + 0x60)
        out.write((int.from_bytes(flags[:4], "little") | 0x8).to_bytes(4, "little"))
        out.write((int.from_bytes(flags[4:], "little") & ~0x400).to_bytes(4, "little"))
    refused(image, work, Unsupported, "a journal device")
    image = as_ext4(tmp_path / "huge", tree, "-O", "ea_inode")
    (tmp_path / "value").write_bytes(b"h" * 60_000)
    words = f"ea_set -f {tmp_path / 'value'} /etc/os-release user.huge\n"
    run.run(["debugfs", "-w", "-f", "-", image], stdin=words.encode())
    refused(image, work, Unsupported, "ea_inode")


def test_a_boot_volume_is_put_in_its_place(tmp_path: Path) -> None:
    root, boot = write_system(tmp_path / "root", without="boot"), tmp_path / "boot"
    (root / "boot").mkdir()
    boot.mkdir()
    for name in ("vmlinuz-6.1", "config-6.1"):
        (boot / name).write_text(name)
    parts = {
        1: as_ext4(tmp_path / "boot.raw", boot, size="4M").read_bytes(),
        2: as_ext4(tmp_path / "root.raw", root).read_bytes(),
    }
    tree = unpack(with_gpt(tmp_path / "disk", parts), tmp_path / "work")
    assert (tree / "boot/vmlinuz-6.1").read_text() == "vmlinuz-6.1"
    # A link there leads nowhere: what is outside stays as it is.
    (root / "boot").rmdir()
    (root / "boot").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    parts[2] = as_ext4(tmp_path / "root.raw", root).read_bytes()
    unpack(with_gpt(tmp_path / "disk", parts), tmp_path / "again")
    assert not list((tmp_path / "outside").iterdir())


def test_which_of_several_systems_must_be_said(tmp_path: Path, plain: Path) -> None:
    system = plain.read_bytes()
    disk = with_gpt(tmp_path / "disk", {1: system, 2: system, 3: signed("LVM")})
    with pytest.raises(UsageError, match="partitions 1, 2"):
        unpack(disk, tmp_path / "a")
    assert (unpack(disk, tmp_path / "b", partition=2) / "boot").exists()
    with pytest.raises(NotFound, match="no partition 4"):
        unpack(disk, tmp_path / "c", partition=4)
    with pytest.raises(Unsupported, match="partition 3 holds LVM"):
        unpack(disk, tmp_path / "d", partition=3)


@pytest.mark.parametrize("name", SIGNED)
def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, name: str) -> None:
    disk = with_gpt(tmp_path / "disk", {1: b"x", 2: signed(name)})
    with pytest.raises(Unsupported, match=f"partition 2 holds {name}") as caught:
        unpack(disk, tmp_path / "work")
    assert caught.value.hint is not None
    assert "tar" in caught.value.hint
    disk.write_bytes(signed(name))
    with pytest.raises(Unsupported, match=f"the disk holds {name}"):
        unpack(disk, tmp_path / "work")


def test_a_gpt_without_partitions_is_said_to_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no ext4 volume") as caught:
        unpack(with_gpt(tmp_path / "disk", {}), tmp_path / "work")
    assert caught.value.hint == "the disk holds nothing that is known"


def test_a_system_without_a_kernel_is_refused(tmp_path: Path) -> None:
    image = as_ext4(tmp_path / "disk.img", write_system(tmp_path / "tree", without="boot"))
    store = tmp_path / "masters"
    with pytest.raises(NotFound, match="no kernel"):
        seal(image, store)
    assert [item.name for item in store.iterdir()] == [".lock"]


def test_what_is_no_disk_image_is_said_so(tmp_path: Path) -> None:
    work = tmp_path / "work"
    for content, words in (
        (b"", "makes no sense"), (random.Random(1).randbytes(1 << 16), "no ext4 volume"),
        (bytes(1 << 20), "no ext4 volume"),
        (b"\x1f\x8b" + bytes(5000), "gzip"), (b"vhdxfile" + bytes(5000), "header|lie outside"),
    ):  # fmt: skip
        (tmp_path / "file").write_bytes(content)
        refused(tmp_path / "file", work, SkinnyboxError, words)
    with pytest.raises(NotFound):
        unpack(tmp_path / "none", work)
    with pytest.raises(UsageError, match="not a file"):
        unpack(tmp_path, work, format="raw")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UsageError, match="not a file"):
        unpack(tmp_path / "fifo", work)
