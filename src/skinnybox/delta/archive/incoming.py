"""An archive as it comes, with the digest of all that came: nothing of it is passed over.

Only in a confined process. The tar is read by our own reader; what it may hold, and in which order, is
checked here.
"""

import hashlib
from collections.abc import Iterator

from skinnybox.delta.archive.form import END, INDEX, MANIFEST, MOST_LINE, MOST_MEMBERS
from skinnybox.delta.archive.manifest import MOST_END, MOST_MANIFEST, End, end_of
from skinnybox.errors import Corrupt
from skinnybox.masters.archives.incoming import Incoming
from skinnybox.masters.archives.members import BLOCK, Member, members

_TWICE_CUT = "it is cut off, or is no archive of a machine: its end is missing"


class Digested(Incoming):
    """`before` is the digest of what came before the last block that was asked for alone, as headers are."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._sum = hashlib.sha256()
        self.before = self._sum.copy()

    def exactly(self, length: int) -> bytes:
        if length == BLOCK:
            self.before = self._sum.copy()
        found = super().exactly(length)
        self._sum.update(found)
        return found

    def skip(self, length: int) -> None:
        for _ in self.pieces(length):
            pass


class Archived:
    """Its parts are asked for in their order, each to its end: manifest, trees, index, end."""

    def __init__(self, descriptor: int) -> None:
        self.incoming = Digested(descriptor)
        self._members = members(self.incoming)
        self._count = 0

    def manifest(self) -> bytes:
        return self._plain(next(self._members, None), MANIFEST, MOST_MANIFEST)

    def trees(self) -> Iterator[Member]:
        """Of each what the caller does not read is read all the same."""
        for member in self._members:
            if member.name == INDEX:
                self._index = member
                return
            self._count += 1
            if self._count > MOST_MEMBERS:
                raise Corrupt("it has more members than any archive")
            yield member
        raise Corrupt(_TWICE_CUT)

    def index(self) -> Iterator[bytes]:
        """Each line, with its end."""
        if not self._index.is_file:
            raise Corrupt("its index is no file")
        rest = b""
        for piece in self.incoming.pieces(self._index.stored):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line + b"\n"
            if len(rest) > MOST_LINE:
                raise Corrupt("a line of its index has no end")
        if rest:
            raise Corrupt("its index ends in the middle of a line")

    def end(self) -> End:
        """Corrupt where it is not what its end says."""
        member = next(self._members, None)
        found = self.incoming.before.hexdigest()
        said = end_of(self._plain(member, END, MOST_END))
        if said.digest != found or said.members != self._count + 2:
            raise Corrupt("it is damaged: it is not what its end says", hint="take another copy of it")
        if next(self._members, None) is not None or any(any(piece) for piece in self.incoming.rest()):
            raise Corrupt("something follows its end")
        return said

    def _plain(self, member: Member | None, name: bytes, most: int) -> bytes:
        if member is None:
            raise Corrupt(_TWICE_CUT)
        if member.name != name or not member.is_file or member.stored > most or len(member.headers) != BLOCK:
            raise Corrupt(f"it is no archive of a machine: no {name.decode()} is where it has to be")
        return self.incoming.exactly(member.stored)
