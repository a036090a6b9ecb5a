"""Records in paragraphs of `Field: value`, with an empty line between two: dpkg's, apt's, debconf's."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from skinnybox.errors import Corrupt

_BETWEEN = re.compile(rb"\n[ \t]*\n+")


def paragraphs(text: bytes | None, path: str, most: int) -> Iterator[bytes]:
    """Each without its end. Raises Corrupt for more than `most`."""
    found = _BETWEEN.split((text or b"").strip(b"\n"), most)
    if len(found) > most:
        raise Corrupt(f"/{path} has more than {most} paragraphs")
    yield from filter(None, found)


def field(paragraph: bytes, name: bytes) -> bytes | None:
    """The first line of it; None where it is not told."""
    found = _line_of(name).search(paragraph)
    return None if found is None else found[1].strip()


def with_field(paragraph: bytes, name: bytes, value: bytes) -> bytes:
    """In the place where it is told."""
    line = name + b": " + value
    return _line_of(name).sub(lambda _: line, paragraph)


@lru_cache(maxsize=32)
def _line_of(name: bytes) -> re.Pattern[bytes]:
    """A paragraph may have millions of lines: none is taken apart."""
    return re.compile(rb"(?m)^" + re.escape(name) + rb":(.*)")


def text(found: Iterable[bytes]) -> bytes:
    return b"".join(each + b"\n\n" for each in found)
