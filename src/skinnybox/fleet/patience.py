"""How long a guest is waited for: so many seconds, and longer while it is seen to work.

A boot that takes 20 s of a processor takes minutes where that processor is emulated, or shared with many: no
fixed number is right for both it and a guest that hangs. One that hangs prints nothing and does nothing.
"""

import time
from collections.abc import Callable

QUIET = 60.0
"""Seconds in which a guest neither prints nor works before it counts as one that hangs."""
MOST = 4
"""Times the seconds: a guest that prints and works for ever is given up too."""
_SAMPLE = 2.0


class Patience:
    """`asked` are the seconds somebody named: these are kept to. Without them it is `usual` seconds, and more
    while what `moving` returns goes on changing; it returns None where nobody sees a guest work."""

    def __init__(
        self,
        asked: float | None,
        usual: float,
        moving: Callable[[], int | None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, self._moving = now, moving
        self._begun = self._moved = now()
        self._usual = usual if asked is None else asked
        self._most = usual * MOST if asked is None else asked
        self._sample = self._begun + max(0.0, self._usual - QUIET) if asked is None else float("inf")
        self._sign: int | None = None

    @property
    def waited(self) -> float:
        """Seconds, until now."""
        return self._now() - self._begun

    def over(self) -> bool:
        """Whether it has been waited for long enough."""
        self._look()
        if self.waited <= self._usual:
            return False
        return self.waited > self._most or self._now() - self._moved > QUIET

    def _look(self) -> None:
        """Only towards the end of the usual time: until then nothing hangs on it."""
        if self._now() < self._sample:
            return
        self._sample = self._now() + _SAMPLE
        sign = self._moving()
        if sign is not None and sign != self._sign:
            self._sign, self._moved = sign, self._now()
