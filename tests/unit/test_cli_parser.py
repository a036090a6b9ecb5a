"""A command waits for its own group of the command line only."""

import argparse
import subprocess
import sys
from importlib import import_module

import pytest

from skinnybox.cli import parser
from skinnybox.cli.main import parsed
from skinnybox.cli.options import Parser


def commands(of: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [found] = [action for action in of._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found.choices)


def test_every_group_adds_what_the_table_says() -> None:
    for name, said in parser._GROUPS.items():
        whole = Parser()
        import_module(f"skinnybox.cli.{name}").add_to(whole.add_subparsers())
        assert tuple(commands(whole)) == said


@pytest.mark.parametrize("command", [command for its in parser._GROUPS.values() for command in its])
def test_alone_a_command_is_what_it_is_among_all(command: str) -> None:
    alone, whole = commands(parser.build_parser(command)), commands(parser.build_parser())
    assert len(alone) < len(whole) and alone[command].format_help() == whole[command].format_help()


@pytest.mark.parametrize("command", [None, "completion", "lsit", ""])
def test_what_is_no_command_sees_them_all(command: str | None) -> None:
    assert set(commands(parser.build_parser(command))) == {
        "completion", *(command for its in parser._GROUPS.values() for command in its)
    }  # fmt: skip


def test_a_list_does_not_wait_for_the_others() -> None:
    code = (
        "import sys; from skinnybox.cli.main import parsed; parsed(['-q', 'list', 'web-*']);"
        "print(sorted(name for name in sys.modules if name.startswith('skinnybox.cli.')))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'skinnybox.cli.listing'" in said and "skinnybox.cli.overlays" not in said


LINES = [
    "list", "list a", "list a b --no-headers", "list --no-headers a b", "list a --no-headers b",
    "list a --filter x=y b --filter !z", "list --columns name,state a -q", "show a --usage b --rows 3",
    "create a b -m x --start c", "create -m x a", "create a --nic bridge=x b --nic manual -m x",
    "create a --throw-away -m x", "create a --throw-away memory b -m x", "cp a:/x --state /s y",
    "cp -r a b c", "set a --memory 1G b", "export a --data -", "rebase a --onto x b",
    "snapshot create a --label x b", "master import --as-is a b", "events a -f b", "jobs list --running",
    "delete -y a b -f", "changes a /etc --all /usr", "exec a b", "stop a --timeout 3 b --then-kill",
    "start", "start --wait", "show a --rows x", "list --colour", "create a -m", "cp a",
]  # fmt: skip


def understood(line: str) -> object:
    """What the parser makes of it, or the code it ends with."""
    try:
        return {key: value for key, value in vars(parsed(line.split())).items() if key != "usual"}
    except SystemExit as ended:
        return ended.code


@pytest.mark.parametrize("line", LINES)
def test_a_line_says_the_same_parsed_once_as_intermixed(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found, said = understood(line), capsys.readouterr()
    monkeypatch.setattr(Parser, "_plainly", lambda self, args: None)
    assert (found, said) == (understood(line), capsys.readouterr())


def test_arguments_between_which_options_stand_are_taken_in_their_order() -> None:
    found = parsed(["list", "a", "--filter", "x=y", "b", "--no-headers", "c"])
    assert (found.names, found.filter) == (["a", "b", "c"], ["x=y"])
