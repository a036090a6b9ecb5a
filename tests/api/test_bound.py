"""What is done to machines is done to those that were there when it was asked for."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from starlette.testclient import TestClient

from skinnybox.fleet.jobs import Actor
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from skinnybox.gate.readings import reading
from skinnybox.operation import Operation
from tests.api.conftest import Api, as_who
from tests.fleet.conftest import SPARSE

A = {"master": "tiny", "overlay": "64M", "sparse": True, "memory": "256M", "names": ["a"]}


@pytest.fixture
def theirs(fleet: Fleet, client: TestClient) -> Api:
    """Of who reaches the fleet `one` alone, in which `a` is."""
    found = as_who(fleet, client, Role.OPERATOR, "one")
    assert found.done("/machines", A)["state"] == "done"
    return found


def another_instead(fleet: Fleet) -> None:
    """Of the same name, and of no fleet."""
    fleet.delete(["a"])
    fleet.create(["a"], "tiny", SPARSE)


def begun_late(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job, once another machine has the name."""
    begin = fleet.background.begin

    def late(actor: Actor, verb: str, subjects: Sequence[str], act: Callable[[Operation], object]) -> int:
        def acted(operation: Operation) -> object:
            another_instead(fleet)
            return act(operation)

        return begin(actor, verb, subjects, acted)

    monkeypatch.setattr(fleet.background, "begin", late)


def test_what_is_read_of_a_name_that_is_anothers_by_then_is_nothing(
    fleet: Fleet, theirs: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive holds all secrets of a machine."""
    begun_late(fleet, monkeypatch)
    answer = theirs.ask("GET", "/machines/a/export")
    assert (answer.status_code, "another machine has its name" in answer.text) == (404, True), answer.content


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("delete", {}), ("start", {}), ("restart", {}), ("kill", {}), ("reset", {}), ("stop", {}),
        ("grow", {"size": "128M"}), ("snapshot", {}), ("set", {"changes": {"cpus": 2}}),
    ],
)  # fmt: skip
def test_a_name_that_is_anothers_by_then_means_nothing(
    fleet: Fleet, theirs: Api, monkeypatch: pytest.MonkeyPatch, verb: str, body: dict[str, Any]
) -> None:
    begun_late(fleet, monkeypatch)
    number = theirs.post(f"/actions/{verb}", {"names": ["a"], **body})["job"]
    found = theirs.ended(number)
    assert found["state"] == "failed" and "another machine has its name" in found["error"]
    [machine] = fleet.machines(["a"])
    assert machine.instance.fleet is None and machine.instance.seed.generation == 1
    assert machine.instance.cpus == 1 and machine.status is None


def test_the_machines_that_are_still_there_are_meant(fleet: Fleet, theirs: Api) -> None:
    assert theirs.done("/actions/start", {"names": ["a"]})["state"] == "done"
    assert theirs.done("/actions/delete", {"names": ["a"], "force": True})["state"] == "done"
    assert fleet.names() == []


@pytest.mark.parametrize("verb", ["reset", "delete", "snapshot"])
def test_what_is_done_waits_for_who_reads_the_disk_here(fleet: Fleet, operator: Api, verb: str) -> None:
    """The page of a machine reads its overlay, and has the buttons."""
    [instance] = fleet.create(["a"], "tiny", SPARSE)
    held, let_go = threading.Event(), threading.Event()

    def read() -> None:
        with reading(instance.uuid), fleet._host.open_overlay(instance, Operation()):
            held.set()
            let_go.wait(60)

    reader = threading.Thread(target=read)
    reader.start()
    held.wait(60)
    number = operator.post(f"/actions/{verb}", {"names": ["a"]})["job"]
    assert operator.get(f"/jobs/{number}")["state"] == "running"
    let_go.set()
    reader.join()
    found = operator.ended(number)
    assert found["state"] == "done", found["results"]


def test_what_waits_for_a_reading_can_be_cancelled(fleet: Fleet, operator: Api) -> None:
    [instance] = fleet.create(["a"], "tiny", SPARSE)
    with reading(instance.uuid):
        number = operator.post("/actions/reset", {"names": ["a"]})["job"]
        operator.post(f"/jobs/{number}/cancel")
        assert operator.ended(number)["state"] == "cancelled"
