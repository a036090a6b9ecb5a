"""One word, one meaning: what docs/reference/words.md says holds for the code and what a user reads."""

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from skinnybox.cli.parser import build_parser
from tests.pages import ROOT, names, rows, sources

GLOSSARY = ROOT / "docs" / "reference" / "words.md"
PAGES = sorted(
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if page != GLOSSARY and "results" not in page.parts
)
ANOTHER_STATE = re.compile(r"(?<![-\w{])state\b(?!\s+folder|\.db)")
"""The folder's word; what a machine is like is its condition. Names of fields stand in code spans."""


WORDS = rows(GLOSSARY, "word")
GIVEN_UP = [word for row in WORDS for word in row[3].split(", ") if word]
IN_CODE = [name for row in WORDS for name in re.findall(r"`([^`]+)`", row[2])]


def test_every_row_is_whole_and_every_word_is_there_once() -> None:
    assert {len(row) for row in WORDS} == {4}
    words = [word for row in WORDS for word in row[0].split(", ")]
    assert len(words) == len(set(words)) > 50
    assert all(row[1] for row in WORDS) and len(IN_CODE) > 50 and len(GIVEN_UP) > 5


def test_every_name_in_code_is_there() -> None:
    assert [name for name in IN_CODE if name not in names()] == []


def prose(page: Path) -> str:
    """Without what was typed or shown, which is held to what the commands really say elsewhere."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "`", text)


def helps(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from (text for text in (parser.description, parser.epilog) if text)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from (choice.help for choice in action._choices_actions if choice.help)
            for child in action.choices.values():
                yield from helps(child)
        elif action.help and action.help != argparse.SUPPRESS:
            yield action.help


def strings(tree: ast.Module) -> Iterator[str]:
    """Messages, hints and docstrings: literals that are more than a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value


@cache
def texts() -> dict[str, str]:
    pages = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
    code = {str(path.relative_to(ROOT)): "\n".join(strings(tree)) for path, tree in sources().items()}
    return {**pages, **code, "the commands' help": "\n".join(helps(build_parser()))}


@pytest.mark.parametrize("word", GIVEN_UP)
def test_no_text_says_a_word_that_was_given_up(word: str) -> None:
    spaced = r"\s+".join(map(re.escape, word.split()))
    pattern = re.compile(rf"(?<![\w.]){spaced}(?!\w)", re.IGNORECASE)
    assert [where for where, text in texts().items() if pattern.search(text)] == []


def test_state_is_the_folder_and_nothing_else() -> None:
    said = {str(page.relative_to(ROOT)): prose(page) for page in PAGES}
    said["the glossary"] = "\n".join(re.sub(r"`[^`]*`", "`", row[1]) for row in WORDS)
    said["the commands' help"] = "\n".join(helps(build_parser()))
    for path, tree in sources().items():
        said[str(path.relative_to(ROOT))] = "\n".join(re.sub(r"`[^`]*`", "`", s) for s in strings(tree))
    assert {where: found for where, text in said.items() if (found := ANOTHER_STATE.findall(text))} == {}
