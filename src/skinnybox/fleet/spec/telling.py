"""Mistakes of a group, told at their places: what it does not say itself stands in `defaults`."""

from typing import Any

from skinnybox.fleet.spec.marked import Marked, Mistake, Place, Trail


class Telling:
    """Mistakes are added to those of `found`."""

    def __init__(self, found: Marked) -> None:
        self.found = found

    def written(self, pattern: str, key: str, value: Any = None) -> bool:
        """Whether it stands there but was not understood: that has been told already."""
        trails: tuple[Trail, ...] = (("machines", pattern, key), ("defaults", key))
        return value is None and any(trail in self.found.keys for trail in trails)

    def trail(self, pattern: str, key: str) -> Trail:
        own: Trail = ("machines", pattern, key)
        return own if own in self.found.keys else ("defaults", key)

    def inner(self, pattern: str, trail: Trail) -> Trail:
        """Where that stands which begins with this key."""
        return (*self.trail(pattern, str(trail[0])), *trail[1:])

    def place(self, pattern: str, key: str) -> Place:
        return self.found.place(self.trail(pattern, key))

    def wrong(self, trail: Trail, what: str, *, key: bool = False) -> None:
        self.found.mistakes.append(Mistake(place=self.found.place(trail, key=key), what=what))
