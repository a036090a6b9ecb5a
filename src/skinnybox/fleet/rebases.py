"""Machines and the masters that they are to move to: `fleet.rebases` of a Fleet."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox import named_file
from skinnybox.errors import UsageError
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.machine_queries import MachineQueries
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.base import Host
from skinnybox.operation import UNATTENDED, Operation

if TYPE_CHECKING:
    from skinnybox.delta.rebase.rules import Policy, Rule
    from skinnybox.delta.rebase.values import Decision
    from skinnybox.fleet.rebase_explained import Explained
    from skinnybox.fleet.rebase_plan import Moves, Summary

ON_CONFLICT = ("merge", "fail", "ours", "theirs")
_LONGEST = 1 << 20
_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What somebody said beforehand of what is in dispute: see delta.rebase.rules."""

    on_conflict: str = "merge"
    rules: Path | None = None
    take: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()

    def policy(self) -> "Policy":
        """UsageError for what is none."""
        from skinnybox.delta.rebase.rules import Choice, Policy, read_rules

        found: tuple[Rule, ...] = ()
        if self.rules is not None:
            found = read_rules(_text(self.rules), str(self.rules))
        on_conflict = Choice(self.on_conflict)
        return Policy(on_conflict=on_conflict, rules=found, take=self.take, pin=self.pin)


def _text(file: Path) -> str:
    try:
        return named_file.content(file, _LONGEST).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text in UTF-8") from error
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


class Rebases:
    """Everything here blocks, and writes nothing."""

    def __init__(self, host: Host, catalog: Catalog, masters: Masters, queries: MachineQueries) -> None:
        self._host = host
        self._catalog = catalog
        self._masters = masters
        self._queries = queries

    def plans(
        self,
        patterns: Sequence[str],
        onto: str,
        wishes: Wishes,
        operation: Operation = UNATTENDED,
    ) -> "list[Outcome[Summary]]":
        """What it would mean for each of the machines, which must be off."""
        from skinnybox.fleet import rebase_plan

        policy = wishes.policy()
        with self._moves(onto) as moves:

            def one(machine: MachineView, operation: Operation) -> "Summary":
                if machine.instance.stack.master == moves.new.id:
                    return _there(machine, moves)
                with rebase_plan.decisions(self._host, machine, moves, policy, operation) as found:
                    return rebase_plan.summary(machine, moves.new, found)

            return self._queries.each(patterns, one, "rebase", operation, _AT_ONCE)

    def plan(
        self, name: str, onto: str, wishes: Wishes, operation: Operation = UNATTENDED
    ) -> "tuple[Summary, list[Decision]]":
        """For one machine, with all that is decided about it, in the order of that."""
        from skinnybox.fleet.rebase_plan import summary

        machine = self._queries.machine(name)
        with self._decided(machine, onto, wishes, operation) as (moves, found):
            if machine.instance.stack.master == moves.new.id:
                return _there(machine, moves), []
            every = list(found)
            return summary(machine, moves.new, every), every

    @contextmanager
    def _decided(
        self, machine: MachineView, onto: str, wishes: Wishes, operation: Operation
    ) -> "Iterator[tuple[Moves, Iterator[Decision]]]":
        from skinnybox.fleet import rebase_plan

        policy = wishes.policy()
        with self._moves(onto) as moves:
            if machine.instance.stack.master == moves.new.id:
                yield moves, iter(())
                return
            with rebase_plan.decisions(self._host, machine, moves, policy, operation) as found:
                yield moves, found

    def explain(
        self, name: str, onto: str, path: str, wishes: Wishes, operation: Operation = UNATTENDED
    ) -> "Explained":
        """Why one path of a machine is what it is in its plan."""
        from skinnybox.fleet.rebase_explained import explained

        machine = self._queries.machine(name)
        with self._decided(machine, onto, wishes, operation) as (moves, found):
            old = self._masters.by_id(machine.instance.stack.master)
            return explained(self._masters, path, found, old, moves.new)

    @contextmanager
    def _moves(self, onto: str) -> "Iterator[Moves]":
        from skinnybox.fleet.rebase_plan import Moves

        with ExitStack() as held:
            new = held.enter_context(self._masters.kept(onto))
            scratch = self._catalog.path.parent
            yield Moves(self._masters, scratch / "masters", new, scratch, held)


def _there(machine: MachineView, moves: "Moves") -> "Summary":
    from skinnybox.fleet.rebase_plan import Summary

    return Summary(
        name=machine.name,
        old=machine.instance.stack.reference,
        new=moves.new.reference,
        counts=Counter(),
        there=True,
    )
