"""`repair`: what kills and people leave in a state folder, explained; and beside other commands."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from skinnybox.errors import Conflict
from skinnybox.fleet.doctor import examine
from skinnybox.fleet.registry import open_host
from skinnybox.fleet.repair import repair
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.issues import Check, Deed
from skinnybox.masters.workspace import at_work
from skinnybox.model import Instance, Master
from skinnybox.overlays import lock
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.repairing import found, lose, mended, place

pytestmark = pytest.mark.usefixtures("nothing_is_young")


LEFT = (
    "instances/{a}/.0123456789abcdef.new", "instances/{a}/snapshots/.x.img.new",
    "instances/{a}/snapshots/x.img",
    "instances/{a}/.settle-abc/overlay.img",
    "templates/.making-abc/template", "templates/overlay-1-67108864-16384",
    "masters/.work-1-abc/tree/etc/motd", "masters/.sealing-1-abc/kernel", "masters/.removing-aa/kernel",
    ".state.db.0123abcd.new", ".state.db.0123abcd.new-wal", ".state.db.0123abcd.new-journal",
    ".host.0123abcd.new", ".copy-a_b.new/overlay.img",
    "ssh/.new", "ssh/.new.pub", "ssh/known_hosts/{gone}", "ssh/known_hosts/.{a}.77",
    "verified/" + "e" * 64 + ".json", "instances/{gone}/",
)  # fmt: skip


STRANGE = {
    "notes.txt": "notes.txt", "instances/README": "instances/README",
    "instances/{a}/mine.tar": "instances/{a}/mine.tar", "masters/mine/file": "masters/mine",
    "ssh/config": "ssh/config", "templates/mine": "templates/mine", "lost+found/": "lost+found",
    "verified/notes.txt": "verified/notes.txt", "ssh/known_hosts/notes": "ssh/known_hosts/notes",
    "run/notes": "run/notes", "instances/{a}/snapshots/notes": "instances/{a}/snapshots/notes",
}  # fmt: skip
"""By the path it is told of."""


def test_leftovers_are_removed_and_what_is_not_ours_stays(state: Path, made: dict[str, Instance]) -> None:
    gone = uuid4()
    for name in (*LEFT, *STRANGE):
        path = state / name.format(a=made["a"].uuid, gone=gone)
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(b"what a kill left")
    planned = mended(state)
    for name, told in STRANGE.items():
        assert planned[told.format(a=made["a"].uuid)][0] is Deed.KEEP, (name, planned)
        assert (state / name.format(a=made["a"].uuid)).exists()
    for name in LEFT:
        assert not (state / name.format(a=made["a"].uuid, gone=gone)).exists(), name
    assert not list((state / "masters").glob(".[!l]*"))


@pytest.mark.parametrize(
    "name",
    [
        "state.db.broken-20260101T000000Z-wal", "state.db.broken-20260101T000000Z.1-shm",
        f"masters/{'d' * 64}.broken-20260101T000000Z", "instances/{a}/instance.json.broken-20260101T000000Z",
        "ssh/known_hosts/{a}.broken-20260101T000000Z", f"verified/{'d' * 64}.json.broken-20260101T000000Z",
    ],
)  # fmt: skip
def test_what_was_moved_aside_is_told_as_such_and_kept(
    state: Path, made: dict[str, Instance], name: str
) -> None:
    path = state / name.format(a=made["a"].uuid)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    deed, what = mended(state)[str(path.relative_to(state))]
    assert deed is Deed.KEEP and "moved aside by an earlier repair" in what
    assert path.exists()


def test_what_is_new_may_be_in_the_making(
    state: Path, made: dict[str, Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    from skinnybox.hosts.local import leftovers

    monkeypatch.undo()
    assert leftovers.is_young(state)
    half = place(state, made["a"]) / ".0123456789abcdef.new"
    half.touch()
    deed, what = found(state)[f"instances/{made['a'].uuid}/{half.name}"]
    assert deed is Deed.KEEP and "look again in a minute" in what


def test_what_was_interrupted_is_finished(state: Path, made: dict[str, Instance]) -> None:
    with closing(sqlite3.connect(state / "state.db")) as db:
        for name, phase in (("a", "creating"), ("b", "deleting")):
            query = "UPDATE instances SET phase = ?, owner = 'x/1/1' WHERE name = ?"
            db.execute(query, (phase, name))
        db.commit()
    planned = mended(state)
    assert planned[f"instances/{made['a'].uuid}"][0] is Deed.FINISH
    with open_fake(state) as fleet:
        assert fleet.names() == ["c"]
    assert len(list((state / "instances").iterdir())) == 1


def test_what_another_process_is_at_is_left_alone(fleet: Fleet, state: Path) -> None:
    from tests.fleet.test_delete import CREATING, another

    with another(CREATING, state) as process:
        deed, what = next(iter(found(state).values()))
        assert deed is Deed.KEEP and f"being created by process {process.pid}" in what
        mended(state)
        assert fleet.machine("a").condition is Condition.CREATING


def test_two_repairs_at_once(state: Path, made: dict[str, Instance]) -> None:
    host = open_host("memory", state)
    with repair._only_one(state), pytest.raises(Conflict, match="another repair or apply"):
        repair.repair(state, host)


def test_repairs_beside_creates_and_deletes_lose_nothing(fleet: Fleet, state: Path) -> None:
    """Two processes: one makes and deletes machines, the other repairs all the time."""
    script = (
        "import sys; from pathlib import Path\n"
        "from skinnybox.fleet.repair.repair import repair; from skinnybox.fleet.registry import open_host\n"
        "while True:\n"
        "    repair(Path(sys.argv[1]), open_host('memory', Path(sys.argv[1])))\n"
        "    print('mended', flush=True)"
    )
    fleet.create(["keep-{1..5}"], "tiny", SPARSE)
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script, state],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        for _ in range(6):
            assert process.stdout.readline() == "mended\n", process.stderr.read()
            fleet.create(["x-{1..5}"], "tiny", SPARSE)
            assert all(outcome.ok for outcome in fleet.delete(["x-*"]))
        assert process.poll() is None, process.stderr.read()
        process.kill()
    assert fleet.names() == [f"keep-{number}" for number in range(1, 6)]
    assert len(list((state / "instances").iterdir())) == 5


GOING = (
    "instances/{gone}", "run/{gone}", "run/{a}", "instances/{a}/snapshots", "templates", "ssh/known_hosts",
    "masters/" + "a" * 64, "verified",
)  # fmt: skip


@pytest.mark.parametrize("name", GOING)
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_what_goes_while_it_is_looked_at_is_passed_over(
    state: Path, made: dict[str, Instance], monkeypatch: pytest.MonkeyPatch, name: str, mode: int
) -> None:
    """As another command's delete takes it away between the look at its name and the look into it."""
    folder = state / name.format(a=made["a"].uuid, gone=uuid4())
    folder.mkdir(parents=True, exist_ok=True)
    for above in (folder, *folder.parents[: len(folder.relative_to(state).parts)]):
        above.chmod(mode)
    listed = Path.iterdir

    def going(path: Path) -> Iterator[Path]:
        if path == folder:
            shutil.rmtree(folder, ignore_errors=True)
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", going)
    done = repair.repair(state, open_host("memory", state))
    # What cannot be moved aside any more is not told to have been.
    assert all(outcome.ok or (outcome.value and outcome.value.deed is Deed.ASIDE) for outcome in done)


