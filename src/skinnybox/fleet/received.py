"""Archives that something is made of: those that lie in files, and those that are just being sent, which are
kept in a file until it is done.

The first bytes of one say what it is of. So what it cannot be used for is said then, and not when all of it
has come. What is kept is gone in the end, and `repair` removes what a killed process left.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from skinnybox.delta.archive import restored
from skinnybox.delta.archive.manifest import Manifest
from skinnybox.delta.archive.restored import Archive
from skinnybox.delta.archive.sources import Source
from skinnybox.masters.plain_disk import need
from skinnybox.masters.workspace import at_work, no_space
from skinnybox.operation import Operation

T = TypeVar("T")
MOST = restored.MOST
"""Archives of one machine."""
HEAD = 2 << 20
"""Bytes of an archive that hold its manifest, packed or not."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """An archive that comes: what it is called, and its bytes, which are waited for."""

    called: str
    pieces: Iterable[bytes]


Given = Path | int | Sent
"""An archive in a file, as a descriptor gives it, or as it comes."""


def chain(
    sources: Iterable[Given],
    held: ExitStack,
    scratch: Path,
    operation: Operation,
    refuse: Callable[[Manifest], None],
) -> tuple[Archive, ...]:
    """What archives say of themselves, of which nothing else is read yet; they stay as long as `held` does.
    Each is asked for once the one before it is there. Raises what `refuse` does of a manifest, and as
    restored.follows; NoSpace."""
    found = list[Archive]()

    def look(source: Source) -> Archive:
        archive = restored.follows(found, source, scratch)
        refuse(archive.manifest)
        return archive

    for source in sources:
        found.append(held.enter_context(looked(source, scratch, operation, look)))
    restored.refuse_none(found)
    return tuple(found)


@contextmanager
def looked(given: Given, scratch: Path, operation: Operation, look: Callable[[Source], T]) -> Iterator[T]:
    """What `look` says of an archive, which may be cut off after its manifest when it looks; in the block all
    of it is there. NoSpace, Cancelled."""
    if isinstance(given, Path):
        yield look(Source(file=given, called=given))
        return
    sent = given if isinstance(given, Sent) else Sent(called="standard input", pieces=_of_descriptor(given))
    with (
        tempfile.TemporaryDirectory(dir=scratch, prefix=".copy-", suffix=".new") as folder,
        at_work(Path(folder)),
        no_space(scratch),
    ):
        yield _kept(sent, Source(file=Path(folder, "archive"), called=Path(sent.called)), operation, look)


def _kept(sent: Sent, source: Source, operation: Operation, look: Callable[[Source], T]) -> T:
    found, done = list[T](), 0
    with source.file.open("xb") as file:
        for piece in sent.pieces:
            need(source.file.parent, len(piece))
            file.write(piece)
            done += len(piece)
            operation.step(task="receive", done=done, unit="bytes", detail=sent.called)
            if done >= HEAD and not found:
                file.flush()
                found.append(look(source))
    return found[0] if found else look(source)


def _of_descriptor(descriptor: int) -> Iterator[bytes]:
    while piece := os.read(descriptor, _PIECE):
        yield piece
