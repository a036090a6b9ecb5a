"""Creating machines: names first, then disks and records, and nothing left when it fails."""

import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from skinnybox.errors import NoSpace, Unsupported, UsageError
from skinnybox.fleet.state import Row, State
from skinnybox.hosts.base import Contents, Features, Host
from skinnybox.model import (
    Allocation,
    Instance,
    Master,
    Network,
    Overlay,
    Progress,
    Seed,
    SeedFile,
    Stack,
    StaticNetwork,
    Step,
)
from skinnybox.overlays.format import MIN_OVERLAY
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.sizes import MIB, format_size

BATCH = 100
"""Instances that become visible together, in one durable transaction."""

FIRST_SSH_PORT, LAST_SSH_PORT, PORTS_APART = 20_000, 31_999, 100
MIN_MEMORY = 128 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """What every machine of one `create` has in common. `image` None: the master's first."""

    overlay: Overlay
    memory: int
    cpus: int
    network: Network | None = None
    static_network: StaticNetwork | None = None
    ssh_user: str = "root"
    authorized_keys: tuple[str, ...] = ()
    files: tuple[SeedFile, ...] = ()
    run_once: str | None = None


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
        raise Unsupported(f"this host has no {specification.network} network")


def instances(
    names: Sequence[str], master: Master, specification: Specification, ports: Iterator[int]
) -> list[Instance]:
    """The values, with a new identity each; nothing exists yet."""
    stack = Stack(master=master.id, reference=master.reference, images=(master.images[0].digest,))
    now = datetime.now(UTC)
    return [_instance(uuid.uuid4(), name, stack, specification, next(ports), now) for name in names]


def _instance(
    identity: UUID,
    name: str,
    stack: Stack,
    specification: Specification,
    port: int,
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
    )


def whole_mib(overlay: Overlay) -> Overlay:
    """The next full MiB: filesystems end with a block."""
    return replace(overlay, size=-(-overlay.size // MIB) * MIB)


def free_ports(used: Iterable[int], folder: Path) -> Iterator[int]:
    """Ports on the host's loopback that no machine has. NoSpace when they run out.

    Each state folder begins at another place, so that two of them on one machine seldom meet.
    """
    taken = set(used)
    count = LAST_SSH_PORT - FIRST_SSH_PORT + 1
    begin = zlib.crc32(bytes(folder)) % count // PORTS_APART * PORTS_APART
    for number in range(count):
        port = FIRST_SSH_PORT + (begin + number) % count
        if port not in taken:
            yield port
    raise NoSpace("every ssh port of this state folder is taken", hint="use a second state folder")


def make(host: Host, state: State, wanted: Sequence[Instance], progress: Progress) -> None:
    """Claim the names, then make every disk and record. Whatever stops it, nothing of this call stays."""
    with ExitStack() as undo:
        state.claim(wanted)
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


def make_one(host: Host, instance: Instance) -> None:
    contents = Contents(base=base_message(instance), seed=seed_message(instance))
    host.create_overlay(instance, contents)
    host.define(instance)


def remove(host: Host, instance: Instance) -> None:
    """Take an instance off its host, whatever of it is there. Idempotent."""
    host.undefine(instance)
    host.delete_disk(instance)


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


def finish_unfinished(host: Host, state: State) -> list[Row]:
    """Undo what a killed process was creating and complete what it was deleting. Returns what was found."""
    rows = state.unfinished()
    for row in rows:
        remove(host, row.instance)
    state.forget(row.instance for row in rows)
    return rows


def with_key(specification: Specification, public_key: str) -> Specification:
    """The fleet's own key lets `ssh` and `exec` in; the user's keys come after it."""
    return replace(specification, authorized_keys=(public_key, *specification.authorized_keys))
