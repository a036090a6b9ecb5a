"""The parts of a fleet, each made when it is first needed: a command waits only for what it uses."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.machine_queries import MachineQueries
from skinnybox.model import Acceleration

if TYPE_CHECKING:
    from skinnybox.fleet.background import Background
    from skinnybox.fleet.context import Context
    from skinnybox.fleet.deltas import Deltas
    from skinnybox.fleet.jobs import Jobs
    from skinnybox.fleet.layers import Layers
    from skinnybox.fleet.masters import Masters
    from skinnybox.fleet.once import Once
    from skinnybox.fleet.overlays import Overlays
    from skinnybox.fleet.plan.files import FleetFiles
    from skinnybox.fleet.rebases import Rebases
    from skinnybox.fleet.remote import Remote
    from skinnybox.fleet.tokens import Tokens
    from skinnybox.fleet.upkeep import Upkeep
    from skinnybox.hosts.base import Features, Host


class Parts:
    """Of the machines and masters of one state folder on one host."""

    def __init__(
        self, folder: Path, host: "Host", *, boots_at_once: int, accelerator: Acceleration = Acceleration.AUTO
    ) -> None:
        self._folder, self._accelerator = folder, accelerator
        self._ssh = folder / "ssh"
        self._host = host
        self._boots_at_once = boots_at_once

    @property
    def boots_at_once(self) -> int:
        """So many machines are on their way up at the same time."""
        return self._boots_at_once

    @cached_property
    def _catalog(self) -> Catalog:
        """Opened when it is first needed: `doctor` and `repair` have to work where it cannot be."""
        return Catalog(self._folder / "state.db")

    @cached_property
    def _queries(self) -> MachineQueries:
        return MachineQueries(self._host, self._catalog, boots_at_once=self._boots_at_once)

    @cached_property
    def masters(self) -> "Masters":
        from skinnybox.fleet.masters import Masters

        return Masters(self._folder / "masters", self._host, self._catalog)

    @cached_property
    def layers(self) -> "Layers":
        from skinnybox.fleet.layers import Layers

        return Layers(self._folder / "layers", self.masters, self._host, self._catalog)

    @cached_property
    def overlays(self) -> "Overlays":
        from skinnybox.fleet.overlays import Overlays

        return Overlays(self._host, self._catalog, self.masters, self._queries, self._accelerator)

    @cached_property
    def deltas(self) -> "Deltas":
        from skinnybox.fleet.deltas import Deltas

        return Deltas(self._context)

    @cached_property
    def rebases(self) -> "Rebases":
        from skinnybox.fleet.rebases import Rebases

        return Rebases(self._context)

    @cached_property
    def files(self) -> "FleetFiles":
        from skinnybox.fleet.plan.files import FleetFiles

        return FleetFiles(self._context)

    @cached_property
    def remote(self) -> "Remote":
        from skinnybox.fleet.remote import Remote

        return Remote(self._ssh, self._queries, self._catalog, lambda: self._context)

    @cached_property
    def jobs(self) -> "Jobs":
        from skinnybox.fleet.jobs import Jobs

        return Jobs(self._catalog)

    @cached_property
    def tokens(self) -> "Tokens":
        from skinnybox.fleet.tokens import Tokens

        return Tokens(self._catalog)

    @cached_property
    def once(self) -> "Once":
        from skinnybox.fleet.once import Once

        return Once(self._catalog)

    @cached_property
    def background(self) -> "Background":
        from skinnybox.fleet.background import Background

        return Background(self._catalog)

    @property
    def features(self) -> "Features":
        """What its host can do."""
        return self._host.features

    @property
    def _context(self) -> "Context":
        from skinnybox.fleet.context import Context

        return Context(
            folder=self._folder,
            host=self._host,
            catalog=self._catalog,
            masters=self.masters,
            queries=self._queries,
            accelerator=self._accelerator,
        )

    @cached_property
    def upkeep(self) -> "Upkeep":
        from skinnybox.fleet.upkeep import Upkeep

        return Upkeep(self._folder, self._host)
