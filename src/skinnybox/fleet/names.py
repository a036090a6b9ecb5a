"""Names and patterns: `web-{01..40}` makes names, `web-*` picks among those that exist."""

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from skinnybox.errors import NotFound, UsageError
from skinnybox.model import check_name
from skinnybox.printable import quoted, short

MOST_NAMES = 100_000
_BRACES = r"\{([^{}]*)\}"
_RANGE = r"([0-9]{1,60})\.\.([0-9]{1,60})"
_LONGEST = 1000
_ALL = "`skinnybox list` shows them all"


def expand(patterns: Iterable[str]) -> list[str]:
    """Names from patterns with `{01..40}` (padded as the first number is) and `{a,b}`, each checked.

    Raises UsageError for a name that is none, one that is given twice, or more than MOST_NAMES.
    """
    names: list[str] = []
    for pattern in patterns:
        names.extend(check_name(name) for name in _expand(pattern))
        _check_count(len(names))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"named twice: {', '.join(twice[:5])}")
    return names


def unfolded(pattern: str) -> list[str]:
    """The texts, of any kind, that a pattern with `{11..50}` and `{a,b}` makes. Raises UsageError."""
    return _expand(pattern)


def _expand(pattern: str) -> list[str]:
    if len(pattern) > _LONGEST:
        raise UsageError(f"{quoted(pattern)}: a pattern of more than {_LONGEST} characters")
    found = re.search(_BRACES, pattern)
    if not found:
        return [pattern]
    tails = _expand(pattern[found.end() :])
    choices = _choices(found[1], pattern)
    _check_count(len(choices) * len(tails))
    return [pattern[: found.start()] + choice + tail for choice in choices for tail in tails]


def _choices(inside: str, pattern: str) -> Sequence[str]:
    numbers = re.fullmatch(_RANGE, inside)
    if not numbers:
        if "," in inside:
            return inside.split(",")
        raise UsageError(
            f"{quoted(pattern)}: {{{short(inside)}}} is neither a range nor a list", hint="web-{01..40}"
        )
    first, last = int(numbers[1]), int(numbers[2])
    if last < first:
        raise UsageError(f"{quoted(pattern)}: the range {short(inside)} runs backwards")
    _check_count(last - first + 1)
    return [str(number).zfill(len(numbers[1])) for number in range(first, last + 1)]


def _check_count(count: int) -> None:
    if count > MOST_NAMES:
        raise UsageError(f"more than {MOST_NAMES} names in one call")


def select(patterns: Iterable[str], existing: Iterable[str]) -> list[str]:
    """The existing names that the patterns mean, each once, in the patterns' order.

    A plain name must exist, a glob (`*`, `?`, `[...]`) must match something, else NotFound.
    """
    known = sorted(existing)
    lookup = set(known)
    chosen: dict[str, None] = {}
    for pattern in patterns:
        if any(sign in pattern for sign in "*?["):
            found = fnmatch.filter(known, pattern)
            if not found:
                raise NotFound(f"no machine matches {quoted(pattern)}", hint=_ALL)
        else:
            found = _expand(pattern)
            missing = [name for name in found if name not in lookup]
            if missing:
                raise NotFound(
                    f"no machine named {', '.join(map(short, missing[:5]))}",
                    hint=near(missing[0], known, _ALL),
                )
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def near(name: str, known: Iterable[str], otherwise: str | None = None, before: str = "") -> str | None:
    """A hint at what was perhaps meant; `otherwise` when nothing is near. That all begin with `before` makes
    none of them nearer."""
    import difflib

    words = [word.removeprefix(before) for word in known]
    found = difflib.get_close_matches(name.removeprefix(before), words, n=3)
    return f"did you mean {', '.join(before + word for word in found)}?" if found else otherwise
