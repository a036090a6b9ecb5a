"""Disks that machines share, read-only: masters' and layers'. Each is uploaded once, and found again by the
digest of the image on it.

On SRs that keep files, machines get a clone of the upload: dom0 caches reads only of disks with a parent.
"""

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from skinnybox.errors import Blocked, Conflict, NotFound
from skinnybox.hosts.xapi import build, maps, others, space, tags, transfer
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.tags import Role
from skinnybox.hosts.xapi.tasks import Share
from skinnybox.hosts.xapi.xenstore_data import shared_places
from skinnybox.model import Image, Instance

_LEFT_OUT = ("[NOBAK]", "[NOSNAP]")
"""In the name of a disk: Xen Orchestra leaves it out of its backups and of snapshots taken by hand (it asks
VM.snapshot to; listTaggedVdiVbds in @xen-orchestra/xapi/vm.mjs). Nothing of ours goes by a name."""
_KEYS = {Role.MASTER: tags.DIGEST, Role.LAYER: tags.LAYER}
Shares = Callable[[str], Share]
"""Who is told how far the upload of what is called so is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What a disk is to hold. `role` is MASTER or LAYER; `made` gives its bytes, as a file of its own or in
    the folder that it is handed."""

    role: Role
    reference: str
    digest: str
    made: Callable[[Path], Path]


def find(pool: Pool, digest: str, sr: str) -> Found | None:
    """What machines attach whose overlay is on `sr`, as of the last look: there, or where every host sees it,
    so that it ties them to no host."""
    fit = [
        each
        for each in _of(pool, digest)
        if is_one(each[1]) and (each[1]["SR"] == sr or pool.is_everywhere(each[1]["SR"]))
    ]
    return min(fit, key=lambda each: (each[1]["SR"] != sr, each[0]), default=None)


def is_one(record: Record) -> bool:
    """Never a snapshot that somebody's snapshot of a machine took of it: that bears all its marks."""
    return tags.role_of(record) in _KEYS and not record["is_a_snapshot"]


def key_of(record: Record) -> str:
    """Where its digest stands, which tells layers from masters."""
    return tags.LAYER if tags.LAYER in record["other_config"] else tags.DIGEST


def lacking(pool: Pool, instance: Instance, attached: Collection[str]) -> list[tuple[str, Found]]:
    """What a machine with these attachments still has to attach, as far as that is there, and at which
    places: as of the last look."""
    sr, there = _sr_for(pool, instance)[0], set(attached)
    missing = [
        (place, find(pool, digest, sr))
        for digest, place in shared_places(instance).items()
        if all(there.isdisjoint(record["VBDs"]) for _, record in _of(pool, digest))
    ]
    return [(place, found) for place, found in missing if found]


def attached_others(pool: Pool, instance: Instance, attached: Collection[str]) -> dict[str, str]:
    """Those of these attachments that are of another master or layer than it is to boot from, and of which of
    the two (key_of): as of the last look."""
    own = (None, *instance.stack.images)
    return {
        vbd: key_of(record)
        for _, record in pool.things.all("VDI")
        if tags.digest_of(record) not in own
        for vbd in set(record["VBDs"]) & set(attached)
    }


def _sr_for(pool: Pool, instance: Instance | None) -> Found:
    """Where its overlay is, or the chosen one: as of the last look."""
    overlay = pool.overlays().get(instance.uuid) if instance else None
    if overlay is None:
        return pool.sr()
    sr = str(overlay[1]["SR"])
    record = pool.things.get("SR", sr)
    return (sr, record) if record else pool.sr()


def _of(pool: Pool, digest: str) -> list[Found]:
    """All disks of an image on all SRs, those that machines attach first: the others stand behind them."""
    found = [each for each in pool.things.all("VDI") if tags.digest_of(each[1]) == digest]
    return sorted(found, key=lambda each: (tags.role_of(each[1]) not in _KEYS, each[0]))


def add(pool: Pool, wanted: Sequence[Shared], shares: Shares, of: Instance | None = None) -> None:
    """There is a disk of each on the chosen SR, or for this machine, which may have one already: made and
    uploaded when there is none. Idempotent by digest. Conflict while somebody may write to one."""
    pool.things.refresh()
    sr = _sr_for(pool, of)
    there = {each.digest: _there(pool, each.digest, of, sr) for each in wanted}
    others.refuse_writers(pool, [found for found in there.values() if found])
    for each in wanted:
        if there[each.digest] is None:
            what = f"the {each.role} {each.reference}"
            with pool.exclusive(lock_name(each.role, each.digest), what), pool.workspace() as work:
                _sweep(pool, each.digest)
                _upload(pool, each, each.made(work), shares(each.reference), sr)


