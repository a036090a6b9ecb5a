"""Machines and the masters that they are to move to: `fleet.rebases` of a Fleet."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox import named_file
from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.view import MachineView
from skinnybox.model import Instance
from skinnybox.operation import UNATTENDED, Operation

if TYPE_CHECKING:
    from skinnybox.delta.rebase.replay import Otherwise
    from skinnybox.delta.rebase.rules import Policy
    from skinnybox.delta.rebase.values import Decision
    from skinnybox.fleet.context import Context
    from skinnybox.fleet.rebase_explained import Explained
    from skinnybox.fleet.rebase_plan import Moves, Summary
    from skinnybox.fleet.rebase_rollout import Rollout
    from skinnybox.fleet.rebase_run import Moved
    from skinnybox.hosts.base import Host
    from skinnybox.model import Master

    Judge = Callable[[Iterator[Decision], Operation], Iterator[Decision]]

ON_CONFLICT = ("merge", "fail", "ours", "theirs")
_LONGEST = 1 << 20
_AT_ONCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What somebody said beforehand of what is in dispute: see delta.rebase.rules. Rules are a file's, or a
    text's; before them count `ours` and `theirs`, of single paths.

    `replay`: packages are all the new master's, and what a machine had beyond its own is installed again, but
    for `without`, and with the second of a pair `instead` of the first (see delta.rebase.replay)."""

    on_conflict: str = "merge"
    rules: Path | None = None
    text: str = ""
    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()
    replay: bool = False
    without: tuple[str, ...] = ()
    instead: tuple[tuple[str, str], ...] = ()

    def otherwise(self) -> "Otherwise":
        """UsageError for what is no name, and where nothing is installed again."""
        from skinnybox.delta.rebase.replay import Otherwise

        if (self.without or self.instead) and not self.replay:
            raise UsageError("nothing is installed again without a replay", hint="say --replay as well")
        return Otherwise(without=frozenset(self.without), instead=dict(self.instead))

    def policy(self) -> "Policy":
        """UsageError for what is none."""
        from skinnybox.delta.rebase.rules import Choice, Policy, read_rules

        self.otherwise()
        found = read_rules(self.text, "the rules") if self.text else ()
        if self.rules is not None:
            found = read_rules(_text(self.rules), str(self.rules))
        return Policy(
            on_conflict=Choice(self.on_conflict), rules=found, ours=self.ours, theirs=self.theirs,
            take=self.take, pin=self.pin, replay=self.replay,
        )  # fmt: skip


def _text(file: Path) -> str:
    try:
        return named_file.content(file, _LONGEST).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text in UTF-8") from error
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


