"""What differs between an overlay and what it lies on."""

from dataclasses import dataclass
from enum import StrEnum


class ChangeKind(StrEnum):
    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    METADATA = "metadata"
    TYPE = "type"
    UNREAD = "unread"
    """Not looked into, all or in part: no difference that is known, and no word that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path of a delta against its stack. `type` is one of the letters of `ls -l` (d - l p c b s)."""

    path: bytes
    kind: ChangeKind
    type: str
    size: int = 0
    detail: str = ""


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
