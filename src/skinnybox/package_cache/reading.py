"""What apt goes by in a sealed master: sources, keys, preferences, and which packages are installed.

Read from its image by a confined process, since strangers arrange masters that are imported.
"""

import base64
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from skinnybox.errors import Corrupt, NotFound
from skinnybox.masters import sources
from skinnybox.masters.kernel import os_release
from skinnybox.masters.sources import Release
from skinnybox.masters.system import image
from skinnybox.masters.system.dpkg import FOLDER, STATUS, STATUS_LIMIT
from skinnybox.masters.system.places import Places
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import answer, inquire

_APT = "etc/apt"
_PARTS, _KEYS, _PREFERENCES = f"{_APT}/sources.list.d", f"{_APT}/trusted.gpg.d", f"{_APT}/preferences.d"
_ARCHITECTURES = f"{FOLDER}/arch"
_RELEASES = ("etc/os-release", "usr/lib/os-release")
_MOST_FILES, _SMALL, _LARGEST = 200, 256 << 10, 1 << 20
_PIECE = 48 << 10
_BOUNDS = Bounds(memory=1 << 30, cpu_seconds=120, output=512 << 20)
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_MOST_ARCHITECTURES = 10


class Kind(StrEnum):
    """What a file is to apt."""

    SOURCE = "source"
    KEY = "key"
    TRUSTED = "trusted"
    PREFERENCE = "preference"
    STATUS = "status"
    ARCHITECTURES = "architectures"
    RELEASE = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """`sources` are all that it has; `keys` the files that they name, by their path in the master, and
    `trusted` those that sign what names none, by their suffix. `architectures` begins with its own, if it has
    a list. `release` is its os-release."""

    sources: tuple[sources.Source, ...]
    keys: dict[str, bytes]
    trusted: tuple[tuple[str, bytes], ...] = ()
    preferences: tuple[bytes, ...] = ()
    status: bytes = b""
    architectures: tuple[str, ...] = ()
    release: Release | None = None


def trusted(picture: Path) -> Trusted:
    """Of the master whose image that is. Raises Corrupt and Unsupported, as reading it does; NotFound when it
    is gone."""
    try:
        descriptor = os.open(picture, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"{picture} is missing") from error
    try:
        files = _files(descriptor, picture)
    finally:
        os.close(descriptor)
    texts = [data.decode("utf-8", "replace") for data in files[Kind.SOURCE].values()]
    return Trusted(
        sources=tuple(source for text in texts for source in sources.parse(text)),
        keys=files[Kind.KEY],
        trusted=tuple((suffix(path), data) for path, data in files[Kind.TRUSTED].items()),
        preferences=tuple(files[Kind.PREFERENCE].values()),
        status=b"".join(files[Kind.STATUS].values()),
        architectures=architectures(b"".join(files[Kind.ARCHITECTURES].values()).decode("ascii", "replace")),
        release=_release([*files[Kind.RELEASE].values()]),
    )


def suffix(path: str) -> str:
    """By which apt tells how a key is written."""
    return ".asc" if path.endswith(".asc") else ".gpg"


def architectures(text: str) -> tuple[str, ...]:
    """As dpkg names them; what could be anything else is left out, since they go into a configuration."""
    words = text.split()[:_MOST_ARCHITECTURES]
    return tuple(word for word in words if _ARCHITECTURE.fullmatch(word))


def _release(found: list[bytes]) -> Release | None:
    facts = os_release(found[0].decode("utf-8", "replace")) if found else {}
    name, codename = facts.get("ID", ""), facts.get("VERSION_CODENAME", "")
    return Release(id=name, codename=codename) if name and codename else None


def _files(descriptor: int, picture: Path) -> dict[Kind, dict[str, bytes]]:
    """By their path in the master. Also the reader's answer is a stranger's."""
    found: dict[Kind, dict[str, bytearray]] = {kind: {} for kind in Kind}
    with inquire(
        __name__, [str(descriptor)], subject=str(picture), bounds=_BOUNDS, pass_fds=[descriptor]
    ) as answers:
        for value in answers:
            try:
                kind, path, piece = value
                if type(path) is not str or type(piece) is not str:
                    raise ValueError("no path")
                pieces = found[Kind(kind)].setdefault(path, bytearray())
                pieces.extend(base64.b64decode(piece, validate=True))
            except (ValueError, TypeError) as error:
                raise Corrupt(f"{picture}: its reader gave no proper answer") from error
    return {kind: {path: bytes(data) for path, data in files.items()} for kind, files in found.items()}


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    answer(_told(image.opened(int(arguments[0]))))


def _told(source: image.Sealed) -> Iterator[list[str]]:
    places = Places(source)
    found: list[sources.Source] = []
    for path in [f"{_APT}/sources.list", *_in(source, _PARTS, (".list", ".sources"))]:
        data = source.read(_followed(source, places, path), _SMALL)
        if data is not None:
            found += sources.parse(data.decode("utf-8", "replace"))
            yield from _pieces(Kind.SOURCE, path, data)
    named = {
        each.signed_by for each in found if each.signed_by.startswith("/") and "\n" not in each.signed_by
    }
    wanted = [
        *((Kind.KEY, path, _LARGEST) for path in sorted(named)[:_MOST_FILES]),
        (Kind.TRUSTED, f"{_APT}/trusted.gpg", _LARGEST),
        *((Kind.TRUSTED, path, _LARGEST) for path in _in(source, _KEYS, (".gpg", ".asc"))),
        (Kind.PREFERENCE, f"{_APT}/preferences", _SMALL),
        *((Kind.PREFERENCE, path, _SMALL) for path in _in(source, _PREFERENCES, (".pref", ""))),
        *((Kind.RELEASE, path, _SMALL) for path in _RELEASES),
        (Kind.ARCHITECTURES, _ARCHITECTURES, _SMALL),
        (Kind.STATUS, STATUS, STATUS_LIMIT),
    ]
    for kind, path, limit in wanted:
        data = source.read(_followed(source, places, path.lstrip("/")), limit)
        if data is not None:
            yield from _pieces(kind, path, data)


def _in(source: image.Sealed, folder: str, suffixes: tuple[str, ...]) -> list[str]:
    """As apt reads a folder: names that end so, and no others."""
    names = [name for name in source.names(folder) if posixpath.splitext(name)[1] in suffixes]
    return [f"{folder}/{name}" for name in names[:_MOST_FILES] if not name.startswith(".")]


def _followed(source: image.Sealed, places: Places, path: str) -> str:
    """A file may be a link to another, once."""
    place = places.of(posixpath.normpath(path))
    folder, _, name = place.rpartition("/")
    target = source.links(folder).get(name)
    if target is None:
        return place
    whole = target if target.startswith("/") else f"/{folder}/{target}"
    return places.of(posixpath.normpath(whole).lstrip("/"))


def _pieces(kind: Kind, path: str, data: bytes) -> Iterator[list[str]]:
    """A line of the answer has its limit."""
    for at in range(0, max(len(data), 1), _PIECE):
        yield [kind, path, base64.b64encode(data[at : at + _PIECE]).decode()]
