"""The upper directory as a running guest tells it: quick, and only its word, bounded and checked here.

No content is read, so a file differs when its size or its time does. Of the extended attributes only the mark
of opaque directories is told.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from types import MappingProxyType

from skinnybox.delta.join import OPAQUE, Reader, joined, sort_key, unread_folder, with_unread
from skinnybox.errors import GuestFailed
from skinnybox.ext4 import TOO_DEEP
from skinnybox.masters.index import Entry
from skinnybox.model import Change

UPPER = "/media/root-rw/upper"
_FIELDS = 8
_MOST_PATHS = 1_000_000
_PATH_LIMIT = 4096
_NAME_LIMIT = 255
_LARGEST = 1 << 63
_LATEST = 1 << 34
"""Seconds, either way: ext4 keeps no other times."""
_MAJORS, _MINORS = 1 << 12, 1 << 20
_TYPES = {"f": "-", "d": "d", "l": "l", "p": "p", "c": "c", "b": "b", "s": "s"}
_OPAQUE: Mapping[str, bytes] = MappingProxyType({OPAQUE: b"y"})
_PLAIN: Mapping[str, bytes] = MappingProxyType({})

# Three lists, each ended by an empty word: names; numbers of devices, since find cannot tell; opaque ones.
# What goes between two of them is no error. The path of the upper itself is the empty one. What is too long
# for a path is named once and not looked into: any user can make directories within each other without end,
# and to print them all takes the square of that.
SCRIPT = f"""
cd {UPPER} 2>/dev/null || {{ echo 'this guest shows no {UPPER}' >&2; exit 3; }}
export LC_ALL=C
deep=$(printf '%{_PATH_LIMIT + len("./")}s' '' | tr ' ' '?')'*'
find . -printf '%y\\0%m\\0%U\\0%G\\0%s\\0%T@\\0%l\\0%P\\0' -path "$deep" -prune 2>/dev/null || :
printf '\\0'
find . -path "$deep" -prune -o '(' -type c -o -type b ')' \\
    -exec stat --printf '%t:%T\\0%n\\0' {{}} + 2>/dev/null || :
printf '\\0'
if command -v getfattr >/dev/null; then
    find . -mindepth 1 -path "$deep" -prune -o -type d -exec sh -c 'for d; do
        [ "$(getfattr -h --only-values -n trusted.overlay.opaque "$d" 2>/dev/null)" != y ] ||
            printf "%s\\0" "$d"
    done' sh {{}} +
fi
printf '\\0'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What stands at one name of the guest's upper directory, in the terms of join.Node."""

    type: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    rdev: tuple[int, int] = (0, 0)
    target: bytes = b""
    opaque: bool = False
    too_deep: bool = False


def compared(told: Mapping[bytes, Listed], index: Iterable[Entry]) -> Iterator[Change]:
    """All that join.joined tells of what `listing` returned. Raises Corrupt for an index out of order."""
    reader: Reader[Listed] = Reader(
        xattrs=lambda node: _OPAQUE if node.opaque else _PLAIN,
        target=lambda node: node.target,
        differs=lambda node, entry: node.mtime_ns != entry.mtime_ns,
        all_xattrs=False,
    )
    unread = list[Change]()
    return with_unread(joined(_in_order(told, unread), reader, index), unread)


def _in_order(told: Mapping[bytes, Listed], unread: list[Change]) -> Iterator[tuple[bytes, Listed]]:
    for path in sorted(told, key=sort_key):
        yield path, told[path]
        if told[path].too_deep:
            unread.append(unread_folder(path, TOO_DEEP))


