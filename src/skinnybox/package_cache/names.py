"""Names of packages, as a machine says them: its guest's root may have written any."""

import re
from collections.abc import Iterable

from skinnybox.errors import Blocked

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,198}[a-z0-9+.]")
_MOST_CHARACTERS = 100_000
"""Of names on one command line."""


def checked(names: Iterable[str]) -> tuple[str, ...]:
    """Each once. Raises Blocked for more than a command takes, and for what is no name."""
    found = tuple(dict.fromkeys(names))
    wrong = next((name for name in found if not _NAME.fullmatch(name)), None)
    if wrong is not None:
        raise Blocked(f"{wrong!r:.100} is no name of a package")
    if sum(map(len, found)) > _MOST_CHARACTERS:
        raise Blocked(f"{len(found)} packages are more than can be installed again")
    return found
