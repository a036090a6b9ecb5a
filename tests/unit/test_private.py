"""Folders and files of our own, where something else has their name."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import private
from skinnybox.errors import from_system


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("put", [Path.touch, os.mkfifo, _dangling])
def test_a_folder_cannot_be_made_where_something_else_lies_and_that_is_no_bug(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """`start` ended with a traceback when a file had the name of a machine's run folder."""
    put(tmp_path / "run")
    for wanted in (tmp_path / "run", tmp_path / "run" / "below"):
        with pytest.raises(OSError) as caught:
            private.make_folder(wanted)
        told = from_system(caught.value)
        assert told is not None and str(tmp_path / "run") in told.message
        assert told.message.endswith("a file where a folder should be")
