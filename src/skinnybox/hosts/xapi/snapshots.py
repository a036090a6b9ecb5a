"""Snapshots: whole copies on the overlay's SR, made by the pool itself. Their record lies on them."""

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from skinnybox import formats
from skinnybox.errors import Corrupt, NotFound, SkinnyboxError
from skinnybox.hosts.record import from_record
from skinnybox.hosts.xapi import build, disks, fetching, keeping, maps, point_in_time, tags, tasks
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.create import BLANK
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.session import NULL
from skinnybox.hosts.xapi.tags import Role
from skinnybox.model import Consistency, DiskKind, Instance, Snapshot, check_label
from skinnybox.operation import Operation

_ROLES = {DiskKind.OVERLAY: Role.SNAPSHOT, DiskKind.DATA: Role.DATA_SNAPSHOT}


def take(pool: Pool, instance: Instance, label: str, operation: Operation, *, data: bool = False) -> Snapshot:
    """See take_snapshot in base.py. It is there from the last call on: the copy of the data disk, which is
    nothing without that of the overlay, is made first, of a moment just after the overlay's."""
    check_label(label)
    with disks.exclusive(pool, instance), ExitStack() as moments:
        own = [pool.overlay(instance, kind) for kind in DiskKind if data or kind is DiskKind.OVERLAY]
        keeping.refuse_taken(pool, instance, label)
        _sweep(pool, instance)
        point_in_time.sweep(pool, instance)
        still = [(moments.enter_context(point_in_time.still(pool, instance, disk)), disk) for disk in own]
        for (source, consistent), (_, record) in reversed(still):
            share = tasks.shared(operation, f"copy {instance.name}", int(record["virtual_size"]))
            _copied(pool, instance, label, source, record, consistent, share, data=data)
        pool.things.refresh()
        found = _find(pool, instance, label)
        if found is None:
            raise NotFound(f"somebody deleted the snapshot {label!r} just now")
        of_data = _find(pool, instance, label, DiskKind.DATA)
        return _loaded(found[1], of_data[1] if of_data else None)


def _copied(
    pool: Pool,
    instance: Instance,
    label: str,
    source: str,
    record: Record,
    consistent: Consistency,
    share: tasks.Share,
    *,
    data: bool,
) -> None:
    kind = tags.kind_of(record)
    mark = {**tags.of(instance, pool.identity.own()), **tags.of_kind(kind), tags.LABEL: label}
    mark[tags.KEPT] = keeping.kept(instance, datetime.now(UTC), consistent, data=data)
    if BLANK in record["other_config"]:
        mark[BLANK] = fetching.UNTOUCHED if fetching.never_started(pool, instance) else "yes"
    name = f"{instance.name} snapshot {label}"
    made = build.disk(record["SR"], int(record["virtual_size"]), name, Role.MAKING, mark)
    try:
        target = pool.call("VDI.create", made)
        tasks.run(pool.sessions, "VDI.copy", source, NULL, NULL, target, share=share)
        maps.put(pool, "VDI", target, made, tags.ROLE, _ROLES[kind].value)
    except BaseException:
        with contextlib.suppress(Exception):
            pool.things.refresh()
            for each in pool.disks(instance.uuid):
                ours = tags.role_of(each[1]) in (Role.MAKING, *_ROLES.values())
                if ours and each[1]["other_config"].get(tags.LABEL) == label:
                    pool.destroy_disk(*each)
        raise


def _sweep(pool: Pool, instance: Instance) -> None:
    """Those half made, or half deleted."""
    whole = {record["other_config"].get(tags.LABEL) for _, record in _all(pool, instance)}
    for reference, record in pool.disks(instance.uuid):
        label, role = record["other_config"].get(tags.LABEL), tags.role_of(record)
        half = role == Role.MAKING or (role == Role.DATA_SNAPSHOT and label not in whole)
        if label is not None and half:
            pool.destroy_disk(reference, record)


def _all(pool: Pool, instance: Instance, kind: DiskKind = DiskKind.OVERLAY) -> list[Found]:
    if kind is DiskKind.OVERLAY:
        return keeping.all_of(pool, instance)
    return [each for each in pool.disks(instance.uuid) if tags.role_of(each[1]) == _ROLES[kind]]


def _find(pool: Pool, instance: Instance, label: str, kind: DiskKind = DiskKind.OVERLAY) -> Found | None:
    return next(
        (e for e in _all(pool, instance, kind) if e[1]["other_config"].get(tags.LABEL) == label), None
    )


def listed(pool: Pool, instance: Instance) -> list[Snapshot]:
    """Oldest first. Corrupt, naming it, for one whose record is damaged."""
    pool.things.refresh()
    of_data = {r["other_config"].get(tags.LABEL): r for _, r in _all(pool, instance, DiskKind.DATA)}
    found = [
        _loaded(record, of_data.get(record["other_config"].get(tags.LABEL)))
        for _, record in _all(pool, instance)
    ]
    return sorted(found, key=lambda kept: kept.taken)


def _loaded(record: Record, of_data: Record | None = None) -> Snapshot:
    """`of_data`: the copy of the data disk that goes with it. One that should be there and is not makes it
    one without, which `data` says."""
    what = f"the disk {record['name_label']}"
    config = record["other_config"]
    try:
        values = tags.unpack(config.get(tags.KEPT, ""), what)
        formats.check(values, keeping.FORMAT, "a snapshot's record")
        return Snapshot(
            label=check_label(config.get(tags.LABEL, "")),
            taken=datetime.fromisoformat(values["taken"]),
            instance=from_record(values["instance"]),
            consistent=Consistency(values["consistent"]),
            written=sum(int(each["physical_utilisation"]) for each in (record, of_data) if each),
            data=values.get("data") is True and of_data is not None,
        )
    except (KeyError, TypeError, ValueError, SkinnyboxError) as error:
        hint = "delete the disk in the pool, if you do not need it"
        raise Corrupt(f"{what} is no snapshot of ours: {error}", hint=hint) from error


@contextmanager
def opened(
    pool: Pool, instance: Instance, label: str, templates: Path, operation: Operation, kind: DiskKind
) -> Iterator[Path]:
    """NotFound when there is none of this label."""
    check_label(label)
    pool.things.refresh()
    whole, found = _find(pool, instance, label), _find(pool, instance, label, kind)
    if whole is None or found is None:
        hint = f"skinnybox snapshot list {instance.name}"
        raise NotFound(f"{instance.name} has no snapshot {label!r}", hint=hint)
    of = _loaded(found[1]).instance
    with pool.workspace() as work:
        yield fetching.fetched(pool, of, *found, work / f"{kind}.img", templates, operation)


def delete(pool: Pool, instance: Instance, label: str) -> None:
    """Idempotent."""
    check_label(label)
    with disks.exclusive(pool, instance), contextlib.suppress(NotFound):
        pool.things.refresh()
        for kind in DiskKind:  # the overlay's first: without that the other is none
            found = _find(pool, instance, label, kind)
            if found:
                pool.destroy_disk(*found)
