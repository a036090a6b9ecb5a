"""Which machines of a fleet file would get an address that somebody else has. Pure.

Those the file names are held against each other where it is read, and as they are to be: two of them may
exchange theirs. Here they are held against all that are not of the file.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from skinnybox.fleet.specification import places
from skinnybox.fleet.view import MachineView
from skinnybox.model.places import taken

if TYPE_CHECKING:
    from skinnybox.fleet.plan.actions import Choices, Desired


def clashes(desired: "Desired", actual: Mapping[str, MachineView], choices: "Choices") -> dict[str, str]:
    """By name of a machine, why it cannot be as the file wants it. What has the address already, by whatever
    way it came to it, goes on as it is."""
    named = {wanted.name for wanted in desired.machines}
    others = (machine for machine in actual.values() if machine.name not in named)
    held = {place: machine.name for machine in _staying(others, desired, choices) for place in _now(machine)}
    found = {}
    for wanted in desired.machines if held else ():
        machine = actual.get(wanted.name)
        has = _now(machine) if machine else ()
        for place in places(wanted.specification):
            if place in held and place not in has:
                found[wanted.name] = taken(place, held[place])
    return found


def _staying(others: Iterable[MachineView], desired: "Desired", choices: "Choices") -> Iterable[MachineView]:
    pruned = desired.fleet if choices.prune else None
    return (m for m in others if pruned is None or m.instance.fleet != pruned or m.instance.protected)


def _now(machine: MachineView) -> list[tuple[str, str]]:
    return places(machine.instance)
