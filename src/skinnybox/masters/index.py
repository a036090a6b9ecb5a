"""The index of a sealed tree: every path with its metadata and the digest of its content.

Changes, rebase and verification read it instead of the image. It lies beside the image as gzip'd JSON lines:

    {"path":"etc/hostname","type":"-","mode":420,"uid":0,"gid":0,"mtime":1767225600000000000,"size":3,"digest":"sha256:..."}

in canonical order: by the raw bytes of the path's components, parents first. Bytes that are not UTF-8 are
written as lone surrogates (PEP 383). Absent means: no content, no target, no device, no xattr, no link.
"""

import base64
import gzip
import hashlib
import itertools
import json
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from skinnybox import named_file
from skinnybox.errors import Corrupt, UsageError
from skinnybox.masters.survey import HardLinks, Survey, survey, walk
from skinnybox.operation import Operation
from skinnybox.values import dataclass

_LETTERS = {
    stat.S_IFDIR: "d", stat.S_IFREG: "-", stat.S_IFLNK: "l", stat.S_IFIFO: "p",
    stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFSOCK: "s",
}  # fmt: skip
_XATTRS = ("user.", "trusted.", "security.", "system.posix_acl_")
_BLOCK = 1 << 20
LONGEST_LINE = 1 << 20
_STEP = 512
_PATH = re.compile(rb'\{"path":"([^"\\]*)","type":"(.)"')
_TIME = re.compile(rb',"mtime":\d+')
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name of a tree. `path` has no leading slash, the root is b""; `mode` is the permission bits with
    setuid, setgid and sticky; `size` is bytes of content (of the target for a symlink, 0 for all but files
    and symlinks); `digest` is a regular file's content. `link` is the first path of the hard-link group, on
    every name of a group that has several, the first included."""

    path: bytes
    type: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    rdev: int = 0
    digest: str | None = None
    target: bytes | None = None
    xattrs: tuple[tuple[str, bytes], ...] = ()
    link: bytes | None = None


def scan(tree: Path, operation: Operation, known: Survey | None = None) -> Iterator[Entry]:
    """Every entry in canonical order, content hashed, no symlink followed. `known` saves a second survey."""
    found = known or survey(tree)
    for number, (path, info) in enumerate(walk(os.fsencode(tree))):
        if number % _STEP == 0:
            operation.step(task="index", done=number, total=found.entries, unit="files")
        yield _entry(os.fsencode(tree), path, info, found.group(info))
    operation.step(task="index", done=found.entries, total=found.entries, unit="files")


def write_index(entries: Iterable[Entry], file: Path) -> None:
    """Deterministic: the same entries give the same bytes (for one version of zlib)."""
    with file.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as out:
        for batch in _batches(entries, 256):
            out.write(b"".join(encoded(entry) for entry in batch))


def read_index(file: Path | BinaryIO) -> Iterator[Entry]:
    """From a path or an open file. Raises Corrupt, naming it, for what write_index does not write."""
    for number, line in enumerate(_lines(file), start=1):
        yield _entry_of(file, line, f", line {number}")


class Line:
    """An entry that is parsed when it is asked for: most of an index nobody asks about."""

    __slots__ = ("_found", "_source", "path", "raw")

    def __init__(self, source: Path | BinaryIO, raw: bytes) -> None:
        """Raises Corrupt where it has no path."""
        self._source = source
        self._found: Entry | None = None
        self.raw = raw
        self.path = self._plain_path() or self.entry().path

    def entry(self) -> Entry:
        if self._found is None:
            self._found = _entry_of(self._source, self.raw)
        return self._found

    def is_folder(self) -> bool:
        """As its entry says; for most lines without parsing it."""
        found = _PATH.match(self.raw)
        return found[2] == b"d" if found else self.entry().type == "d"

    def same(self, other: "Line") -> bool:
        """Whether they differ in no byte but the time's: then both say the same of one path."""
        return self.raw == other.raw or _TIME.sub(b"", self.raw) == _TIME.sub(b"", other.raw)

    def _plain_path(self) -> bytes:
        """That of a line as write_index makes it, where it has no letter that JSON escapes."""
        found = _PATH.match(self.raw)
        return found[1] if found else b""


def read_lines(file: Path | BinaryIO) -> Iterator[Line]:
    """As read_index, in a tenth of the time where few lines are looked at."""
    for raw in _lines(file):
        yield Line(file, raw)


def read_below(
    file: Path | BinaryIO, folder: bytes, attend: Callable[[], None] = lambda: None
) -> Iterator[Entry]:
    """Those below one folder, whose name is plain ASCII, in a third of the time: no other line is parsed.
    `attend` is called all the while, and may raise. Raises Corrupt for the lines that it does parse."""
    start = b'{"path":"' + folder + b"/"
    for batch in _batches(_lines(file), 64):
        attend()
        for line in batch:
            if line.startswith(start):
                yield _entry_of(file, line)