def listing(said: bytes) -> dict[bytes, Listed]:
    """What the script prints, checked: the upper itself as b"", and names that lie in directories told too.

    A device without a number went between two of the lists: as if it were not there. Raises GuestFailed.
    """
    *words, unended = said.split(b"\0")
    try:
        paths, rest = _paths(words)
        devices, rest = _devices(words, rest)
        marked, rest = _list(words, rest)
        if unended or rest != len(words):
            raise ValueError("it does not end where it should")
        _refuse_homeless(paths)
        opaque = frozenset(map(_below_upper, marked))
    except (ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        raise GuestFailed(f"the guest's listing makes no sense: {error}") from error
    return dict(_whole(paths, devices, opaque))


def _whole(
    paths: Mapping[bytes, Listed], devices: Mapping[bytes, tuple[int, int]], opaque: Set[bytes]
) -> Iterator[tuple[bytes, Listed]]:
    for path, found in paths.items():
        if found.type in "bc":
            if path in devices:
                yield path, replace(found, rdev=devices[path])
        else:
            yield path, replace(found, opaque=True) if path in opaque else found


def _paths(words: Sequence[bytes]) -> tuple[dict[bytes, Listed], int]:
    found: dict[bytes, Listed] = {}
    deep = set[bytes]()
    at = 0
    while words[at]:
        *fields, target, raw = words[at : at + _FIELDS]
        kind, mode, uid, gid, size, time = (word.decode("ascii") for word in fields)
        at += _FIELDS
        if len(raw) >= _PATH_LIMIT:
            deep.add(_last_listed(raw))
            continue
        found[_path(raw)] = Listed(
            type=_TYPES[kind],
            mode=_number(mode, 1 << 12, 8),
            uid=_number(uid),
            gid=_number(gid),
            size=_number(size),
            mtime_ns=_nanoseconds(time),
            target=_bounded(target),
        )
        if len(found) > _MOST_PATHS:
            raise ValueError(f"more than {_MOST_PATHS} paths")
    found |= {path: replace(found[path], too_deep=True) for path in deep}
    return found, at + 1


def _last_listed(raw: bytes) -> bytes:
    """The directory around what is too long for a path; all above that is listed."""
    if max(map(len, raw.split(b"/"))) > _NAME_LIMIT:
        raise ValueError(f"{raw[:80]!r}... has a name that is too long")
    return raw[:_PATH_LIMIT].rpartition(b"/")[0]


def _devices(words: Sequence[bytes], at: int) -> tuple[dict[bytes, tuple[int, int]], int]:
    found, end = _list(words, at)
    numbers = (_device(number.decode("ascii")) for number in found[::2])
    return dict(zip(map(_below_upper, found[1::2]), numbers, strict=True)), end


def _list(words: Sequence[bytes], at: int) -> tuple[Sequence[bytes], int]:
    end = words.index(b"", at)
    return words[at:end], end + 1


def _refuse_homeless(paths: Mapping[bytes, Listed]) -> None:
    """The join relies on it: nothing lies in what is no directory, and the upper is one. A find that knows no
    -printf tells nothing at all, which is not that nothing changed."""
    if b"" not in paths:
        raise ValueError("the upper directory itself is not in it")
    for path in paths:
        above = paths.get(path.rpartition(b"/")[0])
        if above is None or above.type != "d":
            raise ValueError(f"{path[:80]!r} lies in no directory")


def _below_upper(word: bytes) -> bytes:
    return _path(word.removeprefix(b"./"))


def _path(raw: bytes) -> bytes:
    if raw and not {b"", b".", b".."}.isdisjoint(raw.split(b"/")):
        raise ValueError(f"{raw[:80]!r} is not a path")
    return _bounded(raw)


def _bounded(raw: bytes) -> bytes:
    if len(raw) >= _PATH_LIMIT:
        raise ValueError(f"{raw[:80]!r}... is too long")
    return raw


def _number(text: str, end: int = _LARGEST, base: int = 10) -> int:
    value = int(text, base)
    if not 0 <= value < end:
        raise ValueError(f"{text[:30]} is out of bounds")
    return value


def _nanoseconds(text: str) -> int:
    """find prints the kernel's two numbers; the second counts forward, so -2.75 is 1.25 s before 1970."""
    whole, _, fraction = text.partition(".")
    seconds = int(whole)
    if not -_LATEST <= seconds < _LATEST:
        raise ValueError(f"{text[:30]} is out of bounds")
    return seconds * 1_000_000_000 + _number(fraction[:9].ljust(9, "0"))


def _device(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(":")
    return _number(major, _MAJORS, 16), _number(minor, _MINORS, 16)
