"""The read-only ext4 of a sealed tree, for kernels without EROFS.

Its digest is over its bytes with the UUID taken as zero, in every copy of the superblock; the UUID comes from
that digest, as an EROFS image's does and for the same reason. Not squashfs: that has no UUID at all, and
overlayfs then mistakes files of one image for those of another as soon as it looks closer.
"""

import contextlib
import hashlib
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from skinnybox import run
from skinnybox.errors import CommandFailed, Corrupt, SkinnyboxError, Unsupported
from skinnybox.masters.beside import writing
from skinnybox.masters.ext4_writer.layout import GROUP, SUPERBLOCK, UUID_AT, UUID_LENGTH, has_backup
from skinnybox.masters.ext4_writer.records import BLOCK
from skinnybox.masters.ext4_writer.write import COMPLAINED
from skinnybox.model import image_uuid
from skinnybox.operation import Operation
from skinnybox.sizes import MIB

_PACKAGES = Path(__file__).parent.parent.parent
# The standard library comes first: what else lies beside our package has no say here.
_WRITE = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from skinnybox.masters.ext4_writer.write import main; main(sys.argv[2:])"
)
_ERRORS: dict[str, type[SkinnyboxError]] = {kind.__name__: kind for kind in (Corrupt, Unsupported)}
_HEADER = 0x3C
_MAGIC = 0xEF53


@contextlib.contextmanager
def making(tree: Path, image: Path, *, newest: int, operation: Operation) -> Iterator[None]:
    """Write a tree's image beside the block; it is there when that has been left without an error. `newest`
    is its newest mtime in seconds. Same tree, same bytes; all that the index tells is kept."""
    python: run.Argv = [sys.executable, "-I", "-S", "-c", _WRITE]
    argv = [*python, _PACKAGES, tree, image, str(newest + 1)]
    with writing(argv, image, _failure, operation):
        yield


def image_digest(image: Path) -> str:
    """Raises Corrupt when it is none of ours."""
    with image.open("rb") as source:
        places = _uuids(image, source)
        source.seek(0)
        total, at = hashlib.sha256(), 0
        while chunk := source.read(MIB):
            piece = bytearray(chunk)
            for place in places:
                if at <= place < at + len(piece):
                    piece[place - at : place - at + UUID_LENGTH] = bytes(UUID_LENGTH)
            total.update(piece)
            at += len(piece)
    return f"sha256:{total.hexdigest()}"


def stamp(image: Path) -> str:
    """Give a fresh image the UUID of its digest; return the digest. Idempotent."""
    digest = image_digest(image)
    with image.open("r+b") as target:
        for place in _uuids(image, target):
            target.seek(place)
            target.write(image_uuid(digest).bytes)
    return digest


def check(image: Path, digest: str, size: int) -> None:
    """Raise Corrupt when any byte is not what was sealed."""
    found = image.stat().st_size
    if found != size:
        raise Corrupt(f"{image} has {found} bytes, sealed were {size}")
    with image.open("rb") as source:
        for place in _uuids(image, source):
            source.seek(place)
            if source.read(UUID_LENGTH) != image_uuid(digest).bytes:
                raise Corrupt(f"{image}: its filesystem UUID is not that of the sealed image")
    if image_digest(image) != digest:
        raise Corrupt(f"{image}: its bytes are not what was sealed ({digest})")


def _uuids(image: Path, source: BinaryIO) -> list[int]:
    """Where the UUID stands, ascending. Each lies within one MiB of the file, since groups are whole MiB."""
    source.seek(SUPERBLOCK)
    head = source.read(_HEADER)
    if len(head) < _HEADER or struct.unpack_from("<H", head, 0x38)[0] != _MAGIC:
        raise Corrupt(f"{image} is not an ext4 image")
    blocks = struct.unpack_from("<I", head, 4)[0]
    if blocks * BLOCK != os.fstat(source.fileno()).st_size:
        raise Corrupt(f"{image}: its superblock names another size than it has")
    copies = [group * GROUP * BLOCK for group in range(1, -(-blocks // GROUP)) if has_backup(group)]
    return [UUID_AT + start for start in (SUPERBLOCK, *copies)]


def _failure(code: int, text: str) -> SkinnyboxError:
    if code == COMPLAINED:
        with contextlib.suppress(ValueError, TypeError):
            kind, message, hint = json.loads(text.splitlines()[-1])
            return _ERRORS.get(kind, Corrupt)(message, hint=hint)
    last = text.splitlines()[-1] if text else "it said nothing"
    return CommandFailed(f"the ext4 image could not be written: {last}", returncode=code, stderr=text)