def _entry_of(file: Path | BinaryIO, line: bytes, where: str = "") -> Entry:
    try:
        return _parsed(json.loads(line))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Corrupt(f"{file}{where}: not an index entry ({error})") from error


def content_id(index_file: Path, kernel: Path, initrd: Path, protocol: int) -> str:
    """The master's id: digest over the canonical index, kernel, initrd and the guest protocol it speaks."""
    total = hashlib.sha256(f"skinnybox-content 1\nguest-protocol {protocol}\n".encode())
    total.update(f"kernel {file_digest(kernel)}\ninitrd {file_digest(initrd)}\n".encode())
    for batch in _batches(_lines(index_file), 1024):
        total.update(b"".join(batch))
    return f"sha256:{total.hexdigest()}"


def file_digest(file: Path) -> str:
    with named_file.opened(file) as source:
        return f"sha256:{hashlib.file_digest(source, 'sha256').hexdigest()}"


def _entry(tree: bytes, path: bytes, info: os.stat_result, group: HardLinks | None) -> Entry:
    letter = _LETTERS[stat.S_IFMT(info.st_mode)]
    full = tree + b"/" + path
    if info.st_mtime_ns < 0:
        raise UsageError(f"{os.fsdecode(full)} is dated before 1970", hint="no image keeps that: touch it")
    return Entry(
        path=path,
        type=letter,
        mode=stat.S_IMODE(info.st_mode),
        uid=info.st_uid,
        gid=info.st_gid,
        mtime_ns=info.st_mtime_ns,
        size=info.st_size if letter in "-l" else 0,
        rdev=info.st_rdev if letter in "cb" else 0,
        digest=_content(full, info.st_size, group) if letter == "-" else None,
        target=os.readlink(full) if letter == "l" else None,  # noqa: PTH115 (bytes)
        xattrs=read_xattrs(full),
        link=group.first if group and group.names > 1 else None,
    )


def _content(path: bytes, size: int, group: HardLinks | None) -> str:
    if group is None:
        return _hashed(path, size)
    group.digest = group.digest or _hashed(path, size)
    return group.digest


def _hashed(path: bytes, size: int) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        total, left = hashlib.sha256(), size
        while block := os.read(descriptor, min(_BLOCK, left + 1)):
            total.update(block)
            left -= len(block)
    finally:
        os.close(descriptor)
    if left:
        raise Corrupt(f"{os.fsdecode(path)} changed while it was read", hint="seal a tree nobody writes to")
    return f"sha256:{total.hexdigest()}"


def read_xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    """Those that are kept, by name. Corrupt when one cannot be read."""
    names = os.listxattr(path, follow_symlinks=False)
    if not names:
        return ()
    kept = sorted(name for name in names if name.startswith(_XATTRS))
    try:
        return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in kept)
    except OSError as error:  # the kernel lets nonsense be written as a capability, and refuses to read it
        raise Corrupt(f"{os.fsdecode(path)!r}: an attribute cannot be read: {error.strerror}") from error


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def encoded(entry: Entry) -> bytes:
    """Its line."""
    record: dict[str, Any] = {
        "path": _text(entry.path),
        "type": entry.type,
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": entry.mtime_ns,
    }
    if entry.type in "-l":
        record["size"] = entry.size
    if entry.type in "cb":
        record["rdev"] = entry.rdev
    if entry.digest is not None:
        record["digest"] = entry.digest
    if entry.target is not None:
        record["target"] = _text(entry.target)
    if entry.xattrs:
        record["xattrs"] = {name: base64.b64encode(value).decode() for name, value in entry.xattrs}
    if entry.link is not None:
        record["link"] = _text(entry.link)
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def _lines(file: Path | BinaryIO) -> Iterator[bytes]:
    try:
        with gzip.open(file, "rb") as source:
            while line := source.readline(LONGEST_LINE):
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise Corrupt(f"{file} cannot be read: {error}") from error


def _parsed(record: dict[str, Any]) -> Entry:
    xattrs = record.get("xattrs", {})
    return Entry(
        path=_raw(record["path"]),
        type=record["type"],
        mode=record["mode"],
        uid=record["uid"],
        gid=record["gid"],
        mtime_ns=record["mtime"],
        size=record.get("size", 0),
        rdev=record.get("rdev", 0),
        digest=record.get("digest"),
        target=None if "target" not in record else _raw(record["target"]),
        xattrs=tuple((name, base64.b64decode(value, validate=True)) for name, value in xattrs.items()),
        link=None if "link" not in record else _raw(record["link"]),
    )
