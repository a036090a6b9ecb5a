"""`reset NAME PATH` and `slim`: on the fake host, by its command line."""

import json
import os
from pathlib import Path

import pytest

from skinnybox.errors import Blocked
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance
from skinnybox.overlays import inspect
from skinnybox.printable import printable_path
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put, two_masters

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]


@pytest.fixture
def web(fleet: Fleet, state: Path) -> Instance:
    [instance] = fleet.create(["web"], "web:1", SPARSE)
    put(image(state, instance), "own", "mine")
    put(image(state, instance), "other", "mine too")
    return instance


def _changes(capsys: Said) -> list[str]:
    found = json.loads(said(capsys, "changes", "web", "--format", "json").out)
    return [each["path"] for each in found]


def test_paths_go_and_the_next_start_applies_the_seed_again(
    fleet: Fleet, state: Path, web: Instance, capsys: Said
) -> None:
    ended = said(capsys, "reset", "web", "/own", "-y")
    assert (ended.code, ended.out) == (0, "web: 1 name dropped, 4.0K free again\n"), ended
    assert has(state, web, "own") is None and has(state, web, "other") == "mine too"
    after = fleet.machine("web").instance
    assert after.seed.generation == 2 and inspect.read_base(image(state, after)).get("instance") == str(
        web.uuid
    )
    assert _changes(capsys) == ["/other"]
    fleet.start(["web"])


def test_a_look_changes_nothing(fleet: Fleet, state: Path, web: Instance, capsys: Said) -> None:
    before = image(state, web).read_bytes()
    ended = said(capsys, "reset", "web", "/own", "--dry-run", "--format", "json")
    assert json.loads(ended.out) == [{"name": "web", "type": "-", "size": 4, "path": "/own"}]
    assert ended.err == "web: 1 name, 4.0K\n"
    assert image(state, web).read_bytes() == before and fleet.machine("web").instance == web
    assert said(capsys, "slim", "web", "--dry-run").code == 0


def test_slim_keeps_the_generation_and_what_is_its_own(
    fleet: Fleet, state: Path, web: Instance, capsys: Said
) -> None:
    ended = said(capsys, "slim", "web")
    assert (ended.code, ended.out) == (0, "web: nothing to drop\n"), ended
    assert fleet.machine("web").instance == web and _changes(capsys) == ["/other", "/own"]


@pytest.mark.parametrize(
    ("line", "code", "why"),
    [
        ("reset web /none -y", 3, "it has nothing of its own at /none"),
        ("reset web /own/../etc -y", 2, "is no path in a machine"),
        ("reset web / -y", 2, "is all that it made its own"),
        ("reset /own -y", 2, "which machine?"),
        ("reset web --dry-run", 2, "all of it would go"),
        ("reset web --package none -y", 3, "its master has no package none"),
        ("reset nobody /own -y", 3, "nobody"),
    ],
)
def test_what_cannot_be_is_refused_with_the_machine_as_it_was(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, line: str, code: int, why: str
) -> None:
    before = image(state, web).read_bytes()
    ended = said(capsys, *line.split())
    assert ended.code == code and why in ended.err, ended
    assert image(state, web).read_bytes() == before and fleet.machine("web").instance == web


@pytest.mark.parametrize("path", ["/a\nb", "/a\udcff"])
def test_names_that_no_terminal_may_see_are_told_by_who_reads_the_disk(
    fleet: Fleet, web: Instance, capsys: Said, path: str
) -> None:
    """What reads it is confined, and finds nothing on this computer's disk: no codec, say."""
    ended = said(capsys, "reset", "web", path, "--dry-run")
    assert ended.code == 3, ended
    assert f"it has nothing of its own at {printable_path(os.fsencode(path))}\n" in ended.err


def test_one_that_runs_is_refused(fleet: Fleet, web: Instance, capsys: Said) -> None:
    fleet.start(["web"])
    for line in ("reset web /own -y", "reset web /own --dry-run", "slim web", "slim web --dry-run"):
        ended = said(capsys, *line.split())
        assert ended.code == 5 and "needs it stopped" in ended.err, ended


def test_what_lies_on_a_data_disk_is_no_resets(fleet: Fleet, web: Instance, capsys: Said) -> None:
    fleet.overlays.give_data(["web"], 48 * MIB, ["/srv/db"])
    for path in ("/srv/db", "/srv/db/one"):
        ended = said(capsys, "reset", "web", path, "-y")
        assert ended.code == 5 and "no reset touches that" in ended.err, ended


def test_what_fails_at_the_host_leaves_it_as_it_was(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Blocked("somebody has it")

    monkeypatch.setattr(FakeHost, "rebuild_disks", fail)
    [outcome] = fleet.deltas.give_back(["web"], ["/own"])
    assert isinstance(outcome.error, Blocked)
    assert has(state, web, "own") == "mine" and fleet.machine("web").instance == web


def test_several_machines_at_once_tell_of_each(
    fleet: Fleet, state: Path, web: Instance, capsys: Said
) -> None:
    fleet.create(["db"], "web:1", SPARSE)
    ended = said(capsys, "reset", "web", "db", "/own", "-y")
    assert (
        ended.code == 3
        and "web: 1 name dropped" in ended.out
        and "db: it has nothing" in ended.err.replace("skinnybox: ", "")
    )
