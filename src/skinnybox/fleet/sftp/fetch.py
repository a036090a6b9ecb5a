"""Out of a machine: what it says is there becomes files here, below one folder and nowhere else.

Everything is opened relative to the folder it goes into, a folder of ours that is fresh, and never through a
link. A link comes along only where it is sure to stay within the tree; setuid, setgid and sticky bits never
do, nor do devices. Until all of it is there it has a name of its own; a command that is killed leaves that.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from skinnybox.errors import Conflict, GuestFailed, NoSpace, NotFound, UsageError, of_system
from skinnybox.fleet.sftp.packets import Attributes
from skinnybox.fleet.sftp.tally import DEEPEST, Tally
from skinnybox.sizes import MIB, format_size

UNSIZED = 16 * MIB
"""The most that is taken of a file that says it is empty and is not, as those of /proc."""
_PERMISSIONS = 0o777
_ZEROS = bytes(1 << 20)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Source(Protocol):
    """Where files come from: a machine that runs (session.py), or the disks of one that is off. Each path is
    asked about after the folder that it is in, and its content or names before the next in there."""

    def look(self, path: bytes, *, follow: bool = True) -> Attributes | None: ...
    def names(self, path: bytes) -> Iterator[tuple[bytes, Attributes]]: ...
    def target(self, path: bytes) -> bytes: ...
    def read(self, path: bytes, most: int, *, ahead: bool = True) -> Iterator[bytes | int]:
        """A number is that of bytes of a hole."""
        ...


def fetch(session: Source, source: str, target: Path, tally: Tally, *, recursive: bool) -> None:
    """The file or folder `source` becomes `target`, or goes into that when it is a folder. A file that has
    its name is replaced, a folder never. Whole or not at all.

    NotFound, Conflict, UsageError, NoSpace, GuestFailed, NotReached, Cancelled."""
    path = os.fsencode(source.rstrip("/") or source or ".")
    found = session.look(path)
    if found is None:
        raise NotFound(f"{tally.there(path)}: no such file")
    if found.is_folder and not recursive:
        raise UsageError(f"{tally.there(path)} is a folder", hint="-r copies it and all that is in it")
    if not found.is_folder and not found.is_file:
        raise UsageError(f"{tally.there(path)} is neither a file nor a folder")
    try:
        final = _final(source, target, found.is_folder)
        with _opened(final.parent) as folder, _staged(folder, final.name) as stage:
            if found.is_folder:
                _Tree(session, tally).fill(path, folder, stage, found, 0)
            else:
                _file(session, path, folder, stage, found, tally)
            os.rename(stage, final.name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError as error:
        raise of_system(error, str(target)) from error


def _final(source: str, target: Path, is_folder: bool) -> Path:
    final = Path(os.path.realpath(target))  # where a link leads, and what is there is not the link
    if final.is_dir():
        name = source.rstrip("/").rpartition("/")[2]
        if name in ("", ".", ".."):
            raise UsageError(f"{source or '.'!r} has no name of its own", hint="give the copy a name")
        final = Path(os.path.realpath(final / name))
    if not final.parent.is_dir():
        raise NotFound(f"{final.parent}: no such folder")
    if is_folder and os.path.lexists(final):
        raise Conflict(f"{final} exists already", hint="a folder is copied whole, to a name that is free")
    if final.exists() and not final.is_file():
        raise Conflict(f"{final} is there and no file")
    return final


@contextlib.contextmanager
def _opened(folder: Path | str | bytes, within: int | None = None) -> Iterator[int]:
    descriptor = os.open(folder, _FOLDER, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _staged(folder: int, name: str) -> Iterator[str]:
    """A name for it until it is whole; what has it in the end is removed."""
    stage = f".{name[:60]}.{secrets.token_hex(4)}.part"
    try:
        yield stage
    finally:
        with contextlib.suppress(FileNotFoundError):
            _remove(folder, stage)


def _remove(folder: int, name: str) -> None:
    """Also folders that have the modes of the guest's by then, which may forbid just that."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    os.chmod(name, 0o700, dir_fd=folder)
    with _opened(name, folder) as within:
        for each in list(os.scandir(within)):
            _remove(within, each.name)
    os.rmdir(name, dir_fd=folder)


