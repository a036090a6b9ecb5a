"""What an earlier archive says of itself, and its index: so a later one holds only what has changed since.

All of it is read, by a confined process: an archive that is cut off or damaged is nothing to build on.
"""

import base64
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from skinnybox.delta.archive.incoming import Archived
from skinnybox.delta.archive.manifest import (
    MOST_MANIFEST,
    Manifest,
    Since,
    end_of,
    manifest_of,
)
from skinnybox.delta.archive.sources import Source, check
from skinnybox.errors import Corrupt, NoArchive
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


def read(source: Source, index: BinaryIO, scratch: Path, operation: Operation) -> Earlier:
    """Its index is written into the file `index`, which lies in the folder `scratch`. Raises NotFound;
    UsageError for no file; NoArchive, also for a damaged one; Unsupported for one of a later format;
    Cancelled."""
    from skinnybox.masters.archives.unpacking import Bytes, reading  # the child has no use for them
    from skinnybox.sandbox.confinement import Bounds

    file, called = source.file, source.called
    check(source, "--since takes a file that `export` wrote")
    size = file.stat().st_size
    most = min(MOST_INDEX, _LEAST_INDEX + size * _MOST_TIMES)
    bounds = Bounds(cpu_seconds=600 + size // _UNPACKED_PER_SECOND, output=_OUTPUT, file_size=MOST_INDEX)
    with reading(Bytes(file=file, source=called, packing="zstd"), scratch) as (descriptor, ended):
        files = [descriptor, index.fileno()]
        words = list(map(str, [*files, most]))
        with inquire(__name__, words, subject=str(called), bounds=bounds, pass_fds=files) as answers:
            try:
                found = _heard(answers, called, operation)
                ended()
            except Corrupt as error:
                raise NoArchive(error.message, hint=HINT) from error
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
        raise Corrupt(f"{file}: its reader gave no proper answer") from error
    return Earlier(manifest=manifest_of(text), digest=digest)


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    archive, index, most = map(int, arguments)
    answer(_told(Archived(archive), index, most), batch=1)


def _told(archived: Archived, index: int, most: int) -> Iterator[int | str]:
    """See _heard."""
    manifest, said = archived.manifest(), 0
    for member in archived.trees():
        for _ in archived.incoming.pieces(member.stored):
            if archived.incoming.at >= said + _SAID:
                said = archived.incoming.at
                yield said
    with os.fdopen(index, "wb", _BUFFER, closefd=False) as target:
        for line in archived.index():
            most -= len(line)
            if most < 0:
                raise Corrupt("its index makes no sense: it is too large")
            target.write(line)
    yield archived.end().digest
    for start in range(0, len(manifest), _PIECE):
        yield base64.b64encode(manifest[start : start + _PIECE]).decode()
