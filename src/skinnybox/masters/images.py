"""The images a tree is sealed as, of whatever kind.

What writes an ext4 is imported by who has one: every command that looks at masters comes by here.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from skinnybox.masters import erofs
from skinnybox.model import Image, ImageKind
from skinnybox.operation import Operation

FILES = {
    ImageKind.EROFS_LZ4HC: "root.erofs",
    ImageKind.EROFS_PLAIN: "root-dax.erofs",
    ImageKind.EXT4: "root.ext4",
}


@contextlib.contextmanager
def making(
    tree: Path, folder: Path, kind: ImageKind, *, newest: int, operation: Operation, linux: str = ""
) -> Iterator[None]:
    """Write a tree's image into `folder` beside the block, under its name in FILES (see erofs.making)."""
    image = folder / FILES[kind]
    if kind is ImageKind.EXT4:
        from skinnybox.masters import ext4_image

        made = ext4_image.making(tree, image, newest=newest, operation=operation)
    else:
        made = erofs.making(tree, image, kind, newest=newest, operation=operation, linux=linux)
    with made:
        yield


def stamped(folder: Path, kind: ImageKind) -> Image:
    """A fresh image, once it has the UUID of its digest. Idempotent."""
    file = folder / FILES[kind]
    if kind is ImageKind.EXT4:
        from skinnybox.masters.ext4_image import stamp
    else:
        from skinnybox.masters.erofs import stamp
    digest = stamp(file)
    return Image(kind=kind, file=file.name, digest=digest, size=file.stat().st_size)


def check(folder: Path, image: Image, *, newest: int | None = None) -> None:
    """Raise Corrupt, naming the file, when any byte is not what was sealed (see erofs.check)."""
    file = folder / image.file
    if image.kind is ImageKind.EXT4:
        from skinnybox.masters import ext4_image

        ext4_image.check(file, image.digest, image.size)
    else:
        erofs.check(file, image.digest, image.size, newest=newest)