def _file(
    session: Source, path: bytes, folder: int, name: bytes | str, found: Attributes, tally: Tally
) -> None:
    """As long as it was when it was looked at: what says that it never ends is not believed to the end."""
    size = found.size or 0
    needs = size if found.stored is None else found.stored
    status = os.fstatvfs(folder)
    if (free := status.f_bavail * status.f_frsize) < needs:
        raise NoSpace(f"{tally.there(path)} is {format_size(needs)}, and {format_size(free)} are free here")
    descriptor = os.open(name, _NEW, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file, _not_too_large(tally.there(path), size):
        got = 0
        for piece in session.read(path, size or UNSIZED, ahead=size > 0):
            got += _put(file, piece)
            tally.add(0 if isinstance(piece, int) else len(piece), path)
        if got < size:
            raise GuestFailed(f"{tally.there(path)} ended after {got} of {size} bytes", hint="copy it again")
        if got == UNSIZED and not size:
            raise GuestFailed(f"{tally.there(path)} does not say how long it is, and does not end")
        file.truncate(got)
        os.fchmod(descriptor, found.mode & _PERMISSIONS)
        file.flush()
        os.fsync(descriptor)


@contextlib.contextmanager
def _not_too_large(there: str, size: int) -> Iterator[None]:
    """One that is nearly all holes may be larger than any can be here."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EFBIG, errno.EINVAL):
            raise
        raise Conflict(f"{there}: this disk can have no file of {format_size(size)}") from error


def _put(file: BinaryIO, piece: bytes | int) -> int:
    """How many bytes of the file it is. Zeros are left out: what was a hole there is one here."""
    if isinstance(piece, int):
        file.seek(piece, os.SEEK_CUR)
        return piece
    if piece == _ZEROS[: len(piece)]:
        file.seek(len(piece), os.SEEK_CUR)
    else:
        file.write(piece)
    return len(piece)


class _Tree:
    """Folders on their way here."""

    def __init__(self, session: Source, tally: Tally) -> None:
        self._session, self._tally = session, tally

    def fill(self, path: bytes, folder: int, name: bytes | str, found: Attributes, depth: int) -> None:
        """All that is in `path`, into a new folder; `depth` is how many are between it and the tree's top."""
        if depth > DEEPEST:
            raise GuestFailed(f"{self._tally.there(path[:200])}... is more than {DEEPEST} folders deep")
        os.mkdir(name, 0o700, dir_fd=folder)
        with _opened(name, folder) as within:
            for each, said in self._session.names(path):
                self._one(path.rstrip(b"/") + b"/" + each, within, each, said, depth)
            os.fchmod(within, found.mode & _PERMISSIONS)

    def _one(self, path: bytes, folder: int, name: bytes, said: Attributes, depth: int) -> None:
        self._tally.enter(path)
        found = said if said.mode else self._session.look(path, follow=False)
        try:
            if found is None:
                return  # it was removed meanwhile
            if found.is_folder:
                self.fill(path, folder, name, found, depth + 1)
            elif found.is_file:
                _file(self._session, path, folder, name, found, self._tally)
            elif found.is_link and stays_within(target := self._session.target(path), depth):
                os.symlink(target, name, dir_fd=folder)
            else:
                self._tally.leave_out(path, "a link that leads out of it" if found.is_link else "no file")
        except FileExistsError as error:
            raise GuestFailed(f"{self._tally.there(path)} is there twice, as this disk has names") from error
        except OSError as error:
            if error.errno != errno.EILSEQ:
                raise
            raise Conflict(f"{self._tally.there(path)}: this disk can have no such name") from error


def stays_within(target: bytes, depth: int) -> bool:
    """Whether a link so many folders below the top of a tree leads to a place within, wherever other links of
    the tree lead that do the same: first up, not above the top, then only down."""
    parts = target.split(b"/")
    up = next((number for number, part in enumerate(parts) if part != b".."), len(parts))
    return bool(parts[0]) and up <= depth and b".." not in parts[up:]
