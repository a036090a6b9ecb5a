"""Which machines a command means, how they are now, and doing one thing to each of them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from skinnybox.errors import NotFound, SkinnyboxError
from skinnybox.fleet import bound
from skinnybox.fleet.names import select
from skinnybox.fleet.turns import Turns
from skinnybox.fleet.view import MachineView

if TYPE_CHECKING:
    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.catalog.catalog import Catalog
    from skinnybox.fleet.catalog.rows import Row
    from skinnybox.hosts.base import Host
    from skinnybox.model import Instance, Report
    from skinnybox.operation import Operation

R = TypeVar("R")


class MachineQueries:
    """The machines of one state folder, put together from catalog, host and guest. Blocks, thread-safe."""

    def __init__(self, host: "Host", catalog: "Catalog", *, boots_at_once: int) -> None:
        self._host = host
        self._catalog = catalog
        self.boots_at_once = boots_at_once
        self.rising = Turns(boots_at_once)
        """Taken by each machine for as long as it needs until it is ready."""

    def machines(self, patterns: Sequence[str] = ("*",)) -> list[MachineView]:
        """Those that names and globs mean. NotFound when one means nothing; all, without patterns."""
        return self._seen(self._catalog.rows() if tuple(patterns) == ("*",) else self._chosen(patterns))

    def machine(self, name: str) -> MachineView:
        """The one that this very name means."""
        rows = self._chosen([name])
        if len(rows) != 1:
            raise NotFound(f"{name!r} means {len(rows)} machines, and one is asked for")
        return self._seen(rows)[0]

    def view(self, instance: "Instance") -> MachineView:
        """How this very instance is now. NotFound when it is gone, also if its name lives on."""
        rows = self._catalog.rows([instance.name])
        if not rows or rows[0].instance.uuid != instance.uuid:
            raise NotFound(f"{instance.name} was deleted meanwhile")
        return self._seen(rows)[0]

    def each(
        self,
        patterns: Sequence[str],
        act: "Callable[[MachineView, Operation], R]",
        task: str,
        operation: "Operation",
        parallel: int | None = None,
        *,
        decides: bool = True,
    ) -> "list[Outcome[R]]":
        """`parallel` None: as many at once as may be on their way up. `decides`: a trial that is over is
        decided before anything else is done to its machine; False for who only looks, or decides itself."""
        from skinnybox.fleet import batch

        def one(machine: MachineView, operation: "Operation") -> R:
            return act(self.settled(machine, operation) if decides else machine, operation)

        return batch.each(
            self.machines(patterns),
            one,
            name=lambda machine: machine.name,
            task=task,
            operation=operation,
            parallel=parallel or self.boots_at_once,
        )

    def settled(self, machine: MachineView, operation: "Operation") -> MachineView:
        """The machine, with its trial decided if that is over and nobody waits for it."""
        if machine.instance.trial is None and not machine.broken_off:
            return machine
        from skinnybox.fleet import rebase_trial

        return rebase_trial.settled(self._host, self._catalog, self.view, machine, operation)

    def _chosen(self, patterns: Sequence[str]) -> "list[Row]":
        rows = self._catalog.rows(select(patterns, self._catalog.names()))
        bound.check(row.instance for row in rows)
        return rows

    def _seen(self, rows: "Sequence[Row]") -> list[MachineView]:
        instances = [row.instance for row in rows]
        statuses = self._host.statuses()
        reports = self._host.reports(instance.uuid for instance in instances)
        written, troubles = self._host.written(instances), self._host.troubles(instances)
        return [
            MachineView(
                instance=row.instance,
                phase=row.phase,
                status=statuses.get(row.instance.uuid),
                report=reports.get(row.instance.uuid),
                written=written.get(row.instance.uuid),
                trouble=troubles.get(row.instance.uuid),
                host_keys=row.host_keys or self._pin(row.instance, reports.get(row.instance.uuid)),
                work=row.work,
                broken_off=row.is_broken_off,
            )
            for row in rows
        ]

    def _pin(self, instance: "Instance", report: "Report | None") -> tuple[str, ...]:
        """The first host keys a machine reports are those it is held to from then on."""
        if report is None or not report.ssh_host_keys:
            return ()
        try:
            self._catalog.pin_host_keys(instance.uuid, report.ssh_host_keys)
        except SkinnyboxError:
            if self._catalog.note is None:
                raise
            return ()  # nothing can be written: the next look at it, when something can, pins them
        return report.ssh_host_keys
