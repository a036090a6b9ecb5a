"""The end of a server in the middle of everything: by SIGTERM, by two of them, and by kill -9."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.jobs import Condition, Job
from skinnybox.fleet.view import Condition as How
from skinnybox.model import Master
from tests.fleet.conftest import open_fake
from tests.serve.running import Running, running, until

FORTY = 40
SLOW = ("-m", "tests.serve.slow_server")


@pytest.fixture
def slow(state: Path, master: Master) -> Callable[[], AbstractContextManager[Running]]:
    return lambda: running(state, module=SLOW)


def ask(state: Path, line: str) -> None:
    with (state.parent / "asked").open("a") as file:
        file.write(f"{line}\n")


def let(state: Path, yes: bool = True) -> None:
    file = state.parent / "let"
    file.touch() if yes else file.unlink(missing_ok=True)


def jobs(state: Path) -> list[Job]:
    with open_fake(state) as fleet:
        return fleet.jobs.all()


def ended(state: Path, count: int) -> Callable[[], bool]:
    """Whether so many jobs have come to their end."""
    return lambda: len([job for job in jobs(state) if job.ended]) >= count


def conditions(state: Path) -> list[How]:
    with open_fake(state) as fleet:
        return [machine.condition for machine in fleet.machines()]


def running_now(state: Path) -> int:
    with open_fake(state) as fleet:
        return len(fleet._host.statuses())


@pytest.fixture(autouse=True)
def _unasked(state: Path) -> Iterator[None]:
    yield
    (state.parent / "asked").unlink(missing_ok=True)


def all_come_up(state: Path, slow: Callable[[], AbstractContextManager[Running]]) -> None:
    """The next server finishes what was left, and the same that was asked for is done."""
    (state.parent / "asked").unlink(missing_ok=True)
    let(state)
    before = len([job for job in jobs(state) if job.ended])
    with slow() as server:
        ask(state, f"create w-{{1..{FORTY}}}")
        until(ended(state, before + 1))
        assert len(conditions(state)) == FORTY
        ask(state, "start w-*")
        until(lambda: conditions(state) == [How.READY] * FORTY)
        assert server.end() == 0
    with open_fake(state) as fleet:
        assert {row.phase for row in fleet._catalog.rows()} == {Phase.DEFINED}
        assert fleet.upkeep.examine().findings == []


def test_forty_machines_on_their_way_lose_nothing(
    state: Path, slow: Callable[[], AbstractContextManager[Running]]
) -> None:
    with slow() as server:
        ask(state, f"create w-{{1..{FORTY}}}")
        until(ended(state, 1))
        ask(state, "start w-*")
        until(lambda: running_now(state) >= FORTY)
        begun = time.monotonic()
        assert server.end() == 0
        assert time.monotonic() - begun < 30
        assert "ending 1 job and what is being answered; again leaves at once" in server.said
    assert [job.condition for job in jobs(state)] == [Condition.DONE, Condition.INTERRUPTED]
    assert running_now(state) == FORTY  # what was powered on stays on: its machine is on its way
    assert len(jobs(state)[-1].results) == FORTY
    assert jobs(state)[-1].error == "its server ended"
    all_come_up(state, slow)


@pytest.mark.full
def test_forty_machines_in_the_making_are_taken_back(
    state: Path, slow: Callable[[], AbstractContextManager[Running]]
) -> None:
    with slow() as server:
        ask(state, f"create w-{{1..{FORTY}}}")
        until(lambda: len(list(state.glob("instances/*/overlay.img"))) > 5)
        assert server.end() == 0
    assert [job.condition for job in jobs(state)] == [Condition.INTERRUPTED]
    assert conditions(state) == [] and not list(state.glob("instances/*"))
    all_come_up(state, slow)


def test_a_second_signal_leaves_at_once(
    state: Path, slow: Callable[[], AbstractContextManager[Running]]
) -> None:
    with slow() as server:
        ask(state, f"create w-{{1..{FORTY}}}")
        until(lambda: len(list(state.glob("instances/*/overlay.img"))) > 5)
        server.send(signal.SIGSTOP)  # so that both are there before anything ends
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            server.send(number)
        assert server.process.wait(10) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert jobs(state)[-1].condition is Condition.INTERRUPTED
    all_come_up(state, slow)


@pytest.mark.parametrize("when", ["create", pytest.param("start", marks=pytest.mark.full)])
def test_killed_in_a_deploy_it_says_interrupted_and_goes_on(
    state: Path, when: str, slow: Callable[[], AbstractContextManager[Running]]
) -> None:
    with slow() as server:
        ask(state, f"create w-{{1..{FORTY}}}")
        if when == "create":
            until(lambda: len(list(state.glob("instances/*/overlay.img"))) > 5)
        else:
            until(ended(state, 1))
            ask(state, "start w-*")
            until(lambda: running_now(state) > 5)
        server.end(signal.SIGKILL)
    last = jobs(state)[-1]
    assert (last.verb, last.condition, last.ended) == (when, Condition.INTERRUPTED, None)
    (state.parent / "asked").unlink(missing_ok=True)
    with slow() as server:
        if when == "create":  # taken back before it answers
            assert conditions(state) == [] and not list(state.glob("instances/*"))
            assert sum("what was left half done is finished" in line for line in server.said) >= 1
        else:
            assert len(conditions(state)) == FORTY
    ask(state, "")
    all_come_up(state, slow)
