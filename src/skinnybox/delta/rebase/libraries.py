"""Whether programs find the libraries that they load, and in those the versions of what they call, as ld.so
would look for them in a tree that is only read: ld.so(8).

Where the families differ (musl's loader), it is looked for in the places of both: what counts is what was
found before and is not any more.
"""

import fnmatch
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Protocol

from skinnybox.masters import elf
from skinnybox.masters.elf import Elf
from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Source

_CONF, _CONF_BYTES, _MOST_INCLUDED = "etc/ld.so.conf", 1 << 16, 200
_DEFAULT = ("lib", "usr/lib")
_WIDE = ("lib64", "usr/lib64")
_MUSL = ("usr/local/lib",)
_PLATFORMS = {62: ("lib64", "x86_64"), 183: ("lib", "aarch64"), 3: ("lib", "i686")}
_MULTIARCH = {62: "x86_64-linux-gnu", 183: "aarch64-linux-gnu", 3: "i386-linux-gnu"}
_ORIGIN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM))")
_MOST_LOADED, _MOST_FOLDERS = 1000, 200
_WORDS = re.compile(r"[\s:,]+")


class Parts(Source, Protocol):
    """A source whose files are read in parts."""

    def part(self, path: str, at: int, length: int) -> bytes | None:
        """Of a regular file; None where there is none. No symlink is followed."""
        ...


@dataclass(frozen=True, slots=True)
class Lack:
    """What is not found: a library, or a version in one (None: the library itself)."""

    library: str
    version: str | None = None

    @property
    def told(self) -> str:
        return self.library if self.version is None else f"{self.version} in {self.library}"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """`path` is where it was found; `by` is what asked for it."""

    path: str
    elf: Elf
    by: "_Loaded | None"


