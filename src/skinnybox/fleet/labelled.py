"""Machines by what they are labelled, and giving them labels."""

from collections.abc import Callable, Mapping, Sequence

from skinnybox.errors import NotFound
from skinnybox.fleet.change import Changes
from skinnybox.fleet.view import MachineView
from skinnybox.model import Instance
from skinnybox.model.labels import filtered, labels_of


def meant(machines: Sequence[MachineView], filters: Sequence[str]) -> list[str]:
    """Names of those for which all filters hold (model/labels.py). NotFound when there is none."""
    is_meant = filtered(filters)
    found = [machine.name for machine in machines if is_meant(_words(machine))]
    if not found:
        raise NotFound(f"no machine for which {' and '.join(filters)} holds", hint="skinnybox list")
    return found


def _words(machine: MachineView) -> Mapping[str, str]:
    """The master is meant by its name, and with its version."""
    instance = machine.instance
    own = {"name": machine.name, "state": str(machine.condition), "master": instance.stack.reference}
    return {**dict(instance.labels), **own, **({"fleet": instance.fleet} if instance.fleet else {})}


def labelling(added: Mapping[str, str], removed: Sequence[str]) -> Callable[[Instance], Changes]:
    """Of those it has when it is its turn; to remove one that it does not have changes nothing."""

    def change(instance: Instance) -> Changes:
        kept = {key: value for key, value in instance.labels if key not in removed}
        return {"labels": labels_of({**kept, **added})}

    return change
