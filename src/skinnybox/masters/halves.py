"""A directory to be copied, divided in two, so that two processors copy it.

Half of an import's own time is cp, on one processor, while the other waits. What is divided is names: folders
down to the third level are made here, and all that lies in them is given to one of two programs. The names of
one file go together, or there would be two files of it. What would need more care than that is not divided.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from skinnybox.errors import Corrupt

_DEEPEST = 3
"""Levels that are divided: /usr/lib/modules is one piece, and all of /usr/lib would be half a system."""
_MOST, _MOST_BYTES = 5_000, 1 << 17
"""Pieces, and bytes of their names: they are a program's arguments, which have 2 MiB. A Debian has 1,000."""
_FILE = 8192
"""What a name costs beside its content, in bytes that are copied in that time."""
_OF_THE_HOST = {"security.selinux", "security.evm"}
"""Not copied by cp either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halves:
    """`folders`, parents first, are to be made, and dated when all is there; `names` are copied, each with
    what is below it. Paths within the source, b"" itself."""

    folders: tuple[bytes, ...]
    names: tuple[tuple[bytes, ...], tuple[bytes, ...]]


class _Indivisible(Exception):
    """It is copied in one piece."""


@dataclass(slots=True)
class _Pieces:
    device: int
    folders: list[bytes] = field(default_factory=list)
    weights: dict[bytes, int] = field(default_factory=dict)
    together: dict[bytes, bytes] = field(default_factory=dict)
    """Of a piece that has a name of a file that an earlier one has: that piece."""
    linked: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def first(self, piece: bytes) -> bytes:
        found = piece
        while found in self.together:
            found = self.together[found]
        if found != piece:  # or a stranger's links make a chain that is walked a million times
            self.together[piece] = found
        return found


def halves(source: Path) -> Halves | None:
    """How to divide it; None where it is better copied in one piece. Only looks; whoever reads less than all
    of the source, or sees it change meanwhile, leaves it to who copies it to say so."""
    try:
        pieces = _Pieces(device=source.stat().st_dev)
        _divide(os.fsencode(source), b"", pieces)
    except (OSError, _Indivisible):
        return None
    one, other = _shared_out(pieces)
    return Halves(folders=tuple(pieces.folders), names=(one, other)) if other else None


def make_folders(halved: Halves, tree: Path) -> None:
    for folder in halved.folders:
        if folder:
            (tree / os.fsdecode(folder)).mkdir(mode=0o700)


def date_folders(halved: Halves, source: Path, tree: Path) -> None:
    """Give them owner, mode and times of the source's: once all is in them, the deepest first. Corrupt when
    one is no folder any more."""
    for folder in reversed(halved.folders):
        made = tree / os.fsdecode(folder)
        info = _still(source / os.fsdecode(folder), follow=not folder)
        os.chown(made, info.st_uid, info.st_gid)
        made.chmod(stat.S_IMODE(info.st_mode))
        os.utime(made, ns=(info.st_atime_ns, info.st_mtime_ns))


def _still(folder: Path, *, follow: bool) -> os.stat_result:
    """Who swaps one for a symlink has had cp look elsewhere: then nothing comes of it."""
    with contextlib.suppress(FileNotFoundError):
        info = folder.stat(follow_symlinks=follow)
        if stat.S_ISDIR(info.st_mode):
            return info
    raise Corrupt(f"{folder} changed while it was copied", hint="import a tree nobody writes to")


def _divide(source: bytes, folder: bytes, pieces: _Pieces, depth: int = 0) -> None:
    """Raises _Indivisible, and OSError for what cannot be read, or is no more there."""
    _add_folder(source, folder, pieces)
    for path, info in _children(source, folder):
        elsewhere = info.st_dev != pieces.device
        if stat.S_ISDIR(info.st_mode) and (elsewhere or depth + 1 < _DEEPEST):
            if elsewhere:  # mounted there: the place comes, and nothing that lies in it
                _add_folder(source, path, pieces)
            else:
                _divide(source, path, pieces, depth + 1)
            continue
        pieces.weights[path] = 0
        for below in _with_all_below(source, path, info, pieces.device):
            _weigh(path, below, pieces)
        if len(pieces.weights) > _MOST:
            raise _Indivisible


def _add_folder(source: bytes, folder: bytes, pieces: _Pieces) -> None:
    if not _OF_THE_HOST.issuperset(os.listxattr(source + b"/" + folder, follow_symlinks=False)):
        raise _Indivisible  # cp knows how to keep them, with access lists and all
    pieces.folders.append(folder)
    if len(pieces.folders) > _MOST:
        raise _Indivisible


def _weigh(piece: bytes, info: os.stat_result, pieces: _Pieces) -> None:
    pieces.weights[piece] += _FILE + info.st_blocks * 512
    if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
        one = pieces.first(pieces.linked.setdefault((info.st_dev, info.st_ino), piece))
        other = pieces.first(piece)
        if one != other:
            pieces.together[other] = one


def _with_all_below(
    source: bytes, path: bytes, info: os.stat_result, device: int
) -> Iterator[os.stat_result]:
    yield info
    pending = [path] if stat.S_ISDIR(info.st_mode) else []
    while pending:
        for below, found in _children(source, pending.pop()):
            yield found
            if stat.S_ISDIR(found.st_mode) and found.st_dev == device:
                pending.append(below)


def _children(source: bytes, folder: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    prefix = folder + b"/" if folder else b""
    with os.scandir(source + b"/" + folder) as found:
        for item in found:
            yield prefix + item.name, item.stat(follow_symlinks=False)


def _shared_out(pieces: _Pieces) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Of about the same weight, the heaviest first; the second is empty when there is one piece."""
    groups: dict[bytes, list[bytes]] = {}
    for piece in pieces.weights:
        groups.setdefault(pieces.first(piece), []).append(piece)
    heavy = sorted(groups.values(), key=lambda group: -sum(pieces.weights[piece] for piece in group))
    shares: list[list[bytes]] = [[], []]
    loads = [0, 0]
    for group in heavy:
        lighter = loads.index(min(loads))
        shares[lighter] += group
        loads[lighter] += sum(pieces.weights[piece] for piece in group)
    if sum(len(piece) + 1 for share in shares for piece in share) > _MOST_BYTES:
        return tuple(pieces.weights), ()
    return tuple(shares[0]), tuple(shares[1])
