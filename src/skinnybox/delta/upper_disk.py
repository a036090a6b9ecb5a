"""The upper directory on a disk that a guest wrote to, and what lies beside it. For the confined process of
listing.py."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from types import MappingProxyType

from skinnybox.delta.as_seeded import Expected, as_seeded
from skinnybox.delta.beside import counted, folded
from skinnybox.delta.flags import flags
from skinnybox.delta.join import Reader, joined, unread_folder, with_unread
from skinnybox.delta.judging import Judge
from skinnybox.delta.passing import Passing
from skinnybox.delta.whose import NOBODYS, Whose
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.index import Entry
from skinnybox.model import Change

UPPER = b"upper"
NOTHING: Expected = MappingProxyType({})


def differences(
    volume: Volume,
    index: Iterable[Entry],
    *,
    quick: bool,
    expected: Expected = NOTHING,
    whose: Whose = NOBODYS,
) -> Iterator[tuple[Change, bool | None]]:
    """All that join.joined tells of a disk, judged, and what is there and differs in nothing; each with what
    as_seeded says of it. Raises Corrupt.

    A file of unchanged size is read and hashed; with `quick` only when its mtime differs, which a guest can
    forge.
    """
    pending = list[Change]()
    passing = Passing(pending, whose.owned, expected)
    found = volume.walk(UPPER, lambda path, why: pending.append(unread_folder(path, why)))
    changes = joined(passing.nodes(found), reader_of(volume, quick=quick), passing.entries(index))
    told = _judged(volume, with_unread(passing.changes(changes), pending), passing, whose, expected)
    yield from folded(told, counted(volume))


def _judged(
    volume: Volume, changes: Iterable[Change], passing: Passing, whose: Whose, expected: Expected
) -> Iterator[tuple[Change, bool | None]]:
    judge = Judge(volume=volume, whose=whose)
    for change in changes:
        node = passing.node_of(change)
        is_seeds = as_seeded(volume, change, node, passing.wanted.get(change.path), expected)
        yield judge.judged(change, node, stray=passing.is_stray(change)), is_seeds


def reader_of(volume: Volume, *, quick: bool = False) -> Reader[Node]:
    return Reader(
        xattrs=volume.xattrs,
        target=volume.target,
        differs=partial(_differs, volume, quick),
        flags=lambda node: flags(node.flags, volume.xattrs(node)),
    )


def _differs(volume: Volume, quick: bool, node: Node, entry: Entry) -> bool:
    if quick and node.mtime_ns == entry.mtime_ns:
        return False
    digest = hashlib.sha256()
    for piece in volume.read(node):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}" != entry.digest
