"""`repair`: the catalog lost, damaged or wrong, and everything that a kill or a person may have left."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.catalog.completion import machine_names
from skinnybox.fleet.view import Condition
from skinnybox.hosts.record import to_record
from skinnybox.issues import Deed
from skinnybox.model import Instance
from skinnybox.overlays import lock
from tests.fleet.conftest import HOST_KEYS, SPARSE, open_fake, said
from tests.fleet.repairing import found, lose, mended, place, second

pytestmark = pytest.mark.usefixtures("nothing_is_young")

LONG = timedelta(days=7000)


def empty(state: Path) -> None:
    lose(state)
    (state / "state.db").touch()


def garble(state: Path) -> None:
    (state / "state.db").write_bytes(os.urandom(20_000))


def damage_a_page(state: Path) -> None:
    with (state / "state.db").open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(8192))


def cut(state: Path) -> None:
    os.truncate(state / "state.db", 6000)


def other_tables(state: Path) -> None:
    with closing(sqlite3.connect(state / "state.db")) as db:
        db.execute("DROP TABLE host_keys")
        db.commit()


@pytest.mark.parametrize("harm", [lose, empty, garble, damage_a_page, cut, other_tables])
def test_a_memory_that_is_no_more_is_rebuilt_from_the_records(
    state: Path, made: dict[str, Instance], harm: Callable[[Path], None]
) -> None:
    before = (state / "state.db").stat().st_size
    harm(state)
    with pytest.raises(Corrupt) as caught, open_fake(state) as fleet:
        fleet.machines()
        fleet.create(["d"], "tiny", SPARSE)
        fleet.delete(["a"])
    assert caught.value.hint and "skinnybox repair" in caught.value.hint
    assert before
    planned = mended(state)
    assert planned["state.db"][0] is Deed.REWRITE
    with open_fake(state) as fleet:
        assert {machine.name: machine.instance for machine in fleet.machines()} == made
        assert [machine.host_keys for machine in fleet.machines()] == [HOST_KEYS, (), ()]
        assert len(fleet.create(["d"], "tiny", SPARSE)) == 1
    kept = list(state.glob("state.db.broken-*"))
    assert len(kept) == (harm not in (lose, empty))


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize(
    "put", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)], ids=["fifo", "folder", "loop"]
)
def test_what_is_no_file_in_its_place_is_moved_aside_and_holds_up_nobody(
    state: Path, made: dict[str, Instance], suffix: str, put: Callable[[Path], None]
) -> None:
    """SQLite waits for ever to open a FIFO: `list` did, and `doctor`, and `repair`, and the completion."""
    path = state / f"state.db{suffix}"
    path.unlink(missing_ok=True)
    put(path)
    assert machine_names(state) == []
    with pytest.raises(Corrupt, match=f"{path.name} is"), open_fake(state) as fleet:
        fleet.machines()
    assert "moved aside" in mended(state)["state.db"][1]
    with open_fake(state) as fleet:
        assert {machine.name: machine.instance for machine in fleet.machines()} == made
        fleet.delete(["a"])
    assert len(list(state.glob("state.db.broken-*"))) >= 1


def test_every_command_says_so_and_none_shows_a_traceback(
    state: Path, made: dict[str, Instance], capsys: pytest.CaptureFixture[str]
) -> None:
    garble(state)
    for words in (["list"], ["create", "d", "-m", "tiny"], ["start", "a"], ["delete", "-y", "a"],
                  ["capacity"], ["reset", "-y", "a"], ["show", "a"], ["autostart", "on", "a"]):  # fmt: skip
        done = said(capsys, "--state", str(state), "--host", "memory", *words)
        assert (done.code, done.out) == (1, ""), (words, done.err)
        assert "skinnybox repair" in done.err and "Traceback" not in done.err


def test_a_newer_memory_is_kept_aside(state: Path, made: dict[str, Instance]) -> None:
    with closing(sqlite3.connect(state / "state.db")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(Unsupported, match="newer Skinnybox") as caught:
        Catalog(state / "state.db")
    assert caught.value.hint and "upgrade" in caught.value.hint
    mended(state)
    with open_fake(state) as fleet:
        assert fleet.names() == ["a", "b", "c"]
    with closing(sqlite3.connect(next(state.glob("state.db.broken-*")))) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (99,)


def test_a_memory_older_than_the_folder(state: Path, made: dict[str, Instance]) -> None:
    """As after a restored backup of state.db: a machine that is not remembered, one that is no more, and one
    that was reset since."""
    shutil.copy(state / "state.db", state.parent / "backup")
    with open_fake(state) as fleet:
        fleet.create(["d"], "tiny", SPARSE)
        fleet.overlays.reset(["b"])
        fleet.delete(["c"])
        now = {machine.name: machine.instance for machine in fleet.machines()}
    shutil.copy(state.parent / "backup", state / "state.db")
    planned = mended(state)
    assert planned[f"instances/{now['d'].uuid}"][0] is Deed.ADOPT
    assert planned[f"instances/{made['c'].uuid}"][0] is Deed.FORGET
    with open_fake(state) as fleet:
        assert {machine.name: machine.instance for machine in fleet.machines()} == now
        assert fleet.machine("a").host_keys == HOST_KEYS


def test_a_lost_record_comes_from_the_memory(state: Path, made: dict[str, Instance]) -> None:
    record = place(state, made["a"]) / "instance.json"
    record.unlink()
    assert mended(state)[f"instances/{made['a'].uuid}/instance.json"][0] is Deed.REWRITE
    assert json.loads(record.read_text()) == to_record(made["a"])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', "[" * 100_000])
def test_an_unreadable_record_is_kept_aside_and_written_anew(
    state: Path, made: dict[str, Instance], text: str
) -> None:
    record = place(state, made["a"]) / "instance.json"
    record.write_text(text)
    mended(state)
    assert json.loads(record.read_text()) == to_record(made["a"])
    assert next(record.parent.glob("instance.json.broken-*")).read_text() == text


def test_an_unreadable_record_that_nobody_remembers(state: Path, made: dict[str, Instance]) -> None:
    record = place(state, made["a"]) / "instance.json"
    record.write_text("{")
    lose(state)
    planned = mended(state)
    assert planned[f"instances/{made['a'].uuid}/instance.json"][0] is Deed.ASIDE
    with open_fake(state) as fleet:
        assert fleet.names() == ["b", "c"]
    assert (place(state, made["a"]) / "overlay.img").exists()


def test_a_record_in_the_memory_that_is_none(state: Path, made: dict[str, Instance]) -> None:
    with closing(sqlite3.connect(state / "state.db")) as db:
        db.execute("UPDATE instances SET record = '{}' WHERE name = 'a'")
        db.commit()
    with pytest.raises(Corrupt) as caught, open_fake(state) as fleet:
        fleet.machines()
    assert caught.value.hint and "skinnybox repair" in caught.value.hint
    mended(state)
    with open_fake(state) as fleet:
        assert fleet.machine("a").instance == made["a"]
        assert fleet.machine("a").host_keys == HOST_KEYS


def test_a_record_of_a_later_version_is_left_alone(state: Path, made: dict[str, Instance]) -> None:
    record = place(state, made["a"]) / "instance.json"
    text = json.dumps({**to_record(made["a"]), "format": 9})
    record.write_text(text)
    lose(state)
    deed, what = mended(state)[f"instances/{made['a'].uuid}"]
    assert deed is Deed.KEEP and "upgrade" in what
    assert record.read_text() == text


def test_a_copied_folder_is_no_second_machine(state: Path, made: dict[str, Instance]) -> None:
    copy = state / "instances" / str(uuid4())
    shutil.copytree(place(state, made["a"]), copy)
    deed, what = mended(state)[f"instances/{copy.name}"]
    assert deed is Deed.KEEP and str(made["a"].uuid) in what
    with open_fake(state) as fleet:
        assert fleet.names() == ["a", "b", "c"]


@pytest.mark.parametrize("harm", [lambda state: None, lose])
def test_of_two_with_one_name_the_remembered_or_older_is_taken(
    state: Path, made: dict[str, Instance], harm: Callable[[Path], None]
) -> None:
    created = made["a"].created + LONG
    double = second(state, made["a"], created=created, ssh_port=None)
    harm(state)
    deed, what = mended(state)[f"instances/{double.uuid}"]
    assert deed is Deed.KEEP and "second machine named a" in what
    with open_fake(state) as fleet:
        assert fleet.machine("a").instance == made["a"]
        assert fleet.delete(["a"])[0].ok
    mended(state)
    with open_fake(state) as fleet:
        assert fleet.machine("a").instance == double


def test_of_two_with_one_port_one_gets_another(state: Path, made: dict[str, Instance]) -> None:
    second(state, made["a"], name="d")
    mended(state)
    with open_fake(state) as fleet:
        machines = fleet.machines()
        assert len({machine.instance.ssh_port for machine in machines}) == 4
        assert fleet.machine("a").instance == made["a"]
        assert {machine.instance for machine in machines} == set(fleet._host.records())


def test_a_machine_that_runs_keeps_its_port(state: Path, made: dict[str, Instance]) -> None:
    with open_fake(state) as fleet:
        fleet.start(["c"])
    older = made["c"].created - LONG
    second(state, made["c"], name="d", created=older)
    lose(state)
    mended(state)
    with open_fake(state) as fleet:
        assert fleet.machine("c").instance == made["c"]
        assert fleet.machine("c").condition is Condition.READY
        assert fleet.machine("d").instance.ssh_port != made["c"].ssh_port


def test_the_record_follows_an_overlay_that_grew(state: Path, made: dict[str, Instance]) -> None:
    overlay = place(state, made["a"]) / "overlay.img"
    size = made["a"].overlay.size
    os.truncate(overlay, 2 * size)
    with lock.exclusive(overlay):
        assert found(state)[f"instances/{made['a'].uuid}/overlay.img"][0] is Deed.KEEP
    mended(state)
    with open_fake(state) as fleet:
        assert fleet.machine("a").instance.overlay.size == 2 * size
        assert set(fleet._host.records()) == {machine.instance for machine in fleet.machines()}
    os.truncate(overlay, size // 2)
    deed, what = mended(state)[f"instances/{made['a'].uuid}/overlay.img"]
    assert deed is Deed.KEEP and "cut off" in what


def test_a_disk_that_is_not_mounted_costs_nobody_his_ports(
    state: Path, made: dict[str, Instance], capsys: pytest.CaptureFixture[str]
) -> None:
    """Forgotten, their names and ports would be anybody's until they are taken up again."""
    words = ("--state", str(state), "--host", "memory")
    before = said(capsys, *words, "list", "--format", "json").out
    (state / "instances").rename(state.parent / "mounted")
    (state / "instances").mkdir()
    assert said(capsys, *words, "repair", "--dry-run").code == 0
    assert "mounted" in said(capsys, *words, "doctor").out
    refused = said(capsys, *words, "repair", "--yes")
    assert refused.code == 5 and "nothing is there of 3 of 3 machines" in refused.err
    assert "--forget" in refused.err
    (state / "instances").rmdir()
    (state.parent / "mounted").rename(state / "instances")
    assert said(capsys, *words, "repair", "--yes").code == 0
    assert said(capsys, *words, "list", "--format", "json").out == before


@pytest.mark.parametrize(("gone", "code"), [("a", 0), ("ab", 5), ("abc", 5)])
def test_how_many_are_forgotten_without_a_word(
    state: Path, made: dict[str, Instance], capsys: pytest.CaptureFixture[str], gone: str, code: int
) -> None:
    words = ("--state", str(state), "--host", "memory")
    for name in gone:
        shutil.rmtree(place(state, made[name]))
    assert said(capsys, *words, "repair", "--yes").code == code
    assert said(capsys, *words, "repair", "--yes", "--forget").code == 0
    left = [name for name in "abc" if name not in gone]
    assert said(capsys, *words, "list", "--names").out.split() == left
