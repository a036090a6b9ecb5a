"""A file made for the user: under its name it is whole, or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skinnybox.errors import Conflict, NoSpace, SkinnyboxError
from skinnybox.overlays import space


@contextmanager
def handed_out(file: Path) -> Iterator[Path]:
    """An empty private file beside `file` to be filled, or replaced; it gets that name after the block, and
    is gone when that fails. Conflict when the name is taken, or somebody else makes it just now; NoSpace."""
    if file.exists():
        raise Conflict(f"{file} exists already", hint="another name, or remove it first")
    part = file.with_name(f"{file.name}.part")
    try:
        _claim(part)
        try:
            yield part
            _publish(part, file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        if space.is_out_of_space(error):
            raise NoSpace(f"the disk is full: {error.filename or file}") from error
        raise SkinnyboxError(f"{error.filename or file}: {error.strerror}") from error


def _claim(part: Path) -> None:
    try:
        part.open("xb").close()
    except FileExistsError as error:
        hint = "another command makes it, or one was killed: then remove that file"
        raise Conflict(f"{part} exists already", hint=hint) from error
    part.chmod(0o600)


def _publish(part: Path, file: Path) -> None:
    with part.open("rb") as made:
        os.fsync(made.fileno())
    try:
        os.link(part, file)
    except FileExistsError as error:
        raise Conflict(f"{file} was made by somebody else meanwhile") from error
