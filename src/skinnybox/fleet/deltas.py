"""What machines made their own: looked into beside what their masters have in its place, given up in part,
and given to others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skinnybox.errors import NotFound
from skinnybox.fleet import encrypted, thrown
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.context import Context
from skinnybox.fleet.view import MachineView
from skinnybox.model import Change, Content, Instance, Layer, Look, Master
from skinnybox.operation import UNATTENDED, Operation

if TYPE_CHECKING:
    from skinnybox.fleet.archives import Archive
    from skinnybox.fleet.dropping import Would
    from skinnybox.fleet.elsewhere.place import Place
    from skinnybox.fleet.exporting import Export, Exported
    from skinnybox.fleet.moving import Move
    from skinnybox.fleet.restoring import Restore
    from skinnybox.model.drop import Dropped, Wanted
    from skinnybox.model.promotion import Promotion

LIMIT = 256 << 10
"""Bytes of a file that people look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Of one path: `before` as the master has it, `after` as the machine does; None where it is not."""

    before: Content | None
    after: Content | None


class Deltas:
    """`fleet.deltas` of a Fleet. Everything here blocks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._catalog = context.catalog

    @as_job("reset")
    def give_back(
        self,
        patterns: Sequence[str],
        paths: Sequence[str],
        packages: Sequence[str] = (),
        operation: Operation = UNATTENDED,
    ) -> "list[Outcome[Dropped]]":
        """Have the master's seen again at these absolute paths of stopped machines, with all that is below
        them, and in place of the files of its packages of these names. UsageError for what is no path."""
        return self._drop(patterns, wanted_of(paths, packages), "reset", operation)

    @as_job("slim")
    def slim(self, patterns: Sequence[str], operation: Operation = UNATTENDED) -> "list[Outcome[Dropped]]":
        """Drop what says the same as the master: stopped machines are what they were, and have more room."""
        return self._drop(patterns, wanted_of(), "slim", operation)

    @as_job("copy")
    def copy(
        self,
        name: str,
        patterns: Sequence[str],
        operation: Operation = UNATTENDED,
        *,
        data: bool = False,
    ) -> list[Instance]:
        """Make further machines, stopped, that have what one made its own, each with its own identity; of one
        that runs, of one point in time. With `data` also what its data disk holds. All or nothing."""
        from skinnybox.fleet.duplicate import duplicated

        machine = self._context.queries.machine(name)
        return duplicated(self._context, machine, patterns, operation, data=data)

    @as_job("export")
    def export(self, name: str, wanted: "Export", operation: Operation = UNATTENDED) -> "Exported":
        """Write an archive of what a machine made its own; of one that runs, of one point in time. A file
        appears under its name when it is whole. Conflict when the name is taken."""
        from skinnybox.fleet.exporting import export

        return export(self._context, self._context.queries.machine(name), wanted, operation)

    def archive(self, file: Path) -> "Archive":
        """What one that `export` wrote says of itself, of which nothing else is read."""
        from skinnybox.fleet import archives

        return archives.look(self._context.folder, file)

    @as_job("create")
    def restore(self, name: str, wanted: "Restore", operation: Operation = UNATTENDED) -> Instance:
        """Make the machine again, stopped, that `export` wrote down, or with `new_identity` another that has
        what it made its own. All or nothing. Conflict while the machine itself, or one of that name, is
        here; NotFound without its master."""
        from skinnybox.fleet.restoring import restore

        return restore(self._context, name, wanted, operation)

    @as_job("move")
    def move(
        self,
        patterns: Sequence[str],
        there: "Deltas | Place | None",
        wanted: "Move",
        operation: Operation = UNATTENDED,
    ) -> "list[Outcome[Instance]]":
        """Have stopped machines in the fleet of `there`, each with its disks, and its master and layers where
        those are missing: made there, compared, and only then deleted here. Conflict for names that are taken
        there. What was killed is gone on with by the same call, or with None given up: they stay here."""
        from skinnybox.fleet.elsewhere.sending import mover

        one = mover(self._context, there._context if isinstance(there, Deltas) else there, wanted)
        return self._context.queries.each(patterns, one, "move", operation, 1)

    def receive(self, source: int, operation: Operation = UNATTENDED) -> dict[str, Any]:
        """Answer one request of `move` on another computer, which the descriptor `source` gives."""
        from skinnybox.fleet.elsewhere import receiving

        return receiving.receive(self._context, self.restore, source, operation)

    @as_job("rename")
    def rename(self, name: str, new: str, operation: Operation = UNATTENDED) -> Instance:
        """Call a stopped machine otherwise; where its hostname is its name, that as well. Idempotent."""
        from skinnybox.fleet import renaming

        machine = self._context.queries.machine(name)
        machine = self._context.queries.settled(machine, operation)
        return renaming.rename(self._context, machine, new, operation)

    @as_job("promote")
    def promote(
        self,
        name: str,
        reference: str,
        operation: Operation = UNATTENDED,
        *,
        keep: Sequence[str] = (),
        leave_out: Sequence[str] = (),
        live: bool = False,
    ) -> Master:
        """Seal a master of what a stopped machine has, without what makes it that one machine; with `live` of
        one that runs, of one point in time. At the paths in `keep` nothing is left out but what no master
        has, at those in `leave_out` all that is the machine's own. The same disk gives the same content."""
        from skinnybox.fleet import promoting

        machine = self._context.queries.machine(name)
        machine = self._context.queries.settled(machine, operation)
        return promoting.promote(
            self._context, machine, reference, operation, keep=keep, leave_out=leave_out, live=live
        )

    @as_job("promote")
    def promote_layer(
        self,
        name: str,
        reference: str,
        operation: Operation = UNATTENDED,
        *,
        paths: Sequence[str] = (),
        keep: Sequence[str] = (),
        leave_out: Sequence[str] = (),
        live: bool = False,
    ) -> Layer:
        """Seal what is a machine's own alone as a layer for its master: at these paths, where what no layer
        may hold is Unsupported, or anywhere, without that. Else as `promote`."""
        from skinnybox.fleet import promoting

        machine = self._context.queries.machine(name)
        machine = self._context.queries.settled(machine, operation)
        return promoting.as_layer(
            self._context, machine, reference, operation,
            paths=paths, keep=keep, leave_out=leave_out, live=live,
        )  # fmt: skip

    def would_promote(
        self,
        name: str,
        operation: Operation = UNATTENDED,
        *,
        as_layer: bool = False,
        paths: Sequence[str] = (),
        keep: Sequence[str] = (),
        leave_out: Sequence[str] = (),
        live: bool = False,
    ) -> "Promotion":
        """What `promote`, or `promote_layer`, would leave out. Raises as that; nothing is made."""
        from skinnybox.fleet import promoting

        machine = self._context.queries.machine(name)
        return promoting.would(
            self._context, machine, operation,
            as_layer=as_layer, paths=paths, keep=keep, leave_out=leave_out, live=live,
        )  # fmt: skip

    def would_drop(
        self, patterns: Sequence[str], wanted: "Wanted", operation: Operation = UNATTENDED
    ) -> "list[Outcome[Would]]":
        """What of stopped machines would go now. Nothing is changed."""
        from skinnybox.fleet import dropping

        def one(machine: MachineView, operation: Operation) -> "Would":
            return dropping.would(self._context, machine, wanted, operation)

        return self._context.queries.each(patterns, one, "look", operation, 1, decides=False)

    def _drop(
        self, patterns: Sequence[str], wanted: "Wanted", task: str, operation: Operation
    ) -> "list[Outcome[Dropped]]":
        from skinnybox.fleet import dropping

        def one(machine: MachineView, operation: Operation) -> "Dropped":
            return dropping.dropped(self._context, machine, wanted, operation)

        return self._context.queries.each(patterns, one, task, operation, 1)

    @contextmanager
    def look(
        self,
        name: str,
        *,
        include_seed: bool = False,
        include_same: bool = False,
        operation: Operation = UNATTENDED,
        paths: Sequence[str] = (),
    ) -> Iterator[Look]:
        """What a machine made its own, as `overlays.changes` reads it, and how its system differs from its
        master's. With `include_same` also what is in its overlay and differs in nothing; with `paths` only
        what they lead to in the machine, and what is below them."""
        from skinnybox.fleet.changes import Asked, asked_paths, looked_at, sealed_of

        context, machine = self._context, self._context.queries.machine(name)
        asked = Asked(seed=include_seed, same=include_same, paths=asked_paths(paths))
        with (
            sealed_of(context.masters, machine) as sealed,
            looked_at(context.host, machine, sealed, context.folder, operation, asked) as found,
        ):
            yield found

    @contextmanager
    def between(
        self,
        name: str,
        other: str,
        *,
        include_seed: bool = False,
        operation: Operation = UNATTENDED,
        paths: Sequence[str] = (),
    ) -> Iterator[Look]:
        """What a machine has and another has not (added), or has otherwise, or only the other has (deleted);
        and how its system differs from the other's. Read as `look` does."""
        from skinnybox.fleet.changes import asked_paths
        from skinnybox.fleet.comparing import between

        machines = self._context.queries.machine(name), self._context.queries.machine(other)
        asked = asked_paths(paths)
        with between(
            self._context, machines, include_seed=include_seed, operation=operation, paths=asked
        ) as found:
            yield found

    def versions(
        self, names: Sequence[str], changes: Sequence[Change], operation: Operation = UNATTENDED
    ) -> Iterator[Versions]:
        """Of changes that `look` told of one machine, or `between` of two: what was there, and what is."""
        from skinnybox.fleet.versions import versions

        machines = [self._context.queries.machine(name) for name in names]
        return versions(self._context, machines, changes, operation)

    def file(
        self, name: str, path: bytes, *, limit: int = LIMIT, operation: Operation = UNATTENDED
    ) -> Versions:
        """The first `limit` bytes of both, read from outside as `changes` reads; of a machine that runs, from
        a copy of one point in time. `path` has no leading slash. NotFound where neither has it."""
        machine = self._context.queries.machine(name)
        thrown.refuse_in_memory(machine.instance, "changes")
        encrypted.refuse_reading(machine.instance, "changes")
        if not path or path.startswith(b"/") or b"\0" in path or b".." in path.split(b"/"):
            raise NotFound("that is no path of a machine")
        from skinnybox.fleet.versions import of_one

        found = of_one(self._context, machine, path, limit, operation)
        if found.before is None and found.after is None:
            raise NotFound(f"neither {name} nor its master has a file there now")
        return found


def wanted_of(paths: Sequence[str] = (), packages: Sequence[str] = ()) -> "Wanted":
    """What is to go; neither named, what says the same as the master."""
    from skinnybox.model.drop import Wanted, path_of

    found = tuple(dict.fromkeys(map(path_of, paths)))
    return Wanted(paths=found, packages=tuple(dict.fromkeys(packages)), idle=not found and not packages)
