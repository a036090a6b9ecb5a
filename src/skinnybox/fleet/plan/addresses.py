"""Which machines of a fleet file would get an address that somebody else has. Pure.

Those the file names are held against each other where it is read, and as they are to be: two of them may
exchange theirs. Here they are held against all that are not of the file, and against those of it that keep
what they have, as what would change them is blocked.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from skinnybox.fleet.specification import places
from skinnybox.fleet.view import MachineView
from skinnybox.model.places import taken

if TYPE_CHECKING:
    from skinnybox.fleet.plan.actions import Action, Choices, Desired


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


def kept_from(
    desired: "Desired", actual: Mapping[str, MachineView], actions: "Iterable[Action]"
) -> dict[str, str]:
    """The same of machines of the file, which would get what another of them does not leave. Who is kept from
    changing by that keeps its own as well."""
    moving = {action.name for action in actions if _moves(action)}
    wanting: dict[tuple[str, str], list[str]] = defaultdict(list)
    staying = []
    for wanted in desired.machines:
        has = _now(actual[wanted.name]) if wanted.name in actual else []
        to_be = places(wanted.specification)
        if has and wanted.name not in moving and set(has) - set(to_be):
            staying.append(wanted.name)
        for place in to_be if wanted.name in moving else ():
            if place not in has:
                wanting[place].append(wanted.name)
    found: dict[str, str] = {}
    for name in staying:  # which grows meanwhile
        for place in _now(actual[name]):
            for other in wanting.get(place, ()):
                if other != name and other not in found:
                    found[other] = taken(place, name)
                    staying += [other] if other in actual else []
    return found


def _moves(action: "Action") -> bool:
    """Whether its machine has what it is to have when that is done. Who waits for a seed has waited with its
    bridge, too: see of_seed.py."""
    of_bridge = any(change.what == "bridge" for change in action.differences)
    return action.verb in ("create", "recreate", "seed", "reset") or (action.verb == "set" and of_bridge)


def _staying(others: Iterable[MachineView], desired: "Desired", choices: "Choices") -> Iterable[MachineView]:
    pruned = desired.fleet if choices.prune else None
    return (m for m in others if pruned is None or m.instance.fleet != pruned or m.instance.protected)


def _now(machine: MachineView) -> list[tuple[str, str]]:
    return places(machine.instance)
