"""Encrypted overlays, as far as the host has to do with them: it makes blank disks, and hands over keys. All
else is the guest's (guest/initramfs/unlock.sh): the host cannot read a byte of what is in there.

No key is kept here, nor where Skinnybox keeps anything: a copy of the state folder is of no use without it.
"""

import os
import secrets
import stat
from pathlib import Path
from uuid import UUID

from skinnybox import named_file
from skinnybox.errors import Blocked, Conflict, NotFound, UsageError, of_system
from skinnybox.model import Allocation, Encryption
from skinnybox.overlays import space
from skinnybox.sizes import MIB

SHORTEST, LONGEST = 32, 4096
_LEAST_DIFFERENT = 8
VOLUME_KEY = 64
"""Of AES-256 in XTS mode."""
_RANDOM_HINT = "head -c 64 /dev/urandom >FILE; chmod 600 FILE"
_PIECE = 1 << 20
HEADER = 2 * MIB
"""Before what is encrypted (LUKS_FORMAT in unlock.sh)."""
_LUKS2 = b"LUKS\xba\xbe\0\2"
_LABEL, _OWNER = slice(24, 72), slice(168, 208)
"""Where in a header its name is, and its UUID."""
_HEAD = 208
_BEGUN, _WHOLE = b"skinny-new", b"skinny-overlay"
"""As the guest calls one whose filesystem is not whole yet, and one that is."""


def key_of(encryption: Encryption, name: str, state: Path) -> bytes:
    """What opens the disk of the machine of that name this time: what the file says now or, where there is
    none, what nobody ever knew.

    NotFound, Blocked for a file that others may read or change, or that lies in the state folder, UsageError
    for what is no key."""
    file = encryption.file_of(name)
    if file is None:
        return secrets.token_bytes(VOLUME_KEY)
    path = Path(file)
    if path.resolve().is_relative_to(state.resolve()):
        raise Blocked(
            f"{path} lies in the state folder, beside the disks that it opens",
            hint="a key belongs where no copy of the state folder takes it along",
        )
    key = _read(path)
    if not SHORTEST <= len(key) <= LONGEST:
        raise UsageError(
            f"{path} has {len(key)} bytes: a key has {SHORTEST} to {LONGEST}, and they are random",
            hint=f"no passphrase, since nothing slows down who tries many: {_RANDOM_HINT}",
        )
    if len(set(key)) < _LEAST_DIFFERENT:
        raise UsageError(f"{path} is no random key: it repeats the same few bytes", hint=_RANDOM_HINT)
    return key


def _read(path: Path) -> bytes:
    try:
        with named_file.opened(path) as file:
            found = os.fstat(file.fileno())
            if found.st_uid not in (0, os.geteuid()) or stat.S_IMODE(found.st_mode) & 0o077:
                raise Blocked(
                    f"{path} is a key that others may read or change", hint=f"chmod 600 {path}, as its owner"
                )
            return file.read(LONGEST + 1)
    except FileNotFoundError as error:
        raise NotFound(
            f"the key {path} is not there", hint="mount or fetch it first: without it nothing opens the disk"
        ) from error
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror}") from error


def put_blank(path: Path, size: int, allocation: Allocation) -> None:
    """A new private file that reads as zeros, whole or not there at all. Conflict when there is one; NoSpace,
    Unsupported."""
    try:
        space.make_blank(path, size, allocation)
    except FileExistsError as error:
        raise Conflict(f"{path} exists already") from error
    except OSError as error:
        raise of_system(error, str(path)) from error


def blank_again(descriptor: int, allocation: Allocation) -> None:
    """Of a disk of ours that is open nothing is left; what was reserved stays so. NoSpace where it cannot,
    and then it is blank as well."""
    size = os.fstat(descriptor).st_size
    if allocation is Allocation.RESERVED and space.zero(descriptor, size):
        return
    os.truncate(descriptor, 0)
    os.truncate(descriptor, size)
    if allocation is Allocation.RESERVED:
        space.reserve(descriptor, size)


def to_be_formatted(descriptor: int) -> bool:
    """Whether an open disk was never written, or a guest was stopped while it made a filesystem there."""
    head = os.pread(descriptor, _HEAD, 0)
    if head.startswith(_LUKS2):
        return _text(head, _LABEL) == _BEGUN
    return _is_blank(descriptor)


def is_of(descriptor: int, owner: UUID) -> bool:
    """Whether that machine would open a disk, with the right key, or encrypt it: this is what its guest looks
    at (unlock.sh)."""
    head = os.pread(descriptor, _HEAD, 0)
    if head.startswith(_LUKS2):
        is_ours = _text(head, _LABEL) in (_BEGUN, _WHOLE)
        return is_ours and _text(head, _OWNER) == str(owner).encode()
    return _is_blank(descriptor)


def _text(head: bytes, part: slice) -> bytes:
    return head[part].rstrip(b"\0")


def _is_blank(descriptor: int) -> bool:
    for start, end in space.data_ranges(descriptor):
        for at in range(start, end, _PIECE):
            if any(os.pread(descriptor, min(_PIECE, end - at), at)):
                return False
    return True
