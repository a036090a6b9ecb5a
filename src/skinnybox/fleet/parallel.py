"""One thing done to each of several, a few at the same time: all of it, or the first error.

Where each item has an outcome of its own, whatever becomes of the others, it is a batch (batch.py).
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from skinnybox.operation import Operation

T = TypeVar("T")


def in_parallel(
    items: Sequence[T],
    act: Callable[[T], None],
    at_once: int,
    done: Callable[[T], None],
    operation: Operation,
) -> None:
    """`done` is told each one that ended well. After an error, an interruption or a cancellation nothing more
    is begun, and what goes on has ended when that is raised."""

    def attempt(item: T) -> None:
        operation.check()
        act(item)

    if at_once == 1:
        for item in items:
            attempt(item)
            done(item)
        return
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(max_workers=at_once) as pool:
        futures = {pool.submit(attempt, item): item for item in items}
        try:
            for future in as_completed(futures):
                future.result()
                done(futures[future])
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
