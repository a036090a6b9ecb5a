"""The confined process that reads the system of a sealed image; what it prints is what record makes of it."""

import sys
from collections.abc import Sequence

from skinnybox.errors import SkinnyboxError
from skinnybox.masters.system.gather import gather
from skinnybox.masters.system.image import opened
from skinnybox.masters.system.record import to_text
from skinnybox.sandbox.reader import complain


def main(arguments: Sequence[str]) -> None:
    (descriptor,) = arguments
    try:
        text = to_text(*gather(opened(int(descriptor))))
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    except (SkinnyboxError, MemoryError) as error:
        complain(error)
