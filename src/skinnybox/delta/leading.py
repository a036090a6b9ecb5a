"""Where paths that somebody typed lie, through a machine's own symlinks: /lib/x is /usr/lib/x where /lib
leads there. For confined processes; what they tell of it is checked like all they say."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from skinnybox.delta.rebase.merged_source import Merged
from skinnybox.delta.rebase.reading import buffered
from skinnybox.delta.settled import NO_ANSWER
from skinnybox.errors import Corrupt, NotFound, Unsupported
from skinnybox.ext4 import Volume
from skinnybox.masters.system.image import opened
from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Source, bytes_of, text_of

_LONGEST = 1 << 16


def where(paths: Iterable[bytes], source: Source) -> tuple[bytes, ...]:
    """Of what lies there itself, a symlink or not. Raises Corrupt, as reading the machine does."""
    real = Places(source)
    return tuple(bytes_of(real.of(text_of(path))) for path in paths)


def to_text(paths: Sequence[bytes]) -> bytes:
    """For the confined child."""
    return json.dumps(list(map(text_of, paths))).encode()


def of_text(descriptor: int) -> list[bytes]:
    return list(map(bytes_of, json.loads(buffered(descriptor).read())))


def seen_told(paths: Iterable[bytes], volume: Volume, image: int) -> Iterator[str]:
    """In the child, of each two: where it lies, and where what is below it does, which a symlink leads to. As
    they were typed where that cannot be read."""
    for path in paths:
        try:
            found = where((path, path + b"/x" if path else b"x"), Merged(volume, opened(image)))
        except (Corrupt, NotFound, Unsupported):
            found = path, path + b"/x"
        yield text_of(found[0])
        yield text_of(found[1][:-1].rstrip(b"/"))


def seen_checked(answers: Iterator[Any], count: int) -> Iterator[bytes]:
    """Of so many paths. Raises Corrupt."""
    for _ in range(2 * count):
        value = next(answers, None)
        if type(value) is not str or len(value) > _LONGEST:
            raise Corrupt(NO_ANSWER)
        yield bytes_of(value)
