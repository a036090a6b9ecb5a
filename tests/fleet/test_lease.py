"""One at a time changes a machine: whoever is at it, whatever condition it is in, wherever the other one
comes."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from skinnybox.errors import Conflict, SkinnyboxError
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog.owner import process_mark
from skinnybox.fleet.catalog.rows import Doing, Phase
from skinnybox.fleet.lease import leased
from skinnybox.fleet.moving import Move
from skinnybox.fleet.plan.actions import Choices
from skinnybox.fleet.plan.apply import agreed
from skinnybox.fleet.power import Starting
from skinnybox.fleet.repair import repair
from skinnybox.fleet.repair.examine import examine
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.base import Host
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance, Master
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.fleetfile import HEAD
from tests.pages import rows
from tests.pausing import Pausing

FILE = HEAD + "machines:\n  a: {run_once: 'new'}\n"

Verb = Callable[[Fleet], "list[Outcome[Any]]"]


def _apply(fleet: Fleet, *, reset: bool) -> "list[Outcome[Any]]":
    file = fleet._folder.parent / "fleet.yaml"
    file.write_text(FILE)
    choices = Choices(adopt=True, reset=frozenset(["a"] if reset else []))
    return fleet.files.apply(file, choices, Starting(wait=False), agreed)


def _moved(fleet: Fleet) -> "list[Outcome[Any]]":
    with open_fake(fleet._folder.parent / f"elsewhere-{os.urandom(4).hex()}") as there:
        return fleet.deltas.move(["a"], there.deltas, Move(without_snapshots=True))


VERBS: dict[str, Verb] = {
    "set": lambda fleet: fleet.set(["a"], {"memory": 512 * MIB}),
    "set-port": lambda fleet: fleet.set(["a"], {"ssh_port": 23456}),
    "reset": lambda fleet: fleet.overlays.reset(["a"]),
    "slim": lambda fleet: fleet.deltas.slim(["a"]),
    "grow": lambda fleet: fleet.overlays.grow(["a"], 80 * MIB),
    "restore": lambda fleet: fleet.overlays.restore(["a"], "first"),
    "apply": lambda fleet: _apply(fleet, reset=False),
    "apply-reset": lambda fleet: _apply(fleet, reset=True),
    "move": lambda fleet: _moved(fleet),
    "delete": lambda fleet: fleet.delete(["a"]),
    "delete-force": lambda fleet: fleet.delete(["a"], force=True),
}
DELETES = {"delete", "delete-force"}
PAGE = rows(Path(__file__).parents[2] / "docs" / "contributing" / "states.md", "phase")


def page_says(phase: Phase, owner: str, verb: str) -> str:
    """What docs/contributing/states.md says that this verb does then: done or refused."""
    [row] = [row for row in PAGE if row[:2] == [phase.value, owner]]
    if verb in DELETES:
        return row[4]
    return row[5] if verb == "create" else row[3] if verb.startswith("apply") else row[2]


def made(fleet: Fleet) -> Instance:
    [instance] = fleet.create(["a"], "tiny", SPARSE)
    fleet.overlays.snapshot(["a"], "first")
    return instance


def marked(state: Path, phase: Phase, owner: str | None) -> None:
    with closing(sqlite3.connect(state / "state.db")) as db:
        db.execute("UPDATE instances SET phase = ?, owner = ?", (phase, owner))
        db.commit()


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("verb", VERBS)
def test_what_a_living_process_is_at(fleet: Fleet, state: Path, phase: Phase, verb: str) -> None:
    instance = made(fleet)
    marked(state, phase, process_mark())
    assert page_says(phase, "lives", verb) == "refused"
    if verb.startswith("apply"):
        refused = _errors(lambda: VERBS[verb](fleet))
        assert all("is being" in error.message for error in refused), refused
    else:
        [outcome] = VERBS[verb](fleet)
        assert isinstance(outcome.error, Conflict)
        assert f"a is being {'' if phase is Phase.DEFINED else phase[:-3]}" in outcome.error.message
        assert f"by process {os.getpid()}" in outcome.error.message
    marked(state, Phase.DEFINED, None)
    assert [machine.instance for machine in fleet.machines()] == [instance]


def _errors(deed: Callable[[], "list[Outcome[Any]]"]) -> list[SkinnyboxError]:
    try:
        return [outcome.error for outcome in deed() if outcome.error]
    except SkinnyboxError as error:
        return [error]


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("verb", VERBS)
def test_what_a_process_that_is_gone_was_at(fleet: Fleet, state: Path, phase: Phase, verb: str) -> None:
    """A half made or half deleted machine is only to be deleted; apply does that first. A half changed one is
    a machine."""
    made(fleet)
    marked(state, phase, "x/1/1")
    outcomes = VERBS[verb](fleet)
    if page_says(phase, "gone", verb) == "done":
        assert [outcome.error for outcome in outcomes if outcome.error] == []
    else:
        [outcome] = outcomes
        half = "created" if phase is Phase.CREATING else "deleted"
        assert isinstance(outcome.error, Conflict) and f"a was only half {half}" in outcome.error.message
    repair.repair(state, fleet._host)
    left = [row.instance.name for row in fleet._catalog.rows()]
    there = verb.startswith("apply") or (phase is Phase.DEFINED and verb not in {*DELETES, "move"})
    assert left == (["a"] if there else [])
    assert examine(state, fleet._host).findings == []


@pytest.mark.parametrize(("phase", "owner"), [(Phase(row[0]), row[1]) for row in PAGE])
def test_a_machine_of_that_name_is_created(fleet: Fleet, state: Path, phase: Phase, owner: str) -> None:
    made(fleet)
    marked(state, phase, {"none": None, "lives": process_mark(), "gone": "x/1/1"}[owner])
    refused = _errors(lambda: [Outcome(name="a", value=fleet.create(["a"], "tiny", SPARSE)[0])])
    assert bool(refused) == (page_says(phase, owner, "create") == "refused")
    assert all(isinstance(error, Conflict) for error in refused)


@pytest.mark.parametrize("verb", VERBS)
def test_a_machine_that_nobody_is_at(fleet: Fleet, verb: str) -> None:
    made(fleet)
    assert page_says(Phase.DEFINED, "none", verb) == "done"
    assert [outcome.error for outcome in VERBS[verb](fleet) if outcome.error] == []


def test_a_change_that_was_cut_off_after_the_host_knew_is_taken_from_there(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the host's record and the row: the next one that changes it goes on from the record."""
    instance = made(fleet)
    dies_in(
        state, "skinnybox.fleet.catalog.catalog.Catalog.record", "fleet.set(['a'], {'memory': 300 << 20})"
    )
    assert fleet.machine("a").instance.memory == instance.memory
    assert next(iter(fleet._host.records())).memory == 300 << 20
    [outcome] = fleet.set(["a"], {"cpus": 2})
    assert outcome.ok
    now = fleet.machine("a").instance
    assert (now.memory, now.cpus) == (300 << 20, 2)
    assert list(fleet._host.records()) == [now]


