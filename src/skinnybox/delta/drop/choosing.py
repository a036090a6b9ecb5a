"""Which names of an upper directory go, by what the stack has in their place.

The master is to be seen there afterwards. So nothing goes below a folder that hides the master's, and nothing
goes alone that is told of elsewhere as well: a package's file while the package is there, or what tells of
the whole machine.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from skinnybox.delta.join import Reader, is_as_stack
from skinnybox.delta.rebase.owners import Owners
from skinnybox.delta.rebase.special import special
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.rebase.values import FileClass
from skinnybox.delta.upper import OPAQUE, UpperNode
from skinnybox.masters.index import Entry
from skinnybox.printable import printable, printable_path

N = TypeVar("N", bound=UpperNode)

WHITEOUT = (0, 0)
_DATABASES = (
    b"var/lib/dpkg", b"lib/apk", b"usr/lib/apk", b"var/lib/rpm", b"usr/lib/sysimage/rpm", b"usr/share/rpm",
)  # fmt: skip
_OURS = b"var/lib/skinnybox"
_HOST_KEYS = b"etc/ssh/ssh_host_"
_SETTINGS = b"etc/"
_WHOLE = (FileClass.RECORD, FileClass.GENERATED)
"""What is told of elsewhere as well, or made from what is there."""
_SECRETS = re.compile(
    rb"etc/ssh/ssh_host_[^/]+|etc/dhcpcd\.(?:duid|secret)|etc/udev/rules\.d/70-persistent-net\.rules"
    rb"|var/lib/systemd/(?:random-seed|credential\.secret)|var/lib/urandom/random-seed"
    rb"|var/lib/(?:dhcp|dhclient|dhcpcd|dhcpv6|wicked|tailscale|systemd/network)/.+"
    rb"|var/lib/NetworkManager/(?:secret_key|[^/]+\.leases?)|var/lib/zerotier-one/identity\.[^/]+",
    re.DOTALL,
)
_HIDDEN = "below a folder that took the place of the master's, so that one goes or none"
_MOST_TOLD = 5


def is_whiteout(node: UpperNode) -> bool:
    return node.type == "c" and node.rdev == WHITEOUT


@dataclass(slots=True)
class Told:
    """What is to be said of paths, by a reason: the first of them, and how many there are."""

    first: dict[str, bytes] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, path: bytes) -> None:
        self.first.setdefault(reason, path)
        self.count[reason] += 1

    def lines(self) -> list[str]:
        """The most frequent first."""
        return [f"{self._paths(reason)}: {reason}" for reason, _ in self.count.most_common(_MOST_TOLD)]

    def _paths(self, reason: str) -> str:
        more = f" and {self.count[reason] - 1} more" if self.count[reason] > 1 else ""
        return f"/{printable_path(self.first[reason])}{more}"


@dataclass(slots=True, kw_only=True)
class Below(Generic[N]):
    """Chooses what lies at given `paths` and below them, and of `files` what is no folder."""

    paths: frozenset[bytes]
    owners: Owners
    files: frozenset[bytes] = frozenset()
    hits: int = 0
    refused: Told = field(default_factory=Told)
    stays: Told = field(default_factory=Told)
    met: set[bytes] = field(default_factory=set)
    covered: dict[bytes, bytes] = field(default_factory=dict)
    _behind: set[bytes] = field(default_factory=set)

    def goes(self, path: bytes, node: N, entry: Entry | None, *, hidden: bool) -> bool:
        root = self._root(path)
        if root is None and path in self.files and node.type != "d":
            root = path
            self.hits += 1
        if root is None:
            if node.type != "d":
                self._cover(path)
            return False
        self.met.add(root)
        why = self._why_it_stays(path, node, entry)
        if why is not None:
            if node.type != "d":
                named = path in self.paths
                (self.refused if named else self.stays).add(why, path)
            return False
        if hidden and entry is not None:
            self.refused.add(_HIDDEN, path)
        return True

    def hides(self, folder: bytes) -> None:
        """Of the machine's, which took the place of the master's."""
        self._behind.update(path for path in self.paths if is_below(path, folder))

    @property
    def hidden(self) -> list[bytes]:
        """Paths behind such folders at which the machine has nothing; the master may."""
        return sorted(self._behind - self.met)

    def see_hidden(self, path: bytes) -> None:
        """The master does."""
        self.met.add(path)
        self.refused.add(_HIDDEN, path)

    def clears(self, path: bytes) -> bool:
        """Whether the mark of a folder that stays is to go: the master's is seen below it."""
        return self._root(path) is not None

    def unmet(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Paths at which there was nothing, and what stands in the way of each, if anything does."""
        for path in sorted(self.paths - self.met):
            yield path, self.covered.get(path)

    def _root(self, path: bytes) -> bytes | None:
        """The path asked for that this is at, or below: the outermost."""
        end = 0
        while end != -1:
            end = path.find(b"/", end + 1)
            head = path if end == -1 else path[:end]
            if head in self.paths:
                return head
        return None

    def _cover(self, path: bytes) -> None:
        for asked in self.paths:
            if is_below(asked, path):
                self.covered[asked] = path

    def _why_it_stays(self, path: bytes, node: N, entry: Entry | None) -> str | None:
        if path == _OURS or is_below(path, _OURS) or path.startswith(_HOST_KEYS):
            return "who the machine is stays"
        if any(path == each or is_below(path, each) for each in _DATABASES):
            return "it says which packages the machine has, and their files lie elsewhere"
        what = special(path)
        if what is not None and what.kind in _WHOLE and path not in self.paths:
            return "it tells of the whole machine, and goes when it is named itself"
        anybodys = node.type == "d" or path.startswith(_SETTINGS)
        return self._whose(path, entry, anybodys=anybodys)

    def _whose(self, path: bytes, entry: Entry | None, *, anybodys: bool) -> str | None:
        """A setting, or a folder, that the master has too is anybody's. A folder that only a package of the
        machine brought stays, without what is in it: its programs may not start without."""
        owned = self.owners.get(path)
        if owned is None or (anybodys and entry is not None):
            return None
        name, gone = printable(owned.package.name), owned.package.versions.machine is None
        what = "removed" if gone else "has in a version of its own"
        return f"of the package {name}, which the machine {what}; its package manager undoes that"


@dataclass(slots=True, kw_only=True)
class Idle(Generic[N]):
    """Chooses what says the same as the stack: files copied up and not altered, folders with nothing in them,
    deletions of what is not there."""

    reader: Reader[N]
    links: Callable[[N], int]

    def goes(self, path: bytes, node: N, entry: Entry | None, *, hidden: bool) -> bool:
        if path == b"" or hidden:
            return False
        if is_whiteout(node):
            return entry is None
        if entry is None or node.type != entry.type or (node.type != "d" and self.links(node) > 1):
            return False
        xattrs: Mapping[str, bytes] = self.reader.xattrs(node)
        if node.type == "d" and OPAQUE in xattrs:
            return False
        return is_as_stack(node, entry, xattrs, self.reader)

    def clears(self, path: bytes) -> bool:
        return False

    def hides(self, folder: bytes) -> None:
        """That is looked at where something is below it."""


@dataclass(slots=True)
class Secrets(Generic[N]):
    """Chooses what only one machine may have, and makes for itself when it is missing: keys, seeds of random
    numbers, and who it is to a DHCP server or an overlay network. (masters/clean.py takes the same out of a
    tree that is sealed.)"""

    def goes(self, path: bytes, node: N, entry: Entry | None, *, hidden: bool) -> bool:
        return node.type != "d" and not is_whiteout(node) and _SECRETS.fullmatch(path) is not None

    def clears(self, path: bytes) -> bool:
        return False

    def hides(self, folder: bytes) -> None:
        """That is looked at where something is below it."""
