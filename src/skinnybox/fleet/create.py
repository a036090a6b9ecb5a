"""Creating machines: names first, then disks and records, and nothing left when it fails."""

import contextlib
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from skinnybox.errors import Conflict, NoSpace, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.fleet import capacity, seed_parts
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.ports import free_ports
from skinnybox.fleet.names import expand
from skinnybox.fleet.parallel import in_parallel
from skinnybox.fleet.repair import unfinished
from skinnybox.hosts.base import Contents, Features, Host
from skinnybox.model import (
    Allocation,
    ImageKind,
    Instance,
    Master,
    Network,
    Overlay,
    Properties,
    Seed,
    SeedFile,
    Stack,
    StaticNetwork,
    fields,
    ranges,
)
from skinnybox.operation import UNATTENDED, Operation
from skinnybox.overlays.seed import base_message, seed_capacity, seed_message
from skinnybox.sizes import MIB, format_size

if TYPE_CHECKING:
    from skinnybox.fleet.context import Context

BATCH = 100
"""Instances that become visible together, in one durable transaction."""

_ROOM = "fewer or smaller machines, or --sparse, which promises nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification(Properties):
    """What every machine of one `create` has in common; UsageError for numbers out of range. `dax` None: what
    the master's first image is for. With `any_allocation` nobody asked for that of the overlay: where a host
    has only the other, it is that. `network` None is the host's default. See `given` in model/fields.py."""

    overlay: Overlay
    static_network: StaticNetwork | None = None
    authorized_keys: tuple[str, ...] = ()
    files: tuple[SeedFile, ...] = ()
    run_once: str | None = None
    dax: bool | None = None
    follow_name: bool = False
    any_allocation: bool = False

    def __post_init__(self) -> None:
        ranges.OVERLAY.check(self.overlay.size)
        ranges.MEMORY.check(self.memory)
        ranges.CPUS.check(self.cpus)


def create(
    context: "Context",
    patterns: Sequence[str],
    master: str,
    specification: Specification,
    skip_existing: bool,
    operation: Operation,
) -> list[Instance]:
    """See Fleet.create."""
    host, catalog = context.host, context.catalog
    names = expand(patterns)
    unfinished.finish(host, catalog)
    taken = set(catalog.taken(names)) if skip_existing else set()
    names = [name for name in names if name not in taken]
    features = host.features
    specification = completed(specification, features)
    check(specification, features, len(names))
    if names:
        _check_address(specification, catalog)
    with context.masters.kept(master) as found:
        host_kind.note(context.folder, features.kind)
        specification = with_key(specification, context.public_key)
        ports = free_ports(catalog.ports(), context.folder)
        wanted = instances(names, stack(found, specification.dax, features), specification, ports)
        check_space(host, wanted)
        host.add_master(found, context.masters.folder(found), operation)
        return list(make(host, catalog, wanted, operation, features.creates_at_once))


def completed(specification: Specification, features: Features) -> Specification:
    """With what this host does when nothing is said."""
    overlay, network, bridge = specification.overlay, specification.network, specification.bridge
    if specification.any_allocation and overlay.allocation not in features.allocations:
        overlay = replace(overlay, allocation=next(iter(features.allocations)))
    if network is None and features.default_network is Network.BRIDGE:
        network, bridge = Network.BRIDGE, bridge or features.default_bridge
    return replace(specification, overlay=overlay, network=network, bridge=bridge)


def check(specification: Specification, features: Features, count: int) -> None:
    """Refuse, before anything is touched, what cannot be right or what this host cannot do."""
    if features.memory is not None and specification.memory > features.memory:
        asked, there = format_size(specification.memory), format_size(features.memory)
        raise UsageError(f"{asked} of memory is more than this host has: {there}")
    if specification.static_network and count > 1:
        raise UsageError("one static address cannot serve several machines")
    if specification.overlay.allocation not in features.allocations:
        others = " or ".join(f"--{other}" for other in sorted(features.allocations))
        raise Unsupported(
            f"this host cannot keep {specification.overlay.allocation} overlays", hint=f"use {others}"
        )
    if specification.network and specification.network not in features.networks:
        raise Unsupported(f"this host has no {specification.network} network", hint="`skinnybox doctor`")
    if specification.dax and not features.dax:
        raise Unsupported("this host cannot let a guest map its master", hint="leave --dax out")
    if specification.follow_name and not features.tells_name:
        raise Unsupported(
            "guests of this host do not see what it calls them",
            hint="leave --follow-name (in a fleet file: follow_name) out",
        )
    _check_bridge(specification, features)
    _check_seed(specification)


def _check_seed(specification: Specification) -> None:
    for key in specification.authorized_keys:
        seed_parts.public_keys(key)
    targets = [file.path for file in specification.files]
    if twice := {path for path in targets if targets.count(path) > 1}:
        raise UsageError(f"{min(twice)} is written by two files")
    seed = fields.given(specification, fields.SEED)
    seed_capacity(seed_parts.message_of(specification.ssh_user, **seed))


def _check_bridge(specification: Specification, features: Features) -> None:
    bridged = specification.network is Network.BRIDGE
    if bridged and specification.bridge is None and features.default_network is Network.BRIDGE:
        raise NotFound("this host has no network with a way out", hint="--bridge names another one")
    if bridged != (specification.bridge is not None):
        raise UsageError("a bridged machine needs the name of a bridge, and no other does")
    if specification.bridge is not None and specification.bridge not in features.bridges:
        known = ", ".join(sorted(features.bridges)) or "none"
        raise NotFound(f"this host has no bridge {specification.bridge!r}", hint=f"it has {known}")


