"""One look at all machines serves all who ask at the same time, and is not told for longer than it counts."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from skinnybox.fleet.view import MachineView
from skinnybox.web import looking
from skinnybox.web.looking import Looking


class Looks:
    def __init__(self) -> None:
        self.count, self.busy, self.most = 0, 0, 0
        self.wrong: Exception | None = None
        self._lock = threading.Lock()

    def __call__(self) -> list[MachineView]:
        with self._lock:
            self.count += 1
            self.busy += 1
            self.most = max(self.most, self.busy)
        time.sleep(0.05)
        with self._lock:
            self.busy -= 1
        if self.wrong:
            raise self.wrong
        return []


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_fifty_who_ask_at_once_share_a_look(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "FRESH", 60.0)
    all_of_them = Looking(looks)
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda _: all_of_them(), range(50)))
    assert looks.count == 1
    all_of_them.forget()
    all_of_them()
    assert looks.count == 2


def test_one_that_is_stale_is_told_while_another_is_taken(
    looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "STALE", 60.0)
    all_of_them = Looking(looks)
    all_of_them()
    begun = time.monotonic()
    for _ in range(20):
        all_of_them()
    assert time.monotonic() - begun < 20 * 0.05 / 2
    deadline = time.monotonic() + 10
    while looks.count < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert looks.count >= 2 and looks.most == 1


def test_what_goes_wrong_is_told_and_the_next_one_looks_again(looks: Looks) -> None:
    all_of_them = Looking(looks)
    looks.wrong = OSError("gone")
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            all_of_them()
    looks.wrong = None
    assert all_of_them() == []
