"""What an archive of a machine consists of, for who writes and who reads one: its names, and the lines of its
index (manifest.py has the rest). Nothing here touches a file.

An ordinary pax tar, compressed with zstd. Its members, in this order: MANIFEST; the trees of TREES, each name
below the tree's own; INDEX, one line for each name of all there was, also in an archive that holds only
what was changed since an earlier one; END, which nothing but the tar's own end follows. MANIFEST and END have
no extended header.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skinnybox.delta.upper import OPAQUE, OVERLAY_XATTRS
from skinnybox.errors import Corrupt
from skinnybox.model import DiskKind

MANIFEST, INDEX, END = b"skinnybox.json", b"skinnybox.index", b"skinnybox.end"
MOST_LINE = 1 << 17
"""Bytes of one line of the index: a path and a target of 4,095 bytes each, and each byte six letters."""
MOST_MEMBERS = 1 << 24
LONGEST = 4095
"""Bytes of a path below its tree, and of a symlink's target."""
LONGEST_NAME = 255
MOST_XATTRS = 1 << 17
"""Bytes of all attributes of one inode: ext4 has a block and a part of an inode for them."""


@dataclass(frozen=True, slots=True)
class Tree:
    """`top` is where it lies on the disk. `overlays`: it is an upper directory, of which the kernel makes
    something else for the guest; the others are what the guest has there, as it is."""

    name: str
    disk: DiskKind
    top: bytes
    overlays: bool = False


TREES = (
    Tree("overlay", DiskKind.OVERLAY, b"upper", overlays=True),
    Tree("direct", DiskKind.OVERLAY, b"direct"),
    Tree("data", DiskKind.DATA, b"folders"),
)
"""In the order of an archive. `direct` are folders that the guest part binds over the root, since container
engines need them beside overlayfs (delta/beside.py); an overlay may have none. Their names, and those of the
data disk's folders, have a `%` for each `/`; what begins with `%` was being filled, and is left out."""

FLAGS = "SKINNYBOX.flags"
"""The extended record with what `chattr` set, in decimal."""
KEPT_FLAGS = 0x3C0FF
"""Those of an inode's flags that a user sets and a filesystem of any kind of ours takes: `chattr sucSiadA`,
and D, j, t, T. Not those that say how the file is stored, nor those of features that no disk of ours has."""
XATTR = b"SCHILY.xattr."
"""What an attribute's record begins with. Access lists are among them, in the format of getxattr(2)."""

TYPES = frozenset("-dlcbp")
"""As `ls -l` has them. Sockets live no longer than who listens, and are left out."""
WHITEOUT = (0, 0)
PROTECTED = OVERLAY_XATTRS + "protattr"
_NESTED = OVERLAY_XATTRS + "overlay."
_OWN = ("user.", "trusted.", "security.", "system.posix_acl_")
_BINDING = frozenset(
    f"{where}.overlay.{what}" for where in ("trusted", "user") for what in ("origin", "uuid")
)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TREE_NAMES = frozenset(tree.name for tree in TREES)
_LARGEST, _LATEST = 1 << 63, 1 << 64
"""Bytes; and nanoseconds: ext4 counts until 2446, which 63 bits do not hold."""
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True)
class Line:
    """What stands at a name of a tree; `path` is b"" at its top. `size` is that of a file, else 0. `link`: of
    an inode with several names in this tree the first (below the same tree), in the archive's order; None at
    that one itself. `xattrs` is xattrs_sum, `content` the sha256 in hex of a file's content, else "". Of a
    whiteout of an upper directory only that it is one: all else is 0."""

    tree: str
    path: bytes
    type: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    rdev: tuple[int, int] = (0, 0)
    target: bytes = b""
    link: bytes | None = None
    flags: int = 0
    xattrs: str = ""
    content: str = ""


def line_text(line: Line, content: str | None = None) -> bytes:
    """With its end. Equal lines have equal text. `content` in place of what the line says, where it is said
    apart."""
    own: Any = None
    if line.type == "l":
        own = line.target.decode("utf-8", "surrogateescape")
    elif line.type in "cb":
        own = list(line.rdev)
    link = None if line.link is None else line.link.decode("utf-8", "surrogateescape")
    path = line.path.decode("utf-8", "surrogateescape")
    return _encode(
        [line.tree, path, line.type, line.mode, line.uid, line.gid, line.mtime_ns, line.size, own, link,
         line.flags, line.xattrs, line.content if content is None else content]
    ).encode() + b"\n"  # fmt: skip


