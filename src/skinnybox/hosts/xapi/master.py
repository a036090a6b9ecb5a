"""A master's disk in a pool, which firmware boots: made around the image (ESP, kernel, image)."""

from collections.abc import Callable
from pathlib import Path

from skinnybox.errors import NotFound
from skinnybox.hosts.xapi.shared import Shared
from skinnybox.hosts.xapi.tags import Role
from skinnybox.masters.disk import image_of
from skinnybox.model import INITRD_FILE, KERNEL_FILE, Image, Instance, Master

MakeDisk = Callable[[Path, Master, Image, Path], None]
"""Make a disk that firmware boots in a new file: of a master, one of its images, from its folder."""


def shared(master: Master, folder: Path, make: MakeDisk, of: Instance | None = None) -> Shared:
    """NotFound where its files are not all there. Of a machine: the image that it was made from, as a master
    may have been given another since then, which is its first now, and what new machines get."""
    image = (of and master.image(of.stack.images[0])) or image_of(master)
    for name in (image.file, KERNEL_FILE, INITRD_FILE):
        if not (folder / name).is_file():
            raise NotFound(f"{folder} holds no {name} of {master.reference}")

    def made(work: Path) -> Path:
        file = work / "master.img"
        make(file, master, image, folder)
        return file

    return Shared(role=Role.MASTER, reference=master.reference, digest=image.digest, made=made)
