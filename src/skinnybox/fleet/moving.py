"""A machine moved to another state folder: the same one, with its disks, its master and its layers.

It is made there, compared with what it is here, and on the disk; only then it is deleted here. Whatever stops
that leaves it here as it was. Killed between the two it is in both, and the same command compares them again.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from skinnybox import private, run
from skinnybox.delta.archive import exported, restored
from skinnybox.errors import Blocked, Conflict, Corrupt, NoSpace, SkinnyboxError, UsageError
from skinnybox.fleet import access, asked, delete, exporting, power, restoring
from skinnybox.fleet.catalog.rows import Doing, Phase
from skinnybox.fleet.change import Changes
from skinnybox.fleet.context import Context
from skinnybox.fleet.lease import leased
from skinnybox.fleet.repair import unfinished
from skinnybox.fleet.scratch_copy import readable
from skinnybox.fleet.view import MachineView
from skinnybox.masters.bringing import bring_layer, bring_master
from skinnybox.masters.workspace import at_work
from skinnybox.model import Instance
from skinnybox.operation import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """`without_snapshots`: those it has are given up. `changes`: what is to be otherwise there, as where that
    host is another."""

    without_snapshots: bool = False
    changes: Changes = field(default_factory=Changes)


def refuse_same(here: Context, there: Context) -> None:
    """UsageError where both are one folder."""
    if there.folder.exists() and there.folder.samefile(here.folder):
        raise UsageError(f"{here.folder} is where the machines are already", hint="--to names another folder")


def move(here: Context, there: Context, machine: MachineView, wanted: Move, operation: Operation) -> Instance:
    """As it is there, stopped. Blocked for one that runs, is protected, or has snapshots that would be lost;
    Conflict for a name that is taken there, or another master of that NAME:VERSION. Idempotent until it is
    gone here."""
    if machine.phase is Phase.DELETING and (known := _known(there, machine.instance)):
        delete.complete(here.host, here.catalog, machine.instance, force=False)
        return known  # killed in the middle of its last step
    _refuse(here, machine, wanted)
    with leased(here.host, here.catalog, machine.instance, Doing.MOVE) as held:
        machine = replace(machine, instance=held.instance)
        _refuse(here, machine, wanted)
        with _to(there):
            private.make_folder(there.folder)
            unfinished.finish(there.host, there.catalog)
            _bring(here, there, machine.instance, operation)
        with _archived(here, there, machine, operation) as archive:
            _refuse_snapshots(here, machine.instance, wanted)  # of somebody who was quicker
            with _to(there):
                made = _made(here, there, machine.instance, wanted, archive, operation)
            with _in_both(there, made):
                _remember(there, made, machine)
                run.run(["sync", "-f", there.folder])
                lease = held.give_up()
    with _in_both(there, made):
        delete.finish(here.host, here.catalog, machine.instance, lease)
    return made


def _refuse(here: Context, machine: MachineView, wanted: Move) -> None:
    instance = machine.instance
    power.refuse_running(machine, "move")
    asked.refuse_protected(instance)
    exporting.refuse(instance, data=False)
    _refuse_snapshots(here, instance, wanted)


def _refuse_snapshots(here: Context, instance: Instance, wanted: Move) -> None:
    labels = [kept.label for kept in here.host.snapshots(instance)]
    if labels and not wanted.without_snapshots:
        raise Blocked(
            f"{instance.name} has snapshots, which do not move with it: {', '.join(labels)}",
            hint="--without-snapshots gives them up",
        )


@contextmanager
def _to(there: Context) -> Iterator[None]:
    """What goes wrong there says that it is there."""
    try:
        yield
    except SkinnyboxError as error:
        if str(there.folder) not in error.message:
            error.message = f"{there.folder}: {error.message}"
        raise


@contextmanager
def _in_both(there: Context, made: Instance) -> Iterator[None]:
    """What goes wrong now says so as well."""
    try:
        yield
    except SkinnyboxError as error:
        error.message = f"{made.name} is in {there.folder}, and still here: {error.message}"
        error.hint = "give the same command again, which deletes it here, and start neither before"
        raise


def _bring(here: Context, there: Context, instance: Instance, operation: Operation) -> None:
    stack, target = instance.stack, there.folder
    identity = stack.master.removeprefix("sha256:")
    master = here.masters.find(identity)
    held = here.masters.kept(identity)
    bring_master(here.folder / "masters", target / "masters", master, held, operation)
    for layer_id in stack.layer_ids:
        layer = here.layers.by_id(layer_id)
        bring_layer(here.folder / "layers", target / "layers", layer, here.layers.held(), operation)


@contextmanager
def _archived(here: Context, there: Context, machine: MachineView, operation: Operation) -> Iterator[Path]:
    """What it is now, on its way. Nobody starts it meanwhile, or writes to its disks."""
    with ExitStack() as held:
        has_data = machine.instance.data is not None
        disks = held.enter_context(readable(here.host, machine, here.folder, operation, data=has_data))
        with _to(there):
            folder = Path(
                held.enter_context(
                    tempfile.TemporaryDirectory(dir=there.folder, prefix=".copy-", suffix=".new")
                )
            )
            held.enter_context(at_work(folder))
            archive = folder / machine.name
            manifest = exporting.manifest_of(machine, tuple(disks))
            with archive.open("xb") as file:
                exported.export(disks, manifest, file.fileno(), there.folder, operation)
        yield archive


def _made(
    here: Context, there: Context, instance: Instance, wanted: Move, archive: Path, operation: Operation
) -> Instance:
    """The one that is there already is it, where it is the same to the last file."""
    known = _known(there, instance)
    if known is not None:
        _compare(there, known, instance, archive, operation)
        return known
    order = restoring.Restore(sources=(archive,), changes=wanted.changes, key_of=_key(here))
    return restoring.restore(there, instance.name, order, operation)


def _known(there: Context, instance: Instance) -> Instance | None:
    """It, where it is there already. One that is being made or deleted there is none."""
    for row in there.catalog.rows():
        if row.instance.uuid == instance.uuid and row.phase is Phase.DEFINED:
            return row.instance
    return None


def _key(here: Context) -> str | None:
    return here.known_public_key if access.has_key(here.folder / "ssh") else None


def _compare(
    there: Context, found: Instance, instance: Instance, archive: Path, operation: Operation
) -> None:
    machine = there.queries.view(found)
    differs = Conflict(
        f"that machine is there already, as {found.name}, and is not what it is here",
        hint="it was started or changed since: look which one you want, and delete the other",
    )
    if power.running(machine) or found.disks.keys() != instance.disks.keys():
        raise differs
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
                raise differs from error


def _remember(there: Context, made: Instance, machine: MachineView) -> None:
    """Who knew its host keys holds it to them there, too."""
    if machine.host_keys:
        there.catalog.pin_host_keys(made.uuid, machine.host_keys)
