"""Archives as a machine's disks again: confined processes read them, we hear their answers and start who
writes.

Every archive is read to its end before anything is made of it. What is made is read again, by the reader that
writes archives, and has to have the index of the newest one, line by line.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from skinnybox.delta.archive import equal, ordering, reading
from skinnybox.delta.archive.manifest import MOST_MANIFEST, Manifest, manifest_of
from skinnybox.delta.archive.sources import Source, check
from skinnybox.delta.rebase.orders import decoded
from skinnybox.delta.settled import NO_ANSWER
from skinnybox.errors import Corrupt, NoArchive, UsageError
from skinnybox.masters.archives.held import kind_of
from skinnybox.masters.archives.magic import PACKED
from skinnybox.masters.archives.unpacking import Bytes
from skinnybox.masters.archives.unpacking import reading as unpacked
from skinnybox.masters.plain_disk import need
from skinnybox.model import DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import ask, inquire
from skinnybox.sizes import GIB, MIB

MOST = 64
"""Archives of one chain."""
_PER_SECOND = 20 * MIB
_INDEX = 8 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """`digest` is what its end says."""

    source: Source
    packing: str
    manifest: Manifest
    text: str
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The first is a whole one, each other was made since the one before it. `index` is an open file of the
    lines of the last."""

    archives: tuple[Archive, ...]
    index: int
    scratch: Path

    @property
    def newest(self) -> Archive:
        return self.archives[-1]


def looked(sources: Sequence[Path], scratch: Path) -> tuple[Archive, ...]:
    """What archives say of themselves, of which nothing else is read yet. Raises as `follows`."""
    found = list[Archive]()
    for source in sources:
        found.append(follows(found, Source(file=source, called=source), scratch))
    refuse_none(found)
    return tuple(found)


def refuse_none(found: Sequence[Archive]) -> None:
    """UsageError."""
    if not found:
        raise UsageError(f"no archive: 1 to {MOST} make a machine")


def follows(before: Sequence[Archive], source: Source, scratch: Path) -> Archive:
    """What one more archive says of itself, of which nothing else is read yet. UsageError where it does not
    follow those before it; NotFound; NoArchive for what is none."""
    if len(before) == MOST:
        raise UsageError(f"more archives than make a machine: 1 to {MOST} do")
    found = _looked(source, scratch)
    since = found.manifest.since
    if not before and since is not None:
        raise UsageError(
            f"{source.called} holds only what was changed since an earlier export",
            hint=f"name that one before it: its id is {since.id} (`skinnybox archive show FILE` tells ids)",
        )
    if before and (since is None or since.id != before[-1].manifest.id):
        raise UsageError(
            f"{source.called} was not made since {before[-1].source.called}",
            hint="name the whole export first, then each increment in the order they were made",
        )
    return found


def manifest(source: Source, scratch: Path) -> Manifest:
    """What one says of itself, whatever it follows. Raises NotFound, UsageError, NoArchive."""
    return _looked(source, scratch).manifest


def _looked(source: Source, scratch: Path) -> Archive:
    check(source, "`--from -` reads what comes on standard input")
    try:
        return _told(source, scratch)
    except Corrupt as error:
        raise NoArchive(error.message, hint=error.hint) from error


def _told(source: Source, scratch: Path) -> Archive:
    kind = kind_of(Bytes(file=source.file, source=source.called), scratch)
    packing = kind if kind in PACKED else ""
    with _reading(source, packing, reading.__name__, (["manifest"], []), [], scratch) as (answers, _):
        try:
            text = b"".join(base64.b64decode(piece, validate=True) for piece in _some(answers))
        except (ValueError, TypeError) as error:
            raise Corrupt(NO_ANSWER) from error
    manifest = manifest_of(text)
    return Archive(source=source, packing=packing, manifest=manifest, text=hashlib.sha256(text).hexdigest())


def _some(answers: Iterator[Any]) -> Iterator[Any]:
    for count, value in enumerate(answers):
        if count > MOST_MANIFEST // reading.PIECE:
            raise Corrupt(NO_ANSWER)
        yield value


