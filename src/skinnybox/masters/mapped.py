"""Files that some process has mapped to write to. What it writes there is no call that the kernel would see:
a file gets a new time of change at the first such write, and none at those that follow before it is on the
disk, some half a minute later; in memory (tmpfs) not even at the first.
"""

import os
import re
from pathlib import Path

_WRITABLE_AND_SHARED = re.compile(rb"^\S+ .w.s \S+ ([0-9a-f]+):([0-9a-f]+) ([1-9][0-9]*)", re.MULTILINE)


def mapped_to_write(device: int) -> frozenset[int]:
    """Inode numbers of a filesystem, by its `st_dev`; some of others where the kernel calls it otherwise in
    this place (btrfs). Of all processes that this one can see; one that ends meanwhile writes no more."""
    found = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            told = maps.read_bytes()
        except OSError:
            continue
        for major, minor, inode in _WRITABLE_AND_SHARED.findall(told):
            if os.major(device) == 0 or os.makedev(int(major, 16), int(minor, 16)) == device:
                found.add(int(inode))
    return frozenset(found)
