"""What lies on a pool's disk, or will, as a file here."""

import os
import uuid
from pathlib import Path
from uuid import UUID

from skinnybox.hosts.base import Contents
from skinnybox.hosts.xapi import tags, tasks, telling, transfer
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.create import BLANK
from skinnybox.hosts.xapi.pool import Pool
from skinnybox.hosts.xapi.tags import Role
from skinnybox.hosts.xapi.xenstore_data import contents_of
from skinnybox.model import Allocation, DiskKind, Instance
from skinnybox.operation import Operation
from skinnybox.overlays import space
from skinnybox.overlays.make import make
from skinnybox.overlays.seed import seed_capacity
from skinnybox.overlays.template import template
from skinnybox.sizes import KIB, MIB

UNTOUCHED = "untouched"
"""Instead of `yes` on a snapshot: its machine had never been started."""
_MARGIN = 8 * MIB
_LOOKED_AT = 64 * KIB
"""The first bytes of every filesystem there is; of a blank overlay they are zeros."""


def formatted(
    instance: Instance,
    contents: Contents,
    file: Path,
    templates: Path,
    own: UUID | None = None,
    kind: DiskKind = DiskKind.OVERLAY,
) -> None:
    """A fresh disk of this kind, as a new file."""
    capacity = seed_capacity(contents.seed) if contents.seed else 0
    chosen = template(templates, instance.disks[kind].size, capacity, kind)
    make(
        chosen,
        file,
        base=contents.base,
        seed=contents.seed,
        identity=contents.identity,
        allocation=Allocation.SPARSE,
        own=own,
    )


def size_of(instance: Instance, record: Record) -> int:
    """Of a disk of its own in bytes, without what the pool rounds up."""
    size, disk = int(record["virtual_size"]), instance.disks.get(tags.kind_of(record))
    return disk.size if disk and 0 < size - disk.size < 2 * MIB else size


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
    space.require(file.parent, min(size, int(record["physical_utilisation"])) + _MARGIN, "the disk")
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
    formatted(instance, contents_of(instance), file, templates, own)
    return file
