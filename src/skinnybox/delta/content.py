"""What is in one path of a disk that a guest wrote to, or of a sealed image: read by a confined process, and
checked here. No symlink is followed, in neither."""

import base64
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from skinnybox.delta.handing import handed
from skinnybox.delta.settled import NO_ANSWER, Unsettled
from skinnybox.delta.upper_disk import UPPER
from skinnybox.errors import Corrupt, NotFound
from skinnybox.ext4 import Volume, open_descriptor
from skinnybox.masters.system.image import opened as opened_image
from skinnybox.masters.system.source import Source, text_of
from skinnybox.model import Content
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, inquire

MOST = 4 << 20
"""Bytes of one file that are ever told."""
_PIECE = 48 << 10
_END = ""
"""Behind the pieces of one: no piece is empty."""
_TYPES = frozenset("-dlcbps")
_LARGEST = 1 << 63


def of_overlay(disk: Path, path: bytes, limit: int) -> Content | None:
    """As the upper directory has it; None when that says nothing of it. `path` has no leading slash. Raises
    Unsettled for a disk whose journal is to be replayed first; Corrupt, also for a disk made to hurt."""
    [found] = overlays(disk, [path], limit)
    return found


def of_image(image: Path, path: bytes, limit: int) -> Content | None:
    """As a sealed tree has it; None when it has none, or no file. Raises Corrupt, Unsupported."""
    [found] = images(image, [path], limit)
    return found


def overlays(disk: Path, paths: Sequence[bytes], limit: int) -> Iterator[Content | None]:
    """As `of_overlay`, of many, one after the other."""
    return _asked(disk, "overlay", paths, limit)


def disks(disk: Path, paths: Sequence[bytes], limit: int) -> Iterator[Content | None]:
    """The same, of paths from the root of the disk."""
    return _asked(disk, "disk", paths, limit)


def images(image: Path, paths: Sequence[bytes], limit: int) -> Iterator[Content | None]:
    """As `of_image`, of many, one after the other."""
    return _asked(image, "image", paths, limit)


def _asked(disk: Path, what: str, paths: Sequence[bytes], limit: int) -> Iterator[Content | None]:
    if not 0 < limit <= MOST or not all(paths) or any(b"\0" in path for path in paths):
        raise ValueError(f"{limit} bytes of {paths!r:.80}")
    wanted = json.dumps([path.hex() for path in paths]).encode()
    bounds = Bounds(memory=512 << 20, cpu_seconds=60 + len(paths), output=2 * MOST * max(1, len(paths)))
    with opened(disk) as descriptor, handed(wanted) as asked:
        files = [descriptor, asked]
        words = [what, *map(str, files), str(limit)]
        with inquire(__name__, words, subject=str(disk), bounds=bounds, pass_fds=files) as answers:
            for _ in paths:
                yield _checked(answers, disk, limit)


def _checked(answers: Iterator[Any], disk: Path, limit: int) -> Content | None:
    try:
        head = next(answers, None)
        if head == "unsettled":
            raise Unsettled(disk)
        if head == "nothing":
            return None
        letter, size = head if isinstance(head, list) else [None, None]
        pieces = iter(lambda: next(answers, _END), _END)
        data = b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
        if letter not in _TYPES or type(size) is not int or not 0 <= size < _LARGEST or len(data) > limit:
            raise ValueError("no such content")
    except (ValueError, TypeError) as error:
        raise Corrupt(NO_ANSWER) from error
    return Content(type=letter, size=size, data=data)


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    what, descriptor, asked, limit = arguments
    with os.fdopen(int(asked), "rb") as file:
        paths = list(map(bytes.fromhex, json.loads(file.read())))
    if what == "overlay":
        paths = [UPPER + b"/" + path for path in paths]
    told = _of_image if what == "image" else _of_disk
    answer(told(int(descriptor), paths, int(limit)))


def _of_disk(descriptor: int, paths: Sequence[bytes], limit: int) -> Iterator[Any]:
    volume = open_descriptor(descriptor)
    if not volume.superblock.clean:
        yield "unsettled"
        return
    for path in paths:
        yield from _in_volume(volume, path, limit)


def _in_volume(volume: Volume, path: bytes, limit: int) -> Iterator[Any]:
    try:
        node = volume.lookup(path)
    except NotFound:
        yield "nothing"
        return
    yield [node.type, node.size if node.type in "-l" else 0]
    if node.type == "-":
        yield from _pieces(volume.read(node, limit))
    elif node.type == "l":
        yield from _pieces([volume.target(node)[:limit]])
    yield _END


def _of_image(descriptor: int, paths: Sequence[bytes], limit: int) -> Iterator[Any]:
    source = opened_image(descriptor)
    for path in paths:
        yield from _in_image(source, text_of(path), limit)


def _in_image(source: Source, text: str, limit: int) -> Iterator[Any]:
    """Its size is told as far as it was read."""
    found = source.read(text, limit)
    if found is not None:
        yield ["-", len(found)]
        yield from _pieces([found])
        yield _END
        return
    folder, _, name = text.rpartition("/")
    target = source.links(folder).get(name)
    if target is None:
        yield "nothing"
        return
    raw = target.encode("utf-8", "surrogateescape")[:limit]
    yield ["l", len(raw)]
    yield from _pieces([raw])
    yield _END


def _pieces(found: "Iterator[bytes] | list[bytes]") -> Iterator[str]:
    for piece in found:
        for start in range(0, len(piece), _PIECE):
            yield base64.b64encode(piece[start : start + _PIECE]).decode()
