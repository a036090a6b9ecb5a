"""What a kernel unpacks as its first root: a cpio archive of a few programs."""

import stat
from collections.abc import Mapping


def archive(files: Mapping[str, bytes]) -> bytes:
    """A cpio archive (newc) of files that may be run."""
    members = [_member(name, stat.S_IFREG | 0o755, content) for name, content in files.items()]
    return b"".join(members) + _member("TRAILER!!!", 0, b"")


def _member(name: str, mode: int, data: bytes) -> bytes:
    words = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % word for word in words) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
