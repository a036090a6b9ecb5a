"""Progress of long work, on standard error: a live line on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING

from skinnybox.cli.interrupt import cancelled_by_interrupt
from skinnybox.cli.report import note
from skinnybox.operation import Listener, Operation, Step
from skinnybox.printable import printable
from skinnybox.sizes import format_size

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_QUIET_SECONDS = 3.0


Hidden = Callable[[], AbstractContextManager[None]]


@contextmanager
def shown(quiet: bool) -> Iterator[Operation]:
    """What a command hands down: shown as it goes on, cancelled by Ctrl-C."""
    with shown_but(quiet) as (operation, _):
        yield operation


@contextmanager
def shown_but(quiet: bool) -> Iterator[tuple[Operation, Hidden]]:
    """The same, and what takes it off the terminal for as long as that is somebody else's: a line that is
    drawn anew ten times a second would go over what he types, and takes the cursor away."""
    with ExitStack() as showing:
        hidden: Hidden = nullcontext
        if quiet:
            operation = Operation(log=_say)
        elif sys.stderr.isatty():
            listener, hidden = showing.enter_context(_live())
            operation = Operation(listener, _say)
        else:
            operation = Operation(_lines(), _say)
        yield showing.enter_context(cancelled_by_interrupt(operation)), hidden


def _say(line: str) -> None:
    note(f"skinnybox: {printable(line)}")


def _lines() -> Listener:
    """A line every few seconds while a task goes on, and one when it ends; none for what is quick."""
    last: dict[str, float] = {}
    spoken: set[str] = set()
    lock = Lock()

    def listener(step: Step) -> None:
        with lock:
            now = time.monotonic()
            since = now - last.setdefault(step.task, now)
            ended = step.total is not None and step.done >= step.total
            if since >= _QUIET_SECONDS or (ended and step.task in spoken):
                last[step.task] = now
                spoken.add(step.task)
                print(text(step), file=sys.stderr, flush=True)

    return listener


def text(step: Step) -> str:
    """One line: the task, how far it is, and what it is at."""
    amount = ""
    if step.total:
        amount = f" {_amount(step.done, step.unit)}/{_amount(step.total, step.unit)}"
    elif step.done:
        amount = f" {_amount(step.done, step.unit)}"
    detail = f" ({step.detail})" if step.detail else ""
    return f"{step.task}{amount}{f' {step.unit}' if amount and step.unit != 'bytes' else ''}{detail}"


def _amount(number: int, unit: str) -> str:
    return format_size(number) if unit == "bytes" else str(number)


def _bars() -> "Bars":
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    return Bars(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[detail]}"),
        console=Console(stderr=True),
    )


@contextmanager
def _live() -> Iterator[tuple[Listener, Hidden]]:
    bars, known, lock = _bars(), dict[str, "TaskID"](), Lock()

    def listener(step: Step) -> None:
        with lock:
            if step.task not in known:
                known[step.task] = bars.add_task(step.task, total=step.total, amount="", detail="")
            amount = f"{_amount(step.done, step.unit)}/{_amount(step.total, step.unit)}" if step.total else ""
            bars.update(
                known[step.task],
                completed=step.done,
                total=step.total,
                amount=amount,
                detail=step.detail[:60],
            )

    @contextmanager
    def hidden() -> Iterator[None]:
        bars.stop()
        with lock:
            for each in known.values():
                bars.remove_task(each)
            known.clear()
        try:
            yield
        finally:
            bars.start()

    with bars:
        yield listener, hidden
