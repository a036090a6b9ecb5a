"""The members of a tar, as far as it takes to know what it holds and whether all of it is there.

Only in a confined process. GNU tar and Python's tarfile both take a tar that ends between two members for
whole; so the blocks of zeros at its end are asked for here, and what has none was cut off.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.masters.archives.incoming import Incoming

BLOCK = 512
_EXTENDED, _FOR_ALL, _LONG_NAME, _LONG_LINK = b"x", b"g", b"L", b"K"
_WITHOUT_CONTENT = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
_FILES = frozenset((b"0", b"\0", b"7", b"S"))
_MOST_WORDS = 8 << 20
"""Bytes of one extended header: names, attributes. Linux has 64 KiB of each attribute."""
_MOST_RUNS = 1 << 20

Record = tuple[bytes, bytes]
Run = tuple[int, int]


@dataclass(slots=True, kw_only=True)
class Member:
    """`name` and `target` as the archive has them, `headers` all the blocks before its content, of which
    `stored` bytes follow. `size` is the file's own, which has holes when `runs` tells what it holds."""

    name: bytes
    kind: bytes
    target: bytes
    stored: int
    size: int
    headers: bytes
    records: list[Record]
    runs: list[Run] | None = None
    map_first: bool = False

    @property
    def is_file(self) -> bool:
        return self.kind in _FILES and not self.name.endswith(b"/")

    @property
    def is_folder(self) -> bool:
        return self.kind == b"5" or (self.kind in _FILES and self.name.endswith(b"/"))

    @property
    def parts(self) -> list[bytes]:
        """Of its path, without what says nothing."""
        return [part for part in self.name.split(b"/") if part not in (b"", b".")]


@dataclass(slots=True)
class _Words:
    """What was said before a header, for it or for all."""

    raw: bytes = b""
    records: tuple[Record, ...] = ()
    name: bytes | None = None
    target: bytes | None = None

    def last(self, *keys: bytes) -> bytes | None:
        return next((value for key, value in reversed(self.records) if key in keys), None)


def members(incoming: Incoming) -> Iterator[Member]:
    """Each, and what the caller does not read of its content is passed over. Corrupt for a tar that is
    damaged or cut off. The archive's own end is read, and not what is behind it."""
    for_all: tuple[Record, ...] = ()
    words = _Words()
    while True:
        raw = incoming.exactly(BLOCK)
        if not any(raw):
            if words.raw:
                raise Corrupt("it ends behind an extended header")
            return
        kind, size = raw[156:157], _checked(raw, incoming.at)
        if kind in (_EXTENDED, _FOR_ALL, _LONG_NAME, _LONG_LINK):
            content = _content(incoming, size)
            words.raw += raw + content
            for_all = _said(words, kind, content[:size], for_all)
            continue
        member = _member(
            incoming, raw, kind, size, _Words(words.raw, for_all + words.records, words.name, words.target)
        )
        words = _Words()
        end = incoming.at + _padded(member.stored)
        yield member
        incoming.skip(end - incoming.at)


def _said(words: _Words, kind: bytes, content: bytes, for_all: tuple[Record, ...]) -> tuple[Record, ...]:
    if kind == _LONG_NAME:
        words.name = content.split(b"\0")[0]
    elif kind == _LONG_LINK:
        words.target = content.split(b"\0")[0]
    elif kind == _FOR_ALL:
        return for_all + tuple(_records(content))
    else:
        words.records += tuple(_records(content))
    return for_all


def _member(incoming: Incoming, raw: bytes, kind: bytes, size: int, words: _Words) -> Member:
    told = words.last(b"size")
    stored = 0 if kind in _WITHOUT_CONTENT else size if told is None else _decimal(told)
    target = words.last(b"linkpath") or words.target or raw[157:257].split(b"\0")[0]
    member = Member(
        name=words.last(b"GNU.sparse.name") or words.last(b"path") or words.name or _name(raw),
        kind=kind, target=target, stored=stored, size=stored, headers=words.raw + raw,
        records=list(words.records),
    )  # fmt: skip
    if kind == b"S":
        _old_sparse(incoming, raw, member)
    elif real := words.last(b"GNU.sparse.realsize", b"GNU.sparse.size"):
        member.size = _decimal(real)
        member.map_first = words.last(b"GNU.sparse.major") == b"1"
        member.runs = None if member.map_first else _runs_in(words)
    return member


