"""What an earlier archive says of itself, and its index: so a later one holds only what has changed since.

All of it is read, by a confined process: an archive that is cut off or damaged is nothing to build on.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from skinnybox.delta.archive.form import END, INDEX, MANIFEST, MOST_MEMBERS
from skinnybox.delta.archive.manifest import (
    MOST_END,
    MOST_MANIFEST,
    Manifest,
    Since,
    end_of,
    manifest_of,
)
from skinnybox.errors import Corrupt
from skinnybox.masters.archives.incoming import Incoming
from skinnybox.masters.archives.members import Member, members
from skinnybox.operation import Operation
from skinnybox.sandbox.reader import answer, inquire

MOST_INDEX = 8 << 30
"""Bytes: more than MOST_MEMBERS lines of an ordinary length."""
_UNPACKED_PER_SECOND = 4 << 20
"""Bytes of an archive: slow machines do ten times as much, and what is packed may be a hundred times less."""
_LEAST_INDEX, _MOST_TIMES = 1 << 20, 64
"""Bytes of an index, and for each byte of the archive: digests cannot be packed, so it is ten times."""
_PIECE, _BUFFER, _OUTPUT, _SAID = 48 << 10, 1 << 18, 64 << 20, 64 << 20
HINT = "copy the archive once more, or begin again with a whole one: `export` without --since"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    manifest: Manifest
    digest: str

    @property
    def since(self) -> Since:
        return Since(id=self.manifest.id, digest=self.digest)


def read(file: Path, index: BinaryIO, scratch: Path, operation: Operation) -> Earlier:
    """Its index is written into the file `index`, which lies in the folder `scratch`. Raises NotFound;
    Corrupt, also for what is no archive; Unsupported for one of a later format; Cancelled."""
    from skinnybox.masters.archives.unpacking import Bytes, reading  # the child has no use for them
    from skinnybox.sandbox.confinement import Bounds

    size = file.stat().st_size if file.exists() else 0
    most = min(MOST_INDEX, _LEAST_INDEX + size * _MOST_TIMES)
    bounds = Bounds(cpu_seconds=600 + size // _UNPACKED_PER_SECOND, output=_OUTPUT, file_size=MOST_INDEX)
    with reading(Bytes(file=file, source=file, packing="zstd"), scratch) as (descriptor, ended):
        files = [descriptor, index.fileno()]
        words = list(map(str, [*files, most]))
        with inquire(__name__, words, subject=str(file), bounds=bounds, pass_fds=files) as answers:
            found = _heard(answers, file, operation)
        ended()
    return found


def _heard(answers: Iterator[Any], file: Path, operation: Operation) -> Earlier:
    """It says how many bytes it has read, now and then; at last the digest, and the manifest in pieces."""
    digest, text = "", b""
    try:
        for value in answers:
            if type(value) is int:
                operation.step(task="read", done=value, unit="bytes", detail=file.name)
            elif not digest:
                digest = end_of(json.dumps({"members": 1, "sha256": value}).encode()).digest
            elif len(text) <= MOST_MANIFEST:
                text += base64.b64decode(value, validate=True)
    except (ValueError, TypeError) as error:
        raise Corrupt(f"{file}: its reader gave no proper answer", hint=HINT) from error
    return Earlier(manifest=manifest_of(text), digest=digest)


class _Hashed(Incoming):
    """What was read before the last piece is digested, so that it can be asked for before a header."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._digest = hashlib.sha256()
        self._last = b""
        self.said = 0

    def exactly(self, length: int) -> bytes:
        found = super().exactly(length)
        self._digest.update(self._last)
        self._last = found
        return found

    @property
    def before(self) -> str:
        """Of all but the last piece."""
        return self._digest.hexdigest()


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    archive, index, most = map(int, arguments)
    answer(_told(_Hashed(archive), index, most), batch=1)


def _told(archive: _Hashed, index: int, most: int) -> Iterator[int | str]:
    """See _heard."""
    manifest, digest, has_index = b"", "", False
    for number, member in enumerate(members(archive)):
        if digest or number > MOST_MEMBERS or (number == 0) != (member.name == MANIFEST):
            raise Corrupt("it is no archive of a machine, or not as Skinnybox writes them", hint=HINT)
        if number == 0:
            manifest = _content(archive, member, MOST_MANIFEST)
        elif member.name == INDEX:
            has_index = True
            yield from _write(archive, member, index, most)
        elif member.name == END:
            digest = archive.before
            end = end_of(_content(archive, member, MOST_END))
            if (end.digest, end.members) != (digest, number) or not has_index:
                raise Corrupt("it is damaged: its digest is another", hint=HINT)
        else:
            yield from _passed(archive, archive.pieces(member.stored))
    if not digest:
        raise Corrupt("it is cut off, or no archive of a machine", hint=HINT)
    yield from _passed(archive, archive.rest())
    yield digest
    for start in range(0, len(manifest), _PIECE):
        yield base64.b64encode(manifest[start : start + _PIECE]).decode()


def _passed(archive: _Hashed, pieces: Iterable[bytes]) -> Iterator[int]:
    """How far it is, whenever that is to be said."""
    for _ in pieces:
        if archive.at >= archive.said + _SAID:
            archive.said = archive.at
            yield archive.at


def _content(archive: Incoming, member: Member, most: int) -> bytes:
    if not member.is_file or member.records or member.stored > most:
        raise Corrupt("it is no archive of a machine, or not as Skinnybox writes them", hint=HINT)
    return archive.exactly(member.stored)


def _write(archive: _Hashed, member: Member, index: int, most: int) -> Iterator[int]:
    if not member.is_file or member.size != member.stored or member.stored > most:
        raise Corrupt("its index makes no sense", hint=HINT)
    with os.fdopen(index, "wb", _BUFFER, closefd=False) as target:
        yield from _passed(archive, (piece for piece in archive.pieces(member.stored) if target.write(piece)))
