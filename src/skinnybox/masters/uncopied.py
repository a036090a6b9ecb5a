"""A directory that is to be altered and sealed, without a copy: an overlayfs lies over it, which only we see.

A copy takes up to half of an import's time, and memory for all that is in it. An overlayfs shows the same,
and what is altered lies in our workspace. One thread of ours has it in a mount namespace of its own: no other
process meets it, nobody has to clean up after it, and it is gone however we end.

It is no copy in every respect, so whoever uses it makes one all the same: of a directory in which it would
show something else than a copy has, of one that changes meanwhile, and after whatever fails.
"""

import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from skinnybox.errors import CommandFailed, Corrupt, Unsupported
from skinnybox.masters.mapped import mapped_to_write
from skinnybox.masters.tree import check_source
from skinnybox.operation import Operation
from skinnybox.sandbox import libc

T = TypeVar("T")
_ALL_BELOW, _HEARS_OTHERS = 1 << 14, 1 << 19  # MS_REC, MS_SLAVE
_OPTIONS = "redirect_dir=on,index=on,xino=on,metacopy=off,volatile"
"""Folders can be renamed; names of one file stay that when it is altered, with the inode number it had; and
when it is unmounted the store's filesystem is not written out, with all that others have there."""
_ALL_IDS = ["0", "0", "4294967295"]
_LEFT_BY_COPIES = ("security.selinux", "security.evm")
_OF_OVERLAYS = "trusted.overlay."
_WHITEOUT = os.makedev(0, 0)
_STEP = 512


class Unfit(Exception):
    """It takes a copy."""


def uncopied(
    source: Path,
    work: Path,
    act: Callable[[Path, AbstractContextManager[None]], T],
    operation: Operation,
) -> T:
    """What `act` makes of a directory, handed as a tree that it may alter; the directory is only read.

    `act` is handed something beside the tree, to enter once nothing is read of that any more, before anybody
    can have what comes of it. Raises Unfit when that takes a copy, or may not fail on one; NotFound and
    UsageError for the directory; what else `act` raises. Blocks."""
    check_source(source, work)
    with ThreadPoolExecutor(1, "uncopied") as thread:
        return thread.submit(_in_thread, source, work, act, operation).result()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """`sum` is what another look finds as long as nothing changes, `linked` a name of some file with more."""

    sum: int
    linked: bytes | None


def _in_thread(
    source: Path,
    work: Path,
    act: Callable[[Path, AbstractContextManager[None]], T],
    operation: Operation,
) -> T:
    try:
        _refuse_others_than_root()
        libc.unshare("mounts of our own", libc.NEW_MOUNTS)
        libc.mount("none", "/", "", _ALL_BELOW | _HEARS_OTHERS)
        looked = _look(source, operation)
        tree = _mounted(source, work, looked)
    except OSError as error:
        raise Unfit from error
    try:
        return act(tree, _unread(source, looked, operation))
    except (OSError, Unsupported, Corrupt, CommandFailed) as error:
        raise Unfit from error
    finally:
        libc.unmount(str(tree))


def _refuse_others_than_root() -> None:
    """A namespace's root has no trusted attributes, and may meet files that nobody owns there."""
    if os.geteuid() != 0 or Path("/proc/self/uid_map").read_text().split() != _ALL_IDS:
        raise Unfit


def _look(source: Path, operation: Operation) -> _Looked:
    """Raises Unfit for what an overlayfs shows otherwise than a copy has it, and OSError."""
    _refuse_mounts(source)
    root = os.fsencode(source)
    if os.listxattr(root):
        raise Unfit  # they would be put on the overlay's own root, one by one
    device, total, linked = source.stat().st_dev, 0, None
    mapped = mapped_to_write(device)
    for count, (path, info) in enumerate(_all_below(root)):
        if count % _STEP == 0:
            operation.step(task="look", done=count, unit="files", detail=source.name)
        whiteout = stat.S_ISCHR(info.st_mode) and info.st_rdev == _WHITEOUT
        if whiteout or info.st_dev != device:
            raise Unfit
        if info.st_ino in mapped:
            raise Unfit  # what is written there meanwhile is not seen by another look
        for name in os.listxattr(path, follow_symlinks=False):
            if name in _LEFT_BY_COPIES or name.startswith(_OF_OVERLAYS):
                raise Unfit
        if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
            linked = linked or path[len(root) + 1 :]
        total += _told(path, info)
    return _Looked(sum=total, linked=linked)


def _told(path: bytes, info: os.stat_result) -> int:
    """The time of change covers owner, mode, attributes, names and whatever is written."""
    return hash((path, info.st_ino, info.st_ctime_ns, info.st_mtime_ns, info.st_size))


def _refuse_mounts(source: Path) -> None:
    """A copy takes nothing that is mounted below; an overlayfs shows what lies under that."""
    above = f"{os.path.realpath(source).rstrip('/')}/"
    for line in Path("/proc/thread-self/mountinfo").read_bytes().splitlines():
        place = line.split()[4].decode("unicode_escape").encode("latin-1")  # \040 is a space there
        if os.fsdecode(place).startswith(above):
            raise Unfit


def _all_below(root: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """And itself."""
    yield root, Path(os.fsdecode(root)).stat()
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as found:
            for item in found:
                info = item.stat(follow_symlinks=False)
                yield item.path, info
                if stat.S_ISDIR(info.st_mode):
                    pending.append(item.path)


def _mounted(source: Path, work: Path, looked: _Looked) -> Path:
    """Raises Unfit for a kernel, or a filesystem below the store, that cannot do it all."""
    place = work / "uncopied"
    tree, upper, aside = place / "tree", place / "upper", place / "aside"
    for folder in (place, tree, upper, aside):
        folder.mkdir()
    _look_like(upper, source)
    opened = [os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for folder in (source, upper, aside)]
    try:  # by descriptors: in what mount is told a path has no comma or colon, and is not long
        below, above, beside = (f"/proc/thread-self/fd/{descriptor}" for descriptor in opened)
        data = f"lowerdir={below},upperdir={above},workdir={beside},{_OPTIONS}"
        libc.mount("overlay", str(tree), "overlay", 0, data)
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if looked.linked is not None and not _keeps_links(tree, aside, looked.linked):
        libc.unmount(str(tree))
        raise Unfit
    return tree


def _keeps_links(tree: Path, aside: Path, linked: bytes) -> bool:
    """Whether names of one file are known by a number that stays: the kernel mounts without that as well."""
    number_stays = os.lstat(os.fsencode(tree) + b"/" + linked).st_dev == tree.stat().st_dev
    return number_stays and (aside / "index").is_dir()


def _look_like(folder: Path, source: Path) -> None:
    info = source.stat()
    os.chown(folder, info.st_uid, info.st_gid)
    folder.chmod(stat.S_IMODE(info.st_mode))
    os.utime(folder, ns=(info.st_atime_ns, info.st_mtime_ns))


@contextmanager
def _unread(source: Path, looked: _Looked, operation: Operation) -> Iterator[None]:
    """Unless it changed while it was read: its image and its index are read one after the other."""
    root = os.fsencode(source)
    try:
        still = sum(_told(path, info) for path, info in _all_below(root)) == looked.sum
    except OSError:
        still = False
    if not still:
        operation.note(f"{source} changed while it was read: a copy of it is made first, and sealed")
        raise Unfit
    yield
