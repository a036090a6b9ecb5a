"""Creating machines: names first, then disks and records, and nothing left when it fails."""

import contextlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet import data_disk, encrypted, knowing
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.ports import free_ports
from skinnybox.fleet.counting import numbered
from skinnybox.fleet.names import expand
from skinnybox.fleet.parallel import in_parallel
from skinnybox.fleet.repair import unfinished
from skinnybox.fleet.specification import (
    Specification,
    check,
    check_addresses,
    check_space,
    completed,
    with_key,
)
from skinnybox.fleet.stacks import add_to_host, stack
from skinnybox.hosts.base import Contents, Host
from skinnybox.model import (
    DataDisk,
    Instance,
    Master,
    Network,
    Overlay,
    Seed,
    Stack,
    fields,
)
from skinnybox.operation import UNATTENDED, Operation
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.sizes import MIB
from skinnybox.values import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from skinnybox.fleet.context import Context

D = TypeVar("D", bound=Overlay | DataDisk)

BATCH = 100
"""Instances that become visible together, in one durable transaction."""


def create(
    context: "Context",
    patterns: Sequence[str],
    master: str,
    specification: Specification,
    skip_existing: bool,
    operation: Operation,
) -> list[Instance]:
    """See Fleet.create."""
    host = context.host
    names, specification = expand(patterns), completed(specification, context.features)
    unfinished.finish(host, context.catalog)
    each = separate(context, names, specification, skip_existing)
    return _create(context, master, specification, each, operation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Machines of one master, each as it is to be: with addresses and texts of its own, perhaps."""

    master: str
    each: Mapping[str, Specification]


def create_batch(
    context: "Context", batch: Batch, skip_existing: bool, operation: Operation
) -> list[Instance]:
    """See Fleet.create_batch."""
    unfinished.finish(context.host, context.catalog)
    each = left(context, batch, skip_existing)
    return _create(context, batch.master, alike(context, batch), each, operation)


def alike(context: "Context", batch: Batch) -> Specification:
    """What all of them have in common, completed: one of them says it. UsageError for none."""
    for own in batch.each.values():
        return completed(own, context.features)
    raise UsageError("no machine is named")


def left(context: "Context", batch: Batch, skip_existing: bool) -> dict[str, Specification]:
    """Those of them that are to be made, completed and checked as `separate` does."""
    catalog = context.catalog
    each = {name: completed(own, context.features) for name, own in batch.each.items()}
    for name in catalog.taken(each) if skip_existing else ():
        del each[name]
    for own in dict.fromkeys(each.values()):
        check(own, context.features)
    check_addresses(each.values(), catalog)
    encrypted.check_keys({name: own.encrypt for name, own in each.items()}, context.folder)
    return each


def _create(
    context: "Context", master: str, specification: Specification, each: dict[str, Specification],
    operation: Operation,
) -> list[Instance]:  # fmt: skip
    host, catalog = context.host, context.catalog
    with context.masters.kept(master) as found, context.kept_layers(specification.layers, found) as layers:
        suits(context, found, specification)
        catalog.make()
        host_kind.note(context.folder, context.features.kind)
        base = stack(found, specification.dax, context.features, layers)
        wanted = instances(context, base, each, context.public_key)
        check_space(host, (disk for new in wanted for disk in new.disks.values()))
        add_to_host(context, found, base, operation)
        return list(make(host, catalog, wanted, operation, context.features.creates_at_once))


def separate(
    context: "Context", names: Sequence[str], specification: Specification, skip_existing: bool
) -> dict[str, Specification]:
    """What each is to be, of what is `completed`. Refuses, before anything is touched, what cannot be right
    whatever it boots from."""
    catalog = context.catalog
    specifications = numbered(specification, len(names))
    for first in specifications[:1]:  # the others are as this one but for what `numbered` looks at
        check(first, context.features)
    each = dict(zip(names, specifications, strict=True))
    for name in catalog.taken(names) if skip_existing else ():
        del each[name]  # what it would have had stays free: the others have what they had without this
    check_addresses(each.values(), catalog)
    encrypted.check_keys({name: own.encrypt for name, own in each.items()}, context.folder)
    return each


def suits(context: "Context", master: Master, specification: Specification) -> None:
    """Refuses what this master's guest part or cloud-init does not know."""
    knowing.check(specification, master)
    knowing.check_cloud_init(specification, master, context.masters.folder(master))


def instances(
    context: "Context", base: Stack, each: dict[str, Specification], public_key: str
) -> list[Instance]:
    """The machines, of which nothing exists yet. Conflict for what the host or the catalog has already, but
    for their names, which claim() takes."""
    host, catalog = context.host, context.catalog
    ports = free_ports(catalog.ports(), context.folder)
    # By identity: to compare two specifications takes longer than all else that is done for a machine here.
    own = {id(specification): specification for specification in each.values()}
    given = {key: _Given.by(with_key(specification, public_key)) for key, specification in own.items()}
    wanted = [given[id(specification)].instance(name, base, ports) for name, specification in each.items()]
    host.refuse_names([new.name for new in wanted])
    catalog.check_ports(wanted)
    return wanted


def instance(name: str, stack: Stack, specification: Specification, ports: Iterator[int]) -> Instance:
    """The value, with a new identity; nothing exists yet."""
    return _Given.by(specification).instance(name, stack, ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What a specification gives to each machine and to its seed, looked up once for all that share it."""

    has_port: bool
    properties: Mapping[str, Any]
    seed: Mapping[str, Any]

    @classmethod
    def by(cls, specification: Specification) -> Self:
        properties = fields.given(specification, fields.INSTANCE)
        properties["overlay"] = whole_mib(specification.overlay)
        properties["data"] = None if specification.data is None else whole_mib(specification.data)
        return cls(
            has_port=specification.network is not Network.BRIDGE,
            properties=properties,
            seed=fields.given(specification, fields.SEED),
        )

    def instance(self, name: str, stack: Stack, ports: Iterator[int]) -> Instance:
        """See the function of this name."""
        identity = uuid.uuid4()
        return Instance(
            uuid=identity,
            name=name,
            stack=stack,
            seed=Seed(machine_id=uuid.uuid5(identity, "machine-id").hex, **{"hostname": name, **self.seed}),
            created=datetime.now(UTC),
            ssh_port=next(ports) if self.has_port else None,
            **self.properties,
        )


def whole_mib(disk: D) -> D:
    """The next full MiB: filesystems end with a block."""
    return replace(disk, size=-(-disk.size // MIB) * MIB)


def make(
    host: Host, catalog: Catalog, wanted: Sequence[Instance], operation: Operation, at_once: int = 1,
    fill: "Callable[[Instance], object]" = lambda _: None,
) -> Sequence[Instance]:  # fmt: skip
    """Claim the names, then make every disk, filled by `fill`, and every record. Whatever stops it, nothing
    stays; what cannot be undone now, the next command clears away. Returns them with the ports they got."""
    wanted = catalog.claim(wanted)
    making = _Creation(
        host=host, catalog=catalog, operation=operation, at_once=at_once, total=len(wanted), fill=fill,
        begun={}, made=set(),
    )  # fmt: skip
    try:
        making.tell()
        for start in range(0, len(wanted), BATCH):
            making.make(wanted[start : start + BATCH])
    except BaseException:
        making.undo(wanted)
        raise
    return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Creation:
    """One call of `make`. Where machines are made one after the other, each is told with its batch only: more
    would take longer than making it."""

    host: Host
    catalog: Catalog
    operation: Operation
    at_once: int
    total: int
    fill: "Callable[[Instance], object]"
    begun: dict[UUID, Instance]
    made: set[UUID]

    def make(self, batch: Sequence[Instance]) -> None:
        """They become visible together. All the same work is done in a row, and none between two disks: the
        processor remembers little of ours once the system has written one."""
        contents = {each.uuid: _contents(each) for each in batch}

        def disks(instance: Instance) -> None:
            self.begun[instance.uuid] = instance
            self.host.create_overlay(instance, contents[instance.uuid], self.operation)
            if instance.data is not None:
                data_disk.make(self.host, instance, self.operation)
            self.fill(instance)

        in_parallel(batch, disks, self.at_once, self._count, self.operation)
        in_parallel(batch, self.host.define, self.at_once, lambda _: self.operation.check(), self.operation)
        self.catalog.confirm(batch)
        if self.at_once == 1:
            self.tell()

    def _count(self, instance: Instance) -> None:
        self.made.add(instance.uuid)
        if self.at_once > 1:
            self.tell(instance.name)

    def tell(self, name: str = "") -> None:
        self.operation.step(
            task="create", done=len(self.made), total=self.total, unit="machines", detail=name
        )

    def undo(self, wanted: Sequence[Instance]) -> None:
        """What was begun goes, the last first; of that the name is free again which is gone."""
        kept: dict[UUID, Instance] = {}

        def one(instance: Instance) -> None:
            try:
                self.host.delete(instance)
            except Exception:  # whatever it is, what stopped us is what the user must hear
                kept[instance.uuid] = instance

        # What was cancelled is undone all the same.
        begun = [*reversed(self.begun.values())]
        in_parallel(begun, one, self.at_once, lambda _: None, UNATTENDED)
        self.catalog.forget([instance for instance in wanted if instance.uuid not in kept])
        for instance in kept.values():
            with contextlib.suppress(SkinnyboxError):
                self.catalog.give_up(instance)


def _contents(instance: Instance) -> Contents:
    return Contents(base=base_message(instance), seed=seed_message(instance))
