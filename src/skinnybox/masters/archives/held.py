"""What some bytes are, and what a tar of them holds, as confined readers tell; checked."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from skinnybox.errors import UsageError
from skinnybox.masters.archives.magic import KINDS
from skinnybox.masters.archives.survey import HOLDS
from skinnybox.masters.archives.unpacking import Bytes, asked, improper
from skinnybox.masters.disk_header import LARGEST
from skinnybox.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """See survey.Found."""

    holds: str
    prefix: bytes
    name: bytes
    size: int
    names: tuple[str, ...]


def kind_of(found: Bytes, work: Path) -> str:
    """One of magic.KINDS."""
    if not found.file.is_file():
        raise UsageError(f"{found.source} is not a file: no disk image")
    answers = asked(found, work, "kind")
    if len(answers) != 1 or answers[0] not in KINDS:
        raise improper(found.source)
    return str(answers[0])


def held_in(found: Bytes, work: Path) -> Held:
    """What the tar holds."""
    match asked(found, work, "survey"):
        case [
            {
                "holds": str(holds),
                "prefix": str(prefix),
                "name": str(name),
                "size": int(size),
                "names": [*names],
            }
        ] if holds in HOLDS and 0 <= size <= LARGEST:
            with suppress(ValueError, AttributeError):
                return Held(
                    holds=holds, prefix=bytes.fromhex(prefix), name=bytes.fromhex(name), size=size,
                    names=tuple(printable(word) for word in names),
                )  # fmt: skip
    raise improper(found.source)
