"""Masters, and the images they are sealed as."""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from skinnybox.values import dataclass

GUEST_PROTOCOL = 6
"""Version of what host and guest say to each other (see wire.py); part of a master's content id."""
OLDEST_GUEST_PROTOCOL = 1
"""What masters sealed long ago speak, and is still spoken to them: at least the one before the newest."""

KERNEL_FILE, INITRD_FILE = "kernel", "initrd"  # beside the images in a master's folder


class ImageKind(StrEnum):
    EROFS_LZ4HC = "erofs-lz4hc"
    EROFS_PLAIN = "erofs-plain"
    EXT4 = "ext4"


class ImageFormat(StrEnum):
    """What an image is asked to be; by itself it is what the master's kernel can mount."""

    AUTO = "auto"
    EROFS = "erofs"
    EXT4 = "ext4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One sealed filesystem image of a master. An overlay is bound to its `digest`; its filesystem UUID is
    `image_uuid(digest)`, so that no two images ever share one."""

    kind: ImageKind
    file: str
    digest: str
    size: int

    @property
    def uuid(self) -> UUID:
        return image_uuid(self.digest)


@lru_cache(maxsize=64)
def image_uuid(digest: str) -> UUID:
    """The filesystem UUID of the image with this digest (RFC 9562, version 8)."""
    raw = bytearray(bytes.fromhex(digest.removeprefix("sha256:"))[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw))


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """A sealed OS tree. `id` is the digest of its content, `kernel` and `initrd` those of these two files;
    `tree_size` is the sum of its files, in bytes. All images hold the same tree; the first is what new
    machines get. `placed` are the filesystems of their own that the system had where it came from, each by
    where its files are in the tree; `left_out` those whose files are not. `made_from` is the master of the
    machine that it is the system of."""

    id: str
    name: str
    version: str
    images: tuple[Image, ...]
    kernel: str
    initrd: str
    os: str
    architecture: str
    kernel_version: str
    tree_size: int
    entries: int
    guest_protocol: int
    created: datetime
    placed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    made_from: str | None = None

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.version}"

    def image(self, digest: str) -> Image | None:
        return next((image for image in self.images if image.digest == digest), None)

    def image_of(self, kind: ImageKind) -> Image | None:
        return next((image for image in self.images if image.kind is kind), None)

    @property
    def disk(self) -> Image | None:
        """The first that is read as a disk, not mapped."""
        return next((image for image in self.images if image.kind is not ImageKind.EROFS_PLAIN), None)
