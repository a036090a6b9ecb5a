"""What the head of an ELF file says about who may load it and what it loads, as ld.so reads it: elf(5).

Read in small parts, since a master has thousands of such files. The bytes may be a stranger's: all that is
read of one file is bounded, and what makes no sense is no ELF file.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

Part = Callable[[int, int], bytes]
"""So many bytes from an offset on, or fewer at the end."""
_WINDOW, _MOST_WINDOWS = 1 << 14, 256
_MOST_HEADERS, _MOST_TAGS, _MOST_NAMED, _LONGEST = 512, 4096, 4096, 4096
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS, _SONAME, _RPATH, _RUNPATH, _FLAGS = 1, 5, 14, 15, 29, 0x6FFFFFFB
_DEFINED, _DEFINED_COUNT, _WANTED, _WANTED_COUNT = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_NO_DEFAULT_FOLDERS, _WEAK = 0x800, 2
MAGIC = b"\x7fELF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """`kind` is what a library must have in common with who loads it: bits, byte order and processor. Paths
    are as they stand there, with $ORIGIN. `wanted` are (library, version), without those that may be missing;
    `defined` are the versions it has, None where it has no such list, and then any is taken for there."""

    kind: tuple[int, int, int]
    interpreter: str | None = None
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: str | None = None
    runpath: str | None = None
    default_folders: bool = True
    wanted: tuple[tuple[str, str], ...] = ()
    defined: frozenset[str] | None = None

    @property
    def machine(self) -> int:
        return self.kind[2]


def read(part: Part) -> Elf | None:
    """None for what is no ELF file. Raises what `part` does."""
    if part(0, 4) != MAGIC:
        return None
    try:
        return _Reading(part).elf()
    except (struct.error, ValueError, IndexError):
        return None


class _Reading:
    def __init__(self, part: Part) -> None:
        self._part = part
        self._window = lru_cache(maxsize=32)(self._fetch)
        self._fetched = 0
        head = self._bytes(0, 64)
        bits, order = head[4], head[5]
        if bits not in (1, 2) or order not in (1, 2):
            raise ValueError("of no known kind")
        self._wide, self._order = bits == 2, "<" if order == 1 else ">"
        self._kind = (bits, order, self._unpacked("H", 18)[0])
        self._headers = list(self._program_headers())

    def elf(self) -> Elf:
        places = [(at, size) for kind, at, _, size in self._headers if kind == _INTERPRETER]
        interpreter = self._bytes(*places[0]).rstrip(b"\0") if places else None
        tags = list(self._tags())
        first = dict(reversed(tags))
        strings = self._offset(first[_STRINGS]) if _STRINGS in first else None

        def text(tag: int) -> str | None:
            return self._text(strings, first[tag]) if tag in first else None

        return Elf(
            kind=self._kind,
            interpreter=None if interpreter is None else _decoded(interpreter),
            soname=text(_SONAME),
            needed=tuple(self._text(strings, value) for tag, value in tags if tag == _NEEDED),
            rpath=text(_RPATH),
            runpath=text(_RUNPATH),
            default_folders=not first.get(_FLAGS, 0) & _NO_DEFAULT_FOLDERS,
            wanted=tuple(self._wanted(strings, first)),
            defined=frozenset(self._defined(strings, first)) if _DEFINED in first else None,
        )

    def _program_headers(self) -> Iterator[tuple[int, int, int, int]]:
        """Kind, offset in the file, address, bytes in the file."""
        (at,) = self._unpacked("Q", 32) if self._wide else self._unpacked("I", 28)
        size, count = self._unpacked("HH", 54 if self._wide else 42)
        for number in range(min(count, _MOST_HEADERS)):
            form = "I4xQQ8xQ" if self._wide else "IIIxxxxI"
            yield self._four(form, at + number * size)

    def _four(self, form: str, at: int) -> tuple[int, int, int, int]:
        kind, offset, address, size = self._unpacked(form, at)
        return kind, offset, address, size

    def _tags(self) -> Iterator[tuple[int, int]]:
        """Of the dynamic section, up to its end."""
        place = next((header for header in self._headers if header[0] == _DYNAMIC), None)
        if place is None:
            return
        form, width = ("QQ", 16) if self._wide else ("II", 8)
        for number in range(min(place[3] // width, _MOST_TAGS)):
            tag, value = self._unpacked(form, place[1] + number * width)
            if tag == 0:
                return
            yield tag, value

    def _wanted(self, strings: int | None, tags: dict[int, int]) -> Iterator[tuple[str, str]]:
        """The kernel's word for it is verneed: for each library the versions that it must have."""
        at = self._offset(tags[_WANTED]) if _WANTED in tags else 0
        for _ in range(min(tags.get(_WANTED_COUNT, 0), _MOST_NAMED) if at else 0):
            _, count, library, first, following = self._unpacked("HHIII", at)
            inner = at + first
            for _ in range(min(count, _MOST_NAMED)):
                _, flags, _, name, further = self._unpacked("IHHII", inner)
                if not flags & _WEAK:
                    yield self._text(strings, library), self._text(strings, name)
                if not further:
                    break
                inner += further
            if not following:
                return
            at += following

    def _defined(self, strings: int | None, tags: dict[int, int]) -> Iterator[str]:
        at = self._offset(tags[_DEFINED])
        for _ in range(min(tags.get(_DEFINED_COUNT, 0), _MOST_NAMED)):
            first, following = self._unpacked("II", at + 12)
            (name,) = self._unpacked("I", at + first)
            yield self._text(strings, name)
            if not following:
                return
            at += following

    def _offset(self, address: int) -> int:
        """Where in the file lies what is loaded to that address."""
        for kind, offset, start, size in self._headers:
            if kind == _LOAD and start <= address < start + size:
                return offset + address - start
        raise ValueError("an address that nothing is loaded to")

    def _text(self, strings: int | None, at: int) -> str:
        if strings is None:
            raise ValueError("no strings")
        found = b""
        while b"\0" not in found:
            piece = self._bytes(strings + at + len(found), 64, short=True)
            if not piece or len(found) > _LONGEST:
                raise ValueError("a string without an end")
            found += piece
        return _decoded(found.partition(b"\0")[0])

    def _unpacked(self, form: str, at: int) -> tuple[int, ...]:
        form = self._order + form
        return struct.unpack(form, self._bytes(at, struct.calcsize(form)))

    def _bytes(self, at: int, size: int, *, short: bool = False) -> bytes:
        if not 0 <= at < 1 << 62 or size > _WINDOW:
            raise ValueError("no place in a file")
        number, start = divmod(at, _WINDOW)
        found = self._window(number)[start : start + size]
        if len(found) < size:
            found += self._window(number + 1)[: size - len(found)]
        if len(found) < size and not short and at:
            raise ValueError("it ends too early")
        return found

    def _fetch(self, number: int) -> bytes:
        self._fetched += 1
        if self._fetched > _MOST_WINDOWS:
            raise ValueError("it leads all over the file")
        return self._part(number * _WINDOW, _WINDOW)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
