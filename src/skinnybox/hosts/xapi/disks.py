"""Overlays in a pool: blank until a guest formats them, or made here and uploaded; read by download.

A new overlay takes an old one's place in one call: of the whole ones the highest generation counts.
"""

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from skinnybox.errors import Conflict, SkinnyboxError, UsageError
from skinnybox.hosts.base import Contents
from skinnybox.hosts.xapi import build, create, maps, others, point_in_time, tags, tasks, telling, transfer
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.create import BLANK
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.space import disk_size
from skinnybox.hosts.xapi.tags import Role
from skinnybox.hosts.xapi.xenstore_data import contents_of, fits, told
from skinnybox.model import Allocation, Consistency, Instance
from skinnybox.operation import Operation
from skinnybox.overlays import space
from skinnybox.overlays.format import MIN_OVERLAY
from skinnybox.overlays.make import make
from skinnybox.overlays.seed import seed_capacity
from skinnybox.overlays.template import template
from skinnybox.sizes import KIB, MIB, format_size

UNTOUCHED = "untouched"
"""Instead of `yes` on a snapshot: its machine had never been started."""
_MARGIN = 8 * MIB
_LOOKED_AT = 64 * KIB
"""The first bytes of every filesystem there is; of a blank overlay they are zeros."""


@contextmanager
def exclusive(pool: Pool, instance: Instance) -> Iterator[None]:
    """Nobody else works on its overlay. Conflict."""
    with pool.exclusive(str(instance.uuid), f"the overlay of {instance.name}"):
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


def _check(instance: Instance) -> None:
    if instance.overlay.size < MIN_OVERLAY or instance.overlay.size % MIB:
        raise UsageError(f"an overlay has whole MiB, at least {format_size(MIN_OVERLAY)}")
    tags.record_text(instance)


def replace(
    pool: Pool, instance: Instance, contents: Contents, templates: Path, operation: Operation
) -> None:
    """See replace_overlay in base.py."""
    _check(instance)
    with exclusive(pool, instance):
        still_off = others.off(pool, instance)
        old = pool.overlay(instance)
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
        _formatted(instance, contents, file, templates)
        put(pool, instance, file, generation, sr, operation, ready)


def _formatted(
    instance: Instance, contents: Contents, file: Path, templates: Path, own: UUID | None = None
) -> None:
    chosen = template(templates, instance.overlay.size, seed_capacity(contents.seed))
    make(
        chosen,
        file,
        base=contents.base,
        seed=contents.seed,
        identity=contents.identity,
        allocation=Allocation.SPARSE,
        own=own,
    )


def put(
    pool: Pool,
    instance: Instance,
    file: Path,
    generation: int,
    sr: str,
    operation: Operation,
    ready: Callable[[], None],
) -> None:
    """Upload a whole overlay; it counts from the last call on, unless `ready` refuses that."""
    share = tasks.shared(operation, f"put {instance.name}", file.stat().st_size)
    with undone(pool, instance, generation):
        record = _record(pool, instance, generation, file.stat().st_size, Role.MAKING, sr)
        vdi = pool.call("VDI.create", record)
        transfer.upload(pool.sessions, vdi, file, share)
        ready()
        maps.put(pool, "VDI", vdi, record, tags.ROLE, Role.OVERLAY.value)


def _record(pool: Pool, instance: Instance, generation: int, size: int, role: Role, sr: str) -> Record:
    other = tags.of(instance, pool.identity.own()) | {tags.GENERATION: str(generation)}
    return build.disk(sr, disk_size(size), f"{instance.name} overlay", role, other)


