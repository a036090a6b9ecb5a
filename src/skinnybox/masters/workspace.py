"""Hidden folders in which masters are made, and the sweeping of those whose maker died."""

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from skinnybox.errors import CommandFailed, NoSpace, SkinnyboxError
from skinnybox.masters.catalogue import delete, locked

HIDDEN = (".sealing-", ".work-", ".removing-")
_HINT = "free some space there, or put the state folder elsewhere (SKINNYBOX_STATE)"


@contextlib.contextmanager
def workspace(store: Path, kind: str) -> Iterator[Path]:
    """A private folder `.KIND-...` in the store, gone afterwards unless renamed. `kind` is sealing or work.

    A lock on the folder tells the living from the dead; every call sweeps the dead. Do not hold `locked`.
    """
    with contextlib.ExitStack() as undo:
        with locked(store, exclusive=True):
            _sweep(store)
            work = Path(tempfile.mkdtemp(prefix=f".{kind}-{os.getpid()}-", dir=store))
            undo.callback(delete, work)
            _hold(work, undo)
        with no_space(store):
            yield work


@contextlib.contextmanager
def no_space(store: Path) -> Iterator[None]:
    """Turn a full disk, met by us or by a program we ran, into NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoSpace(f"no space left below {store}", hint=_HINT) from error
    except CommandFailed as error:
        if "No space left on device" not in error.stderr:
            raise
        raise NoSpace(f"no space left below {store}", hint=_HINT) from error


def _hold(work: Path, undo: contextlib.ExitStack) -> None:
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    undo.callback(os.close, descriptor)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """In the block a lock on the folder tells `repair` that it is not left over, however long that takes."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def sweep(store: Path) -> None:
    """Remove what was left by makers that died. Blocks while a master is published or removed."""
    with locked(store, exclusive=True):
        _sweep(store)


def _sweep(store: Path) -> None:
    for place in store.iterdir():
        if place.name.startswith(HIDDEN) and not alive(place):
            # What a namespace left belongs to ids that only a namespace may delete: its next call does.
            with contextlib.suppress(SkinnyboxError):
                delete(place)


def alive(place: Path) -> bool:
    """Whether the process that works in this hidden folder still does."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
