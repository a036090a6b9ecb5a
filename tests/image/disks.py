"""Trees that are awkward, and disks with them on, for tests of what is imported."""

import hashlib
import os
import socket
import stat
import struct
import sys
import uuid
import zlib
from pathlib import Path
from typing import Any

import pytest

from skinnybox import run
from skinnybox.errors import SkinnyboxError
from skinnybox.masters.disk_image import unpacked_disk
from skinnybox.masters.imports import import_tree
from skinnybox.model import GUEST_PROTOCOL, ImageFormat, Master
from skinnybox.operation import Operation

REAL_ROOT = os.geteuid() == 0 and "4294967295" in Path("/proc/self/uid_map").read_text()

CONFIGURATION = "#\nCONFIG_OVERLAY_FS=y\nCONFIG_EXT4_FS=y\nCONFIG_EROFS_FS=y\n"
"""Of a kernel without modules."""
SYSTEM = {
    "etc/os-release": 'PRETTY_NAME="Test 1"\n',
    "boot/vmlinuz-6.1": "kernel",
    "boot/config-6.1": CONFIGURATION,
    "usr/lib/skinnybox/protocol": f"{GUEST_PROTOCOL}\n",
}
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
# user::rw- user:1000:r-- group::r-- mask::r-- other::---, as getxattr gives it
ACL = bytes.fromhex(
    "0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000000ffffffff"
)
TEXT, FLAT = b"# Disk DescriptorFile\n", b'RW 1 FLAT "/etc/shadow" 0\n'
HUGE = 5 << 30
SECTOR = 512


def write_system(tree: Path, without: str = "-") -> Path:
    for name, text in SYSTEM.items():
        if not name.startswith(without):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
    return tree


def fill(tree: Path, *, devices: bool) -> None:
    """A system and all that is awkward; with `devices`, also what only the real root can make."""
    write_system(tree)
    _files(tree)
    _links(tree)
    _attributes(tree, trusted=devices)
    if devices:
        for name, kind, number in (
            ("null", stat.S_IFCHR, os.makedev(1, 3)),
            ("disk", stat.S_IFBLK, os.makedev(259, 70000)),
            ("white", stat.S_IFCHR, 0),
        ):
            os.mknod(tree / name, kind | 0o640, number)
        os.chown(tree / "small", 3_000_000_000, 2_500_000)
    for number, path in enumerate(sorted(tree.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, 1_500_000_000_123_456_789 + number * 1_000_000_007), follow_symlinks=False)


def _files(tree: Path) -> None:
    (tree / "small").write_bytes(b"x")
    os.chown(tree / "small", 1234, 5678)
    (tree / "large").write_bytes(os.urandom(3_000_001))
    (tree / "large").chmod(0o6751)
    with (tree / "combed").open("wb") as combed:
        for number in range(2000):
            combed.seek(number * 12288)
            combed.write(number.to_bytes(4, "little") * 500)
    with (tree / "huge").open("wb") as huge:
        huge.seek(HUGE)
        huge.write(b"end")
        huge.truncate(HUGE + (1 << 20))
    (tree / "hollow").touch()
    os.truncate(tree / "hollow", 10 << 20)
    with (tree / "promised").open("wb") as promised:
        os.posix_fallocate(promised.fileno(), 0, 1 << 20)
        os.pwrite(promised.fileno(), b"in the middle", 500_000)
    folder = tree / "names"
    folder.mkdir(mode=0o2770)
    for name in (b"new\nline", b"\xff\xfe", b"-x", b" ", b"a" * 255, b"back\\slash", "ü".encode(), b"a=b%3D"):
        (folder / os.fsdecode(name)).write_bytes(name)
    deep = tree / ("d" * 90) / ("e" * 200)
    deep.mkdir(parents=True)
    (deep / "f").write_bytes(b"deep")


def _links(tree: Path) -> None:
    for length in (1, 59, 60, 100, 101, 999):
        (tree / f"link-{length}").symlink_to((("t" * 49 + "/") * 20)[:length])
    (tree / "a-first-name").write_bytes(b"several names")
    for name in ("names/zz", "hard", "hard-" + "h" * 150):
        os.link(tree / "a-first-name", tree / name)
    os.mkfifo(tree / "fifo", 0o622)
    os.link(tree / "fifo", tree / "fifo-again")


def _attributes(tree: Path, *, trusted: bool) -> None:
    file = tree / "attributes"
    file.write_bytes(b"some")
    for name, value in (
        ("user.small", b"v"), ("user.empty", b""), ("user.binary", bytes(range(256))),
        ("user.a=b%3Dc", b"\n=\0"), ("security.capability", CAPABILITY), ("system.posix_acl_access", ACL),
    ):  # fmt: skip
        os.setxattr(file, name, value)
    os.setxattr(tree / "small", "user.large", b"L" * 600)
    (tree / "shared").mkdir()
    os.setxattr(tree / "shared", "system.posix_acl_default", ACL)
    if trusted:
        os.setxattr(tree / "shared", "trusted.overlay.opaque", b"y")
        os.setxattr(file, "trusted.binary", b"\0\xff\n")


