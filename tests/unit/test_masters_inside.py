"""Reaching into a tree that strangers made, by paths that they named."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.masters import inside

READS: tuple[tuple[Callable[[Path, str], object], object], ...] = (
    (inside.open_folder, None),
    (inside.is_folder, False),
    (inside.names, []),
    (inside.links, {}),
    (inside.open_file, None),
    (lambda tree, path: inside.read(tree, path, 10), None),
    (inside.exists, False),
    (inside.link_target, None),
)
PATHS = (
    "nothing",
    "usr/bin/nothing",
    "file/x",
    "away/passwd",
    "\0",
    "usr/bin\0",
    "usr\0/bin",
    "usr/bin/\0",
    "a" * 300,
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("read", "nothing"), READS)
def test_what_no_tree_has_is_not_there(
    read: Callable[[Path, str], object], nothing: object, path: str, tmp_path: Path
) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "away").symlink_to("/etc")
    assert read(tmp_path, path) == nothing