@contextmanager
def undone(pool: Pool, instance: Instance, generation: int) -> Iterator[None]:
    """What the block made of this generation goes when it fails, also where an answer was lost."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            pool.things.refresh()
            for reference, record in pool.disks(instance.uuid):
                ours = tags.role_of(record) in (Role.OVERLAY, Role.MAKING) and not record["is_a_snapshot"]
                if ours and tags.generation_of(record) == generation:
                    pool.destroy_disk(reference, record)
        raise


def attach_current(pool: Pool, instance: Instance, old: Found) -> None:
    """Attach what counts now, and remove what does not. For who is alone, of a halted machine."""
    create.supersede(pool, *old)
    found = create.attach(pool, instance)
    if found:
        _retell(pool, instance, found)
    pool.things.refresh()
    current = pool.overlays().get(instance.uuid)
    for reference, record in pool.disks(instance.uuid):
        useless = (Role.MAKING, Role.SUPERSEDED) if current else (Role.MAKING,)
        if tags.role_of(record) in useless and not record["is_a_snapshot"]:
            pool.destroy_disk(reference, record)


def _retell(pool: Pool, instance: Instance, found: Found) -> None:
    """Whether it may format is a matter of the overlay it has now."""
    _, overlay = pool.overlay(instance)
    blank = BLANK in overlay["other_config"]
    telling.tell_anew(pool, found, told(instance, blank=blank), blank=blank)


@contextmanager
def opened(pool: Pool, instance: Instance, templates: Path, operation: Operation) -> Iterator[Path]:
    """See open_overlay in base.py. What a guest has yet to format is shown as what it will be."""
    with exclusive(pool, instance):
        pool.refuse_running(instance)
        found = pool.overlay(instance)
        with pool.workspace() as work:
            yield fetched(pool, instance, *found, work / "overlay.img", templates, operation)


def size_of(instance: Instance, record: Record) -> int:
    """Of its overlay in bytes, without what the pool rounds up."""
    size = int(record["virtual_size"])
    return instance.overlay.size if 0 < size - instance.overlay.size < 2 * MIB else size


def never_started(pool: Pool, instance: Instance) -> bool:
    """It was made with its overlay, and nobody started it since, also not past us: a blank overlay is blank
    still. As of the last look. (An earlier version noted a start only where the guest can write.)"""
    found = pool.ours().get(instance.uuid)
    if found is None or not {tags.FIRST, tags.START} <= set(found[1]["other_config"]):
        return False
    if telling.started_of(found[1]) or found[1]["last_booted_record"]:
        return False
    started = pool.call("VM_metrics.get_start_time", found[1]["metrics"])
    return str(started).startswith("1970")


def fetched(
    pool: Pool,
    instance: Instance,
    vdi: str,
    record: Record,
    file: Path,
    templates: Path,
    operation: Operation,
) -> Path:
    """A disk of an instance as a new file."""
    if BLANK in record["other_config"] and _surely_blank(pool, instance, record):
        return _as_it_will_be(instance, file, templates)
    size = int(record["virtual_size"])
    space.require(file.parent, min(size, int(record["physical_utilisation"])) + _MARGIN, "the overlay")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.truncate(descriptor, size)
        share = tasks.shared(operation, f"fetch {instance.name}", size)
        transfer.download(pool.sessions, vdi, descriptor, size, share)
        os.truncate(descriptor, size_of(instance, record))
        blank = BLANK in record["other_config"] and not os.pread(descriptor, _LOOKED_AT, 0).strip(b"\0")
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    if blank:
        file.unlink()
        return _as_it_will_be(instance, file, templates)
    return file


def _surely_blank(pool: Pool, instance: Instance, record: Record) -> bool:
    """A snapshot's mark says whether the machine had been started by then."""
    if tags.role_of(record) == Role.SNAPSHOT:
        return bool(record["other_config"][BLANK] == UNTOUCHED)
    return never_started(pool, instance)


def _as_it_will_be(instance: Instance, file: Path, templates: Path) -> Path:
    """Whoever looks twice sees the same."""
    own = uuid.uuid5(instance.uuid, "overlay")
    _formatted(instance, contents_of(instance), file, templates, own)
    return file


def rebuild(
    pool: Pool,
    instance: Instance,
    size: int,
    build_: Callable[[Path, Path], None],
    templates: Path,
    operation: Operation,
) -> None:
    """See rebuild_overlay in base.py."""
    with exclusive(pool, instance):
        still_off = others.off(pool, instance)
        found = pool.overlay(instance)
        with pool.workspace() as work:
            old = fetched(pool, instance, *found, work / "overlay.img", templates, operation)
            new = work / "new.img"
            new.touch(mode=0o600)
            os.truncate(new, size)
            build_(old, new)
            if new.stat().st_size != size:
                raise SkinnyboxError(f"{new} did not keep its size while it was made")
            generation = tags.generation_of(found[1]) + 1
            put(pool, instance, new, generation, found[1]["SR"], operation, still_off)
        attach_current(pool, instance, found)


def copy(pool: Pool, instance: Instance, target: Path, templates: Path, operation: Operation) -> Consistency:
    """See copy_overlay in base.py."""
    with exclusive(pool, instance):
        overlay = pool.overlay(instance)
        with point_in_time.still(pool, instance, overlay) as (source, consistent):
            fetched(pool, instance, source, overlay[1], target, templates, operation)
        return consistent


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
