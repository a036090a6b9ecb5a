"""Modules of a master's kernel, read from its sealed image: the tree it was made of is gone by then.

A confined process reads the image, as a stranger arranged what is in it; what it hands out is unpacked and
looked at as that of a tree.
"""

import os
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from skinnybox import private
from skinnybox.errors import Corrupt, NotFound, SkinnyboxError, Unsupported
from skinnybox.masters.initramfs.modules import (
    LARGEST,
    MOST_FILES,
    MOST_TEXT,
    MOST_TOGETHER,
    Found,
    built_in,
    by_name,
    taken,
)
from skinnybox.masters.kernel import MODULES
from skinnybox.masters.system.image import opened
from skinnybox.masters.system.source import Source
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import complain, inquire, stream

_READER = "skinnybox.masters.initramfs.sealed"
_BOUNDS = Bounds(memory=1 << 30, cpu_seconds=120, output=2 * MOST_TOGETHER)
_LENGTH = struct.Struct("<Q")
_DEEPEST = 12
_LONGEST = 1000


def sealed_modules(image: Path, version: str, names: Sequence[str], needed: str, scratch: Path) -> Found:
    """Those of these names that are modules of that kernel, with all that they need; `scratch` is a new
    folder for what is unpacked. Unsupported when the kernel lacks the one that is `needed`, also built in;
    Corrupt for what cannot be read."""
    try:
        descriptor = os.open(image, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"{image} is missing", hint="`skinnybox master verify`") from error
    try:
        return _found(_Image(image, descriptor), version, names, needed, scratch)
    finally:
        os.close(descriptor)


def _found(image: "_Image", version: str, names: Sequence[str], needed: str, scratch: Path) -> Found:
    place, files, fixed = image.listed(version)
    paths = by_name(files, place)
    if needed not in paths and needed not in fixed:
        raise Unsupported(
            f"the kernel {version} of the master has no {needed}: nothing of its machines can be encrypted",
            hint="a master with another kernel, as of linux-image-amd64",
        )
    here, wanted = dict[str, str](), [name for name in names if name in paths]
    found: Found = {}
    while wanted:
        image.fetch([paths[name] for name in wanted], scratch)
        here |= {name: paths[name] for name in wanted}
        found = taken(scratch, names, here)
        needs = dict.fromkeys(each for _, more in found.values() for each in more)
        wanted = [each for each in needs if each in paths and each not in here]
    return found


class _Image:
    """An image that is open, and asked by confined processes."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def listed(self, version: str) -> tuple[str, list[str], set[str]]:
        """The folder of that kernel's modules, its files, and what is built in."""
        with inquire(_READER, self._words("list", version), **self._how()) as answers:
            values = list(answers)
        if not values or not all(type(value) is str and len(value) <= _LONGEST for value in values):
            raise Corrupt(f"{self._path}: its reader gave no proper answer")
        place, *files = values
        text = self._read([f"{place}/modules.builtin"])[0] if f"{place}/modules.builtin" in files else b""
        return place, files, built_in(text[:MOST_TEXT])

    def fetch(self, paths: Sequence[str], folder: Path) -> None:
        """Put these files into a folder of ours, below the same names."""
        for path, data in zip(paths, self._read(paths), strict=True):
            file = folder / path
            if not file.resolve().is_relative_to(folder.resolve()):
                raise Corrupt(f"{self._path}: its reader gave no proper answer")
            private.make_folder(file.parent)
            file.write_bytes(data)

    def _read(self, paths: Sequence[str]) -> list[bytes]:
        with stream(_READER, self._words("read", *paths), **self._how()) as pieces:
            text = b"".join(pieces)
        found, at = list[bytes](), 0
        while at + _LENGTH.size <= len(text):
            (length,) = _LENGTH.unpack_from(text, at)
            at += _LENGTH.size + length
            found.append(text[at - length : at])
        if at != len(text) or len(found) != len(paths):
            raise Corrupt(f"{self._path}: its reader gave no proper answer")
        return found

    def _words(self, *words: str) -> list[str]:
        return [str(self._descriptor), *words]

    def _how(self) -> dict[str, Any]:
        return {"subject": str(self._path), "bounds": _BOUNDS, "pass_fds": [self._descriptor]}


def main(arguments: Sequence[str]) -> None:
    """In the confined child."""
    from skinnybox.sandbox.reader import answer

    descriptor, what, *rest = arguments
    if what == "list":
        answer(_listing(int(descriptor), rest[0]))
        return
    try:
        source = opened(int(descriptor))
        for path in rest:
            data = source.read(path, LARGEST) or b""
            sys.stdout.buffer.write(_LENGTH.pack(len(data)) + data)
        sys.stdout.buffer.flush()
    except (SkinnyboxError, MemoryError) as error:
        complain(error)


def _listing(descriptor: int, version: str) -> Iterator[str]:
    source = opened(descriptor)
    place = next((f"{each}/{version}" for each in MODULES if source.names(f"{each}/{version}")), MODULES[0])
    yield place
    for count, path in enumerate(_walked(source, place, _DEEPEST)):
        if count >= MOST_FILES:
            raise Unsupported(f"/{place} of the image has more than {MOST_FILES} files")
        if len(path) <= _LONGEST:
            yield path


def _walked(source: Source, folder: str, deeper: int) -> Iterator[str]:
    """What has nothing in it counts as a file: who reads it finds out."""
    for name in source.names(folder):
        path = f"{folder}/{name}"
        yield path
        if deeper and "." not in name:
            yield from _walked(source, path, deeper - 1)
