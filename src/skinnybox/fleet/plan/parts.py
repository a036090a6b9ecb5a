"""What planning and working are given: the parts of the fleet, and how machines are to come up."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skinnybox.fleet import power

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How machines come up: so many at once (None: as the settings say), waited for until they are ready
    for at most `timeout` seconds."""

    parallel: int | None = None
    wait: bool = True
    timeout: float = power.READY_TIMEOUT
