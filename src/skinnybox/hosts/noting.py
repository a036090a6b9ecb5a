"""What was done to a machine, and is not seen of it: told by whoever did it."""

from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from skinnybox.hosts.events import EventKind


class Noting(Protocol):
    def note_event(self, uuid: UUID, name: str, kind: "EventKind", detail: str) -> None:
        """Have it among the events. Never an error: it has happened all the same. Nothing where a host keeps
        no events."""
        return
