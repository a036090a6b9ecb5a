"""The changes of a running machine as its guest tells them by ssh: quick, and only its word.

A small listing of the upper directory comes back; it is bounded, checked and joined with the index here. No
content is read: a file is `modified` when its size differs, or size and time say nothing else.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skinnybox.delta.changes import marked, seed_paths
from skinnybox.errors import CommandFailed, GuestFailed
from skinnybox.fleet.access import USUAL, ssh_argv
from skinnybox.fleet.view import Machine
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.index import Entry, read_index
from skinnybox.model import Change, ChangeKind
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.process import relayed

_UPPER = "/media/root-rw/upper"
_FIELDS = 7
_MOST_PATHS = 1_000_000
_BOUNDS = Bounds(cpu_seconds=75, output=256 << 20)
_TYPES = {"f": "-", "d": "d", "l": "l", "p": "p", "c": "c", "b": "b", "s": "s"}
_PATH_LIMIT = 4096

# Three lists, each ended by an empty name: paths; whiteouts (devices 0/0: find cannot tell); opaque ones.
_SCRIPT = f"""
cd {_UPPER} 2>/dev/null || {{ echo 'this guest shows no {_UPPER}' >&2; exit 3; }}
find . -mindepth 1 -printf '%y\\0%m\\0%U\\0%G\\0%s\\0%T@\\0%P\\0' 2>/dev/null || : # what went meanwhile
printf '\\0'
find . -type c -exec sh -c 'for f; do
    [ "$(stat -c %t:%T "$f")" != 0:0 ] || printf "%s\\0" "$f"; done' sh {{}} +
printf '\\0'
if command -v getfattr >/dev/null; then
    find . -mindepth 1 -type d -exec sh -c 'for d; do
        [ "$(getfattr -h --only-values -n trusted.overlay.opaque "$d" 2>/dev/null)" != y ] ||
            printf "%s\\0" "$d"
    done' sh {{}} +
fi
printf '\\0'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One path of the guest's upper directory. `type` is one of the letters of `ls -l`."""

    type: str
    mode: int
    uid: int
    gid: int
    size: int
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """`whiteouts` hide what lies below them in the stack, `opaque` directories all of it."""

    paths: dict[bytes, Told]
    whiteouts: frozenset[bytes]
    opaque: frozenset[bytes]


@contextmanager
def changes_by_word(
    ssh: Path, machine: Machine, sealed: Path, *, include_seed: bool
) -> Iterator[Iterator[Change]]:
    """In path order. GuestFailed when the guest does not answer, or tells nonsense."""
    found = listing(_asked(ssh, machine))
    marks = seed_paths(machine.instance.seed)
    with (sealed / INDEX).open("rb") as index:
        yield marked(compared(found, read_index(index)), marks, include_seed=include_seed)


def _asked(ssh: Path, machine: Machine) -> bytes:
    """All it prints, within bounds. As root, since the view is root's."""
    become = 'if [ "$(id -u)" = 0 ]; then exec sh -c "$0"; else exec sudo -n sh -c "$0"; fi'
    words = [*ssh_argv(ssh, machine, USUAL, batch=True), shlex.join(["sh", "-c", become, _SCRIPT])]
    try:
        return relayed(words, _BOUNDS).stdout
    except CommandFailed as error:
        raise GuestFailed(
            f"{machine.name} does not list what it changed: {error.message}",
            hint="without --live it is read from outside, from a copy",
        ) from error


def listing(said: bytes) -> Listing:
    """What the script prints, checked. Raises GuestFailed."""
    *words, unended = said.split(b"\0")
    try:
        paths, rest = _paths(words)
        whiteouts, rest = _names(words, rest)
        opaque, rest = _names(words, rest)
        if unended or rest != len(words):
            raise ValueError("it does not end where it should")
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise GuestFailed(f"the guest's listing makes no sense: {error}") from error
    return Listing(paths=paths, whiteouts=whiteouts, opaque=opaque)


