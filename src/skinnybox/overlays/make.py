"""One overlay from a template: a file of its own, with its own UUID, in well under a millisecond.

No process is started and nothing is synced; who wants it to survive a power cut syncs a whole batch.
"""

import contextlib
import os
import uuid as uuids
from collections.abc import Iterator
from pathlib import Path

from skinnybox import private
from skinnybox.crc32c import effect
from skinnybox.errors import Conflict, NotFound, SkinnyboxError, Unsupported, UsageError, of_system
from skinnybox.model import Allocation
from skinnybox.overlays import space
from skinnybox.overlays.format import HASH_SEED, UUID
from skinnybox.overlays.runs import filled
from skinnybox.overlays.template import (
    BASE_CAPACITY,
    IDENTITY_CAPACITY,
    UUID_LENGTH,
    Template,
    checksum_name,
)
from skinnybox.wire import fitting

_MODE = 0o600


def make(
    template: Template,
    destination: Path,
    *,
    base: bytes,
    seed: bytes = b"",
    identity: bytes = b"",
    allocation: Allocation,
    replace: bool = False,
    own: uuids.UUID | None = None,
) -> None:
    """A fresh disk at `destination`, mode 0600, holding the messages that it has a place for; whole or not
    there at all.

    With `replace` it takes the place of the one that is there, atomically; without, an existing file is
    Conflict. NoSpace, Unsupported (reserved where the filesystem cannot) and UsageError (a message is too
    long) leave nothing behind. Not synced to disk. `own` is its filesystem UUID; None: a random one.
    """
    filling = _messages(template, base, seed, identity) | _identifiers(template, own)
    try:
        with _new_file(destination.parent) as (descriptor, name):
            _allocate(descriptor, template.size, allocation)
            for offset, parts in template.runs:
                if data := filled(parts, filling):
                    _write(descriptor, data, offset)
            if allocation is Allocation.RESERVED and space.has_shared_extents(descriptor):
                raise Unsupported("this filesystem shares extents unasked", hint="--sparse")
            _publish(descriptor, name, destination, replace=replace)
    except OSError as error:
        raise _explained(error, destination, template.size) from error


def _messages(template: Template, base: bytes, seed: bytes, identity: bytes) -> dict[str, bytes]:
    sizes = {"base": BASE_CAPACITY, "seed": template.seed_capacity, "identity": IDENTITY_CAPACITY}
    given = {"base": base, "seed": seed, "identity": identity}
    for name in template.places:
        try:
            fitting(given[name], sizes[name])
        except ValueError as error:
            raise UsageError(f"the {name} is too long for this overlay: {error}") from error
    # One block, so that what lies behind it is written with it.
    return {**given, "base": base.ljust(BASE_CAPACITY, b"\0")}


def _identifiers(template: Template, own: uuids.UUID | None) -> dict[str, bytes]:
    """A UUID and a hash seed of its own in every copy of the superblock, and the checksums that fit them.

    The rest of the volume's checksums do not depend on the UUID: that is what metadata_csum_seed is for.
    """
    uuid = own.bytes if own else os.urandom(UUID_LENGTH)
    hash_seed = uuids.uuid5(own, "hash seed").bytes if own else os.urandom(UUID_LENGTH)
    change = effect(_difference(uuid + hash_seed, UUID + HASH_SEED), template.effects)
    checksums = {
        checksum_name(offset): (checksum ^ change).to_bytes(4, "little")
        for offset, checksum in template.superblocks
    }
    return {"uuid": uuid, "hash seed": hash_seed, **checksums}


def _difference(new: bytes, old: bytes) -> bytes:
    return (int.from_bytes(new, "little") ^ int.from_bytes(old, "little")).to_bytes(len(new), "little")


def _allocate(descriptor: int, size: int, allocation: Allocation) -> None:
    if allocation is Allocation.RESERVED:
        space.reserve(descriptor, size)
    else:
        os.truncate(descriptor, size)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    """Plain writes, never copy_file_range: the blocks must be the overlay's own."""
    written = os.pwrite(descriptor, data, offset)
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)


@contextlib.contextmanager
def _new_file(folder: Path) -> Iterator[tuple[int, Path | None]]:
    """An open file without a name, so that a kill leaves nothing; with one where the filesystem needs it."""
    name = None
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, _MODE)
    except OSError as error:
        if error.errno not in private.NO_TMPFILE or not folder.is_dir():
            raise
        name = folder / f".{os.urandom(8).hex()}.new"
        descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, _MODE)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)
        if name is not None:
            name.unlink(missing_ok=True)


def _publish(descriptor: int, name: Path | None, destination: Path, *, replace: bool) -> None:
    if not replace:
        _link(descriptor, name, destination)
        return
    beside = destination.with_name(f".{destination.name}.{os.urandom(8).hex()}.new")
    _link(descriptor, name, beside)
    try:
        beside.replace(destination)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _link(descriptor: int, name: Path | None, to: Path) -> None:
    """Give the file a name that nothing has yet. The descriptor argument makes Python call linkat."""
    source = f"/proc/self/fd/{descriptor}" if name is None else name
    os.link(source, to, src_dir_fd=descriptor, follow_symlinks=True)


def _explained(error: OSError, destination: Path, size: int) -> SkinnyboxError:
    if isinstance(error, FileExistsError):
        return Conflict(f"{destination} exists already")
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{destination.parent}: no such folder")
    if space.is_out_of_space(error):
        return space.out_of_space(size)
    return of_system(error, str(destination))
