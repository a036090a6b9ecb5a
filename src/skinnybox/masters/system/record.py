"""system.jsonl.gz: gzip'd JSON lines, as the index beside it. They are what a stranger's tree said, so every
value is checked when they are read, too.

The first line is the system; then comes one for each package that has files, since those are nine tenths of
it and few ask for them; the last is the digest of all before it.
"""

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skinnybox import formats, named_file
from skinnybox.errors import Corrupt
from skinnybox.masters.accounts import Accounts
from skinnybox.masters.system.accounts import from_record, to_record
from skinnybox.masters.system.values import (
    INSTALLED,
    Alternative,
    Diversion,
    Files,
    Package,
    System,
    Unit,
)

FORMAT = 1
_PACKED, LONGEST = 128 << 20, 512 << 20
"""Bytes of the file, and of what is in it: far more than gather makes."""


def to_text(system: System, files: Files) -> bytes:
    """Deterministic."""
    first = {
        "format": FORMAT,
        "manager": system.manager,
        "packages": None if system.packages is None else [_package(item) for item in system.packages],
        "accounts": to_record(system.accounts),
        "units": {unit.name: list(unit.wanted_by) for unit in system.units},
        "alternatives": {item.name: [item.mode, item.target] for item in system.alternatives},
        "diversions": [[item.path, item.to, item.package] for item in system.diversions],
        "release": dict(system.release),
        "trouble": list(system.trouble),
    }
    text = b"".join([_line(first), *(_line([key, *files[key]]) for key in sorted(files))])
    return text + _line({"digest": _digest(text)})


def packed(text: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile("", "wb", 6, out, mtime=0) as file:
        file.write(text)
    return out.getvalue()


def unpacked(file: Path) -> bytes:
    """Corrupt for what cannot be read, and for more than there can be."""
    try:
        return unpacked_of(io.BytesIO(named_file.content(file, _PACKED)), str(file))
    except OSError as error:
        raise Corrupt(f"{file} cannot be read: {error}") from error


def unpacked_of(source: io.BufferedIOBase, what: str = "the master's system") -> bytes:
    """The same of an open file."""
    try:
        with gzip.GzipFile(fileobj=source) as file:
            text = file.read(LONGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Corrupt(f"{what} cannot be read: {error}") from error
    if len(text) > LONGEST:
        raise Corrupt(f"{what} holds more than {LONGEST} bytes")
    return text


def system_in(text: bytes, what: str) -> System:
    """Corrupt when any byte is not what was written; Unsupported for a later form."""
    _check_digest(text, what)
    try:
        record = json.loads(text[: text.index(b"\n")])
        formats.check(record, FORMAT, what)
        return _system(record)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Corrupt(f"{what}: {error!r}"[:300]) from error


def files_in(text: bytes, what: str) -> dict[str, tuple[str, ...]]:
    """Of what `system_in` found whole."""
    try:
        return dict(map(_paths, _between(text)))
    except (ValueError, TypeError, RecursionError) as error:
        raise Corrupt(f"{what}: {error!r}"[:300]) from error


def listed(text: bytes, what: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The same, one package at a time."""
    try:
        yield from map(_paths, _between(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise Corrupt(f"{what}: {error!r}"[:300]) from error


def _between(text: bytes) -> Iterator[bytes]:
    return iter(text.split(b"\n")[1:-2])


def _paths(line: bytes) -> tuple[str, tuple[str, ...]]:
    key, *paths = _texts(json.loads(line))
    return key, tuple(paths)


def _check_digest(text: bytes, what: str) -> None:
    end = text.rfind(b"\n", 0, len(text) - 1) + 1
    if not end or text[end:] != _line({"digest": _digest(text[:end])}):
        raise Corrupt(f"{what} is not what was written")


def _package(package: Package) -> list[Any]:
    """Only as long as it must be: a server has a thousand of them."""
    found: list[Any] = [package.name, package.version, package.architecture]
    if package.status != INSTALLED or package.conffiles:
        found.append(package.status)
    return [*found, dict(package.conffiles)] if package.conffiles else found


def _system(record: dict[str, Any]) -> System:
    packages = record["packages"]
    accounts: Accounts = from_record(record["accounts"])
    return System(
        manager=None if record["manager"] is None else _text(record["manager"]),
        packages=None if packages is None else tuple(_as_package(*item) for item in packages),
        accounts=accounts,
        units=tuple(Unit(name=name, wanted_by=_texts(by)) for name, by in record["units"].items()),
        alternatives=tuple(_alternative(name, *item) for name, item in record["alternatives"].items()),
        diversions=tuple(_diversion(*item) for item in record["diversions"]),
        release={_text(key): _text(value) for key, value in record["release"].items()},
        trouble=_texts(record["trouble"]),
    )


def _as_package(
    name: str,
    version: str,
    architecture: str,
    status: str = INSTALLED,
    conffiles: dict[str, str] | None = None,
    *_: object,
) -> Package:
    """Whatever a later version adds at the end is passed over."""
    name, version, architecture, status = _texts([name, version, architecture, status])
    return Package(
        name=name,
        version=version,
        architecture=architecture,
        status=status,
        conffiles=tuple((path, _text(digest)) for path, digest in (conffiles or {}).items()),
    )


def _alternative(name: str, mode: str, target: str, *_: object) -> Alternative:
    return Alternative(name=name, mode=_text(mode), target=_text(target))


def _diversion(path: str, to: str, package: str, *_: object) -> Diversion:
    return Diversion(path=_text(path), to=_text(to), package=_text(package))


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r:.60} is no text")
    return value


def _texts(values: list[Any]) -> tuple[str, ...]:
    return tuple(map(_text, values))


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _digest(text: bytes) -> str:
    return f"sha256:{hashlib.sha256(text).hexdigest()}"
