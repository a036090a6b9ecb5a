"""Deleting beside other commands, and what is left when deleting is stopped."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox.errors import Blocked, Conflict, NoSpace, NotFound
from skinnybox.fleet.catalog.database import Database
from skinnybox.fleet.catalog.leases import Lease
from skinnybox.fleet.catalog.rows import Doing, Phase
from skinnybox.fleet.delete import delete
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.model import Instance
from skinnybox.operation import Operation
from skinnybox.overlays import lock
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.fleetfile import HEAD, File

ROOT = Path(__file__).parents[2]
STOPS_IN = """
import sys
from pathlib import Path
from skinnybox.hosts.local.store import Store
from tests.fleet.conftest import SPARSE, open_fake
def stay(*arguments, **others):
    print("there", flush=True)
    sys.stdin.read()
    sys.exit(9)
Store.{method} = stay
with open_fake(Path(sys.argv[1])) as fleet:
    {deed}
"""
CREATING = STOPS_IN.format(method="create", deed="fleet.create(['a'], 'tiny', SPARSE)")
DELETING = STOPS_IN.format(method="delete", deed="fleet.delete(['a'])")


@contextmanager
def another(script: str, state: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process, in the middle of what it does."""
    argv = [sys.executable, "-c", script, str(state)]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        yield process
        process.kill()


def only_error(fleet: Fleet, *, force: bool = False) -> Exception | None:
    return fleet.delete(["a"], force=force)[0].error


@pytest.mark.parametrize("force", [False, True])
def test_what_another_process_creates_is_not_deleted(fleet: Fleet, state: Path, force: bool) -> None:
    with another(CREATING, state) as process:
        error = only_error(fleet, force=force)
        assert isinstance(error, Conflict)
        assert f"a is being created by process {process.pid}" in error.message
        assert fleet.machine("a").condition is Condition.CREATING
    assert only_error(fleet) is None
    assert fleet.names() == []


