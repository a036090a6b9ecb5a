"""What becomes of one name of an upper directory in the master: it goes there, or not, or without a part.

Left out is who the machine is, what its seed brought, and what it left behind while it ran. What somebody
typed or installed is what the master is made for, and goes there, with passwords and keys of their own.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from skinnybox.delta.as_seeded import as_seeded
from skinnybox.delta.promote import places, texts
from skinnybox.delta.promote.places import Reason
from skinnybox.delta.promote.whose import Whose
from skinnybox.delta.rebase.streams import is_below
from skinnybox.delta.upper import kept_xattrs
from skinnybox.errors import NotFound
from skinnybox.ext4 import Node, Volume
from skinnybox.masters.clean import is_rotated
from skinnybox.masters.index import Entry
from skinnybox.model import Change, ChangeKind
from skinnybox.printable import printable_path

_MOST = 1 << 20
"""Bytes of a file in which parts are looked for."""
_HEADS = (b"# Written from the seed by skinnybox", b"# Written by skinnybox: the seed ")
_OF_NETWORK = (b"etc/network/", b"etc/systemd/network/", b"etc/NetworkManager/", b"etc/sysconfig/network/")
_LOGS = b"var/log"


@dataclass(frozen=True, slots=True)
class Left:
    """It does not go there: what the stack has at its path is seen. It is counted at `place`."""

    reason: Reason
    place: bytes


@dataclass(frozen=True, slots=True)
class Altered:
    """It goes there with this in it."""

    reason: Reason
    content: bytes


Fate = Left | Altered | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """`sealed` gives the first bytes of a file of the stack, None where it has none."""

    whose: Whose
    volume: Volume
    sealed: Callable[[bytes], bytes | None]
    _met: set[bytes] = field(default_factory=set)

    def see(self, path: bytes) -> None:
        """Of every name there is."""
        asked = (*self.whose.keep, *self.whose.leave_out)
        self._met.update(each for each in asked if _at(path, each))

    def refuse_unmet(self) -> None:
        """When all names were seen. NotFound where one that was asked for is not there: what somebody meant
        to leave out would be in every machine of the master."""
        for asked in (*self.whose.leave_out, *self.whose.keep):
            if asked not in self._met:
                raise NotFound(
                    f"it has nothing of its own at /{printable_path(asked)}",
                    hint="`skinnybox changes` lists what it has",
                )

    def asked(self, path: bytes) -> Left | None:
        """Whether somebody said that it is to be left out. Also of a whiteout: the stack's is seen then."""
        place = next((each for each in self.whose.leave_out if _at(path, each)), None)
        return None if place is None else Left(Reason.ASKED, place)

    def fate(self, path: bytes, node: Node, entry: Entry | None) -> Fate:
        """Of what is no whiteout; `entry` is what the stack has there, if that would be seen. None: it goes
        there as it is. Raises Corrupt, as reading the volume does."""
        found = places.cleaned(path)
        if found is not None and (node.type != "d" or found[1] != path):
            return Left(*found)
        if asked := self.asked(path):
            return asked
        if any(_at(path, kept) for kept in self.whose.keep):
            return None
        found = places.of_a_machine(path)
        if found is not None and node.type == "d":
            return Left(*found) if found[1] != path else None
        if found is not None and (found[0] is not Reason.NETWORK or node.type == "-"):
            return Left(*found)
        return self._by_content(path, node, entry)

    def brings_folder(self, path: bytes, node: Node) -> bool:
        """Whether a folder that the stack has not is one that the guest part makes for a seed's files."""
        return as_seeded(self.volume, _new(path, node), node, None, self.whose.expected) is True

    def _by_content(self, path: bytes, node: Node, entry: Entry | None) -> Fate:
        if path in self.whose.files:
            return Left(Reason.SEED, path)
        if node.type == "-" and is_below(path, _LOGS):
            there = entry is not None and entry.type == "-"
            return Left(Reason.LOGS, _LOGS) if there or is_rotated(path) else Altered(Reason.LOGS, b"")
        if node.type != "d" and as_seeded(self.volume, _new(path, node), node, entry, self.whose.expected):
            return Left(Reason.SEED, path)
        if node.type == "-" and path.startswith(b"etc/") and self._read(node, 64).startswith(_HEADS):
            return Left(Reason.NETWORK if path.startswith(_OF_NETWORK) else Reason.SEED, path)
        return self._without_a_part(path, node, entry)

    def _without_a_part(self, path: bytes, node: Node, entry: Entry | None) -> Fate:
        if node.type != "-" or node.size > _MOST:
            return None
        whose = self.whose
        if path == b"etc/hosts":
            reason, before = Reason.IDENTITY, self._read(node, _MOST)
            after = texts.without_name(before, whose.names)
        elif path.endswith((b"/.ssh/authorized_keys", b"/.ssh/authorized_keys2")):
            reason, before = Reason.SEED, self._read(node, _MOST)
            after = texts.without_seeds_keys(before)
        elif path == b"etc/shadow" and whose.passwords:
            reason, before = Reason.SEED, self._read(node, _MOST)
            after = texts.without_seeds_passwords(before, whose.passwords, self.sealed(path) or b"")
        else:
            return None
        if after == before:
            return None
        gone = not after.strip() if entry is None else self._is_sealed(node, entry, after)
        return Left(reason, path) if gone else Altered(reason, after)

    def _is_sealed(self, node: Node, entry: Entry, content: bytes) -> bool:
        own = node.mode, node.uid, node.gid, kept_xattrs(self.volume.xattrs(node))
        return (
            entry.type == "-"
            and own == (entry.mode, entry.uid, entry.gid, kept_xattrs(dict(entry.xattrs)))
            and entry.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
        )

    def _read(self, node: Node, limit: int) -> bytes:
        return b"".join(self.volume.read(node, limit))


def _at(path: bytes, place: bytes) -> bool:
    return path == place or is_below(path, place)


def _new(path: bytes, node: Node) -> Change:
    return Change(path=path, kind=ChangeKind.ADDED, type=node.type)
