"""A machine's files as it sees them, of which parts can be read: see merged_source."""

from skinnybox.delta.rebase.merged_source import Merged
from skinnybox.ext4 import Volume
from skinnybox.masters.system.image import Sealed


class Seen(Merged):
    """A libraries.Parts. Raises Corrupt, as reading either side does."""

    def __init__(self, volume: Volume, lower: Sealed) -> None:
        super().__init__(volume, lower)
        self._sealed = lower

    def part(self, path: str, at: int, length: int) -> bytes | None:
        node, below = self._find(path)
        if node is None:
            return self._sealed.part(path, at, length) if below else None
        return self._volume.part(node, at, length) if node.type == "-" else None
