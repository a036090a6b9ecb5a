"""`show --usage` on the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import NotFound
from skinnybox.fleet.masters import Masters
from skinnybox.fleet.service import Fleet
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.index import read_index
from skinnybox.model import ThrowAway, Thrown
from skinnybox.model.datadisk import data_disk
from skinnybox.sizes import KIB, MIB
from tests.fleet.conftest import SPARSE, said
from tests.fleet.test_disks import image, write
from tests.fleet.test_rebase import put


@pytest.fixture(autouse=True)
def _machines(fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    one, _ = fleet.create(["a", "b"], "tiny", SPARSE)
    fleet.create(["c"], "tiny", replace(SPARSE, data=data_disk(48 * MIB)))
    write(image(state, one), "dump", b"x" * 100 * KIB)
    write(image(state, one), "\033[31mred", b"x" * 20 * KIB)


def test_what_eats_an_overlay(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    ended = said(capsys, "show", "-q", "a", "b", "--usage")
    assert ended.code == 0 and ended.err == ""
    lines = ended.out.splitlines()
    assert lines[0].startswith("overlay of a: 64.0M, of which ") and "for root alone" in lines[0]
    assert [line.split() for line in lines if line.startswith(("100.0K", "20.0K"))] == [
        ["100.0K", "1", "/dump"],
        ["20.0K", "1", "/\\x1b[31mred"],
    ]
    assert any(line.startswith("4.0M") and "journal" in line for line in lines)
    assert "overlay of b" in ended.out and "\033" not in ended.out


def test_a_running_machine_is_read_from_a_copy(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = json.loads(said(capsys, "show", "a", "--usage", "--format", "json").out)
    fleet.start(["a"])
    running = json.loads(said(capsys, "show", "a", "--usage", "--format", "json").out)
    assert running == stopped
    rows = {row["what"]: row["size"] for row in running if row["path"] is None}
    whole = rows.pop("size")
    assert rows.pop("reserved") <= rows["free"] and sum(rows.values()) == whole == 64 * MIB
    assert not list(fleet._folder.glob(".copy-*"))


def test_the_largest_are_as_many_as_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    ended = said(capsys, "show", "a", "--usage", "--rows", "1", "--format", "csv")
    assert ended.out.splitlines()[0] == "name,disk,what,size,count,path"
    assert ended.out.splitlines()[-1] == f"a,overlay,file,{100 * KIB},1,/dump"
    assert said(capsys, "show", "a", "--usage", "--rows", "1001").code == 2
    assert said(capsys, "show", "a", "--rows", "3").code == 2


def test_data_disks_are_looked_at_by_their_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "show", "c", "--usage", "--data").out.startswith("data disk of c: 48.0M")
    ended = said(capsys, "show", "a", "c", "--usage", "--data")
    assert ended.code == 3 and "a has no data disk" in ended.err and "data disk of c" in ended.out


def test_what_is_in_memory_is_on_no_disk(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.create(["kiosk"], "tiny", replace(SPARSE, throw_away=ThrowAway(kind=Thrown.MEMORY)))
    ended = said(capsys, "show", "kiosk", "--usage")
    assert ended.code == 6 and "in its memory" in ended.err


def test_a_machine_that_runs_is_told_to_have_grown(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.start(["a", "b"])
    ended = said(capsys, "grow", "a", "b", "+32M")
    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            f"{name}: grown from 64.0M to 96.0M; its guest says that its filesystem fills it"
            for name in ("a", "b")
        ],
    )
    fleet.kill(["a"])
    assert said(capsys, "grow", "a", "96M").out == "a: has 96.0M already\n"


def test_what_slim_would_win(
    fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that runs too; it is what `slim` wins then. Without its master nobody knows."""
    overlay = image(state, fleet.machine("a").instance)
    put(overlay, "etc/motd", "hello\n")
    master = fleet.masters.find("tiny")
    times = {entry.path: entry.mtime_ns for entry in read_index(fleet.masters.folder(master) / INDEX)}
    for path in ("etc", "etc/motd"):
        order = f"set_inode_field upper/{path} mtime @{times[path.encode()] // 1_000_000_000}"
        run.run(["debugfs", "-w", "-R", order, overlay])
    row = {"name": "a", "disk": "overlay", "what": "slim", "size": 8 * KIB, "count": 2, "path": "/"}
    said_of_it = "2 of its names are as the master has them, 8.0K: `skinnybox slim a` drops them"
    for start in (True, False):
        if start:
            fleet.start(["a"])
        assert said(capsys, "show", "a", "--usage").out.splitlines()[-1] == said_of_it
        assert row in json.loads(said(capsys, "show", "a", "--usage", "--format", "json").out)
        if start:
            fleet.kill(["a"])
    (outcome,) = fleet.deltas.slim(["a"])
    assert outcome.value and (outcome.value.count, outcome.value.freed) == (2, 8 * KIB)
    none = json.loads(said(capsys, "show", "a", "--usage", "--format", "json").out)
    assert {**row, "size": 0, "count": 0} in none and "slim" not in said(capsys, "show", "a", "--usage").out
    with monkeypatch.context() as patch:
        patch.setattr(Masters, "kept", gone)
        rows = json.loads(said(capsys, "show", "a", "--usage", "--format", "json").out)
    assert rows == [row for row in none if row["what"] != "slim"]


def gone(*_: object) -> None:
    raise NotFound("it is gone")
