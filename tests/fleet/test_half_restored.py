"""A system and its data put back together: both, or none, or it is said that it may be only one."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from skinnybox.errors import Blocked, Conflict, Corrupt, NoSpace, SkinnyboxError
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.flatten import FlatDisk
from skinnybox.fleet.half_restored import told
from skinnybox.fleet.reset import reset
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.hosts.local import copies
from skinnybox.issues import Deed
from skinnybox.model import DiskKind, Instance, SeedFile
from skinnybox.operation import UNATTENDED
from skinnybox.overlays import inspect, space
from skinnybox.sizes import KIB, MIB
from tests.fleet.conftest import open_fake, said
from tests.fleet.repairing import found, lose, mended
from tests.fleet.test_data_disk import WITH, ends, error_of, lies, write
from tests.fleet.test_lease import dies_in
from tests.samples import seal

OVERLAY, DATA = DiskKind.OVERLAY, DiskKind.DATA
WAY = ("--host", "fake", "--state")


@pytest.fixture
def db(fleet: Fleet, state: Path) -> Instance:
    """Both of its disks say `later`, and its snapshot `one` has them as of `first`."""
    made = fleet.create(["db"], "tiny", WITH)[0]
    both(state, made, b"first")
    assert fleet.overlays.snapshot(["db"], "one", data=True)[0].ok
    both(state, made, b"later")
    return made


def both(state: Path, instance: Instance, text: bytes) -> None:
    for kind in DiskKind:
        write(lies(state, instance, kind), text)


def are(state: Path, instance: Instance, overlay: bytes, data: bytes | None = None) -> bool:
    wanted = {OVERLAY: overlay, DATA: data or overlay}
    return all(ends(lies(state, instance, kind), text) for kind, text in wanted.items())


def copy_of(state: Path, instance: Instance, suffix: str) -> Path:
    return state / "instances" / str(instance.uuid) / "snapshots" / f"one.{suffix}"


def restore(fleet: Fleet, *, data: bool = True) -> SkinnyboxError | None:
    return error_of(fleet.overlays.restore(["db"], "one", data=data))


def unchanged(fleet: Fleet, state: Path, db: Instance) -> bool:
    return are(state, db, b"later") and fleet.machine("db").instance == db and fleet.start(["db"])[0].ok


def nothing_in(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(8 * KIB))


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(16 * MIB)


@pytest.mark.parametrize("suffix", ["img", "data"])
@pytest.mark.parametrize("damage", [nothing_in, cut])
def test_a_damaged_half_keeps_the_other_where_it_is(
    fleet: Fleet, state: Path, db: Instance, suffix: str, damage: Callable[[Path], None]
) -> None:
    damage(copy_of(state, db, suffix))
    error = restore(fleet)
    assert isinstance(error, Corrupt) and "in the snapshot 'one' is damaged" in error.message
    assert unchanged(fleet, state, db)


def test_one_of_another_kind_of_disk_is_not_put_back(fleet: Fleet, state: Path, db: Instance) -> None:
    fleet.overlays.grow(["db"], 64 * MIB, disk=DATA)
    both(state, db, b"later")
    copy_of(state, db, "data").write_bytes(copy_of(state, db, "img").read_bytes())
    error = restore(fleet)
    assert isinstance(error, Corrupt) and "a volume called 'skinny-overlay'" in error.message
    assert are(state, db, b"later")


def test_a_seed_that_does_not_fit_keeps_the_data_where_they_are(
    fleet: Fleet, state: Path, db: Instance
) -> None:
    """The snapshot has a place for the seed of then; that of today is longer."""
    large = SeedFile(path="/etc/large", content=b"x" * 20 * KIB)

    def alter(now: Instance) -> Instance:
        return replace(now, seed=replace(now.seed, files=(large,)))

    now = reset(fleet._host, fleet._catalog, db, UNATTENDED, alter)
    both(state, db, b"later")
    error = restore(fleet)
    assert isinstance(error, Blocked) and "no room for such a seed" in error.message
    assert unchanged(fleet, state, now)


@pytest.mark.parametrize("at", [1, 2])
def test_both_have_to_find_room(
    fleet: Fleet, state: Path, db: Instance, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Before a byte of either is copied."""
    real, calls = space.make_blank, list[Path]()

    def full(path: Path, *words: object) -> None:
        calls.append(path)
        if len(calls) == at:
            raise NoSpace("full")
        real(path, *words)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(space, "make_blank", full)
        patch.setattr(copies, "forget", partial(pytest.fail, "was built"))
        assert isinstance(restore(fleet), NoSpace)
    assert unchanged(fleet, state, db)


