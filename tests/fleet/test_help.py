"""What a command line that is wrong, short or only begun is answered: usage, what is near, examples, Tab."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from skinnybox.cli import examples
from skinnybox.cli.aliases import in_full
from skinnybox.cli.main import parsed
from skinnybox.cli.parser import build_parser
from skinnybox.fleet.service import Fleet
from tests.fleet.conftest import SPARSE, said
from tests.fleet.test_words_behind_dashes import LEAVES, leaves

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _place(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")


def ours(example: str) -> list[str]:
    """The words of the command in what is typed into a shell, without what stands around it."""
    line = example.partition(" # ")[0].partition(" > ")[0].rpartition("| ")[2]
    return shlex.split(line.removeprefix('eval "$(').removesuffix(')"'))


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_each_help_page_has_examples_and_each_is_understood(path: tuple[str, ...]) -> None:
    lines = examples._OF[" ".join(path)]
    assert all(f"\n  {line}\n" in LEAVES[path].format_help() for line in lines)
    for line in lines:
        program, *words = ours(line)
        assert program == "skinnybox" and tuple(words[: len(path)]) == path
        assert callable(parsed(words).run)


def test_there_are_no_examples_of_what_is_no_command() -> None:
    assert {path for path in examples._OF if path} == {" ".join(path) for path in LEAVES}
    for line in examples._OF[""]:
        assert callable(parsed(ours(line)[1:]).run)


@pytest.mark.parametrize(
    ("line", "usage", "hint"),
    [
        ("list --no-hedaers", "usage: skinnybox list [-h]", "did you mean --no-headers"),
        ("list --xyzzy", "usage: skinnybox list [-h]", "skinnybox list --help"),
        ("create web --mastr tiny", "usage: skinnybox create [-h]", "did you mean --master"),
        ("master show tiny --fromat json", "usage: skinnybox master show [-h]", "did you mean --format"),
        ("console a b", "usage: skinnybox console [-h]", "skinnybox console --help"),
        ("snapshot", "usage: skinnybox snapshot [-h]", "skinnybox snapshot --help"),
        ("--bogus list", "usage: skinnybox [-h]", "skinnybox --help"),
        ("delete -- --forec", None, None),  # an argument, whatever it looks like
        ("lsit", None, "did you mean list"),
        ("master bild x", None, "did you mean build"),
        ("xyzzy", None, "`skinnybox --help` lists them"),
        ("master xyzzy", None, "`skinnybox master --help` lists them"),
    ],
)
def test_what_is_wrong_is_told_of_the_command_at_hand(
    line: str, usage: str | None, hint: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = said(capsys, *line.split())
    assert heard.out == ""
    if hint is None:
        assert heard.code == 3 and "usage" not in heard.err
        return
    assert heard.code == 2 and heard.err.splitlines()[-1].startswith(f"  hint: {hint}")
    assert heard.err.startswith(usage) if usage else "usage" not in heard.err


def test_no_word_of_a_line_reaches_the_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("\x1b[2J",), ("console", "a", "\x1b[2J"), ("master", "\x1b[2J")):
        assert "\x1b" not in said(capsys, *words).err


SHORT = {
    "ls": "list",
    "ls web-* --names": "list web-* --names",
    "rm -f a": "delete -f a",
    "info a": "show a",
    "-q --state x ls": "-q --state x list",
    "master ls": "master list",
    "master rm a": "master remove a",
    "master info a": "master show a",
    "snapshot ls": "snapshot list",
    "snapshot rm x a": "snapshot delete x a",
    "help": "--help",
    "help create": "create --help",
    "help master build": "master build --help",
    "help ls": "list --help",
    "help master rm": "master remove --help",
    "show ls": "show ls",
    "create rm -m ls": "create rm -m ls",
    "list": "list",
    "": "",
    "--state ls list": "--state ls list",
    "master": "master",
    "exec ls": "exec ls",
}


@pytest.mark.parametrize("typed", SHORT)
def test_short_words(typed: str) -> None:
    assert in_full(typed.split()) == SHORT[typed].split()


def test_short_words_do_what_the_long_ones_do(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.create(["a", "ls"], "tiny", SPARSE)
    assert said(capsys, "ls", "--names") == (0, "a\nls\n", "")
    assert said(capsys, "info", "--", "ls").out == said(capsys, "show", "ls").out
    assert said(capsys, "rm", "-y", "ls").out == "ls: deleted\n"
    assert said(capsys, "help", "list").out == said(capsys, "list", "--help").out
    assert said(capsys, "exec", "x", "--", "ls").code == 3


def test_no_short_word_is_a_command() -> None:
    below = {path for path, _ in leaves(build_parser())}
    assert not below & {("ls",), ("rm",), ("info",), ("help",), ("master", "ls"), ("snapshot", "rm")}


def test_a_near_label_is_named(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    said(capsys, "snapshot", "create", "a", "--label", "before-upgrade")
    assert "did you mean before-upgrade?" in said(capsys, "snapshot", "restore", "before-upgrad", "a").err
    assert "skinnybox snapshot list a" in said(capsys, "snapshot", "restore", "x", "a").err


COMPLETE = """
set -e
PATH={bin}:$PATH
. {script}
COMP_WORDS=(skinnybox {words}) COMP_CWORD={last}
_shtab_skinnybox
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("snapshot restore ''", ["before", "later"]),
        ("snapshot restore before ''", ["a", "b"]),
        ("snapshot delete bef", ["before"]),
        ("plan fl", ["fleet.yaml"]),
        ("create -m tiny --ssh-key k", ["key.pub"]),
        ("master import fo", ["folder"]),
        ("list --state fo", ["folder"]),
        ("list --state k", []),
        ("flatten a fl", ["fleet.yaml"]),
        ("show ''", ["a", "b"]),
    ],
)
def test_shells_complete_labels_and_files(
    line: str, found: list[str], fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    fleet.overlays.snapshot(["a", "b"], "before")
    fleet.overlays.snapshot(["a"], "later")
    here = tmp_path / "here"
    (here / "folder").mkdir(parents=True)
    for name in ("fleet.yaml", "key.pub"):
        (here / name).touch()
    script = tmp_path / "script"
    script.write_text(said(capsys, "completion", "bash").out)
    words = {"bin": Path(sys.executable).parent, "script": script, "words": line, "last": len(line.split())}
    typed = ["bash", "-c", COMPLETE.format(**words)]
    done = subprocess.run(typed, cwd=here, capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == found
