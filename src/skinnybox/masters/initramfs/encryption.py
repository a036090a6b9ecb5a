"""What opens an encrypted overlay, as a second archive behind a master's own initramfs: only machines that
have one boot with it, so that no other carries it, and a master's id does not depend on it.

cryptsetup is this host's, as e2fsck is (programs.py); the modules are those of the master's kernel, from its
image. What was made once lies beside the master, and is made anew when it is gone, or when programs or
scripts are others by now.
"""

import contextlib
import fcntl
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from skinnybox import cpio, run
from skinnybox.cpio import Entry, file
from skinnybox.errors import Unsupported
from skinnybox.layout import MASTER, parts
from skinnybox.masters.guest_part import guest_folder
from skinnybox.masters.initramfs import programs
from skinnybox.masters.initramfs.modules import load_order
from skinnybox.masters.initramfs.sealed import sealed_modules
from skinnybox.masters.workspace import workspace
from skinnybox.model import INITRD_FILE, Master

PACKAGE = "cryptsetup-bin"
PREFIX = "initrd-encrypted-"
PROGRAMS = ("cryptsetup", "resize2fs")
_VERSION = 1
_PLACE = "usr/lib/skinnybox/crypt"
_SCRIPTS = {"encrypted": "scripts/encrypted", "unlock.sh": f"{_PLACE}/unlock.sh"}
MODULES = (
    "dm_mod",
    "dm_crypt",
    "aes",
    "aes_generic",
    "aes_x86_64",
    "crypto_simd",
    "aesni_intel",
    "ecb",
    "xts",
)
"""Kernels call their parts by different names; each has some of them, and others built in."""
_NEEDED = "dm_crypt"
_OURS = b"scripts/skinnybox\0"
_MOST_INITRD = 256 << 20


def missing() -> list[str]:
    """Debian packages that have to be installed first."""
    return [] if run.find("cryptsetup") else [PACKAGE]


def initrd(store: Path, master: Master, sealed: Path) -> Path:
    """The whole of what a machine with an encrypted overlay boots with; `sealed` is the master's folder in
    `store`. Made when it is not there: then it takes seconds. Idempotent.

    Unsupported when cryptsetup is missing here, when the master's kernel cannot encrypt, or when the master
    has an initramfs that is not ours, of which nobody knows what it would do."""
    if missing():
        raise Unsupported(
            "an encrypted overlay cannot be opened: cryptsetup is not installed here",
            hint=f"sudo apt install {PACKAGE}",
        )
    target = sealed / f"{PREFIX}{_stamp()}"
    if not target.is_file():
        with _alone(sealed):
            if not target.is_file():
                _make(store, master, sealed, target)
    return target


@contextlib.contextmanager
def _alone(sealed: Path) -> Iterator[None]:
    """A fleet's first start needs it for all its machines at once: one makes it, and the others wait."""
    descriptor = os.open(sealed, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _stamp() -> str:
    """Of all that goes into it but the master, which never changes."""
    scripts = [(guest_folder() / "initramfs" / name).read_bytes() for name in _SCRIPTS]
    said = "\n".join([str(_VERSION), *MODULES, *programs.stamps(PROGRAMS)]).encode()
    return hashlib.sha256(b"\0".join([said, *scripts])).hexdigest()[:16]


def _make(store: Path, master: Master, sealed: Path, target: Path) -> None:
    """By one rename. Those of before go: who boots from one has it open."""
    own = (sealed / INITRD_FILE).read_bytes()
    if not _is_ours(own):
        raise Unsupported(
            f"{master.reference} has an initramfs of its maker's own, which opens no encrypted overlay",
            hint="make the master without --initrd",
        )
    with workspace(store, "sealing") as work:
        new = work / target.name
        packed = cpio.packed(cpio.with_folders(_entries(master, sealed, work / "modules")))
        new.write_bytes(own + bytes(-len(own) % 4) + gzip.compress(packed, 6, mtime=0))
        new.chmod(next(part.mode for part in parts(MASTER) if part.name.startswith(PREFIX)))
        with new.open("rb") as written:
            os.fsync(written.fileno())
        new.rename(target)
    for old in sealed.glob(f"{PREFIX}*"):
        if old != target:
            with contextlib.suppress(OSError):
                old.unlink()


def _is_ours(initrd: bytes) -> bool:
    """Whether it looks for scripts where we put one. It is the master's, whose digest is known: not hostile,
    but perhaps another program's."""
    with contextlib.suppress(OSError, EOFError, zlib.error), gzip.GzipFile(fileobj=BytesIO(initrd)) as source:
        return _OURS in source.read(_MOST_INITRD)
    return False


def _entries(master: Master, sealed: Path, scratch: Path) -> Iterator[Entry]:
    image = sealed / master.images[0].file
    found = sealed_modules(image, master.kernel_version, MODULES, _NEEDED, scratch)
    for name, place in _SCRIPTS.items():
        yield file(place, (guest_folder() / "initramfs" / name).read_bytes())
    yield from programs.bundle(PROGRAMS, _PLACE)
    order = load_order(found)
    for name in order:
        yield file(f"{_PLACE}/modules/{name}.ko", found[name][0])
    yield file(f"{_PLACE}/modules.list", "".join(f"{name}\n" for name in order).encode())
