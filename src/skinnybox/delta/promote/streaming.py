"""The confined process that reads a machine's disk and its stack: what is left out, and the merged tree, or a
layer's, as a tar."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skinnybox.delta import belongs, beside
from skinnybox.delta.leading import where
from skinnybox.delta.promote import merging, whose
from skinnybox.delta.promote.choosing import Altered, Chooser
from skinnybox.delta.promote.for_layer import of_layer
from skinnybox.delta.promote.merging import Folders, Item, Own, Told
from skinnybox.delta.promote.places import Reason
from skinnybox.delta.promote.sealed_members import SealedMembers, records
from skinnybox.delta.promote.whose import Whose
from skinnybox.delta.rebase.merged_source import Merged
from skinnybox.delta.rebase.reading import buffered
from skinnybox.delta.upper_disk import UPPER
from skinnybox.errors import Corrupt, SkinnyboxError
from skinnybox.ext4 import Node, Volume, open_descriptor
from skinnybox.masters import ext4_tar, pax, tar_members
from skinnybox.masters.lookup import Lookup
from skinnybox.masters.system import image
from skinnybox.masters.system.source import text_of
from skinnybox.sandbox.reader import answer, complain

MASTER, LAYER = "master", "layer"
"""What it is for: the first of all that the machine sees, the other of its own alone."""
NO_FILE = "no file"
"""In place of a last row: all that would go into a layer are folders."""
_OF_FOLDERS = (Reason.DELETION, Reason.FOLDER)
"""Which are told of a folder itself."""
_MOST = 4 << 20
_MOST_ROWS = 10_000
_MOST_FOLDERS = 2_000_000


@dataclass(frozen=True, slots=True)
class _Sides:
    volume: Volume
    index: Lookup
    source: image.Sealed
    chooser: Chooser


def main(arguments: Sequence[str]) -> None:
    what, form, device, told, word, *rest = arguments
    if what == "list":
        answer(_listed(form, int(device), int(told), word))
        return
    try:
        sides = _sides(open_descriptor(int(device)), int(told), word)
        for piece in tar_of(form, sides, apparent=int(rest[0])):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    except (SkinnyboxError, MemoryError) as error:
        complain(error)


def _sides(volume: Volume, told: int, word: str) -> _Sides:
    """`word` is what Files.word told of the stack."""
    index, table, _, *images = map(int, word.split(","))
    source = image.stacked(images)
    chooser = Chooser(
        whose=_where_they_lie(whose.decode(buffered(told).read()), volume, source),
        volume=volume,
        sealed=lambda path: source.read(text_of(path), _MOST),
    )
    return _Sides(volume, Lookup(index, table), source, chooser)


def _where_they_lie(found: Whose, volume: Volume, source: image.Sealed) -> Whose:
    """What was asked for, where it lies."""
    if not (found.keep or found.leave_out or found.paths):
        return found
    seen = Merged(volume, source)
    keep, leave_out, paths = (where(asked, seen) for asked in (found.keep, found.leave_out, found.paths))
    return replace(found, keep=keep, leave_out=leave_out, paths=paths)


def _listed(form: str, device: int, told: int, word: str) -> Iterator[Any]:
    """Whether it is settled, whose it is; then a row for each place at which something is left out, and
    NO_FILE for a layer that would have none."""
    volume = open_descriptor(device)
    yield volume.superblock.clean
    if not volume.superblock.clean:
        return
    yield belongs.images(volume)
    sides = _sides(volume, told, word)
    rows: dict[tuple[str, bytes, bool], list[int]] = {}
    has_file = form == MASTER
    for each in _met(form, sides):
        if not isinstance(each, Told):
            has_file = has_file or (isinstance(each, Own) and each.node.type != "d")
            continue
        key = (each.fate.reason.value, _place(each), isinstance(each.fate, Altered))
        if key not in rows and len(rows) >= _MOST_ROWS:
            key = (key[0], b"", key[2])
        row = rows.setdefault(key, [0, 0])
        row[0] += each.node.type != "d" or each.fate.reason in _OF_FOLDERS
        row[1] += _size(each)
    for (reason, place, altered), (count, size) in rows.items():
        if count:
            yield [reason, text_of(place), altered, count, size]
    for change in beside.counted(volume):
        if change.size:
            yield ["beside", text_of(change.path), False, 1, change.size]
    if not has_file:
        yield NO_FILE


def _met(form: str, sides: _Sides) -> Iterator[Item | Told]:
    """What is left out; of a layer also what is not."""
    upper = sides.volume.walk(UPPER)
    if form == MASTER:
        return merging.surveyed(upper, sides.index, sides.chooser, Folders())
    return of_layer(upper, sides.index, sides.chooser)


def _place(told: Told) -> bytes:
    return told.path if isinstance(told.fate, Altered) else told.fate.place


def _size(told: Told) -> int:
    """Bytes of content that do not come."""
    if told.node.type != "-":
        return 0
    after = len(told.fate.content) if isinstance(told.fate, Altered) else 0
    return max(told.node.size - after, 0)


def tar_of(form: str, sides: _Sides, *, apparent: int) -> Iterator[bytes]:
    """The merged tree, or that of a layer. Files of the upper may claim `apparent` bytes all together: see
    ext4_tar.Allowance. Raises Corrupt, Unsupported; NotFound as of_layer does."""
    writer = _Writer(sides, ext4_tar.Allowance(apparent, sides.volume.size))
    for item in _items(form, sides):
        yield from writer.member(item)
    yield pax.END


def _items(form: str, sides: _Sides) -> Iterator[Item]:
    volume, folders = sides.volume, Folders()
    if form == LAYER:
        found = of_layer(volume.walk(UPPER), sides.index, sides.chooser)
        yield from (each for each in found if not isinstance(each, Told))
        return
    for _ in merging.surveyed(volume.walk(UPPER), sides.index, sides.chooser, folders):
        if len(folders.own) > _MOST_FOLDERS:
            raise Corrupt("the upper directory has more folders than anybody makes")
    yield from merging.merged(volume.walk(UPPER), sides.index, sides.chooser, folders)


class _Writer:
    """Of a file with several names the first that comes has the content; the others are hard links to it."""

    def __init__(self, sides: _Sides, allowance: ext4_tar.Allowance) -> None:
        self._sides = sides
        self._allowance = allowance
        self._first: dict[int, bytes] = {}
        self._sealed = SealedMembers(sides.source)

    def member(self, item: Item) -> Iterator[bytes]:
        """Nothing of a socket: it lives no longer than who listens."""
        if isinstance(item, Own):
            return self._own(item.path, item.node, item.content) if item.node.type != "s" else iter(())
        return self._sealed.member(item)

    def _own(self, path: bytes, node: Node, content: bytes | None) -> Iterator[bytes]:
        volume = self._sides.volume
        attributes = records(volume.xattrs(node))
        if content is not None:
            yield tar_members.member(b"0", path, node, len(content), attributes)
            yield content + pax.padding(len(content))
            return
        if node.links > 1 and node.type != "d":
            first = self._first.setdefault(node.inode, path)
            if first != path:
                yield tar_members.hard_link(path, node, first)
                return
        if node.type == "-":
            yield from ext4_tar.file(volume, path, node, attributes, self._allowance)
            return
        target = volume.target(node) if node.type == "l" else b""
        yield tar_members.member(pax.TYPES[node.type], path, node, 0, attributes, target=target)