def _there(pool: Pool, digest: str, of: Instance | None, sr: Found) -> Found | None:
    _leave_out(pool, digest)
    return (_had(pool, of, digest) if of else None) or find(pool, digest, sr[0])


def _leave_out(pool: Pool, digest: str) -> None:
    """Masters that an earlier version named. Whoever may not rename them goes on without."""
    for reference, record in _of(pool, digest):
        name = str(record["name_label"])
        lacks = [mark for mark in _LEFT_OUT if mark not in name]
        if is_one(record) and lacks:
            with contextlib.suppress(NotFound, Blocked):
                pool.call("VDI.set_name_label", reference, " ".join([name, *lacks]))


def _had(pool: Pool, instance: Instance, digest: str) -> Found | None:
    """What it has attached already, on whichever SR."""
    found = pool.ours().get(instance.uuid)
    attached = set(found[1]["VBDs"]) if found else set()
    return next((each for each in _of(pool, digest) if attached & set(each[1]["VBDs"])), None)


def _upload(pool: Pool, each: Shared, file: Path, share: Share, sr: Found) -> None:
    """What stops it leaves nothing; what a kill leaves is swept by the next."""
    mark = {_KEYS[each.role]: each.digest, tags.FLEET: str(pool.identity.own())}
    name = f"Skinnybox {each.role} {each.reference} {' '.join(_LEFT_OUT)}"
    record = build.disk(sr[0], space.disk_size(file.stat().st_size), name, Role.UPLOAD, mark)
    try:
        upload = pool.call("VDI.create", record)
        transfer.upload(pool.sessions, upload, file, share)
        whole = upload
        if sr[1]["type"] in space.FILES:
            whole = pool.call("VDI.clone", upload)
            maps.put(pool, "VDI", upload, record, tags.ROLE, Role.SOURCE.value)
        maps.put(pool, "VDI", whole, record, tags.ROLE, each.role.value)
    except BaseException:
        with contextlib.suppress(Exception):
            _sweep(pool, each.digest)
        raise


def lock_name(role: str, digest: str) -> str:
    return f"{role}-{digest.removeprefix('sha256:')}"


def half(pool: Pool, record: Record) -> str | None:
    """The lock of what an interrupted upload left, or one that goes on; None of a whole disk, of what stands
    behind one, and of all others. As of the last look."""
    digest = tags.digest_of(record)
    if digest is None or not _is_half(pool, record, digest):
        return None
    return lock_name(next(role for role, key in _KEYS.items() if key == key_of(record)), digest)


def _is_half(pool: Pool, record: Record, digest: str) -> bool:
    if tags.role_of(record) != Role.SOURCE:
        return tags.role_of(record) == Role.UPLOAD
    same = (record["SR"], tags.fleet_of(record))
    return not any(
        tags.role_of(other) in _KEYS and (other["SR"], tags.fleet_of(other)) == same
        for _, other in _of(pool, digest)
    )


def _sweep(pool: Pool, digest: str) -> None:
    """What interrupted uploads left: ours, whose lock we have, and those that nobody can still be at."""
    pool.things.refresh()
    own = pool.identity.known()
    for reference, record in _of(pool, digest):
        ours = own is not None and tags.fleet_of(record) == own
        if _is_half(pool, record, digest) and (ours or not tags.is_young(record)):
            pool.destroy_disk(reference, record)


def remove(pool: Pool, images: Sequence[Image], name: str) -> None:
    """Idempotent. Blocked while a machine has one of them attached, whether that runs or not."""
    for image in images:
        pool.things.refresh(anew=True)
        disks = _of(pool, image.digest)
        used = sum(len(record["VBDs"]) for _, record in disks)
        if used:
            hint = "delete those machines first; `skinnybox list` shows ours"
            raise Blocked(f"{used} machines of the pool still have {name}", hint=hint)
        for reference, record in disks:
            _destroy_unused(pool, reference, record["name_label"])


def _destroy_unused(pool: Pool, reference: str, name: str) -> None:
    """Asks once more, as late as can be: the pool itself would delete it under halted machines."""
    with contextlib.suppress(NotFound):
        if pool.call("VDI.get_VBDs", reference):
            raise Conflict(f"somebody attached {name} just now")
        pool.call("VDI.destroy", reference)