@contextmanager
def read(archives: Sequence[Archive], size: int, scratch: Path, operation: Operation) -> Iterator[Chain]:
    """Each to its end. `size` is that of all disks. Raises Corrupt for what is damaged, cut off, or was never
    an archive; NoSpace."""
    with tempfile.TemporaryFile(dir=scratch) as index:
        found = list[Archive]()
        for number, archive in enumerate(archives):
            last = number == len(archives) - 1
            words = [str(size), str(index.fileno())] if last else []
            files = [index.fileno()] if last else []
            said = _last(archive, reading.__name__, (["whole"], words), files, scratch, size, operation)
            digest = str(said.get("sha256"))
            if said.get("manifest") != archive.text:
                raise Corrupt(f"{archive.source.called} was altered while it was read")
            since = archive.manifest.since
            if since is not None and since.digest != found[-1].digest:
                raise Corrupt(
                    f"{archive.source.called} was made since another {found[-1].source.called} than this",
                    hint="one of them was altered: take another copy of it",
                )
            found.append(replace(archive, digest=digest))
        yield Chain(archives=tuple(found), index=index.fileno(), scratch=scratch)


def build(chain: Chain, kind: DiskKind, new: Path, operation: Operation) -> None:
    """Put into `new`, a fresh disk that nobody mounted yet and nobody else has, what the chain has of it.
    Raises Corrupt; NoSpace where that does not go into it. `new` is of no use then."""
    edit.prepared(new)
    with ExitStack() as held:
        given, contents, edits = (
            held.enter_context(tempfile.TemporaryFile(dir=chain.scratch)) for _ in range(3)
        )
        left = 1
        for archive in reversed(chain.archives):
            left = _ordered(chain, archive, kind, new, (given, contents, edits), operation)
        if left:
            raise Corrupt(f"{left} names of its index are in none of the archives")
        operation.step(task="restore", detail="writing")
        edits.seek(0)
        size = os.fstat(contents.fileno()).st_size
        edit.edited(new, decoded(edits, size), contents.fileno(), operation, "restore")
    edit.settled(new, index=True)
    operation.step(task="restore", detail="comparing")
    compare(chain, kind, new)


def _ordered(
    chain: Chain,
    archive: Archive,
    kind: DiskKind,
    new: Path,
    scratch: tuple[IO[bytes], IO[bytes], IO[bytes]],
    operation: Operation,
) -> int:
    """How many names are still missing."""
    newest = "newest" if archive is chain.newest else "older"
    with opened(new) as device:
        files = [device, chain.index, *(file.fileno() for file in scratch)]
        words, size = ([str(kind), newest], list(map(str, files))), os.fstat(device).st_size
        said = _last(archive, ordering.__name__, words, files, chain.scratch, size, operation)
    if said.get("sha256") != archive.digest:
        raise Corrupt(f"{archive.source.called} was altered while it was read")
    left = said.get("left")
    if type(left) is not int or left < 0:
        raise Corrupt(NO_ANSWER)
    return left


def compare(chain: Chain, kind: DiskKind, new: Path) -> None:
    """Raises Corrupt, or NoSpace where there was no room, for a clean disk that has not all, and nothing but,
    what the newest of the chain had."""
    with opened(new) as device:
        bounds = Bounds(memory=GIB, cpu_seconds=300 + os.fstat(device).st_size // _PER_SECOND)
        words = [str(kind), str(device), str(chain.index)]
        found = ask(
            equal.__name__, words, subject="the new disk", bounds=bounds, pass_fds=[device, chain.index]
        )
    if found is not True:
        raise Corrupt("the new disk was not compared")


def _last(
    archive: Archive,
    reader: str,
    words: tuple[list[str], list[str]],
    files: list[int],
    scratch: Path,
    size: int,
    operation: Operation,
) -> dict[str, Any]:
    """What a reader answers when it went through all of an archive. It is handed `words`, the archive between
    them; files that it writes are no longer than `size`."""
    last: dict[str, Any] = {}
    with _reading(archive.source, archive.packing, reader, words, files, scratch, size) as (answers, ended):
        for value in answers:
            last = value if isinstance(value, dict) else {}
            done = last.get("done")
            operation.step(
                task="restore", done=done if type(done) is int else 0, unit="bytes",
                detail=archive.source.called.name,
            )  # fmt: skip
            need(scratch, 0)
        ended()
    return last


@contextmanager
def _reading(
    source: Source,
    packing: str,
    reader: str,
    words: tuple[list[str], list[str]],
    files: list[int],
    scratch: Path,
    size: int = 0,
) -> Iterator[tuple[Iterator[Any], Callable[[], None]]]:
    before, after = words
    bounds = Bounds(memory=GIB, cpu_seconds=600 + size // _PER_SECOND, file_size=max(size, _INDEX))
    packed = Bytes(file=source.file, source=source.called, packing=packing)
    with unpacked(packed, scratch) as (descriptor, ended):
        arguments, handed = [*before, str(descriptor), *after], [descriptor, *files]
        with inquire(
            reader, arguments, subject=str(source.called), bounds=bounds, pass_fds=handed
        ) as answers:
            yield answers, ended
