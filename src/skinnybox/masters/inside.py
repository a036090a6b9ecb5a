"""Reaching into a tree that strangers made: no symlink is followed, so nothing outside is ever touched.

What is written gets the time of the folder it lies in, which keeps its own: the same tree comes of the same
tree, whenever that is done.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from skinnybox.errors import Unsupported

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_THERE = (OSError, ValueError)
"""The latter for a path with a null byte: strangers' files name such."""


def open_folder(tree: Path, path: str) -> int | None:
    """A descriptor of the folder at `path` (no leading slash, "" is the tree); None when there is none."""
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in path.split("/") if path else []:
        try:
            below = os.open(part, _FOLDER, dir_fd=descriptor)
        except _NOT_THERE:
            return None
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def is_folder(tree: Path, path: str) -> bool:
    with _folder(tree, path) as folder:
        return folder is not None


def names(tree: Path, path: str) -> list[str]:
    """What the folder at `path` holds, sorted; nothing when it is no folder."""
    with _folder(tree, path) as folder:
        return [] if folder is None else sorted(os.listdir(folder))  # noqa: PTH208 (a descriptor)


def links(tree: Path, path: str) -> dict[str, str]:
    """The symlinks that the folder at `path` holds, with what they say; nothing when it is no folder."""
    with _folder(tree, path) as folder:
        if folder is None:
            return {}
        with os.scandir(folder) as found:
            named = [item.name for item in found if item.is_symlink()]
        return {name: os.readlink(name, dir_fd=folder) for name in named}


def open_file(tree: Path, path: str) -> int | None:
    """A descriptor of the regular file at `path`, to read; None when there is none."""
    place, _, name = path.rpartition("/")
    with _folder(tree, place) as folder:
        try:
            file = None if folder is None else os.open(name, _FILE, dir_fd=folder)
        except _NOT_THERE:
            return None
    if file is None or is_regular(os.fstat(file)):
        return file
    os.close(file)
    return None


def read(tree: Path, path: str, limit: int) -> bytes | None:
    """The first `limit` bytes of the regular file at `path`; None when there is none."""
    file = open_file(tree, path)
    if file is None:
        return None
    with os.fdopen(file, "rb") as source:
        return source.read(limit)


def exists(tree: Path, path: str) -> bool:
    """Whether a file is there, or a symlink that nobody follows."""
    place, _, name = path.rpartition("/")
    return name in names(tree, place)


def link_target(tree: Path, path: str) -> str | None:
    """What the symlink at `path` says; None when there is none. It may lead anywhere."""
    place, _, name = path.rpartition("/")
    with _folder(tree, place) as folder:
        try:
            return None if folder is None else os.readlink(name, dir_fd=folder)
        except _NOT_THERE:
            return None


@contextlib.contextmanager
def _folder(tree: Path, path: str) -> Iterator[int | None]:
    """Closed afterwards."""
    descriptor = open_folder(tree, path)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def put(tree: Path, path: str, data: bytes, mode: int = 0o644) -> None:
    """A file, with the folders it lies in; one that is as it should be is left alone. Unsupported where
    something else is in the way."""
    with _in_folder_of(tree, path) as (folder, name, when):
        if _holds(folder, name, data, mode):
            return
        _make_room(folder, name, path)
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
        with os.fdopen(file, "wb") as target:
            target.write(data)
            target.flush()
            os.fchmod(file, mode)
            os.utime(file, ns=(when, when))


def rewrite(tree: Path, path: str, data: bytes) -> None:
    """Other content for a file that is there, which keeps its owner, mode and time; one that is the same is
    left alone."""
    with _in_folder_of(tree, path) as (folder, name, _):
        file = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(file, "r+b") as target:
            before = os.fstat(file)
            if target.read(len(data) + 1) == data:
                return
            target.seek(0)
            target.write(data)
            target.truncate()
            target.flush()
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def link(tree: Path, path: str, target: str) -> None:
    """A symlink, in the same way."""
    with _in_folder_of(tree, path) as (folder, name, when):
        with contextlib.suppress(OSError):
            if os.readlink(name, dir_fd=folder) == target:
                return
        _make_room(folder, name, path)
        os.symlink(target, name, dir_fd=folder)
        os.utime(name, ns=(when, when), dir_fd=folder, follow_symlinks=False)


def remove(tree: Path, path: str) -> None:
    """A file or a symlink, if it is there."""
    if exists(tree, path):
        with _in_folder_of(tree, path) as (folder, name, _):
            _make_room(folder, name, path)


def make_folder(tree: Path, path: str) -> None:
    with _in_folder_of(tree, f"{path}/."):
        pass


@contextlib.contextmanager
def _in_folder_of(tree: Path, path: str) -> Iterator[tuple[int, str, int]]:
    """A descriptor of the folder something lies in, made if need be, its name there, and the folder's time,
    which stays."""
    parts = path.split("/")
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for number, part in enumerate(parts[:-1], start=1):
            below = _entered(descriptor, part, "/".join(parts[:number]))
            os.close(descriptor)
            descriptor = below
        when = os.fstat(descriptor).st_mtime_ns
        yield descriptor, parts[-1], when
        os.utime(descriptor, ns=(when, when))
    finally:
        os.close(descriptor)


def _entered(folder: int, name: str, path: str) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        when = os.fstat(folder).st_mtime_ns
        os.mkdir(name, 0o755, dir_fd=folder)
        made = os.open(name, _FOLDER, dir_fd=folder)
        os.fchmod(made, 0o755)
        for each in (made, folder):
            os.utime(each, ns=(when, when))
        return made
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise Unsupported(f"/{path} of the tree is no folder: it may lead elsewhere") from error


def _make_room(folder: int, name: str, path: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError) as error:
        raise Unsupported(f"/{path} of the tree is a folder, and should be a file") from error


def _holds(folder: int, name: str, data: bytes, mode: int) -> bool:
    """And is nobody else's: root will run it, and whoever owns it, or has it by another name, could change
    it."""
    try:
        info = os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    ours = (os.geteuid(), os.getegid(), 1) == (info.st_uid, info.st_gid, info.st_nlink)
    if not ours or not is_regular(info) or stat.S_IMODE(info.st_mode) != mode or info.st_size != len(data):
        return False
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as there:
        return there.read() == data


def is_regular(info: os.stat_result) -> bool:
    return stat.S_ISREG(info.st_mode)
