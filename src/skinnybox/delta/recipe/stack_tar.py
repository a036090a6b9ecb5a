"""The confined process that reads a stack's images and writes all that it shows as one tar."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from skinnybox.delta.promote.lower import Lower
from skinnybox.delta.promote.sealed_members import SealedMembers
from skinnybox.errors import SkinnyboxError
from skinnybox.masters import pax
from skinnybox.masters.lookup import Lookup
from skinnybox.masters.system import image
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import complain, stream
from skinnybox.sizes import GIB

_HEADERS = 8192
"""Bytes of a tar for each name."""
_UNPACKED_PER_SECOND = 1 << 20


@contextmanager
def pieces_of(lower: Lower, subject: str) -> Iterator[Iterator[bytes]]:
    """The tar, in pieces. Raises Corrupt where an image is not what its index tells of."""
    bounds = Bounds(
        memory=2 << 30,
        cpu_seconds=600 + lower.tree_size // _UNPACKED_PER_SECOND,
        output=lower.tree_size + _HEADERS * lower.entries + GIB,
    )
    files = lower.files
    with stream(__name__, [files.word], subject=subject, bounds=bounds, pass_fds=files.all) as pieces:
        yield pieces


def main(arguments: Sequence[str]) -> None:
    index, table, _, *images = map(int, arguments[0].split(","))
    try:
        members = SealedMembers(image.stacked(images))
        for line in Lookup(index, table):
            for piece in members.member(line.entry()):
                sys.stdout.buffer.write(piece)
        sys.stdout.buffer.write(pax.END)
        sys.stdout.buffer.flush()
    except (SkinnyboxError, MemoryError) as error:
        complain(error)
