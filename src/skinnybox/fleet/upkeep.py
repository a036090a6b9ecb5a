"""Keeping a state folder and its host fit. No catalog has to be readable for that: it may be what is
broken."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from skinnybox.fleet import doctor
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.repair.examine import Examination, examine, opened
from skinnybox.fleet.repair.repair import repair
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.issues import Check, Finding
from skinnybox.model import Usage
from skinnybox.operation import UNATTENDED, Operation


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

    def repair(
        self, *, delete_orphans: bool = False, forget: bool = False, operation: Operation = UNATTENDED
    ) -> list[Outcome[Finding]]:
        """Do what `examine` says, and return what came of it. Conflict while another repair runs here.
        Without `forget` no more than half of the machines are forgotten at once. It is a job, where there is
        a catalog that can be read."""
        catalog, _ = opened(self._folder)
        if catalog is None:
            return repair(self._folder, self._host, delete_orphans=delete_orphans, forget=forget)
        with contextlib.closing(catalog):
            return _Repair(self._folder, self._host, catalog).run(
                delete_orphans=delete_orphans, forget=forget, operation=operation
            )


class _Repair:
    def __init__(self, folder: Path, host: Host, catalog: Catalog) -> None:
        self._folder, self._host, self._catalog = folder, host, catalog

    @as_job("repair")
    def run(self, *, delete_orphans: bool, forget: bool, operation: Operation) -> list[Outcome[Finding]]:
        return repair(self._folder, self._host, delete_orphans=delete_orphans, forget=forget)
