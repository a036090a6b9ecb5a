"""The fleet: every use case is one method, with plain values in and out.

All of it blocks. What takes long is told to an Operation, which may cancel it. What goes wrong is an error
from the tree, or, for several machines, an Outcome each. What only some use cases need is imported there: a
command that lists must not wait for what builds.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.powering import Powering
from skinnybox.operation import UNATTENDED, Operation

if TYPE_CHECKING:
    from socket import socket
    from uuid import UUID

    from skinnybox.fleet.access import Login
    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.capacity import Account
    from skinnybox.fleet.catalog.rows import Row
    from skinnybox.fleet.change import Changing
    from skinnybox.fleet.create import Batch
    from skinnybox.fleet.editing import MasterEdits
    from skinnybox.fleet.preview import Preview
    from skinnybox.fleet.specification import Specification
    from skinnybox.fleet.view import MachineView
    from skinnybox.hosts.events import Event
    from skinnybox.model import Instance


class Fleet(Powering):
    """The machines and masters of one state folder on one host."""

    @property
    def note(self) -> str | None:
        """What is to be said of what was read, when it was."""
        return self._catalog.note if "_catalog" in self.__dict__ else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "_catalog" in self.__dict__:
            self._catalog.close()
        self._host.close()

    @as_job("create")
    def create(
        self,
        patterns: Sequence[str],
        master: str,
        specification: "Specification",
        *,
        skip_existing: bool = False,
        operation: Operation = UNATTENDED,
    ) -> "list[Instance]":
        """Make machines, stopped. All or nothing: a name that is taken, or a disk too small, stops it before
        anything is made. Returns those made."""
        from skinnybox.fleet.create import create

        return create(self._context, patterns, master, specification, skip_existing, operation)

    @as_job("create")
    def create_batch(
        self, batch: "Batch", *, skip_existing: bool = False, operation: Operation = UNATTENDED
    ) -> "list[Instance]":
        """The same of machines of which each is described by itself."""
        from skinnybox.fleet.create import create_batch

        return create_batch(self._context, batch, skip_existing, operation)

    def preview_batch(self, batch: "Batch", *, skip_existing: bool = False) -> "Preview":
        """What `create_batch` would make now; as `preview`."""
        from skinnybox.fleet.preview import preview_batch

        return preview_batch(self._context, batch, skip_existing)

    def preview(
        self, patterns: Sequence[str], master: str, specification: "Specification", *, skip_existing: bool
    ) -> "Preview":
        """What `create` would make now, and whether it could; nothing changes. Raises as `create` for what
        cannot be right, whatever there is."""
        from skinnybox.fleet.preview import preview

        return preview(self._context, patterns, master, specification, skip_existing)

    def machines(self, patterns: Sequence[str] = ("*",)) -> "list[MachineView]":
        """Those that names and globs mean. NotFound when one means nothing; all, without patterns."""
        return self._queries.machines(patterns)

    def names(self) -> list[str]:
        return self._catalog.names()

    @property
    def master_edits(self) -> "MasterEdits":
        """Masters that are worked on in a machine."""
        from skinnybox.fleet.editing import MasterEdits

        return MasterEdits(self)

    def finish_unfinished(self) -> "list[Outcome[Row]]":
        """What killed commands left half done is finished or taken back; of each machine what came of it."""
        from skinnybox.fleet.repair import unfinished

        return unfinished.finish(self._host, self._catalog)

    def marked(self, patterns: Sequence[str] = ("*",)) -> list[str]:
        """Those of them that are to come up when the host has restarted, after what that interrupted has
        been cleared away."""
        self.finish_unfinished()
        return [machine.name for machine in self.machines(patterns) if machine.instance.autostart]

    @as_job("delete")
    def delete(
        self, patterns: Sequence[str], *, force: bool = False, operation: Operation = UNATTENDED
    ) -> "list[Outcome[None]]":
        """Remove machines and their overlays for good. Running ones are refused without `force`."""
        from skinnybox.fleet.delete import delete

        def one(machine: "MachineView", operation: Operation) -> None:
            delete(self._host, self._catalog, machine, force=force)

        return self._queries.each(patterns, one, "delete", operation, 1, decides=False)

    def machine(self, name: str) -> "MachineView":
        """The one that this very name means."""
        return self._queries.machine(name)

    @as_job("console")
    def console(self, name: str) -> "AbstractContextManager[socket]":
        """Whoever has it may type: so that it was asked for is a job, which ends with that."""
        return self.listen(name)

    def listen(self, name: str) -> "AbstractContextManager[socket]":
        """The same for who types nothing."""
        return self._host.console(self.machine(name).instance.uuid)

    def console_log(self, name: str) -> bytes:
        return self._host.console_log(self.machine(name).instance.uuid)

    def ssh(self, name: str, command: Sequence[str] = (), login: "Login | None" = None) -> int:
        """Hand the terminal to ssh; returns its exit code."""
        return self.remote.ssh(name, command, login)

    def events(self, patterns: Sequence[str] = ()) -> "list[Event]":
        """What happened to the machines that names and globs mean, oldest first, also to deleted ones."""
        from skinnybox.fleet import events

        return events.listed(self._host, self._catalog, patterns)

    def follow_events(
        self, patterns: Sequence[str] = (), *, operation: Operation = UNATTENDED
    ) -> "Iterator[Event]":
        """The same, and then what happens from now on, until it is cancelled."""
        from skinnybox.fleet import events

        return events.followed(self._host, self._catalog, patterns, operation)

    def events_after(self, number: int) -> "list[Event]":
        """Those with a number above this, oldest first: for who follows all of them."""
        return list(self._host.events(number))

    def belongings(self) -> "dict[UUID, str | None]":
        """Which fleet each machine is of."""
        return {row.instance.uuid: row.instance.fleet for row in self._catalog.rows()}

    @as_job("set")
    def set(
        self,
        patterns: Sequence[str],
        changes: "Changing",
        operation: Operation = UNATTENDED,
        *,
        expect: str | None = None,
    ) -> "list[Outcome[MachineView]]":
        """Change machines in place; those that run go on as they were started, but for the ssh port, which
        only one that is stopped can change. Outdated for one of another revision than is expected."""
        from skinnybox.fleet.catalog.ports import free_ports
        from skinnybox.fleet.change import change, gives_port
        from skinnybox.fleet.power import refuse_running
        from skinnybox.fleet.revision import expecting

        wanted = expecting(changes, expect)
        new_port = gives_port(changes, lambda: self.machines(patterns))

        def one(machine: "MachineView", operation: Operation) -> "MachineView":
            if new_port:  # else nobody could reach it until it has started anew
                refuse_running(machine, "another ssh port")
            ports = free_ports(self._catalog.ports(), self._folder)
            return self._queries.view(change(self._host, self._catalog, machine.instance, wanted, ports))

        return self._queries.each(patterns, one, "set", operation, 1)

    def capacity(self, fit_size: int) -> "Account":
        from skinnybox.fleet import capacity

        instances = [row.instance for row in self._catalog.rows()]
        return capacity.of_host(self._host, instances, self.masters.all(), fit_size, self.layers.all())
