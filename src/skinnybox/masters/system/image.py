"""A sealed image as a source, read without mounting it."""

import os

from skinnybox.masters.erofs_image import ErofsImage
from skinnybox.masters.system.source import bytes_of, text_of

_FILE, _LINK = 1, 7


class Image:
    """Raises Corrupt and Unsupported, when the image itself cannot be read."""

    def __init__(self, descriptor: int) -> None:
        self._image = ErofsImage(lambda at, length: os.pread(descriptor, length, at))

    def names(self, folder: str) -> list[str]:
        return sorted(text_of(name) for name in self._image.children(bytes_of(folder)))

    def links(self, folder: str) -> dict[str, str]:
        found = self._image.children(bytes_of(folder))
        return {
            text_of(name): text_of(self._image.target(number))
            for name, (number, kind) in found.items()
            if kind == _LINK
        }

    def read(self, path: str, limit: int) -> bytes | None:
        folder, _, name = path.rpartition("/")
        number, kind = self._image.children(bytes_of(folder)).get(bytes_of(name), (0, 0))
        return self._image.read(self._image.node(number), limit) if kind == _FILE else None
