"""A guest that did not hear the power button is asked again."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox.errors import TimedOut
from skinnybox.fleet import patience, power
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance, Master
from tests.fleet.conftest import SPARSE


class Deaf(FakeHost):
    """Its guests hear only the third press."""

    features = replace(FakeHost.features, presses_a_button=True)
    presses = 0

    def shutdown(self, instance: Instance) -> None:
        self.presses += 1
        if self.presses == 3:
            super().shutdown(instance)


@pytest.fixture
def deaf(state: Path, master: Master) -> Iterator[tuple[Fleet, Deaf]]:
    host = Deaf(state)
    with Fleet(state, host, boots_at_once=2) as fleet:
        fleet.create(["a"], "tiny", SPARSE)
        fleet.start(["a"])
        yield fleet, host


def test_who_did_not_hear_the_button_is_asked_again(
    deaf: tuple[Fleet, Deaf], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, host = deaf
    monkeypatch.setattr(power, "ASK_AGAIN", 0.1)
    (outcome,) = fleet.stop(["a"], Stopping(timeout=20))
    assert outcome.error is None and host.presses == 3


def test_it_is_not_asked_without_pause(deaf: tuple[Fleet, Deaf]) -> None:
    fleet, host = deaf
    (outcome,) = fleet.stop(["a"], Stopping(timeout=1))
    assert isinstance(outcome.error, TimedOut) and host.presses == 1


class Slow(FakeHost):
    """Its guests take their time to power off, and are seen to work meanwhile."""

    asked_after: float | None = None

    def shutdown(self, instance: Instance) -> None:
        self.asked_after = self.asked_after or time.monotonic()

    def moving(self, uuid: UUID) -> int | None:
        assert self.asked_after is not None
        if time.monotonic() > self.asked_after + 1.0:
            super().shutdown(next(each for each in self.records() if each.uuid == uuid))
        return time.monotonic_ns()

    def slowed(self, uuid: UUID) -> str | None:
        return "its processor is emulated"


@pytest.fixture
def slow(state: Path, master: Master, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setattr(power, "STOP_TIMEOUT", 0.5)
    monkeypatch.setattr(patience, "_SAMPLE", 0.1)
    with Fleet(state, Slow(state), boots_at_once=2) as fleet:
        fleet.create(["a"], "tiny", SPARSE)
        fleet.start(["a"])
        yield fleet


def test_a_restart_waits_for_a_guest_that_works(slow: Fleet) -> None:
    (outcome,) = slow.restart(["a"], Stopping())
    assert outcome.error is None and outcome.value and outcome.value.condition is Condition.READY


def test_who_gives_up_says_that_nobody_starts_it_and_what_makes_it_slow(slow: Fleet) -> None:
    (outcome,) = slow.restart(["a"], Stopping(timeout=0.2))
    assert isinstance(outcome.error, TimedOut)
    assert outcome.error.message.endswith(
        "it may still do so; its processor is emulated; nobody starts it then"
    )
    assert outcome.error.hint and "skinnybox start a" in outcome.error.hint
