"""A machine moved to another state folder of this computer."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from skinnybox import private, run
from skinnybox.delta.archive import exported, restored
from skinnybox.errors import Corrupt, NoSpace, SkinnyboxError, UsageError
from skinnybox.fleet import exporting, power, restoring
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.context import Context
from skinnybox.fleet.moving import Move, differs, key_of
from skinnybox.fleet.repair import unfinished
from skinnybox.fleet.scratch_copy import readable
from skinnybox.fleet.view import MachineView
from skinnybox.masters.bringing import bring_layer, bring_master
from skinnybox.masters.workspace import at_work
from skinnybox.model import DiskKind, Instance
from skinnybox.operation import Operation


class Folder:
    """The Destination that is a fleet which is open here."""

    def __init__(self, here: Context, there: Context) -> None:
        """UsageError where both are one folder."""
        if there.folder.exists() and here.folder.exists() and there.folder.samefile(here.folder):
            raise UsageError(
                f"{here.folder} is where the machines are already", hint="--to names another folder"
            )
        self._there = there
        self.where = str(there.folder)
        self.unknown: tuple[type[SkinnyboxError], ...] = ()

    def known(self, instance: Instance, operation: Operation) -> Instance | None:
        for row in self._there.catalog.rows():
            if row.instance.uuid == instance.uuid and row.phase is Phase.DEFINED:
                return row.instance
        return None

    def bring(self, here: Context, instance: Instance, operation: Operation) -> None:
        with self._told():
            private.make_folder(self._there.folder)
            unfinished.finish(self._there.host, self._there.catalog)
            bring(here, self._there, instance, operation)

    def make(
        self, here: Context, machine: MachineView, disks: Mapping[DiskKind, Path], wanted: Move,
        operation: Operation,
    ) -> Instance:  # fmt: skip
        with self._told(), self._archived(machine, disks, operation) as archive:
            order = restoring.Restore(sources=(archive,), changes=wanted.changes, key_of=key_of(here))
            return restoring.restore(self._there, machine.name, order, operation)

    def compare(
        self, here: Context, machine: MachineView, disks: Mapping[DiskKind, Path], made: Instance,
        operation: Operation, *, fresh: bool,
    ) -> None:  # fmt: skip
        """What was just made of an archive was compared with that."""
        if not fresh:
            with self._told(), self._archived(machine, disks, operation) as archive:
                self._compare(made, machine.instance, archive, operation)

    def remember(self, made: Instance, machine: MachineView) -> None:
        if machine.host_keys:
            self._there.catalog.pin_host_keys(made.uuid, machine.host_keys)
        run.run(["sync", "-f", self._there.folder])

    @contextmanager
    def _archived(
        self, machine: MachineView, disks: Mapping[DiskKind, Path], operation: Operation
    ) -> Iterator[Path]:
        """What it is now, on its way."""
        with ExitStack() as held:
            there = self._there.folder
            folder = Path(
                held.enter_context(tempfile.TemporaryDirectory(dir=there, prefix=".copy-", suffix=".new"))
            )
            held.enter_context(at_work(folder))
            archive = folder / machine.name
            manifest = exporting.manifest_of(machine, tuple(disks))
            with archive.open("xb") as file:
                exported.export(disks, manifest, file.fileno(), there, operation)
            yield archive

    def _compare(self, found: Instance, instance: Instance, archive: Path, operation: Operation) -> None:
        there, machine = self._there, self._there.queries.view(found)
        if power.running(machine) or found.disks.keys() != instance.disks.keys():
            raise differs(found.name)
        size = sum(disk.size for disk in found.disks.values())
        with ExitStack() as held:
            archives = restored.looked([archive], there.folder)
            chain = held.enter_context(restored.read(archives, size, there.folder, operation))
            has_data = found.data is not None
            disks = held.enter_context(readable(there.host, machine, there.folder, operation, data=has_data))
            for kind, disk in disks.items():
                operation.step(task="move", detail="comparing")
                try:
                    restored.compare(chain, kind, disk)
                except (Corrupt, NoSpace) as error:
                    raise differs(found.name) from error

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SkinnyboxError as error:
            if self.where not in error.message:
                error.message = f"{self.where}: {error.message}"
            raise


def bring(here: Context, there: Context, instance: Instance, operation: Operation) -> None:
    """Its master and layers."""
    stack, target = instance.stack, there.folder
    identity = stack.master.removeprefix("sha256:")
    master = here.masters.find(identity)
    held = here.masters.kept(identity)
    bring_master(here.folder / "masters", target / "masters", master, held, operation)
    for layer_id in stack.layer_ids:
        layer = here.layers.by_id(layer_id)
        bring_layer(here.folder / "layers", target / "layers", layer, here.layers.held(), operation)
