"""The tar of an archive, written by a confined process that reads a machine's disks.

One walk over each tree. Nothing is held but the names of inodes that have several, and, where only what
changed is told, one bit for each name.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from skinnybox.delta.archive.content import content_sum
from skinnybox.delta.archive.differing import Stored, differing
from skinnybox.delta.archive.form import END, INDEX, MANIFEST, TREES, Line
from skinnybox.delta.archive.manifest import End, Manifest, end_text, manifest_of
from skinnybox.delta.archive.members import Out, layout_of
from skinnybox.delta.archive.walking import Found, walked
from skinnybox.delta.belongs import images
from skinnybox.delta.rebase.reading import buffered
from skinnybox.errors import Corrupt, SkinnyboxError
from skinnybox.ext4 import Volume, open_descriptor
from skinnybox.model import DiskKind
from skinnybox.sandbox.reader import complain

_BUFFER = 1 << 18


def main(arguments: Sequence[str]) -> None:
    """In the confined child. It prints the tar; the archive's end is written to `told` as well."""
    manifest, index, told, earlier, *disks = map(int, arguments)
    try:
        text = buffered(manifest).read()
        volumes = _volumes(manifest_of(text), disks)
        with os.fdopen(index, "r+b", _BUFFER) as lines:
            before = None if earlier < 0 else buffered(earlier)
            os.write(told, tell(text, volumes, Out(sys.stdout.buffer), lines, before))
    except (SkinnyboxError, MemoryError) as error:
        complain(error)


def tell(
    manifest: bytes,
    volumes: Mapping[DiskKind, Volume],
    out: Out,
    lines: BinaryIO,
    earlier: BinaryIO | None = None,
) -> bytes:
    """The whole archive; its end. `lines` is an empty file for the index."""
    out.small(MANIFEST, manifest)
    if earlier is None:
        _whole(volumes, out, lines)
    else:
        _changed(volumes, out, lines, earlier)
    out.file(INDEX, lines)
    end = end_text(End(members=out.members, digest=out.digest))
    out.small(END, end)
    out.end()
    return end


def _volumes(manifest: Manifest, disks: list[int]) -> dict[DiskKind, Volume]:
    found = {kind: open_descriptor(disk) for kind, disk in zip(manifest.disks, disks, strict=True)}
    for volume in found.values():
        if not volume.superblock.clean:
            raise Corrupt("it was not shut down cleanly")
    if images(found[DiskKind.OVERLAY]) != list(manifest.stack.images):
        raise Corrupt("it says that it belongs to other images than the machine's record")
    return found


def _all(volumes: Mapping[DiskKind, Volume]) -> Iterator[tuple[Volume, Found]]:
    for tree in TREES:
        volume = volumes.get(tree.disk)
        if volume is not None:
            for found in walked(volume, tree):
                yield volume, found


def _whole(volumes: Mapping[DiskKind, Volume], out: Out, lines: BinaryIO) -> None:
    for volume, found in _all(volumes):
        lines.write(found.text(out.member(volume, found)))


def _changed(volumes: Mapping[DiskKind, Volume], out: Out, lines: BinaryIO, earlier: BinaryIO) -> None:
    """What differs must be known before the first of it is told: of an inode with several names it may be the
    last of them."""
    for volume, found in _all(volumes):
        content = ""
        if found.node.type == "-" and not found.again:
            content = content_sum(volume, found.node, layout_of(volume, found))
        lines.write(found.text(content))
    lines.seek(0)
    stored = Stored(differing(earlier, lines))
    around = list[tuple[Volume, Found]]()
    for number, (volume, found) in enumerate(_all(volumes)):
        while around and not _is_in(found.line, around[-1][1].line):
            around.pop()
        if stored.has(number, found.line):
            for each in around:
                out.member(*each)
            around.clear()
            out.member(volume, found)
        elif found.node.type == "d":
            around.append((volume, found))


def _is_in(line: Line, folder: Line) -> bool:
    return line.tree == folder.tree and (not folder.path or line.path.startswith(folder.path + b"/"))
