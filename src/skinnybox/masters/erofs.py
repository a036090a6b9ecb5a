"""The read-only filesystem image of a sealed tree, and how it is told from every other image.

The image's digest is over its bytes with UUID, build time and checksum of the superblock taken as zero. Its
filesystem UUID comes from that digest: overlayfs would silently merge files of two images that share a UUID.
"""

import contextlib
import functools
import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from skinnybox import run
from skinnybox.crc32c import crc32c
from skinnybox.errors import CommandFailed, Corrupt
from skinnybox.masters.beside import writing
from skinnybox.masters.kernel import reads_large_clusters
from skinnybox.masters.survey import walk
from skinnybox.model import ImageKind, image_uuid
from skinnybox.operation import Operation
from skinnybox.sizes import MIB

_OPTIONS = {
    ImageKind.EROFS_LZ4HC: ["-zlz4hc"],
    # DAX maps whole blocks only: nothing may be packed into an inode.
    ImageKind.EROFS_PLAIN: ["-Enoinline_data"],
}
_LARGE_CLUSTERS = ["-zlz4hc,6", "-C16384"]
"""Compressed in pieces of up to 16 KiB, not 4, for kernels that read those: smaller, made in less time, and
read as fast (measured: docs/explanation/design.md)."""
_PMEM_UNIT = 2 * MIB
_SUPERBLOCK = 1024
_MAGIC = 0xE0F5E1E2
_CHECKSUM, _BLOCK_BITS, _BUILD_TIME, _UUID = slice(4, 8), 12, slice(24, 36), slice(48, 64)
_HEADER = 128
_CHUNK = 1 << 20
_LONGEST_NAME = 255


def make(
    tree: Path, image: Path, kind: ImageKind, *, newest: int, operation: Operation, linux: str = ""
) -> None:
    """Write a tree's image; `newest` is its newest mtime in seconds, `linux` the version of the kernel that
    will mount it. Same tree and kernel, same bytes; mtimes kept."""
    with making(tree, image, kind, newest=newest, operation=operation, linux=linux):
        pass


@contextlib.contextmanager
def making(
    tree: Path, image: Path, kind: ImageKind, *, newest: int, operation: Operation, linux: str = ""
) -> Iterator[None]:
    """Like make, beside the block: the image is there when the block has been left without an error."""
    argv: run.Argv = ["mkfs.erofs", "--quiet", f"-U{UUID(int=0)}", *_options(kind, linux), image, tree]
    # Later than every mtime, so none is clamped to it; -T would set them all.
    dated = {"SOURCE_DATE_EPOCH": str(newest + 1)}
    with writing(argv, image, lambda code, said: _failure(code, said, tree), operation, dated):
        yield
    if kind is ImageKind.EROFS_PLAIN:
        os.truncate(image, -(-image.stat().st_size // _PMEM_UNIT) * _PMEM_UNIT)


def _options(kind: ImageKind, linux: str) -> list[str]:
    large = kind is ImageKind.EROFS_LZ4HC and reads_large_clusters(linux) and _knows("-C#")
    return _LARGE_CLUSTERS if large else _OPTIONS[kind]


@functools.cache
def _knows(option: str) -> bool:
    """Whether this host's mkfs.erofs has an option, by its help: nothing is tried on somebody's tree."""
    done = run.run(["mkfs.erofs", "--help"], ok=(0, 1))
    words = (done.stdout + done.stderr).decode("utf-8", "replace").split()
    return option in words


def image_digest(image: Path) -> str:
    """Raises Corrupt when it is no EROFS image."""
    with image.open("rb") as source:
        head = bytearray(source.read(_SUPERBLOCK + _HEADER))
        _superblock(image, head)
        for part in (_CHECKSUM, _BUILD_TIME, _UUID):
            head[_SUPERBLOCK + part.start : _SUPERBLOCK + part.stop] = bytes(part.stop - part.start)
        total = hashlib.sha256(head)
        while chunk := source.read(_CHUNK):
            total.update(chunk)
    return f"sha256:{total.hexdigest()}"


def stamp(image: Path) -> str:
    """Give a fresh image the UUID of its digest, with a checksum to match; return the digest. Idempotent."""
    digest = image_digest(image)
    with image.open("r+b") as target:
        block = bytearray(_first_block(image, target))
        block[_UUID] = image_uuid(digest).bytes
        block[_CHECKSUM] = struct.pack("<I", _checksum(block))
        target.seek(_SUPERBLOCK)
        target.write(block)
    return digest


def check(image: Path, digest: str, size: int, *, newest: int | None = None) -> None:
    """Raise Corrupt when any byte is not what was sealed. `newest` is the newest mtime in its tree."""
    found = image.stat().st_size
    if found != size:
        raise Corrupt(f"{image} has {found} bytes, sealed were {size}")
    with image.open("rb") as source:
        block = _first_block(image, source)
    if block[_UUID] != image_uuid(digest).bytes:
        raise Corrupt(f"{image}: its filesystem UUID is not that of the sealed image")
    if block[_CHECKSUM] != struct.pack("<I", _checksum(bytearray(block))):
        raise Corrupt(f"{image}: the checksum of its superblock is wrong")
    if newest is not None and block[_BUILD_TIME] != struct.pack("<QI", newest + 1, 0):
        raise Corrupt(f"{image}: its build time is not that of the sealed image")
    if image_digest(image) != digest:
        raise Corrupt(f"{image}: its bytes are not what was sealed ({digest})")


def _failure(code: int, text: str, tree: Path) -> CommandFailed:
    last = text.splitlines()[-1] if text else "it said nothing"
    longest = next(_longest_names(tree), None)
    hint = None
    if longest is not None:
        hint = (
            f"that of erofs-utils 1.5 cannot take names of {_LONGEST_NAME} bytes, such as {longest!r}: "
            "--image-format ext4 does"
        )
    return CommandFailed(f"mkfs.erofs ended with {code}: {last}", returncode=code, stderr=text, hint=hint)


def _longest_names(tree: Path) -> Iterator[str]:
    """Paths within the tree whose last part is as long as a name can be."""
    for path, _ in walk(os.fsencode(tree)):
        if len(path.rpartition(b"/")[2]) == _LONGEST_NAME:
            yield os.fsdecode(path)


def _superblock(image: Path, head: bytes | bytearray) -> bytes:
    found = bytes(head[_SUPERBLOCK:])
    if len(found) < _HEADER or struct.unpack_from("<I", found)[0] != _MAGIC:
        raise Corrupt(f"{image} is not an EROFS image")
    return found


def _first_block(image: Path, source: BinaryIO) -> bytes:
    head = source.read(_SUPERBLOCK + _HEADER)
    bits = _superblock(image, head)[_BLOCK_BITS]
    if not 12 <= bits <= 16:
        raise Corrupt(f"{image}: its superblock names an impossible block size")
    return (head + source.read((1 << bits) - len(head)))[_SUPERBLOCK:]


def _checksum(block: bytearray) -> int:
    """As the kernel computes it: CRC-32C up to the block's end, its own field zero, not inverted."""
    data = bytearray(block)
    data[_CHECKSUM] = bytes(4)
    return crc32c(bytes(data))
