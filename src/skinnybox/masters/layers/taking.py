"""A private copy of what is to be a layer, from a directory or a tar, packed or not."""

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

from skinnybox.errors import NotFound, Unsupported, UsageError
from skinnybox.masters import namespace
from skinnybox.masters.archives.held import kind_of
from skinnybox.masters.archives.magic import PACKED
from skinnybox.masters.archives.unpacking import Bytes, tar_in
from skinnybox.masters.survey import DEEPEST, LONGEST_PATH
from skinnybox.masters.tree import extracted, unpacked
from skinnybox.operation import Operation
from skinnybox.printable import short


def taken(source: Path, work: Path, at: str | None, operation: Operation) -> Path:
    """What `source` holds, as a tree with paths as in the guest; with `at` its root is there. It is only
    read. Raises Unsupported for what is neither, and for who is not root; Corrupt; NoSpace; UsageError."""
    place = _place(at) if at is not None else PurePosixPath()
    if not source.exists():
        raise NotFound(f"{source} does not exist")
    namespace.require_root()
    tree = unpacked(source, work, operation) if source.is_dir() else _extracted(source, work, operation)
    return _put(tree, work / "placed", place) if place.parts else tree


def _place(at: str) -> PurePosixPath:
    place = PurePosixPath(at)
    parts = place.parts[1:]
    if not place.is_absolute() or ".." in parts or "\0" in at:
        raise UsageError(f"{short(at)} is no place in a machine", hint="an absolute path: --at /srv/site")
    if len(parts) >= DEEPEST or len(os.fsencode(at)) > LONGEST_PATH:
        raise UsageError("the path is too long for a place in a machine")
    return PurePosixPath(*parts)


def _extracted(source: Path, work: Path, operation: Operation) -> Path:
    found = Bytes(file=source, source=source)
    kind = kind_of(found, work)
    if kind in PACKED and kind != "squashfs":
        found = replace(found, packing=kind)
        kind = kind_of(found, work)
    if kind != "tar":
        raise Unsupported(
            f"{source} is neither a directory nor a tar", hint="unpack it, and import the directory"
        )
    tree = work / "tree"
    pieces = tar_in(found, work, "relay", "")
    extracted(pieces, tree, source, operation, devices=True, dated=True)
    return tree


def _put(tree: Path, root: Path, place: PurePosixPath) -> Path:
    """The tree below new folders, which are as old as it is: the same source is the same layer."""
    info = tree.stat()
    above = [root, *(root.joinpath(*place.parts[:count]) for count in range(1, len(place.parts)))]
    for folder in above:
        folder.mkdir()
        folder.chmod(0o755)
    tree.rename(root / place)
    for folder in reversed(above):
        os.utime(folder, ns=(info.st_mtime_ns, info.st_mtime_ns))
    return root
