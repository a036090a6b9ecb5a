"""The key that signs what browsers keep: made once, so that a server started anew knows its people."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from skinnybox import named_file, private
from skinnybox.errors import NotAFile, of_system

FILE = "serve.key"
_SIZE = 32


def signing_key(folder: Path) -> bytes:
    """For who alone serves the folder (alone.py). One that is none, or that others may have read, is made
    anew: everybody signs in again, and nothing else is lost."""
    path = folder / FILE
    try:
        with suppress(FileNotFoundError, NotAFile):
            found = path.lstat()
            key = named_file.content(path, 2 * _SIZE)
            if len(key) == _SIZE and not found.st_mode & 0o077 and private.owns(found):
                return key
        return _made(path)
    except OSError as error:
        raise of_system(error, str(path)) from error


def _made(path: Path) -> bytes:
    key, beside = secrets.token_bytes(_SIZE), path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with private.create(beside) as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return key
