"""A command waits for its own group of the command line only."""

import argparse
import subprocess
import sys
from importlib import import_module

import pytest

from skinnybox.cli import parser
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
