"""One thing done to each of several, a few at the same time: all of it, or the first error."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def together(items: Sequence[T], act: Callable[[T], None], at_once: int, done: Callable[[T], None]) -> None:
    """`done` is told each one that ended well. After an error or an interruption nothing more is begun, and
    what goes on has ended when that is raised."""
    if at_once == 1:
        for item in items:
            act(item)
            done(item)
        return
    from concurrent.futures import ThreadPoolExecutor, as_completed

    with ThreadPoolExecutor(max_workers=at_once) as pool:
        futures = {pool.submit(act, item): item for item in items}
        try:
            for future in as_completed(futures):
                future.result()
                done(futures[future])
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
