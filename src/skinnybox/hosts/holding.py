"""What a host finds lying under the identities of machines: for repair, which judges it."""

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from skinnybox.model import Instance
from skinnybox.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What lies on a host under one machine's identity, whole or not.

    `overlay` and `data` are the sizes of its disks in bytes, None where there is none. Without `instance`
    there is no record, or `trouble` says why it cannot be read; `later`: only because a later Skinnybox wrote
    it; `unread`: the place cannot be looked at now, so that nothing is known of it, and nothing may be
    changed. Where `place` is no folder but only a name, `used` says whether somebody may be at work on it,
    and `remove` takes all of it away, unless somebody is by then.
    """

    uuid: UUID
    place: Path
    instance: Instance | None = None
    overlay: int | None = None
    data: int | None = None
    trouble: str | None = None
    later: bool = False
    unread: bool = False
    used: bool = False
    remove: Callable[[], None] | None = None
