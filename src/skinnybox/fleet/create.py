"""Creating machines: names first, then disks and records, and nothing left when it fails."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from skinnybox.errors import NoSpace, NotFound, Unsupported, UsageError
from skinnybox.fleet.delete import remove
from skinnybox.fleet.state import State
from skinnybox.hosts.base import Contents, Features, Host
from skinnybox.model import (
    Allocation,
    ImageKind,
    Instance,
    Master,
    Network,
    Overlay,
    Seed,
    SeedFile,
    Stack,
    StaticNetwork,
)
from skinnybox.overlays.format import MIN_OVERLAY
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.progress import Progress, Step
from skinnybox.sizes import MIB, format_size

BATCH = 100
"""Instances that become visible together, in one durable transaction."""

MIN_MEMORY = 128 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """What every machine of one `create` has in common. `dax` None: what the master's first image is for."""

    overlay: Overlay
    memory: int
    cpus: int
    network: Network | None = None
    bridge: str | None = None
    static_network: StaticNetwork | None = None
    ssh_user: str = "root"
    authorized_keys: tuple[str, ...] = ()
    files: tuple[SeedFile, ...] = ()
    run_once: str | None = None
    dax: bool | None = None
    fleet: str | None = None
    autostart: bool = False


def check(specification: Specification, features: Features, count: int) -> None:
    """Refuse, before anything is touched, what cannot be right or what this host cannot do."""
    if specification.overlay.size < MIN_OVERLAY:
        raise UsageError(f"an overlay has at least {format_size(MIN_OVERLAY)}")
    if specification.memory < MIN_MEMORY:
        raise UsageError(f"a machine has at least {format_size(MIN_MEMORY)} of memory")
    if specification.cpus < 1:
        raise UsageError("a machine has at least one processor")
    if specification.static_network and count > 1:
        raise UsageError("one static address cannot serve several machines")
    if specification.overlay.allocation not in features.allocations:
        raise Unsupported(
            f"this host cannot keep {specification.overlay.allocation} overlays", hint="use --sparse"
        )
    if specification.network and specification.network not in features.networks:
        raise Unsupported(f"this host has no {specification.network} network", hint="`skinnybox doctor`")
    if specification.dax and not features.dax:
        raise Unsupported("this host cannot let a guest map its master", hint="leave --dax out")
    _check_bridge(specification, features)


def _check_bridge(specification: Specification, features: Features) -> None:
    bridged = specification.network is Network.BRIDGE
    if bridged != (specification.bridge is not None):
        raise UsageError("a bridged machine needs the name of a bridge, and no other does")
    if specification.bridge is not None and specification.bridge not in features.bridges:
        known = ", ".join(sorted(features.bridges)) or "none"
        raise NotFound(f"this host has no bridge {specification.bridge!r}", hint=f"it has {known}")


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
    return Instance(
        uuid=identity,
        name=name,
        stack=stack,
        overlay=whole_mib(specification.overlay),
        seed=Seed(
            hostname=name,
            machine_id=uuid.uuid5(identity, "machine-id").hex,
            network=specification.static_network,
            authorized_keys=specification.authorized_keys,
            files=specification.files,
            run_once=specification.run_once,
        ),
        created=now,
        memory=specification.memory,
        cpus=specification.cpus,
        ssh_port=port,
        ssh_user=specification.ssh_user,
        network=specification.network,
        bridge=specification.bridge,
        fleet=specification.fleet,
        autostart=specification.autostart,
    )


def whole_mib(overlay: Overlay) -> Overlay:
    """The next full MiB: filesystems end with a block."""
    return replace(overlay, size=-(-overlay.size // MIB) * MIB)


def make(host: Host, state: State, wanted: Sequence[Instance], progress: Progress) -> Sequence[Instance]:
    """Claim the names, then make every disk and record. Whatever stops it, nothing of this call stays.

    Returns them as they are: with another ssh port, where another process took the one wanted."""
    with ExitStack() as undo:
        wanted = state.claim(wanted)
        undo.callback(state.forget, wanted)
        made = 0
        progress(Step(task="create", done=0, total=len(wanted), unit="machines"))
        for batch in _batches(wanted):
            for instance in batch:
                undo.callback(remove, host, instance)
                make_one(host, instance)
            state.settle(batch)
            made += len(batch)
            progress(Step(task="create", done=made, total=len(wanted), unit="machines"))
        undo.pop_all()
    return wanted


def make_one(host: Host, instance: Instance) -> None:
    contents = Contents(base=base_message(instance), seed=seed_message(instance))
    host.create_overlay(instance, contents)
    host.define(instance)


def _batches(wanted: Sequence[Instance]) -> Iterator[Sequence[Instance]]:
    for start in range(0, len(wanted), BATCH):
        yield wanted[start : start + BATCH]


def check_space(host: Host, wanted: Sequence[Instance]) -> None:
    """Refuse a batch that the disk cannot keep its promise to, before the first byte is written."""
    need = sum(i.overlay.size for i in wanted if i.overlay.allocation is Allocation.RESERVED)
    free = host.space((), ()).free
    if need > free:
        raise NoSpace(
            f"{len(wanted)} reserved overlays need {format_size(need)}; {format_size(free)} are free",
            hint="fewer or smaller machines, or --sparse, which promises nothing",
        )


def with_key(specification: Specification, public_key: str) -> Specification:
    """The fleet's own key lets `ssh` and `exec` in; the user's keys come after it."""
    return replace(specification, authorized_keys=(public_key, *specification.authorized_keys))