DIES = """
import os, sys, importlib
from pathlib import Path
from tests.fleet.conftest import SPARSE, open_fake
path = sys.argv[2].split(".")
owner = getattr(importlib.import_module(".".join(path[:-2])), path[-2])
setattr(owner, path[-1], lambda *_, **__: os._exit(9))
with open_fake(Path(sys.argv[1])) as fleet:
    eval(sys.argv[3])
"""


def dies_in(state: Path, place: str, deed: str) -> None:
    """Another process, killed where it calls `place`."""
    argv = [sys.executable, "-c", DIES, str(state), place, deed]
    assert subprocess.run(argv, cwd=Path(__file__).parents[2], check=False).returncode == 9


POWER_OFF = "skinnybox.hosts.fake.host.FakeHost.power_off"


def test_a_forced_delete_that_was_cut_off_is_finished_with_its_force(fleet: Fleet, state: Path) -> None:
    made(fleet)
    fleet.start(["a"])
    dies_in(state, POWER_OFF, "fleet.delete(['a'], force=True)")
    assert fleet.names() == ["a"] and fleet._host.statuses()
    fleet.create(["b"], "tiny", SPARSE)
    assert fleet.names() == ["b"]
    assert not fleet._host.statuses()


def test_repair_says_what_happened(fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A delete without force, of a machine that somebody has started: it is not cleared away, and told so."""
    made(fleet)
    dies_in(state, "skinnybox.hosts.fake.host.FakeHost.delete", "fleet.delete(['a'])")
    master = fleet.masters.find("tiny")
    from skinnybox.operation import Operation

    fleet._host.start(fleet.machine("a").instance, master, fleet.masters.folder(master), Operation())
    words = ("--state", str(state), "--host", "memory", "repair", "-y")
    for _ in range(2):
        done = said(capsys, *words)
        assert done.code == 4 and "is only half deleted, and stays so" in done.out
        assert "a runs" in done.err and "cleared away" not in done.out + done.err
    fleet.kill(["a"])
    done = said(capsys, *words)
    assert done.code == 0 and "a: its deletion was interrupted, and is completed" in done.out
    assert said(capsys, *words).out == "nothing to put right\n"


@pytest.fixture
def pausing(state: Path) -> Pausing:
    return Pausing(FakeHost(state))


@pytest.fixture
def paused(state: Path, master: Master, pausing: Pausing) -> Iterator[Fleet]:
    with Fleet(state, cast("Host", pausing), boots_at_once=2) as opened:
        yield opened


DOCUMENTED = {3, 4, 5}
"""Not found, conflict, blocked."""


QUICK = ("set", "delete-force")
"""Who comes between, in the core; the others too in the long tests."""
LONG = {("apply", "set"), *(("move", other) for other in QUICK)}
"""A half of all this takes; an apply that resets as well is in the core."""
CLASHES = [
    pytest.param(verb, other, marks=() if other in QUICK and (verb, other) not in LONG else pytest.mark.full)
    for verb in VERBS
    for other in VERBS
]


@pytest.mark.parametrize(("verb", "other"), CLASHES)
def test_two_clash_at_every_call_of_the_host(
    paused: Fleet, pausing: Pausing, state: Path, verb: str, other: str
) -> None:
    """Both end as documented, and row, record and disk agree, whichever moment the other one comes at."""
    codes: list[int] = []

    def clash() -> None:
        with open_fake(state) as theirs:
            codes.extend(error.exit_code for error in _errors(lambda: VERBS[other](theirs)))

    pausing.other = clash
    at = 1
    while True:
        for name in paused.names():
            paused.delete([name], force=True)
        made(paused)
        pausing.calls, pausing.at = 0, at
        codes.clear()
        errors = _errors(lambda: VERBS[verb](paused))
        if pausing.at is not None:
            break
        codes += [error.exit_code for error in errors]
        assert set(codes) <= DOCUMENTED, (at, codes, errors)
        _agree(paused, state, at)
        at += 1
    assert at > 5


def _agree(fleet: Fleet, state: Path, at: int) -> None:
    rows = fleet._catalog.rows()
    assert [(row.phase, row.owner) for row in rows] == [(Phase.DEFINED, None)] * len(rows), at
    places = {path.name for path in (state / "instances").iterdir()}
    assert places == {str(row.instance.uuid) for row in rows}, at
    assert list(fleet._host.records()) == [row.instance for row in rows], at
    for row in rows:
        assert fleet._host.overlay_size(row.instance) == row.instance.overlay.size, at


def test_a_lease_of_another_thread_is_not_taken_for_ours(fleet: Fleet) -> None:
    instance = made(fleet)
    with leased(fleet._host, fleet._catalog, instance, Doing.GROW) as held:
        with (
            pytest.raises(Conflict, match="being grown"),
            leased(fleet._host, fleet._catalog, instance, Doing.SET),
        ):
            pass
        held.commit(held.instance)
        with (
            leased(fleet._host, fleet._catalog, instance, Doing.SET),
            pytest.raises(Conflict, match="taken over"),
        ):
            held.commit(held.instance)


def test_a_port_is_kept_before_the_host_is_told(fleet: Fleet) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    port = fleet.machine("b").instance.ssh_port
    assert port is not None
    [outcome] = fleet.set(["a"], {"ssh_port": port})
    assert isinstance(outcome.error, Conflict) and "leads to b" in outcome.error.message
    assert {r.name: r for r in fleet._host.records()}["a"] == fleet.machine("a").instance


def test_who_wants_another_port_and_fails_keeps_the_old_one(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    before = fleet.machine("a").instance

    def fails(instance: Instance) -> None:
        raise SkinnyboxError("for the test")

    with monkeypatch.context() as patch:
        patch.setattr(fleet._host, "define", fails)
        [outcome] = fleet.set(["a"], {"ssh_port": 23456})
        assert not outcome.ok
    assert fleet._catalog.ports() == {m.instance.ssh_port for m in fleet.machines()} and before in [
        m.instance for m in fleet.machines()
    ]
    [other] = fleet.set(["b"], {"ssh_port": 23456})
    assert other.ok


DEFINE = "skinnybox.hosts.fake.host.FakeHost.define"


def test_a_port_that_its_record_names_is_nobody_elses_while_it_is_taken_back(
    fleet: Fleet, state: Path
) -> None:
    """Killed between the port and the host's record: it goes back to the old port, so that must be free."""
    fleet.create(["a"], "tiny", SPARSE)
    old = fleet.machine("a").instance.ssh_port
    assert old is not None
    dies_in(state, DEFINE, "fleet.set(['a'], {'ssh_port': 23456})")
    assert fleet._catalog.ports() == {old, 23456}
    fleet.create(["b"], "tiny", SPARSE)
    [outcome] = fleet.set(["b"], {"ssh_port": old})
    assert isinstance(outcome.error, Conflict) and "leads to a" in outcome.error.message
    [outcome] = fleet.set(["a"], {"cpus": 2})
    assert outcome.ok and fleet.machine("a").instance.ssh_port == old
    assert old not in {fleet.machine("b").instance.ssh_port} and fleet._catalog.ports() >= {old}
    assert 23456 not in fleet._catalog.ports()


def test_who_looks_sees_what_a_command_is_at(fleet: Fleet, state: Path) -> None:
    instance = made(fleet)
    with leased(fleet._host, fleet._catalog, instance, Doing.GROW):
        assert fleet.machine("a").reason == f"it is being grown by process {os.getpid()}"
    assert fleet.machine("a").reason is None
    marked(state, Phase.DEFINED, "x/1/1")
    assert "when that command was killed" in str(fleet.machine("a").reason)
