"""Masters in a pool: one read-only disk each, for any number of machines.

A disk is made around the image (ESP, kernel, image), uploaded once, and found again by the image's digest. On
SRs that keep files, machines get a clone of the upload: dom0 caches reads only of disks with a parent.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from skinnybox.errors import Blocked, Conflict, NotFound
from skinnybox.hosts.xapi import build, marks, space, transfer
from skinnybox.hosts.xapi.marks import Role
from skinnybox.hosts.xapi.pool import Found, Pool
from skinnybox.hosts.xapi.tasks import Share
from skinnybox.masters.disk import image_of
from skinnybox.model import INITRD_FILE, KERNEL_FILE, Image, Master

MakeDisk = Callable[[Path, Master, Image, Path], None]
"""Make a disk that firmware boots in a new file: of a master, one of its images, from its folder."""


def require_files(master: Master, folder: Path) -> None:
    for name in (image_of(master).file, KERNEL_FILE, INITRD_FILE):
        if not (folder / name).is_file():
            raise NotFound(f"{folder} holds no {name} of {master.reference}")


def lock_name(digest: str) -> str:
    return f"master-{digest.removeprefix('sha256:')}"


def find(pool: Pool, digest: str) -> Found | None:
    """What machines attach, as of the last look."""
    return next((each for each in _of(pool, digest) if marks.role_of(each[1]) == Role.MASTER), None)


def _of(pool: Pool, digest: str) -> list[Found]:
    """All disks of a master, the one that machines attach first: the others stand behind it."""
    found = [
        each for each in pool.things.all("VDI") if each[1]["other_config"].get(marks.DIGEST) == digest
    ]  # fmt: skip
    return sorted(found, key=lambda each: (marks.role_of(each[1]) != Role.MASTER, each[0]))


def add(pool: Pool, master: Master, folder: Path, make: MakeDisk, share: Share) -> str:
    """The disk's reference; made and uploaded when there is none. Idempotent by digest."""
    require_files(master, folder)
    image = image_of(master)
    pool.things.look()
    found = find(pool, image.digest)
    if found:
        return found[0]
    with pool.alone(lock_name(image.digest), f"the master {master.reference}"), pool.workspace() as work:
        _sweep(pool, image.digest)
        file = work / "master.img"
        make(file, master, image, folder)
        return _uploaded(pool, master, image, file, share)


def _uploaded(pool: Pool, master: Master, image: Image, file: Path, share: Share) -> str:
    """What stops it leaves nothing; what a kill leaves is swept by the next."""
    sr, record = pool.sr()
    mark = {marks.DIGEST: image.digest}
    name = f"Skinnybox master {master.reference}"
    size = space.disk_size(file.stat().st_size)
    try:
        upload = pool.call("VDI.create", build.disk(sr, size, name, Role.UPLOAD, mark))
        transfer.upload(pool.sessions, upload, file, share)
        if record["type"] not in space.FILES:
            pool.call("VDI.set_other_config", upload, {**mark, marks.ROLE: Role.MASTER.value})
            return str(upload)
        clone = pool.call("VDI.clone", upload)
        pool.call("VDI.set_other_config", upload, {**mark, marks.ROLE: Role.SOURCE.value})
        pool.call("VDI.set_other_config", clone, {**mark, marks.ROLE: Role.MASTER.value})
        return str(clone)
    except BaseException:
        with contextlib.suppress(Exception):
            _sweep(pool, image.digest)
        raise


def _sweep(pool: Pool, digest: str) -> None:
    """What an interrupted upload left; never a master, nor what stands behind one."""
    pool.things.look()
    if find(pool, digest) is None:
        for reference, record in _of(pool, digest):
            pool.destroy_disk(reference, record)


def remove(pool: Pool, master: Master) -> None:
    """Idempotent. Blocked while a machine has it attached, whether that runs or not."""
    for image in master.images:
        pool.things.look()
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
