"""--quiet: of a command that does something nothing is heard but errors, of one that is asked something the
answer. One place in the code knows of it, and this holds that all words go through there."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import skinnybox.cli
from skinnybox.fleet.service import Fleet
from tests.fleet.conftest import SPARSE, said
from tests.layered import planted

CLI = Path(skinnybox.cli.__file__).parent
ANSWERS = {
    "events._follow", "fleetfile._plan", "fleetfile._show", "changes._changes", "changes._print",
    "store._capacity",
    "machines._dry_run", "listing._list", "showing._show",
    "masters._collect", "autostart._unit", "logs._logs", "render.emit", "render.table", "render.pairs",
    "top._top", "top._paint", "repair._table", "store.add_completion",
    "store._show_storages", "store._doctor", "disk_use.show", "jobs._follow",
    "token._create", "serve._unit", "move._receive", "move._failed",
}  # fmt: skip
"""Who prints what was asked for: what is there, what would be done, a script."""
ITSELF = {"report.done", "report.note", "report.warn", "report.say"}
ASIDE = {"options.confirm", "master_edit._enter", "progress._lines"}
"""A question and a password, which have to be read; and progress, which is not begun for quiet users."""


def prints(path: Path) -> Iterator[str]:
    """The top function around each call of print."""
    for node in ast.parse(path.read_text()).body:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id == "print":
                yield f"{path.stem}.{getattr(node, 'name', '')}"


def test_nobody_prints_words_for_people_by_himself() -> None:
    found = {name for path in CLI.glob("*.py") for name in prints(path)}
    assert found - ANSWERS - ITSELF - ASIDE == set()


@pytest.fixture(autouse=True)
def _machines(fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    fleet.create(["a"], "tiny", SPARSE)


LIFE = (
    "create b -m tiny --sparse --overlay 64M", "autostart on a", "start --autostart", "wait a", "restart a",
    "stop a", "start a", "kill a", "set a --cpus 2", "snapshot create a --label one", "grow a 80M",
    "snapshot restore one a -y", "snapshot delete one a -y", "snapshot a --label two", "reset -y a",
    "autostart off a", "start --autostart", "seed-disk a {folder}/seed",
    "export a {folder}/archive", "master verify tiny",
    "move b --to {folder}/elsewhere",
    "layer import {folder}/site site:1 --for tiny --at /srv", "layer verify site", "layer remove site",
    "master disk tiny {folder}/disk", "repair -y", "delete -y a", "master gc -y --all",
)  # fmt: skip


@pytest.mark.parametrize("quiet", [True, False])
def test_what_is_done_is_done_without_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], quiet: bool
) -> None:
    planted(tmp_path / "site", {"index.html": "hello"})
    for line in LIFE:
        heard = said(capsys, *line.format(folder=tmp_path).split(), *["-q"] * quiet)
        assert heard.code == 0 or "master disk" in line, heard  # that of a sample has no kernel to boot
        if quiet and heard.code == 0:
            assert (heard.out, heard.err) == ("", ""), line
        else:
            assert heard.out + heard.err, line


def test_errors_and_answers_are_heard(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "-q", "list", "--names") == (0, "a\n", "")
    assert said(capsys, "-q", "capacity", "--format", "json").out
    said(capsys, "-q", "start", "a")
    refused = said(capsys, "-q", "reset", "-y", "a")
    assert (refused.code, refused.out) == (5, "") and "needs it stopped" in refused.err


def test_quiet_ends_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "-q", "stop", "a")
    assert said(capsys, "stop", "a").out == "a: stopped\n"


QUESTIONS = {
    "delete nobody": 3, "delete -- a": 5, "reset a": 5, "reset nobody": 3, "snapshot restore one a": 5,
    "snapshot delete none a": 3, "snapshot restore none nobody": 3, "master remove nothing": 3,
    "layer remove nothing": 3,
    "apply nothing.yaml": 3,
}  # fmt: skip


@pytest.mark.parametrize("line", QUESTIONS)
def test_nobody_is_asked_about_what_is_refused_anyhow(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capsys, "snapshot", "create", "a", "--label", "one")
    said(capsys, "start", "a")
    monkeypatch.setattr("sys.stdin", Terminal())
    heard = said(capsys, *line.split())
    assert heard.code == QUESTIONS[line], heard
    assert "[y/N]" not in heard.err


def test_the_question_is_about_those_that_nothing_speaks_against(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capsys, "create", "b", "-m", "tiny", "--sparse")
    said(capsys, "start", "a")
    monkeypatch.setattr("sys.stdin", Terminal())
    heard = said(capsys, "delete", "a", "b")
    assert "About to delete b and all that is theirs" in heard.err
    assert (heard.code, heard.out) == (5, "b: deleted\n")


class Terminal:
    """Somebody who says yes to everything."""

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return "y\n"


def test_notes_of_former_words_are_not_heard_either(state: Path) -> None:
    argv = [sys.executable, "-m", "skinnybox", "-q", "snapshot", "a", "--label", "x"]
    done = subprocess.run(argv, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
