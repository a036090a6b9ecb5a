"""Text of strangers for terminals and programs: it does no harm, and can be turned back into what it was."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from skinnybox.cli import render
from skinnybox.fleet import present
from skinnybox.model import Change, ChangeKind
from skinnybox.printable import printable, printable_path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "output.md"
AS_BYTES = 'path.encode().decode("unicode_escape").encode("latin-1")'
AS_TEXT = 'value.removeprefix("\'")'


def test_the_page_says_how() -> None:
    page = PAGE.read_text()
    assert f"\n{AS_BYTES}\n" in page and f"\n{AS_TEXT}\n" in page


@given(some.binary())
@example(rb"a\x41")
@example(b"a\x41\\")
@example("\x85\xa0\u202e\U000e0001é".encode() + b"\x85\xed\xa0\x80")
@example(b"\t\n\r\x1b[2J")
def test_a_path_can_be_turned_back(raw: bytes) -> None:
    record = present.change(Change(path=raw, kind=ChangeKind.ADDED, type="-"))
    path = json.loads(json.dumps(record))["path"]
    assert path.isprintable()
    assert eval(AS_BYTES, {"path": path}) == b"/" + raw


@given(some.text())
@example("\t\n\r\x00\x9f\u202e\U000e0001\ud800")
def test_text_is_escaped_as_python_does_it(text: str) -> None:
    assert printable(text) == "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb"a\x41", "a\\\\x41"),
        (b"a\x41", "aA"),
        ("é".encode(), "é"),
        ("\x85".encode(), "\\xc2\\x85"),
        (b"\x85", "\\x85"),
        (b"\n", "\\n"),
    ],
)
def test_no_two_paths_look_the_same(raw: bytes, text: str) -> None:
    assert printable_path(raw) == text


def cells(capsys: pytest.CaptureFixture[str], *values: Any) -> list[str]:
    columns = [str(number) for number in range(len(values))]
    capsys.readouterr()
    render.emit([dict(zip(columns, values, strict=True))], columns, "csv", headers=False)
    return next(csv.reader(io.StringIO(capsys.readouterr().out)))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1", "'＝1"),
        ("'=1", "''=1"),
        (["=1", "b"], "'=1, b"),
        ("a=1", "a=1"),
        ("-", "-"),
        ("", ""),
        ("\t=1", "\\t=1"),
        (-5, "-5"),
        (None, "-"),
        (True, "yes"),
    ],
)
def test_no_cell_is_computed(capsys: pytest.CaptureFixture[str], value: Any, cell: str) -> None:
    (found,) = cells(capsys, value)
    assert found == cell
    if isinstance(value, str) and value.isprintable():
        assert eval(AS_TEXT, {"value": found}) == value


def test_only_csv_has_apostrophes(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("json", "yaml", "table"):
        render.emit([{"a": "=1"}], ["a"], form)
        assert "'=1" not in capsys.readouterr().out.replace("'=1'", "")  # YAML's own quotes
