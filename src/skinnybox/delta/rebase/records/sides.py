"""What records are made from, and what is made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from skinnybox.delta.rebase.accounts import Ownership
from skinnybox.delta.rebase.owners import Owners
from skinnybox.delta.rebase.packages import Settled
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.values import PackageClass
from skinnybox.errors import Corrupt
from skinnybox.masters.system.source import Source

SMALL, LARGE = 1 << 20, 32 << 20
"""Bytes of a record: of most, and of those with a paragraph for each package."""
MOST_NAMES = 10_000


class Machine(Source, Protocol):
    """As the machine sees its files: see merged_source.Merged."""

    def untouched(self, path: str) -> bool: ...


class Three(NamedTuple):
    """One file of each side; None where there is none."""

    old: bytes | None
    new: bytes | None
    machine: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What is at a path afterwards: a file with `content`, or a symlink that says `target`. With neither
    nothing of the machine's own is there, and the new master's is seen, unless `hidden`. `note` is for
    people: what nobody asked for. `task` has to run at the first start since this is so. `lost` is an
    alternative and what was chosen of it by hand, that is not there."""

    path: str
    content: bytes | None = None
    target: str | None = None
    hidden: bool = False
    note: str = ""
    task: str = ""
    lost: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Sides:
    """`packages` and `owners` are the plan's: whose version of each there is afterwards, and the paths of
    those that the machine itself changed. Numbers of the new master are afterwards everybody's."""

    old: Source
    new: Source
    machine: Machine
    packages: Mapping[str, Settled] = field(default_factory=dict)
    owners: Owners = field(default_factory=dict)
    ownership: Ownership = field(default_factory=Ownership)
    policy: Policy = field(default_factory=Policy)

    def texts(self, path: str, limit: int = SMALL) -> Three:
        """Raises Corrupt for more than `limit`, and for what is there and no file."""
        return Three(*(text(side, path, limit) for side in (self.old, self.new, self.machine)))

    def machine_wins(self, path: str) -> bool:
        """Of what is in dispute there."""
        return self.policy.choice(path.encode("utf-8", "surrogateescape")) not in (
            Choice.THEIRS,
            Choice.TAKE,
        )

    def package(self, name: str, architecture: str = "") -> Settled | None:
        """By its name, as lists and records say it: with or without the architecture."""
        bare, _, said = name.partition(":")
        architecture = said or architecture
        return self.packages.get(f"{bare}:{architecture}" if architecture else bare) or self.packages.get(
            bare
        )

    def of_settings(self, name: str) -> Settled | None:
        """The package by which an answer, or a file that was seen, is decided. None for one that a replay
        installs again: what was said of it is what it is to find, as in an upgrade."""
        found = self.package(name)
        again = self.policy.replay and found is not None and found.kind is PackageClass.ONLY_MACHINE
        return None if again else found


def text(side: Source, path: str, limit: int) -> bytes | None:
    """Raises Corrupt for more than `limit`, and for what is there and no file."""
    found = side.read(path, limit + 1)
    if found is None:
        folder, _, name = path.rpartition("/")
        if name in side.names(folder):
            raise Corrupt(f"/{path} is no file")
    elif len(found) > limit:
        raise Corrupt(f"/{path} has more than {limit} bytes")
    return found


def made_of(path: str, new: bytes | None, content: bytes | None, task: str = "") -> Made:
    """What is merged: nothing is kept where it is what the new master has."""
    if content is None:
        return Made(path=path, hidden=new is not None)
    return Made(path=path, content=None if content == new else content, task=task)
