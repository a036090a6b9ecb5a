"""Names of a stack as members of a tar: what its images have, as its index tells of it."""

import os
from collections.abc import Iterator
from dataclasses import replace

from skinnybox.delta.upper import kept_xattrs
from skinnybox.errors import Corrupt
from skinnybox.masters import pax, tar_members
from skinnybox.masters.index import Entry
from skinnybox.masters.system.image import Sealed
from skinnybox.masters.system.source import text_of


class SealedMembers:
    """Of a file with several names the first that comes has the content; the others are hard links to it."""

    def __init__(self, source: Sealed) -> None:
        self._source = source
        self._first: dict[Entry, bytes] = {}

    def member(self, entry: Entry) -> Iterator[bytes]:
        """Raises Corrupt where image and index differ. Nothing of a socket."""
        if entry.type == "s":
            return
        facts = tar_members.Given(
            type=entry.type, mode=entry.mode, uid=entry.uid, gid=entry.gid, mtime_ns=entry.mtime_ns,
            rdev=(os.major(entry.rdev), os.minor(entry.rdev)),
        )  # fmt: skip
        attributes = records(dict(entry.xattrs))
        if entry.link is not None:
            # All that is known of it: two trees of a stack may have groups whose first path is the same.
            first = self._first.setdefault(replace(entry, path=b""), entry.path)
            if first != entry.path:
                yield tar_members.hard_link(entry.path, facts, first)
                return
        if entry.type != "-":
            kind, target = pax.TYPES[entry.type], entry.target or b""
            yield tar_members.member(kind, entry.path, facts, 0, attributes, target=target)
            return
        yield tar_members.member(b"0", entry.path, facts, entry.size, attributes)
        yield from self._content(entry)

    def _content(self, entry: Entry) -> Iterator[bytes]:
        held = 0
        for piece in self._source.pieces(text_of(entry.path)):
            held += len(piece)
            yield piece
        if held != entry.size:
            raise Corrupt(f"the image has {held} bytes of {entry.path!r}, its index tells of {entry.size}")
        yield pax.padding(entry.size)


def records(xattrs: dict[str, bytes]) -> list[pax.Record]:
    return list(tar_members.attributes(sorted(kept_xattrs(xattrs).items())))
