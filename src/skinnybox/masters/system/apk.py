"""Alpine's database of packages: one file of stanzas, whose keys are letters."""

import re
from collections.abc import Iterator

from skinnybox.masters.system.source import Notes, Source, content, lines
from skinnybox.masters.system.values import Package

_FILES = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_LIMIT = 32 << 20
_MOST, _MOST_PATHS, _LONGEST = 50_000, 200_000, 4096
"""Packages; and paths of one, whose names are put together: a long folder with many files is no bomb."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._~-]{0,199}")


def packages(source: Source, notes: Notes) -> list[Package] | None:
    """None where there is no such database."""
    data = _data(source, notes)
    if data is None:
        return None
    found: dict[str, Package] = {}
    for stanza, _ in _stanzas(data):
        name, version, architecture = (stanza.get(key, "") for key in "PVA")
        if not all(_WORD.fullmatch(word) for word in (name, version, architecture)):
            notes.add(f"apk: {name[:60]!r} is no package that can be")
        elif len(found) < _MOST:
            package = Package(name=name, version=version, architecture=architecture)
            found[package.key] = package
        else:
            notes.add(f"more than {_MOST} packages: the others were not read")
            break
    return sorted(found.values(), key=lambda package: (package.name, package.architecture))


def files(source: Source, notes: Notes) -> Iterator[tuple[str, Iterator[str]]]:
    """Of each package its key, and its paths."""
    for stanza, paths in _stanzas(_data(source, notes) or b""):
        yield f"{stanza.get('P')}:{stanza.get('A')}", iter(paths)


def _data(source: Source, notes: Notes) -> bytes | None:
    found = (content(source, path, _LIMIT, notes) for path in _FILES)
    return next((data for data in found if data is not None), None)


def _stanzas(data: bytes) -> Iterator[tuple[dict[str, str], list[str]]]:
    """`F:` names a folder, and each `R:` after it a file in there."""
    stanza: dict[str, str] = {}
    paths: list[str] = []
    folder = ""
    for line in lines(data):
        if len(line) > _LONGEST:
            continue
        key, colon, value = line.partition(":")
        if not line.strip():
            if stanza:
                yield stanza, paths
            stanza, paths, folder = {}, [], ""
        elif colon and key in ("P", "V", "A"):
            stanza[key] = value
        elif colon and key == "F":
            folder = value.strip("/")
        elif colon and key == "R" and len(paths) < _MOST_PATHS:
            paths.append(f"{folder}/{value}" if folder else value)
    if stanza:
        yield stanza, paths
