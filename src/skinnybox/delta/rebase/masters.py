"""Two masters opened once, for the plans of all machines that move from the one to the other.

What is packed is unpacked into files that have no name; each reader goes through them at its own pace.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from skinnybox.errors import NotFound
from skinnybox.masters import lookup
from skinnybox.masters.catalogue import INDEX, folder
from skinnybox.masters.system import kept
from skinnybox.model import Master


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Descriptors: the index and its table (see masters.lookup), the record of the system, unpacked, the
    first image, and those of the layers above it, from the lowest up."""

    index: int
    table: int
    system: int
    image: int
    layers: tuple[int, ...] = ()

    @property
    def all(self) -> tuple[int, ...]:
        return self.index, self.table, self.system, self.image, *self.layers

    @property
    def word(self) -> str:
        """As a confined reader is told of it: see planning.side."""
        return ",".join(map(str, self.all))


@contextlib.contextmanager
def opened(
    store: Path, master: Master, scratch: Path, *, index: Path | None = None, layers: Sequence[Path] = ()
) -> Iterator[Files]:
    """Nobody removes it meanwhile. Where machines have layers above the master these are their images, and
    `index` that of all of it. Raises NotFound, Corrupt, Unsupported."""
    place = folder(store, master)
    with ExitStack() as held:
        lines, table, system = (held.enter_context(tempfile.TemporaryFile(dir=scratch)) for _ in range(3))
        lookup.unpack(index or place / INDEX, lines, table)
        system.write(kept.text_of(store, master))
        for file in (lines, table, system):
            file.flush()
        image, *above = (_image(each, held) for each in (place / master.images[0].file, *layers))
        yield Files(
            index=lines.fileno(), table=table.fileno(), system=system.fileno(), image=image,
            layers=tuple(above),
        )  # fmt: skip


def _image(file: Path, held: ExitStack) -> int:
    try:
        image = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"the image {file} is gone", hint="`skinnybox repair`") from error
    held.callback(os.close, image)
    return image