def line_of(text: bytes) -> Line:
    """Raises Corrupt. The path is checked as `place` checks a member's."""
    try:
        if len(text) > MOST_LINE:
            raise ValueError("too long")
        tree, path, letter, mode, uid, gid, mtime, size, own, link, flags, xattrs, content = json.loads(text)
        numbers = (
            _number(mode, 0o7777), _number(uid, (1 << 32) - 1), _number(gid, (1 << 32) - 1),
            _number(mtime, _LATEST, -_LATEST), _number(size, _LARGEST),
        )  # fmt: skip
        if letter not in TYPES or tree not in _TREE_NAMES:
            raise ValueError("of no known type, or in no known tree")
        found = Line(
            tree, checked(_raw(path)), letter, *numbers,
            rdev=_device(own) if letter in "cb" else (0, 0),
            target=_target(own) if letter == "l" else b"",
            link=None if link is None else checked(_raw(link)),
            flags=_number(flags, KEPT_FLAGS), xattrs=_sum(xattrs), content=_sum(content),
        )  # fmt: skip
    except (ValueError, TypeError, RecursionError, AttributeError) as error:
        raise Corrupt(f"a line of the archive's index makes no sense: {text!r:.100}") from error
    if (letter == "-") != bool(found.content) or (letter != "-" and found.size):
        raise Corrupt(f"a line of the archive's index makes no sense: {text!r:.100}")
    return found


def _number(value: Any, most: int, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError("no number, or one out of its range")
    return value


def _raw(value: Any) -> bytes:
    if type(value) is not str:
        raise ValueError("no text")
    return value.encode("utf-8", "surrogateescape")


def _sum(value: Any) -> str:
    if type(value) is not str or not (value == "" or _DIGEST.fullmatch(value)):
        raise ValueError("no digest")
    return value


def _device(value: Any) -> tuple[int, int]:
    major, minor = value
    return _number(major, 0xFFF), _number(minor, 0xFFFFF)


def _target(value: Any) -> bytes:
    raw = _raw(value)
    if not 0 < len(raw) <= LONGEST or b"\0" in raw:
        raise ValueError("no target")
    return raw


def member_name(tree: str, path: bytes, letter: str = "-") -> bytes:
    """As the tar has it: that of a folder ends with a slash."""
    name = b"%s/%s" % (tree.encode(), path)
    return name + b"/" if letter == "d" and path else name


def place(name: bytes) -> tuple[str, bytes]:
    """(tree, path) of a member, of which a slash at its end says nothing. Corrupt for what none has: no tree
    of ours, an absolute path, `..`, names and paths that are too long."""
    tree, slash, path = name.partition(b"/")
    if not slash or tree.decode("latin-1") not in _TREE_NAMES:
        raise Corrupt(f"the archive has a member that is none: {name!r:.100}")
    return tree.decode(), checked(path.removesuffix(b"/"))


def checked(path: bytes) -> bytes:
    """The same path below a tree; b"" is its top. Raises Corrupt."""
    if path and (
        len(path) > LONGEST
        or b"\0" in path
        or any(not 0 < len(name) <= LONGEST_NAME or name in (b".", b"..") for name in path.split(b"/"))
    ):
        raise Corrupt(f"the archive has a name that none can have: {path!r:.100}")
    return path


def archived_xattrs(tree: Tree, xattrs: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those that an archive keeps: all that the guest set, and of an upper directory what hides and protects.

    Not what names an inode of this very filesystem: restored elsewhere, it would name another one, and
    overlayfs takes two files for one then. That holds for engines' own overlays in a guest as well.
    """
    if not tree.overlays:
        return {name: value for name, value in xattrs.items() if name not in _BINDING}
    return {
        name: value
        for name, value in xattrs.items()
        if name.startswith(_OWN)
        and (not name.startswith(OVERLAY_XATTRS) or name in (OPAQUE, PROTECTED) or name.startswith(_NESTED))
    }


def xattrs_sum(xattrs: Mapping[str, bytes]) -> str:
    """Of those that the archive keeps; "" without any. Names and values, each with its length before it, by
    name."""
    if not xattrs:
        return ""
    digest = hashlib.sha256()
    for name, value in sorted((name.encode("utf-8", "surrogateescape"), v) for name, v in xattrs.items()):
        for part in (name, value):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def xattr_record(name: str) -> bytes:
    """The key of an attribute's record. As GNU tar writes it: the key ends at the first equals sign."""
    return XATTR + name.replace("%", "%25").replace("=", "%3D").encode("utf-8", "surrogateescape")


def xattr_name(key: bytes) -> str | None:
    """The attribute that a record is of; None when it is none."""
    if not key.startswith(XATTR):
        return None
    name = key.removeprefix(XATTR).replace(b"%3D", b"=").replace(b"%25", b"%")
    return name.decode("utf-8", "surrogateescape")
