"""What machines share: masters and layers, made usable on a host.

Where they are read from the state folder, as on local hosts, nothing has to be done for layers: `start` finds
them beside its master's folder.
"""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from skinnybox.model import Image, Layer, Master
from skinnybox.operation import Operation

SealedLayer = tuple[Layer, Image, Path]
"""A layer, one of its images, and its folder."""


class Sharing(Protocol):
    @abstractmethod
    def add_master(self, master: Master, folder: Path, operation: Operation) -> None:
        """Make a sealed master usable here. Idempotent by image digest."""

    @abstractmethod
    def remove_master(self, master: Master) -> None:
        """Idempotent."""

    def add_layers(self, layers: Sequence[SealedLayer], operation: Operation) -> None:
        """The same of layers' images, which machines are about to have."""
        return

    def remove_layer(self, layer: Layer) -> None:
        """Idempotent."""
        return
