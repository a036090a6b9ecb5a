"""A guest that did not hear the power button is asked again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import TimedOut
from skinnybox.fleet import power
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
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
