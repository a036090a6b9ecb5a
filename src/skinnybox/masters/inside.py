"""Reaching into a tree that strangers made: no symlink is followed, so nothing outside is ever touched."""

import os
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_folder(tree: Path, path: str) -> int | None:
    """A descriptor of the folder at `path` (no leading slash, "" is the tree); None when there is none."""
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in path.split("/") if path else []:
        try:
            below = os.open(part, _FOLDER, dir_fd=descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        descriptor = below
    return descriptor


def is_folder(tree: Path, path: str) -> bool:
    descriptor = open_folder(tree, path)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def names(tree: Path, path: str) -> list[str]:
    """What the folder at `path` holds, sorted; nothing when it is no folder."""
    descriptor = open_folder(tree, path)
    if descriptor is None:
        return []
    try:
        return sorted(os.listdir(descriptor))  # noqa: PTH208 (a descriptor)
    finally:
        os.close(descriptor)


def read(tree: Path, path: str, limit: int) -> bytes | None:
    """The first `limit` bytes of the regular file at `path`; None when there is none."""
    folder, _, name = path.rpartition("/")
    descriptor = open_folder(tree, folder)
    if descriptor is None:
        return None
    try:
        file = os.open(name, _FILE, dir_fd=descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if not is_regular(os.fstat(file)):
        os.close(file)
        return None
    with os.fdopen(file, "rb") as source:
        return source.read(limit)


def is_regular(info: os.stat_result) -> bool:
    return info.st_mode & 0o170000 == 0o100000
