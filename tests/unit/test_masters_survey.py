import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.masters.catalogue import delete
from skinnybox.masters.survey import DEEPEST, LONGEST_PATH, survey, walk
from tests.samples import nested


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    delete(tmp_path)  # what these tests nest is too deep for pytest


def test_a_group_is_counted_once(tree: Path) -> None:
    (tree / "a").mkdir()
    (tree / "a" / "x").write_bytes(b"one")
    (tree / "z").hardlink_to(tree / "a" / "x")
    (tree / "other").write_bytes(b"other")
    (tree / "link").symlink_to("/etc/passwd")
    os.utime(tree / "other", (4_000_000_000, 4_000_000_000))
    found = survey(tree)
    assert (found.entries, found.size, found.newest) == (6, len("one") + len("other"), 4_000_000_000)


def test_names_whose_targets_are_too_long_to_be_looked_up(tree: Path) -> None:
    (tree / "link").symlink_to("n" * 1000)
    assert [path for path, _ in walk(os.fsencode(tree))] == [b"", b"link"]


def test_the_deepest_tree(tree: Path) -> None:
    nested(tree, "d", DEEPEST)
    assert survey(tree).entries == 1 + DEEPEST


@pytest.mark.parametrize(("name", "levels"), [("d", DEEPEST + 1), ("d", 5000), ("n" * 200, 40)])
def test_trees_that_are_too_deep(tree: Path, name: str, levels: int) -> None:
    nested(tree, name, levels)
    with pytest.raises(Unsupported, match="nested") as refused:
        survey(tree)
    assert str(DEEPEST) in str(refused.value.hint) and str(LONGEST_PATH) in str(refused.value.hint)