def _check_address(specification: Specification, catalog: Catalog) -> None:
    """On one bridge an address is one machine's; elsewhere each machine is alone in its network."""
    static, bridge = specification.static_network, specification.bridge
    if static is None or bridge is None:
        return
    address = static.address.partition("/")[0]
    for row in catalog.rows():
        other = row.instance.seed.network
        if row.instance.bridge == bridge and other and other.address.partition("/")[0] == address:
            raise Conflict(f"{address} on {bridge} is the address of {row.instance.name}")


def stack(master: Master, dax: bool | None, features: Features) -> Stack:
    """What new machines boot from: the image asked for, else the master's first that this host can serve.
    Unsupported when there is none."""
    if dax is None:
        dax = features.dax and master.images[0].kind is ImageKind.EROFS_PLAIN
    image = master.image_of(ImageKind.EROFS_PLAIN if dax else ImageKind.EROFS_LZ4HC)
    if image is None:
        raise Unsupported(
            f"{master.reference} has no image {'to be mapped (DAX)' if dax else 'to be read as a disk'}",
            hint="seal its content again with --dax, or create without" if dax else "create with --dax",
        )
    return Stack(master=master.id, reference=master.reference, images=(image.digest,), dax=dax)


def instances(
    names: Sequence[str], stack: Stack, specification: Specification, ports: Iterator[int]
) -> list[Instance]:
    """The values, with a new identity each; nothing exists yet."""
    now = datetime.now(UTC)
    reached = specification.network is not Network.BRIDGE
    return [
        _instance(uuid.uuid4(), name, stack, specification, next(ports) if reached else None, now)
        for name in names
    ]


def _instance(
    identity: UUID,
    name: str,
    stack: Stack,
    specification: Specification,
    port: int | None,
    now: datetime,
) -> Instance:
    properties = fields.given(specification, fields.INSTANCE)
    properties["overlay"] = whole_mib(specification.overlay)
    seed = Seed(
        hostname=name,
        machine_id=uuid.uuid5(identity, "machine-id").hex,
        **fields.given(specification, fields.SEED),
    )
    return Instance(
        uuid=identity, name=name, stack=stack, seed=seed, created=now, ssh_port=port, **properties
    )


def whole_mib(overlay: Overlay) -> Overlay:
    """The next full MiB: filesystems end with a block."""
    return replace(overlay, size=-(-overlay.size // MIB) * MIB)


def make(
    host: Host, catalog: Catalog, wanted: Sequence[Instance], operation: Operation, at_once: int = 1
) -> Sequence[Instance]:
    """Claim the names, then make every disk and record. Whatever stops it, nothing of this call stays; what
    cannot be undone just now, the next command clears away.

    Returns them as they are: with another ssh port, where another process took the one wanted."""
    wanted = catalog.claim(wanted)
    making = _Creation(host=host, catalog=catalog, operation=operation, at_once=at_once, total=len(wanted))
    try:
        making.tell()
        for start in range(0, len(wanted), BATCH):
            making.make(wanted[start : start + BATCH])
    except BaseException:
        making.undo(wanted)
        raise
    return wanted


@dataclass(slots=True, kw_only=True)
class _Creation:
    """One call of `make`. Where machines are made one after the other, each is told with its batch only: more
    would take longer than making it."""

    host: Host
    catalog: Catalog
    operation: Operation
    at_once: int
    total: int
    begun: dict[UUID, Instance] = field(default_factory=dict)
    made: int = 0

    def make(self, batch: Sequence[Instance]) -> None:
        """They become visible together."""
        in_parallel(batch, self._one, self.at_once, self._count, self.operation)
        self.catalog.confirm(batch)
        if self.at_once == 1:
            self.tell()

    def _one(self, instance: Instance) -> None:
        self.begun[instance.uuid] = instance
        make_one(self.host, instance, self.operation)

    def _count(self, instance: Instance) -> None:
        self.made += 1
        if self.at_once > 1:
            self.tell(instance.name)

    def tell(self, name: str = "") -> None:
        self.operation.step(task="create", done=self.made, total=self.total, unit="machines", detail=name)

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


def make_one(host: Host, instance: Instance, operation: Operation) -> None:
    contents = Contents(base=base_message(instance), seed=seed_message(instance))
    host.create_overlay(instance, contents, operation)
    host.define(instance)


def check_space(host: Host, wanted: Sequence[Instance]) -> None:
    """Refuse a batch that the disk cannot keep its promise to, before the first byte is written."""
    reserved = Counter(i.overlay.size for i in wanted if i.overlay.allocation is Allocation.RESERVED)
    need = sum(count * capacity.taken_by(host, size) for size, count in reserved.items())
    free = host.space((), ()).free
    if need > free:
        raise NoSpace(
            f"{len(wanted)} reserved overlays need {format_size(need)}; {format_size(free)} are free",
            hint=_ROOM if Allocation.SPARSE in host.features.allocations else "fewer or smaller machines",
        )


def with_key(specification: Specification, public_key: str) -> Specification:
    """The fleet's own key lets `ssh` and `exec` in; the user's keys come after it."""
    return replace(specification, authorized_keys=(public_key, *specification.authorized_keys))
