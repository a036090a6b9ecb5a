"""The empty formatted disk of a kind, made once for each size and from then on only copied.

The cache keeps its non-zero bytes alone, under a digest; a file that is damaged is made anew.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skinnybox import named_file, private
from skinnybox.crc32c import byte_effects
from skinnybox.errors import Corrupt, UsageError
from skinnybox.layout import FILE
from skinnybox.model import DiskKind
from skinnybox.overlays.format import BLOCK, MIN_OVERLAY, NAMED, format_image, pieces
from skinnybox.overlays.runs import Blank, Run, cut
from skinnybox.sizes import KIB, format_size
from skinnybox.values import dataclass

if TYPE_CHECKING:
    from skinnybox.ext4 import Volume

FORMAT = 3
"""Counts up when a template of an older Skinnybox must not be used any more: those of 1 were made with the
caller's umask, and may have been written to by others; those of 2 hold newlines where messages go."""
BASE_CAPACITY, SEED_CAPACITY, IDENTITY_CAPACITY = 4 * KIB, 16 * KIB, 32 * KIB
UUID_AT, HASH_SEED_AT, CHECKSUM_AT = 0x68, 0xEC, 0x3FC
UUID_LENGTH = 16
_PRIMARY = 1024
_MOST = 1 << 30
_DIGEST = hashlib.sha256().digest_size


@dataclass(frozen=True, kw_only=True)
class Template:
    """A formatted disk of `size` bytes: its non-zero pieces, and where to patch a copy of it.

    `places` gives the offset of each of its messages, which are zeros here; `superblocks` is (offset,
    checksum) of each copy of the superblock. Shared by threads.
    """

    size: int
    seed_capacity: int
    pieces: tuple[tuple[int, bytes], ...]
    places: dict[str, int]
    superblocks: tuple[tuple[int, int], ...]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """What is to be written of a copy. Its blanks are its messages, by their names, of which `base` is
        to be filled whole, UUID and HASH_SEED, and for each copy of the superblock `checksum_name`."""
        return cut(self.pieces, tuple(self._blanks()), last=("seed", "identity"))

    def _blanks(self) -> Iterator[Blank]:
        capacities = {"base": BASE_CAPACITY, "seed": self.seed_capacity, "identity": IDENTITY_CAPACITY}
        for name, offset in self.places.items():
            yield offset, capacities[name], name
        for offset, _ in self.superblocks:
            yield offset + UUID_AT, UUID_LENGTH, "uuid"
            yield offset + HASH_SEED_AT, UUID_LENGTH, "hash seed"
            yield offset + CHECKSUM_AT, 4, checksum_name(offset)

    @cached_property
    def effects(self) -> tuple[tuple[int, ...], ...]:
        """What each byte of the UUID, then of the directories' hash seed, does to a superblock's checksum."""
        behind = (CHECKSUM_AT - offset - UUID_LENGTH for offset in (UUID_AT, HASH_SEED_AT))
        uuid, hash_seed = (byte_effects(UUID_LENGTH, length) for length in behind)
        return uuid + hash_seed


def checksum_name(superblock: int) -> str:
    """The name of a blank: each copy of the superblock, by its offset, has a checksum of its own."""
    return f"checksum {superblock}"


def template(
    cache: Path, size: int, seed_capacity: int = SEED_CAPACITY, kind: DiskKind = DiskKind.OVERLAY
) -> Template:
    """The template for disks of `size` bytes, of which only overlays have a seed; made when the cache has
    none that is whole.

    Safe to call from several processes at once. Raises UsageError for a size that no overlay, or none with
    such a seed, can have; CommandFailed when mke2fs fails.
    """
    _check_size(size, kind)
    seed_capacity = seed_capacity if kind is DiskKind.OVERLAY else 0
    file = cache / f"{kind}-{FORMAT}-{size}-{seed_capacity}"
    try:
        return _kept(file)
    except (FileNotFoundError, Corrupt):
        private.make_folder(cache)
    import tempfile  # most templates are there already

    with tempfile.TemporaryDirectory(dir=cache, prefix=".making-") as folder:
        made = _made(Path(folder), size, seed_capacity, kind)
        beside = Path(folder, "template")
        with private.create(beside) as saved:
            saved.write(_saved(made))
        beside.replace(file)
    return made


