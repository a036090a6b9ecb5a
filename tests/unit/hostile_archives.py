"""Archives that are made to hurt who reads them: whole ones, altered, with an index and an end that fit again
where somebody would see to that."""

import hashlib
import json
import os
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from skinnybox.delta.archive.form import END, INDEX, MANIFEST, xattrs_sum
from skinnybox.delta.archive.manifest import End, end_text
from skinnybox.masters import pax
from skinnybox.masters.archives.incoming import Incoming
from skinnybox.masters.archives.members import members


@dataclass
class Part:
    """A member: its headers, and its content without what fills its last block."""

    name: bytes
    headers: bytes
    content: bytes

    def raw(self) -> bytes:
        return self.headers + self.content + bytes(-len(self.content) % 512)


@dataclass
class Parts:
    """`honest`: its end is made to fit."""

    parts: list[Part] = field(default_factory=list)
    honest: bool = True
    tail: bytes = bytes(1024)

    def named(self, name: bytes) -> Part:
        return next(part for part in self.parts if part.name == name)

    def tar(self) -> bytes:
        found = b""
        for part in self.parts:
            if part.name == END and self.honest:
                count = sum(each.name != END for each in self.parts)
                digest = hashlib.sha256(found).hexdigest()
                text = end_text(End(members=max(count, 1), digest=digest))
                part = Part(END, member(END, size=len(text)), text)
            found += part.raw()
        return found + self.tail

    def lines(self) -> list[list[Any]]:
        return [json.loads(line) for line in self.named(INDEX).content.splitlines()]

    def put_lines(self, lines: list[list[Any]]) -> None:
        text = b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)
        self.parts[self.parts.index(self.named(INDEX))] = Part(INDEX, member(INDEX, size=len(text)), text)


def member(name: bytes, kind: bytes = b"0", size: int = 0, **more: Any) -> bytes:
    given: dict[str, Any] = {"mode": 0o600, "owner": (0, 0), "mtime_ns": 0, "records": [], **more}
    return pax.member(kind, name, size=size, **given)


def parts_of(tar: bytes) -> Parts:
    """Taken apart with the reader itself, which is asked of what is whole."""
    found = Parts()
    with tempfile.TemporaryFile() as file:
        file.write(tar)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        incoming = Incoming(file.fileno())
        for each in members(incoming):
            found.parts.append(Part(each.name, each.headers, incoming.exactly(each.stored)))
    return found


Mutation = Callable[[Parts, random.Random], None]


def _tree(parts: Parts, chance: random.Random) -> int:
    """The place of a member of a tree."""
    return chance.randrange(1, len(parts.parts) - 2)


def flip(parts: Parts, chance: random.Random) -> None:
    part = chance.choice(parts.parts)
    raw = bytearray(part.headers + part.content)
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    part.headers, part.content = bytes(raw[: len(part.headers)]), bytes(raw[len(part.headers) :])


def flip_content(parts: Parts, chance: random.Random) -> None:
    part = chance.choice([part for part in parts.parts if part.content])
    raw = bytearray(part.content)
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    part.content = bytes(raw)


def swap(parts: Parts, chance: random.Random) -> None:
    one, other = _tree(parts, chance), _tree(parts, chance)
    parts.parts[one], parts.parts[other] = parts.parts[other], parts.parts[one]


def swap_ours(parts: Parts, chance: random.Random) -> None:
    one, other = (chance.randrange(len(parts.parts)) for _ in "12")
    parts.parts[one], parts.parts[other] = parts.parts[other], parts.parts[one]


def twice(parts: Parts, chance: random.Random) -> None:
    at = chance.randrange(len(parts.parts))
    parts.parts.insert(chance.randrange(at, len(parts.parts)), parts.parts[at])


def without(parts: Parts, chance: random.Random) -> None:
    del parts.parts[chance.randrange(len(parts.parts))]


def cut(parts: Parts, chance: random.Random) -> None:
    whole = parts.tar()
    parts.parts, parts.tail = [], whole[: chance.randrange(len(whole))]


