"""Walking a tree that is to be sealed: what is in it, and whether that is more than a master may hold."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from skinnybox.errors import Unsupported
from skinnybox.sizes import format_size

MOST_CONTENT = 1 << 40
"""Bytes in a tree to be sealed: an archive of a few bytes can claim a file of any length."""
DEEPEST, LONGEST_PATH = 256, 3072
"""Folders within each other, and bytes of a folder's path: more than systems have, less than the kernel's
4,096 bytes of a path, a thousand open files and Python's stack."""


@dataclass(slots=True)
class HardLinks:
    """A file with several names: the first of them, how many are in the tree, its digest once known."""

    first: bytes
    names: int = 0
    digest: str | None = None


@dataclass(slots=True)
class Survey:
    """What a first quick walk finds: how much there is, and which names are one file."""

    entries: int = 0
    size: int = 0
    newest: int = 0
    groups: dict[tuple[int, int], HardLinks] = field(default_factory=dict)

    def group(self, info: os.stat_result) -> HardLinks | None:
        """The hard-link group of a file; None when it has one name."""
        return self.groups.get((info.st_dev, info.st_ino)) if _linkable(info) else None


def survey(tree: Path) -> Survey:
    """Count entries and bytes of content (a hard-link group once); find the newest mtime in seconds.

    Raises Unsupported for more than MOST_CONTENT, and as `walk` does."""
    found = Survey()
    for path, info in walk(os.fsencode(tree)):
        found.entries += 1
        found.newest = max(found.newest, info.st_mtime_ns // 1_000_000_000)
        first = True
        if _linkable(info):
            group = found.groups.setdefault((info.st_dev, info.st_ino), HardLinks(path))
            group.names += 1
            first = group.names == 1
        if first and stat.S_ISREG(info.st_mode):
            found.size += info.st_size
    if found.size > MOST_CONTENT:
        raise Unsupported(
            f"the tree holds {format_size(found.size)}, a master at most {format_size(MOST_CONTENT)}",
            hint="a file of holes counts at its full length: `find -size +100G` shows it",
        )
    return found


def walk(tree: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Every path below `tree`, itself first as b"", in the index's order; no symlink is followed.

    Raises Unsupported for folders beyond DEEPEST or LONGEST_PATH: an archive of a few bytes can nest any."""
    yield b"", os.lstat(tree)
    pending = [_children(tree, b"")]
    while pending:
        path, info = next(pending[-1], (None, None))
        if path is None or info is None:
            pending.pop()
            continue
        yield path, info
        if stat.S_ISDIR(info.st_mode):
            if len(pending) > DEEPEST or len(path) > LONGEST_PATH:
                raise _too_deep(path, len(pending))
            pending.append(_children(tree, path))


def _children(tree: bytes, folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    with os.scandir(tree + b"/" + folder) as found:
        names = sorted((item.name, item) for item in found)
    prefix = folder + b"/" if folder else b""
    return ((prefix + name, item.stat(follow_symlinks=False)) for name, item in names)


def _too_deep(path: bytes, depth: int) -> Unsupported:
    return Unsupported(
        f"folders are nested {depth} deep, to a path of {len(path)} bytes: {os.fsdecode(path[:60])!r}...",
        hint=f"a master has at most {DEEPEST} levels and {LONGEST_PATH} bytes: remove what is below",
    )


def _linkable(info: os.stat_result) -> bool:
    return info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode)
