"""What killed commands left in a pool: disks half made or superseded, and copies on this machine.

Nothing is removed that has an attachment or an operation, that was begun lately (by the clock of whoever
began it: another machine may be at it), or whose lock a command on this machine has.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from uuid import UUID

from skinnybox import layout, private
from skinnybox.errors import Conflict
from skinnybox.hosts.local.leftovers import half_made, no_part, templates, within
from skinnybox.hosts.xapi import drives, fleets, keeping, shared, tags
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.pool import TAKE_MARK_OFF, WORK, Found, Pool
from skinnybox.hosts.xapi.tags import Role
from skinnybox.issues import Deed, Finding
from skinnybox.masters.workspace import alive
from skinnybox.model import DiskKind

_KEPT = (Role.SNAPSHOT, Role.DATA_SNAPSHOT)


def found(pool: Pool, known: Collection[UUID]) -> Iterator[Finding]:
    """Of disks and drives of machines: what no holding tells of. `known` are machines that somebody has."""
    pool.things.refresh(anew=True)
    own, machines = {kind: pool.own_disks(kind) for kind in DiskKind}, pool.ours()
    for reference, record in sorted(pool.disks()):
        uuid = tags.instance_of(record)
        assert uuid is not None
        what, copy = _of_machine(record), _copied(record, own, uuid, reference)
        if what:
            yield _half_made(pool, reference, record, what, str(uuid))
        elif copy:
            yield Finding(path=place(record), what=copy, deed=Deed.KEEP)
        elif tags.role_of(record) in _KEPT and uuid not in machines and uuid not in known:
            what = f"{record['name_label']}: a snapshot of a machine that is no more: delete it in the pool"
            yield Finding(path=place(record), what=f"{what}, if you do not need it", deed=Deed.KEEP)
    for reference, record in sorted(pool.things.all("VDI")):
        lock = shared.half(pool, record)
        if lock:
            what = f"{record['name_label']}: an upload that was not finished"
            yield _half_made(pool, reference, record, what, lock)
    yield from drives.findings(pool, known)
    yield from _here(pool.folder)
    yield from fleets.others(pool.things, pool.identity.known())


def _of_machine(record: Record) -> str | None:
    name, role = record["name_label"], tags.role_of(record)
    if role == Role.MOMENT:
        return f"{name}: what a copy of a running machine needed for a moment"
    if role == Role.MAKING and not record["is_a_snapshot"]:
        return f"{name}: half made by a command that was stopped"
    if role == Role.SUPERSEDED and not record["is_a_snapshot"]:
        return f"{name}: another has taken its place"
    return None


def _copied(
    record: Record, own: Mapping[DiskKind, Mapping[UUID, Found]], uuid: UUID, reference: str
) -> str | None:
    """What somebody may have made to keep it: a pool gives a copy all the marks."""
    name = record["name_label"]
    if record["is_a_snapshot"]:
        return f"{name}: a snapshot that somebody made in the pool; if nobody needs it, {TAKE_MARK_OFF}"
    counts = own[tags.kind_of(record)].get(uuid)
    if keeping.is_kept((reference, record), counts):
        return f"{name}: of before a rebase that was interrupted; its next start takes it from the machine"
    if tags.role_of(record) in (Role.OVERLAY, Role.DATA) and counts and counts[0] != reference:
        what = "overlay" if tags.role_of(record) == Role.OVERLAY else "data disk"
        return f"{name}: not the {what} that counts, perhaps a copy; if nobody needs it, {TAKE_MARK_OFF}"
    return None


def place(record: Record) -> Path:
    """A name to show: nothing lies there."""
    return Path("pool", "VDI", record["uuid"])


def _half_made(pool: Pool, reference: str, record: Record, what: str, lock: str) -> Finding:
    if is_used(pool, record, lock):
        what = f"{what}; it may be in the making: look again in an hour"
        return Finding(path=place(record), what=what, deed=Deed.KEEP)
    act = partial(_remove, pool, reference, lock)
    return Finding(path=place(record), what=what, deed=Deed.REMOVE, act=act)


def is_used(pool: Pool, record: Record, lock: str) -> bool:
    """Whether somebody may be at work on a disk."""
    if record["VBDs"] or record["current_operations"] or tags.is_young(record):
        return True
    try:
        with pool.exclusive(lock, "it"):
            return False
    except Conflict:
        return True


def _remove(pool: Pool, reference: str, lock: str) -> None:
    with pool.exclusive(lock, "that disk"):
        remove_unused(pool, reference)


def remove_unused(pool: Pool, reference: str) -> None:
    """Looks once more, as late as can be. Gone already is fine; Conflict when somebody has it by now."""
    pool.things.refresh(anew=True)
    record = pool.things.get("VDI", reference)
    if record is None:
        return
    if record["VBDs"] or record["current_operations"]:
        raise Conflict(f"somebody uses {record['name_label']} by now", hint="look again later")
    pool.destroy("VDI", reference)


def _here(folder: Path) -> Iterator[Finding]:
    """On this machine: `folder` has the copies of disks, and a living command has a lock on its own."""
    for path in private.entries(folder) if folder.is_dir() else []:
        if not path.name.startswith(WORK):
            yield from no_part(layout.ON_POOL, path)
        elif not alive(path):
            yield half_made(path, "copies of disks that a command which was killed worked with")
    yield from within(layout.RUNS, folder.parent)
    yield from templates(folder.parent.parent)
