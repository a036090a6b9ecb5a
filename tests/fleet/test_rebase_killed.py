"""A rebase that is killed anywhere: its machine is on the one system or on the other, whole, and the same
command again brings it there; so does whoever touches it first find a machine."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, SkinnyboxError
from skinnybox.fleet import rebase_refused
from skinnybox.fleet.context import Context
from skinnybox.fleet.rebase_plan import Moves
from skinnybox.fleet.rebase_run import Stage
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.model import Instance, Overlay, Stack
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE
from tests.fleet.rebasing import agrees, has, moved, rebase, with_free
from tests.fleet.repairing import mended
from tests.fleet.test_rebase_do import fleet, two_masters, web

__all__ = ["fleet", "two_masters", "web"]

DIES = """
import importlib, os, sys
from pathlib import Path
from tests.fleet.conftest import open_fake
from tests.fleet.rebasing import rebase
owner, _, name = sys.argv[2].rpartition(".")
module, _, kind = owner.rpartition(".")
try:
    found = importlib.import_module(owner)
except ImportError:
    found = getattr(importlib.import_module(module), kind)
left, real = [int(sys.argv[3])], getattr(found, name)
def dies(*words, **more):
    left[0] -= 1
    if left[0] == 0 and sys.argv[4] == "before":
        os._exit(9)
    value = real(*words, **more)
    if left[0] == 0:
        os._exit(9)
    return value
setattr(found, name, dies)
with open_fake(Path(sys.argv[1])) as fleet:
    {deed}
os._exit(0)
"""
REBASE, ROLLBACK, COMMIT = (
    "rebase(fleet, 'web')",
    "fleet.rebases.rollback(['web'])",
    "fleet.rebases.commit(['web'])",
)

FAKE, CATALOG = "skinnybox.hosts.fake.host.FakeHost", "skinnybox.fleet.catalog.catalog.Catalog"
PLACES = [
    (f"{FAKE}.shutdown", 1, "before"),
    (f"{FAKE}.shutdown", 1, "after"),
    ("skinnybox.delta.rebase.doing.build", 1, "after"),
    (f"{FAKE}.define", 1, "before"),
    (f"{FAKE}.define", 1, "after"),
    ("skinnybox.hosts.local.copies.put_in_place", 1, "before"),
    ("skinnybox.hosts.local.copies.put_in_place", 1, "after"),
    (f"{FAKE}.define", 2, "before"),
    (f"{FAKE}.define", 2, "after"),
    (f"{FAKE}.start", 1, "before"),
    (f"{FAKE}.start", 1, "after"),
    (f"{FAKE}.define", 3, "before"),
    (f"{FAKE}.define", 3, "after"),
    (f"{CATALOG}.record", 3, "after"),
]


def killed(state: Path, place: str, time: int, when: str, deed: str = REBASE) -> int:
    argv = [sys.executable, "-c", DIES.replace("{deed}", deed), str(state), place, str(time), when]
    return subprocess.run(argv, cwd=Path(__file__).parents[2], check=False).returncode


@pytest.mark.parametrize(("place", "time", "when"), PLACES)
def test_the_same_command_goes_on(
    fleet: Fleet, state: Path, web: Instance, place: str, time: int, when: str
) -> None:
    fleet.start(["web"])
    assert killed(state, place, time, when) == 9
    assert moved(fleet, "web").stage in (Stage.PASSED, Stage.THERE)
    machine = agrees(fleet, state, "web")
    assert machine.instance.stack.reference == "web:2" and has(state, web, "own") == "mine"
    assert machine.told == "ready, kept", place
    assert fleet.rebases.rollback(["web"])[0].ok
    assert agrees(fleet, state, "web").instance.stack == web.stack


@pytest.mark.parametrize("settled", [False, True])
def test_what_the_killed_one_had_built_is_no_want_of_room(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch, settled: bool
) -> None:
    """It is reserved, takes the room of the one that is to be built, and goes before that is."""
    fleet.create(["web"], "web:1", replace(SPARSE, overlay=Overlay(size=64 * MIB)))
    assert killed(state, "skinnybox.delta.rebase.doing.build", 1, "after") == 9
    with_free(monkeypatch, 10 * MIB)
    if settled:  # as apply does first
        fleet._context.queries.settled(fleet.machine("web"), Operation())
    assert moved(fleet, "web").stage is Stage.PASSED
    assert agrees(fleet, state, "web").instance.stack.reference == "web:2"


@pytest.mark.parametrize(("place", "time", "when"), PLACES)
def test_who_starts_it_first_has_a_machine(
    fleet: Fleet, state: Path, web: Instance, place: str, time: int, when: str
) -> None:
    assert killed(state, place, time, when) == 9 or "shutdown" in place
    [started] = fleet.start(["web"])
    assert started.error is None, started.error
    machine = agrees(fleet, state, "web")
    assert machine.condition is Condition.READY and has(state, web, "own") == "mine"
    assert machine.instance.trial is None or machine.told == "ready, kept"


@pytest.mark.parametrize(("place", "time", "when"), PLACES[3:8])
def test_repair_finds_one_of_the_two(
    fleet: Fleet, state: Path, web: Instance, place: str, time: int, when: str
) -> None:
    assert killed(state, place, time, when) == 9
    mended(state)
    agrees(fleet, state, "web")
    assert moved(fleet, "web").stage in (Stage.PASSED, Stage.THERE)


BACK = [
    (f"{CATALOG}.record", 1),
    (f"{FAKE}.define", 1),
    (f"{FAKE}.swap_overlay", 1),
    (f"{CATALOG}.record", 2),
    (f"{FAKE}.define", 2),
    (f"{FAKE}.delete_snapshot", 1),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("deed", [ROLLBACK, COMMIT])
@pytest.mark.parametrize(("place", "time"), BACK)
def test_the_way_back_and_giving_it_up(
    fleet: Fleet, state: Path, web: Instance, place: str, time: int, when: str, deed: str
) -> None:
    moved(fleet, "web")
    if killed(state, place, time, when, deed) != 9:
        pytest.skip("that is not called for it")
    assert fleet.start(["web"])[0].ok
    machine = agrees(fleet, state, "web")
    assert machine.condition is Condition.READY and has(state, web, "own") == "mine"


def test_two_at_once(fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    from skinnybox.delta.rebase import doing

    real, second = doing.build, list[SkinnyboxError | None]()

    def build(*words: object, **more: object) -> object:
        if not second:
            second.append(rebase(fleet, "web")[0].error)
            second.append(fleet.start(["web"])[0].error)
            second.append(fleet.rebases.rollback(["web"])[0].error)
        return real(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(doing, "build", build)
    assert moved(fleet, "web").stage is Stage.PASSED
    assert isinstance(second[0], Conflict) and "web is being rebased by process" in second[0].message
    assert all(error is not None for error in second)
    assert agrees(fleet, state, "web").told == "stopped, kept"


def test_somebody_was_quicker(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at it and the lease another rebase came and went: its way back is not lost."""
    real, did = rebase_refused.refuse, list[str]()

    def refuse(context: Context, machine: MachineView, moves: Moves, check: str | None) -> Stack:
        stack = real(context, machine, moves, check)
        if not did:
            did.append("once")
            assert moved(fleet, "web").stage is Stage.PASSED
        return stack

    monkeypatch.setattr(rebase_refused, "refuse", refuse)
    [outcome] = rebase(fleet, "web", onto="web:2")
    assert isinstance(outcome.error, Conflict) and "rebased by another command" in outcome.error.message
    assert agrees(fleet, state, "web").told == "stopped, kept"
    assert fleet.rebases.rollback(["web"])[0].ok
