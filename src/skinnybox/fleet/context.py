"""What a use case is given that needs more than one part of the fleet."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.model import Acceleration

if TYPE_CHECKING:
    from skinnybox.fleet.catalog.catalog import Catalog
    from skinnybox.fleet.layers import Layers
    from skinnybox.fleet.machine_queries import MachineQueries
    from skinnybox.fleet.masters import Masters
    from skinnybox.hosts.base import Host


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Of the fleet that plans and works."""

    folder: Path
    host: "Host"
    catalog: "Catalog"
    masters: "Masters"
    queries: "MachineQueries"
    accelerator: Acceleration = Acceleration.AUTO

    @property
    def layers(self) -> "Layers":
        from skinnybox.fleet.layers import Layers

        return Layers(self.folder / "layers", self.masters, self.host, self.catalog)

    @property
    def public_key(self) -> str:
        from skinnybox.fleet import access

        return access.public_key(self.folder / "ssh")

    @property
    def known_public_key(self) -> str:
        """The same for who only looks: of a key that is not there yet, what stands for it."""
        from skinnybox.fleet import access

        there = access.has_key(self.folder / "ssh")
        return self.public_key if there else access.KEY_TO_BE
