"""What a machine diverted: a package's file lies elsewhere, and in its place is somebody's own.

Of a replay. The packages are others then, and their files come anew. What an administrator put in the place
of one stays; the older copy beside goes, as a package that diverts again finds its way taken by it, and else
nobody would ever write to it.
"""

from dataclasses import dataclass
from typing import Self

from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Source, bytes_of
from skinnybox.masters.system.values import System

_LOCAL = ":"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverted:
    """Where they lie in the machine: `places` of what an administrator diverted, and all `copies`, also those
    of packages."""

    places: frozenset[bytes] = frozenset()
    copies: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, old: System, machine: System, source: Source) -> Self:
        """What its master did not divert already."""
        found = set(machine.diversions) - set(old.diversions)
        places = Places(source)
        return cls(
            places=frozenset(bytes_of(places.of(each.path)) for each in found if each.package == _LOCAL),
            copies=frozenset(bytes_of(places.of(each.to)) for each in found),
        )
