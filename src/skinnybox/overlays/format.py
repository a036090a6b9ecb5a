"""Format an empty overlay image, the same bytes whoever does it and whenever, without root and mounts.

mke2fs fills a directory in; what it takes from the builder (owners, times) is overwritten in the few inodes
there are.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from skinnybox import run
from skinnybox.crc32c import crc32c
from skinnybox.model import DiskKind
from skinnybox.model.ranges import OVERLAY
from skinnybox.overlays import space
from skinnybox.sizes import GIB, KIB, MIB

LABELS = {DiskKind.OVERLAY: "skinny-overlay", DiskKind.DATA: "skinny-data"}
FOLDERS = {DiskKind.OVERLAY: ("upper", "work"), DiskKind.DATA: ("folders",)}
"""What a fresh disk has beside /skinnybox."""
NAMED = {DiskKind.OVERLAY: "an overlay", DiskKind.DATA: "a data disk"}
BLOCK = 4096
MIN_OVERLAY = OVERLAY.least
UUID = bytes.fromhex("5b0c1f6e6f7645728c61790000000001")
HASH_SEED = bytes.fromhex("5b0c1f6e6f7645728c61790000000002")
"""What every fresh image has, until make.py gives a copy its own."""

_EPOCH = 1577836800  # 2020-01-01
_FEATURES = (
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,"
    "huge_file,dir_nlink,extra_isize,metadata_csum,metadata_csum_seed"
)
# prezeroed: the file is all holes, so inode tables count as zeroed and no guest zeroes them in the background
_EXTENDED = "assume_storage_prezeroed=1,lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"
_CONFIGURATION = """[defaults]
\tbase_features = none
\tdefault_mntopts = acl,user_xattr
\tenable_periodic_fsck = 0
[fs_types]
\tskinny = {
\t}
"""
_SMALL = 512 * MIB
_JOURNALS = ((256 * MIB, 4), (2 * GIB, 16), (16 * GIB, 64))
_LARGEST_JOURNAL = 128
_GROWTH, _LEAST_GROWTH = 16, 32 * GIB
"""Room kept for descriptors of a grown overlay; each 8 GiB cost a block that every copy has to hold."""
_CHECKSUM_SEED_AT = 0x270


def format_image(folder: Path, size: int, files: dict[str, int], kind: DiskKind = DiskKind.OVERLAY) -> Path:
    """A sparse image in `folder`, with `files` (name and bytes, filled with newlines) in /skinnybox.

    Raises CommandFailed when mke2fs fails.
    """
    contents, image, configuration = folder / "contents", folder / "image", folder / "mke2fs.conf"
    _fill(contents, files, kind)
    configuration.write_text(_CONFIGURATION)
    with image.open("wb") as file:
        file.truncate(size)
    run.run(
        _command(image, size, contents, LABELS[kind]),
        env={"MKE2FS_CONFIG": os.fspath(configuration), "E2FSPROGS_FAKE_TIME": str(_EPOCH)},
    )
    _own_by_root(image)
    return image


def _fill(folder: Path, files: dict[str, int], kind: DiskKind) -> None:
    """Newlines, not zeros: mke2fs leaves blocks of zeros out, and these files must have their place."""
    for name, mode in (("", 0o755), *((name, 0o755) for name in FOLDERS[kind]), ("skinnybox", 0o700)):
        (folder / name).mkdir()
        (folder / name).chmod(mode)
    for name, length in files.items():
        file = folder / "skinnybox" / name
        file.write_bytes(b"\n" * length)
        file.chmod(0o600)


def _command(image: Path, size: int, contents: Path, label: str) -> list[str | Path]:
    bytes_per_inode = 8192 if size < _SMALL else 16384
    journal = next((mib for limit, mib in _JOURNALS if size < limit), _LARGEST_JOURNAL)
    grown = max(_GROWTH * size, _LEAST_GROWTH) // BLOCK
    return [
        *("mke2fs", "-q", "-F", "-T", "skinny", "-O", _FEATURES, "-b", str(BLOCK), "-I", "256", "-m", "1"),
        *("-i", str(bytes_per_inode), "-J", f"size={journal}", "-L", label, "-U", _dashed(UUID)),
        *("-E", f"{_EXTENDED},resize={grown},hash_seed={_dashed(HASH_SEED)}"),
        *("-d", contents, image, f"{size // KIB}k"),
    ]


def _dashed(raw: bytes) -> str:
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _own_by_root(image: Path) -> None:
    from skinnybox.ext4 import open_volume

    with open_volume(image) as volume, image.open("r+b") as file:
        file.seek(1024 + _CHECKSUM_SEED_AT)
        seed = int.from_bytes(file.read(4), "little")
        for _, node in volume.walk(b""):
            offset = volume.offset(node.inode)
            file.seek(offset)
            record = _of_root(node.inode, file.read(volume.superblock.inode_size), seed)
            file.seek(offset)
            file.write(record)


def _of_root(number: int, raw: bytes, seed: int) -> bytes:
    """The record with owner root and all four times the same, under a new checksum."""
    record = bytearray(raw)
    for offset, field in ((0x02, "<H"), (0x18, "<H"), (0x78, "<I"), (0x7C, "<H"), (0x82, "<H")):
        struct.pack_into(field, record, offset, 0)
    struct.pack_into("<III", record, 0x08, _EPOCH, _EPOCH, _EPOCH)
    struct.pack_into("<IIIII", record, 0x84, 0, 0, 0, _EPOCH, 0)
    crc = crc32c(number.to_bytes(4, "little") + record[0x64:0x68] + record, seed)
    struct.pack_into("<H", record, 0x7C, crc & 0xFFFF)
    struct.pack_into("<H", record, 0x82, crc >> 16)
    return bytes(record)


def pieces(image: Path) -> Iterator[tuple[int, bytes]]:
    """What of an image is not zero: (offset, bytes), ascending, in whole blocks."""
    start, held = 0, list[bytes]()
    for offset, block in _blocks(image):
        if held and offset != start + len(held) * BLOCK:
            yield start, b"".join(held)
            held = []
        start = start if held else offset
        held.append(block)
    if held:
        yield start, b"".join(held)


def _blocks(image: Path) -> Iterator[tuple[int, bytes]]:
    zero = bytes(BLOCK)
    with image.open("rb", buffering=0) as file:
        for first, end in space.data_ranges(file.fileno()):
            for offset in range(first - first % BLOCK, end, BLOCK):
                block = os.pread(file.fileno(), BLOCK, offset)
                if block != zero[: len(block)]:
                    yield offset, block
