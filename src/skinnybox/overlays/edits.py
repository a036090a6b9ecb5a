"""What is altered on a private copy of a disk: one value for each name or inode. See edit.py."""

import struct
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes `start` to `start + length` of the file that all contents of a list of edits lie in."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Holed:
    """A content of `size` bytes that reads as zeros but for its runs. `runs` is two numbers of each (offset,
    length), as RUN packs them; what is in them lies in `data`, one behind the other."""

    size: int
    runs: Stretch
    data: Stretch


RUN = struct.Struct("<QQ")
Xattrs = tuple[tuple[str, Stretch], ...]
"""By full name; access lists in the format of getxattr(2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Of `name` in the directory that is inode `folder`; `path` is the same from the volume's root. What has
    no other name goes with it; a directory only when it is empty."""

    folder: int
    name: bytes
    path: bytes
    is_folder: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """Of an inode. `mode` with the bits of its type. None: stays. What is in `without` goes. `flags` as those
    of a creation."""

    inode: int
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    without: tuple[str, ...] = ()
    xattrs: Xattrs = ()
    mtime_ns: int | None = None
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """Of a name that is not there, in the directory `below` (names, made by edits before this one) the inode
    `folder`. By the type in `mode` it has `content`, a `target`, a device's number, or none of them. `flags`
    come to those that say how it is stored."""

    folder: int
    name: bytes
    path: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    below: tuple[bytes, ...] = ()
    content: Stretch | Holed | None = None
    target: bytes | None = None
    rdev: tuple[int, int] = (0, 0)
    xattrs: Xattrs = ()
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Another name, placed as that of a creation is, of what an edit before this one made at `of`, a path
    from the volume's root. How many names that has is counted when the disk is settled."""

    folder: int
    name: bytes
    path: bytes
    of: bytes
    below: tuple[bytes, ...] = ()


Edit = Removal | Alteration | Creation | Link
