"""Ready is what was reached, as a fleet's commands have it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.errors import TimedOut
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.events import EventKind
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Master
from tests.fleet.conftest import SPARSE


@pytest.fixture
def answers() -> threading.Event:
    return threading.Event()


@pytest.fixture
def late(state: Path, master: Master, answers: threading.Event) -> Iterator[Fleet]:
    """A fleet whose guests say that they are ready, and answer when told to."""
    host = FakeHost(state, lambda _: answers.is_set())
    with Fleet(state, host, boots_at_once=2) as fleet:
        fleet.create(["a"], "tiny", SPARSE)
        yield fleet


def test_a_start_waits_and_says_for_what(late: Fleet) -> None:
    (outcome,) = late.start(["a"], timeout=0.5)
    (machine,) = late.machines()
    assert isinstance(outcome.error, TimedOut) and outcome.error.hint
    assert f"nothing answers as ssh at 127.0.0.1:{machine.instance.ssh_port} yet" in outcome.error.message
    assert "it keeps running" in outcome.error.message and "SKINNYBOX_REACH=false" in outcome.error.hint
    assert machine.condition is Condition.STARTING and machine.reason
    assert machine.reason in outcome.error.message
    assert [event.kind for event in late.events()] == [EventKind.STARTED]


def test_it_is_ready_when_it_answers(late: Fleet, answers: threading.Event) -> None:
    late.start(["a"], wait=False)
    threading.Timer(0.5, answers.set).start()
    (outcome,) = late.wait(["a"], timeout=20)
    assert answers.is_set() and outcome.error is None
    assert late.machines()[0].condition is Condition.READY
    assert [event.kind for event in late.events()] == [EventKind.STARTED, EventKind.READY]
