"""Overlays in a pool: blank until a guest formats them, or made here and uploaded; read by download.

A new overlay takes an old one's place in one call: of the whole ones the highest generation counts.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from skinnybox.errors import Conflict, NotFound, SkinnyboxError, UsageError
from skinnybox.hosts.base import Contents
from skinnybox.hosts.xapi import (
    build,
    create,
    keeping,
    maps,
    others,
    point_in_time,
    tags,
    tasks,
    telling,
    transfer,
)
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.create import BLANK
from skinnybox.hosts.xapi.fetching import fetched, formatted
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.space import disk_size
from skinnybox.hosts.xapi.tags import Role
from skinnybox.hosts.xapi.xenstore_data import fits, told
from skinnybox.model import Consistency, DiskKind, Instance
from skinnybox.operation import Operation
from skinnybox.overlays.format import MIN_OVERLAY
from skinnybox.sizes import MIB, format_size

ROLES = {DiskKind.OVERLAY: Role.OVERLAY, DiskKind.DATA: Role.DATA}


@contextmanager
def exclusive(pool: Pool, instance: Instance) -> Iterator[None]:
    """Nobody else works on its disks. Conflict."""
    with pool.exclusive_disks(instance):
        yield


def make_first(
    pool: Pool, instance: Instance, contents: Contents, templates: Path, operation: Operation
) -> None:
    """See create_overlay in base.py."""
    _check(instance)
    with exclusive(pool, instance):
        pool.things.refresh()
        if instance.uuid in pool.overlays():
            raise Conflict(f"{instance.name} has an overlay in this pool")
        _make(pool, instance, contents, 1, templates, pool.sr()[0], operation)
        pool.fresh.add(instance.uuid)


def make_data(
    pool: Pool, instance: Instance, contents: Contents, templates: Path, operation: Operation
) -> None:
    """The same of its data disk, beside the overlay. It is put there whole: no guest is ever ordered to
    format a disk that may have held data."""
    _check(instance)
    with exclusive(pool, instance):
        if instance.uuid in pool.data_disks():
            raise Conflict(f"{instance.name} has a data disk in this pool")
        sr = pool.overlay(instance)[1]["SR"]
        with pool.workspace() as work:
            file = work / "data.img"
            formatted(instance, contents, file, templates, kind=DiskKind.DATA)
            put(pool, instance, file, 1, sr, operation, lambda: None, DiskKind.DATA)


def _check(instance: Instance) -> None:
    if any(disk.size < MIN_OVERLAY or disk.size % MIB for disk in instance.disks.values()):
        raise UsageError(f"a machine's disks have whole MiB, at least {format_size(MIN_OVERLAY)}")
    tags.record_text(instance)


def replace(
    pool: Pool, instance: Instance, contents: Contents, templates: Path, operation: Operation
) -> None:
    """See replace_overlay in base.py."""
    _check(instance)
    with exclusive(pool, instance):
        still_off = others.off(pool, instance)
        old = pool.overlay(instance)
        keeping.unmark(pool, old)
        generation = tags.generation_of(old[1]) + 1
        _make(pool, instance, contents, generation, templates, old[1]["SR"], operation, still_off)
        attach_current(pool, instance, old)


def _make(
    pool: Pool,
    instance: Instance,
    contents: Contents,
    generation: int,
    templates: Path,
    sr: str,
    operation: Operation,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """A fresh one that counts, or none. An identity holds a private key: it goes nowhere but on the disk.
    `ready` may refuse, as late as can be."""
    if fits(contents, instance):
        ready()
        with undone(pool, instance, generation):
            record = _record(pool, instance, generation, instance.overlay.size, Role.OVERLAY, sr)
            record["other_config"][BLANK] = telling.said_before(pool, instance) or "yes"
            pool.call("VDI.create", record)
        return
    with pool.workspace() as work:
        file = work / "overlay.img"
        formatted(instance, contents, file, templates)
        put(pool, instance, file, generation, sr, operation, ready)


def put(
    pool: Pool,
    instance: Instance,
    file: Path,
    generation: int,
    sr: str,
    operation: Operation,
    ready: Callable[[], None],
    kind: DiskKind = DiskKind.OVERLAY,
) -> None:
    """Upload a whole disk; it counts from the last call on, unless `ready` refuses that."""
    with undone(pool, instance, generation, kind):
        disk = uploaded(pool, instance, file, generation, sr, operation, kind)
        ready()
        maps.put(pool, "VDI", *disk, tags.ROLE, ROLES[kind].value)


def uploaded(
    pool: Pool,
    instance: Instance,
    file: Path,
    generation: int,
    sr: str,
    operation: Operation,
    kind: DiskKind,
) -> Found:
    """It does not count yet."""
    share = tasks.shared(operation, f"put {instance.name}", file.stat().st_size)
    record = _record(pool, instance, generation, file.stat().st_size, Role.MAKING, sr, kind)
    vdi = pool.call("VDI.create", record)
    transfer.upload(pool.sessions, vdi, file, share)
    return vdi, record


def _record(
    pool: Pool,
    instance: Instance,
    generation: int,
    size: int,
    role: Role,
    sr: str,
    kind: DiskKind = DiskKind.OVERLAY,
) -> Record:
    other = tags.of(instance, pool.identity.own()) | {tags.GENERATION: str(generation)} | tags.of_kind(kind)
    return build.disk(sr, disk_size(size), f"{instance.name} {kind}", role, other)


@contextmanager
def undone(
    pool: Pool, instance: Instance, generation: int, kind: DiskKind = DiskKind.OVERLAY
) -> Iterator[None]:
    """What the block made of this generation and kind goes when it fails, also where an answer was lost."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            pool.things.refresh()
            for reference, record in pool.disks(instance.uuid):
                ours = tags.role_of(record) in (ROLES[kind], Role.MAKING) and tags.kind_of(record) is kind
                if ours and not record["is_a_snapshot"] and tags.generation_of(record) == generation:
                    pool.destroy_disk(reference, record)
        raise


