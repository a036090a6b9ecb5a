"""Who makes or shows a master is told which of its files make overlays heavy, and which all would share."""

import json
import os
from pathlib import Path

import pytest

from skinnybox.fleet import heavy_files as module
from skinnybox.fleet.heavy_files import heavy_files
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.issues import Check
from skinnybox.masters.heavy import WAY_OUT
from skinnybox.model import Master
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.fleet.conftest import said
from tests.samples import seal as seal_of


def _sealed(tmp_path: Path, size: int) -> tuple[list[str], list[str], Master]:
    from skinnybox.masters.seal import seal

    place = tmp_path / "tree/var/lib/mysql"
    place.mkdir(parents=True)
    with (place / "ib_logfile0").open("wb") as file:
        file.truncate(size)
    kernel = tmp_path / "vmlinuz-6.1"
    kernel.write_bytes(b"kernel")
    notes: list[str] = []
    state = tmp_path / "state"
    master = seal(
        tmp_path / "tree", store=state / "masters", name="m", version="1", kernel=kernel, initrd=kernel,
        operation=Operation(log=notes.append),
    )  # fmt: skip
    with open_fleet(Settings(state=state, host="fake")) as fleet:
        shown = fleet.masters.heavy(master)
        (fleet.masters.folder(master) / "index.jsonl.gz").unlink()
        assert fleet.masters.heavy(master) == []
    return notes, shown, master


def test_path_size_and_a_way_out_are_told(tmp_path: Path) -> None:
    notes, shown, _ = _sealed(tmp_path, 96 * MIB)
    assert notes == shown and len(notes) == 2
    assert "/var/lib/mysql/ib_logfile0, 96.0M" in notes[0] and "--run-once" in notes[1]


@pytest.mark.parametrize("size", [0, MIB])
def test_nothing_is_told_of_small_ones(tmp_path: Path, size: int) -> None:
    notes, shown, _ = _sealed(tmp_path, size)
    assert notes == shown == []


def test_who_makes_a_master_is_told_what_its_machines_would_share(tmp_path: Path) -> None:
    (tmp_path / "tree/etc/munge").mkdir(parents=True)
    (tmp_path / "tree/etc/munge/munge.key").write_bytes(os.urandom(128))
    notes, _, _ = _sealed(tmp_path, MIB)
    assert (
        notes[0] == "each machine of this master would have the same: /etc/munge/munge.key"
        and len(notes) == 2
    )


def _several(tmp_path: Path, *sizes: int) -> Path:
    """Masters of one name, m:0 ..., each with a database's file of that size. The folder they are in."""
    for number, size in enumerate(sizes):
        place = tmp_path / f"tree-m-{number}/var/lib/mysql"
        place.mkdir(parents=True)
        (place.parent / "number").write_text(str(number))
        with (place / "ibdata1").open("wb") as file:
            file.truncate(size)
        seal_of(tmp_path / "state", tmp_path, "m", str(number))
    return tmp_path / "state/masters"


def test_doctor_tells_of_masters_with_the_same_files_together(tmp_path: Path) -> None:
    big = [12 * MIB] * 4
    small, larger = (
        heavy_files(_several(tmp_path, *big, 0, 96 * MIB)),
        "m:5: copied up whole when written to: ",
    )
    assert list(small) == [
        Check(
            name="heavy files", status="warn", detail=larger + "/var/lib/mysql/ibdata1, 96.0M", hint=WAY_OUT
        ),
        Check(
            name="heavy files",
            status="warn",
            detail="m:3, m:2, m:1 and 1 more: copied up whole when written to: /var/lib/mysql/ibdata1, 12.0M",
            hint=WAY_OUT,
        ),
    ]


def test_doctor_in_json_and_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _several(tmp_path, 96 * MIB)
    words = ("--state", str(tmp_path / "state"), "--host", "fake", "doctor")
    done = said(capsys, *words, "--format", "json")
    (found,) = [check for check in json.loads(done.out) if check["check"] == "heavy files"]
    assert done.code == 0 and found["status"] == "warn" and found["hint"] == WAY_OUT
    assert "warn  heavy files          m:0: copied up whole" in said(capsys, *words).out


def test_doctor_says_that_there_are_none_and_nothing_of_no_masters(tmp_path: Path) -> None:
    assert list(heavy_files(tmp_path / "missing")) == []
    store = _several(tmp_path, MIB)
    assert [(check.status, check.hint) for check in heavy_files(store)] == [("ok", None)]


@pytest.mark.parametrize("how", ["missing", "a FIFO", "damaged"])
def test_doctor_waits_for_no_index_that_cannot_be_read(tmp_path: Path, how: str) -> None:
    store = _several(tmp_path, 96 * MIB, 12 * MIB)
    index = next(store.glob("*/index.jsonl.gz"))
    index.unlink()
    if how == "a FIFO":
        os.mkfifo(index)
    elif how == "damaged":
        index.write_bytes(b"no index")
    told, unseen = heavy_files(store)
    assert told.status == "warn" and "ibdata1" in told.detail
    assert unseen.status == "note" and unseen.detail == "not looked at: 1 of 2 masters"


def test_doctor_takes_a_moment_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _several(tmp_path, 96 * MIB, 12 * MIB, 14 * MIB)
    monkeypatch.setattr(module, "_SECONDS", -1)
    (unseen,) = heavy_files(store)
    assert unseen.status == "note" and unseen.detail == "not looked at: 3 of 3 masters"
    assert "master show" in str(unseen.hint)


def test_of_many_sorts_the_rest_are_counted(tmp_path: Path) -> None:
    *told, more = heavy_files(_several(tmp_path, *(number * MIB for number in range(20, 27))))
    assert len(told) == 5 and more.detail == "2 other masters have more of them" and more.status == "warn"