KILLED = """
import os, sys
from pathlib import Path
from skinnybox.hosts.local import copies
from tests.fleet.conftest import open_fake
left, real = [int(sys.argv[2])], copies.put_in_place
def put_in_place(*paths):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    real(*paths)
copies.put_in_place = put_in_place
with open_fake(Path(sys.argv[1])) as fleet:
    fleet.overlays.restore(["db"], "one", data=True)
"""


def killed(state: Path, behind: int) -> None:
    """Another process, when so many of the disks were in place."""
    argv = [sys.executable, "-c", KILLED, str(state), str(behind)]
    assert subprocess.run(argv, cwd=Path(__file__).parents[2], check=False).returncode == 9


@pytest.mark.parametrize("behind", [0, 1])
def test_what_was_killed_in_between_does_not_start_until_it_is_done_again(
    fleet: Fleet, state: Path, db: Instance, behind: int
) -> None:
    killed(state, behind)
    assert are(state, db, b"later", b"first" if behind else b"later")
    for _ in range(2):
        error = error_of(fleet.start(["db"]))
        assert isinstance(error, Blocked) and "only one of the two may be" in error.message
        assert error.hint and "`skinnybox snapshot restore one db --with-data` does both again" in error.hint
        seen = fleet.machine("db")
        assert (seen.told, seen.reason) == ("stopped, half restored", told(seen.instance))
        planned = mended(state)
    deed, what = planned[f"instances/{db.uuid}"]
    assert deed is Deed.KEEP and "snapshot restore one db --with-data" in what
    assert restore(fleet) is None
    assert are(state, db, b"first") and found(state) == {}
    assert fleet.start(["db"])[0].ok and fleet.machine("db").instance == db


def test_what_would_make_it_worse_is_refused(fleet: Fleet, state: Path, db: Instance) -> None:
    killed(state, 1)
    assert isinstance(restore(fleet, data=False), Blocked)
    assert isinstance(error_of(fleet.overlays.snapshot(["db"], "two", data=True)), Blocked)
    assert isinstance(error_of(fleet.overlays.delete_snapshot(["db"], "one")), Blocked)
    assert [kept.label for _, kept in fleet.overlays.snapshots()] == ["one"]
    with pytest.raises(Blocked, match="a disk of both would start"):
        fleet.overlays.flatten("db", FlatDisk(file=state / "flat"))
    assert fleet.set(["db"], {"cpus": 3})[0].ok
    assert isinstance(error_of(fleet.start(["db"])), Blocked)


KEEPS_ONE = (
    "start db", "copy db other", "export db {folder}/archive", "export db {folder}/archive --data",
    "promote db new:1 -y", "promote db new:1 --dry-run", "promote db new:1 --as-layer -y", "slim db",
    "slim db --dry-run", "reset db /etc -y", "flatten db {folder}/flat", "rebase db --onto next",
    "rebase db --onto next --dry-run", "snapshot create db --label two", "snapshot delete one db -y",
    "snapshot restore one db -y",
)  # fmt: skip
"""What would start one of the two, keep it, or make something of it."""


