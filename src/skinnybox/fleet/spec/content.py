"""What a fleet file brings along: files beside it, public keys, and whether a seed can carry them.

Every ValueError here is for the user: pydantic takes them as what is wrong with a value.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from skinnybox.errors import UsageError
from skinnybox.fleet import seed_parts
from skinnybox.sizes import format_size

T = TypeVar("T")

_MOST_FILE = 4 << 20


def content_of(file: str, folder: Path) -> bytes:
    """At most 4 MiB of an ordinary file. Raises ValueError."""
    path = folder / Path(file).expanduser()
    try:
        if not path.is_file():
            raise ValueError(f"{path} is not a file" if path.exists() else f"{path} does not exist")
        with path.open("rb") as source:
            content = source.read(_MOST_FILE + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if len(content) > _MOST_FILE:
        raise ValueError(f"{path} is larger than {format_size(_MOST_FILE)}; large files belong in the master")
    return content


def public_keys(text: str) -> tuple[str, ...]:
    """The keys in it. Raises ValueError."""
    return checked(lambda: seed_parts.public_keys(text))


def try_seed(**parts: Any) -> bytes:
    """The message with this seed in it. Raises ValueError for what a seed cannot carry."""
    return checked(lambda: seed_parts.message_of(**parts))


def checked(deed: Callable[[], T]) -> T:
    """What is wrong by the rules of the house, as pydantic wants to hear it."""
    try:
        return deed()
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.hint}" if error.hint else error.message) from error