def test_the_command_asks_first(
    state: Path, made: dict[str, Instance], capsys: pytest.CaptureFixture[str]
) -> None:
    lose(state)
    words = ("--state", str(state), "--host", "memory", "repair")
    assert "a is remembered again, with its pinned ssh host keys" in said(capsys, *words, "--dry-run").out
    refused = said(capsys, *words)
    assert refused.code == 2 and "--yes" in refused.err
    done = said(capsys, *words, "--yes", "--format", "json")
    assert {finding["deed"] for finding in json.loads(done.out)} == {"adopt", "rewrite"}
    assert said(capsys, *words).out == "nothing to put right\n"


def of_the_folder(state: Path) -> Check:
    with closing(open_host("memory", state)) as host:
        return next(check for check in examine(state, host) if check.name == "state folder")


def test_doctor_points_to_it(state: Path, made: dict[str, Instance]) -> None:
    (place(state, made["a"]) / "instance.json").unlink()
    said = of_the_folder(state)
    assert said.status == "warn" and said.hint and "skinnybox repair" in said.hint
    mended(state)
    assert of_the_folder(state).status == "ok"


@pytest.mark.parametrize("left", [None, b"no database at all" * 300])
def test_doctor_works_without_a_memory(
    state: Path, made: dict[str, Instance], capsys: pytest.CaptureFixture[str], left: bytes | None
) -> None:
    lose(state)
    if left is not None:
        (state / "state.db").write_bytes(left)
    done = said(capsys, "--state", str(state), "--host", "memory", "doctor", "--format", "json")
    checks = {check["check"]: check for check in json.loads(done.out)}
    assert done.code == 1 and len(checks) == 5 and checks.pop("state folder")["status"] == "fail"
    assert {check["status"] for check in checks.values()} <= {"ok", "note"}
    seen = of_the_folder(state)
    assert "state.db is" in seen.detail and f"; {1 + len(made)} to put right" in seen.detail
    assert seen.hint and "skinnybox repair" in seen.hint
    mended(state)
    assert of_the_folder(state).status == ("ok" if left is None else "note")  # the broken one is kept


