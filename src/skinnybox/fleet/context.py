"""What a use case is given that needs more than one part of the fleet."""

from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.model import Acceleration
from skinnybox.values import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from skinnybox.fleet.catalog.catalog import Catalog
    from skinnybox.fleet.layers import Layers
    from skinnybox.fleet.machine_queries import MachineQueries
    from skinnybox.fleet.masters import Masters
    from skinnybox.hosts.base import Features, Host
    from skinnybox.model import Layer, Master


@dataclass(frozen=True, kw_only=True)
class Context:
    """Of the fleet that plans and works."""

    folder: Path
    host: "Host"
    catalog: "Catalog"
    masters: "Masters"
    queries: "MachineQueries"
    accelerator: Acceleration = Acceleration.AUTO

    @cached_property
    def features(self) -> "Features":
        """What its host can do. Some hosts find out by trying: once for a use case is enough."""
        return self.host.features

    @property
    def layers(self) -> "Layers":
        from skinnybox.fleet.layers import Layers

        return Layers(self.folder / "layers", self.masters, self.host, self.catalog)

    @contextmanager
    def kept_layers(self, references: "Sequence[str]", master: "Master") -> "Iterator[tuple[Layer, ...]]":
        """As Layers.kept; where there are none, as mostly, nothing is looked at."""
        if not references:
            yield ()
            return
        with self.layers.kept(references, master) as found:
            yield found

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
