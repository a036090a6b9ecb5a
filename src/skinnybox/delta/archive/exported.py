"""An archive of a machine's disks, written: the tar by a confined process, and compressed on its way."""

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from skinnybox import run
from skinnybox.delta import data_owners
from skinnybox.delta.archive import summing, writing
from skinnybox.delta.archive.manifest import MOST_END, End, Manifest, end_of, manifest_text
from skinnybox.delta.handing import handed
from skinnybox.delta.settled import NO_ANSWER
from skinnybox.errors import CannotWrite, CommandFailed, Corrupt, NoSpace, Unsupported
from skinnybox.model import DiskKind
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import ask, stream

COMPRESS = ("zstd", "-q", "-c", "-3", "-T0")
"""With all processors there are: the one that reads the disk is slower than each of them."""
_MEMORY = 2 << 30
_READ_PER_SECOND = 5 << 20
"""Bytes: slow machines read ten times as much, and what changed is read twice."""
_MOST = 1 << 62
_SAID, _PIPE = 8 << 20, 1 << 20
_KILLED = -13
"""By SIGPIPE: nobody reads what it prints any more."""


def export(
    disks: Mapping[DiskKind, Path],
    manifest: Manifest,
    target: int,
    scratch: Path,
    operation: Operation,
    earlier: BinaryIO | None = None,
) -> End:
    """Write the archive of these clean images, those of `manifest`, to the descriptor `target`; with the
    index of an `earlier` one only what is not as it says. What is written is of no use when this fails. Needs
    room in the folder `scratch` for the index. Raises Corrupt, Unsupported, NoSpace, CannotWrite, Cancelled;
    Blocked for disks by the numbers of two systems."""
    if not run.find(COMPRESS[0]):
        raise Unsupported("zstd is not installed", hint="install the package zstd")
    if DiskKind.DATA in manifest.disks:
        pair = disks[DiskKind.OVERLAY], disks[DiskKind.DATA]
        data_owners.refuse(str(manifest.machine.get("name")), *pair, manifest.stack.images)
    with ExitStack() as held:
        text = held.enter_context(handed(manifest_text(manifest)))
        index, told = (held.enter_context(tempfile.TemporaryFile(dir=scratch)) for _ in range(2))
        devices = [held.enter_context(opened(disks[kind])) for kind in manifest.disks]
        files = [text, index.fileno(), told.fileno()]
        before = -1 if earlier is None else earlier.fileno()
        words = [*files, before, *devices]
        pieces = held.enter_context(
            stream(
                writing.__name__,
                list(map(str, words)),
                subject=str(manifest.machine.get("name")),
                bounds=_bounds(devices),
                pass_fds=[*files, *([] if earlier is None else [before]), *devices],
            )
        )
        _compressed(_told(pieces, operation), target, operation)
        told.seek(0)
        return end_of(told.read(MOST_END + 1))


def index_sum(disks: Mapping[DiskKind, Path], subject: str) -> str:
    """Of these clean images, in hex: the same where an archive's index would be, line by line."""
    with ExitStack() as held:
        devices = {kind: held.enter_context(opened(disks[kind])) for kind in DiskKind if kind in disks}
        words = [word for kind, device in devices.items() for word in (str(kind), str(device))]
        found = ask(
            summing.__name__,
            words,
            subject=subject,
            bounds=_bounds(list(devices.values())),
            pass_fds=list(devices.values()),
        )
    if not (isinstance(found, str) and re.fullmatch("[0-9a-f]{64}", found)):
        raise Corrupt(NO_ANSWER)
    return found


def _bounds(devices: Sequence[int]) -> Bounds:
    size = sum(os.fstat(device).st_size for device in devices)
    return Bounds(
        memory=_MEMORY,
        cpu_seconds=300 + size // _READ_PER_SECOND,
        output=_MOST,
        file_size=_MOST,
        pipe=_PIPE,
    )


def _told(pieces: Iterator[bytes], operation: Operation) -> Iterator[bytes]:
    done = said = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        if done - said >= _SAID or not said:
            said = done
            operation.step(task="export", done=done, unit="bytes")
    operation.step(task="export", done=done, unit="bytes")


def _compressed(pieces: Iterator[bytes], target: int, operation: Operation) -> None:
    try:
        run.feed(COMPRESS, pieces, stdout=target)
    except CommandFailed as error:
        operation.check("export")  # a Ctrl-C is heard by both
        if "No space left on device" in error.stderr:
            raise NoSpace("there is no room for the archive", hint="another folder, or make room") from error
        if error.returncode == _KILLED or "Broken pipe" in error.stderr:
            raise CannotWrite("cannot write the archive: nobody reads it any more") from error
        raise
