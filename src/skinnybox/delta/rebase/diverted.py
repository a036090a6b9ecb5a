"""What a machine diverted: a package's file lies elsewhere, and in its place is somebody's own.

In a replay the packages are others, and their files come anew. What an administrator put in the place of one
stays; the older copy beside goes, as a package that diverts again finds its way taken by it, and else nobody
would ever write to it. Inside of one release nobody writes to that copy: where the package has another by
then, dpkg would say one version, and the older one would run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Source, bytes_of
from skinnybox.masters.system.values import System

_LOCAL = ":"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diverted:
    """Where they lie in the machine: `places` of what an administrator diverted, and all `copies`, also those
    of packages. `aside`: the copies that are there, by the places of all."""

    places: frozenset[bytes] = frozenset()
    copies: frozenset[bytes] = frozenset()
    aside: Mapping[bytes, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, old: System, machine: System, source: Source) -> Self:
        """What its master did not divert already."""
        found = set(machine.diversions) - set(old.diversions)
        places = Places(source)
        return cls(
            places=frozenset(bytes_of(places.of(each.path)) for each in found if each.package == _LOCAL),
            copies=frozenset(bytes_of(places.of(each.to)) for each in found),
            aside={
                bytes_of(places.of(each.path)): bytes_of(copy)
                for each in found
                if _is_there(copy := places.of(each.to), source)
            },
        )


def _is_there(path: str, source: Source) -> bool:
    folder, _, name = path.rpartition("/")
    return name in source.names(folder)
