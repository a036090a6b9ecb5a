"""Sealing: a tree becomes a master, in one step that happens or does not."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from skinnybox.errors import Conflict
from skinnybox.masters import erofs
from skinnybox.masters.catalogue import IMAGE, INDEX, INITRD, KERNEL, folder, locked, masters
from skinnybox.masters.index import content_id, file_digest, scan, survey, write_index
from skinnybox.masters.kernel import architecture, kernel_version, os_name
from skinnybox.masters.manifest import FILE, to_manifest
from skinnybox.masters.workspace import workspace
from skinnybox.model import GUEST_PROTOCOL, Image, ImageKind, Master, Progress, Step


def seal(
    tree: Path, *, store: Path, name: str, version: str, kernel: Path, initrd: Path, progress: Progress
) -> Master:
    """Seal a tree that nobody writes to. Killed at any instant, the master is there whole or not at all.

    Idempotent: the same content under the same NAME:VERSION returns what is there. Conflict when either is
    taken by another. NoSpace, with nothing left behind. Blocks for the time of two reads of the tree.
    """
    with workspace(store, "sealing") as work:
        shutil.copyfile(kernel, work / KERNEL)
        shutil.copyfile(initrd, work / INITRD)
        master = _made(tree, work, name=name, version=version, kernel=kernel, progress=progress)
        progress(Step(task="seal", detail=master.reference))
        (work / FILE).write_bytes(to_manifest(master, index=file_digest(work / INDEX)))
        _finish(work)
        return _publish(store, work, master)


def refuse_taken(store: Path, name: str, version: str) -> None:
    """Raises Conflict when NAME:VERSION is a master already: an early look, before long work."""
    for master in masters(store):
        if (master.name, master.version) == (name, version):
            raise _taken(master)


def default_version(store: Path, name: str) -> str:
    """Today's date (UTC), and `.2`, `.3` ... after it when that is taken."""
    today = datetime.now(UTC).date().isoformat()
    taken = {master.version for master in masters(store) if master.name == name}
    number = 1
    while (version := today if number == 1 else f"{today}.{number}") in taken:
        number += 1
    return version


def _made(tree: Path, work: Path, *, name: str, version: str, kernel: Path, progress: Progress) -> Master:
    kind, known = ImageKind.EROFS_LZ4HC, survey(tree)
    # The image is written by another process while we hash: together they use two processors.
    with erofs.making(tree, work / IMAGE, kind, newest=known.newest, progress=progress):
        write_index(scan(tree, progress, known), work / INDEX)
    image = Image(
        kind=kind,
        file=IMAGE,
        digest=erofs.stamp(work / IMAGE),
        size=(work / IMAGE).stat().st_size,
    )
    return Master(
        id=content_id(work / INDEX, work / KERNEL, work / INITRD),
        name=name,
        version=version,
        images=(image,),
        kernel=file_digest(work / KERNEL),
        initrd=file_digest(work / INITRD),
        os=os_name(tree),
        architecture=architecture(tree),
        kernel_version=kernel_version(kernel),
        tree_size=known.size,
        entries=known.entries,
        guest_protocol=GUEST_PROTOCOL,
        created=datetime.now(UTC),
    )


def _finish(work: Path) -> None:
    for file in work.iterdir():
        file.chmod(0o444)
        _sync(file)
    work.chmod(0o755)
    _sync(work)


def _publish(store: Path, work: Path, master: Master) -> Master:
    with locked(store, exclusive=True):
        for other in masters(store):
            if other.id == master.id and other.reference == master.reference:
                return other
            if other.id == master.id:
                raise Conflict(
                    f"this very content is sealed as {other.reference}",
                    hint=f"use {other.reference}, or remove it first",
                )
            if other.reference == master.reference:
                raise _taken(other)
        work.rename(folder(store, master))
        _sync(store)
    return master


def _taken(master: Master) -> Conflict:
    return Conflict(
        f"{master.reference} is sealed already, with other content",
        hint="give another version: a sealed master never changes",
    )


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
