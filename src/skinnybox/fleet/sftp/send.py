"""Into a machine: files of ours, under a name of their own until they are whole."""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from skinnybox import named_file
from skinnybox.errors import Conflict, GuestFailed, NotFound, SkinnyboxError, UsageError, of_system
from skinnybox.fleet.sftp.session import PIECE, Session
from skinnybox.fleet.sftp.tally import DEEPEST, Tally
from skinnybox.operation import Operation

_PERMISSIONS = 0o777
_CLEARING = 10.0
"""Seconds in which what was sent in vain has to be removed."""


def send(
    session: Session, source: Path, target: str, tally: Tally, operation: Operation, *, recursive: bool
) -> None:
    """The file or folder `source` becomes `target`, or goes into that when it is a folder; as fetch does."""
    try:
        is_folder = _kind_of(source, recursive)
        final = _final(session, source, os.fsencode(target) or b".", is_folder, tally)
        with _staged(session, final, tally, operation) as stage:
            if is_folder:
                _folder(session, source, stage, tally, 0)
            else:
                _file(session, source, stage, tally)
            session.rename(stage, final)
    except OSError as error:
        raise of_system(error, str(source)) from error


def _kind_of(source: Path, recursive: bool) -> bool:
    """Whether it is a folder."""
    try:
        mode = source.stat().st_mode
    except FileNotFoundError as error:
        raise NotFound(f"{source}: no such file") from error
    if stat.S_ISDIR(mode) and not recursive:
        raise UsageError(f"{source} is a folder", hint="-r copies it and all that is in it")
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UsageError(f"{source} is neither a file nor a folder")
    return stat.S_ISDIR(mode)


def _final(session: Session, source: Path, target: bytes, is_folder: bool, tally: Tally) -> bytes:
    final, there = target, session.look(target)
    if there is not None and there.is_folder:
        final = target.rstrip(b"/") + b"/" + os.fsencode(source.name)
        if source.name in ("", ".."):
            raise UsageError(f"{source} has no name of its own", hint="give the copy a name")
        there = session.look(final)
    if final.endswith(b"/") and not is_folder:
        raise NotFound(f"{tally.there(final)}: no such folder")
    final = final.rstrip(b"/")
    link = session.look(final, follow=False)
    if is_folder and link is not None:
        raise Conflict(
            f"{tally.there(final)} exists already", hint="a folder is copied whole, to a name that is free"
        )
    if there is not None and not there.is_file:
        raise Conflict(f"{tally.there(final)} is there and no file")
    return session.real(final) if link is not None and link.is_link else final


@contextlib.contextmanager
def _staged(session: Session, final: bytes, tally: Tally, operation: Operation) -> Iterator[bytes]:
    """A name for it until it is whole; what has it when that fails is removed, if that can still be asked."""
    above, slash, name = final.rpartition(b"/")
    stage = above + slash + b"." + name[:200] + b"." + secrets.token_hex(4).encode() + b".part"
    try:
        yield stage
    except BaseException:
        session.last_words(_CLEARING)
        try:
            _remove(session, stage, 0)
        except SkinnyboxError:
            operation.note(f"what came over of it may lie there: {tally.there(stage)}")
        raise


def _remove(session: Session, path: bytes, depth: int) -> None:
    """The machine says what is there, and need not say what we sent: so no list of it is kept, and no more is
    gone into than was sent."""
    if depth > DEEPEST + 1:
        raise GuestFailed(f"what it says is there is more than {DEEPEST} folders deep")
    found = session.look(path, follow=False)
    if found is None:
        return
    if not found.is_folder:
        session.remove(path)
        return
    session.set_mode(path, 0o700)
    for name, _ in session.names(path):
        _remove(session, path + b"/" + name, depth + 1)
    session.remove_folder(path)


def _file(session: Session, source: Path, target: bytes, tally: Tally) -> None:
    with named_file.opened(source) as file:
        mode = os.fstat(file.fileno()).st_mode & _PERMISSIONS

        def pieces() -> Iterator[bytes]:
            while piece := file.read(PIECE):
                yield piece
                tally.add(len(piece), os.fsencode(source))

        session.write(target, mode, pieces())


def _folder(session: Session, source: Path, target: bytes, tally: Tally, depth: int) -> None:
    if depth > DEEPEST:
        raise UsageError(f"{source} is more than {DEEPEST} folders deep")
    session.make_folder(target)
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        path, to = Path(entry.path), target + b"/" + os.fsencode(entry.name)
        tally.enter(to)
        if entry.is_symlink():
            session.make_link(to, os.fsencode(path.readlink()))
        elif entry.is_dir():
            _folder(session, path, to, tally, depth + 1)
        elif entry.is_file():
            _file(session, path, to, tally)
        else:
            tally.leave_out(to, "no file")
    session.set_mode(target, source.stat().st_mode & _PERMISSIONS)