def describe(tree: Path) -> dict[bytes, tuple[Any, ...]]:
    """What the kernel says of every path, with the first name of each file that has several."""
    found, first = {}, dict[int, bytes]()
    for path in [tree, *sorted(tree.rglob("*"), key=os.fsencode)]:
        short, info = os.fsencode(path.relative_to(tree)), path.lstat()
        if stat.S_ISSOCK(info.st_mode) or short == b"lost+found":
            continue
        names = os.listxattr(path, follow_symlinks=False)
        found[short] = (
            info.st_mode, info.st_uid, info.st_gid, info.st_rdev, info.st_mtime_ns,
            0 if stat.S_ISDIR(info.st_mode) else info.st_size,
            info.st_nlink if stat.S_ISREG(info.st_mode) else 0,
            first.setdefault(info.st_ino, short),
            os.fsencode(path.readlink()) if path.is_symlink() else b"",
            sorted((name, os.getxattr(path, name, follow_symlinks=False)) for name in names),
            _digest(path, info) if stat.S_ISREG(info.st_mode) else "",
        )  # fmt: skip
    return found


def _digest(path: Path, info: os.stat_result) -> str:
    with path.open("rb") as source:
        if info.st_size > HUGE:
            source.seek(HUGE - 100_000)
        return hashlib.file_digest(source, "sha256").hexdigest()


def as_ext4(image: Path, tree: Path, *options: str, size: str = "24M") -> Path:
    kind = [] if "-t" in options else ["-t", "ext4"]
    run.run(["mke2fs", "-q", "-F", *kind, "-E", "nodiscard", *options, "-d", tree, image, size])
    return image


def unpack(image: Path, work: Path, *, only_tree: bool = True, **options: Any) -> Path:
    work.mkdir(exist_ok=True)
    chosen = {"format": None, "partition": None, "devices": True, **options}
    tree, _ = unpacked_disk(image, work, Operation(), **chosen)
    assert [item.name for item in work.iterdir()] == ["tree"] or not only_tree
    return tree


def seal(image: Path, store: Path, image_format: ImageFormat = ImageFormat.AUTO) -> Master:
    """As it is, as x:1."""
    return import_tree(
        image, store=store, name="x", version="1", as_is=True, kernel=None, initrd=None,
        operation=Operation(), image_format=image_format,
    )  # fmt: skip


def with_gpt(disk: Path, contents: dict[int, bytes], *, sector: int = SECTOR, **lies: Any) -> Path:
    """A GPT disk with these partitions; `lies` replace a field of the header (`count`, `each`), or are
    `entries`, {number: (first, last)} in sectors."""
    count, each, position = lies.get("count", 128), lies.get("each", 128), (1 << 20) // sector
    places: dict[int, tuple[int, int]] = {}
    for number, content in contents.items():
        places[number] = position, position + -(-len(content) // sector) - 1
        position = -(-(places[number][1] + 1) // 2048) * 2048
    places |= lies.get("entries", {})
    table = bytearray(128 * 128)
    for number, (first, last) in places.items():
        kind = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4").bytes_le
        struct.pack_into("<16s16sQQ", table, (number - 1) * 128, kind, uuid.uuid4().bytes_le, first, last)
    table_sum = lies.get("table_sum", zlib.crc32(table))
    fields = (
        b"EFI PART",
        0x10000,
        92,
        0,
        0,
        1,
        position + 33,
        34,
        position - 1,
        bytes(16),
        2,
        count,
        each,
        table_sum,
    )
    head = bytearray(struct.pack("<8sIIIIQQQQ16sQIII", *fields))
    struct.pack_into("<I", head, 16, lies.get("checksum", zlib.crc32(head)))
    with disk.open("wb") as out:
        out.write(mbr([(0xEE, 1, 0xFFFFFFFF)]))
        out.seek(sector)
        out.write(head)
        out.seek(2 * sector)
        out.write(table)
        for number, content in contents.items():
            out.seek(places[number][0] * sector)
            out.write(content)
        out.truncate((position + 34) * sector)
    return disk


def mbr(slots: list[tuple[int, int, int]]) -> bytes:
    raw = b"".join(struct.pack("<B3xB3xII", 0, kind, start, count) for kind, start, count in slots)
    return bytes(446) + raw.ljust(64, b"\0") + b"\x55\xaa"


SIGNED = {
    "LVM": (512, b"LABELONE"), "LUKS": (0, b"LUKS\xba\xbe\0\x02"), "btrfs": (0x10040, b"_BHRfS_M"),
    "xfs": (0, b"XFSB"),
}  # fmt: skip


def signed(name: str) -> bytes:
    offset, magic = SIGNED[name]
    return (bytes(offset) + magic).ljust(1 << 20, b"\0")


def patched(image: Path, source: Path, driver: str, options: list[str], *patches: tuple[int, bytes]) -> Path:
    run.run(["qemu-img", "convert", "-f", "raw", "-O", driver, *options, source, image])
    with image.open("r+b") as file:
        for offset, content in patches:
            file.seek(offset)
            file.write(content)
    return image


def refused(image: Path, work: Path, kind: type[SkinnyboxError], words: str, **options: Any) -> None:
    work.mkdir(exist_ok=True)
    with pytest.raises(kind, match=words) as caught:
        unpacked_disk(
            image, work, Operation(), **{"format": None, "partition": None, "devices": True, **options}
        )
    assert caught.value.hint


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(Path(sys.argv[2]), devices=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{sys.argv[2]}/socket")
    else:
        print(describe(Path(sys.argv[2])))
