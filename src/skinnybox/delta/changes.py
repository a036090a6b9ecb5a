"""What a machine made its own: its upper directory against the index of its stack.

Both come sorted, so they are joined like two sorted lists; neither is held in memory.
"""

import fnmatch
import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from skinnybox.errors import Corrupt
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.index import Entry
from skinnybox.model import Change, ChangeKind, Seed

UPPER = b"upper"
SEED_PATHS = (
    b"etc/hostname",
    b"etc/hosts",
    b"etc/machine-id",
    b"etc/network/interfaces.d/skinnybox",
    b"etc/ssh/ssh_host_*",
    b"etc/systemd/network/10-skinnybox.network",
    b"etc/systemd/system/multi-user.target.wants/skinnybox-run-once.service",
    b"home/*/.ssh/authorized_keys",
    b"root/.ssh/authorized_keys",
    b"run/skinnybox",
    b"var/lib/skinnybox",
    b"var/lib/skinnybox/*",
)
"""Patterns of what Skinnybox itself writes into a guest when it applies a seed."""

_OWN_XATTRS = "trusted.overlay."
_KEPT_XATTRS = ("user.", "trusted.", "security.", "system.posix_acl_")
_OPAQUE, _METACOPY, _REDIRECT = (_OWN_XATTRS + name for name in ("opaque", "metacopy", "redirect"))
# On an empty file: since Linux 6.7 it hides what is below. Overlayfs itself makes only devices 0/0.
_HIDES = _OWN_XATTRS + "whiteout"
_WHITEOUT = (0, 0)


def seed_paths(seed: Seed) -> tuple[bytes, ...]:
    """SEED_PATHS, and the files that this very seed brings."""
    resolvers = (b"etc/resolv.conf",) if seed.network is not None and seed.network.dns else ()
    return (
        SEED_PATHS + resolvers + tuple(glob.escape(os.fsencode(file.path.strip("/"))) for file in seed.files)
    )


def differences(volume: Volume, index: Iterable[Entry], *, quick: bool) -> Iterator[Change]:
    """Everything that differs, in canonical order. Raises Corrupt. For the confined process of listing.py.

    A deleted directory is one change. A file of unchanged size is read and hashed; with `quick` only when its
    mtime differs, which a guest can forge.
    """
    return _joined(volume, _Lower(index), quick=quick)


def marked(found: Iterable[Change], from_seed: Iterable[bytes], *, include_seed: bool) -> Iterator[Change]:
    """Those to `from_seed` marked "seed", or left out."""
    patterns = _matcher(from_seed)
    for change in found:
        if not patterns.fullmatch(change.path):
            yield change
        elif include_seed:
            yield replace(change, detail=_detail(change.detail, "seed"))


def _matcher(patterns: Iterable[bytes]) -> re.Pattern[bytes]:
    each = (os.fsencode(fnmatch.translate(os.fsdecode(pattern))) for pattern in patterns)
    return re.compile(b"|".join([b"(?!)", *each]))  # the first matches nothing, so that none may be given


class _Lower:
    """The index, one entry at a time."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = iter(entries)
        self.head: Entry | None = None
        self.key = b""
        self.advance()

    def advance(self) -> None:
        self.head = next(self._entries, None)
        key = b"" if self.head is None else _key(self.head.path)
        if self.head is not None and self.head.path and key <= self.key:
            raise Corrupt(f"the index is not in order at {self.head.path!r}")
        self.key = key

    def take(self, path: bytes) -> Entry | None:
        """The entry for this path, if the index has it."""
        found = self.head
        if found is None or found.path != path:
            return None
        self.advance()
        return found

    def skip_below(self, path: bytes) -> int:
        """Pass over all that lies below a directory; how much it was."""
        count = 0
        while self.head is not None and _is_below(self.head.path, path):
            self.advance()
            count += 1
        return count


def _joined(volume: Volume, lower: _Lower, *, quick: bool) -> Iterator[Change]:
    cut: bytes | None = None  # the outermost opaque directory around: below it the lower's names are gone
    for path, node in volume.walk(UPPER):
        yield from _gone_before(lower, _key(path), cut)
        entry = lower.take(path)
        if node.type == "c" and node.rdev == _WHITEOUT:
            if entry is not None:
                yield _deleted(entry, lower)
            continue
        if entry is None:
            yield _change(ChangeKind.ADDED, path, node)
            continue
        xattrs = volume.xattrs(node)
        if node.type != entry.type:
            yield _retyped(path, node, entry, lower)
            continue
        if xattrs.get(_OPAQUE) == b"y" and not (cut is not None and _is_below(path, cut)):
            cut = path
        yield from _compared(volume, node, entry, xattrs, quick=quick)
    yield from _gone_before(lower, None, cut)


def _gone_before(lower: _Lower, key: bytes | None, cut: bytes | None) -> Iterator[Change]:
    """The index's entries up to `key` that the upper does not have: deleted only where they are cut off."""
    while (entry := lower.head) is not None and (key is None or lower.key < key):
        lower.advance()
        if cut is not None and _is_below(entry.path, cut):
            yield _deleted(entry, lower)


