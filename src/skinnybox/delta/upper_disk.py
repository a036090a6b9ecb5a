"""The upper directory on a disk that a guest wrote to, and what lies beside it. For the confined process of
listing.py."""

import hashlib
from collections.abc import Container, Iterable, Iterator
from functools import partial
from types import MappingProxyType

from skinnybox.delta.as_seeded import Expected, as_seeded
from skinnybox.delta.beside import counted, folded
from skinnybox.delta.flags import flags
from skinnybox.delta.join import Reader, joined, unread_folder, with_unread
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.index import Entry
from skinnybox.model import Change

UPPER = b"upper"
NOTHING: Expected = MappingProxyType({})


def differences(
    volume: Volume, index: Iterable[Entry], *, quick: bool, expected: Expected = NOTHING
) -> Iterator[tuple[Change, bool | None]]:
    """All that join.joined tells of a disk, each with what as_seeded says of it. Raises Corrupt.

    A file of unchanged size is read and hashed; with `quick` only when its mtime differs, which a guest can
    forge.
    """
    reader = reader_of(volume, quick=quick)
    nodes, entries = dict[bytes, Node](), dict[bytes, Entry]()
    unread = list[Change]()
    found = volume.walk(UPPER, lambda path, why: unread.append(unread_folder(path, why)))
    upper, lower = _nodes(found, expected, nodes), _entries(index, expected, entries)
    told = (
        (change, as_seeded(volume, change, nodes.get(change.path), entries.get(change.path), expected))
        for change in with_unread(joined(upper, reader, lower), unread)
    )
    yield from folded(told, counted(volume))


def reader_of(volume: Volume, *, quick: bool = False) -> Reader[Node]:
    return Reader(
        xattrs=volume.xattrs,
        target=volume.target,
        differs=partial(_differs, volume, quick),
        flags=lambda node: flags(node.flags, volume.xattrs(node)),
    )


def _nodes(
    found: Iterable[tuple[bytes, Node]], wanted: Container[bytes], kept: dict[bytes, Node]
) -> Iterator[tuple[bytes, Node]]:
    """As they come, and the wanted ones kept: the join has passed them when it tells of a change to them."""
    for path, node in found:
        if path in wanted:
            kept[path] = node
        yield path, node


def _entries(found: Iterable[Entry], wanted: Container[bytes], kept: dict[bytes, Entry]) -> Iterator[Entry]:
    for entry in found:
        if entry.path in wanted:
            kept[entry.path] = entry
        yield entry


def _differs(volume: Volume, quick: bool, node: Node, entry: Entry) -> bool:
    if quick and node.mtime_ns == entry.mtime_ns:
        return False
    digest = hashlib.sha256()
    for piece in volume.read(node):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}" != entry.digest
