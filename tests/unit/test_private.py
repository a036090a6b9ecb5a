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


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, _dangling, lambda path: path.symlink_to("/dev/null")])
def test_what_is_written_to_is_a_file_and_nobody_waits_to_open_it(
    tmp_path: Path, put: Callable[[Path], None]
) -> None:
    """A FIFO named run/events.jsonl held up `repair` for ever, one named console.log the supervisor."""
    path = tmp_path / "log"
    put(path)
    with pytest.raises(OSError) as caught:
        private.to_append(path)
    assert from_system(caught.value) is not None
    path.rmdir() if path.is_dir() else path.unlink()
    for _ in range(2):
        descriptor = private.to_append(path)
        os.write(descriptor, b"x")
        os.close(descriptor)
    assert path.read_bytes() == b"xx" and path.stat().st_mode & 0o777 == 0o600
