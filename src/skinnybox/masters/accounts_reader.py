"""The confined process that reads the account files of a sealed image: a stranger arranged what is in it.

It prints the length of the first as 8 bytes, then both.
"""

import os
import stat
import struct
import sys
from collections.abc import Sequence

from skinnybox.errors import NotFound, SkinnyboxError
from skinnybox.masters.accounts import GROUP, MOST_BYTES, PASSWD
from skinnybox.masters.erofs_image import ErofsImage
from skinnybox.sandbox.reader import complain


def main(arguments: Sequence[str]) -> None:
    (descriptor,) = map(int, arguments)
    try:
        image = ErofsImage(lambda at, length: os.pread(descriptor, length, at))
        first, second = (_content(image, path.encode()) for path in (PASSWD, GROUP))
        sys.stdout.buffer.write(struct.pack("<Q", len(first)) + first + second)
        sys.stdout.buffer.flush()
    except (SkinnyboxError, MemoryError) as error:
        complain(error)


def _content(image: ErofsImage, path: bytes) -> bytes:
    try:
        node = image.lookup(path)
    except NotFound:
        return b""
    return image.read(node, MOST_BYTES) if stat.S_ISREG(node.mode) else b""
