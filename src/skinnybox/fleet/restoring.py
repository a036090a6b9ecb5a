"""A machine made of what `export` wrote: the same one again, or another that has what it made its own.

What the archive says of it is believed as little as what it holds: each property is checked as if somebody
had asked for it now, and this host may have others than the one that it was on.
"""

import tempfile
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from skinnybox.delta import data_owners
from skinnybox.delta.archive import restored
from skinnybox.delta.archive.identity import identity_of
from skinnybox.delta.archive.manifest import Manifest
from skinnybox.delta.archive.restored import Chain
from skinnybox.delta.drop import building
from skinnybox.delta.rebase.masters import Files
from skinnybox.errors import Conflict, Corrupt, NoArchive, NoSpace, NotFound, Unsupported
from skinnybox.fleet import change, create, knowing, received, stack_files, stacks, thrown
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.ports import free_ports
from skinnybox.fleet.change import Changes
from skinnybox.fleet.context import Context
from skinnybox.fleet.duplicate import another
from skinnybox.fleet.received import Given
from skinnybox.fleet.repair import unfinished
from skinnybox.fleet.seed_parts import with_key_for
from skinnybox.fleet.specification import check_space
from skinnybox.hosts.base import Features, Host
from skinnybox.hosts.building import Building
from skinnybox.hosts.record import from_record
from skinnybox.masters.workspace import at_work
from skinnybox.model import (
    Allocation,
    DiskKind,
    Forward,
    Instance,
    Layer,
    Master,
    Network,
    Stack,
    check_name,
)
from skinnybox.model.drop import Wanted
from skinnybox.model.ranges import HOST_PORT, SSH_PORTS
from skinnybox.operation import Operation
from skinnybox.overlays.copy import copy_data
from skinnybox.overlays.patch import put_message
from skinnybox.overlays.seed import base_message, seed_message


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """A whole export, and increments in the order in which they were made. `overlay`: another size in bytes
    than it had. `changes`: what else is to be otherwise, as where this host is another. `key_of`: the public
    key of the fleet that it comes from, whose place ours takes. `accepted` is called when all archives are
    here and nothing stands against them that can be said before they are read to their ends."""

    sources: Iterable[Given]
    overlay: int | None = None
    new_identity: bool = False
    changes: Changes = field(default_factory=Changes)
    key_of: str | None = None
    accepted: Callable[[], object] = lambda: None


def restore(context: Context, name: str, wanted: Restore, operation: Operation) -> Instance:
    """Stopped. All or nothing. Conflict while the machine itself, or one of that name, is here; NotFound
    without its master; NoSpace; Corrupt for an archive that is damaged."""
    check_name(name)
    unfinished.finish(context.host, context.catalog)
    with ExitStack() as held:
        archives = received.chain(
            wanted.sources,
            held,
            context.folder,
            operation,
            partial(_refuse, context, name, wanted),
        )
        manifest = archives[-1].manifest
        master, told = _here(context, held, manifest, machine_of(manifest))
        new, notes = _new(context, name, told, wanted)
        _check(context, new, master)
        wanted.accepted()
        size = sum(disk.size for disk in new.disks.values())
        chain = held.enter_context(restored.read(archives, size, context.folder, operation))
        sealed = None
        if wanted.new_identity:
            sealed = held.enter_context(stack_files.opened(context.folder, master, new.stack))
        context.catalog.make()
        host_kind.note(context.folder, context.host.features.kind)
        stacks.add_to_host(context, master, new.stack, operation)
        filling = _Filling(context.host, chain, sealed, context.folder, operation)
        [made] = create.make(context.host, context.catalog, [new], operation, fill=filling.fill)
    if made.data is not None and DiskKind.DATA not in manifest.disks:
        notes.append("its data disk is empty: the archive has nothing of it (export --data)")
    for note in notes:
        operation.note(f"{name}: {note}")
    return made