def test_no_command_keeps_or_uses_only_one_of_the_two(
    fleet: Fleet, state: Path, db: Instance, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seal(state, tmp_path, "next", "1")
    killed(state, 1)
    out = tmp_path / "out"
    out.mkdir()
    for line in KEEPS_ONE:
        ended = said(capsys, *WAY, str(state), *line.format(folder=out).split())
        assert ended.code == 5 and "only one of the two may be" in ended.err, (line, ended)
    assert list(out.iterdir()) == [] and fleet.names() == ["db"]
    assert {master.name for master in fleet.masters.all()} == {"tiny", "next"}
    assert are(state, db, b"later", b"first")


def test_it_is_known_when_the_catalog_is_lost(fleet: Fleet, state: Path, db: Instance) -> None:
    killed(state, 1)
    lose(state)
    mended(state)
    with open_fake(state) as again:
        assert isinstance(error_of(again.start(["db"])), Blocked)


def test_a_reset_is_the_other_way_out(fleet: Fleet, state: Path, db: Instance) -> None:
    killed(state, 1)
    assert fleet.overlays.reset(["db"])[0].ok
    assert ends(lies(state, db), b"first") and fleet.start(["db"])[0].ok
    assert fleet.machine("db").reason is None


def test_what_fails_in_between_says_so(
    fleet: Fleet, state: Path, db: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = copies.put_in_place, list[Path]()

    def fails(beside: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        real(beside, target)

    with monkeypatch.context() as patch:
        patch.setattr(copies, "put_in_place", fails)
        error = restore(fleet)
    assert error is not None and "of the system and the data of db one may be put back" in error.message
    assert error.hint and "does both again" in error.hint
    assert isinstance(error_of(fleet.start(["db"])), Blocked)
    assert restore(fleet) is None and fleet.start(["db"])[0].ok


def test_without_its_data_nothing_is_marked(
    fleet: Fleet, state: Path, db: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*words: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(copies, "put_in_place", fails)
        error = restore(fleet, data=False)
    assert error is not None and "put back" not in error.message
    assert unchanged(fleet, state, db)


def test_a_lost_data_disk_whose_snapshot_is_damaged_stays_lost(
    fleet: Fleet, state: Path, db: Instance
) -> None:
    nothing_in(copy_of(state, db, "img"))
    lies(state, db).unlink()
    assert isinstance(restore(fleet), Corrupt)
    assert not lies(state, db).exists() and not fleet.start(["db"])[0].ok


def test_a_lost_one_that_was_killed_over_is_nobodys(fleet: Fleet, state: Path, db: Instance) -> None:
    """No guest may take the empty disk for the data."""
    lies(state, db).unlink()
    killed(state, 0)
    assert inspect.read_base(lies(state, db)).get("instance") != str(db.uuid)
    assert isinstance(error_of(fleet.start(["db"])), Blocked)
    assert restore(fleet) is None
    assert are(state, db, b"first")


def test_the_command_line(
    fleet: Fleet, state: Path, db: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(state, 1)
    words = ("--state", str(state), "--host", "memory")
    assert "stopped, half restored" in said(capsys, *words, "list").out
    shown = json.loads(said(capsys, *words, "list", "--format", "json").out)[0]
    assert shown["state"] == "stopped" and "with its data when that was interrupted" in shown["reason"]
    assert "snapshot 'one' with its data" in " ".join(said(capsys, *words, "show", "db").out.split())
    started = said(capsys, *words, "start", "db")
    assert started.code == 5 and "it does not start" in started.err
    assert said(capsys, *words, "snapshot", "restore", "one", "db", "-y", "--with-data").code == 0
    assert said(capsys, *words, "start", "db").code == 0


def test_a_killed_one_of_before_they_were_whole_changes_nothing(
    fleet: Fleet, state: Path, db: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(copies, "sync", stopped)
        restore(fleet)
    assert unchanged(fleet, state, db)


@pytest.mark.parametrize("call", ["Catalog.record", "FakeHost.define"])
def test_killed_before_the_host_knew_it_is_taken_back(
    fleet: Fleet, state: Path, db: Instance, call: str
) -> None:
    """Nothing was put in place yet, and a machine that says so would ask its user to lose what it wrote."""
    module = {"Catalog": "skinnybox.fleet.catalog.catalog", "FakeHost": "skinnybox.hosts.fake.host"}
    place = f"{module[call.partition('.')[0]]}.{call}"
    dies_in(state, place, "fleet.overlays.restore(['db'], 'one', data=True)")
    mended(state)
    assert unchanged(fleet, state, db)


@pytest.mark.parametrize("at", ["record", "define"])
def test_what_could_not_be_announced_is_taken_back(
    fleet: Fleet, state: Path, db: Instance, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    left = [1]
    owner = Catalog if at == "record" else FakeHost
    real = getattr(owner, at)

    def fails(*words: object, **more: object) -> None:
        if left.pop() if left else 0:
            raise NoSpace("full")
        real(*words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(owner, at, fails)
        error = restore(fleet)
    assert isinstance(error, NoSpace) and "one may be" not in error.message
    assert unchanged(fleet, state, db) and list(fleet._host.records()) == [db]


def test_nobody_keeps_a_snapshot_of_one_half_meanwhile(
    fleet: Fleet, state: Path, db: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot copies one disk after the other: the restore has to wait until it has both."""
    real, met = FakeHost._copied, list[SkinnyboxError | None]()

    def copied(self: FakeHost, *words: object) -> object:
        if DATA in words and not met:
            met.append(restore(fleet))
        return real(self, *words)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(FakeHost, "_copied", copied)
        assert fleet.overlays.snapshot(["db"], "two", data=True)[0].ok
    assert isinstance(met[0], Conflict)
    assert unchanged(fleet, state, db)


def test_the_host_is_asked_for_both_at_once(
    fleet: Fleet, db: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other leaves time in which another command finds the half of it, and keeps that."""
    asked: list[list[DiskKind]] = []
    real = FakeHost.rebuild_disks

    def noted(self: FakeHost, instance: Instance, buildings: object, *words: object) -> None:
        asked.append(list(buildings))  # type: ignore[call-overload]
        real(self, instance, buildings, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeHost, "rebuild_disks", noted)
    assert restore(fleet) is None
    assert asked == [[DATA, OVERLAY]]
