"""The masters of a state folder: `masters/<64 hex digits of the content id>/`.

A master appears by one rename and disappears by one; whatever else lies in the folder is hidden work.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from skinnybox import private, run
from skinnybox.errors import Conflict, Corrupt, NotFound
from skinnybox.masters.manifest import FILE, from_manifest
from skinnybox.model import INITRD_FILE, KERNEL_FILE, Layer, Master, parse_reference
from skinnybox.operation import Operation

KERNEL, INITRD, INDEX = KERNEL_FILE, INITRD_FILE, "index.jsonl.gz"
LOCK = ".lock"
_FEW = 10
_REMOVE = ("rm", "-rf", "--one-file-system", "--")
FOLDER_NAME = re.compile(r"[0-9a-f]{64}")
_PREFIX = r"(?:sha256:)?([0-9a-f]{8,64})"
S = TypeVar("S", Master, Layer)


def masters(store: Path) -> list[Master]:
    """All of them, by name, then oldest first. Raises Corrupt, naming the file, for a bad manifest, and
    Blocked for one that others put there or may write to."""
    if not store.is_dir():
        return []
    found = [_read(item) for item in store.iterdir() if FOLDER_NAME.fullmatch(item.name)]
    return sorted(
        (master for master in found if master), key=lambda master: (master.name, master.created, master.id)
    )


def find(store: Path, reference: str) -> Master:
    """NAME:VERSION, NAME (its newest), an id or 8 or more of its first hex digits. Raises NotFound, and
    Conflict when the digits fit several."""
    known = masters(store)
    found = picked(known, reference)
    if found is None:
        raise _unknown(reference, known)
    return found


def picked(known: Sequence[S], reference: str, what: str = "a master") -> S | None:
    """Of sealed things, by name and then oldest first, what `find` takes a reference for. UsageError, which
    says `what` they are, and Conflict as there."""
    digits = re.fullmatch(_PREFIX, reference)
    if digits:
        fitting = [sealed for sealed in known if hex_of(sealed).startswith(digits[1])]
        if len(fitting) > 1:
            raise Conflict(f"{reference} fits {len(fitting)} of them", hint="write more of its digits")
        if fitting:
            return fitting[0]
    if reference.startswith("sha256:"):
        return None
    name, version = parse_reference(reference, what)
    named = [sealed for sealed in known if sealed.name == name and version in (None, sealed.version)]
    return named[-1] if named else None


def folder(store: Path, sealed: Master | Layer) -> Path:
    return store / hex_of(sealed)


def verify(store: Path, master: Master, operation: Operation) -> None:
    """Read every byte of it. Raises Corrupt, naming the file that is not what was sealed."""
    verify_in(folder(store, master), master, operation)


def verify_in(where: Path, master: Master, operation: Operation) -> None:
    """The same of one that lies in this folder."""
    from skinnybox.masters import images  # which brings all that makes one
    from skinnybox.masters.index import content_id, read_index

    sealed, index = from_manifest(where / FILE)
    if sealed != master:
        raise Corrupt(f"{where / FILE} is not the manifest of {master.reference}")
    total = 4 + len(master.images)
    wanted = ((KERNEL, master.kernel), (INITRD, master.initrd), (INDEX, index))
    for done, (name, digest) in enumerate(wanted):
        operation.step(task="verify", done=done, total=total, detail=name)
        check_file(where / name, digest)
    operation.step(task="verify", done=3, total=total, detail="content id")
    if content_id(where / INDEX, where / KERNEL, where / INITRD, master.guest_protocol) != master.id:
        raise Corrupt(f"{where / INDEX} does not give the id {master.id}")
    newest = max(entry.mtime_ns for entry in read_index(where / INDEX)) // 1_000_000_000
    for done, image in enumerate(master.images, start=4):
        operation.step(task="verify", done=done, total=total, detail=image.file)
        check_present(where / image.file)
        images.check(where, image, newest=newest)
    operation.step(task="verify", done=total, total=total)


def remove(store: Path, sealed: Master | Layer) -> None:
    """Idempotent, atomic for readers. The caller holds `locked` and knows that nothing depends on it."""
    hidden = store / f".removing-{hex_of(sealed)}"
    delete(hidden)
    with contextlib.suppress(FileNotFoundError):
        folder(store, sealed).rename(hidden)
    delete(hidden)


@contextlib.contextmanager
def locked(store: Path, *, exclusive: bool) -> Iterator[None]:
    """Blocks until no other process or thread holds it exclusively (or, for exclusive, at all).

    Held while masters are looked up and bound (shared), published or removed (exclusive). Not reentrant.
    """
    if not (exclusive or store.is_dir()):
        yield  # there is nothing in it, and whoever only looks makes nothing
        return
    private.make_folder(store)
    descriptor = os.open(store / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def delete(tree: Path) -> None:
    """Remove a folder of ours and all below it, but nothing that is mounted there. Idempotent."""
    run.run([*_REMOVE, tree])


@contextlib.contextmanager
def deleting(tree: Path) -> Iterator[None]:
    """The same beside the block, which is left when it has been tried: who needs to know deletes it again.
    What ends the block early ends this as well."""
    with run.start([*_REMOVE, tree]) as child:
        yield
        child.wait()


def hex_of(sealed: Master | Layer) -> str:
    """What its folder is called."""
    return sealed.id.removeprefix("sha256:")


def _read(place: Path) -> Master | None:
    with contextlib.suppress(OSError):  # it may be removed while we look
        private.refuse_others([place, *place.iterdir()])
    try:
        master, _ = from_manifest(place / FILE)
    except Corrupt:
        if not place.is_dir():
            return None  # removed while we looked
        raise
    if hex_of(master) != place.name:
        raise Corrupt(f"{place / FILE} belongs to another master, {master.id}")
    return master


def check_file(file: Path, digest: str) -> None:
    """Raises Corrupt when it is not what was sealed."""
    from skinnybox.masters.index import file_digest

    check_present(file)
    if file_digest(file) != digest:
        raise Corrupt(f"{file} is not what was sealed")


def check_present(file: Path) -> None:
    """Raises Corrupt when it is no file."""
    if file.is_symlink() or not file.is_file():
        raise Corrupt(f"{file} is missing")


def _unknown(reference: str, known: list[Master]) -> NotFound:
    import difflib

    names = [name for master in known for name in (master.reference, master.name)]
    near = list(dict.fromkeys(difflib.get_close_matches(reference, names, n=3, cutoff=0.5)))
    hint = f"did you mean {' or '.join(near)}?" if near else there_are(known)
    return NotFound(f"no master {reference}", hint=hint)


def there_are(known: Sequence[Master]) -> str:
    """A hint for who named none of them."""
    if not known:
        return "there is no master yet: `skinnybox master build NAME` makes one"
    more = f", and {len(known) - _FEW} more" if len(known) > _FEW else ""
    return f"there are: {', '.join(master.reference for master in known[:_FEW])}{more}"
