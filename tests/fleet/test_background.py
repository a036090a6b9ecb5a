"""Jobs of a server: their numbers are known at once, what becomes of them they tell, and all of them end."""

import errno
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NotFound
from skinnybox.fleet import jobs
from skinnybox.fleet.background import Background
from skinnybox.fleet.batch import each
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.jobs import Actor, Condition, Job
from skinnybox.fleet.service import Fleet
from skinnybox.operation import Operation
from tests.fleet.conftest import SPARSE, open_fake
from tests.fleet.test_jobs import until

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
    for thread in threading.enumerate():
        if thread.name.startswith("job"):
            thread.join()  # its error is told when it ends, and is not to be the next test's
    assert ended(fleet, fleet.background.begin(ANN, "create", [], lambda _: None)).condition is Condition.DONE


def test_the_end_interrupts_them_and_waits(fleet: Fleet) -> None:
    """Nobody asked that they end, so none of them was cancelled."""
    numbers = [
        fleet.background.begin(ANN, "wait", [], lambda operation: operation.sleep(600)) for _ in range(5)
    ]
    fleet.background.end()
    assert fleet.background.running == 0
    found = [fleet.jobs.one(number) for number in numbers]
    assert {(job.condition, job.error) for job in found} == {(Condition.INTERRUPTED, "its server ended")}
    assert all(job.ended for job in found)
    with pytest.raises(Conflict, match="ending"):
        fleet.background.begin(ANN, "start", [], lambda _: None)


def test_what_the_end_leaves_undone_is_told_by_machine(fleet: Fleet) -> None:
    begun = threading.Event()

    def one(_: str, work: Operation) -> None:
        begun.set()
        work.sleep(600)

    number = fleet.background.begin(
        ANN, "work", ["a", "b"],
        lambda operation: each("ab", one, name=str, task="work", operation=operation, parallel=1),
    )  # fmt: skip
    begun.wait(60)
    fleet.background.end()
    job = fleet.jobs.one(number)
    assert (job.condition, job.error) == (Condition.INTERRUPTED, "its server ended")
    assert [result.error for result in job.results] == ["interrupted", "b: interrupted before it was begun"]


def test_what_is_done_all_the_same_is_done(fleet: Fleet) -> None:
    def deaf(operation: Operation) -> None:
        while not operation.cancelled:
            time.sleep(0.01)

    number = fleet.background.begin(ANN, "x", [], deaf)
    fleet.background.end()
    assert fleet.jobs.one(number).condition is Condition.DONE


@pytest.mark.parametrize("poll", [0.0, 600.0])
def test_what_somebody_cancelled_is_cancelled_whatever_ends_then(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, poll: float
) -> None:
    """Also when the job has not looked since it was asked."""
    monkeypatch.setattr(jobs, "_POLL", poll)
    go_on = threading.Event()

    def work(operation: Operation) -> None:
        go_on.wait(60)
        operation.check()

    number = fleet.background.begin(ANN, "x", [], work)
    fleet.jobs.cancel(number)
    ending = threading.Thread(target=fleet.background.end)
    ending.start()
    until(lambda: fleet.background.ending)
    go_on.set()
    ending.join(60)
    job = fleet.jobs.one(number)
    assert job.condition is Condition.CANCELLED
    assert "server" not in (job.error or "")


def test_somebody_else_ends_one_of_them(fleet: Fleet, state: Path) -> None:
    number = fleet.background.begin(ANN, "wait", [], lambda operation: operation.sleep(600))
    with open_fake(state) as another:
        another.jobs.cancel(number)
    assert ended(fleet, number).condition is Condition.CANCELLED


@pytest.fixture
def catalog(fleet: Fleet, state: Path) -> Iterator[Catalog]:
    """Another one of the same folder."""
    with closing(Catalog(state / "state.db")) as opened:
        yield opened


def test_too_many_are_refused_and_leave_no_job(fleet: Fleet, catalog: Catalog) -> None:
    few = Background(catalog, most=2)
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


def test_one_token_leaves_the_others_room(fleet: Fleet, catalog: Catalog) -> None:
    few = Background(catalog, most=9, share=2)
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
    again = Background(catalog, share=1)
    first = again.begin(bob, "wait", [], lambda _: None)
    ended(fleet, first)
    for thread in list(again._operations.values()):
        thread.join()
    again.begin(bob, "wait", [], lambda _: None)  # what has ended counts no more
    again.end()
