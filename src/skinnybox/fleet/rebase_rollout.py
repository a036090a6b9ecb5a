"""Many machines put on another master, a few at a time, until one of them fails.

Those that were begun come to their end, those that were not are left as they are; with OnFail.ROLLBACK the
ones that were done before it get their old system back as well. The same call again goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from skinnybox.errors import Cancelled, UsageError
from skinnybox.fleet import batch, power, rebase_back
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.context import Context
from skinnybox.fleet.rebase_replay import Replaying, archive
from skinnybox.fleet.rebase_run import Moved, Stage, Wanted, moved
from skinnybox.fleet.view import MachineView
from skinnybox.model import Master
from skinnybox.operation import Operation

if TYPE_CHECKING:
    from skinnybox.fleet.rebase_plan import Moves
    from skinnybox.fleet.rebases import Wishes

T = TypeVar("T")


class OnFail(StrEnum):
    """What becomes of the machines that were done before one that failed."""

    STOP = "stop"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """At most `max_unavailable` machines are worked on at once: None is one where any of them runs, else as
    many as may be on their way up. A trial lasts `timeout` seconds (None: the usual time, patience.py); with
    `wait` it is decided here, without it by whoever touches the machine next; without `start` machines are
    only built. `check` is a command that has to succeed in the guest, from now on. `keep` is how long the way
    back is kept; None: until it is committed. Machines of the names in `stay_on` run when they have passed,
    though they were off. `after` are commands of a replay, for when packages are installed again."""

    check: str | None = None
    timeout: float | None = None
    wait: bool = True
    start: bool = True
    max_unavailable: int | None = None
    keep: timedelta | None = None
    stay_on: frozenset[str] = frozenset()
    on_fail: OnFail = OnFail.STOP
    after: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_unavailable is not None and self.max_unavailable < 1:
            raise UsageError(f"at most {self.max_unavailable} machines at once is none", hint="1 or more")
        if not self.wait and self.max_unavailable is not None:
            raise UsageError(
                "how many are unavailable is not known of machines that nobody waits for",
                hint="--max-unavailable without --no-wait",
            )


class Shared(Generic[T]):
    """What all machines of a call use, for as long as any needs it: what is read of masters, so long nobody
    seals or removes one. `lingers`: until close, as packages that were fetched for one are there for the
    next. Thread-safe."""

    def __init__(self, opened: Callable[[], AbstractContextManager[T]], *, lingers: bool = False) -> None:
        self._opened = opened
        self._lingers = lingers
        self._lock = Lock()
        self._users = 0
        self._held = ExitStack()
        self._found: T | None = None

    @contextmanager
    def held(self) -> Iterator[T]:
        with self._lock:
            if self._found is None:
                self._found = self._held.enter_context(self._opened())
            self._users += 1
            found = self._found
        try:
            yield found
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and not self._lingers:
                    self.close()

    def close(self) -> None:
        """When nobody uses it any more."""
        self._found = None
        self._held.close()


def run(
    context: Context,
    machines: Sequence[MachineView],
    new: Master,
    wishes: "Wishes",
    how: Rollout,
    operation: Operation,
) -> list[Outcome[Moved]]:
    """As fleet.rebases says."""
    policy, otherwise = wishes.policy(), wishes.otherwise()
    with ExitStack() as held:
        replaying = None
        if policy.replay:
            packages = Shared(partial(archive, context, new), lingers=True)
            held.callback(packages.close)
            replaying = Replaying(archive=packages.held, otherwise=otherwise, after=how.after)
        wanted = Wanted(
            new=new, moves=Shared(partial(_opened, context, new)).held, policy=policy, start=how.start,
            wait=how.wait, timeout=how.timeout, check=how.check, keep=how.keep, stay_on=how.stay_on,
            replaying=replaying,
        )  # fmt: skip
        return roll_out(context, machines, wanted, how, operation)


def _opened(context: Context, new: Master) -> "AbstractContextManager[Moves]":
    from skinnybox.fleet.rebase_plan import opened

    return opened(context.masters, context.folder, new.id.removeprefix("sha256:"))


def roll_out(
    context: Context,
    machines: Sequence[MachineView],
    wanted: Wanted,
    how: Rollout,
    operation: Operation,
) -> list[Outcome[Moved]]:
    """Outcomes in the order of the machines; those that were not begun have one without an error."""
    failed: list[str] = []

    def one(machine: MachineView, operation: Operation) -> Moved:
        if failed:
            return _not_begun(machine, wanted, f"the rollout stopped at {failed[0]}")
        try:
            return moved(context, context.queries.view(machine.instance), wanted, operation)
        except Cancelled:  # who does not wait any longer has not said that it failed
            raise
        except BaseException:  # also of the system, which batch.each makes an error of ours
            failed.append(machine.name)
            raise

    done = batch.each(
        machines, one, name=lambda machine: machine.name, task="rebase", operation=operation,
        parallel=_at_once(context, machines, how),
    )  # fmt: skip
    if failed and how.on_fail is OnFail.ROLLBACK:
        return _taken_back(context, done, failed[0], operation)
    return done


def _at_once(context: Context, machines: Sequence[MachineView], how: Rollout) -> int:
    if how.max_unavailable is not None:
        return how.max_unavailable
    return 1 if any(map(power.running, machines)) else context.queries.boots_at_once


def _not_begun(machine: MachineView, wanted: Wanted, why: str) -> Moved:
    old = machine.instance.stack.reference
    return Moved(name=machine.name, old=old, new=wanted.new.reference, stage=Stage.NOT_BEGUN, why=why)


def _taken_back(
    context: Context, done: Sequence[Outcome[Moved]], failed: str, operation: Operation
) -> list[Outcome[Moved]]:
    """What this very call has done, and nothing of before: that may have lived for a week."""
    ours = (Stage.BUILT, Stage.TRIAL, Stage.PASSED)
    names = [each.name for each in done if each.value is not None and each.value.stage in ours]
    if not names:
        return list(done)

    def one(name: str, operation: Operation) -> Moved:
        machine = context.queries.machine(name)
        return replace(rebase_back.rolled_back(context, machine, operation), why=f"{failed} failed")

    back = batch.each(names, one, name=str, task="roll back", operation=operation, parallel=1)
    found = {each.name: each for each in back}
    return [found.get(each.name, each) for each in done]
