"""Further machines that have what one machine made its own, each with an identity of its own.

The machine they are made from may run: then they have it of one point in time, as a power cut would leave it.
What no two machines may have (keys, leases, seeds of random numbers) is left out; their guests make it anew
at the first start, when they find that their disk was another's.
"""

import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from skinnybox.delta.drop import building
from skinnybox.delta.rebase.masters import Files
from skinnybox.errors import Conflict, NotFound
from skinnybox.fleet import create, encrypted, half_restored, stack_files, thrown, trials
from skinnybox.fleet.catalog.ports import free_ports
from skinnybox.fleet.context import Context
from skinnybox.fleet.names import expand
from skinnybox.fleet.repair import unfinished
from skinnybox.fleet.scratch_copy import readable
from skinnybox.fleet.specification import check_space
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.hosts.building import Building
from skinnybox.model import DiskKind, Instance, Network
from skinnybox.model.drop import Wanted
from skinnybox.operation import Operation
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.journal import replay
from skinnybox.overlays.patch import put_message
from skinnybox.overlays.seed import base_message, data_message, seed_message


def duplicated(
    context: Context, source: MachineView, patterns: Sequence[str], operation: Operation, *, data: bool
) -> list[Instance]:
    """All of them or none, stopped. With `data` they get what its data disk holds as well, else a fresh one
    where it has one. Conflict for names, ports and addresses that are taken."""
    _refuse(source.instance, data)
    unfinished.finish(context.host, context.catalog)
    names = expand(patterns)
    context.host.refuse_names(names)
    _refuse_taken(context, names)
    with ExitStack() as held:
        identity = source.instance.stack.master.removeprefix("sha256:")
        master = held.enter_context(context.masters.kept(identity))
        held.enter_context(context.layers.kept_of(source.instance.stack))  # copies have them as well
        sealed = held.enter_context(stack_files.opened(context.folder, master, source.instance.stack))
        wanted = _wanted(context, source.instance, names)
        context.catalog.check_ports(wanted)
        check_space(context.host, (disk for new in wanted for disk in new.disks.values()))
        disks = held.enter_context(readable(context.host, source, context.folder, operation, data=data))
        filling = _Filling(context.host, source.instance, disks, sealed, operation)
        return list(create.make(context.host, context.catalog, wanted, operation, fill=filling.fill))


def _refuse(instance: Instance, data: bool) -> None:
    thrown.refuse_in_memory(instance, "copy")
    encrypted.refuse_reading(instance, "copy")
    half_restored.refuse(instance, "a copy of both would start")
    trials.refuse_open(instance, "nobody would try a copy of it, nor take it back")
    if data and instance.data is None:
        raise NotFound(f"{instance.name} has no data disk", hint="without --data its system is copied")


def _refuse_taken(context: Context, names: Sequence[str]) -> None:
    """Before all of a disk is read for them."""
    if taken := context.catalog.taken(names):
        many = f"there are machines {', '.join(taken[:5])} already"
        one = f"there is a machine {taken[0]} already"
        raise Conflict(one if len(taken) == 1 else many, hint="choose other names")


def _wanted(context: Context, source: Instance, names: Sequence[str]) -> list[Instance]:
    """A port of the host leads to one machine: copies have none that was forwarded."""
    ports = free_ports(context.catalog.ports(), context.folder)
    return [
        another(source, name, next(ports) if source.network is not Network.BRIDGE else None) for name in names
    ]


def another(source: Instance, name: str, port: int | None) -> Instance:
    """A machine like it, of an identity and a name of its own. `port` is that of its ssh."""
    identity = uuid.uuid4()
    hostname = name if source.seed.hostname == source.name else source.seed.hostname
    seed = replace(
        source.seed, hostname=hostname, machine_id=uuid.uuid5(identity, "machine-id").hex, generation=1
    )
    return replace(
        source, uuid=identity, name=name, seed=seed, created=datetime.now(UTC), ssh_port=port, forwards=(),
        trial=None, half_restored=None, moving=None, protected=False,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Filling:
    host: Host
    source: Instance
    disks: dict[DiskKind, Path]
    sealed: Files
    operation: Operation

    def fill(self, instance: Instance) -> None:
        """In place of its fresh disks. Nobody knows of the machine yet: it is not defined."""
        operation = self.operation

        def overlay(_: Path, new: Path) -> None:
            own = self.disks[DiskKind.OVERLAY]
            building.build(own, new, self.sealed, Wanted(secrets=True), self.source.stack.images, operation)
            put_message(new, "base", base_message(instance))
            put_message(new, "seed", seed_message(instance))
            put_message(new, "identity", b"")

        def data(_: Path, new: Path) -> None:
            _copy(self.disks[DiskKind.DATA], new, operation)
            put_message(new, "base", data_message(instance))

        buildings = {DiskKind.OVERLAY: Building(size=instance.overlay.size, build=overlay)}
        if DiskKind.DATA in self.disks and instance.data is not None:
            buildings[DiskKind.DATA] = Building(size=instance.data.size, build=data)
        self.host.rebuild_disks(instance, buildings, operation, lambda: None)


def _copy(old: Path, new: Path, operation: Operation) -> None:
    with old.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
        copy_data(source.fileno(), target.fileno(), operation)
    replay(new)
