"""What decisions ask about a node of an upper directory: see facts.Content. Every byte is a guest's."""

import hashlib
from collections.abc import Mapping
from typing import Any

from skinnybox.ext4 import Node, Volume


class UpperReader:
    """Raises Corrupt, as reading the volume does."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._last: tuple[Node | None, Mapping[str, bytes]] = (None, {})

    def digest(self, node: Node) -> str:
        return f"sha256:{self._hashed(node, hashlib.sha256())}"

    def md5(self, node: Node) -> str:
        """What dpkg knows a file by: no proof, and none is needed of a file that its owner may alter."""
        return self._hashed(node, hashlib.md5(usedforsecurity=False))

    def target(self, node: Node) -> bytes:
        return self._volume.target(node)

    def xattrs(self, node: Node) -> Mapping[str, bytes]:
        """Asked several times of each node, while it goes by."""
        if self._last[0] is not node:
            self._last = node, self._volume.xattrs(node)
        return self._last[1]

    def text(self, node: Node, limit: int) -> bytes | None:
        if node.type != "-" or node.size > limit:
            return None
        return b"".join(self._volume.read(node, limit))

    def _hashed(self, node: Node, digest: Any) -> str:
        for piece in self._volume.read(node):
            digest.update(piece)
        return str(digest.hexdigest())
