"""A batch of machines as somebody elsewhere describes it: what a group of a fleet file says, and their names.

So what may be said, what is checked and what is told of a mistake are those of a fleet file; only the places
of mistakes are keys instead of lines. No file of this host may be named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from skinnybox.errors import UsageError
from skinnybox.fleet.create import Batch
from skinnybox.fleet.names import expand
from skinnybox.fleet.spec import marked
from skinnybox.fleet.spec.content import NOWHERE
from skinnybox.fleet.spec.marked import Marked, Mistake
from skinnybox.fleet.spec.reading import MOST_MISTAKES, understood
from skinnybox.printable import printable

MOST = 5_000
"""Machines of one batch."""
_PATTERN = "batch"
_HINT = "the keys are those of a group of a fleet file: docs/reference/fleet-file.md tells every one"


class Misdescribed(UsageError):
    """`places` says of each mistake where it is, from the top of what was sent, and what it is."""

    def __init__(self, places: Sequence[Mapping[str, Any]]) -> None:
        told = "; ".join(f"{'.'.join(map(str, each['where']))}: {each['what']}" for each in places[:3])
        super().__init__(f"{len(places)} mistakes: {told}", hint=_HINT)
        self.places = list(places)


def batch(patterns: Sequence[str], group: Mapping[str, Any], fleet: str | None = None) -> Batch:
    """Machines of these names, of a fleet or of none. Misdescribed, with every mistake."""
    names = expand(patterns)
    if not names or len(names) > MOST:
        raise UsageError(f"{len(names)} machines; a batch is of 1 to {MOST}")
    document = {"version": 1, "fleet": fleet or _PATTERN, "machines": {_PATTERN: dict(group)}}
    found = marked.of_values(document)
    _, machines = understood(found, NOWHERE, lambda _: names)
    if found.mistakes:
        raise Misdescribed(_places(found))
    each = {one.name: replace(one.specification, fleet=fleet) for one in machines}
    return Batch(master=machines[0].master, each=each)


def _places(found: Marked) -> list[dict[str, Any]]:
    trails = {place.line: trail for trail, place in found.values.items()}

    def told(mistake: Mistake) -> dict[str, Any]:
        return {"where": list(trails[mistake.place.line][2:]), "what": printable(mistake.what)[:1000]}

    return [told(mistake) for mistake in sorted(set(found.mistakes))][:MOST_MISTAKES]
