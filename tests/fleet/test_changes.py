"""`changes` for people and programs, of some paths and of two machines: on the fake host."""

import json
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet.service import Fleet
from skinnybox.model import ChangeKind, Group
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put, two_masters

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]


@pytest.fixture
def two(fleet: Fleet, state: Path) -> Fleet:
    """`web` has two files, `db` one of them with other words."""
    web, db = fleet.create(["web", "db"], "web:1", SPARSE)
    put(image(state, web), "own", "mine\n")
    put(image(state, web), "both", "one\ntwo\n")
    put(image(state, db), "both", "one\n2\n")
    assert has(state, web, "own") == "mine\n"
    return fleet


def test_people_see_groups_and_programs_each_path(two: Fleet, capsys: Said) -> None:
    ended = said(capsys, "changes", "web")
    assert (ended.code, ended.out) == (0, "other\n  added  8  /both\n  added  5  /own\n"), ended
    assert said(capsys, "changes", "web", "--exit-code").code == 10
    [both, own] = json.loads(said(capsys, "changes", "web", "--format", "json").out)
    assert own == {
        "change": "added", "type": "-", "size": 5, "path": "/own", "detail": "", "group": "other",
        "package": None, "folded": False, "noise": None, "same": False,
    }  # fmt: skip
    assert both["path"] == "/both"


def test_paths_say_where_to_look_and_content_what_is_in_it(two: Fleet, capsys: Said) -> None:
    ended = said(capsys, "changes", "web", "/own", "--content")
    assert ended.out.splitlines() == [
        "other", "  added  5  /own", "",
        "added /own", "--- /dev/null", "+++ /own", "@@ -0,0 +1,1 @@", "+mine",
    ]  # fmt: skip
    assert said(capsys, "changes", "web", "/none").out == ""
    assert said(capsys, "changes", "web", "/").out == said(capsys, "changes", "web").out
    assert json.loads(said(capsys, "changes", "web", "/none", "--format", "json").out) == []


def test_paths_lead_where_the_machines_own_links_do(two: Fleet, state: Path, capsys: Said) -> None:
    """Whoever watches /lib hears of a unit in /usr/lib."""
    web = image(state, two.machine("web").instance)
    put(web, "usr/lib/own", "1")
    run.run(["debugfs", "-w", "-R", "symlink upper/short /lib", web])
    for words in (("web", "/lib/own"), ("web", "/short"), ("web", "db", "/short/own")):
        ended = said(capsys, "changes", *words, "--exit-code")
        assert ended.code == 10 and "/usr/lib/own" in ended.out, ended
    assert said(capsys, "changes", "web", "/lib/other", "--exit-code").code == 0


def test_two_machines(two: Fleet, capsys: Said) -> None:
    ended = said(capsys, "changes", "web", "db", "--content")
    assert ended.out.splitlines() == [
        "other", "  modified  8  /both", "  added     5  /own",
        "", "modified /both", "--- /both", "+++ /both", "@@ -1,2 +1,2 @@", " one", "-2", "+two",
        "", "added /own", "--- /dev/null", "+++ /own", "@@ -0,0 +1,1 @@", "+mine",
    ], ended  # fmt: skip
    back = json.loads(said(capsys, "changes", "db", "web", "/own", "--format", "json").out)
    assert [(each["change"], each["path"]) for each in back] == [("deleted", "/own")]


def test_numbers(two: Fleet, capsys: Said) -> None:
    found = json.loads(said(capsys, "changes", "web", "--stat", "--format", "json").out)
    assert found["name"] == "web" and found["facts"] == []
    assert {"group": "other", "changes": 2, "size": 13} in found["groups"]
    assert [each["folder"] for each in found["folders"]] == ["/both", "/own"]
    assert found["same"] == found["noise"] == {"changes": 0, "size": 0}
    lines = said(capsys, "changes", "web", "--stat", "--format", "csv").out.splitlines()
    assert lines[0] == "what,name,changes,size" and "group,other,2,13" in lines
    shown = said(capsys, "changes", "web", "--stat").out.splitlines()
    assert shown[1].split() == ["group", "other", "2", "13"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("/own",), 2), (("web", "db", "third"), 2), (("web", "web"), 2), (("web", "none"), 3),
        (("web", "/a/../b"), 2), (("web", "--content", "--format", "json"), 2),
        (("web", "--tree", "--stat"), 2),
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(two: Fleet, capsys: Said, words: tuple[str, ...], code: int) -> None:
    ended = said(capsys, "changes", *words)
    assert (ended.code, ended.out) == (code, "") and "hint" in ended.err, ended


def test_those_who_call_the_fleet_see_the_same(two: Fleet) -> None:
    with two.deltas.look("web", include_same=True) as look:
        found = [(change.path, change.kind, change.group) for change in look.changes]
    assert found == [(path, ChangeKind.ADDED, Group.OTHER) for path in (b"both", b"own")] and look.facts == ()
