"""Which machines somebody may see and change, and what they ask to be done with them.

A token may be that of one fleet: then the others' machines are as if they were not there.
"""

from collections.abc import Callable, Sequence

from skinnybox.fleet.names import select
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.gate.principal import Principal
from skinnybox.gate.principal import whole as whole
from skinnybox.operation import Operation

ALL = ("*",)


def machines(fleet: Fleet, who: Principal, patterns: Sequence[str] = ALL) -> list[MachineView]:
    """Those that names and globs mean. NotFound when one means none that they reach."""
    if who.fleet is None:
        return fleet.machines(patterns)
    theirs = [machine for machine in fleet.machines() if machine.instance.fleet == who.fleet]
    if tuple(patterns) == ALL:
        return theirs
    chosen = set(select(patterns, [machine.name for machine in theirs]))
    return [machine for machine in theirs if machine.name in chosen]


def names(fleet: Fleet, who: Principal, patterns: Sequence[str] = ALL) -> list[str]:
    return [machine.name for machine in machines(fleet, who, patterns)]


def begin(
    fleet: Fleet, who: Principal, verb: str, patterns: Sequence[str],
    act: Callable[[list[str], Operation], object],
) -> int:  # fmt: skip
    """The number of the job that does it to these machines. NotFound when there is one that is none."""
    found = names(fleet, who, patterns)
    return fleet.background.begin(who.actor, verb, found, lambda operation: act(found, operation))