def test_an_orphan_is_named_and_only_removed_when_told(state: Path, made: dict[str, Instance]) -> None:
    orphan = state / "instances" / str(uuid4())
    orphan.mkdir()
    (orphan / "overlay.img").write_bytes(b"data of somebody")
    deed, what = mended(state)[f"instances/{orphan.name}"]
    assert deed is Deed.KEEP and "--delete-orphans" in what
    with lock.exclusive(orphan / "overlay.img"):
        assert found(state, delete_orphans=True)[f"instances/{orphan.name}"][0] is Deed.KEEP
    assert mended(state, delete_orphans=True)[f"instances/{orphan.name}"][0] is Deed.REMOVE
    assert not orphan.exists()
    with open_fake(state) as fleet:
        assert fleet.names() == ["a", "b", "c"]


def test_a_machine_without_its_overlay_is_said_and_can_be_deleted(
    state: Path, made: dict[str, Instance]
) -> None:
    (place(state, made["a"]) / "overlay.img").unlink()
    lose(state)
    assert "lost its overlay" in mended(state)[f"instances/{made['a'].uuid}/overlay.img"][1]
    with open_fake(state) as fleet:
        assert fleet.delete(["a"])[0].ok


def test_a_missing_or_damaged_master_is_said(state: Path, made: dict[str, Instance], master: Master) -> None:
    folder = state / "masters" / master.id.removeprefix("sha256:")
    (folder / "kernel").rename(state.parent / "kernel")
    assert "lacks its kernel" in found(state)[f"masters/{folder.name}/kernel"][1]
    manifest = folder / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes()[:-9])
    assert mended(state)[f"masters/{folder.name}"][0] is Deed.ASIDE
    assert "cannot start without its master tiny:1" in found(state)[f"instances/{made['a'].uuid}"][1]
    with open_fake(state) as fleet:
        assert fleet.masters.all() == []
        assert len(fleet.machines()) == 3


def test_nothing_is_found_where_nothing_is_wrong(state: Path, made: dict[str, Instance]) -> None:
    with open_fake(state) as fleet:
        fleet.start(["a"])
        fleet.overlays.reset(["b"])
    assert found(state) == {}
    assert mended(state) == {}


def test_a_folder_in_which_somebody_works_stays(state: Path, made: dict[str, Instance]) -> None:
    """A flatten takes minutes; and of one that was killed its small machine may be left."""
    place = state / ".flat-x.new"
    place.mkdir()
    (place / "disk").touch()
    with at_work(place):
        assert found(state)[place.name] == (Deed.KEEP, "a command works here")
    with (place / "disk").open("rb") as disk, subprocess.Popen(["sleep", "60"], stdin=disk) as left:
        disk.close()
        deed, what = found(state)[place.name]
        assert deed is Deed.KEEP and f"process {left.pid} (sleep) works here" in what and "kill" in what
        left.kill()
    assert "works here" not in found(state)[place.name][1]
