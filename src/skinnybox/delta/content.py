"""What is in paths of a disk that a guest wrote to, or of sealed images: read by a confined process, and
checked here. No symlink is followed, in neither."""

import base64
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
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
    [found] = images([image], [(path, 0)], limit)
    return found


def overlays(disk: Path, paths: Sequence[bytes], limit: int) -> Iterator[Content | None]:
    """As `of_overlay`, of many, one after the other."""
    return _asked([disk], "overlay", [(path, 0) for path in paths], limit)


def disks(disk: Path, paths: Sequence[bytes], limit: int) -> Iterator[Content | None]:
    """The same, of paths from the root of the disk."""
    return _asked([disk], "disk", [(path, 0) for path in paths], limit)


def images(
    found: Sequence[Path], paths: Sequence[tuple[bytes, int | None]], limit: int
) -> Iterator[Content | None]:
    """As `of_image`, of many, one after the other: each of the image of that number, None: of none."""
    return _asked(found, "image", paths, limit)


def _asked(
    disks: Sequence[Path], what: str, paths: Sequence[tuple[bytes, int | None]], limit: int
) -> Iterator[Content | None]:
    """One process reads them all."""
    if not 0 < limit <= MOST or any(not path or b"\0" in path for path, _ in paths):
        raise ValueError(f"{limit} bytes of {paths!r:.80}")
    wanted = json.dumps([[path.hex(), number] for path, number in paths]).encode()
    bounds = Bounds(memory=512 << 20, cpu_seconds=60 + len(paths), output=2 * MOST * max(1, len(paths)))
    with ExitStack() as held:
        asked = held.enter_context(handed(wanted))
        files = [asked, *(held.enter_context(opened(disk)) for disk in disks)]
        words, subject = [what, str(limit), *map(str, files)], str(disks[0])
        answers = held.enter_context(inquire(__name__, words, subject=subject, bounds=bounds, pass_fds=files))
        for _ in paths:
            yield _checked(answers, disks[0], limit)


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
    what, limit, asked, *disks = arguments
    with os.fdopen(int(asked), "rb") as file:
        paths = [(bytes.fromhex(path), number) for path, number in json.loads(file.read())]
    if what == "image":
        answer(_of_images(list(map(int, disks)), paths, int(limit)))
    else:
        above = UPPER + b"/" if what == "overlay" else b""
        answer(_of_disk(int(disks[0]), [above + path for path, _ in paths], int(limit)))


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


def _of_images(
    descriptors: Sequence[int], paths: Sequence[tuple[bytes, int | None]], limit: int
) -> Iterator[Any]:
    sources = dict[int, Source]()
    for path, number in paths:
        if number is None:
            yield "nothing"
            continue
        if number not in sources:
            sources[number] = opened_image(descriptors[number])
        yield from _in_image(sources[number], text_of(path), limit)


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
