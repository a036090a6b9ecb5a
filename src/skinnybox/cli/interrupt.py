"""What Ctrl-C does, in three times of a command's life.

before     nothing has been begun: it ends at once (`__main__` says so, before anything else is imported)
meanwhile  Python's KeyboardInterrupt, which `main` turns into a word and exit code 130
operation  what goes on is cancelled, comes to an end where nothing is lost, and tells what became of it; a
           second Ctrl-C does not wait for that: what it leaves is what kill -9 would leave, which the next
           command explains and repairs

In an operation the handler raises nothing: an exception out of nowhere would skip the very clean-up that is
under way in the main thread, and print a traceback when it strikes between two of them.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from skinnybox.errors import Cancelled, CommandFailed
from skinnybox.operation import Operation

INTERRUPTED = 130
_ENDING = b"\nskinnybox: ending what goes on; Ctrl-C again leaves it at once\n"
_LEFT = b"\nskinnybox: left at once; the next command finishes or clears away what was begun\n"


@contextmanager
def cancelled_by_interrupt(operation: Operation) -> Iterator[Operation]:
    """Ctrl-C cancels the operation during the block.

    A terminal gives Ctrl-C to the programs we started as well, and they fail by it: that is told as cancelled
    too.
    """

    def obey(_signal: int, _frame: FrameType | None) -> None:
        # Nothing here may take a lock: the main thread may hold it at this very moment. So no print either.
        if operation.cancelled:
            os.write(2, _LEFT)
            os._exit(INTERRUPTED)
        operation.cancel()
        os.write(2, _ENDING)

    with _handled_by(obey):
        try:
            yield operation
        except CommandFailed as error:
            if operation.cancelled:
                raise Cancelled(f"cancelled: {error.message}") from error
            raise


@contextmanager
def raised() -> Iterator[None]:
    """Ctrl-C is a KeyboardInterrupt during the block: where a person is asked, and the answer may be that."""
    with _handled_by(signal.default_int_handler):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Only the main thread has a say in that; in another one nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
