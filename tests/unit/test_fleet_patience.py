"""A guest that works is waited for longer than one that hangs, and neither for ever."""

from collections.abc import Callable

import pytest

from skinnybox.fleet.patience import MOST, QUIET, Patience

USUAL = 300.0


def waited(asked: float | None, moving: Callable[[float], int | None]) -> float:
    """Seconds after which it was enough, looked at twice a second."""
    clock = [1000.0]
    patience = Patience(asked, USUAL, lambda: moving(clock[0] - 1000.0), lambda: clock[0])
    while not patience.over():
        clock[0] += 0.5
    assert patience.waited == clock[0] - 1000.0
    return patience.waited


@pytest.mark.parametrize(
    ("moving", "seconds"),
    [
        (lambda _: None, USUAL),  # nobody sees it
        (lambda _: 7, USUAL),  # it hangs since it was started
        (lambda now: min(int(now), 200), USUAL),
        (lambda now: min(int(now), 280), 280 + QUIET),  # it hangs since then
        (lambda now: min(int(now), 500), 500 + QUIET),
        (lambda now: int(now / 50), MOST * USUAL),  # it does little, for ever
        (lambda now: int(now / 200), USUAL),  # too little
    ],
)
def test_it_is_waited_for_while_it_moves(moving: Callable[[float], int | None], seconds: float) -> None:
    assert seconds <= waited(None, moving) <= seconds + 3


@pytest.mark.parametrize("asked", [0.0, 1.0, 60.0, 1000.0])
def test_seconds_that_somebody_named_are_kept_to(asked: float) -> None:
    assert asked <= waited(asked, int) <= asked + 0.5
