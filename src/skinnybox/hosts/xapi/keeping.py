"""An overlay in a pool that becomes a snapshot, and a snapshot that becomes one: by their marks alone.

What is to be kept gets the marks of a snapshot while it still is the overlay, and is none yet: of all disks
whose role says overlay the one of the highest generation is the overlay, so it becomes a snapshot by the very
call that has another count. Its role follows, as it is taken from the machine.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from skinnybox.errors import Conflict
from skinnybox.hosts.record import to_record
from skinnybox.hosts.xapi import maps, tags
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.tags import Role
from skinnybox.model import Consistency, Instance, check_label

FORMAT = 1


def kept(instance: Instance, taken: datetime, consistent: Consistency, *, data: bool) -> str:
    """What a snapshot says it is of."""
    values = {
        "format": FORMAT,
        "taken": taken.isoformat(),
        "consistent": consistent.value,
        "instance": to_record(instance),
        "data": data,
    }
    return tags.pack(values)


@contextmanager
def marked(pool: Pool, instance: Instance, overlay: Found, label: str) -> Iterator[None]:
    """In the block the overlay is marked as the snapshot it is to be; the block has another count. What the
    block could not do leaves no marks. For who is alone."""
    refuse_taken(pool, instance, label)
    unmark(pool, overlay)
    text = kept(instance, datetime.now(UTC), Consistency.STOPPED, data=False)
    try:
        maps.add(pool, "VDI", overlay[0], maps.OTHER, tags.KEPT, text)
        maps.add(pool, "VDI", overlay[0], maps.OTHER, tags.LABEL, label)
        yield
    except BaseException:
        with suppress(Exception):
            pool.things.refresh(anew=True)
            counts = pool.overlays().get(instance.uuid)
            if counts and counts[0] == overlay[0]:
                unmark(pool, counts)
        raise


def refuse_taken(pool: Pool, instance: Instance, label: str) -> None:
    """Conflict where there is a snapshot of this label."""
    check_label(label)
    if find(pool, instance, label):
        hint = f"another label, or: skinnybox snapshot delete {label} {instance.name}"
        raise Conflict(f"{instance.name} has a snapshot {label!r} already", hint=hint)


def unmark(pool: Pool, overlay: Found) -> None:
    """Of the overlay, what a command that was killed left: else it would be kept when another takes its
    place. Idempotent."""
    for key in (tags.LABEL, tags.KEPT):
        if key in overlay[1]["other_config"]:
            maps.drop(pool, "VDI", overlay[0], maps.OTHER, key)


def all_of(pool: Pool, instance: Instance) -> list[Found]:
    """The overlays in snapshots, as of the last look: with what was kept, and has not got its role yet."""
    counts = pool.overlays().get(instance.uuid)
    found = pool.disks(instance.uuid)
    return [each for each in found if tags.role_of(each[1]) == Role.SNAPSHOT or is_kept(each, counts)]


def is_kept(each: Found, counts: Found | None) -> bool:
    """What a command was killed over before it got the role of a snapshot. Not what somebody copied of the
    overlay that `counts`, with all its marks."""
    record = each[1]
    labelled = tags.LABEL in record["other_config"] and not record["is_a_snapshot"]
    if tags.role_of(record) != Role.OVERLAY or not labelled:
        return False
    return counts is not None and tags.generation_of(record) < tags.generation_of(counts[1])


def find(pool: Pool, instance: Instance, label: str) -> Found | None:
    found = all_of(pool, instance)
    return next((each for each in found if each[1]["other_config"].get(tags.LABEL) == label), None)
