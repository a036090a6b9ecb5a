"""Folders and files of our own, where something else has their name."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skinnybox import private
from skinnybox.errors import from_system
from skinnybox.layout import FILE


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


def test_what_is_put_whole_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "instance.json"

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "link", killed)
        private.put_whole(path, b"first")
    assert list(tmp_path.iterdir()) == []
    before = os.umask(0)
    try:
        assert private.put_whole(path, b"first")
    finally:
        os.umask(before)
    assert not private.put_whole(path, b"second")
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == FILE


def test_one_that_comes_in_between_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, really = tmp_path / "instance.json", os.link

    def later(*words: Any, **named: Any) -> None:
        path.write_bytes(b"theirs")
        really(*words, **named)

    monkeypatch.setattr(os, "link", later)
    assert not private.put_whole(path, b"ours")
    assert path.read_bytes() == b"theirs" and list(tmp_path.iterdir()) == [path]


def test_where_a_file_needs_a_name_nothing_is_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError):
        private.put_whole(tmp_path / "gone" / "instance.json", b"")

    def nameless(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", nameless)
        assert not private.put_whole(tmp_path / "instance.json", b"")
    assert list(tmp_path.iterdir()) == []
