"""Layers: sealed file trees that machines have between their master and their overlay."""

from datetime import datetime

from skinnybox.model.masters import Image, ImageKind, Master
from skinnybox.values import dataclass

MOST_LAYERS = 16
"""Of one machine: each is a disk of its own, of which a machine has some thirty at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A sealed tree with paths as in the guest. `id` is the digest of its content and of whom it is for.

    `master` is the id of the one it was made for, `made_for` what that was called, and `kernel_version` that
    of its kernel. It goes above every version of that name or, with `only`, above that very one. It has an
    image of each kind that the master had then; a machine's layers are of the kind of its master's image.
    `tree_size` is the sum of its files, in bytes."""

    id: str
    name: str
    version: str
    images: tuple[Image, ...]
    master: str
    made_for: str
    only: bool
    architecture: str
    kernel_version: str
    tree_size: int
    entries: int
    created: datetime

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.version}"

    def image(self, digest: str) -> Image | None:
        return next((image for image in self.images if image.digest == digest), None)

    def image_of(self, kind: ImageKind) -> Image | None:
        return next((image for image in self.images if image.kind is kind), None)

    def is_for(self, master: Master) -> bool:
        """By name; that it hides nothing of another version than its own, whoever stacks it looks after."""
        if master.id == self.master:
            return True
        same = master.name == self.made_for.partition(":")[0] and master.architecture == self.architecture
        return same and not self.only
