"""The upper directory on a disk that a guest wrote to. For the confined process of listing.py."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial

from skinnybox.delta.join import Reader, joined
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.index import Entry
from skinnybox.model import Change

UPPER = b"upper"


def differences(volume: Volume, index: Iterable[Entry], *, quick: bool) -> Iterator[Change]:
    """All that join.joined tells of a disk. Raises Corrupt.

    A file of unchanged size is read and hashed; with `quick` only when its mtime differs, which a guest can
    forge.
    """
    reader = Reader(
        xattrs=volume.xattrs,
        target=volume.target,
        differs=partial(_differs, volume, quick),
        all_xattrs=True,
    )
    return joined(volume.walk(UPPER), reader, index)


def _differs(volume: Volume, quick: bool, node: Node, entry: Entry) -> bool:
    if quick and node.mtime_ns == entry.mtime_ns:
        return False
    digest = hashlib.sha256()
    for piece in volume.read(node):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}" != entry.digest
