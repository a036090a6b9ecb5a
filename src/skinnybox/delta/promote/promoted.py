"""A master made of a machine's stack and its own: the merged tree, brought as an import's is, and sealed.

A confined process reads the machine's disk and its master, and writes a tar; that is extracted, cleaned and
sealed by what does this for every import. No program of the tree is run.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skinnybox.delta.handing import handed
from skinnybox.delta.promote import streaming
from skinnybox.delta.promote.audited import refuse_half_installed
from skinnybox.delta.promote.lower import Lower
from skinnybox.delta.promote.streaming import LAYER, MASTER
from skinnybox.delta.promote.whose import Whose, encode
from skinnybox.delta.rebase import planning
from skinnybox.delta.rebase.masters import Files
from skinnybox.delta.settled import NO_ANSWER, refuse_unsettled
from skinnybox.errors import Corrupt, NotFound
from skinnybox.masters import catalogue, lineage, namespace, numbers
from skinnybox.masters.imports import prepare
from skinnybox.masters.index import file_digest, read_index
from skinnybox.masters.initramfs import programs
from skinnybox.masters.kernel import find_kernel
from skinnybox.masters.layers.fitting import no_file
from skinnybox.masters.layers.sealing import Above, sealed
from skinnybox.masters.mounts import Brought
from skinnybox.masters.plain_disk import PER_SECOND, need
from skinnybox.masters.seal import seal
from skinnybox.masters.tree import extracted
from skinnybox.masters.workspace import workspace
from skinnybox.model import KERNEL_FILE, ImageFormat, ImageKind, Layer, Master
from skinnybox.model.promotion import LeftOut
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import opened
from skinnybox.sandbox.confinement import Bounds
from skinnybox.sandbox.reader import inquire, stream
from skinnybox.sizes import GIB

_APPARENT = (4, 16 * GIB)
"""What the machine's own files together may claim to hold, for each byte of its disk, and beyond."""
_HEADERS = 8192
"""Bytes of a tar for each name."""
_HASHED_PER_SECOND = 20 << 20
_UNPACKED_PER_SECOND = 1 << 20
_MOST_ROWS, _LONGEST, _LARGEST = 12_000, 4200, 1 << 63


@contextmanager
def listed(
    overlay: Path,
    stack: Files,
    whose: Whose,
    images: Sequence[str],
    form: str = MASTER,
    *,
    subject: str = "",
) -> Iterator[Iterator[LeftOut]]:
    """What would be left out of a master, or of a layer. Raises Unsettled for a disk whose journal is to be
    replayed first, Blocked for one that belongs to other images, Corrupt, Unsupported; of a layer also
    NotFound for a path at which it has nothing that goes there, and, behind all that is left out, UsageError
    where no file goes there. `subject` is what they call the disk."""
    with opened(overlay) as device, handed(encode(whose)) as told:
        bounds = Bounds(
            memory=2 << 30,
            cpu_seconds=300 + os.fstat(device).st_size // _HASHED_PER_SECOND,
            output=1 << 28,
        )
        words = ["list", form, str(device), str(told), stack.word]
        files = (device, told, *stack.all)
        with inquire(
            streaming.__name__, words, subject=subject or str(overlay), bounds=bounds, pass_fds=files
        ) as answers:
            refuse_unsettled(answers, overlay)
            planning.refuse_others(answers, overlay, images)
            yield _checked(answers)


def _checked(answers: Iterator[Any]) -> Iterator[LeftOut]:
    for number, value in enumerate(answers):
        if value == streaming.NO_FILE:
            raise no_file()
        try:
            reason, path, part, count, size = value
            raw = path.encode("utf-8", "surrogateescape")
            numbers_fit = all(type(each) is int and 0 <= each < _LARGEST for each in (count, size))
            known = type(reason) is str and len(reason) < 40 and type(part) is bool
            if not known or not numbers_fit or len(raw) > _LONGEST or b"\0" in raw or number >= _MOST_ROWS:
                raise ValueError("no row")
        except (ValueError, TypeError, AttributeError) as error:
            raise Corrupt(NO_ANSWER) from error
        yield LeftOut(reason=reason, path=raw, part=part, files=count, size=size)


