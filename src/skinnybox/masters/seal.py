"""Sealing: a tree becomes a master, in one step that happens or does not."""

import shutil
from collections.abc import Collection
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from skinnybox.durable import sync
from skinnybox.errors import Conflict
from skinnybox.layout import FOLDER, MASTER, parts
from skinnybox.masters import guest_part, images, same_secrets
from skinnybox.masters.catalogue import INDEX, INITRD, KERNEL, folder, locked, masters
from skinnybox.masters.heavy import told, watched
from skinnybox.masters.image_format import chosen
from skinnybox.masters.index import Entry, content_id, file_digest, scan, write_index
from skinnybox.masters.initramfs.make import make as make_initramfs
from skinnybox.masters.kernel import architecture, kernel_version, os_name
from skinnybox.masters.manifest import FILE, to_manifest, with_images
from skinnybox.masters.mounts import NOTHING, Brought
from skinnybox.masters.survey import Survey, survey
from skinnybox.masters.system import kept
from skinnybox.masters.workspace import workspace
from skinnybox.model import GUEST_PROTOCOL, ImageFormat, ImageKind, Master
from skinnybox.operation import Operation

NOTHING_MORE: AbstractContextManager[None] = nullcontext()
_MODES = {part.name: part.mode for part in parts(MASTER)}


def seal(
    tree: Path,
    *,
    store: Path,
    name: str,
    version: str,
    kernel: Path,
    operation: Operation,
    initrd: Path | None = None,
    dax: bool = False,
    image_format: ImageFormat = ImageFormat.AUTO,
    brought: Brought = NOTHING,
    unread: AbstractContextManager[None] = NOTHING_MORE,
) -> Master:
    """Seal a tree that nobody writes to, with an initramfs made for its `kernel` unless an `initrd` is given.
    Killed at any instant, the master is there whole or not at all.

    Its image is of a format that its kernel can mount (see image_format). With `dax` it has a second image,
    to be mapped by guests, which new machines then get. Idempotent: the same content under the same
    NAME:VERSION returns what is there, after adding the images it lacks. Conflict when either is taken by
    another. NoSpace, with nothing left behind. Blocks for the time of two reads of the tree, three with
    `dax`, which is Unsupported where its kernel cannot map one.

    `unread` is entered as soon as nothing is read of the tree any more, and left when all is done; what it
    raises ends it. A tree in the caller's own workspace is deleted so, beside the last steps.
    """
    kind = chosen(tree, kernel_version(kernel), image_format, dax=dax, operation=operation)
    with workspace(store, "sealing") as work, ExitStack() as beside:
        facts = _facts(tree, kernel)
        _write_images(tree, work, facts, kernel, initrd, operation, kind=kind, dax=dax)
        beside.enter_context(unread)
        master = _made(work, facts, name=name, version=version, kind=kind, dax=dax)
        master = replace(
            master, placed=brought.placed, left_out=brought.left_out, made_from=brought.made_from
        )
        operation.step(task="seal", detail=master.reference)
        (work / FILE).write_bytes(to_manifest(master, index=file_digest(work / INDEX)))
        finish(work)
        return publish(store, work, master)


def refuse_taken(store: Path, name: str, version: str) -> None:
    """Raises Conflict when NAME:VERSION is a master already: an early look, before long work."""
    for master in masters(store):
        if (master.name, master.version) == (name, version):
            raise _taken(master)


def default_version(store: Path, name: str) -> str:
    """One that no master of the name has."""
    return dated_version({master.version for master in masters(store) if master.name == name})


