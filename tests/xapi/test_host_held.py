"""Machines that somebody else suspended or paused: what each command does with them."""

from typing import Any

import pytest

from skinnybox.errors import Conflict
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.xapi.host import XapiHost
from tests.emulators.xapi import EmulatedPool
from tests.xapi.furnished import SMALL, at_work

pytestmark = pytest.mark.image
GUEST = at_work
HELD = {"suspend": Condition.SUSPENDED, "pause": Condition.PAUSED}


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """One machine, `web`, that is ready."""
    fleet.create(["web"], "tiny", SMALL)
    assert_done(fleet.start(["web"]))
    return fleet


def assert_done(outcomes: list[Outcome[Any]]) -> None:
    assert [outcome.error for outcome in outcomes] == [None]


def refused(outcomes: list[Outcome[Any]], word: str) -> None:
    [outcome] = outcomes
    assert isinstance(outcome.error, Conflict) and word in outcome.error.message
    assert outcome.error.hint and "skinnybox start web" in outcome.error.hint


def by_another(fleet: Fleet, pool: EmulatedPool, operation: str) -> None:
    with pool.session() as api:
        getattr(api.VM, operation)(api.VM.get_by_name_label("web")[0])
    host = fleet._host
    assert isinstance(host, XapiHost)
    host._pool.things.refresh(anew=True)  # not as it was a moment ago


@pytest.mark.parametrize("operation", HELD)
def test_it_is_not_ready_and_goes_on_with_a_start(fleet: Fleet, pool: EmulatedPool, operation: str) -> None:
    before = fleet.machine("web").status
    by_another(fleet, pool, operation)
    held = fleet.machine("web")
    assert (held.condition, held.reason) == (HELD[operation], f"{HELD[operation]} in the pool")
    refused(fleet.stop(["web"], Stopping(timeout=5)), HELD[operation])
    refused(fleet.restart(["web"], Stopping(timeout=5)), HELD[operation])
    refused(fleet.wait(["web"], timeout=5), HELD[operation])
    assert fleet.machine("web").condition is HELD[operation]
    assert_done(fleet.start(["web"]))
    after = fleet.machine("web")
    assert after.condition is Condition.READY
    assert before and after.status and after.status.nonce == before.nonce, "it is the same start"
    assert_done(fleet.stop(["web"], Stopping()))
    assert fleet.machine("web").condition is Condition.STOPPED


@pytest.mark.parametrize("operation", HELD)
def test_its_plug_is_pulled_only_when_told(fleet: Fleet, pool: EmulatedPool, operation: str) -> None:
    by_another(fleet, pool, operation)
    assert_done(fleet.stop(["web"], Stopping(then_kill=True)))
    assert fleet.machine("web").condition is Condition.STOPPED
    assert_done(fleet.start(["web"]))
    by_another(fleet, pool, operation)
    assert_done(fleet.kill(["web"]))
    assert fleet.machine("web").condition is Condition.STOPPED
