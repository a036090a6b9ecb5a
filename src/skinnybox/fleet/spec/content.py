"""What a fleet file brings along: files beside it, public keys, and whether a seed can carry them.

Every ValueError here is for the user: pydantic takes them as what is wrong with a value.
"""

from collections.abc import Callable
from errno import EFBIG
from pathlib import Path
from typing import Any, TypeVar

from skinnybox import named_file
from skinnybox.errors import UsageError
from skinnybox.fleet import seed_parts

T = TypeVar("T")

_MOST_FILE = 4 << 20
NOWHERE = Path("/dev/null/nowhere")
"""The folder of a text that came over a network: whoever sent it is not to read files of this host."""


def content_of(file: str, folder: Path) -> bytes:
    """At most 4 MiB of an ordinary file. Raises ValueError."""
    if folder == NOWHERE:
        raise ValueError("no file of the server is read for who is elsewhere: say here what is in it")
    try:
        path = folder / named_file.expanded(file)
        return named_file.content(path, _MOST_FILE)
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist") from error
    except OSError as error:
        more = "; large files belong in the master" if error.errno == EFBIG else ""
        raise ValueError(f"{path}: {error.strerror}{more}") from error
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


def public_keys(text: str) -> tuple[str, ...]:
    """The keys in it. Raises ValueError."""
    return checked(lambda: seed_parts.public_keys(text))


def try_seed(user: str = "root", **parts: Any) -> bytes:
    """The message with this seed in it. Raises ValueError for what a seed cannot carry."""
    return checked(lambda: seed_parts.message_of(user, **parts))


def checked(deed: Callable[[], T]) -> T:
    """What is wrong by the rules of the house, as pydantic wants to hear it."""
    try:
        return deed()
    except UsageError as error:
        raise ValueError(f"{error.message}; {error.hint}" if error.hint else error.message) from error
