"""Doing one thing to several machines: in parallel within a limit, each with its own result."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from skinnybox.errors import Cancelled, CommandFailed, Conflict, SkinnyboxError, from_system
from skinnybox.operation import Operation, Step
from skinnybox.values import dataclass

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[R]):
    """What became of one item: a value, or the error that stopped it."""

    name: str
    value: R | None = None
    error: SkinnyboxError | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


def each(
    items: Sequence[T],
    act: Callable[[T, Operation], R],
    *,
    name: Callable[[T], str],
    task: str,
    operation: Operation,
    parallel: int,
) -> list[Outcome[R]]:
    """Outcomes in the order of the items. When the operation is cancelled, what goes on ends where it can,
    what was not begun is not, and both are told by their outcomes. An error outside the tree is a bug in one
    of them: it ends this batch only, and is raised when all of it has come to rest."""
    from concurrent.futures import ThreadPoolExecutor

    work = operation.child()

    def attempt(item: T) -> Outcome[R]:
        if work.cancelled:
            return Outcome(name=name(item), error=_not_begun(name(item), work))
        try:
            return Outcome(name=name(item), value=act(item, work))
        except SkinnyboxError as error:
            ended = work.cancelled and isinstance(error, CommandFailed)  # by the same Ctrl-C
            return Outcome(name=name(item), error=Cancelled(error.message) if ended else error)
        except OSError as error:
            denied = from_system(error) or _vanished(error)
            if denied is None:
                raise
            return Outcome(name=name(item), error=denied)

    work.report(Step(task=task, total=len(items), unit="machines"))
    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        futures = [pool.submit(attempt, item) for item in items]
        try:
            _await(futures, task, work)
        except BaseException:
            work.cancel()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _vanished(error: OSError) -> SkinnyboxError | None:
    """Machines can be deleted while something is done to them; so their files go under our hands."""
    if not isinstance(error, FileNotFoundError):
        return None
    return Conflict(f"{error.filename} is gone", hint="another command deleted the machine meanwhile")


def _not_begun(name: str, work: Operation) -> Cancelled:
    return Cancelled(f"{name}: {work.ending} before it was begun")


def _await(futures: "Sequence[Future[Outcome[R]]]", task: str, work: Operation) -> None:
    """Until each has an outcome, cancelled or not: what became of them is what the user must hear."""
    from concurrent.futures import FIRST_COMPLETED, wait

    pending = set(futures)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        ended, last = len(futures) - len(pending), next(iter(done)).result().name
        work.report(Step(task=task, done=ended, total=len(futures), unit="machines", detail=last))


def worst(outcomes: Sequence[Outcome[R]]) -> int:
    """The exit code of a batch: that of its worst item."""
    return max((outcome.error.exit_code for outcome in outcomes if outcome.error), default=0)
