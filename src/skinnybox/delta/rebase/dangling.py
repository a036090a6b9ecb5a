"""Links in /etc that a package's scripts made in a machine, and whose target goes with the package.

So what is enabled is written down, for systemd and for web servers.

Who installs the package anew has them made anew, but only where nothing of the old ones is left. What
Debian's helper wrote down of a unit would make its package's script believe that somebody had disabled it.
Those that an administrator made, as of a module that no package enables, look the same: all are written down,
and who installs the packages makes again what still leads somewhere. Scripts of a package that is new there
enable what they always do, whatever an administrator had taken away before: that goes again.
"""

import posixpath
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from skinnybox.delta.rebase.context import is_anew
from skinnybox.delta.rebase.owners import Owners
from skinnybox.delta.rebase.records.sides import Machine
from skinnybox.delta.rebase.rules import Policy
from skinnybox.delta.rebase.values import Fate
from skinnybox.masters.system.places import Places
from skinnybox.masters.system.source import Source, bytes_of, text_of
from skinnybox.masters.system.values import Package

_RUNLEVELS = re.compile(rb"etc/rc[0-6S]\.d/.+", re.DOTALL)
"""Their numbers say what is disabled, and their script comes back where it was."""
_HELPER = re.compile(
    rb"var/lib/systemd/deb-systemd-(?:user-)?helper-enabled/(?:[^/]+/)?([^/]+?)(?:\.dsh-also)?"
)
MOST_LINKS, _MOST_FOLDERS = 2000, 100
_PATH = re.compile(r"etc(?:/(?!\.\.?(?:/|$))[\w.@:+,=~\\-]+)+", re.ASCII)
_TARGET = re.compile(r"[\w.@:+,=~\\/-]{1,1000}", re.ASCII)


def is_link(path: str, target: str) -> bool:
    """Whether it is one that packages and administrators make: others are not made again."""
    return len(path) <= 1000 and bool(_PATH.fullmatch(path)) and bool(_TARGET.fullmatch(target))


@dataclass(kw_only=True)
class Dangling:
    """Of one machine; paths in canonical order: /etc comes before /var."""

    machine: Machine
    old: Source
    new: Source
    owners: Owners
    policy: Policy
    diverted: Container[bytes] = ()
    """What an administrator put in the place of a package's file."""
    links: list[tuple[str, str]] = field(default_factory=list)
    """Those that go, by their paths, with what they lead to."""
    _units: set[bytes] = field(default_factory=set)
    _folders: set[tuple[str, str]] = field(default_factory=set)
    """Of links that are called as what they lead to, and of that: what is enabled, and what there is."""

    def __post_init__(self) -> None:
        self._places, self._places_new = Places(self.machine), Places(self.new)
        self._places_old = Places(self.old)

    def goes(self, path: bytes, target: bytes) -> bool:
        """Whether a link of the machine's own leads to what was there, and will not be."""
        if not path.startswith(b"etc/") or _RUNLEVELS.fullmatch(path):
            return False
        to = text_of(target)
        whole = to if to.startswith("/") else f"/{posixpath.dirname(text_of(path))}/{to}"
        place = posixpath.normpath(whole).lstrip("/")
        if not place or not self._was_there(place):
            return False
        self._see_folders(text_of(path), place)
        if self._is_there(place):
            return False
        if len(self.links) >= MOST_LINKS or not is_link(text_of(path), to):
            return False  # nobody could make it again
        self._units.add(path.rpartition(b"/")[2])
        self.links.append((text_of(path), to))
        return True

    def is_helpers(self, path: bytes) -> bool:
        """Whether it says of a unit whose links went that they had been made."""
        found = _HELPER.fullmatch(path)
        return found is not None and found[1] in self._units

    def _see_folders(self, path: str, place: str) -> None:
        """systemd's own are not: there a helper of Debian's writes down what somebody disabled."""
        (folder, name), (there, called) = posixpath.split(path), posixpath.split(place)
        if name == called and "/systemd/" not in path and len(self._folders) < _MOST_FOLDERS:
            self._folders.add((folder, there))

    def off(self) -> list[str]:
        """Paths of links that the machine did not have, and might have had: they are not enabled there."""
        found = set[str]()
        for folder, there in self._folders:
            linked = set(self.machine.names(self._places.of(folder)))
            found |= {f"{folder}/{name}" for name in self.machine.names(self._places.of(there))
                      if name not in linked}  # fmt: skip
        return sorted(path for path in found if is_link(path, "/"))[:MOST_LINKS]

    def deleted(self, packages: Iterable[Package]) -> list[str]:
        """Conffiles of these, which come again, that somebody deleted: dpkg brings none of such back."""
        found = (path for package in packages for path, _ in package.conffiles)
        return [path for path in found if not self._was_there(path) and is_link(path, "/")][:MOST_LINKS]

    def _was_there(self, path: str) -> bool:
        return _has(self.machine, self._places.of(path))

    def _is_there(self, path: str) -> bool:
        place = self._places.of(path)
        owned = self.owners.get(bytes_of(place))
        if owned is not None and owned.package.fate is Fate.TAKE and owned.machine:
            return owned.new
        if not self.machine.untouched(place) and not self._is_systems(path, bytes_of(place)):
            return True
        return _has(self.new, self._places_new.of(path))

    def _is_systems(self, path: str, place: bytes) -> bool:
        """Whether its master had it, and the new one's is what there is: also of what was altered."""
        if place in self.diverted or not is_anew(self.policy, place):
            return False
        return _has(self.old, self._places_old.of(path))


def _has(side: Source, path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return name in side.names(folder)
