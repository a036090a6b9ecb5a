"""What becomes of seeds by a plan: what goes with a new one, and what it would cost. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from skinnybox.fleet.plan import of_data
from skinnybox.fleet.plan.compare import Difference, seed_changes
from skinnybox.fleet.specification import Specification
from skinnybox.model import Instance
from skinnybox.model.throwaway import empties

LOST = "all that it wrote so far would be gone at its next start"

_BOUND = {"memory": ("throw_away",), "network": ("address", "nic"), "bridge": ("address", "nic")}
"""What is set, and what of the seed says how it is used: one without the other would be a machine that nobody
asked for, with the address of another network, or more thrown away in memory than it has."""


def changes(name: str, has: Instance, to_be: Specification) -> tuple[Difference, ...]:
    """What a new seed would change, which brings a data disk and its folders as well."""
    named = replace(to_be, hostname=to_be.hostname or name)
    return (*seed_changes(has, named), *of_data.additions(has.data, to_be.data))


def loses(has: Instance, to_be: Specification) -> bool:
    """Whether its next start would throw away what is the machine's own."""
    return empties(has.throw_away, to_be.throw_away)


def bound(settings: Iterable[Difference], seed: Sequence[Difference]) -> Iterator[Difference]:
    """Those of the settings that wait for the seed, where that has to wait."""
    for change in settings:
        if any(each.what.split()[0] in _BOUND.get(change.what, ()) for each in seed):
            yield change