def _deleted(entry: Entry, lower: _Lower) -> Change:
    return Change(
        path=entry.path,
        kind=ChangeKind.DELETED,
        type=entry.type,
        size=entry.size,
        detail=_below(lower.skip_below(entry.path)) if entry.type == "d" else "",
    )


def _retyped(path: bytes, node: Node, entry: Entry, lower: _Lower) -> Change:
    gone = _below(lower.skip_below(path))
    return _change(ChangeKind.TYPE, path, node, _detail(f"{entry.type} -> {node.type}", gone))


def _below(count: int) -> str:
    return f"with {count} below" if count else ""


def _compared(
    volume: Volume, node: Node, entry: Entry, xattrs: dict[str, bytes], *, quick: bool
) -> Iterator[Change]:
    foreign = [name for name in (_METACOPY, _REDIRECT, _HIDES) if name in xattrs]
    metadata = [*_metadata(node, entry, xattrs), *(name.removeprefix(_OWN_XATTRS) for name in foreign)]
    if _METACOPY not in xattrs and _content_differs(volume, node, entry, quick=quick):
        told = [word for word in metadata if word != "mtime"]
        yield _change(ChangeKind.MODIFIED, entry.path, node, ", ".join(told))
    elif metadata:
        yield _change(ChangeKind.METADATA, entry.path, node, ", ".join(metadata))


def _content_differs(volume: Volume, node: Node, entry: Entry, *, quick: bool) -> bool:
    if node.type == "l":
        return volume.target(node) != entry.target
    if node.type in "bc":
        return os.makedev(*node.rdev) != entry.rdev
    if node.type != "-":
        return False
    if node.size != entry.size:
        return True
    if not node.size or (quick and node.mtime_ns == entry.mtime_ns):
        return False
    digest = hashlib.sha256()
    for piece in volume.read(node):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}" != entry.digest


def _metadata(node: Node, entry: Entry, xattrs: dict[str, bytes]) -> Iterator[str]:
    """What differs, in words. A directory's mtime says nothing: the kernel sets it at each copy-up."""
    if node.mode != entry.mode:
        yield f"mode {entry.mode:o} -> {node.mode:o}"
    if (node.uid, node.gid) != (entry.uid, entry.gid):
        yield f"owner {entry.uid}:{entry.gid} -> {node.uid}:{node.gid}"
    old, new = _kept(dict(entry.xattrs)), _kept(xattrs)
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    if names:
        yield f"xattrs {' '.join(names)}"
    if node.type != "d" and node.mtime_ns != entry.mtime_ns:
        yield "mtime"


def _kept(xattrs: dict[str, bytes]) -> dict[str, bytes]:
    return {
        name: value
        for name, value in xattrs.items()
        if name.startswith(_KEPT_XATTRS) and not name.startswith(_OWN_XATTRS)
    }


def _change(kind: ChangeKind, path: bytes, node: Node, detail: str = "") -> Change:
    size = node.size if node.type in "-l" else 0
    return Change(path=path, kind=kind, type=node.type, size=size, detail=detail)


def _detail(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _is_below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder + b"/") if folder else bool(path)


def _key(path: bytes) -> bytes:
    """Sorts as the path's components do: no name holds a zero byte, and it comes before all others."""
    return path.replace(b"/", b"\0")