def _paths(words: list[bytes]) -> tuple[dict[bytes, Told], int]:
    found: dict[bytes, Told] = {}
    at = 0
    while words[at]:
        kind, mode, uid, gid, size, time = (word.decode("ascii") for word in words[at : at + _FIELDS - 1])
        path = _path(words[at + _FIELDS - 1])
        found[path] = Told(
            type=_TYPES[kind],
            mode=int(mode, 8) & 0o7777,
            uid=_number(uid),
            gid=_number(gid),
            size=_number(size),
            seconds=int(time.partition(".")[0]),
        )
        at += _FIELDS
        if len(found) > _MOST_PATHS:
            raise ValueError(f"more than {_MOST_PATHS} paths")
    return found, at + 1


def _names(words: list[bytes], at: int) -> tuple[frozenset[bytes], int]:
    end = words.index(b"", at)
    return frozenset(_path(word.removeprefix(b"./")) for word in words[at:end]), end + 1


def _path(raw: bytes) -> bytes:
    if not raw or len(raw) >= _PATH_LIMIT or raw.startswith(b"/") or b".." in raw.split(b"/"):
        raise ValueError(f"{raw[:80]!r} is not a path")
    return raw


def _number(text: str) -> int:
    value = int(text)
    if not 0 <= value < 1 << 63:
        raise ValueError(f"{text[:30]} is out of bounds")
    return value


def compared(told: Listing, index: Iterator[Entry]) -> Iterator[Change]:
    """Against the stack's index, in its order."""
    upper = sorted(told.paths, key=_key)
    at, hidden = 0, b""
    for entry in index:
        while at < len(upper) and _key(upper[at]) < _key(entry.path):
            yield from _added(upper[at], told)
            at += 1
        if hidden and entry.path.startswith(hidden + b"/"):
            continue
        if at < len(upper) and upper[at] == entry.path:
            change = _change(entry, told)
            if change is not None:
                yield change
            if change is not None and change.kind in (ChangeKind.DELETED, ChangeKind.TYPE):
                hidden = entry.path
            at += 1
        elif entry.path and _is_cut(entry.path, told.opaque):
            yield _deleted(entry)
            hidden = entry.path
    for path in upper[at:]:
        yield from _added(path, told)


def _added(path: bytes, told: Listing) -> Iterator[Change]:
    if path not in told.whiteouts:
        found = told.paths[path]
        yield Change(path=path, kind=ChangeKind.ADDED, type=found.type, size=_shown(found))


def _change(entry: Entry, told: Listing) -> Change | None:
    if entry.path in told.whiteouts:
        return _deleted(entry)
    found = told.paths[entry.path]
    if found.type != entry.type:
        detail = f"{entry.type} -> {found.type}"
        return Change(
            path=entry.path, kind=ChangeKind.TYPE, type=found.type, size=_shown(found), detail=detail
        )
    words = list(_differences(entry, found))
    if not words:
        return None
    content = found.type in "-l" and (found.size != entry.size or "mtime" in words)
    kind = ChangeKind.MODIFIED if content else ChangeKind.METADATA
    shown = [word for word in words if word not in ("mtime", "size")]
    return Change(path=entry.path, kind=kind, type=found.type, size=_shown(found), detail=", ".join(shown))


def _differences(entry: Entry, found: Told) -> Iterator[str]:
    """In words. A directory's time says nothing: the kernel sets it at each copy-up."""
    if found.mode != entry.mode and found.type != "l":
        yield f"mode {entry.mode:o} -> {found.mode:o}"
    if (found.uid, found.gid) != (entry.uid, entry.gid):
        yield f"owner {entry.uid}:{entry.gid} -> {found.uid}:{found.gid}"
    if found.type in "-l" and found.size != entry.size:
        yield "size"
    if found.type != "d" and found.seconds != entry.mtime_ns // 1_000_000_000:
        yield "mtime"


def _deleted(entry: Entry) -> Change:
    return Change(path=entry.path, kind=ChangeKind.DELETED, type=entry.type, size=entry.size)


def _is_cut(path: bytes, opaque: frozenset[bytes]) -> bool:
    """Whether a directory above it hides what the stack has there."""
    if not opaque:
        return False
    above = path.rpartition(b"/")[0]
    while above:
        if above in opaque:
            return True
        above = above.rpartition(b"/")[0]
    return False


def _shown(found: Told) -> int:
    return found.size if found.type in "-l" else 0


def _key(path: bytes) -> bytes:
    """Sorts as the path's components do."""
    return path.replace(b"/", b"\0")
