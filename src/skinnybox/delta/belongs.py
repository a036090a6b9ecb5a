"""What an overlay says it belongs to. Only in a confined process."""

from skinnybox import wire
from skinnybox.ext4 import Volume

_BASE = 4096


def images(volume: Volume) -> list[str]:
    """The digests of the images of its stack. Raises NotFound, Corrupt."""
    node = volume.lookup(b"skinnybox/base")
    base = wire.decode(b"".join(volume.read(node, _BASE)) if node.type == "-" else b"", "base")
    return [line.value.partition(" ")[0] for line in base.lines if line.key == "image"]
