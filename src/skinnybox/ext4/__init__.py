"""A reader of ext4 volumes that trusts no byte of them.

Pure Python, read-only, no mount. Whatever a hostile guest wrote, the answer is right or Corrupt: every
offset, count, length and depth is checked against the volume before it is used.
"""

from skinnybox.ext4.inode import Node
from skinnybox.ext4.superblock import Superblock
from skinnybox.ext4.volume import TOO_DEEP, Volume, open_descriptor, open_volume

__all__ = ["TOO_DEEP", "Node", "Superblock", "Volume", "open_descriptor", "open_volume"]
