"""A sealed image as a source, read without mounting it."""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Protocol

from skinnybox.errors import NotFound
from skinnybox.ext4 import open_descriptor
from skinnybox.masters.erofs_image import ErofsImage
from skinnybox.masters.system.source import Source, bytes_of, text_of

_FILE, _LINK = 1, 7
_EXT4_MAGIC, _EXT4_MAGIC_AT = b"\x53\xef", 1024 + 0x38


class Sealed(Source, Protocol):
    def pieces(self, path: str) -> Iterator[bytes]:
        """All of a file, however large. NotFound where there is none."""
        ...

    def part(self, path: str, at: int, length: int) -> bytes | None:
        """So many bytes of a file from an offset on, or fewer at its end; None where there is none."""
        ...


def opened(descriptor: int) -> Sealed:
    """An image of either kind, by what it holds. Raises Corrupt and Unsupported, as reading it later does."""
    return Ext4Image(descriptor) if is_ext4(descriptor) else Image(descriptor)


def is_ext4(descriptor: int) -> bool:
    """Of the two kinds of image that there are."""
    return os.pread(descriptor, 2, _EXT4_MAGIC_AT) == _EXT4_MAGIC


def stacked(descriptors: Sequence[int]) -> Sealed:
    """Images of which each lies above those before it, as one: a master's and those of its layers."""
    images = list(map(opened, descriptors))
    return images[0] if len(images) == 1 else Stacked(images)


class Stacked:
    """As overlayfs shows them: of each name the topmost counts. Layers hide nothing by marks of overlayfs."""

    def __init__(self, images: Sequence[Sealed]) -> None:
        self._images = tuple(images)
        self._names = lru_cache(maxsize=4096)(self._looked)

    def names(self, folder: str) -> list[str]:
        return sorted({name for image in range(len(self._images)) for name in self._names(image, folder)})

    def links(self, folder: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for number, image in enumerate(self._images):
            above = self._names(number, folder)
            found = {name: target for name, target in found.items() if name not in above}
            found |= image.links(folder) if above else {}
        return found

    def read(self, path: str, limit: int) -> bytes | None:
        return self._of(path).read(path, limit)

    def pieces(self, path: str) -> Iterator[bytes]:
        return self._of(path).pieces(path)

    def part(self, path: str, at: int, length: int) -> bytes | None:
        return self._of(path).part(path, at, length)

    def _of(self, path: str) -> Sealed:
        """The topmost that has the name; the lowest where none has."""
        folder, _, name = path.rpartition("/")
        numbers = range(len(self._images) - 1, 0, -1)
        return self._images[next((n for n in numbers if name in self._names(n, folder)), 0)]

    def _looked(self, number: int, folder: str) -> frozenset[str]:
        return frozenset(self._images[number].names(folder))


class Ext4Image:
    """As Image below, of an ext4."""

    def __init__(self, descriptor: int) -> None:
        self._volume = open_descriptor(descriptor)

    def names(self, folder: str) -> list[str]:
        return sorted(text_of(name) for name in self._volume.names(bytes_of(folder)))

    def links(self, folder: str) -> dict[str, str]:
        volume, found = self._volume, {}
        for name in volume.names(bytes_of(folder)):
            node = volume.lookup(bytes_of(folder) + b"/" + name)
            if node.type == "l":
                found[text_of(name)] = text_of(volume.target(node))
        return found

    def read(self, path: str, limit: int) -> bytes | None:
        try:
            node = self._volume.lookup(bytes_of(path))
        except NotFound:
            return None
        return b"".join(self._volume.read(node, limit)) if node.type == "-" else None

    def pieces(self, path: str) -> Iterator[bytes]:
        return self._volume.read(self._volume.lookup(bytes_of(path)))

    def part(self, path: str, at: int, length: int) -> bytes | None:
        try:
            node = self._volume.lookup(bytes_of(path))
        except NotFound:
            return None
        return self._volume.part(node, at, length) if node.type == "-" else None


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

    def pieces(self, path: str) -> Iterator[bytes]:
        return self._image.pieces(self._image.lookup(bytes_of(path)))

    def part(self, path: str, at: int, length: int) -> bytes | None:
        folder, _, name = path.rpartition("/")
        number, kind = self._image.children(bytes_of(folder)).get(bytes_of(name), (0, 0))
        return self._image.part(self._image.node(number), at, length) if kind == _FILE else None
