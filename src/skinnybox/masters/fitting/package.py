"""The guest part as the tree of a Debian package, for systems that are to be a master's source: what of it
does nothing there, a program that looks whether the system would become one, and dpkg's words about all that.

Run by script/guest-package, with what Python itself brings.
"""

import hashlib
import os
import zlib
from pathlib import Path

from skinnybox import __version__
from skinnybox.masters import inside
from skinnybox.masters.fitting.fit import put_idle
from skinnybox.masters.guest_part import PACKAGE, guest_folder

_CHECK = "skinnybox-guest-check"
_CONTROL = {"preinst": "preinst", "prerm": "prerm", "postinst": "reload", "postrm": "reload"}


def put_package(tree: Path, when: int) -> str:
    """All of it into an empty folder, for `dpkg-deb --build`; the file name it is to have. Everything has the
    time `when`, so that the same guest part gives the same package."""
    put_idle(tree)
    inside.put(tree, f"usr/sbin/{_CHECK}", _part(_CHECK), 0o755)
    inside.put(tree, f"usr/share/man/man8/{_CHECK}.8.gz", _packed(_part(f"{_CHECK}.8")))
    inside.put(tree, f"usr/share/doc/{PACKAGE}/copyright", _part("copyright"))
    sums = _sums(tree)
    inside.put(tree, "DEBIAN/control", _part("control").replace(b"@VERSION@", __version__.encode()))
    inside.put(tree, "DEBIAN/md5sums", sums)
    for name, source in _CONTROL.items():
        inside.put(tree, f"DEBIAN/{name}", _part(source), 0o755)
    for path in (tree, *tree.rglob("*")):
        os.utime(path, (when, when), follow_symlinks=False)
    return f"{PACKAGE}_{__version__}_all.deb"


def _part(name: str) -> bytes:
    return (guest_folder() / "package" / name).read_bytes()


def _packed(data: bytes) -> bytes:
    """As gzip does it, without a time; the module of that name writes other heads with other Pythons."""
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(data) + packer.flush()


def _sums(tree: Path) -> bytes:
    """As `dpkg --verify` wants them: of files alone."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    return "".join(
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files
    ).encode()