NAMES = [
    b"overlay/../etc/passwd", b"/etc/passwd", b"overlay//etc/x", b"overlay/./x", b"..", b"overlay/srv/..",
    b"skinnybox/seed", b"work/x", b"overlay", b"overlay/" + b"x" * 300, b"overlay/" + b"a/" * 3000 + b"x",
    b"data/x", b"direct/x", b"overlay/etc/hosts/below", b"overlay/srv/link/below", b"overlay/x\0y", b"",
    b"overlay/<2>", b'overlay/"', b"overlay/\n", b"overlay/etc", b"overlay/zzz", b"\xff/x", b"./overlay/etc",
]  # fmt: skip


def name(parts: Parts, chance: random.Random) -> None:
    part = parts.parts[_tree(parts, chance)]
    new = chance.choice(NAMES)
    part.headers = member(
        new,
        size=len(part.content),
        kind=chance.choice([b"0", b"0", b"5", b"1", b"2"]),
        target=chance.choice([b"", b"/etc/passwd", b"overlay/etc/hosts", b"overlay/../x"]),
    )
    if chance.random() < 0.7:
        _name_line(parts, part.name, new)


def _name_line(parts: Parts, old: bytes, new: bytes) -> None:
    lines = parts.lines()
    for line in lines:
        if f"{line[0]}/{line[1]}" == old.rstrip(b"/").decode("utf-8", "surrogateescape"):
            tree, _, path = new.decode("utf-8", "surrogateescape").partition("/")
            line[:2] = [tree, path]
    parts.put_lines(lines)


def link(parts: Parts, chance: random.Random) -> None:
    part = parts.parts[_tree(parts, chance)]
    target = chance.choice([
        b"overlay/nowhere", part.name, b"overlay", b"overlay/etc", b"data/x", b"/etc/passwd",
        b"overlay/../../x", b"overlay/etc/hosts", b"", b"overlay/srv/link",
    ])  # fmt: skip
    part.headers, part.content = member(part.name, kind=b"1", target=target), b""
    _alter_line(parts, part.name, 9, _text(target.partition(b"/")[2]))


def size(parts: Parts, chance: random.Random) -> None:
    """What it says is not what comes."""
    part = chance.choice(parts.parts)
    said = chance.choice([0, 1, 511, 512, len(part.content) + chance.choice([-1, 1, 512]), 1 << 33, 1 << 62])
    part.headers = member(part.name, size=max(said, 0), records=chance.choice([[], [(b"size", b"5")]]))


