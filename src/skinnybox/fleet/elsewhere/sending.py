"""A machine moved to another computer: what it needs, it itself, and what became of it asked back."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from skinnybox import __version__
from skinnybox.delta.archive import exported
from skinnybox.errors import Cancelled, NotReached, SkinnyboxError, Unsupported
from skinnybox.fleet import exporting
from skinnybox.fleet.context import Context
from skinnybox.fleet.elsewhere import form
from skinnybox.fleet.elsewhere.asking import Feed, ask, write
from skinnybox.fleet.elsewhere.place import Place
from skinnybox.fleet.moving import Destination, Move, differs, key_of, move, stay
from skinnybox.fleet.moving_folder import Folder
from skinnybox.fleet.view import MachineView
from skinnybox.masters import bringing
from skinnybox.model import DiskKind, Instance, Layer, Master
from skinnybox.operation import Operation


class Far:
    """The Destination that is reached by ssh. What it says of a machine before that is sent, it says once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._said = dict[UUID, dict[str, Any]]()
        self.where = place.where
        self.unknown: tuple[type[SkinnyboxError], ...] = (NotReached, Cancelled)

    def known(self, instance: Instance, operation: Operation) -> Instance | None:
        name = self._about(instance, operation).get("known")
        return replace(instance, name=str(name)) if name else None

    def bring(self, here: Context, instance: Instance, operation: Operation) -> None:
        """What it says that it needs."""
        needs = self._about(instance, operation).get("needs")
        wanted = set(map(str, needs)) if isinstance(needs, list) else set()
        stack = instance.stack
        identity = stack.master.removeprefix("sha256:")
        if stack.master in wanted:
            store, master = here.folder / "masters", here.masters.find(identity)
            self._send("master", store, master, here.masters.kept(identity), operation)
        for layer_id in stack.layer_ids:
            if layer_id in wanted:
                layer, held = here.layers.by_id(layer_id), here.layers.held()
                self._send("layer", here.folder / "layers", layer, held, operation)

    def make(
        self, here: Context, machine: MachineView, disks: Mapping[DiskKind, Path], wanted: Move,
        operation: Operation,
    ) -> Instance:  # fmt: skip
        self._send_machine(here, machine, disks, wanted, operation)
        return machine.instance

    def compare(
        self, here: Context, machine: MachineView, disks: Mapping[DiskKind, Path], made: Instance,
        operation: Operation, *, fresh: bool,
    ) -> None:  # fmt: skip
        """As that computer reads its disks now."""
        instance = machine.instance
        operation.step(task="move", detail=f"comparing with {self.where}")
        request = {"ask": "settle", "uuid": str(instance.uuid), "host_keys": list(machine.host_keys)}
        found = ask(self._place, request, operation)
        if found.get("sum") != exported.index_sum(disks, instance.name):
            raise differs(f"{found.get('name')} in {self.where}")

    def remember(self, made: Instance, machine: MachineView) -> None:
        """It was, when it was compared."""

    def _about(self, instance: Instance, operation: Operation) -> dict[str, Any]:
        if instance.uuid in self._said:
            return self._said[instance.uuid]
        stack = instance.stack
        request = {
            "ask": "about", "uuid": str(instance.uuid), "name": instance.name,
            "master": [stack.master, stack.reference],
            "layers": [list(pair) for pair in zip(stack.layer_ids, stack.layers, strict=True)],
        }  # fmt: skip
        found = ask(self._place, request, operation)
        if found.get("protocol") != form.PROTOCOL:
            raise Unsupported(
                f"the skinnybox of {self._place.computer} is {found.get('version')!s:.20}, and receives "
                f"machines in another way than {__version__} sends them",
                hint="use the same version on both",
            )
        self._said[instance.uuid] = found
        return found

    def _send(
        self, noun: str, store: Path, sealed: Master | Layer, held: AbstractContextManager[object],
        operation: Operation,
    ) -> None:  # fmt: skip
        with held:
            (_, manifest), *files = bringing.files_of(store, sealed).items()
            request = {
                "ask": "sealed", "noun": noun, "manifest": manifest.read_text(),
                "files": [[name, file.stat().st_size] for name, file in files],
            }  # fmt: skip
            ask(self._place, request, operation, _files(sealed.reference, dict(files), operation))

    def _send_machine(
        self, here: Context, machine: MachineView, disks: Mapping[DiskKind, Path], wanted: Move,
        operation: Operation,
    ) -> None:  # fmt: skip
        changes = {name: str(value) for name, value in wanted.changes.items()}
        request = {"ask": "machine", "name": machine.name, "changes": changes, "key_of": key_of(here)}
        manifest = exporting.manifest_of(machine, tuple(disks))

        def archive(target: int) -> None:
            exported.export(disks, manifest, target, here.folder, operation)
            operation.step(task="move", detail=f"being made in {self.where}")

        for note in form.texts(ask(self._place, request, operation, archive), "notes"):
            operation.note(f"{self.where}: {note}")


def mover(
    here: Context, there: Context | Place | None, wanted: Move
) -> Callable[[MachineView, Operation], Instance]:
    """What moves a machine, or where `there` is None has it stay. UsageError where that is here."""
    if there is None:
        return lambda machine, _: stay(here, machine)
    to: Destination = Far(there) if isinstance(there, Place) else Folder(here, there)

    def one(machine: MachineView, operation: Operation) -> Instance:
        return move(here, to, machine, wanted, operation)

    return one


def _files(reference: str, files: Mapping[str, Path], operation: Operation) -> Feed:
    def feed(target: int) -> None:
        for name, file in files.items():
            done = 0
            with file.open("rb", buffering=0) as source:
                while piece := source.read(form.PIECE):
                    write(target, piece)
                    done += len(piece)
                    operation.step(task="bring", done=done, unit="bytes", detail=f"{reference}: {name}")

    return feed
