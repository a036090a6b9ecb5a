"""Keeping a state folder and its host fit. No catalog has to be readable for that: it may be what is
broken."""

from collections.abc import Sequence
from pathlib import Path

from skinnybox.fleet import doctor
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.repair.examine import Examination, examine
from skinnybox.fleet.repair.repair import repair
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.issues import Check, Finding
from skinnybox.model import Usage


class Upkeep:
    """Of one state folder on one host. Everything here blocks."""

    def __init__(self, folder: Path, host: Host) -> None:
        self._folder = folder
        self._host = host

    def doctor(self) -> list[Check]:
        """Whether the host is fit, and what was left half done. Changes nothing."""
        return doctor.examine(self._folder, self._host)

    def usage(self, machines: Sequence[MachineView]) -> dict[str, Usage]:
        """What those that run take of the host, by name; none where it does not tell."""
        found = self._host.usage([machine.instance for machine in machines])
        return {m.name: found[m.instance.uuid] for m in machines if m.instance.uuid in found}

    def examine(self, *, delete_orphans: bool = False, forget: bool = False) -> Examination:
        """What lies in the state folder and on the host, and what `repair` would do about it."""
        return examine(self._folder, self._host, delete_orphans=delete_orphans, forget=forget)

    def repair(self, *, delete_orphans: bool = False, forget: bool = False) -> list[Outcome[Finding]]:
        """Do what `examine` says, and return what came of it. Conflict while another repair runs here.
        Without `forget` no more than half of the machines are forgotten at once."""
        return repair(self._folder, self._host, delete_orphans=delete_orphans, forget=forget)
