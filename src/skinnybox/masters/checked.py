"""Masters and layers are read again when they may have changed: each file's inode, size and ctime are kept
from its last good check, outside the sealed folder. What changes bytes below the filesystem, only `master
verify` and `layer verify` see.
"""

import contextlib
import fcntl
import json
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, TypeAlias

from skinnybox import named_file, private
from skinnybox.errors import Corrupt
from skinnybox.masters import images
from skinnybox.masters.catalogue import KERNEL, folder
from skinnybox.masters.index import file_digest
from skinnybox.model import INITRD_FILE, Layer, Master

Marks: TypeAlias = dict[str, list[int]]
_LIMIT = 1 << 16
_HINT = "restore it from a backup, or build or import the same content again"


def ensure(store: Path, sealed: Master | Layer, names: Iterable[str], marks: Path) -> None:
    """Those files are what was sealed, as far as their marks tell; a second or two for those that differ.

    Raises Corrupt naming the file. `marks` is where the marks are kept; several processes may share it.
    """
    where = folder(store, sealed)
    now = {name: _mark(where / name) for name in names}
    if now.items() <= _read(marks).items():
        return
    private.make_folder(marks.parent)
    with private.lock_file(marks) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = _parsed(file)
        for name in (name for name in now if now[name] != known.get(name)):
            _verify(where / name, sealed)
        _write(file, {**known, **now})


def note(store: Path, master: Master, marks: Path) -> None:
    """All of it has just been sealed or verified."""
    where = folder(store, master)
    names = [KERNEL, INITRD_FILE, *(image.file for image in master.images)]
    with contextlib.suppress(OSError):
        private.make_folder(marks.parent)
        with private.lock_file(marks) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _write(file, {name: _mark(where / name) for name in names})


def _mark(path: Path) -> list[int]:
    try:
        info = path.stat(follow_symlinks=False)
    except OSError as error:
        raise Corrupt(f"{path} is missing: {error.strerror}", hint=_HINT) from error
    return [info.st_ino, info.st_size, info.st_ctime_ns]


def _verify(path: Path, sealed: Master | Layer) -> None:
    try:
        image = next((image for image in sealed.images if image.file == path.name), None)
        if image is not None:
            images.check(path.parent, image)
        elif isinstance(sealed, Layer) or file_digest(path) != _of_boot(sealed, path.name):
            raise Corrupt(f"{path} is not what was sealed")
    except Corrupt as error:
        raise Corrupt(f"{sealed.reference} is damaged: {error.message}", hint=_HINT) from error


def _of_boot(master: Master, name: str) -> str:
    return master.kernel if name == KERNEL else master.initrd


def _read(marks: Path) -> Marks:
    try:
        with named_file.opened(marks) as file:
            return _parsed(file)
    except OSError:
        return {}


def _parsed(file: BinaryIO) -> Marks:
    file.seek(0)
    with contextlib.suppress(ValueError, RecursionError):
        values = json.loads(file.read(_LIMIT))
        return values if isinstance(values, dict) else {}
    return {}


def _write(file: BinaryIO, marks: Marks) -> None:
    """In place, under the lock: half of it, as a kill or a full disk leaves it, only means another check."""
    with contextlib.suppress(OSError):
        file.seek(0)
        file.truncate()
        file.write(json.dumps(marks).encode())
        file.flush()
