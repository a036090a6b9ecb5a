"""What the init starts afterwards: enablement of both sides, united. New services open ports."""

from collections.abc import Iterator

from skinnybox.delta.rebase.values import Decision, Fate, Subject
from skinnybox.masters.system.values import System

Wants = frozenset[tuple[str, str]]
"""A unit, and what wants it."""


def wants(system: System) -> Wants:
    return frozenset((unit.name, target) for unit in system.units for target in unit.wanted_by)


def united(old: Wants, new: Wants, machine: Wants) -> Wants:
    """What the machine enabled or disabled itself stays so; all else is the new master's."""
    return frozenset((new - (old - machine)) | (machine - old))


def decisions(old: Wants, new: Wants, machine: Wants) -> Iterator[Decision]:
    after = united(old, new, machine)
    started, starts = _by_unit(machine), _by_unit(after)
    for unit in sorted(starts.keys() - started.keys()):
        yield Decision(
            subject=Subject.SERVICE, kind="starts", fate=Fate.START, name=unit, detail=f"for {starts[unit]}"
        )
    for unit in sorted(started.keys() - starts.keys()):
        yield Decision(
            subject=Subject.SERVICE,
            kind="stops",
            fate=Fate.STOP,
            name=unit,
            detail=f"was for {started[unit]}",
        )


def _by_unit(found: Wants) -> dict[str, str]:
    units: dict[str, list[str]] = {}
    for unit, target in sorted(found):
        units.setdefault(unit, []).append(target)
    return {unit: ", ".join(targets) for unit, targets in units.items()}
