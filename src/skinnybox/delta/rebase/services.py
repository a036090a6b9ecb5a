"""What the init starts afterwards: enablement of both sides, united. New services open ports."""

from collections.abc import Iterator

from skinnybox.delta.rebase.values import Decision, Fate, Subject
from skinnybox.masters.system.source import Source
from skinnybox.masters.system.values import System

_ADMINISTRATOR = "etc/systemd/system"

Wants = frozenset[tuple[str, str]]
"""A unit, and what wants it."""


def wants(system: System) -> Wants:
    return frozenset((unit.name, target) for unit in system.units for target in unit.wanted_by)


def united(old: Wants, new: Wants, machine: Wants) -> Wants:
    """What the machine enabled or disabled itself stays so; all else is the new master's."""
    return frozenset((new - (old - machine)) | (machine - old))


def masked(machine: Source) -> frozenset[str]:
    """What somebody keeps from being started there, whatever wants it."""
    return frozenset(name for name, target in machine.links(_ADMINISTRATOR).items() if target == "/dev/null")


def decisions(
    old: Wants, new: Wants, machine: Wants, never: frozenset[str] = frozenset()
) -> Iterator[Decision]:
    """`never`: what is masked in the machine."""
    after = united(old, new, machine)
    started, starts = _by_unit(machine), _by_unit(after)
    for unit in sorted(starts.keys() - started.keys()):
        if {unit, file_of(unit)} & never:
            continue
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


def file_of(unit: str) -> str:
    """That of an instance is its template's."""
    name, at, rest = unit.partition("@")
    return f"{name}@.{rest.rpartition('.')[2]}" if at else unit


def _by_unit(found: Wants) -> dict[str, str]:
    units: dict[str, list[str]] = {}
    for unit, target in sorted(found):
        units.setdefault(unit, []).append(target)
    return {unit: ", ".join(targets) for unit, targets in units.items()}