def is_whole(file: Path) -> bool:
    """Whether a file of the cache holds a template; one that does not is made anew when it is needed. One of
    another Skinnybox, which we do not use, is held to no more than that holds it to."""
    try:
        own = file.name.startswith(tuple(f"{kind}-{FORMAT}-" for kind in DiskKind))
        _kept(file) if own else _loaded(named_file.content(file, _MOST))
    except (OSError, Corrupt):
        return False
    return True


def _kept(file: Path) -> Template:
    """Corrupt when anybody else can have put it there, or written to it: every machine made from it would be
    his. Its digest is no proof, since whoever writes it can count that as well."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise Corrupt(f"{file} is a symlink") from error
    with os.fdopen(descriptor, "rb") as opened:
        found = os.fstat(descriptor)
        # Its mode is just the one it was made with: one that was open once, and was closed since, may hold
        # what others wrote meanwhile.
        private_file = stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == FILE
        if not (private_file and private.is_ours(found) and found.st_nlink == 1):
            raise Corrupt(f"{file} is not ours alone")
        return _loaded(opened.read())


def _check_size(size: int, kind: DiskKind) -> None:
    if size < MIN_OVERLAY:
        least = format_size(MIN_OVERLAY)
        raise UsageError(f"{NAMED[kind]} of {format_size(size)} is too small", hint=f"at least {least}")
    if size % BLOCK:
        raise UsageError(f"{NAMED[kind]} of {size} bytes ends within a block", hint=f"a multiple of {BLOCK}")


def _made(folder: Path, size: int, seed_capacity: int, kind: DiskKind) -> Template:
    from skinnybox.ext4 import open_volume

    files = {"base": BASE_CAPACITY}
    if kind is DiskKind.OVERLAY:
        files |= {"seed": seed_capacity, "identity": IDENTITY_CAPACITY}
    if sum(files.values()) > size // 4:
        raise UsageError(f"an overlay of {format_size(size)} is too small for its seed")
    image = format_image(folder, size, files, kind)
    with open_volume(image) as volume:
        places = {name: _place(volume, name) for name in files}
        superblocks = _superblocks(volume)
    _blank(image, ((places[name], capacity) for name, capacity in files.items()))
    return Template(
        size=size,
        seed_capacity=seed_capacity,
        pieces=tuple(pieces(image)),
        places=places,
        superblocks=tuple((offset, _checksum(image, offset)) for offset in superblocks),
    )


def _place(volume: "Volume", name: str) -> int:
    node = volume.lookup(f"skinnybox/{name}".encode())
    extents = list(volume.extents(node))
    if len(extents) != 1 or extents[0][2] != node.size:
        raise UsageError(
            f"an overlay of {format_size(volume.size)} has no {format_size(node.size)} in one piece",
            hint="make the overlay larger, or the seed smaller",
        )
    return extents[0][1]


def _blank(image: Path, places: Iterable[tuple[int, int]]) -> None:
    """So that copies take no space for what no message fills, nor time to write it."""
    with image.open("r+b", buffering=0) as file:
        for offset, length in places:
            os.pwrite(file.fileno(), bytes(length), offset)


def _superblocks(volume: "Volume") -> list[int]:
    superblock = volume.superblock
    copies = filter(superblock.has_backup, range(1, superblock.groups))
    return [_PRIMARY, *(group * superblock.blocks_per_group * BLOCK for group in copies)]


def _checksum(image: Path, superblock: int) -> int:
    with image.open("rb") as file:
        file.seek(superblock + CHECKSUM_AT)
        return int.from_bytes(file.read(4), "little")


def _saved(template: Template) -> bytes:
    """A line of JSON, the pieces, and the digest of both."""
    head = {
        "size": template.size,
        "seed": template.seed_capacity,
        "pieces": [(offset, len(data)) for offset, data in template.pieces],
        "places": template.places,
        "superblocks": template.superblocks,
    }
    body = json.dumps(head).encode() + b"\n" + b"".join(data for _, data in template.pieces)
    return body + hashlib.sha256(body).digest()


def _loaded(raw: bytes) -> Template:
    body, digest = raw[:-_DIGEST], raw[-_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise Corrupt("a cached template is damaged")
    line, _, data = body.partition(b"\n")
    head: dict[str, Any] = json.loads(line)
    found, position = [], 0
    for offset, length in head["pieces"]:
        found.append((int(offset), data[position : position + length]))
        position += length
    return Template(
        size=head["size"],
        seed_capacity=head["seed"],
        pieces=tuple(found),
        places=head["places"],
        superblocks=tuple((offset, checksum) for offset, checksum in head["superblocks"]),
    )