class Libraries:
    """Of one tree. Every method raises what reading the tree does, and ends whatever the files say."""

    def __init__(self, tree: Parts) -> None:
        self._tree = tree
        self._places = Places(tree)
        self._at = lru_cache(maxsize=65536)(self._look)
        self._read = lru_cache(maxsize=16384)(self._parsed)
        self._configured = tuple(islice(self._conf(_CONF, set()), _MOST_FOLDERS))

    def at(self, path: str) -> Elf | None:
        """What lies there, through symlinks; None for no ELF file."""
        return self._at(path.strip("/"))

    def lacks(self, path: str) -> frozenset[Lack]:
        """What the ELF file there would not find, itself or by way of what it loads. Empty for no such
        file."""
        found = self.at(path)
        if found is None:
            return frozenset()
        lacks = set(self._interpreters(found))
        loaded, missing = self._loaded(path, found)
        lacks |= {Lack(name) for name in missing}
        for each in loaded.values():
            lacks |= set(_versions(each.elf, loaded))
        return frozenset(lacks)

    def found(self, path: str) -> dict[str, str | None]:
        """Every library that it loads, by the name it is asked for by, and where that is: as ldd says it."""
        program = self.at(path)
        if program is None:
            return {}
        loaded, missing = self._loaded(path, program)
        places = {each.path: name for name, each in reversed(loaded.items()) if each.by is not None}
        return {**{name: place for place, name in places.items()}, **dict.fromkeys(missing)}

    def _interpreters(self, program: Elf) -> Iterator[Lack]:
        name = program.interpreter
        if name is not None and self.at(name) is None:
            yield Lack(name)

    def _loaded(self, path: str, program: Elf) -> tuple[dict[str, _Loaded], list[str]]:
        """Breadth first, each name once: who asked first decides where it is looked for."""
        first = _Loaded(path, program, None)
        loaded = {path: first}
        missing: dict[str, None] = {}
        ahead = deque([first])
        while ahead and len(loaded) + len(missing) < _MOST_LOADED:
            asking = ahead.popleft()
            for name in asking.elf.needed:
                if name in loaded or name in missing:
                    continue
                found = self._search(name, asking)
                if found is None:
                    missing[name] = None
                    continue
                loaded[name] = found
                ahead.append(found)
                if found.elf.soname is not None:
                    loaded.setdefault(found.elf.soname, found)
        return loaded, list(missing)

    def _search(self, name: str, asking: _Loaded) -> _Loaded | None:
        kind = asking.elf.kind
        if "/" in name:
            path = _expanded(name, asking)
            found = self.at(path)
            return _Loaded(path, found, asking) if found is not None and found.kind == kind else None
        for folder in self._folders(asking):
            path = f"{folder}/{name}"
            found = self.at(path)
            if found is not None and found.kind == kind:
                return _Loaded(path, found, asking)
        return None

    def _folders(self, asking: _Loaded) -> Iterator[str]:
        """In ld.so's order. Its cache holds what is in the configured folders."""
        if asking.elf.runpath is None:
            each: _Loaded | None = asking
            while each is not None:
                if each.elf.runpath is None:
                    yield from _paths(each.elf.rpath, each)
                each = each.by
        yield from _paths(asking.elf.runpath, asking)
        multiarch = _MULTIARCH.get(asking.elf.machine)
        system = [*(f"{folder}/{multiarch}" for folder in _DEFAULT if multiarch), *_WIDE, *_DEFAULT, *_MUSL]
        default = asking.elf.default_folders
        yield from (folder for folder in self._configured if default or folder not in system)
        if default:
            yield from system

    def _look(self, path: str) -> Elf | None:
        return self._read(self._places.of(f"{path}/."[:8192]).removesuffix("/."))

    def _parsed(self, path: str) -> Elf | None:
        return elf.read(lambda at, length: self._tree.part(path, at, length) or b"")

    def _conf(self, path: str, seen: set[str]) -> Iterator[str]:
        """The folders that it names, and those of what it includes."""
        if path in seen or len(seen) >= _MOST_INCLUDED:
            return
        seen.add(path)
        text = self._tree.read(self._real(path), _CONF_BYTES) or b""
        for line in text.decode("utf-8", "surrogateescape").splitlines():
            words = _WORDS.split(line.partition("#")[0].strip())
            if words[0] == "include":
                for pattern in words[1:]:
                    yield from self._included(pattern, path, seen)
            elif words[0] not in ("", "hwcap"):
                yield from (word.partition("=")[0].strip("/") for word in words)

    def _included(self, pattern: str, path: str, seen: set[str]) -> Iterator[str]:
        if not pattern.startswith("/"):
            pattern = f"{path.rpartition('/')[0]}/{pattern}"
        folder, _, name = pattern.strip("/").rpartition("/")
        folder = self._real(folder)
        for each in fnmatch.filter(self._tree.names(folder), name):
            yield from self._conf(f"{folder}/{each}", seen)

    def _real(self, path: str) -> str:
        return self._places.of(f"{path}/.").removesuffix("/.")


def _versions(asking: Elf, loaded: dict[str, _Loaded]) -> Iterator[Lack]:
    for library, version in asking.wanted:
        found = loaded.get(library)
        if found is not None and found.elf.defined is not None and version not in found.elf.defined:
            yield Lack(library, version)


def _paths(said: str | None, asking: _Loaded) -> Iterator[str]:
    for part in (said or "").split(":")[:_MOST_FOLDERS]:
        if part:
            yield _expanded(part, asking)


def _expanded(path: str, asking: _Loaded) -> str:
    """With what stands for something in it; $ORIGIN is the folder of the file that says it."""
    lib, platform = _PLATFORMS.get(asking.elf.machine, ("lib", ""))
    words = {"ORIGIN": "/" + asking.path.rpartition("/")[0].strip("/"), "LIB": lib, "PLATFORM": platform}
    multiarch = _MULTIARCH.get(asking.elf.machine)
    if multiarch is not None:
        words["LIB"] = f"lib/{multiarch}"
    return _ORIGIN.sub(lambda found: words[found[1] or found[2]], path)[:4096]
