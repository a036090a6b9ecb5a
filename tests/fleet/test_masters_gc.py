"""Masters nobody needs go, and only those; with what makers that died left."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.cli.main import run_command
from skinnybox.errors import UsageError
from skinnybox.fleet.service import Fleet
from tests.fleet.conftest import SPARSE, open_fake
from tests.samples import nested, seal


@pytest.fixture
def many(state: Path, tmp_path: Path) -> Iterator[Fleet]:
    """Three versions of `a`, the oldest in use; one of `b`; what two makers left, one of them alive."""
    for name, version in (("a", "1"), ("a", "2"), ("a", "3"), ("b", "1")):
        tree = tmp_path / f"tree-{name}-{version}"
        tree.mkdir()
        (tree / "file").write_text(f"{name} {version}")
        seal(state, tmp_path, name, version)
    for kind in ("dead", "alive"):
        place = state / "masters" / f".work-{kind}"
        place.mkdir()
        (place / "tree").write_bytes(b"x" * 100_000)
    held = os.open(state / "masters" / ".work-alive", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with open_fake(state) as fleet:
        fleet.create(["web-01"], "a:1", SPARSE)
        yield fleet
    os.close(held)


def left(fleet: Fleet) -> list[str]:
    return [master.reference for master in fleet.masters.all()]


def test_the_newest_and_the_needed_stay(many: Fleet, state: Path) -> None:
    found = many.masters.garbage()
    assert [item.name for item in found] == ["a:2", ".work-dead"]
    assert all(item.size >= 4096 for item in found)
    assert found[1].size >= 100_000
    assert many.masters.collect(found) == found
    assert left(many) == ["a:1", "a:3", "b:1"]
    assert sorted(item.name for item in (state / "masters").iterdir() if item.name.startswith(".")) == [
        ".lock",
        ".work-alive",
    ]
    assert many.masters.garbage() == []


def test_what_a_maker_left_goes_however_deep_it_is(many: Fleet, state: Path) -> None:
    left = state / "masters" / ".work-dead"
    nested(left, "d", 1500)
    found = many.masters.garbage()
    assert found[-1].name == ".work-dead" and found[-1].size >= 100_000
    many.masters.collect(found)
    assert not left.exists()


def test_how_many_stay_can_be_said(many: Fleet) -> None:
    def names(keep: int) -> list[str]:
        return [item.name for item in many.masters.garbage(keep=keep) if item.master]

    assert names(0) == ["a:2", "a:3", "b:1"]
    assert names(2) == []
    assert names(100) == []
    with pytest.raises(UsageError):
        many.masters.garbage(keep=-1)


def test_what_came_into_use_meanwhile_stays(many: Fleet) -> None:
    found = many.masters.garbage(keep=0)
    many.create(["web-02"], "a:3", SPARSE)
    many.masters.remove("b:1")
    assert [item.name for item in many.masters.collect(found)] == ["a:2", ".work-dead"]
    assert left(many) == ["a:1", "a:3"]


def test_the_command_asks_tells_and_removes(
    many: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    assert run_command(["master", "gc", "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["a", ".work-dead", said[-1]]
    assert said[-1].endswith("would be free")
    assert run_command(["master", "gc"]) == 2
    assert "not done without a yes" in capsys.readouterr().err
    assert left(many) == ["a:1", "a:2", "a:3", "b:1"]
    assert run_command(["master", "gc", "--all", "--yes"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split(": removed")[0] for line in out] == ["a:2", "a:3", "b:1", ".work-dead"]
    assert left(many) == ["a:1"]
    assert run_command(["master", "gc", "--all", "--yes"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"
