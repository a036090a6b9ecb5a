"""What a rebase is refused for before it begins: `--dry-run` says it as well, of the same machine in the same
words, and with the same exit code."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Blocked, Conflict, NoSpace, SkinnyboxError, Unsupported
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.service import Fleet
from skinnybox.masters.manifest import as_bytes, record_of
from skinnybox.model import Instance, Overlay, ThrowAway, Thrown
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.rebasing import moved, rebase, with_free
from tests.fleet.test_rebase import _tree, two_masters
from tests.samples import seal

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two


@pytest.fixture
def web(fleet: Fleet) -> Instance:
    [instance] = fleet.create(["web"], "web:1", SPARSE)
    return instance


def planned(
    capsys: pytest.CaptureFixture[str], *words: str, onto: str = "web:1"
) -> tuple[int, dict[str, Any]]:
    shown = said(capsys, "rebase", "web", *words, "--onto", onto, "--dry-run", "--format", "json")
    [found] = json.loads(shown.out)
    return shown.code, found


def refused(fleet: Fleet, onto: str = "web:1") -> SkinnyboxError:
    [outcome] = rebase(fleet, "web", onto=onto)
    assert outcome.error is not None
    error: SkinnyboxError = outcome.error
    return error


@pytest.mark.parametrize("phase", ["kept", "built"])
def test_a_way_back_blocks_the_next_one_in_its_plan(
    fleet: Fleet, web: Instance, capsys: pytest.CaptureFixture[str], phase: str
) -> None:
    moved(fleet, "web", how=replace(rebasing.QUICK, start=phase == "kept"))
    error = refused(fleet)
    assert isinstance(error, Blocked)
    code, found = planned(capsys)
    assert (code, found["verdict"], found["blocked"]) == (5, "blocked", 1)
    [line] = [each for each in found["decisions"] if each["standing"] == "blocked"]
    assert (line["what"], line["class"], line["name"]) == ("machine", "way back", "before-rebase-1")
    assert line["detail"] == f"{error.message}: {error.hint}"
    assert len(found["decisions"]) > 1  # and all that it would mean, once that is decided
    shown = said(capsys, "rebase", "web", "--onto", "web:1", "--dry-run")
    assert shown.code == 5 and "1 blocked" in shown.err
    assert [line.split()[:3] for line in shown.out.splitlines() if "way back" in line] == [
        ["blocked", "machine", "before-rebase-1"]
    ]
    [fellow] = fleet.create(["fellow"], "web:2", SPARSE)
    several = said(capsys, "rebase", "web", fellow.name, "--onto", "web:1", "--dry-run", "--format", "json")
    assert several.code == 5
    assert {each["name"]: each["verdict"] for each in json.loads(several.out)} == {
        "web": "blocked", "fellow": "clean",
    }  # fmt: skip
    there = said(capsys, "rebase", "web", "--onto", "web:2", "--dry-run")
    assert there.code == 0 and "boots from that already" in there.err


def test_nothing_of_it_is_left_once_that_is_decided(
    fleet: Fleet, web: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    moved(fleet, "web")
    fleet.rebases.commit(["web"])
    code, found = planned(capsys)
    assert (code, found["verdict"]) == (0, "clean")


def test_one_that_runs_hears_of_its_way_back_first(fleet: Fleet, web: Instance) -> None:
    moved(fleet, "web")
    fleet.start(["web"])
    [outcome] = fleet.rebases.plans(["web"], "web:1", Wishes())
    assert str(outcome.error) == str(refused(fleet)) and "is kept until" in str(outcome.error)


Made = Callable[[Instance], Instance]
RECORDS: dict[str, tuple[Made, type[SkinnyboxError], str]] = {
    "half moved": (lambda web: replace(web, moving="/other"), Blocked, "being moved to /other"),
    "half restored": (lambda web: replace(web, half_restored="then"), Blocked, "snapshot 'then'"),
    "thrown away": (
        lambda web: replace(web, throw_away=ThrowAway(kind=Thrown.DISK)), Unsupported, "throws away",
    ),
    "in memory": (
        lambda web: replace(web, throw_away=ThrowAway(kind=Thrown.MEMORY)), Unsupported, "throws away",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", RECORDS)
def test_plan_and_deed_say_the_same_of_a_machine(
    fleet: Fleet, state: Path, web: Instance, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    made, kind, words = RECORDS[case]
    with leased(fleet._host, fleet._catalog, web, Doing.SET) as held:
        held.commit(made(web))
    before = {path: path.read_bytes() for path in state.rglob("*.img")}
    error = refused(fleet, onto="web:2")
    assert isinstance(error, kind) and words in error.message
    [outcome] = fleet.rebases.plans(["web"], "web:2", Wishes())
    assert (type(outcome.error), str(outcome.error)) == (kind, str(error))
    assert said(capsys, "rebase", "web", "--onto", "web:2", "--dry-run").code == kind.exit_code
    assert {path: path.read_bytes() for path in state.rglob("*.img")} == before


def test_one_that_another_command_is_at(fleet: Fleet, web: Instance) -> None:
    with leased(fleet._host, fleet._catalog, web, Doing.GROW):
        error = refused(fleet, onto="web:2")
        [outcome] = fleet.rebases.plans(["web"], "web:2", Wishes())
    told = f"web is being grown by process {os.getpid()}"
    assert isinstance(error, Conflict) and error.message == told
    assert isinstance(outcome.error, Conflict) and outcome.error.message == told


def test_a_check_that_the_new_guest_part_does_not_know(
    fleet: Fleet, state: Path, tmp_path: Path, web: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    _tree(tmp_path / "tree-old-1", "2", protocol=3)
    seal(state, tmp_path, "old", "1", unrelated=True)
    words = ("rebase", "web", "--onto", "old:1", "--check", "true")
    done, dry = said(capsys, *words), said(capsys, *words, "--dry-run")
    assert (done.code, dry.code) == (6, 6)
    assert "does not know check" in done.err and "does not know check" in dry.err


def test_an_image_that_the_new_master_has_not(fleet: Fleet, state: Path, web: Instance) -> None:
    """It is read as a disk, and the only image of that master is to be mapped."""
    manifest = fleet.masters.folder(fleet.masters.find("web:2")) / "manifest.json"
    whole = record_of(manifest)
    for each in whole["images"]:
        each["kind"] = "erofs-plain"
    manifest.chmod(0o600)
    manifest.write_bytes(as_bytes(whole))
    error = refused(fleet, onto="web:2")
    [outcome] = fleet.rebases.plans(["web"], "web:2", Wishes())
    assert isinstance(error, Unsupported) and "has no image to be read as a disk" in error.message
    assert str(outcome.error) == error.message


def test_no_room_to_build_beside_what_is_kept(
    fleet: Fleet, web: Instance, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said before anything is stopped. A sparse overlay is promised nothing, and so is not asked for."""
    reserved = replace(SPARSE, overlay=Overlay(size=64 * MIB))
    fleet.create(["on", "a", "b"], "web:1", reserved)
    fleet.start(["on"])
    with_free(monkeypatch, 63 * MIB)
    with monkeypatch.context() as patched:
        patched.setattr(type(fleet._host), "shutdown", lambda *_: pytest.fail("it was stopped for nothing"))
        [outcome] = rebase(fleet, "on", onto="web:2")
    assert isinstance(outcome.error, NoSpace) and "64.0M, and 63.0M are free" in outcome.error.message
    assert fleet.machine("on").instance.stack == web.stack
    words = ("rebase", "--onto", "web:2", "--dry-run", "--format", "json")
    dry = said(capsys, *words, "a")
    [found] = json.loads(dry.out)
    [line] = [each for each in found["decisions"] if each["standing"] == "blocked"]
    assert (dry.code, line["class"], line["name"]) == (5, "room", "a")
    assert line["detail"] == f"{outcome.error.message}: {outcome.error.hint}".replace("on:", "a:", 1)
    assert said(capsys, *words, "web").code == 0
    with_free(monkeypatch, 127 * MIB)  # each fits, and both do not
    dry = said(capsys, *words, "a", "b", "web")
    assert dry.code == 0 and "2 machines: what a rebase builds beside" in dry.err, dry
    assert "128.0M, and 127.0M are free" in dry.err
    with_free(monkeypatch, 128 * MIB)
    dry = said(capsys, *words, "a", "b", "web")
    assert dry.code == 0 and "beside" not in dry.err
