"""One name as one side has it, and three of them compared: content, mode, owner and attributes, each alone.

A chmod of a file whose content the new master improves is no dispute: it gets both.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, TypeVar

from skinnybox.delta.rebase.accounts import Ownership
from skinnybox.delta.upper import UpperNode, kept_xattrs
from skinnybox.masters.index import Entry
from skinnybox.masters.renumber import ACCESS_LISTS, mapped

T = TypeVar("T")
N = TypeVar("N", bound=UpperNode)
N_in = TypeVar("N_in", bound=UpperNode, contravariant=True)
_UNLIKE = "unlike all others"


@dataclass(frozen=True, slots=True)
class Facts:
    """`content` is a file's digest, a symlink's target, a device's number; owners are the new stack's
    numbers. A time is none: copies keep it, and each build of a master has others."""

    type: str
    content: object
    mode: int
    owner: tuple[int, int]
    xattrs: tuple[tuple[str, bytes], ...]

    @property
    def what(self) -> tuple[str, object]:
        return self.type, self.content


class Won(Enum):
    SAME = "same"
    MACHINE = "machine"
    MASTER = "master"
    NOBODY = "nobody"


class Content(Protocol[N_in]):
    """What is asked of a node of the upper directory; only where it is needed, for to read is dear."""

    def digest(self, node: N_in) -> str: ...
    def md5(self, node: N_in) -> str: ...
    def target(self, node: N_in) -> bytes: ...
    def xattrs(self, node: N_in) -> Mapping[str, bytes]: ...
    def text(self, node: N_in, limit: int) -> bytes | None: ...


def of_entry(entry: Entry, owners: Ownership | None) -> Facts:
    """`owners` for an entry of the old stack, whose numbers mean what they mean in the machine."""
    uid, gid = entry.uid, entry.gid
    if owners is not None:
        uid, gid = owners.users.of(uid), owners.groups.of(gid)
    content: object = None
    if entry.type == "-":
        content = entry.digest
    elif entry.type == "l":
        content = entry.target
    elif entry.type in "bc":
        content = entry.rdev
    mode = 0 if entry.type == "l" else entry.mode
    return Facts(entry.type, content, mode, (uid, gid), _xattrs(dict(entry.xattrs), owners))


def of_node(node: N, reader: Content[N], owners: Ownership, others: tuple[Entry | None, ...]) -> Facts:
    """A file is only read where one of the others has its size."""
    content: object = None
    if node.type == "-":
        sizes = {entry.size for entry in others if entry is not None and entry.type == "-"}
        content = reader.digest(node) if node.size in sizes else _UNLIKE
    elif node.type == "l":
        content = reader.target(node)
    elif node.type in "bc":
        content = os.makedev(*node.rdev)
    owner = owners.users.of(node.uid), owners.groups.of(node.gid)
    mode = 0 if node.type == "l" else node.mode
    return Facts(node.type, content, mode, owner, _xattrs(reader.xattrs(node), owners))


def renumbered(facts: Facts, owners: Ownership) -> Facts:
    """What was told in the old stack's numbers."""
    if not owners.moves:
        return facts
    uid, gid = facts.owner
    owner = owners.users.of(uid), owners.groups.of(gid)
    return replace(facts, owner=owner, xattrs=_xattrs(dict(facts.xattrs), owners))


def _xattrs(found: Mapping[str, bytes], owners: Ownership | None) -> tuple[tuple[str, bytes], ...]:
    """Access lists name numbers as well."""
    kept = sorted(kept_xattrs(found).items())
    if owners is None or not owners.moves:
        return tuple(kept)
    numbers = owners.renumbering
    return tuple((name, mapped(raw, numbers) if name in ACCESS_LISTS else raw) for name, raw in kept)


def won(machine: T, old: T, new: T) -> Won:
    """Of one aspect that all three have."""
    if machine == new:
        return Won.SAME
    if machine == old:
        return Won.MASTER
    return Won.MACHINE if old == new else Won.NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """`result` is None where somebody has to decide; `disputed` says about what."""

    content: Won
    result: Facts | None
    disputed: tuple[str, ...]


def compared(machine: Facts, old: Facts, new: Facts) -> Compared:
    """Three of the same type."""
    content = won(machine.content, old.content, new.content)
    mode = won(machine.mode, old.mode, new.mode)
    owner = won(machine.owner, old.owner, new.owner)
    xattrs = won(machine.xattrs, old.xattrs, new.xattrs)
    named = {"content": content, "mode": mode, "owner": owner, "attributes": xattrs}
    disputed = tuple(name for name, who in named.items() if who is Won.NOBODY)
    result = replace(
        machine,
        content=_of(content, machine.content, new.content),
        mode=_of(mode, machine.mode, new.mode),
        owner=_of(owner, machine.owner, new.owner),
        xattrs=_of(xattrs, machine.xattrs, new.xattrs),
    )
    return Compared(content=content, result=None if disputed else result, disputed=disputed)


def _of(who: Won, machine: T, new: T) -> T:
    return new if who is Won.MASTER else machine
