"""What was made for one version of a language: below /usr/local, in homes and in virtual environments.

No package manager knows of it, and nothing checks it; when the version goes it is there and does not run.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache

from skinnybox.delta.rebase.values import Decision, Fate, Subject

_MADE_FOR = (
    (re.compile(rb"(?:.+/)?lib/(python3\.\d+)/(?:site|dist)-packages/.+", re.DOTALL), "{}"),
    (re.compile(rb"(?:.+/)?(?:lib/ruby|gems)/(?:[^/]+/)?(\d\.\d)\.\d/.+", re.DOTALL), "ruby{}"),
    (re.compile(rb"(?:.+/)?(?:lib|share)/(?:[^/]+/)?perl5?/(5\.\d+)(?:\.\d+)?/.+", re.DOTALL), "perl {}"),
    (re.compile(rb"usr/lib/php/(\d{8})/.+", re.DOTALL), "phpapi-{}"),
    (re.compile(rb"(?:.+/)?node_modules/(?:.+/)?[^/]+\.node()", re.DOTALL), "nodejs{}"),
)  # fmt: skip
_DISTRIBUTIONS = (b"usr/lib/python3/", b"usr/share/perl5/", b"usr/lib/python3.")
_MOST = 200


def made_for(path: bytes) -> str | None:
    """The language and its version that a file which no package brought is of no use without."""
    if path.startswith(_DISTRIBUTIONS):
        return None
    for pattern, form in _MADE_FOR:
        found = pattern.fullmatch(path)
        if found:
            return form.format(found[1].decode())
    return None


class Tally:
    """What was found while paths went by, by language."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._first: dict[str, bytes] = {}

    def see(self, path: bytes) -> None:
        what = made_for(path)
        if what is not None and (what in self._count or len(self._count) < _MOST):
            self._count[what] += 1
            self._first.setdefault(what, path)

    def decisions(self, packages: Iterable[tuple[str, str]]) -> Iterator[Decision]:
        """Of those that the packages (name, version) that are there afterwards do not have."""
        there = frozenset(packages)
        for what, count in sorted(self._count.items()):
            if not _has(there, what):
                first = self._first[what].decode("utf-8", "surrogateescape")
                detail = f"{count} files, such as /{first}: the new stack has no {what}"
                yield Decision(
                    subject=Subject.BOUND, kind="bound", fate=Fate.REPORT, name=what, detail=detail
                )


@lru_cache(maxsize=64)
def _has(there: frozenset[tuple[str, str]], what: str) -> bool:
    language, _, version = what.partition(" ")
    if version:
        return any(name == language and told.startswith(f"{version}.") for name, told in there)
    if what.startswith("phpapi-"):  # a virtual package: which PHP provides it is not known here
        return True
    return any(name == what or name.startswith(f"{what}-minimal") for name, _ in there)