def attach_current(pool: Pool, instance: Instance, old: Found) -> None:
    """Attach what counts now, and remove what does not, of that kind of disk. For who is alone, of a halted
    machine."""
    kind = tags.kind_of(old[1])
    machine = pool.machine(instance.uuid)
    # It may be on another master by now, which the caller has had recorded.
    instance = (machine and tags.readable_instance(machine[1])) or instance
    create.supersede(pool, old[0], pool.things.get("VDI", old[0]) or old[1])
    found = create.attach(pool, instance)
    if found:
        _retell(pool, instance, found)
    pool.things.refresh()
    current = pool.own_disks(kind).get(instance.uuid)
    for reference, record in pool.disks(instance.uuid):
        useless = (Role.MAKING, Role.SUPERSEDED) if current else (Role.MAKING,)
        of_kind = tags.kind_of(record) is kind and not record["is_a_snapshot"]
        if of_kind and tags.role_of(record) in useless:
            pool.destroy_disk(reference, record)


def _retell(pool: Pool, instance: Instance, found: Found) -> None:
    """Whether it may format is a matter of the overlay it has now."""
    _, overlay = pool.overlay(instance)
    blank = BLANK in overlay["other_config"]
    telling.tell_anew(pool, found, told(instance, blank=blank), blank=blank)


@contextmanager
def opened(
    pool: Pool, instance: Instance, templates: Path, operation: Operation, kind: DiskKind
) -> Iterator[Path]:
    """See open_overlay in base.py. What a guest has yet to format is shown as what it will be."""
    with pool.exclusive_disks(instance, kind):
        pool.refuse_running(instance)
        found = pool.overlay(instance, kind)
        with pool.workspace() as work:
            yield fetched(pool, instance, *found, work / f"{kind}.img", templates, operation)


def copy(
    pool: Pool, instance: Instance, target: Path, templates: Path, operation: Operation, kind: DiskKind
) -> Consistency:
    """See copy_overlay in base.py."""
    with exclusive(pool, instance):
        point_in_time.sweep(pool, instance)
        disk = pool.overlay(instance, kind)
        with point_in_time.still(pool, instance, disk) as (source, consistent):
            fetched(pool, instance, source, disk[1], target, templates, operation)
        return consistent


def discard_data(pool: Pool, instance: Instance) -> None:
    """See base.py. Copies that somebody made of it stay."""
    with exclusive(pool, instance):
        pool.refuse_running(instance)
        others.refuse(pool, instance)
        with contextlib.suppress(NotFound):
            pool.destroy_disk(*pool.overlay(instance, DiskKind.DATA))


def delete(pool: Pool, instance: Instance) -> None:
    """See delete in base.py. The machine goes first: until then nothing is lost."""
    with exclusive(pool, instance):
        pool.refuse_running(instance)
        others.refuse(pool, instance)
        create.forget(pool, instance)
        pool.things.refresh()
        for reference, record in pool.disks(instance.uuid):
            try:
                pool.destroy_disk(reference, record)
            except Conflict as error:
                raise SkinnyboxError(
                    f"{instance.name} is gone but for a disk: {error.message}",
                    hint="the next command deletes that as well",
                ) from error
