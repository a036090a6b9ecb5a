"""One digest of all that an archive's index would say of a machine's disks, by a confined process."""

import hashlib
from collections.abc import Iterator, Sequence

from skinnybox.delta.archive.equal import told
from skinnybox.errors import Corrupt
from skinnybox.ext4 import open_descriptor
from skinnybox.model import DiskKind
from skinnybox.sandbox.reader import answer


def main(arguments: Sequence[str]) -> None:
    """In the confined child: the kinds of the disks, in the index's order, each with the disk."""
    answer(_sum(zip(map(DiskKind, arguments[::2]), map(int, arguments[1::2]), strict=True)))


def _sum(disks: Iterator[tuple[DiskKind, int]]) -> Iterator[str]:
    found = hashlib.sha256()
    for kind, device in disks:
        volume = open_descriptor(device)
        if not volume.superblock.clean:
            raise Corrupt("it is not clean")
        for line in told(volume, kind):
            found.update(line)
    yield found.hexdigest()
