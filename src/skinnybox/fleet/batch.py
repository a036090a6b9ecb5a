"""Doing one thing to several machines: in parallel within a limit, each with its own result."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from skinnybox.errors import Conflict, SkinnyboxError, from_system
from skinnybox.progress import Progress, Step

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[R]):
    """What became of one item: a value, or the error that stopped it."""

    name: str
    value: R | None = None
    error: SkinnyboxError | None = field(default=None)

    @property
    def ok(self) -> bool:
        return self.error is None


def each(
    items: Sequence[T],
    act: Callable[[T], R],
    *,
    name: Callable[[T], str],
    task: str,
    progress: Progress,
    parallel: int,
    cancelled: threading.Event,
) -> list[Outcome[R]]:
    """Outcomes in the order of the items. Interrupted, it sets `cancelled` for those that wait, lets the
    others end and starts nothing more."""

    from concurrent.futures import ThreadPoolExecutor

    def attempt(item: T) -> Outcome[R]:
        try:
            return Outcome(name=name(item), value=act(item))
        except SkinnyboxError as error:
            return Outcome(name=name(item), error=error)
        except OSError as error:
            denied = from_system(error) or _vanished(error)
            if denied is None:
                raise
            return Outcome(name=name(item), error=denied)

    progress(Step(task=task, total=len(items), unit="machines"))
    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        futures = [pool.submit(attempt, item) for item in items]
        try:
            _await(futures, task, progress)
        except BaseException:
            cancelled.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _vanished(error: OSError) -> SkinnyboxError | None:
    """Machines can be deleted while something is done to them; so their files go under our hands."""
    if not isinstance(error, FileNotFoundError):
        return None
    return Conflict(f"{error.filename} is gone", hint="another command deleted the machine meanwhile")


def _await(futures: "Sequence[Future[Outcome[R]]]", task: str, progress: Progress) -> None:
    from concurrent.futures import FIRST_COMPLETED, wait

    pending = set(futures)
    while pending:
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        last = next(iter(done)).result().name
        progress(
            Step(
                task=task,
                done=len(futures) - len(pending),
                total=len(futures),
                unit="machines",
                detail=last,
            )
        )


def worst(outcomes: Sequence[Outcome[R]]) -> int:
    """The exit code of a batch: that of its worst item."""
    return max((outcome.error.exit_code for outcome in outcomes if outcome.error), default=0)
