"""Looking into disks that guests wrote to, from outside: the parser runs confined, never in our process."""

import base64
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skinnybox import wire
from skinnybox.errors import Corrupt, NotFound, Unsupported
from skinnybox.ext4 import Volume, open_descriptor
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, ask

if TYPE_CHECKING:
    from uuid import UUID

_PIECES = 1024
_SWAP_PIECES = 16384
_GENERATION = re.compile(rb"skinnybox-seed [0-9]+\ngeneration ([0-9]{1,9})\n")
_BOUNDS = Bounds(memory=512 << 20, cpu_seconds=20, output=1 << 20)


@contextmanager
def opened(disk: Path) -> Iterator[int]:
    """A descriptor to hand to a confined reader. Raises NotFound."""
    try:
        descriptor = os.open(disk, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError as error:
        raise NotFound(f"{disk}: no such disk") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_clean(disk: Path) -> bool:
    """Whether it may be read as the truth; False: its journal is to be replayed first. NotFound, Corrupt."""
    return _asked(disk, "state") is True


def read_identity(disk: Path, instance: "UUID") -> bytes:
    """The identity the guest made for itself, to be carried to its next overlay; b"" when there is none.

    Never trusted: it is bounded, well-formed and this instance's own, or not taken. Its payloads are opaque.
    b"" also when the disk cannot be read.
    """
    from skinnybox.overlays.template import IDENTITY_CAPACITY  # the child needs this module, but not that one

    try:
        message = wire.decode(_content(disk, "identity", IDENTITY_CAPACITY), "identity")
        if message.get("instance") != str(instance):
            return b""
        found = wire.encode("identity", message.version, message.lines)
    except (Corrupt, NotFound, Unsupported, ValueError):
        return b""
    return found if len(found) <= IDENTITY_CAPACITY else b""


def read_base(disk: Path) -> wire.Message:
    """What an overlay says it belongs to. Corrupt when it is not readable, NotFound when it is not there."""
    from skinnybox.overlays.template import BASE_CAPACITY

    return wire.decode(_content(disk, "base", BASE_CAPACITY), "base")


def read_generation(disk: Path) -> int:
    """That of the seed the overlay carries, by the guest's word; 0 when it says none that could be. NotFound,
    Corrupt for a disk that is none."""
    return generation(_content(disk, "seed", 256))


def generation(seed: bytes) -> int:
    """What the beginning of a seed says; 0 when it says none."""
    found = _GENERATION.match(seed)
    return int(found[1]) if found else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a volume says of itself; `size` in bytes."""

    label: str
    size: int
    clean: bool
    has_upper: bool


def read_shape(disk: Path) -> Shape:
    """Raises Corrupt, NotFound."""
    label, size, clean, has_upper = _checked(_asked(disk, "shape"), disk, (str, int, bool, bool))
    return Shape(label=label, size=size, clean=clean, has_upper=has_upper)


def is_untouched(disk: Path) -> bool:
    """Whether nobody ever mounted it, to write, since it was made: then there is nothing on it that anybody
    could miss. By the disk's own word, which only who has mounted it can change. Corrupt, NotFound."""
    return _asked(disk, "untouched") is True


def read_swap(disk: Path) -> list[tuple[int, int]]:
    """(offset, length) of the blocks of a swap file. None of a disk that is not clean: what it says of them
    may be of before, and they are another file's by now. Corrupt, NotFound."""
    return _as_pieces(_asked(disk, "swap"), disk, "swap", _SWAP_PIECES)


def read_place(disk: Path, name: str) -> list[tuple[int, int]]:
    """(offset, length) of the pieces of a file of /skinnybox, in its order, all of it. Corrupt, NotFound."""
    pieces = _as_pieces(_asked(disk, "place", name), disk, name, _PIECES)
    if not pieces:
        raise Corrupt(f"{disk}: {name} lies in no piece")
    return pieces


def _as_pieces(found: Any, disk: Path, name: str, most: int) -> list[tuple[int, int]]:
    if not isinstance(found, list) or len(found) > most:
        raise Corrupt(f"{disk}: {name} lies in too many pieces")
    pieces = [_checked(piece, disk, (int, int)) for piece in found]
    if any(offset < 0 or length <= 0 for offset, length in pieces):
        raise Corrupt(f"{disk}: its reader gave no proper answer")
    return [(offset, length) for offset, length in pieces]


def _checked(value: Any, disk: Path, types: tuple[type, ...]) -> list[Any]:
    if not isinstance(value, list) or [type(item) for item in value] != list(types):
        raise Corrupt(f"{disk}: its reader gave no proper answer")
    return value


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    descriptor, what, *rest = arguments
    answer(_answers(int(descriptor), what, rest))


def _answers(descriptor: int, what: str, rest: list[str]) -> Iterator[Any]:
    volume = open_descriptor(descriptor)
    if what == "state":
        yield volume.superblock.clean
        return
    if what == "untouched":
        yield volume.superblock.clean and not volume.superblock.mounted
        return
    if what == "shape":
        block = volume.superblock
        yield [block.label, volume.size, block.clean, _has_folder(volume, b"upper")]
        return
    if what == "swap":
        yield _swap(volume)
        return
    if what == "place":
        yield _pieces(volume, rest[0])
        return
    name, limit = rest
    node = volume.lookup(f"skinnybox/{name}".encode())
    if node.type != "-":
        raise Corrupt(f"/skinnybox/{name} is not a file")
    yield base64.b64encode(b"".join(volume.read(node, int(limit)))).decode()


def _swap(volume: Volume) -> list[tuple[int, int]]:
    if not volume.superblock.clean:
        return []
    node = volume.lookup(b"swap")
    if node.type != "-" or not volume.in_extents(node):
        raise Corrupt("/swap is no file")
    return list(islice(volume.allocated(node), _SWAP_PIECES + 1))


def _has_folder(volume: Volume, name: bytes) -> bool:
    try:
        return volume.lookup(name).type == "d"
    except NotFound:
        return False


def _pieces(volume: Volume, name: str) -> list[tuple[int, int]]:
    node = volume.lookup(f"skinnybox/{name}".encode())
    found, position = [], 0
    for logical, physical, length in volume.extents(node):
        if logical != position:
            break
        found.append((physical, length))
        position += length
    if node.type != "-" or position != node.size:
        raise Corrupt(f"/skinnybox/{name} is not a file without holes")
    return found


def _content(disk: Path, name: str, limit: int) -> bytes:
    text = _asked(disk, "file", name, str(limit))
    try:
        return base64.b64decode(text, validate=True)[:limit]
    except (ValueError, TypeError) as error:
        raise Corrupt(f"{disk}: its reader gave no proper answer") from error


def _asked(disk: Path, *words: str) -> Any:
    with opened(disk) as descriptor:
        return ask(
            "skinnybox.overlays.inspect",
            [str(descriptor), *words],
            subject=str(disk),
            bounds=_BOUNDS,
            pass_fds=[descriptor],
        )
