"""`--`: what follows is arguments, in every command; but in exec and ssh it is what runs in machines."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skinnybox.cli.main import parsed
from skinnybox.cli.parser import build_parser
from tests.fleet.conftest import said

RUN_IN_MACHINES = (("exec",), ("ssh",))


def leaves(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in below:
        for name, child in action.choices.items():
            yield from leaves(child, (*path, name))
    if not below:
        yield path, parser


LEAVES = dict(leaves(build_parser()))
TAKING = [path for path, parser in LEAVES.items() if parser._get_positional_actions()]


def arguments_of(path: tuple[str, ...]) -> list[str]:
    """As many as it takes; where it takes several, two."""
    found: list[str] = []
    for action in LEAVES[path]._get_positional_actions():
        many = action.nargs in ("+", "*")
        value = next(iter(action.choices)) if action.choices else f"the-{action.dest}"
        found += [f"{value}-1", f"{value}-2"] if many else [value]
    return found


def options_of(path: tuple[str, ...]) -> list[str]:
    one_of = [group._group_actions[0] for group in LEAVES[path]._mutually_exclusive_groups if group.required]
    required = [action for action in LEAVES[path]._actions if action.required and action.option_strings]
    required += [action for action in one_of if action.option_strings]
    given = ((action.option_strings[-1], next(iter(action.choices or ["x"]))) for action in required)
    return ["--quiet", *(word for pair in given for word in pair)]


def meant(*words: str) -> dict[str, Any]:
    return {key: value for key, value in vars(parsed(words)).items() if key not in ("command", "run")}


def test_there_are_such_commands() -> None:
    assert len(TAKING) > 25 and set(RUN_IN_MACHINES) < set(TAKING)


@pytest.mark.parametrize("path", [path for path in TAKING if path not in RUN_IN_MACHINES], ids=" ".join)
def test_no_word_is_swallowed(path: tuple[str, ...]) -> None:
    arguments, options = arguments_of(path), options_of(path)
    whole = meant(*path, *options, *arguments)
    for cut in range(len(arguments) + 1):
        before, behind = arguments[:cut], arguments[cut:]
        assert meant(*path, *options, *before, "--", *behind) == whole
        assert meant(*path, *before, *options, "--", *behind) == whole
        assert meant("--state", "x", *path, *options, *before, "--", *behind) == {**whole, "state": Path("x")}


@pytest.mark.parametrize("path", [path for path in TAKING if path not in RUN_IN_MACHINES], ids=" ".join)
def test_behind_it_nothing_is_an_option(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = arguments_of(path)
    if not LEAVES[path]._get_positional_actions()[-1].choices:
        found = meant(*path, *options_of(path), "--", *arguments[:-1], "--quiet")
        last = found[LEAVES[path]._get_positional_actions()[-1].dest]
        assert str(last[-1] if isinstance(last, list) else last) == "--quiet"
    for wrong in (["--", *arguments, "--"], ["--", "--", *arguments]):
        told = said(capsys, *path, *options_of(path), *wrong)
        assert told.code == 2 and "needed once only" in told.err


@pytest.mark.parametrize("path", RUN_IN_MACHINES)
def test_what_runs_in_a_machine_is_kept(path: tuple[str, ...]) -> None:
    words = ["ls", "--", "-l", "--quiet"]
    for before in ([], ["--quiet"], ["--state", "list"]):
        found = parsed([*before, *path, "web", "--", *words])
        assert found.command == words and found.quiet == ("--quiet" in before)


PATHS = [
    (path, action)
    for path, parser in LEAVES.items()
    for action in parser._actions
    if action.metavar in ("FILE", "FOLDER", "SOURCE")
]


@pytest.mark.parametrize(("path", "action"), PATHS)
def test_no_path_is_empty(
    path: tuple[str, ...], action: argparse.Action, capsys: pytest.CaptureFixture[str]
) -> None:
    if action.option_strings:
        words = [*options_of(path), action.option_strings[-1], "", *arguments_of(path)]
    else:
        words = options_of(path) + [
            "" if word in (f"the-{action.dest}", f"the-{action.dest}-1") else word
            for word in arguments_of(path)
        ]
    told = said(capsys, *path, *words)
    assert told.code == 2 and "the path is empty" in told.err


def test_the_state_folder_is_not_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(PATHS) > 50
    told = said(capsys, "--state=", "list")
    assert told.code == 2 and "argument --state: the path is empty" in told.err


def test_former_words_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed(["snapshot", "--list", "--", "a", "b"]).names == ["a", "b"]
    assert parsed(["snapshot", "a", "--", "b"]).names == ["a", "b"]
    capsys.readouterr()
