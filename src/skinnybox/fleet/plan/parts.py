"""What planning and working are given: the parts of the fleet, and how machines are to come up."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.fleet import access, power

if TYPE_CHECKING:
    from skinnybox.fleet.catalog.catalog import Catalog
    from skinnybox.fleet.machine_queries import Roster
    from skinnybox.fleet.masters import Masters
    from skinnybox.hosts.base import Host


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How machines come up: so many at once (None: as the settings say), waited for until they are ready
    for at most `timeout` seconds."""

    parallel: int | None = None
    wait: bool = True
    timeout: float = power.READY_TIMEOUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Of the fleet that plans and works."""

    folder: Path
    host: "Host"
    catalog: "Catalog"
    masters: "Masters"
    roster: "Roster"

    @property
    def public_key(self) -> str:
        return access.public_key(self.folder / "ssh")
