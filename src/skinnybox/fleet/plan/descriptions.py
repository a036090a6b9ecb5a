"""Plans in words, for a person."""

from collections.abc import Sequence

from skinnybox.fleet.plan.actions import Action, Verb, Wanted
from skinnybox.fleet.plan.compare import Difference
from skinnybox.model import Allocation
from skinnybox.model.fields import machine_fields
from skinnybox.model.kinds import SIZE
from skinnybox.sizes import format_size

_SIZES = {field.told for field in machine_fields() if field.kind is SIZE}


def describe(difference: Difference) -> str:
    """`memory 512M -> 1.0G`."""
    return (
        f"{difference.what} {_shown(difference, difference.before)} -> {_shown(difference, difference.after)}"
    )


def _shown(difference: Difference, value: str | int | bool | None) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "on" if value else "off"
        case int() if difference.what in _SIZES:
            return format_size(value)
    return str(value)


def summary(wanted: Wanted) -> str:
    """What a new machine will be."""
    of = wanted.specification
    size, sparse = (
        format_size(of.overlay.size),
        " sparse" if of.overlay.allocation is Allocation.SPARSE else "",
    )
    cpus = f", {of.cpus} cpus" if of.cpus > 1 else ""
    data = f", data {format_size(of.data.size)}" if of.data else ""
    address = f", {','.join(of.static_network.addresses)}" if of.static_network else ""
    disks = f"overlay {size}{sparse}{data}"
    return f"{wanted.stack.reference}, {disks}, memory {format_size(of.memory)}{cpus}{address}"


def count(actions: Sequence[Action]) -> str:
    """`40 to create, 40 to start, 2 blocked`."""
    words = []
    for verb in Verb:
        number = sum(action.verb is verb for action in actions)
        if number:
            words.append(f"{number} blocked" if verb is Verb.BLOCKED else f"{number} to {verb}")
    return ", ".join(words) or "nothing to do"
