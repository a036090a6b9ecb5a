"""What a machine made its own as one file: a backup, or a machine to take elsewhere.

It may run: then it is as a power cut at one point in time would leave it, and the archive says so.
"""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from skinnybox import __version__
from skinnybox.delta.archive import earlier, exported, restored
from skinnybox.delta.archive.manifest import Manifest, Since, Stack
from skinnybox.delta.archive.sources import Source
from skinnybox.errors import Blocked, NotFound
from skinnybox.fleet import encrypted, half_restored, power, received, thrown, trials
from skinnybox.fleet.context import Context
from skinnybox.fleet.output_file import appearing
from skinnybox.fleet.received import Sent
from skinnybox.fleet.scratch_copy import readable
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.record import to_record
from skinnybox.model import Consistency, DiskKind, Instance
from skinnybox.operation import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """`file`: None for the descriptor `output`, which stays open. With `data` what the data disk holds as
    well; `since` is an earlier archive of the machine, of which only what has changed is to be told."""

    file: Path | None
    output: int = 1
    data: bool = False
    since: Path | Sent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """`size` of the archive in bytes, None where it went into what cannot say that; `digest` of what is
    in it, as it says itself."""

    id: UUID
    size: int | None
    members: int
    digest: str
    consistency: Consistency


def export(context: Context, machine: MachineView, wanted: Export, operation: Operation) -> Exported:
    """Conflict for a file that is there already; Blocked for an earlier archive of something else."""
    instance = machine.instance
    refuse(instance, wanted.data)
    with ExitStack() as held:
        output = held.enter_context(_output(wanted))
        since, index = held.enter_context(_since(context, instance, wanted, operation))
        disks = held.enter_context(
            readable(context.host, machine, context.folder, operation, data=wanted.data)
        )
        manifest = manifest_of(machine, tuple(disks), since)
        end = exported.export(disks, manifest, output, context.folder, operation, index)
        size = os.fstat(output).st_size if wanted.file is not None else None
    return Exported(
        id=manifest.id, size=size, members=end.members, digest=end.digest, consistency=manifest.consistency
    )


def refuse(instance: Instance, data: bool) -> None:
    """What no archive can tell of."""
    thrown.refuse_in_memory(instance, "export")
    encrypted.refuse_reading(instance, "export")
    half_restored.refuse(instance, "an archive would keep both")
    trials.refuse_open(instance, "nobody would try it where it is restored, nor take it back")
    if data and instance.data is None:
        raise NotFound(f"{instance.name} has no data disk", hint="without --data its system is exported")


def _output(wanted: Export) -> AbstractContextManager[int]:
    return nullcontext(wanted.output) if wanted.file is None else appearing(wanted.file)


@contextmanager
def _since(
    context: Context, instance: Instance, wanted: Export, operation: Operation
) -> Iterator[tuple[Since | None, BinaryIO | None]]:
    if wanted.since is None:
        yield None, None
        return
    with tempfile.TemporaryFile(dir=context.folder) as index:
        yield _earlier(context, instance, wanted, wanted.since, index, operation), index


def _earlier(
    context: Context,
    instance: Instance,
    wanted: Export,
    given: Path | Sent,
    index: BinaryIO,
    operation: Operation,
) -> Since:
    """Its index goes into a file, from its beginning. One that comes is not kept until that is used."""

    def look(source: Source) -> Source:
        if isinstance(given, Sent):
            _refuse_other(restored.manifest(source, context.folder), source.called, instance, wanted)
        return source

    with received.looked(given, context.folder, operation, look) as source:
        found = earlier.read(source, index, context.folder, operation)
    _refuse_other(found.manifest, source.called, instance, wanted)
    index.seek(0)
    return found.since


def _refuse_other(manifest: Manifest, called: Path, instance: Instance, wanted: Export) -> None:
    whole = "without --since the archive is a whole one"
    if manifest.machine.get("uuid") != str(instance.uuid):
        raise Blocked(f"{called} is an archive of another machine than {instance.name}", hint=whole)
    if manifest.stack.master != instance.stack.master:
        was = f"{called} is of when {instance.name} booted from {manifest.stack.reference}"
        raise Blocked(f"{was}, which was another master", hint=whole)
    if manifest.stack.images[1:] != instance.stack.images[1:]:
        raise Blocked(f"{called} is of when {instance.name} had other layers", hint=whole)
    if DiskKind.DATA in manifest.disks and not wanted.data:
        hint = f"--data as well; {whole}"
        raise Blocked(f"{called} has what its data disk held, and this would lose it", hint=hint)


def manifest_of(machine: MachineView, disks: tuple[DiskKind, ...], since: Since | None = None) -> Manifest:
    """The way back from a rebase is a snapshot on its host, and stays there; so does where it is moved to."""
    instance = replace(machine.instance, trial=None, moving=None)
    stack = instance.stack
    return Manifest(
        id=uuid.uuid4(),
        made=datetime.now(UTC),
        by=__version__,
        consistency=Consistency.CRASH if power.running(machine) else Consistency.STOPPED,
        disks=disks,
        machine=to_record(instance),
        stack=Stack(
            master=stack.master,
            reference=stack.reference,
            images=tuple(stack.images),
        ),
        since=since,
    )
