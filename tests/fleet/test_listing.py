"""Which columns of a list, in which order, and how wide on a terminal."""

import csv
import io
import json
from pathlib import Path

import pytest

from skinnybox.cli import terminal
from skinnybox.fleet import present
from skinnybox.fleet.service import Fleet
from tests.fleet import on_a_terminal
from tests.fleet.conftest import SPARSE, said
from tests.fleet.on_a_terminal import UTF8

LONG = "a-machine-with-a-name-that-is-really-very-long-and-goes-on-and-on"[:63].rstrip("-")


@pytest.fixture(autouse=True)
def _machines(fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    fleet.create(["web-2", "web-10", "db"], "tiny", SPARSE)
    fleet.set(["db"], {"memory": 1 << 30})
    fleet.start(["web-10"])


def names(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    return said(capsys, "list", "--names", *words).out.split()


def test_lists_are_sorted_by_any_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert names(capsys, "--sort", "name") == ["db", "web-2", "web-10"]
    assert names(capsys, "--sort", "name", "--reverse") == ["web-10", "web-2", "db"]
    assert names(capsys, "--sort", "memory")[-1] == "db"
    assert names(capsys, "--sort", "memory", "--reverse")[0] == "db"
    for order in ([], ["--reverse"]):  # what has no value comes last
        assert names(capsys, "--sort", "boot", *order)[0] == "web-10"
    assert names(capsys, "--reverse") == list(reversed(names(capsys)))
    assert names(capsys, "web-*", "--sort", "state") == ["web-10", "web-2"]  # ready, stopped
    for field in present.machine_fields():
        assert sorted(names(capsys, "--sort", field)) == ["db", "web-10", "web-2"]


def test_people_are_shown_tenths_of_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    [record] = json.loads(said(capsys, "show", "web-10", "--format", "json").out)
    [line] = [words for words in said(capsys, "show", "web-10").out.splitlines() if words.startswith("boot:")]
    assert line.split() == ["boot:", f"{record['boot']:.1f}", "s"]
    assert "boot:" not in said(capsys, "show", "db").out


def test_columns_are_those_that_are_asked_for_in_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    heard = said(capsys, "list", "db", "--columns", "memory,name,overlay")
    assert [line.split() for line in heard.out.splitlines()] == [
        ["MEMORY", "NAME", "OVERLAY"], ["1.0G", "db", "-/64.0M"],
    ]  # fmt: skip
    words = ("list", "db", "--columns", "memory,name")
    assert json.loads(said(capsys, *words, "--format", "json").out) == [{"memory": 1 << 30, "name": "db"}]
    rows = list(csv.reader(io.StringIO(said(capsys, *words, "--format", "csv").out)))
    assert rows == [["memory", "name"], [str(1 << 30), "db"]]


def test_every_field_is_a_column_and_no_other_is(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(present.machine(fleet.machine("db"))) == present.machine_fields()
    heard = said(capsys, "list", "--columns", ",".join(present.machine_fields()))
    assert heard.code == 0 and len(heard.out.splitlines()) == 4
    for words in (("--columns", "name,memry"), ("--sort", "memry"), ("--names", "--sort", "memry")):
        heard = said(capsys, "list", *words)
        assert (heard.code, heard.out) == (2, "") and "did you mean memory" in heard.err
    assert "one of name, uuid, state" in said(capsys, "list", "--columns", "").err


def test_a_table_fits_the_terminal(fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.create([LONG], "tiny", SPARSE)
    whole = said(capsys, "list").out.splitlines()
    assert max(map(len, whole)) > 100
    for columns in (20, 40, 80, 100):
        code, text = on_a_terminal.shown(state, "list", columns=columns)
        lines = text.splitlines()
        assert code == 0 and len(lines) == len(whole)
        assert max(map(len, lines)) <= columns and "…" in text
    assert lines[0].split() == whole[0].split()
    assert [line.split()[1] for line in lines] == [line.split()[1] for line in whole]
    brief = ("list", "--columns", "name,state,master,address")  # without what is drawn where there is room
    assert on_a_terminal.shown(state, *brief, columns=200)[1] == said(capsys, *brief).out


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C"}, {"LANG": "en_US.ISO-8859-1"}, {}, {"LANG": "C", "PYTHONUTF8": "1"}]
)
def test_where_the_locale_is_not_utf_8_all_is_ascii(
    fleet: Fleet, state: Path, environment: dict[str, str]
) -> None:
    fleet.create([LONG], "tiny", SPARSE)
    code, text = on_a_terminal.shown(state, "list", columns=60, environment=environment)
    assert code == 0 and text.isascii() and "..." in text


def test_the_environment_may_say_how_wide_it_is(fleet: Fleet, state: Path) -> None:
    fleet.create([LONG], "tiny", SPARSE)
    _, text = on_a_terminal.shown(state, "list", environment={**UTF8, "COLUMNS": "50"})
    assert max(map(len, text.splitlines())) <= 50


@pytest.mark.parametrize("text", ["word", "日本語の名前", "e\u0301tude", "", "a" * 80])
@pytest.mark.parametrize("wide", [0, 1, 3, 4, 7, 80])
def test_what_is_cut_is_never_wider(text: str, wide: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for known in (True, False):
        monkeypatch.setattr(terminal, "knows_unicode", lambda known=known: known)
        assert terminal.cells(terminal.cut(text, wide)) <= wide
        assert terminal.cut(text, terminal.cells(text)) == text


def test_only_the_widest_columns_give() -> None:
    assert terminal.fitted([4, 30, 8], 60) == [4, 30, 8]
    assert terminal.fitted([4, 30, 8], 30) == [4, 18, 8]
    assert terminal.fitted([4, 30, 20], 30) == [4, 13, 13]
    assert terminal.fitted([4, 30, 20], 5) == [4, 4, 4]  # what is left of that is cut from the line
