"""What a kernel unpacks as its first root: a cpio archive, of the format `newc`
(Documentation/driver-api/early-userspace/buffer-format.rst)."""

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Entry:
    """`path` without a leading slash; `mode` with the kind of file; a symlink's `data` is where it leads."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(path: str) -> Entry:
    return Entry(path, stat.S_IFDIR | 0o755)


def file(path: str, data: bytes, mode: int = 0o644) -> Entry:
    return Entry(path, stat.S_IFREG | mode, data)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def packed(entries: Iterable[Entry]) -> bytes:
    """All of it root's, and without times: the same entries, the same bytes. A folder comes before what it
    holds."""
    return b"".join([*map(_member, entries), _member(Entry("TRAILER!!!", 0))])


def with_folders(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Each folder before what it holds, once."""
    made = set[PurePosixPath]()
    for entry in entries:
        for parent in list(PurePosixPath(entry.path).parents)[-2::-1]:
            if parent not in made:
                made.add(parent)
                yield folder(str(parent))
        yield entry


def archive(files: Mapping[str, bytes]) -> bytes:
    """Of files that may be run."""
    return packed(file(path, data, 0o755) for path, data in files.items())


def _member(entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    words = (0, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % word for word in words) + name
    return head + bytes(-len(head) % 4) + entry.data + bytes(-len(entry.data) % 4)
