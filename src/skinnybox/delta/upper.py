"""What an upper directory is made of, and the order in which all that lists paths does so.

Apart from join, since confined readers start for each machine: they need this, and not what changes are.
"""

from collections.abc import Mapping
from typing import Protocol

OVERLAY_XATTRS = "trusted.overlay."
OPAQUE = OVERLAY_XATTRS + "opaque"
_KEPT_XATTRS = ("user.", "trusted.", "security.", "system.posix_acl_")


class UpperNode(Protocol):
    """What stands at one name of an upper directory, as its reader tells it.

    `type` is one of the letters of `ls -l`; `mode` the permission bits with setuid, setgid and sticky; `rdev`
    is (major, minor) of a device, else (0, 0).
    """

    @property
    def type(self) -> str: ...
    @property
    def mode(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def rdev(self) -> tuple[int, int]: ...


def sort_key(path: bytes) -> bytes:
    """Sorts as the path's components do: no name holds a zero byte, and it comes before all others."""
    return path.replace(b"/", b"\0")


def kept_xattrs(xattrs: Mapping[str, bytes]) -> dict[str, bytes]:
    """Those that are the file's own, and not how overlayfs or the kernel keep it."""
    return {
        name: value
        for name, value in xattrs.items()
        if name.startswith(_KEPT_XATTRS) and not name.startswith(OVERLAY_XATTRS)
    }