def machine_of(manifest: Manifest) -> Instance:
    """The machine as it was. NoArchive for a record that is none."""
    try:
        found = from_record(manifest.machine)
    except Corrupt as error:
        raise NoArchive(error.message, hint=error.hint) from error
    if found.stack.master != manifest.stack.master or found.stack.images != manifest.stack.images:
        raise NoArchive("the archive's machine boots from something else than the archive says")
    thrown.refuse_in_memory(found, "restore")
    if found.encrypt is not None:
        raise Unsupported("the archive's machine is encrypted: nobody could have read what it holds")
    return replace(found, trial=None, half_restored=None, moving=None)


def _refuse(context: Context, name: str, wanted: Restore, manifest: Manifest) -> None:
    """What is known of an archive by what it says of itself."""
    told = machine_of(manifest)
    _refuse_taken(context, name, told, wanted)
    with ExitStack() as held:
        _here(context, held, manifest, told)


def _refuse_taken(context: Context, name: str, told: Instance, wanted: Restore) -> None:
    context.host.refuse_names([name])
    if context.catalog.taken([name]):
        raise Conflict(f"there is a machine {name} already", hint="choose another name, or delete it")
    if not wanted.new_identity:
        context.catalog.refuse_known([told])


def _here(context: Context, held: ExitStack, manifest: Manifest, told: Instance) -> tuple[Master, Instance]:
    """Its master, and the machine on what there is of its stack here; nobody removes that meanwhile."""
    master = _master(context, held, manifest)
    layers = _layers(context, held, told.stack, master)
    return master, replace(told, stack=_stack(master, layers, told.stack, context.host))


def _master(context: Context, held: ExitStack, manifest: Manifest) -> Master:
    stack = manifest.stack
    try:
        return held.enter_context(context.masters.kept(stack.master.removeprefix("sha256:")))
    except NotFound as error:
        raise NotFound(
            f"the master that it was made on is not here: {stack.reference}, {stack.master}",
            hint="import or build that one first (another of its name may be another: compare the ids); "
            "what is to go on another master is rebased where it is, and exported again",
        ) from error


def _layers(context: Context, held: ExitStack, told: Stack, master: Master) -> tuple[Layer, ...]:
    try:
        ids = [identity.removeprefix("sha256:") for identity in told.layer_ids]
        return held.enter_context(context.layers.kept(ids, master))
    except NotFound as error:
        raise NotFound(
            f"a layer that it was made with is not here: {', '.join(told.layers)}",
            hint="import that one first: the same files give the same id",
        ) from error


def _new(context: Context, name: str, told: Instance, wanted: Restore) -> tuple[Instance, list[str]]:
    features = context.host.features
    ports = free_ports(context.catalog.ports(), context.folder)
    notes = list[str]()
    if wanted.new_identity:
        new = another(told, name, next(ports) if told.network is not Network.BRIDGE else None)
    else:
        forwards, notes = _free(told.forwards, context)
        port = next(ports) if told.ssh_port in context.catalog.ports() else told.ssh_port
        new = replace(_called(told, name), forwards=forwards, ssh_port=port)
        if wanted.key_of is not None:
            new = replace(new, seed=with_key_for(new.seed, wanted.key_of, context.public_key))
    new = _sized(new, wanted.overlay, features)
    return change.altered(context.host, change.changed(new, wanted.changes), ports), notes


def _called(told: Instance, name: str) -> Instance:
    """A hostname that was its name follows, as when it is renamed: its guest applies a seed that is newer."""
    if told.name == name:
        return told
    hostname = name if told.seed.hostname == told.name else told.seed.hostname
    seed = replace(told.seed, hostname=hostname, generation=told.seed.generation + 1)
    return replace(told, name=name, seed=seed)


def _free(forwards: Sequence[Forward], context: Context) -> tuple[tuple[Forward, ...], list[str]]:
    """Ports of this host that others have by now are other ones."""
    used = {forward.port for row in context.catalog.rows() for forward in row.instance.forwards}
    own = {forward.port for forward in forwards}
    found, notes = list[Forward](), list[str]()
    for forward in forwards:
        if forward.port in used:
            port = _next(forward.port, used | own)
            own.add(port)
            notes.append(f"port {forward.port} of this host is taken: {port} leads to its port {forward.to}")
            forward = replace(forward, port=port)
        found.append(forward)
    return tuple(found), notes


