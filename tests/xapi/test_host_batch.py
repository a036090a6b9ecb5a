"""Several machines made at the same time: all of them or none, and what is told meanwhile."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import NoSpace, SkinnyboxError
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.model import Overlay
from skinnybox.operation import Operation, Step
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.emulators.xapi.context import HANDLERS, Call
from tests.xapi.furnished import FULL, host_on, plain_disk

pytestmark = pytest.mark.image
SMALL = Specification(overlay=Overlay(size=64 * MIB), memory=256 * MIB, cpus=1, any_allocation=True)


@pytest.fixture
def fleet(pool: EmulatedPool, state: Path) -> Iterator[Fleet]:
    with open_fleet(pool, state) as opened:
        yield opened
        pool.faults.clear()


def open_fleet(pool: EmulatedPool, state: Path) -> Fleet:
    return Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=8)


def ours(pool: EmulatedPool) -> Counter[str]:
    """Everything of machines in the pool, by what it is."""
    with pool.database() as database:
        return Counter(
            of
            for of in ("VM", "VDI")
            for record in database.tables[of].values()
            if "skinnybox:instance" in record["other_config"]
        ) + Counter({of: len(database.tables[of]) for of in ("VBD", "VIF")})


@contextmanager
def at_once(method: str, count: int) -> Iterator[list[bool]]:
    """Calls for machines wait until so many of them have begun: of each, whether that came to be."""
    original, begun, met = HANDLERS[method], Counter[str](), list[bool]()

    def waits(call: Call, values: dict[str, Any]) -> Any:
        if "skinnybox:instance" in values["other_config"]:
            begun[method] += 1
            met.append(call.xapi.wait(lambda: begun[method] >= count, 60))
        return original(call, values)

    HANDLERS[method] = waits
    try:
        yield met
    finally:
        HANDLERS[method] = original


def test_each_machine_is_told_and_uploads_are_too(fleet: Fleet, pool: EmulatedPool) -> None:
    steps: list[Step] = []
    with at_once("VDI.create", 4) as met:
        made = fleet.create(["web-{01..16}"], "tiny", SMALL, operation=Operation(steps.append))
    assert len(made) == 16 and met == [True] * 16
    uploads = [step for step in steps if step.task == "upload"]
    assert uploads and uploads[-1].done == uploads[-1].total and uploads[-1].detail == "tiny:1"
    created = [step for step in steps if step.task == "create"]
    assert [step.done for step in created] == list(range(17)) + [16] * (len(created) - 17)
    assert {step.detail for step in created} >= {instance.name for instance in made}
    assert ours(pool) == {"VM": 16, "VDI": 16, "VBD": 32, "VIF": 16}


@pytest.mark.parametrize("step", ["VDI.create", "VM.create", "VBD.create", "VIF.create"])
@pytest.mark.parametrize("fault", ["fail", "fail_after", "drop"])
def test_one_that_fails_takes_all_with_it(fleet: Fleet, pool: EmulatedPool, step: str, fault: str) -> None:
    fleet.create(["first"], "tiny", SMALL)
    before = ours(pool)
    match fault:
        case "fail":
            pool.faults.fail(step, *FULL, at=7)
        case "fail_after":
            pool.faults.fail_after(step, *FULL, at=7)
        case _:
            pool.faults.drop_after(step, at=7, times=2)
    with pytest.raises(SkinnyboxError) as caught:
        fleet.create(["web-{01..12}"], "tiny", SMALL)
    assert isinstance(caught.value, NoSpace) or fault == "drop"
    assert ours(pool) == before and fleet.names() == ["first"]
    pool.faults.clear()
    assert len(fleet.create(["web-{01..12}"], "tiny", SMALL)) == 12


def test_what_cannot_be_undone_is_cleared_away_by_the_next_command(
    pool: EmulatedPool, fleet: Fleet, state: Path
) -> None:
    fleet.create(["first"], "tiny", SMALL)
    before = ours(pool)
    pool.faults.fail("VIF.create", *FULL, at=3)
    pool.faults.fail("VDI.destroy", "SR_BACKEND_FAILURE_47", "", "gone", "", times=1000)
    with pytest.raises(NoSpace):
        fleet.create(["web-{01..04}"], "tiny", SMALL)
    pool.faults.clear()
    assert {"web-01", "first"} <= set(fleet.names()) and ours(pool)["VDI"] > before["VDI"]
    with open_fleet(pool, state) as another:
        assert len(another.create(["web-{01..02}"], "tiny", SMALL)) == 2
        assert another.names() == ["first", "web-01", "web-02"] and ours(pool)["VM"] == 3
        assert ours(pool)["VDI"] == 3


def test_interrupted_nothing_stays(fleet: Fleet, pool: EmulatedPool) -> None:
    fleet.create(["first"], "tiny", SMALL)
    before = ours(pool)

    def interrupt(step: Step) -> None:
        if step.task == "create" and step.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fleet.create(["web-{01..40}"], "tiny", SMALL, operation=Operation(interrupt))
    assert ours(pool) == before and fleet.names() == ["first"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]


def test_what_is_made_at_the_same_time_costs_no_more_calls(fleet: Fleet, pool: EmulatedPool) -> None:
    fleet.create(["first"], "tiny", SMALL)
    pool.log.clear()
    began = time.monotonic()
    fleet.create(["web-{01..40}"], "tiny", SMALL)
    fleet.create(["web-{41..80}"], "tiny", SMALL)
    seconds = time.monotonic() - began
    calls = Counter(pool.log.methods())
    shared = ("event.from", "session.login_with_password", "session.logout")
    own = sum(count for name, count in calls.items() if name not in shared)
    print(f"\n80 machines made in {seconds:.2f} s, {own / 80:g} calls each, {calls['event.from']} looks")
    asked = 2  # who may write to the master: once for each `create`
    assert own <= 6 * 80 + asked and calls["event.from"] <= 3 * 80
    with pool.database() as database:
        assert len(database.tables["session"]) <= 1 + 8  # those of threads that ended are used again
