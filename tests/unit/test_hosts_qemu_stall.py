"""A machine whose disk below is full, as the supervisor sees it."""

from pathlib import Path

import pytest

from skinnybox.hosts.guest_io.stall import EVERY, FILE, Stall


class Clock:
    now = 0.0


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def stall(tmp_path: Path, told: list[str]) -> Stall:
    (tmp_path / FILE).touch()
    Clock.now = 0.0
    return Stall(
        tmp_path,
        say=lambda line: told.append("cont" if b"cont" in line else "?"),
        stopped=lambda: told.append("stalled"),
        went_on=lambda seconds: told.append(f"went on after {seconds:g}"),
        now=lambda: Clock.now,
    )


def later(stall: Stall) -> None:
    Clock.now += EVERY
    stall.tick()


def test_it_is_tried_until_a_write_gets_through(stall: Stall, told: list[str], tmp_path: Path) -> None:
    assert not (tmp_path / FILE).exists()  # the mark of a supervisor before this one
    later(stall)
    stall.met({"action": "stop", "nospace": True})
    stall.met({"action": "stop", "nospace": True})  # of another write, on its way at the same time
    assert told == ["stalled"] and (tmp_path / FILE).exists()
    stall.tick()
    assert told == ["stalled"]
    later(stall)
    stall.met({"action": "stop", "nospace": True})
    later(stall)
    assert told == ["stalled", "cont", "cont"] and (tmp_path / FILE).exists()
    later(stall)
    assert told == ["stalled", "cont", "cont", f"went on after {3 * EVERY:g}"]
    assert not (tmp_path / FILE).exists()
    later(stall)
    assert len(told) == 4


def test_what_the_guest_is_told_itself_is_no_stall(stall: Stall, told: list[str]) -> None:
    stall.met({"action": "report"})
    later(stall)
    assert told == []
