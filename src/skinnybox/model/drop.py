"""Parts of a machine's own that are to go, and what became of that."""

from dataclasses import dataclass, field

from skinnybox.errors import UsageError
from skinnybox.printable import printable

_LONGEST = 4095


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`paths` have no leading slash, and stand for all that is below them; `packages` for the files that the
    master's have. With `idle` goes what is the same without it, with `secrets` what no two machines may have:
    nothing else is named then."""

    paths: tuple[bytes, ...] = ()
    packages: tuple[str, ...] = ()
    idle: bool = False
    secrets: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A name that went. `size` are bytes of content."""

    path: bytes
    type: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """`count` names, and how many bytes of the disk they had to themselves; `notes` are for people."""

    count: int
    freed: int
    notes: tuple[str, ...] = field(default=())


def path_of(text: str) -> bytes:
    """UsageError for what is no absolute path, and for the root: that is all of it."""
    raw = text.encode("utf-8", "surrogateescape")
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if not raw.startswith(b"/") or b"\0" in raw or b".." in parts or len(raw) > _LONGEST:
        raise UsageError(f"{printable(text)} is no path in a machine", hint="as /etc/apache2")
    if not parts:
        raise UsageError(
            "/ is all that it made its own", hint="`skinnybox reset NAME`, without a path, does that"
        )
    return b"/".join(parts)
