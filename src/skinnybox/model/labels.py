"""Labels: words of a user's own on machines, and which machines a filter means.

role=web    its label `role` is `web`        role!=web   it is another, or it has none
role        it has a label `role`            !role       it has none
`state`, `master`, `fleet` and `name` stand for what the machine is, as if they were labels
"""

import re
from collections.abc import Callable, Mapping, Sequence

from skinnybox.errors import UsageError
from skinnybox.values import dataclass

Labels = tuple[tuple[str, str], ...]
"""In the order of their keys, each once."""
MOST, MOST_VALUE = 32, 128
RESERVED = ("name", "state", "master", "fleet")
_KEY = "[a-z0-9]([a-z0-9._/-]{0,61}[a-z0-9])?"
_HINT = "role=web"


def labels_of(values: Mapping[str, str]) -> Labels:
    """Raises UsageError for what cannot be a label, or too many of them."""
    if len(values) > MOST:
        raise UsageError(f"{len(values)} labels, and {MOST} are the most of one machine")
    for key, value in values.items():
        check_key(key)
        if key in RESERVED:
            raise UsageError(f"{key} is no label: a filter means what the machine is by it", hint=_HINT)
        if len(value) > MOST_VALUE or not value.isprintable():
            what = f"up to {MOST_VALUE} printable characters"
            raise UsageError(f"the value of the label {key} is {what}, not {value!r:.40}", hint=_HINT)
    return tuple(sorted(values.items()))


def check_key(key: str) -> None:
    if not re.fullmatch(_KEY, key):
        raise UsageError(
            f"{key!r:.60} is no label's key: a-z, 0-9 and, within, `.`, `_`, `/`, `-`", hint=_HINT
        )


def parse_label(text: str) -> tuple[str, str]:
    """KEY=VALUE; the value may be empty. Raises UsageError."""
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r:.60} is not KEY=VALUE", hint=_HINT)
    labels_of({key: value})
    return key, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Whether a machine with such words is meant; `value` None: whether it has one at all."""

    key: str
    value: str | None
    wanted: bool

    def means(self, words: Mapping[str, str]) -> bool:
        has = self.key in words if self.value is None else words.get(self.key) == self.value
        return has is self.wanted


def parse_filter(text: str) -> Filter:
    """Raises UsageError."""
    key, equals, value = text.partition("=")
    wanted = not key.endswith("!") if equals else not key.startswith("!")
    key = key.removesuffix("!") if equals else key.removeprefix("!")
    check_key(key)
    return Filter(key=key, value=value if equals else None, wanted=wanted)


def filtered(texts: Sequence[str]) -> Callable[[Mapping[str, str]], bool]:
    """All of them hold. Raises UsageError."""
    filters = [parse_filter(text) for text in texts]
    return lambda words: all(each.means(words) for each in filters)
