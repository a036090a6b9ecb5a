"""Snapshots: whole copies on the overlay's SR, made by the pool itself. Their record lies on them."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from skinnybox import formats
from skinnybox.errors import Conflict, Corrupt, NotFound, SkinnyboxError
from skinnybox.hosts.record import from_record, to_record
from skinnybox.hosts.xapi import build, disks, maps, point_in_time, tags, tasks
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.create import BLANK
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.session import NULL
from skinnybox.hosts.xapi.tags import Role
from skinnybox.model import Consistency, Instance, Snapshot, check_label
from skinnybox.operation import Operation

FORMAT = 1
LABEL = "skinnybox:label"


def take(pool: Pool, instance: Instance, label: str, operation: Operation) -> Snapshot:
    """See take_snapshot in base.py. It is there from the last call on."""
    check_label(label)
    with disks.exclusive(pool, instance):
        overlay = pool.overlay(instance)
        if _find(pool, instance, label):
            hint = f"another label, or: skinnybox snapshot delete {label} {instance.name}"
            raise Conflict(f"{instance.name} has a snapshot {label!r} already", hint=hint)
        _sweep(pool, instance)
        with point_in_time.still(pool, instance, overlay) as (source, consistent):
            share = tasks.shared(operation, f"copy {instance.name}", int(overlay[1]["virtual_size"]))
            _copied(pool, instance, label, source, overlay[1], consistent, share)
        pool.things.refresh()
        found = _find(pool, instance, label)
        if found is None:
            raise NotFound(f"somebody deleted the snapshot {label!r} just now")
        return _loaded(found[1])


def _copied(
    pool: Pool,
    instance: Instance,
    label: str,
    source: str,
    record: Record,
    consistent: Consistency,
    share: tasks.Share,
) -> None:
    values = {
        "format": FORMAT,
        "taken": datetime.now(UTC).isoformat(),
        "consistent": consistent.value,
        "instance": to_record(instance),
    }
    mark = {**tags.of(instance, pool.identity.own()), LABEL: label}
    mark[tags.KEPT] = tags.pack(values)
    if BLANK in record["other_config"]:
        mark[BLANK] = disks.UNTOUCHED if disks.never_started(pool, instance) else "yes"
    name = f"{instance.name} snapshot {label}"
    made = build.disk(record["SR"], int(record["virtual_size"]), name, Role.MAKING, mark)
    try:
        target = pool.call("VDI.create", made)
        tasks.run(pool.sessions, "VDI.copy", source, NULL, NULL, target, share=share)
        maps.put(pool, "VDI", target, made, tags.ROLE, Role.SNAPSHOT.value)
    except BaseException:
        with contextlib.suppress(Exception):
            pool.things.refresh()
            for each in pool.disks(instance.uuid):
                if each[1]["other_config"].get(LABEL) == label:
                    pool.destroy_disk(*each)
        raise


def _sweep(pool: Pool, instance: Instance) -> None:
    """Those half made."""
    for reference, record in pool.disks(instance.uuid):
        if LABEL in record["other_config"] and tags.role_of(record) == Role.MAKING:
            pool.destroy_disk(reference, record)


def _all(pool: Pool, instance: Instance) -> list[Found]:
    return [each for each in pool.disks(instance.uuid) if tags.role_of(each[1]) == Role.SNAPSHOT]


def _find(pool: Pool, instance: Instance, label: str) -> Found | None:
    return next((e for e in _all(pool, instance) if e[1]["other_config"].get(LABEL) == label), None)


def listed(pool: Pool, instance: Instance) -> list[Snapshot]:
    """Oldest first. Corrupt, naming it, for one whose record is damaged."""
    pool.things.refresh()
    return sorted((_loaded(record) for _, record in _all(pool, instance)), key=lambda kept: kept.taken)


def _loaded(record: Record) -> Snapshot:
    what = f"the disk {record['name_label']}"
    config = record["other_config"]
    try:
        values = tags.unpack(config.get(tags.KEPT, ""), what)
        formats.check(values, FORMAT, "a snapshot's record")
        return Snapshot(
            label=check_label(config.get(LABEL, "")),
            taken=datetime.fromisoformat(values["taken"]),
            instance=from_record(values["instance"]),
            consistent=Consistency(values["consistent"]),
            written=int(record["physical_utilisation"]),
        )
    except (KeyError, TypeError, ValueError, SkinnyboxError) as error:
        hint = "delete the disk in the pool, if you do not need it"
        raise Corrupt(f"{what} is no snapshot of ours: {error}", hint=hint) from error


@contextmanager
def opened(
    pool: Pool, instance: Instance, label: str, templates: Path, operation: Operation
) -> Iterator[Path]:
    """NotFound when there is none of this label."""
    check_label(label)
    pool.things.refresh()
    found = _find(pool, instance, label)
    if found is None:
        hint = f"skinnybox snapshot list {instance.name}"
        raise NotFound(f"{instance.name} has no snapshot {label!r}", hint=hint)
    of = _loaded(found[1]).instance
    with pool.workspace() as work:
        yield disks.fetched(pool, of, *found, work / "overlay.img", templates, operation)


def delete(pool: Pool, instance: Instance, label: str) -> None:
    """Idempotent."""
    check_label(label)
    with disks.exclusive(pool, instance), contextlib.suppress(NotFound):
        pool.things.refresh()
        found = _find(pool, instance, label)
        if found:
            pool.destroy_disk(*found)
