"""Requests that may be sent twice, and are done once: whoever got no answer sends the same again."""

import hashlib
import json
from collections.abc import Callable

from skinnybox.errors import UsageError
from skinnybox.fleet.catalog import answers
from skinnybox.fleet.catalog.catalog import Catalog

_LONGEST = 255


class Once:
    """Those of one catalog; `fleet.once` of a Fleet."""

    def __init__(self, catalog: Catalog) -> None:
        self._database = catalog.database

    def begin(self, whose: str, key: str, said: object, begin: Callable[[], int]) -> int:
        """The job that `begin` begins, or that it began when `whose` key came with the same (plain values)
        within a day. Raises what it raises, and what answers.claim does."""
        if not (0 < len(key) <= _LONGEST and key.isascii() and key.isprintable()):
            raise UsageError(f"a key is 1 to {_LONGEST} characters of ASCII that can be printed")
        digest = _digest([whose, key])
        before = answers.claim(self._database, digest, _digest(said))
        if before is not None:
            return before
        try:
            job = begin()
        except BaseException:
            answers.give_up(self._database, digest)
            raise
        answers.settle(self._database, digest, job)
        return job


def _digest(said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
