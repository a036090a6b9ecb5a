"""A host that stops at each of its calls, so that whatever clashes there is tried, and not left to luck."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skinnybox.hosts.base import Host


class Pausing:
    """A host at whose n-th call, before it or after it, something else happens."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.calls = 0
        self.at: int | None = None
        self.other: Callable[[], None] = lambda: None

    def _pause(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            self.at = None
            self.other()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.host, name)
        if not callable(found):
            return found

        def called(*arguments: Any, **named: Any) -> Any:
            self._pause()
            answer = found(*arguments, **named)
            if hasattr(answer, "__enter__"):
                return self._within(answer)
            self._pause()
            return answer

        return called

    @contextmanager
    def _within(self, block: Any) -> Iterator[Any]:
        with block as given:
            self._pause()
            yield given
        self._pause()