def dated_version(taken: Collection[str]) -> str:
    """Today's date (UTC), and `.2`, `.3` ... after it when that is taken."""
    today = datetime.now(UTC).date().isoformat()
    number = 1
    while (version := today if number == 1 else f"{today}.{number}") in taken:
        number += 1
    return version


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is read of the tree itself, while it is there."""

    known: Survey
    os: str
    architecture: str
    linux: str
    protocol: int


def _facts(tree: Path, kernel: Path) -> _Facts:
    return _Facts(
        known=survey(tree),
        os=os_name(tree),
        architecture=architecture(tree),
        linux=kernel_version(kernel),
        protocol=guest_part.protocol_version(tree) or GUEST_PROTOCOL,
    )


def _made(work: Path, facts: _Facts, *, name: str, version: str, kind: ImageKind, dax: bool) -> Master:
    """Of what has been written."""
    kinds = (ImageKind.EROFS_PLAIN, kind) if dax else (kind,)
    return Master(
        id=content_id(work / INDEX, work / KERNEL, work / INITRD, facts.protocol),
        name=name,
        version=version,
        images=tuple(images.stamped(work, each) for each in kinds),
        kernel=file_digest(work / KERNEL),
        initrd=file_digest(work / INITRD),
        os=facts.os,
        architecture=facts.architecture,
        kernel_version=facts.linux,
        tree_size=facts.known.size,
        entries=facts.known.entries,
        guest_protocol=facts.protocol,
        created=datetime.now(UTC),
    )


def _write_images(
    tree: Path, work: Path, facts: _Facts, kernel: Path, initrd: Path | None, operation: Operation, *,
    kind: ImageKind, dax: bool,
) -> None:  # fmt: skip
    """And all that is made of the tree beside them: an image is written by another process, so that together
    we use two processors, and our part is done long before. What cannot boot is refused in the first second
    of it."""
    large: list[Entry] = []
    secret: list[Entry] = []
    newest = facts.known.newest
    with images.making(tree, work, kind, newest=newest, operation=operation, linux=facts.linux):
        _put_what_boots(tree, work, kernel, initrd, operation, erofs=kind is not ImageKind.EXT4)
        entries = watched(scan(tree, operation, facts.known), large)
        write_index(same_secrets.watched(entries, secret), work / INDEX)
        kept.write(tree, work)
        same = same_secrets.held(tree, secret)
    for line in (*told(large), *same):
        operation.note(line)
    if dax:
        with images.making(tree, work, ImageKind.EROFS_PLAIN, newest=newest, operation=operation):
            pass


def _put_what_boots(
    tree: Path, work: Path, kernel: Path, initrd: Path | None, operation: Operation, *, erofs: bool
) -> None:
    shutil.copyfile(kernel, work / KERNEL)
    if initrd is None:
        make_initramfs(tree, kernel, work / INITRD, operation, erofs=erofs)
    else:
        shutil.copyfile(initrd, work / INITRD)


def finish(work: Path) -> None:
    """All that lies in it gets its mode, and is on the disk."""
    for file in work.iterdir():
        file.chmod(_MODES[file.name])
        sync(file)
    work.chmod(FOLDER)
    sync(work)


def publish(store: Path, work: Path, master: Master) -> Master:
    """What is `finish`ed in a workspace is a master from now on. Conflict as seal() says."""
    with locked(store, exclusive=True):
        for other in masters(store):
            if other.id == master.id and other.reference == master.reference:
                return _completed(store, work, other, master)
            if other.id == master.id:
                raise Conflict(
                    f"this very content is sealed as {other.reference}",
                    hint=f"use {other.reference}, or remove it first",
                )
            if other.reference == master.reference:
                raise _taken(other)
        work.rename(folder(store, master))
        sync(store)
        sync(store.parent)  # which has it by a name that the first master made
    return master


def _completed(store: Path, work: Path, there: Master, made: Master) -> Master:
    """What is there, with the images it lacked: they come first, since they were asked for just now.

    Until the manifest is replaced a new image is a file that nobody knows, and the next try takes its place.
    """
    # By kind: another mkfs.erofs makes other bytes of the same tree, and machines are bound to those there.
    lacking = tuple(image for image in made.images if there.image_of(image.kind) is None)
    if not lacking:
        return there
    place = folder(store, there)
    manifest = work / f"{FILE}.new"
    manifest.write_bytes(with_images(place / FILE, lacking))
    manifest.chmod(_MODES[FILE])
    sync(manifest)
    for image in lacking:
        (work / image.file).rename(place / image.file)
    sync(place)
    manifest.rename(place / FILE)
    sync(place)
    return replace(there, images=(*lacking, *there.images))


def _taken(master: Master) -> Conflict:
    return Conflict(
        f"{master.reference} is sealed already, with other content",
        hint="give another version: a sealed master never changes",
    )
