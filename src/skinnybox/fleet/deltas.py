"""What is in files that machines made their own, beside what their masters have in their place."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from skinnybox.errors import NotFound
from skinnybox.fleet import encrypted, power, thrown
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.machine_queries import MachineQueries
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.model import Content, DiskKind
from skinnybox.operation import UNATTENDED, Operation

LIMIT = 256 << 10
"""Bytes of a file that people look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Of one path: `before` as the master has it, `after` as the machine does; None where it is not."""

    before: Content | None
    after: Content | None


class Deltas:
    """`fleet.deltas` of a Fleet. Everything here blocks."""

    def __init__(self, host: Host, catalog: Catalog, masters: Masters, queries: MachineQueries) -> None:
        self._host, self._catalog, self._masters, self._queries = host, catalog, masters, queries

    def file(
        self, name: str, path: bytes, *, limit: int = LIMIT, operation: Operation = UNATTENDED
    ) -> Versions:
        """The first `limit` bytes of both, read from outside as `changes` reads; of a machine that runs, from
        a copy of one point in time. `path` has no leading slash. NotFound where neither has it."""
        machine = self._queries.machine(name)
        thrown.refuse_in_memory(machine.instance, "changes")
        encrypted.refuse_reading(machine.instance, "changes")
        if not path or path.startswith(b"/") or b"\0" in path or b".." in path.split(b"/"):
            raise NotFound("that is no path of a machine")
        before, after = self._sealed(machine, path, limit), self._own(machine, path, limit, operation)
        if before is None and after is None:
            raise NotFound(f"neither {name} nor its master has a file there now")
        return Versions(before=before, after=after)

    def _sealed(self, machine: MachineView, path: bytes, limit: int) -> Content | None:
        from skinnybox.delta import content

        stack = machine.instance.stack
        master = self._masters.by_id(stack.master)
        images = (master.image(digest) for digest in stack.images)
        image = next((image for image in images if image is not None), master.images[0])
        return content.of_image(self._masters.folder(master) / image.file, path, limit)

    def _own(self, machine: MachineView, path: bytes, limit: int, operation: Operation) -> Content | None:
        from skinnybox.delta import content
        from skinnybox.delta.settled import Unsettled
        from skinnybox.fleet.scratch_copy import copied
        from skinnybox.overlays.journal import replayed_copy

        with ExitStack() as held:
            if power.running(machine):
                scratch: Path = self._catalog.path.parent
                copy = held.enter_context(copied(self._host, machine, DiskKind.OVERLAY, scratch, operation))
                return content.of_overlay(copy, path, limit)
            overlay = held.enter_context(self._host.open_overlay(machine.instance, operation))
            try:
                return content.of_overlay(overlay, path, limit)
            except Unsettled:
                return content.of_overlay(held.enter_context(replayed_copy(overlay)), path, limit)
