"""A file made for the user: under its name it is whole, or not there."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skinnybox.durable import sync
from skinnybox.errors import Conflict, NotFound, of_system

_NO_NAMELESS = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS)
"""The same of files without a name: FAT again, network shares."""
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a filesystem answers that knows none: FAT, exFAT, some network shares."""

_NO_FOLDERS_SYNCED = (errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""The same of a folder that is to be on the disk; and of one in which we may write, and not look."""


@contextmanager
def handed_out(file: Path) -> Iterator[Path]:
    """An empty private file beside `file` to be filled, or replaced; it gets that name after the block, and
    is gone when that fails. Conflict when the name is taken, or somebody else makes it just now; NotFound
    without its folder; NoSpace."""
    _refuse_taken(file)
    part = file.with_name(f"{file.name}.part")
    try:
        _claim(part)
        try:
            yield part
            _publish(part, file)
        finally:
            part.unlink(missing_ok=True)
        _keep_name(file)
    except OSError as error:
        raise of_system(error, str(file)) from error


@contextmanager
def appearing(file: Path) -> Iterator[int]:
    """The same of an open file that only is to be filled. Where the filesystem can, it has no name until it
    is whole, so that not even a kill leaves anything."""
    _refuse_taken(file)
    nameless = _nameless(file)
    if nameless is None:
        with handed_out(file) as part, part.open("r+b", buffering=0) as filled:
            yield filled.fileno()
        return
    try:
        yield nameless
        os.fsync(nameless)
        # Python only follows the link where it is given a folder to begin from, of which this is none.
        os.link(f"/proc/self/fd/{nameless}", file, src_dir_fd=nameless, follow_symlinks=True)
        _keep_name(file)
    except FileExistsError as error:
        raise _made_meanwhile(file) from error
    except OSError as error:
        raise of_system(error, str(file)) from error
    finally:
        os.close(nameless)


def _nameless(file: Path) -> int | None:
    try:
        return os.open(file.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as error:
        raise NotFound(f"{file}: there is no folder {file.parent}") from error
    except OSError as error:
        if error.errno in _NO_NAMELESS:
            return None
        raise of_system(error, str(file)) from error


def _refuse_taken(file: Path) -> None:
    if not os.path.lexists(file):
        return
    is_files = file.is_file() or file.is_symlink()
    hint = "another name, or remove it first" if is_files else "another name"
    raise Conflict(f"{file} exists already", hint=hint)


def _claim(part: Path) -> None:
    """With its mode from the first; a stick's filesystem has none, and a chmod there fails."""
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileNotFoundError as error:
        raise NotFound(f"{part}: there is no folder {part.parent}") from error
    except FileExistsError as error:
        hint = "another command makes it, or one was killed: then remove that file"
        raise Conflict(f"{part} exists already", hint=hint) from error


def _publish(part: Path, file: Path) -> None:
    with part.open("rb") as made:
        os.fsync(made.fileno())
    try:
        os.link(part, file)
    except FileExistsError as error:
        raise _made_meanwhile(file) from error
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if os.path.lexists(file):  # a rename would replace it
            raise _made_meanwhile(file) from error
        part.rename(file)


def _keep_name(file: Path) -> None:
    """Whoever deletes a machine once its export is there must find that after a power cut as well, also on
    another disk, whose journal knows nothing of this one's."""
    try:
        sync(file.parent)
    except OSError as error:
        if error.errno not in _NO_FOLDERS_SYNCED:
            raise


def _made_meanwhile(file: Path) -> Conflict:
    return Conflict(f"{file} was made by somebody else meanwhile")