class Rebases:
    """Everything here blocks. Plans write nothing."""

    def __init__(self, context: "Context") -> None:
        self._context = context
        self._host, self._catalog = context.host, context.catalog
        self._masters, self._queries = context.masters, context.queries

    @as_job("rebase")
    def run(
        self,
        patterns: Sequence[str],
        onto: str,
        wishes: Wishes,
        how: "Rollout",
        operation: Operation = UNATTENDED,
    ) -> "list[Outcome[Moved]]":
        """Put them on another master, each with a trial and the way back; until one fails. Those that run are
        stopped for it and started, others are off again when they have passed. The same call again goes on
        where it was."""
        from skinnybox.fleet import rebase_rollout

        return rebase_rollout.run(
            self._context, self._queries.machines(patterns), self._masters.find(onto), wishes, how, operation
        )

    @as_job("rebase commit")
    def commit(self, patterns: Sequence[str], operation: Operation = UNATTENDED) -> "list[Outcome[Moved]]":
        """Give up the way back: what they were before is deleted. Blocked while it is not decided."""
        from skinnybox.fleet.rebase_back import committed

        def one(machine: MachineView, operation: Operation) -> "Moved":
            return committed(self._context, machine, operation)

        return self._queries.each(patterns, one, "commit", operation, 1)

    @as_job("rollback")
    def rollback(self, patterns: Sequence[str], operation: Operation = UNATTENDED) -> "list[Outcome[Moved]]":
        """Put them back on the master and the overlay of before; what they had since is kept aside."""
        from skinnybox.fleet.rebase_back import rolled_back

        def one(machine: MachineView, operation: Operation) -> "Moved":
            return rolled_back(self._context, machine, operation)

        return self._queries.each(patterns, one, "roll back", operation, 1, decides=False)

    def plans(
        self,
        patterns: Sequence[str],
        onto: str,
        wishes: Wishes,
        operation: Operation = UNATTENDED,
        *,
        check: str | None = None,
    ) -> "list[Outcome[Summary]]":
        """What it would mean for each of the machines, which must be off. `check`: as a Rollout has it."""
        from skinnybox.fleet import rebase_plan

        policy, moving = wishes.policy(), list[Instance]()
        with self._moves(onto) as moves, self._judged(moves.new, wishes) as judged:

            def one(machine: MachineView, operation: Operation) -> "Summary":
                if machine.instance.stack.master == moves.new.id:
                    return _there(machine, moves)
                with rebase_plan.decisions(self._context, machine, moves, policy, operation, check) as found:
                    told = rebase_plan.summary(machine, moves.new, judged(found, operation))
                moving.append(machine.instance)
                return told

            found = self._queries.each(patterns, one, "rebase", operation, _AT_ONCE, decides=False)
        _note_room(self._host, moving, operation)
        return found

    def plan(
        self,
        name: str,
        onto: str,
        wishes: Wishes,
        operation: Operation = UNATTENDED,
        *,
        check: str | None = None,
    ) -> "tuple[Summary, list[Decision]]":
        """For one machine, with all that is decided about it, in the order of that."""
        from skinnybox.fleet.rebase_plan import summary

        machine = self._queries.machine(name)
        with self._decided(machine, onto, wishes, operation, check) as (moves, found):
            if machine.instance.stack.master == moves.new.id:
                return _there(machine, moves), []
            every = list(found)
            return summary(machine, moves.new, every), every

    @contextmanager
    def _decided(
        self, machine: MachineView, onto: str, wishes: Wishes, operation: Operation, check: str | None = None
    ) -> "Iterator[tuple[Moves, Iterator[Decision]]]":
        from skinnybox.fleet import rebase_plan

        policy = wishes.policy()
        with self._moves(onto) as moves, self._judged(moves.new, wishes) as judged:
            if machine.instance.stack.master == moves.new.id:
                yield moves, iter(())
                return
            with rebase_plan.decisions(self._context, machine, moves, policy, operation, check) as found:
                yield moves, judged(found, operation)

    def explain(
        self, name: str, onto: str, path: str, wishes: Wishes, operation: Operation = UNATTENDED
    ) -> "Explained":
        """Why one path of a machine is what it is in its plan."""
        from skinnybox.fleet.rebase_explained import explained

        machine = self._queries.machine(name)
        with self._decided(machine, onto, wishes, operation) as (moves, found):
            old = self._masters.by_id(machine.instance.stack.master)
            data = machine.instance.data
            folders = () if data is None else data.folders
            return explained(self._masters, path, found, old, moves.new, machine.instance.stack, folders)

    @contextmanager
    def _judged(self, new: "Master", wishes: Wishes) -> "Iterator[Judge]":
        """With what the new release has not, of what is to be installed again."""
        otherwise = wishes.otherwise()
        if not wishes.replay:
            yield lambda found, _: found
            return
        from skinnybox.fleet import rebase_replay
        from skinnybox.fleet.rebase_rollout import Shared

        packages = Shared(partial(rebase_replay.archive, self._context, new), lingers=True)
        try:
            yield lambda found, operation: rebase_replay.judged(found, packages.held, otherwise, operation)
        finally:
            packages.close()

    @contextmanager
    def _moves(self, onto: str) -> "Iterator[Moves]":
        from skinnybox.fleet.rebase_plan import opened

        with opened(self._masters, self._catalog.path.parent, onto) as moves:
            yield moves


def _there(machine: MachineView, moves: "Moves") -> "Summary":
    from skinnybox.fleet.rebase_plan import Summary

    return Summary(
        name=machine.name,
        old=machine.instance.stack.reference,
        new=moves.new.reference,
        counts=Counter(),
        there=True,
    )


def _note_room(host: "Host", moving: Sequence[Instance], operation: Operation) -> None:
    """Of all that are to be moved: each by itself may well fit."""
    from skinnybox.fleet.rebase_refused import refuse_room

    try:
        refuse_room(host, moving)
    except SkinnyboxError as error:  # what is known of each machine is told all the same
        operation.note(f"{error.message}: {error.hint}" if error.hint else error.message)