def test_what_another_process_deletes_is_not_deleted_twice(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    with another(DELETING, state) as process:
        error = only_error(fleet)
        assert isinstance(error, Conflict)
        assert f"a is being deleted by process {process.pid}" in error.message
    assert only_error(fleet) is None
    assert list((state / "instances").iterdir()) == []


def test_a_machine_that_went_meanwhile_is_not_found(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    gone = fleet.machine("a")
    fleet.delete(["a"])
    with pytest.raises(NotFound, match="deleted meanwhile"):
        fleet._catalog.take(gone.instance.uuid, "a", Doing.DELETE)


def test_what_is_refused_stays_whole(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    instance = fleet.machine("a").instance
    fleet.start(["a"])
    assert isinstance(only_error(fleet), Blocked)
    fleet.kill(["a"])
    with lock.exclusive(state / "instances" / str(instance.uuid) / "overlay.img"):
        error = only_error(fleet)
    assert isinstance(error, Conflict) and "in use" in error.message
    assert fleet.machine("a").condition is Condition.STOPPED
    assert fleet.machine("a").instance == instance
    assert list(fleet._host.records()) == [instance]


def test_a_deletion_that_fails_half_way_is_finished_by_the_next_command(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    delete = fleet._host.delete

    def fails(instance: Instance) -> None:
        raise NoSpace("for the test")

    monkeypatch.setattr(fleet._host, "delete", fails)
    assert isinstance(only_error(fleet), NoSpace)
    assert fleet.machine("a").condition is Condition.DELETING
    monkeypatch.setattr(fleet._host, "delete", delete)
    fleet.create(["b"], "tiny", SPARSE)
    assert fleet.names() == ["b"]
    assert len(list((state / "instances").iterdir())) == 1


def test_who_starts_it_at_the_last_moment_keeps_it(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refused delete is not done by a later command instead."""
    fleet.create(["a"], "tiny", SPARSE)
    master, take, instance = fleet.masters.find("tiny"), fleet._catalog.take, fleet.machine("a").instance

    def started_just_now(uuid: UUID, name: str, doing: Doing) -> Lease:
        fleet._host.start(instance, master, fleet.masters.folder(master), Operation())
        return take(uuid, name, doing)

    monkeypatch.setattr(fleet._catalog, "take", started_just_now)
    assert isinstance(only_error(fleet), Conflict)
    assert fleet.machine("a").condition is Condition.READY
    fleet.kill(["a"])
    fleet.create(["b"], "tiny", SPARSE)
    assert fleet.names() == ["a", "b"]


def test_nobody_waits_for_a_machine_that_is_deleted(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    with another(DELETING, state):
        (outcome,) = fleet.wait(["a"], timeout=60)
    assert isinstance(outcome.error, Conflict) and "is being deleted" in outcome.error.message


def test_what_cannot_be_cleared_away_now_does_not_stop_a_create(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    with another(DELETING, state):
        pass
    overlay = next((state / "instances").glob("*/overlay.img"))
    with lock.exclusive(overlay):
        fleet.create(["b"], "tiny", SPARSE)
    assert fleet.names() == ["a", "b"]
    fleet.create(["c"], "tiny", SPARSE)
    assert fleet.names() == ["b", "c"]


def test_a_full_disk_does_not_keep_a_machine_from_being_deleted(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite cannot write the mark; freeing the overlay is the cure."""
    fleet.create(["a"], "tiny", SPARSE)
    execute = Database.execute

    def full(self: Database, statement: str, values: tuple[object, ...] = ()) -> int:
        if statement.startswith("UPDATE"):
            raise NoSpace("for the test")
        return execute(self, statement, values)

    monkeypatch.setattr(Database, "execute", full)
    assert only_error(fleet) is None
    assert fleet.names() == []


def test_two_processes_cannot_delete_one_machine(fleet: Fleet, state: Path) -> None:
    """Both try at once, many machines: each goes once, and whoever comes second hears why."""
    fleet.create(["x-{1..40}"], "tiny", SPARSE)
    script = (
        "import sys; from pathlib import Path; from tests.fleet.conftest import open_fake\n"
        "with open_fake(Path(sys.argv[1])) as fleet:\n"
        "    print(sum(outcome.ok for outcome in fleet.delete(['x-*'])))"
    )
    argv = [sys.executable, "-c", script, str(state)]
    both = [
        subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
    ]
    said = [process.communicate() for process in both]
    done = sum(int(out) for out, _ in said if out)
    assert done == 40, said
    assert all(b"Traceback" not in error or b"NotFound" in error for _, error in said), said
    assert fleet.names() == []
    assert list((state / "instances").iterdir()) == []


def test_host_keys_go_with_their_machine(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    uuid = fleet.machine("a").instance.uuid
    fleet._catalog.pin_host_keys(uuid, ("ssh-ed25519 AAAA",))
    kept = state / "ssh" / "known_hosts" / str(uuid)
    assert kept.read_text() == f"{uuid} ssh-ed25519 AAAA\n"
    fleet._catalog.pin_host_keys(uuid, ("ssh-ed25519 BBBB",))
    assert "AAAA" in kept.read_text()
    fleet.delete(["a"])
    assert not kept.exists()


def test_names_differ_and_ports_too(fleet: Fleet, state: Path) -> None:
    """Two processes that create at once begin to look for ports at the same place."""
    script = (
        "import sys; from pathlib import Path; from tests.fleet.conftest import SPARSE, open_fake\n"
        "with open_fake(Path(sys.argv[1])) as fleet:\n"
        "    made = fleet.create([sys.argv[2] + '-{1..30}'], 'tiny', SPARSE)\n"
        "    assert {m.ssh_port for m in made} == {fleet.machine(m.name).instance.ssh_port for m in made}"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script, str(state), name], cwd=ROOT, stderr=subprocess.PIPE)
        for name in ("x", "y")
    ]
    said = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert len({machine.instance.ssh_port for machine in fleet.machines()}) == 60


def test_a_protected_machine_is_deleted_by_nobody(
    made: dict[str, Instance], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--host", "fake", "--state", str(state))
    assert said(capsys, "set", *common, "a", "b", "--protect") == (0, "a: changed\nb: changed\n", "")
    for words in (("--yes",), ("--force",)):
        told = said(capsys, "delete", *common, "a", "b", "c" if words == ("--yes",) else "a", *words)
        assert told.code == 5 and "a is protected" in told.err
        assert "hint: skinnybox set a --no-protect" in told.err
    with open_fake(state) as fleet:
        assert fleet.names() == ["a", "b"]
        assert all(machine.condition == "stopped" for machine in fleet.machines())
    assert said(capsys, "set", *common, "a", "--no-protect").code == 0
    assert said(capsys, "delete", *common, "a", "--yes").code == 0
    assert said(capsys, "create", *common, "d", "--master", "tiny", "--sparse", "--protect").code == 0
    assert said(capsys, "delete", *common, "d", "--force").code == 5


def test_one_that_is_protected_meanwhile_stays(fleet: Fleet) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    before = fleet.machine("a")
    assert fleet.set(["a"], {"protected": True})[0].ok
    with pytest.raises(Blocked, match="is protected"):
        delete(fleet._host, fleet._catalog, before, force=True)
    assert fleet.machine("a").phase is Phase.DEFINED
    assert fleet.set(["a"], {"protected": False})[0].ok and fleet.delete(["a"])[0].ok


def test_a_fleet_file_protects_as_well(fleet: Fleet, file: File) -> None:
    file.write(f"{HEAD}machines:\n  a: {{protected: true}}\n  b: {{protected: true}}\n")
    assert all(outcome.ok for outcome in file.apply())
    assert file.plan(recreate=frozenset(["a"])) == ["blocked a"]
    file.write(f"{HEAD}machines:\n  a: {{}}\n")
    assert file.plan(prune=True) == ["set a", "blocked b"]
    assert [outcome.ok for outcome in file.apply(prune=True)] == [True, False]
    assert fleet.names() == ["a", "b"] and file.plan() == []