def sparse(parts: Parts, chance: random.Random) -> None:
    part = chance.choice([part for part in parts.parts[1:-2] if not part.name.endswith(b"/")])
    real = chance.choice([0, 1, 4096, 1 << 40, 1 << 62, 1 << 64])
    table = chance.choice([
        b"1\n0\n%d\n" % len(part.content), b"2\n4096\n1\n0\n1\n", b"0\n", b"99999999999\n", b"x\n", b"",
        b"1\n%d\n%d\n" % (real, len(part.content)), b"1048577\n", b"1\n-1\n1\n", b"3\n0\n1\n0\n1\n0\n1\n",
    ])  # fmt: skip
    table += bytes(-len(table) % 512)
    records = [
        (b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", part.name),
        (b"GNU.sparse.realsize", b"%d" % real),
    ]  # fmt: skip
    part.content = table + part.content
    part.headers = member(part.name, size=len(part.content), records=records)


def attributes(parts: Parts, chance: random.Random) -> None:
    part = parts.parts[_tree(parts, chance)]
    names = [
        b"trusted.overlay.redirect", b"trusted.overlay.metacopy", b"trusted.overlay.origin", b"user.x", b"",
        b"system.data", b"system.posix_acl_access", b"\xff", b"user." + b"y" * 250, b"trusted.overlay.opaque",
    ]  # fmt: skip
    value = chance.choice([b"", b"y", b"x" * 65_536, b"/etc", b"z" * 4000, b'\0\n"', b"x" * (1 << 18)])
    called = chance.choice(names)
    records = [(b"SCHILY.xattr." + called, value)]
    kind = part.headers[-512 + 156 : -512 + 157]
    part.headers = member(part.name, size=len(part.content), records=records, kind=kind)
    if chance.random() < 0.7:
        _alter_line(parts, part.name, 11, xattrs_sum({_text(called): value}))


def _alter_line(parts: Parts, name: bytes, at: int, value: Any) -> None:
    """What the index says of a member, to fit."""
    lines = parts.lines()
    for line in lines:
        if f"{line[0]}/{line[1]}".rstrip("/") == _text(name.rstrip(b"/")):
            line[at] = value
    parts.put_lines(lines)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


VALUES: list[Any] = [
    None, "", "x", "overlay", -1, 0, 1, 4095, 1 << 31, 1 << 63, 1 << 64, 1.5, [], {}, [1, 2], True, "\udcff",
    "a/b", "..", "\0", "0" * 64, "x" * 5000, "c", "d", "s", "l", "-",
]  # fmt: skip


def line(parts: Parts, chance: random.Random) -> None:
    """One value of the index."""
    lines = parts.lines()
    each = chance.choice(lines)
    each[chance.randrange(len(each))] = chance.choice(VALUES)
    parts.put_lines(lines)


def lines(parts: Parts, chance: random.Random) -> None:
    """The index as a whole."""
    found = parts.lines()
    at, other = chance.randrange(len(found)), chance.randrange(len(found))
    match chance.randrange(5):
        case 0:
            del found[at]
        case 1:
            found.insert(at, found[other])
        case 2:
            found[at], found[other] = found[other], found[at]
        case 3:
            found = []
        case 4:
            found[at] = found[at][: chance.randrange(len(found[at]))]
    parts.put_lines(found)


def text(parts: Parts, chance: random.Random) -> None:
    """Bytes in place of what we write."""
    part = parts.named(chance.choice([MANIFEST, INDEX]))
    part.content = chance.choice([
        b"", b"{}", b"[]", b"null", b"[" * 100_000, b"\xff\n", b"x" * (1 << 18), b'{"format": 2}',
        b'{"format": 1}', part.content + b"x", part.content[:-1],
    ])  # fmt: skip
    part.headers = member(part.name, size=len(part.content))


def headers(parts: Parts, chance: random.Random) -> None:
    """Extended ones, before any member."""
    records = chance.choice([
        [(b"path", b"overlay/../x")], [(b"linkpath", b"/etc")], [(b"size", b"99999999999999999999")],
        [(b"size", b"-1")], [(b"hdrcharset", b"\xff")], [(b"GNU.sparse.map", b"0,1,2")], [(b"mtime", b"x")],
        [(b"comment", b"x" * (1 << 20))],
    ])  # fmt: skip
    body = b"".join(pax._record(key, value) for key, value in records)
    kind = chance.choice([b"x", b"g", b"L", b"K"])
    head = member(b"x", size=len(body), kind=kind) + body + bytes(-len(body) % 512)
    part = chance.choice(parts.parts)
    part.headers = head + part.headers


def behind(parts: Parts, chance: random.Random) -> None:
    parts.tail = chance.choice([b"", bytes(512), bytes(1024) + b"x", bytes(1 << 16), b"x" * 512])


def kind(parts: Parts, chance: random.Random) -> None:
    part = parts.parts[_tree(parts, chance)]
    part.headers = member(
        part.name, size=len(part.content), kind=chance.choice([b"%c" % c for c in b"0123456789DMSVX"])
    )


MUTATIONS: list[Mutation] = [
    flip, flip_content, swap, swap_ours, twice, without, cut, name, link, size, sparse, attributes, line,
    lines, text, headers, behind, kind,
]  # fmt: skip


def mutated(tar: bytes, seed: int) -> bytes:
    """One to three alterations, most of them told in its end as if they had always been there."""
    chance = random.Random(seed)
    parts = parts_of(tar)
    parts.honest = chance.random() < 0.8
    for mutation in chance.choices(MUTATIONS, k=chance.choice([1, 1, 2, 3])):
        try:
            mutation(parts, chance)
        except (StopIteration, IndexError, ValueError, KeyError, TypeError):  # nothing is left of that
            continue
    return parts.tar()
