"""A machine moved to another state folder: the same one, with its disks, its master and its layers.

It is made there, compared with what it is here, and on the disk; only then it is deleted here. Whatever stops
that leaves it here as it was. Killed between the two it is in both, does not start here (half_moved.py), and
the same command compares them again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from skinnybox.errors import Blocked, Conflict, SkinnyboxError
from skinnybox.fleet import access, asked, delete, exporting, half_moved, power
from skinnybox.fleet.catalog.rows import Doing, Phase
from skinnybox.fleet.change import Changes
from skinnybox.fleet.context import Context
from skinnybox.fleet.lease import Held, leased
from skinnybox.fleet.scratch_copy import readable
from skinnybox.fleet.view import MachineView
from skinnybox.model import DiskKind, Instance
from skinnybox.operation import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """`without_snapshots`: those it has are given up. `changes`: what is to be otherwise there, as where that
    host is another."""

    without_snapshots: bool = False
    changes: Changes = field(default_factory=Changes)


class Destination(Protocol):
    """A state folder of this computer or another. What goes wrong there says that it is there."""

    where: str
    unknown: tuple[type[SkinnyboxError], ...]
    """Errors of `make` after which nobody knows what came of it."""

    def known(self, instance: Instance, operation: Operation) -> Instance | None:
        """It, where it is there already. One that is being made or deleted there is none."""

    def bring(self, here: Context, instance: Instance, operation: Operation) -> None:
        """What it boots from, where that is missing there. Idempotent."""

    def make(
        self, here: Context, machine: MachineView, disks: Mapping[DiskKind, Path], wanted: Move,
        operation: Operation,
    ) -> Instance:  # fmt: skip
        """It, of these disks, stopped. All or nothing."""

    def compare(
        self, here: Context, machine: MachineView, disks: Mapping[DiskKind, Path], made: Instance,
        operation: Operation, *, fresh: bool,
    ) -> None:  # fmt: skip
        """Conflict for one that runs there, or is not the same to the last file. `fresh` was just made."""

    def remember(self, made: Instance, machine: MachineView) -> None:
        """Who knew its host keys holds it to them there, too; and all of it is on the disk there."""


def move(
    here: Context, there: Destination, machine: MachineView, wanted: Move, operation: Operation
) -> Instance:
    """As it is there, stopped. Blocked for one that runs, is protected, or has snapshots that would be lost;
    Conflict for a name that is taken there, or another master of that NAME:VERSION. Idempotent until it is
    gone here."""
    _refuse_elsewhere(machine.instance, there)
    if machine.phase is Phase.DELETING and (known := there.known(machine.instance, operation)):
        delete.complete(here.host, here.catalog, machine.instance, force=False)
        return known  # killed in the middle of its last step
    _refuse(here, machine, wanted)
    with leased(here.host, here.catalog, machine.instance, Doing.MOVE) as held:
        machine = replace(machine, instance=held.instance)
        _refuse(here, machine, wanted)
        there.bring(here, machine.instance, operation)
        has_data = machine.instance.data is not None
        with readable(here.host, machine, here.folder, operation, data=has_data) as disks:
            _refuse_snapshots(here, machine.instance, wanted)  # of somebody who was quicker
            made = _made(here, there, held, (machine, disks), wanted, operation)
            with _in_both(there, made):
                there.remember(made, machine)
                lease = held.give_up()
    with _in_both(there, made):
        delete.finish(here.host, here.catalog, machine.instance, lease)
    return made


def _made(
    here: Context, there: Destination, held: Held, what: tuple[MachineView, Mapping[DiskKind, Path]],
    wanted: Move, operation: Operation,
) -> Instance:  # fmt: skip
    """From before it is made there its record says where it may be; no more, where it is known not to be."""
    machine, disks = what
    before = held.instance
    known = there.known(before, operation)
    held.announce(replace(before, moving=there.where))
    if known is None:
        try:
            made = there.make(here, machine, disks, wanted, operation)
        except there.unknown:
            raise
        except SkinnyboxError:
            with suppress(SkinnyboxError):  # what stopped us is what the user must hear
                held.record(replace(before, moving=None))
            raise
    else:
        made = known
    there.compare(here, machine, disks, made, operation, fresh=known is None)
    return made


def stay(here: Context, machine: MachineView) -> Instance:
    """Of a move that was interrupted nothing is to come any more. Idempotent."""
    if machine.instance.moving is None:
        return machine.instance
    with leased(here.host, here.catalog, machine.instance, Doing.MOVE) as held:
        return held.commit(replace(held.instance, moving=None))


def _refuse_elsewhere(instance: Instance, there: Destination) -> None:
    """Of one that may be in a third place nobody could say where it is."""
    if instance.moving not in (None, there.where):
        half_moved.refuse(instance, f"it is not moved to {there.where}")


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
def _in_both(there: Destination, made: Instance) -> Iterator[None]:
    """What goes wrong now says so as well."""
    try:
        yield
    except SkinnyboxError as error:
        error.message = f"{made.name} is in {there.where}, and still here: {error.message}"
        error.hint = "give the same command again, which deletes it here; it does not start here before"
        raise


def differs(name: str) -> Conflict:
    """Of a machine that is there, called so."""
    return Conflict(
        f"that machine is there already, as {name}, and is not what it is here",
        hint="it was started or changed since: look which one you want, and delete the other",
    )


def key_of(here: Context) -> str | None:
    """The public key of the fleet that it comes from."""
    return here.known_public_key if access.has_key(here.folder / "ssh") else None
