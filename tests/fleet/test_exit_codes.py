"""The table of exit codes: one, told alike everywhere, and true of every error and of what commands do."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import errors
from skinnybox.cli import main, parser, render
from skinnybox.cli.interrupt import INTERRUPTED
from skinnybox.fleet.service import Fleet
from tests.fleet.conftest import SPARSE, Said, said

TABLE = {
    0: "done", 1: "failed", 2: "usage", 3: "not found", 4: "conflict", 5: "blocked", 6: "unsupported",
    7: "no space", 10: "differs", 70: "a bug", 130: "cancelled",
}  # fmt: skip
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def kinds(of: type[errors.SkinnyboxError]) -> Iterator[type[errors.SkinnyboxError]]:
    yield of
    for below in of.__subclasses__():
        yield from kinds(below)


def test_every_error_ends_with_a_code_of_the_table_as_its_tree_says() -> None:
    told = {name: int(code) for name, code in re.findall(r"(\w+) +(?:exit )?(\d+) +", errors.__doc__ or "")}
    found = {kind.__name__: kind.exit_code for kind in kinds(errors.SkinnyboxError)}
    assert {name: code for name, code in found.items() if name in told} == told
    assert {"SkinnyboxError", "UsageError", "Blocked", "NoSpace", "Cancelled"} <= set(told)
    assert set(found.values()) | {0, 10, main.BUG} == set(TABLE)
    assert errors.Cancelled.exit_code == INTERRUPTED


def test_help_and_reference_tell_the_table() -> None:
    text = " ".join((parser.build_parser().epilog or "").split())
    in_help = {int(code): what for code, what in re.findall(r"(?:: |, )(\d+) ([a-z ]+)", text)}
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|$", REFERENCE.read_text(), re.MULTILINE)
    in_page = {int(code): what for code, what in rows}
    for code, what in TABLE.items():
        assert in_help[code].startswith(what) and in_page[code].startswith(what), code
    assert set(in_help) == set(in_page) == set(TABLE)


@pytest.fixture(autouse=True)
def _machines(fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    fleet.create(["a", "b"], "tiny", SPARSE)
    fleet.start(["b"])


ENDS = {
    0: ("list", "--version", "create --help", "stop a", "kill a", "plan {file}", "changes a"),
    1: ("wait a --timeout 0.1",),
    2: (
        "", "bogus", "list --bogus", "create B -m tiny", "create c", "grow a big", "grow a 1M", "set a",
        "set a --cpus 0", "plan", "plan {text}", "delete a", "exec a", "--host moon list",
        "repair --format x", "snapshot create a --label ../x", "master build x:y:z",
        "create c -m tiny --gateway 10.0.0.1",
    ),
    3: (
        "show x", "start 'x-*'", "stop x", "delete x -y", "console x", "ssh x", "changes x", "events x",
        "reset x -y", "snapshot restore none a -y", "snapshot delete none a -y", "create c -m none",
        "create c -m tiny:9",
        "create c -m tiny --ssh-key {none}", "create c -m tiny --run-once {none}", "plan {none}",
        "create c -m tiny --file {none}:/etc/x", "apply {none}", "master show x", "master verify x",
        "master remove x", "master import {none} x", "master build x --recipe {none}",
        "seed-disk a {none}/disk",
    ),
    4: ("create a -m tiny --sparse", "console a", "ssh a -- true", "seed-disk a {text}"),
    5: ("reset b -y", "delete b -y", "grow b 32M", "master remove tiny", "create c -m tiny --host qemu"),
    6: ("master import {text} x",),
    7: ("create c -m tiny --overlay 900T",),
    10: ("plan --exit-code {file}",),
}  # fmt: skip


def ended(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    (folder / "text").write_text("no tar\n" * 10_000)
    (folder / "file.yaml").write_text("version: 1\nfleet: f\nmachines:\n  c: {master: tiny, sparse: true}\n")
    names = {"{none}": "none", "{text}": "text", "{file}": "file.yaml"}
    for word, name in names.items():
        line = line.replace(word, str(folder / name))
    return said(capsys, *line.replace("'", "").split())


@pytest.mark.parametrize(("code", "line"), [(code, line) for code, lines in ENDS.items() for line in lines])
def test_commands_end_as_the_table_says(
    code: int, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = ended(line, tmp_path, capsys)
    assert heard.code == code, heard
    assert (heard.err == "") if code in (0, 10) and "plan" not in line else heard.err


def test_the_worst_of_a_batch(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "snapshot", "create", "a", "--label", "one").code == 0
    assert said(capsys, "snapshot", "restore", "-y", "one", "a", "b").code == 5
    assert said(capsys, "snapshot", "delete", "-y", "one", "a", "b").code == 3


def test_a_bug_and_an_interruption(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, code in ((ZeroDivisionError(), 70), (KeyboardInterrupt(), 130), (errors.Cancelled("x"), 130)):

        def broken(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(render, "emit", broken)
        assert said(capsys, "list").code == code