def map_of(incoming: Incoming, member: Member) -> tuple[list[Run], int]:
    """(what a file of GNU's format 1.0 holds, bytes of the table before it); its content comes next."""
    table, lines, count = bytearray(), 0, 0
    while not lines or lines < 1 + 2 * count:
        if len(table) >= min(member.stored, _MOST_RUNS * 16):
            raise Corrupt("the map of a sparse file has no end")
        table += incoming.exactly(BLOCK)
        lines = table.count(b"\n") if not lines else lines + table.count(b"\n", len(table) - BLOCK)
        count = count or (_decimal(bytes(table.partition(b"\n")[0])) if lines else 0)
        if count > _MOST_RUNS:
            raise Corrupt("the map of a sparse file makes no sense")
    numbers = [_decimal(word) for word in bytes(table).split(b"\n")[1 : 1 + 2 * count]]
    return list(zip(numbers[::2], numbers[1::2], strict=True)), len(table)


def _old_sparse(incoming: Incoming, raw: bytes, member: Member) -> None:
    """The map of GNU's first format: four runs in the header, and more in blocks behind it."""
    member.size = _number(raw[483:495])
    runs, more, place = _pairs(raw[386:482]), raw[482], raw
    while more:
        place = incoming.exactly(BLOCK)
        member.headers += place
        runs += _pairs(place[:504])
        more = place[504]
        if len(runs) > _MOST_RUNS:
            raise Corrupt("the map of a sparse file makes no sense")
    member.runs = runs


def _pairs(raw: bytes) -> list[Run]:
    pairs = [(raw[at : at + 12], raw[at + 12 : at + 24]) for at in range(0, len(raw) - 23, 24)]
    return [(_number(offset), _number(length)) for offset, length in pairs if any(offset)]


def _runs_in(words: _Words) -> list[Run]:
    told = words.last(b"GNU.sparse.map")
    if told is not None:
        numbers = [_decimal(word) for word in told.split(b",") if word]
    else:
        keys = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
        numbers = [_decimal(value) for key, value in words.records if key in keys]
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def _content(incoming: Incoming, size: int) -> bytes:
    if size > _MOST_WORDS:
        raise Unsupported(
            f"an extended header of {size} bytes is not supported", hint="make the tar with GNU tar"
        )
    return incoming.exactly(_padded(size))


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _checked(raw: bytes, at: int) -> int:
    """The size it tells; Corrupt when this is no header."""
    body = raw[:148] + b" " * 8 + raw[156:]
    signed = sum(body) - 256 * sum(1 for byte in body if byte > 127)
    if _number(raw[148:156]) not in (sum(body), signed):
        raise Corrupt(f"it is damaged: at byte {at - BLOCK} there is no header")
    return _number(raw[124:136])


def is_header(raw: bytes) -> bool:
    """Whether a tar may begin with this."""
    try:
        return len(raw) >= BLOCK and any(raw[:BLOCK]) and _checked(raw[:BLOCK], BLOCK) >= 0
    except Corrupt:
        return False


def _number(raw: bytes) -> int:
    if raw[0] & 0x80:
        if raw[0] != 0x80:
            raise Corrupt("it is damaged: a size below zero")
        return int.from_bytes(raw[1:], "big")
    try:
        return int(raw.split(b"\0")[0].strip() or b"0", 8)
    except ValueError as error:
        raise Corrupt("it is damaged: a header without numbers") from error


def _decimal(raw: bytes) -> int:
    if not raw.isdigit() or len(raw) > 20:
        raise Corrupt("it is damaged: a size that is no number")
    return int(raw)


def _name(raw: bytes) -> bytes:
    name = raw[:100].split(b"\0")[0]
    prefix = raw[345:500].split(b"\0")[0] if raw[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _records(content: bytes) -> Iterator[Record]:
    """`LENGTH KEY=VALUE\\n` each, where LENGTH counts itself too."""
    while content.strip(b"\0"):
        length, _, _ = content.partition(b" ")
        if not length.isdigit() or len(length) > 9 or not len(length) + 3 <= int(length) <= len(content):
            raise Corrupt("it is damaged: an extended header that makes no sense")
        record, content = content[: int(length)], content[int(length) :]
        key, _, value = record[len(length) + 1 : -1].partition(b"=")
        yield key, value
