"""Small ELF files, made by hand: one segment, and a dynamic section that says what it is told to."""

import struct
from collections.abc import Callable, Mapping, Sequence

_BASE = 0x1000


def an_elf(
    needed: Sequence[str] = (),
    *,
    soname: str | None = None,
    rpath: str | None = None,
    runpath: str | None = None,
    interpreter: str | None = None,
    wanted: Mapping[str, Sequence[str]] | None = None,
    weak: bool = False,
    defined: Sequence[str] | None = None,
    default_folders: bool = True,
    wide: bool = True,
    order: str = "<",
    machine: int = 62,
) -> bytes:
    """`wanted` are versions by library; `weak` says that all of those may be missing."""
    strings, places = bytearray(b"\0"), dict[str, int]()

    def text(said: str) -> int:
        if said not in places:
            places[said] = len(strings)
            strings.extend(said.encode() + b"\0")
        return places[said]

    tags = [(1, text(name)) for name in needed]
    tags += [
        (tag, text(said)) for tag, said in ((14, soname), (15, rpath), (29, runpath)) if said is not None
    ]
    if not default_folders:
        tags.append((0x6FFFFFFB, 0x800))
    needs = _needs(order, wanted or {}, text, weak=weak)
    definitions = _definitions(order, defined or (), text)
    start = (interpreter or "").encode() + b"\0"
    header, entry = (64, 56) if wide else (52, 32)
    at = header + 3 * entry
    sections = [start, needs, definitions, bytes(strings)]
    offsets = [at + sum(map(len, sections[:number])) for number in range(len(sections) + 1)]
    tags.append((5, _BASE + offsets[3]))
    if wanted:
        tags += [(0x6FFFFFFE, _BASE + offsets[1]), (0x6FFFFFFF, len(wanted))]
    if defined is not None:
        tags += [(0x6FFFFFFC, _BASE + offsets[2]), (0x6FFFFFFD, len(defined))]
    dynamic = b"".join(struct.pack(order + ("QQ" if wide else "II"), *tag) for tag in [*tags, (0, 0)])
    size = offsets[4] + len(dynamic)
    heads = [(1, 0, size), (2, offsets[4], len(dynamic))]
    heads.append((3, offsets[0], len(start)) if interpreter is not None else (0, 0, 0))
    form = "IIQQQQQQ" if wide else "IIIIIIII"
    table = b"".join(
        struct.pack(order + form, kind, 5, at, _BASE + at, 0, length, length, 1)
        if wide
        else struct.pack(order + form, kind, at, _BASE + at, 0, length, length, 5, 1)
        for kind, at, length in heads
    )
    identity = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]).ljust(12, b"\0")
    words = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    head = struct.pack(order + words, 3, machine, 1, 0, header, 0, 0, header, entry, len(heads), 0, 0, 0)
    return identity + head + table + b"".join(sections) + dynamic


def _needs(
    order: str, wanted: Mapping[str, Sequence[str]], text: Callable[[str], int], *, weak: bool
) -> bytes:
    found = b""
    for number, (library, versions) in enumerate(wanted.items()):
        size = 16 + 16 * len(versions)
        following = size if number + 1 < len(wanted) else 0
        found += struct.pack(order + "HHIII", 1, len(versions), text(library), 16, following)
        for place, version in enumerate(versions):
            further = 16 if place + 1 < len(versions) else 0
            found += struct.pack(order + "IHHII", 0, 2 if weak else 0, 2, text(version), further)
    return found


def _definitions(order: str, defined: Sequence[str], text: Callable[[str], int]) -> bytes:
    found = b""
    for number, version in enumerate(defined):
        following = 28 if number + 1 < len(defined) else 0
        found += struct.pack(order + "HHHHIII", 1, 0, number + 1, 1, 0, 20, following)
        found += struct.pack(order + "II", text(version), 0)
    return found
