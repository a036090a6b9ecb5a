"""What differs between an overlay and what it lies on."""

from collections.abc import Iterator
from enum import StrEnum

from skinnybox.values import dataclass


class ChangeKind(StrEnum):
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    METADATA = "metadata"
    TYPE = "type"
    UNREAD = "unread"
    """Not looked into, all or in part: no difference that is known, and no word that there is none."""
    SAME = "same"
    """No difference: copied into the overlay, and as the stack has it. Only told where that was asked for."""


class Group(StrEnum):
    """What a change is about, for people."""

    PACKAGES = "packages"
    CONFIGURATION = "configuration"
    ACCOUNTS = "accounts"
    SERVICES = "services"
    DATA = "data"
    LOGS = "logs"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path of a delta against its stack. `type` is one of the letters of `ls -l` (d - l p c b s).

    `package` is whose it is, of those that the machine has otherwise than its stack, "" for all else;
    `folded` says that the line of that package, or of a unit or another fact, tells of it already. `noise`
    says why every machine has it that was booted once; "" is no noise.
    """

    path: bytes
    kind: ChangeKind
    type: str
    size: int = 0
    detail: str = ""
    group: Group = Group.OTHER
    package: str = ""
    folded: bool = False
    noise: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One difference between the systems of two sides, as their databases tell it: `what` is package, user,
    group, unit, alternative, diversion or release; `change` added, removed, upgraded, downgraded, moved or
    changed. `before` is None of what was not there, `after` of what is not any more."""

    what: str
    change: str
    name: str
    before: str | None = None
    after: str | None = None

    @property
    def group(self) -> Group:
        return _ABOUT.get(self.what, Group.OTHER)


_ABOUT = {
    "package": Group.PACKAGES, "alternative": Group.PACKAGES, "diversion": Group.PACKAGES,
    "user": Group.ACCOUNTS, "group": Group.ACCOUNTS, "unit": Group.SERVICES,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is told of one machine, or of two: how the systems differ, and every path, in canonical order. The
    latter comes while it is read. `paths` are those that were asked for, where they lie."""

    facts: tuple[Fact, ...]
    changes: Iterator[Change]
    paths: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One path as it is somewhere: the `data` of a file, or where a symlink leads, as far as it was asked
    for; `size` is that of all of it. Of all else there is none."""

    type: str
    size: int
    data: bytes = b""

    @property
    def whole(self) -> bool:
        return len(self.data) >= self.size
