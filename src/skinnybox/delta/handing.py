"""Text for a confined process that may be too long to be a word of a command line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def handed(text: bytes) -> Iterator[int]:
    """A descriptor of it."""
    with os.fdopen(os.memfd_create("handed"), "w+b") as file:
        file.write(text)
        file.seek(0)
        yield file.fileno()
