"""How many machines come up at once, also when several jobs of one process start some."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.errors import Cancelled
from skinnybox.fleet.jobs import Actor, Condition
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.turns import Turns
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Master
from skinnybox.operation import UNATTENDED, Operation
from tests.fleet.conftest import SPARSE
from tests.fleet.fleetfile import BASIC, File
from tests.fleet.test_jobs import until

WHO = Actor(name="alice", origin="192.0.2.1")
MOST = 3


class Slow(FakeHost):
    """Its machines are ready when they are let."""

    def __init__(self, state: Path) -> None:
        super().__init__(state, lambda uuid: self.let.is_set())
        self.let = threading.Event()

    @property
    def up(self) -> int:
        """Those that are on their way."""
        return len(self.statuses())


@pytest.fixture
def host(state: Path) -> Slow:
    return Slow(state)


@pytest.fixture
def fleet(state: Path, master: Master, host: Slow) -> Iterator[Fleet]:
    with Fleet(state, host, boots_at_once=MOST) as opened:
        yield opened
        host.let.set()
        opened.background.end()


def begin(fleet: Fleet, pattern: str, parallel: int | None = None) -> int:
    return fleet.background.begin(
        WHO, "start", [pattern],
        lambda operation: fleet.start([pattern], parallel=parallel, operation=operation),
    )  # fmt: skip


def still(host: Slow, count: int) -> None:
    """So many come up, and no more."""
    until(lambda: host.up >= count)
    time.sleep(0.4)
    assert host.up == count


def test_several_jobs_bring_up_no_more_than_one(fleet: Fleet, host: Slow) -> None:
    fleet.create([f"{letter}-{{1..3}}" for letter in "abcd"], "tiny", SPARSE)
    numbers = [begin(fleet, f"{letter}-*") for letter in "abcd"]
    still(host, MOST)
    host.let.set()
    until(lambda: all(fleet.jobs.one(number).condition is Condition.DONE for number in numbers))
    assert host.up == 12


def test_who_asks_for_more_at_once_gets_them(fleet: Fleet, host: Slow) -> None:
    fleet.create(["a-{1..3}", "b-{1..5}", "c-{1..2}"], "tiny", SPARSE)
    begin(fleet, "a-*")
    still(host, MOST)
    begin(fleet, "b-*", parallel=5)
    still(host, MOST + 5)
    begin(fleet, "c-*", parallel=2)  # no more than anybody may: it waits
    still(host, MOST + 5)


def test_who_asks_for_fewer_gets_no_more(fleet: Fleet, host: Slow) -> None:
    fleet.create(["a-{1..3}"], "tiny", SPARSE)
    begin(fleet, "a-*", parallel=1)
    still(host, 1)


def test_who_does_not_wait_needs_no_turn(fleet: Fleet, host: Slow) -> None:
    fleet.create(["a-{1..3}", "b-{1..5}"], "tiny", SPARSE)
    begin(fleet, "a-*")
    still(host, MOST)
    assert all(outcome.ok for outcome in fleet.start(["b-*"], wait=False))
    assert host.up == MOST + 5


def test_one_that_waits_for_its_turn_can_be_cancelled(fleet: Fleet, host: Slow) -> None:
    fleet.create(["a-{1..3}", "b-{1..2}"], "tiny", SPARSE)
    begin(fleet, "a-*")
    still(host, MOST)
    waiting = begin(fleet, "b-*")
    fleet.jobs.cancel(waiting)
    until(lambda: fleet.jobs.one(waiting).condition is Condition.CANCELLED)
    assert host.up == MOST


def test_machines_of_a_fleet_file_take_turns_too(fleet: Fleet, host: Slow, tmp_path: Path) -> None:
    fleet.create(["a-{1..3}"], "tiny", SPARSE)
    begin(fleet, "a-*")
    still(host, MOST)
    file = File(fleet, tmp_path / "fleet.yaml")
    file.write(BASIC)
    number = fleet.background.begin(WHO, "apply", [], lambda operation: file.apply(operation))
    until(lambda: len(fleet.names()) == 7)
    still(host, MOST)
    host.let.set()
    until(lambda: fleet.jobs.one(number).condition is Condition.DONE)
    assert host.up == MOST + 3


def test_a_turn_ends_with_its_block() -> None:
    rising = Turns(1)
    with pytest.raises(ZeroDivisionError), rising.turn(UNATTENDED, None):
        raise ZeroDivisionError
    ended = Operation()
    ended.cancel()
    with rising.turn(UNATTENDED, None):
        with pytest.raises(Cancelled), rising.turn(ended, None):
            raise AssertionError
        with rising.turn(ended, 2):
            pass
    with rising.turn(ended, None):  # free again: nothing is waited for
        pass


def test_one_master_is_made_after_the_other(fleet: Fleet, tmp_path: Path) -> None:
    """Whoever cancels one that waits does not wait for the one that goes on."""
    tree = tmp_path / "tree"
    tree.mkdir()
    with fleet.masters.making.turn(UNATTENDED):
        number = fleet.background.begin(
            WHO, "master import", ["late:1"],
            lambda operation: fleet.masters.import_tree(tree, "late:1", as_is=True, operation=operation),
        )  # fmt: skip
        until(lambda: (fleet.jobs.one(number).step or {}).get("task") == "wait for another master")
        assert fleet.jobs.one(number).condition is Condition.RUNNING
        fleet.jobs.cancel(number)
        until(lambda: fleet.jobs.one(number).condition is Condition.CANCELLED)
    second = fleet.background.begin(
        WHO, "master import", ["late:1"],
        lambda operation: fleet.masters.import_tree(tree, "late:1", as_is=True, operation=operation),
    )  # fmt: skip
    until(lambda: fleet.jobs.one(second).condition is Condition.FAILED)  # an empty tree: its turn came