def promoted(
    overlay: Path,
    source: Master,
    lower: Lower,
    whose: Whose,
    *,
    store: Path,
    name: str,
    version: str,
    operation: Operation,
) -> Master:
    """Seal it as NAME:VERSION, with images of the kinds that `source`, the machine's master, has, whose
    account numbers it keeps; `lower` is that and its layers. `overlay` is settled, and nobody writes to it.
    The same disk gives the same content. Raises as an import does, and as `listed`; Blocked for packages that
    are half installed."""
    namespace.require_root()
    programs.require()
    before = lineage.predecessor(store, name, version, after=source.reference)
    with workspace(store, "work") as work:
        tree = work / "tree"
        bring(overlay, lower, whose, work, tree, operation)
        refuse_half_installed(tree)
        lineage.follow(tree, before, operation)
        lineage.settle(tree, before, operation)
        numbers.leave_to_machines(tree)
        prepare(tree, operation)
        return seal(
            tree, store=store, name=name, version=version, kernel=_kernel(tree, source, store),
            operation=operation, dax=source.image_of(ImageKind.EROFS_PLAIN) is not None,
            image_format=ImageFormat.EXT4 if source.image_of(ImageKind.EXT4) else ImageFormat.AUTO,
            brought=Brought(made_from=source.reference), unread=catalogue.deleting(tree),
        )  # fmt: skip


def as_layer(
    overlay: Path,
    lower: Lower,
    whose: Whose,
    *,
    store: Path,
    name: str,
    version: str,
    above: Above,
    subject: str,
    operation: Operation,
) -> Layer:
    """Seal what is its own alone as a layer, to the store of those. Raises as `listed`, and as the import of
    a layer does."""
    namespace.require_root()
    with workspace(store, "work") as work:
        tree = work / "tree"
        bring(overlay, lower, whose, work, tree, operation, LAYER, subject=subject)
        return sealed(tree, store=store, name=name, version=version, above=above, operation=operation)


def bring(
    overlay: Path,
    lower: Lower,
    whose: Whose,
    work: Path,
    tree: Path,
    operation: Operation,
    form: str = MASTER,
    *,
    subject: str = "",
) -> None:
    size = overlay.stat().st_size
    apparent = _APPARENT[0] * size + _APPARENT[1]
    bounds = Bounds(
        memory=2 << 30,
        cpu_seconds=600 + 2 * size // PER_SECOND + lower.tree_size // _UNPACKED_PER_SECOND,
        output=2 * size + lower.tree_size + _HEADERS * lower.entries + GIB,
    )
    if form == MASTER:
        need(work, lower.tree_size)
    with opened(overlay) as device, handed(encode(whose)) as told:
        words = ["tar", form, str(device), str(told), lower.files.word, str(apparent)]
        files = (device, told, *lower.files.all)
        subject = subject or str(overlay)
        with stream(streaming.__name__, words, subject=subject, bounds=bounds, pass_fds=files) as pieces:
            extracted(pieces, tree, overlay, operation, devices=False)


def _kernel(tree: Path, source: Master, store: Path) -> Path:
    """The tree's newest, as of an import; its master's where that was sealed with another, which somebody
    gave it, and the machine brought none since."""
    folder = catalogue.folder(store, source)
    given = folder / KERNEL_FILE
    try:
        found = find_kernel(tree)
    except NotFound:
        return given
    digest = file_digest(found)
    if digest == source.kernel:
        return found
    path = os.fsencode(found.relative_to(tree))
    before = next((entry for entry in read_index(folder / catalogue.INDEX) if entry.path == path), None)
    return given if before is not None and before.digest == digest else found
