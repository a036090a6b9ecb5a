"""All records of one machine, each path once."""

from collections.abc import Iterator

from skinnybox.delta.rebase.records import (
    account_files,
    alternatives,
    by_path,
    debconf,
    extended_states,
    plain,
    status,
    triggers,
    ucf,
)
from skinnybox.delta.rebase.records.sides import Machine, Made, Sides

_FAMILIES = (
    account_files.made,
    status.made,
    by_path.made,
    triggers.made,
    extended_states.made,
    debconf.made,
    ucf.made,
    plain.made,
    alternatives.made,
    plain.leftovers,
)


def made(sides: Sides) -> Iterator[Made]:
    """What there is to be at every path that is a record, or follows from one; of paths that are not told
    here nothing is to be done. Only for a machine in whose plan nothing is in dispute. Raises Corrupt, with
    the path, for what cannot be read."""
    seen: set[str] = set()
    deleted = Deleted(sides.machine)
    for family in _FAMILIES:
        for each in family(sides):
            if each.path not in seen:
                seen.add(each.path)
                yield Made(path=each.path, hidden=each.hidden) if deleted.holds(each.path) else each


class Deleted:
    """Folders that the machine deleted: in those nothing is made."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._known: dict[str, bool] = {"": False}

    def holds(self, path: str) -> bool:
        folder = path.rpartition("/")[0]
        if folder not in self._known:
            self._known[folder] = self.holds(folder) or self._is_deleted(folder)
        return self._known[folder]

    def _is_deleted(self, folder: str) -> bool:
        above, _, name = folder.rpartition("/")
        return not self._machine.untouched(folder) and name not in self._machine.names(above)
