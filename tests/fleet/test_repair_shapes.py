"""A FIFO, a folder, a looping link or nothing at all where the word of a state folder, or one of its folders,
belongs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import Blocked, Corrupt
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.registry import open_host
from skinnybox.fleet.repair import repair
from skinnybox.fleet.repair.examine import examine
from skinnybox.hosts.base import Host
from skinnybox.issues import Deed
from skinnybox.model import Instance
from tests.fleet.conftest import open_fake, said

pytestmark = pytest.mark.usefixtures("nothing_is_young")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _file(path: Path) -> None:
    path.write_text("somebody's notes\n")


_SHAPES: dict[str, tuple[Callable[[Path], None], str]] = {
    "fifo": (os.mkfifo, "is not a regular file"),
    "folder": (Path.mkdir, "is a folder"),
    "loop": (_loop, "is a symbolic link that leads in a circle"),
    "empty": (Path.touch, "is empty"),
}
shaped = pytest.mark.parametrize("shape", _SHAPES)
_NO_FOLDERS: tuple[Callable[[Path], None], ...] = (os.mkfifo, _loop, _file)
_FOLDERS = ("instances", "masters", "verified", "templates", "run", "ssh")


def spoil(path: Path, shape: str) -> str:
    path.unlink(missing_ok=True)
    make, why = _SHAPES[shape]
    make(path)
    return why


def opened(kind: str, state: Path) -> Host:
    return open_host(kind, state, repairing=True)


def of_word(state: Path, kind: str) -> tuple[Deed, str]:
    seen = examine(state, opened(kind, state))
    return next((found.deed, found.what) for found in seen.findings if found.path == state / "host")


@shaped
def test_the_word_is_written_anew_where_its_machines_are(
    state: Path, made: dict[str, Instance], shape: str, capsys: pytest.CaptureFixture[str]
) -> None:
    why = spoil(state / "host", shape)
    line = ("--state", str(state), "--host", "fake")
    told = said(capsys, *line, "list")
    assert told.code == Corrupt.exit_code and f"host {why}" in told.err and "`skinnybox repair`" in told.err
    told = said(capsys, *line, "doctor")
    assert "1 to put right" in told.out, told
    assert of_word(state, "fake") == (
        Deed.ASIDE,
        f"{why}, and is moved aside: it says memory anew, whose machines are here",
    )
    told = said(capsys, *line, "repair", "--yes")
    assert told.code == 0 and "moved aside" in told.out, told
    assert (state / "host").read_text() == "memory\n" and len(list(state.glob("host.broken-*"))) == 1
    with open_fake(state) as fleet:
        assert fleet.names() == sorted(made)
    again = said(capsys, *line, "repair", "--yes").out.splitlines()
    assert [words.split()[0] for words in again[::2]] == ["keep"], again


@shaped
def test_a_word_of_no_machines_goes(state: Path, shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    state.mkdir(mode=0o700)
    spoil(state / "host", shape)
    for kind in ("qemu", "fake"):
        deed, what = of_word(state, kind)
        assert deed is Deed.ASIDE and what.endswith("there are no machines of which it could speak")
    told = said(capsys, "--state", str(state), "repair", "--yes")
    assert told.code == 0 and not os.path.lexists(state / "host"), told
    assert said(capsys, "--state", str(state), "list").code == 0


@shaped
def test_machines_of_another_host_are_not_judged_by_this_one(
    state: Path, made: dict[str, Instance], shape: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of a pool have nothing in the folder: with --forget all of them would have been forgotten, and
    what was half made or deleted there taken for done."""
    (state / "instances").rename(state / "elsewhere")
    spoil(state / "host", shape)
    with pytest.raises(Blocked, match="nobody can say on which kind of host"):
        repair.repair(state, opened("qemu", state), forget=True)
    assert os.path.lexists(state / "host") and of_word(state, "qemu")[0] is Deed.KEEP
    told = said(capsys, "--state", str(state), "repair", "--yes", "--forget")
    assert told.code == Blocked.exit_code and "with the --host on which they are" in told.err, told
    assert "forgotten" not in told.out
    assert "nobody can say" in said(capsys, "--state", str(state), "doctor").out
    (state / "elsewhere").rename(state / "instances")
    repair.repair(state, opened("fake", state))
    with open_fake(state) as fleet:
        assert fleet.names() == sorted(made)


@shaped
def test_nor_is_a_pools_catalog_that_was_lost_written_anew(state: Path, shape: str) -> None:
    state.mkdir(mode=0o700)
    (state / "pool").write_text("0e6f1c4e-5d0f-4ad9-9f51-4ce6a6c8a2d0\n")
    spoil(state / "host", shape)
    with pytest.raises(Blocked, match="nobody can say on which kind of host"):
        repair.repair(state, opened("qemu", state))
    assert not (state / "state.db").exists()


def test_a_repair_that_was_killed_before_the_word_was_written(state: Path, made: dict[str, Instance]) -> None:
    (state / "host").unlink()
    repair.repair(state, opened("fake", state))
    assert host_kind.noted(state) == host_kind.FAKE
    assert made


@pytest.mark.parametrize("make", _NO_FOLDERS)
@pytest.mark.parametrize("name", _FOLDERS)
def test_what_is_no_folder_is_moved_aside(
    state: Path, made: dict[str, Instance], name: str, make: Callable[[Path], None]
) -> None:
    path = state / name
    if path.exists():
        path.rename(state.parent / name)
    make(path)
    seen = examine(state, opened("fake", state))
    assert [(found.deed, found.path) for found in seen.findings if found.path == path] == [(Deed.ASIDE, path)]
    done = repair.repair(state, opened("fake", state))
    assert [outcome.error for outcome in done if outcome.error] == []
    assert not os.path.lexists(path) or path.is_dir()
    assert len(list(state.glob(f"{name}.broken-*"))) == 1
    with open_fake(state) as fleet:
        assert fleet.names() == sorted(made)  # remembered still


@pytest.mark.parametrize("make", _NO_FOLDERS)
@pytest.mark.parametrize("name", _FOLDERS)
def test_also_on_qemu_where_nothing_was_made(state: Path, name: str, make: Callable[[Path], None]) -> None:
    state.mkdir(mode=0o700)
    make(state / name)
    repair.repair(state, opened("qemu", state))
    assert len(list(state.glob(f"{name}.broken-*"))) == 1
    assert {found.deed for found in examine(state, opened("qemu", state)).findings} <= {Deed.KEEP}


def test_a_link_to_a_folder_stays(state: Path, made: dict[str, Instance]) -> None:
    """And one to nowhere: perhaps a disk that is not mounted."""
    (state / "templates").rename(state.parent / "far")
    (state / "templates").symlink_to(state.parent / "far")
    (state / "verified").symlink_to(state.parent / "nowhere")
    seen = examine(state, opened("fake", state))
    assert not {found.path.name for found in seen.findings} & {"templates", "verified"} and made
