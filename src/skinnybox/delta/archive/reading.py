"""The confined process that reads an archive of a machine: what it is, and whether it is whole."""

import base64
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from skinnybox.delta.archive.form import line_of
from skinnybox.delta.archive.incoming import Archived
from skinnybox.delta.archive.structure import Links, Structure, lines_in, tree_of
from skinnybox.errors import Corrupt, NoSpace, of_system
from skinnybox.model import DiskKind
from skinnybox.sandbox.reader import answer

PIECE = 48 << 10
ROOM = "--overlay makes it larger"
_TELL = 1 << 14
_PER_NAME = 4096
"""Bytes of a disk: it has fewer names than that, but for further ones of what has one."""
_BUFFER = 1 << 18


def main(arguments: Sequence[str]) -> None:
    what, descriptor, *rest = arguments
    match what:
        case "manifest":
            answer(_manifest(int(descriptor)))
        case "whole":
            answer(written(_whole(int(descriptor), *map(int, rest))), batch=1)


def written(values: Iterator[Any]) -> Iterator[Any]:
    """What a reader tells that writes as well. That a disk is full is not the archive's fault."""
    try:
        yield from values
    except OSError as error:
        raise of_system(error, "what is unpacked") from error


def _manifest(descriptor: int) -> Iterator[str]:
    """In pieces. What follows is not read."""
    text = Archived(descriptor).manifest()
    for start in range(0, len(text), PIECE):
        yield base64.b64encode(text[start : start + PIECE]).decode()


def _whole(descriptor: int, size: int = -1, index: int = -1) -> Iterator[Any]:
    """How far it is, now and then; then the digest of its manifest, and what its end says. Of the newest of a
    chain `index` is a file for the lines of its index, and `size` that of all disks that it is to go into."""
    archived, held = Archived(descriptor), 0
    manifest = hashlib.sha256(archived.manifest()).hexdigest()
    for count, member in enumerate(archived.trees()):
        held += member.stored
        if held > size >= 0:
            raise NoSpace("it holds more than goes into the machine's disks", hint=ROOM)
        if not count % _TELL:
            yield {"done": archived.incoming.at}
    if index == -1:
        for _ in archived.index():
            pass
    else:
        _keep_index(archived, size // _PER_NAME, index)
    end = archived.end()
    yield {"manifest": manifest, "sha256": end.digest}


def _keep_index(archived: Archived, most: int, index: int) -> None:
    structure, links, disks = Structure(), Links(), set[DiskKind]()
    with ExitStack() as held:
        file = held.enter_context(os.fdopen(os.dup(index), "r+b", _BUFFER))
        for count, text in enumerate(archived.index()):
            if count >= most:
                raise NoSpace("it has more names than the machine's disks can have", hint=ROOM)
            line = line_of(text)
            structure.see(line)
            links.note(line)
            disks.add(tree_of(line).disk)
            file.write(text)
        if DiskKind.OVERLAY not in disks:
            raise Corrupt("its index has no overlay")
        file.flush()
        for line in lines_in(file):
            links.check(line)
        links.end()
