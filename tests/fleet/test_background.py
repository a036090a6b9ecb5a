"""Jobs of a server: their numbers are known at once, what becomes of them they tell, and all of them end."""

import errno
import threading
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NotFound
from skinnybox.fleet.background import Background
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.jobs import Actor, Condition, Job
from skinnybox.fleet.service import Fleet
from skinnybox.operation import Operation
from tests.fleet.conftest import SPARSE, open_fake

ANN = Actor(name="ann", origin="10.0.0.7")


def ended(fleet: Fleet, number: int) -> Job:
    return list(fleet.jobs.followed(number))[-1]


def test_a_job_goes_on_while_its_number_is_known(fleet: Fleet) -> None:
    go_on = threading.Event()
    number = fleet.background.begin(ANN, "start", ["web-1"], lambda _: go_on.wait(60))
    job = fleet.jobs.one(number)
    assert (job.condition, job.verb, job.subjects) == (Condition.RUNNING, "start", ("web-1",))
    assert (job.actor, job.origin) == ("ann", "10.0.0.7")
    go_on.set()
    assert ended(fleet, number).condition is Condition.DONE


def test_what_it_does_is_a_part_of_it_and_no_job_of_its_own(fleet: Fleet) -> None:
    number = fleet.background.begin(
        ANN, "create", ["a", "b"],
        lambda operation: fleet.create(["a", "b"], "tiny", SPARSE, operation=operation),
    )  # fmt: skip
    job = ended(fleet, number)
    assert [result.name for result in job.results] == ["a", "b"]
    assert [each.number for each in fleet.jobs.all()] == [number]


def test_what_goes_wrong_the_job_tells(fleet: Fleet) -> None:
    def missing(_: Operation) -> None:
        raise NotFound("there is no such master")

    def full(_: Operation) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/x")

    assert ended(fleet, fleet.background.begin(ANN, "create", [], missing)).error == "there is no such master"
    job = ended(fleet, fleet.background.begin(ANN, "create", [], full))
    assert (job.condition, job.error) == (Condition.FAILED, "/srv/x: the disk is full")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_is_told_by_the_job_and_ends_nothing_else(fleet: Fleet) -> None:
    job = ended(fleet, fleet.background.begin(ANN, "create", [], lambda _: 1 // 0))
    assert (job.condition, "ZeroDivisionError" in (job.error or "")) == (Condition.FAILED, True)
    assert ended(fleet, fleet.background.begin(ANN, "create", [], lambda _: None)).condition is Condition.DONE


def test_the_end_cancels_them_and_waits(fleet: Fleet) -> None:
    numbers = [
        fleet.background.begin(ANN, "wait", [], lambda operation: operation.sleep(600)) for _ in range(5)
    ]
    fleet.background.end()
    assert fleet.background.running == 0
    assert {fleet.jobs.one(number).condition for number in numbers} == {Condition.CANCELLED}
    with pytest.raises(Conflict, match="ending"):
        fleet.background.begin(ANN, "start", [], lambda _: None)


def test_somebody_else_ends_one_of_them(fleet: Fleet, state: Path) -> None:
    number = fleet.background.begin(ANN, "wait", [], lambda operation: operation.sleep(600))
    with open_fake(state) as another:
        another.jobs.cancel(number)
    assert ended(fleet, number).condition is Condition.CANCELLED


def test_too_many_are_refused_and_leave_no_job(fleet: Fleet, state: Path) -> None:
    few = Background(Catalog(state / "state.db"), most=2)
    go_on = threading.Event()
    for _ in range(2):
        few.begin(ANN, "start", [], lambda _: go_on.wait(60))
    with pytest.raises(Conflict, match="2 jobs go on"):
        few.begin(ANN, "start", [], lambda _: None)
    assert len(fleet.jobs.all()) == 2
    go_on.set()
    few.end()


def test_without_a_catalog_one_is_made(fleet: Fleet, state: Path) -> None:
    assert not (state / "state.db").exists()
    assert ended(fleet, fleet.background.begin(ANN, "repair", [], lambda _: None)).number == 1


def test_one_token_leaves_the_others_room(fleet: Fleet, state: Path) -> None:
    few = Background(Catalog(state / "state.db"), most=9, share=2)
    go_on = threading.Event()
    bob, eve = (Actor(name="x", origin="192.0.2.1", token=token) for token in ("bob", "eve"))
    for who in (bob, bob, eve, ANN, ANN, ANN):  # who needs no token is this system's own
        few.begin(who, "wait", [], lambda _: go_on.wait(60))
    with pytest.raises(Conflict, match="2 jobs that x asked for"):
        few.begin(bob, "wait", [], lambda _: None)
    few.begin(eve, "wait", [], lambda _: go_on.wait(60))
    go_on.set()
    few.end()
    assert len(fleet.jobs.all()) == 7
    again = Background(Catalog(state / "state.db"), share=1)
    first = again.begin(bob, "wait", [], lambda _: None)
    ended(fleet, first)
    for thread in list(again._operations.values()):
        thread.join()
    again.begin(bob, "wait", [], lambda _: None)  # what has ended counts no more
    again.end()