def _next(port: int, used: Container[int]) -> int:
    """The first one above, or else any, that nobody has; those of machines' ssh are theirs."""
    for each in chain(range(port + 1, HOST_PORT.most + 1), range(HOST_PORT.least, port)):
        if each not in used and not SSH_PORTS.has(each):
            return each
    raise NoSpace("every port of this host leads to a machine", hint="`forward --remove` frees one")


def _sized(new: Instance, size: int | None, features: Features) -> Instance:
    """Disks that this host can keep."""
    overlay = new.overlay if size is None else create.whole_mib(replace(new.overlay, size=size))
    data = new.data
    return replace(
        new,
        overlay=replace(overlay, allocation=_kept(overlay.allocation, features)),
        data=None if data is None else replace(data, allocation=_kept(data.allocation, features)),
    )


def _kept(allocation: Allocation, features: Features) -> Allocation:
    return allocation if allocation in features.allocations else next(iter(features.allocations))


def _stack(master: Master, layers: Sequence[Layer], told: Stack, host: Host) -> Stack:
    """The images that it had, where they are here and this host serves them; else others of that content."""
    images = chain(master.images, *(layer.images for layer in layers))
    known = {image.digest for image in images}
    if set(told.images) <= known and (host.features.dax or not told.dax):
        return replace(told, reference=master.reference, layers=tuple(layer.reference for layer in layers))
    return stacks.stack(master, None, host.features, layers)


def _check(context: Context, new: Instance, master: Master) -> None:
    """What `create` would say of it."""
    knowing.check(new, master)
    knowing.check_cloud_init(new, master, context.masters.folder(master))
    context.catalog.check_ports([new])
    check_space(context.host, new.disks.values())


@dataclass(frozen=True, slots=True)
class _Filling:
    """`sealed` are its master's files where what only one machine may have is to be left out."""

    host: Host
    chain: Chain
    sealed: Files | None
    scratch: Path
    operation: Operation

    def fill(self, instance: Instance) -> None:
        """In place of its fresh disks. Nobody knows of the machine yet: it is not defined."""
        moves: list[bytes | None] = []  # an archive has no record of a data disk's owners

        def overlay(fresh: Path, new: Path) -> None:
            if self.sealed is None:
                self._restored(fresh, new, DiskKind.OVERLAY)
                put_message(new, "identity", identity_of(new, instance.uuid))
            else:
                self._as_another(fresh, new, instance, self.sealed)
            moves.append(data_owners.system_move(new))

        def data(fresh: Path, new: Path) -> None:
            self._restored(fresh, new, DiskKind.DATA)
            data_owners.record(new, moves[-1], self.operation)

        buildings = {DiskKind.OVERLAY: Building(size=instance.overlay.size, build=overlay)}
        if instance.data is not None and DiskKind.DATA in self.chain.newest.manifest.disks:
            buildings[DiskKind.DATA] = Building(size=instance.data.size, build=data)
        self.host.rebuild_disks(instance, buildings, self.operation, lambda: None)

    def _restored(self, fresh: Path, new: Path, kind: DiskKind) -> None:
        with fresh.open("rb", buffering=0) as source, new.open("r+b", buffering=0) as target:
            copy_data(source.fileno(), target.fileno(), self.operation)
        restored.build(self.chain, kind, new, self.operation)

    def _as_another(self, fresh: Path, new: Path, instance: Instance, sealed: Files) -> None:
        """As a copy is made of the machine, which is here for that only."""
        with (
            tempfile.TemporaryDirectory(dir=self.scratch, prefix=".copy-", suffix=".new") as folder,
            at_work(Path(folder)),
        ):
            whole = Path(folder, "overlay.img")
            with whole.open("xb") as file:
                file.truncate(fresh.stat().st_size)
            self._restored(fresh, whole, DiskKind.OVERLAY)
            images = instance.stack.images
            building.build(whole, new, sealed, Wanted(secrets=True), images, self.operation)
        put_message(new, "base", base_message(instance))
        put_message(new, "seed", seed_message(instance))
        put_message(new, "identity", b"")
