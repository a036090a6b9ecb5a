"""`move` to what is no folder for machines, and commands in one: what is said, and what to do."""

import errno
import os
from pathlib import Path

import pytest

from skinnybox import private
from tests.fleet.conftest import said

Said = pytest.CaptureFixture[str]
NO_FOLDERS = ("/dev/null", "file", "file/x", "loop", "loop/x", "fifo", "n" * 300)


@pytest.fixture
def around(tmp_path: Path) -> Path:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


@pytest.mark.parametrize("name", NO_FOLDERS)
def test_what_is_no_folder(around: Path, capsys: Said, name: str) -> None:
    """Nobody is told to close /dev/null to others, nor of options that name another folder than was meant."""
    place, common = str(around / name), ("--state", str(around / "state"), "--host", "fake")
    there = said(capsys, *common, "move", "web", "--to", place)
    here = said(capsys, "--state", place, "--host", "fake", "list")
    for ended in (there, here):
        assert (ended.code, ended.out) == (1, ""), ended
        assert ended.err.startswith(f"skinnybox: the state folder {place} cannot be used: ")
        assert "chmod" not in ended.err and "Traceback" not in ended.err
    assert there.err.endswith("\n  hint: --to names another one\n")
    assert here.err.endswith("\n  hint: --state or SKINNYBOX_STATE names another one\n")
    far = said(capsys, "--state", place, "--host", "fake", "receive")
    assert far.code == 1 and "--to names another one" in far.out


def test_hints_about_a_folder_are_of_that_one(around: Path, capsys: Said) -> None:
    """Which others may replace, or which has something else where its host is said."""
    everybodys, broken = around / "everybodys", around / "bro ken"
    everybodys.mkdir()
    everybodys.chmod(0o777)
    (broken / "host").mkdir(parents=True, mode=0o700)
    for place, hint in (
        (everybodys / "x", f"hint: chmod o-w {everybodys}, or another folder: --to names one"),
        (broken, f"hint: `skinnybox --state '{broken}' repair` moves it aside"),
    ):
        common = ("--state", str(around / "state"), "--host", "fake")
        ended = said(capsys, *common, "move", "web", "--to", str(place))
        assert ended.code in (1, 5) and hint in ended.err, ended


def test_from_a_state_folder_that_is_not_there_yet(around: Path, capsys: Said) -> None:
    (around / "to").mkdir(mode=0o700)
    ended = said(
        capsys, "--state", str(around / "none"), "--host", "fake", "move", "web", "--to", str(around / "to")
    )
    assert ended.code == 3 and "no machine named web" in ended.err, ended


def test_where_no_folder_can_be_made_nobody_tries_for_ever() -> None:
    with pytest.raises(PermissionError) as caught:
        private.make_folder(Path("/proc/skinnybox/x"))
    assert caught.value.errno == errno.EPERM and caught.value.filename == "/proc/skinnybox"
