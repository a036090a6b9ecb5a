"""What a user prefers of hosts, of every kind."""

from skinnybox.hosts.events import DEFAULT_THRESHOLDS, Thresholds
from skinnybox.model import Acceleration
from skinnybox.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Each kind of host takes of it what it can. `thresholds` are of overlays in use. With
    `reach` machines are ready when they have been reached, not when their guests say so."""

    thresholds: Thresholds = DEFAULT_THRESHOLDS
    acceleration: Acceleration = Acceleration.AUTO
    reach: bool = True
