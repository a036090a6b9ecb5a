"""Masters in a pool: one read-only disk each, for any number of machines.

A disk is made around the image (ESP, kernel, image), uploaded once, and found again by the image's digest. On
SRs that keep files, machines get a clone of the upload: dom0 caches reads only of disks with a parent.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from skinnybox.errors import Blocked, Conflict, NotFound
from skinnybox.hosts.xapi import build, maps, others, space, tags, transfer
from skinnybox.hosts.xapi.cache import Record
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.tags import Role
from skinnybox.hosts.xapi.tasks import Share
from skinnybox.masters.disk import image_of
from skinnybox.model import INITRD_FILE, KERNEL_FILE, Image, Instance, Master

_LEFT_OUT = ("[NOBAK]", "[NOSNAP]")
"""In the name of a disk: Xen Orchestra leaves it out of its backups and of snapshots taken by hand (it asks
VM.snapshot to; listTaggedVdiVbds in @xen-orchestra/xapi/vm.mjs). Nothing of ours goes by a name."""
MakeDisk = Callable[[Path, Master, Image, Path], None]
"""Make a disk that firmware boots in a new file: of a master, one of its images, from its folder."""


def _image_for(master: Master, of: Instance | None) -> Image:
    """The one such a machine was made from: a master may have been given another since then, which is its
    first now, and what new machines get."""
    return (of and master.image(of.stack.images[0])) or image_of(master)


def require_files(master: Master, folder: Path, of: Instance | None = None) -> None:
    for name in (_image_for(master, of).file, KERNEL_FILE, INITRD_FILE):
        if not (folder / name).is_file():
            raise NotFound(f"{folder} holds no {name} of {master.reference}")


def lock_name(digest: str) -> str:
    return f"master-{digest.removeprefix('sha256:')}"


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
    return tags.role_of(record) == Role.MASTER and not record["is_a_snapshot"]


def lacking(pool: Pool, instance: Instance, attached: tuple[str, ...]) -> Found | None:
    """What a machine with these attachments still has to attach, if that is there: as of the last look."""
    digest = instance.stack.images[0]
    if any(set(record["VBDs"]) & set(attached) for _, record in _of(pool, digest)):
        return None
    return find(pool, digest, _sr_for(pool, instance)[0])


def attached_others(pool: Pool, instance: Instance, attached: tuple[str, ...]) -> set[str]:
    """Those of these attachments that are of another master than it is to boot from: as of the last look."""
    return {
        vbd
        for _, record in pool.things.all("VDI")
        if record["other_config"].get(tags.DIGEST, instance.stack.images[0]) != instance.stack.images[0]
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
    """All disks of a master on all SRs, those that machines attach first: the others stand behind them."""
    found = [
        each for each in pool.things.all("VDI") if each[1]["other_config"].get(tags.DIGEST) == digest
    ]  # fmt: skip
    return sorted(found, key=lambda each: (tags.role_of(each[1]) != Role.MASTER, each[0]))


def add(
    pool: Pool, master: Master, folder: Path, make: MakeDisk, share: Share, of: Instance | None = None
) -> None:
    """There is a disk for machines on the chosen SR, or for this one, which may have one already: made and
    uploaded when there is none. Idempotent by digest. Conflict while somebody may write to it."""
    require_files(master, folder, of)
    image = _image_for(master, of)
    pool.things.refresh()
    _leave_out(pool, image.digest)
    sr = _sr_for(pool, of)
    there = (_had(pool, of, image.digest) if of else None) or find(pool, image.digest, sr[0])
    if there:
        others.refuse_writers(pool, there[0], there[1]["name_label"])
        return
    with pool.exclusive(lock_name(image.digest), f"the master {master.reference}"), pool.workspace() as work:
        _sweep(pool, image.digest)
        file = work / "master.img"
        make(file, master, image, folder)
        _upload(pool, master, image, file, share, sr)


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


def _upload(pool: Pool, master: Master, image: Image, file: Path, share: Share, sr: Found) -> None:
    """What stops it leaves nothing; what a kill leaves is swept by the next."""
    mark = {tags.DIGEST: image.digest, tags.FLEET: str(pool.identity.own())}
    name = f"Skinnybox master {master.reference} {' '.join(_LEFT_OUT)}"
    record = build.disk(sr[0], space.disk_size(file.stat().st_size), name, Role.UPLOAD, mark)
    try:
        upload = pool.call("VDI.create", record)
        transfer.upload(pool.sessions, upload, file, share)
        whole = upload
        if sr[1]["type"] in space.FILES:
            whole = pool.call("VDI.clone", upload)
            maps.put(pool, "VDI", upload, record, tags.ROLE, Role.SOURCE.value)
        maps.put(pool, "VDI", whole, record, tags.ROLE, Role.MASTER.value)
    except BaseException:
        with contextlib.suppress(Exception):
            _sweep(pool, image.digest)
        raise


def is_half(pool: Pool, record: Record) -> bool:
    """What an interrupted upload left, or one that goes on; never a master, nor what stands behind one. As of
    the last look."""
    if tags.role_of(record) != Role.SOURCE:
        return tags.role_of(record) == Role.UPLOAD
    same = (record["SR"], tags.fleet_of(record))
    return not any(
        tags.role_of(other) == Role.MASTER and (other["SR"], tags.fleet_of(other)) == same
        for _, other in _of(pool, record["other_config"][tags.DIGEST])
    )


def _sweep(pool: Pool, digest: str) -> None:
    """What interrupted uploads left: ours, whose lock we have, and those that nobody can still be at."""
    pool.things.refresh()
    own = pool.identity.known()
    for reference, record in _of(pool, digest):
        ours = own is not None and tags.fleet_of(record) == own
        if is_half(pool, record) and (ours or not tags.is_young(record)):
            pool.destroy_disk(reference, record)


def remove(pool: Pool, master: Master) -> None:
    """Idempotent. Blocked while a machine has it attached, whether that runs or not."""
    for image in master.images:
        pool.things.refresh()
        disks = _of(pool, image.digest)
        used = sum(len(record["VBDs"]) for _, record in disks)
        if used:
            hint = "delete those machines first; `skinnybox list` shows ours"
            raise Blocked(f"{used} machines of the pool still have {master.reference}", hint=hint)
        for reference, record in disks:
            _destroy_unused(pool, reference, record["name_label"])


def _destroy_unused(pool: Pool, reference: str, name: str) -> None:
    """Asks once more, as late as can be: the pool itself would delete it under halted machines."""
    with contextlib.suppress(NotFound):
        if pool.call("VDI.get_VBDs", reference):
            raise Conflict(f"somebody attached {name} just now")
        pool.call("VDI.destroy", reference)
