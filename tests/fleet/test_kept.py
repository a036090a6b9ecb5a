"""What the version before wrote is read today, and what is written today is read by the version before."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.fleet.registry import open_host
from skinnybox.fleet.repair import repair
from skinnybox.fleet.repair.examine import examine as examine_folder
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.issues import Deed
from skinnybox.model import Master, Network, SeedFile, StaticNetwork
from tests.fleet.conftest import open_fake
from tests.kept import kept_program, unpacked
from tests.samples import seal, write_out

Old = Callable[..., str]


@pytest.fixture
def master(state: Path, tmp_path: Path) -> Master:
    """Its guest part is of the version before: that one does not know a later."""
    return seal(state, tmp_path, "tiny", "1", protocol=1)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("program", tmp_path_factory.mktemp("kept") / "program")


@pytest.fixture
def old_state(tmp_path: Path) -> Path:
    return unpacked("state", tmp_path / "kept") / "state"


@pytest.fixture
def old(program: Path) -> Old:
    def run(state: Path, *words: str) -> str:
        done = kept_program(program, "--state", state, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_state_folder_of_the_version_before(old_state: Path) -> None:
    with open_fake(old_state) as fleet:
        machines = {machine.name: machine for machine in fleet.machines()}
        assert {name: machine.condition for name, machine in machines.items()} == {
            "full": Condition.STOPPED,
            "plain": Condition.STOPPED,
        }
        full, plain = machines["full"].instance, machines["plain"].instance
        assert (full.network, full.cpus, full.ssh_user) == (Network.OPEN, 2, "admin")
        assert full.seed.network == StaticNetwork(
            address="10.0.0.5/24", gateway="10.0.0.1", dns=("10.0.0.3",)
        )
        assert full.seed.files == (
            SeedFile(path="/etc/motd", content=b"\0\xffkept\n", mode=0o640, owner="root:daemon"),
        )
        assert plain.seed.generation == 2
        assert not full.autostart and not full.stack.dax
        assert fleet.masters.verify("tiny").guest_protocol == 1
        with fleet.overlays.changes("full") as found:
            assert list(found) == []
        assert [outcome.ok for outcome in fleet.start(["full"])] == [True]
        assert [outcome.ok for outcome in fleet.overlays.reset(["plain"])] == [True]
    with open_fake(old_state) as fleet:  # it was readable to all, which that version had nothing against
        closed = fleet.upkeep.repair()
    assert closed and {outcome.value.deed for outcome in closed if outcome.value} == {Deed.CLOSE}
    assert examine_folder(old_state, open_host("memory", old_state)).findings == []


def test_its_memory_is_rebuilt_from_its_records(old_state: Path) -> None:
    write_out(old_state)
    with open_fake(old_state) as fleet:
        before = fleet.machines()
    for path in old_state.glob("state.db*"):
        path.unlink()
    repair.repair(old_state, open_host("memory", old_state))
    with open_fake(old_state) as fleet:
        assert fleet.machines() == before


def test_the_version_before_reads_what_is_written_today(
    fleet: Fleet, master: Master, state: Path, old: Old
) -> None:
    from dataclasses import replace

    from tests.fleet.conftest import SPARSE

    fleet.create(["a", "b"], "tiny", replace(SPARSE, autostart=True, run_once="#!/bin/sh\n"))
    fleet.overlays.reset(["b"])
    fleet.start(["a"])
    seen = json.loads(old(state, "list", "--format", "json"))
    assert {machine["name"]: machine["state"] for machine in seen} == {"a": "ready", "b": "stopped"}
    assert "every byte" in old(state, "master", "verify", "tiny")
    assert json.loads(old(state, "changes", "b", "--format", "json")) == []
    old(state, "stop", "a")
    old(state, "create", "c", "-m", "tiny", "--sparse", "--overlay", "64M")
    old(state, "reset", "--yes", "a")
    old(state, "delete", "--yes", "b")
    assert [machine.name for machine in fleet.machines()] == ["a", "c"]
    assert fleet.machine("a").instance.seed.generation == 2
    assert [outcome.ok for outcome in fleet.start(["*"])] == [True, True]
    assert examine_folder(state, open_host("memory", state)).to_do == []
