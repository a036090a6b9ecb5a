"""`cp` out of a machine that is off, by its command line, on the fake host."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.merged.frames import Entry
from skinnybox.delta.merged.receiving import Frames
from skinnybox.errors import Cancelled
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put, two_masters

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]
HOLE = 5 << 30


@pytest.fixture
def web(fleet: Fleet, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    [instance] = fleet.create(["web"], "web:1", SPARSE)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    put(image(state, instance), "srv/site/index", "mine")
    put(image(state, instance), "srv/site/run", "mine too")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", HOLE)
    orders(
        image(state, instance),
        "set_inode_field upper/srv/site/run mode 0104755",
        "symlink upper/srv/site/out /etc/passwd",
        "symlink upper/srv/site/within index",
        f"write {tmp_path}/sparse upper/srv/site/sparse",
        "symlink upper/site /srv/../srv/site",
        "cd upper/srv/site",
        "mknod null c 1 3",
    )
    return instance


def here(folder: str = ".") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def orders(disk: Path, *lines: str) -> None:
    script = disk.with_name("orders")
    script.write_text("".join(f"{line}\n" for line in lines))
    run.run(["debugfs", "-w", "-f", script, disk])
    script.unlink()


def test_a_tree_comes_and_nothing_that_leads_out_of_it(
    fleet: Fleet, state: Path, web: Instance, capsys: Said
) -> None:
    before = image(state, web).read_bytes()
    ended = said(capsys, "cp", "-r", "web:/site/", "copy")
    assert (ended.code, ended.out) == (0, ""), ended
    assert here("copy") == ["index", "run", "sparse", "within"]
    assert Path("copy/index").read_text() == "mine" and Path("copy/within").readlink() == Path("index")
    run_there, sparse = Path("copy/run").stat(), Path("copy/sparse").stat()
    assert stat.S_IMODE(run_there.st_mode) == 0o755 and run_there.st_uid == os.getuid()
    assert sparse.st_size == HOLE and sparse.st_blocks * 512 < 1 << 20
    assert "web:/site/out (a link that leads out of it)" in ended.err and "null (no file)" in ended.err
    assert image(state, web).read_bytes() == before and here() == ["copy"]


def test_what_it_has_of_its_master_comes_too(web: Instance, capsys: Said) -> None:
    Path("in").mkdir()
    assert said(capsys, "cp", "web:/etc/web.conf", "web:/site/index", "in").code == 0
    assert "Debug no" in Path("in/web.conf").read_text() and Path("in/index").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ("web:/site here", 2, "is a folder"),
        ("web:/none here", 3, "web:/none: no such file"),
        ("web:notes here", 2, "an absolute path: web:/etc/hostname"),
        ("web:/site/null here", 2, "neither a file nor a folder"),
        ("there web:/root/", 4, "skinnybox start web"),
    ],
)
def test_what_cannot_be_is_said(web: Instance, capsys: Said, words: str, code: int, why: str) -> None:
    Path("there").touch()
    ended = said(capsys, "cp", *words.split())
    assert (ended.code, why in ended.err) == (code, True), ended
    assert here() == ["there"]


def test_a_size_that_no_file_can_have_here_is_said(state: Path, web: Instance, capsys: Said) -> None:
    orders(image(state, web), "set_inode_field upper/srv/site/index size 0xfffffffffffff")
    for words in (("web:/site/index", "index"), ("-r", "web:/", "all")):
        ended = said(capsys, "cp", *words)
        assert (ended.code, "can have no file of 4096.0T" in ended.err) == (4, True), ended
        assert here() == [] and "web://" not in ended.err


def test_one_that_was_killed_is_read_as_its_journal_leaves_it(
    state: Path, web: Instance, capsys: Said
) -> None:
    disk = image(state, web)
    orders(disk, "feature needs_recovery")
    before = disk.read_bytes()
    ended = said(capsys, "cp", "web:/site/index", "index")
    assert ended.code == 0 and Path("index").read_text() == "mine", ended
    assert disk.read_bytes() == before


def test_cut_off_nothing_of_it_is_left(fleet: Fleet, web: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    operation, seen = Operation(), list[list[str]]()
    whole = Frames.content

    def until(self: Frames, entry: Entry) -> Iterator[bytes | int]:
        for piece in whole(self, entry):
            seen.append(here())
            operation.cancel()
            yield piece

    monkeypatch.setattr(Frames, "content", until)
    with pytest.raises(Cancelled):
        fleet.remote.fetch("web", ["/site"], Path("copy"), recursive=True, operation=operation)
    assert here() == [] and len(seen) == 1 and seen[0][0].endswith(".part")
    assert fleet.start(["web"])[0].error is None  # its disks are nobody's


def test_its_data_disk_is_seen_where_the_machine_sees_it(
    fleet: Fleet, state: Path, web: Instance, capsys: Said
) -> None:
    assert said(capsys, "set", "web", "--data", "32M", "--data-dir", "/srv/data").code == 0
    disk = state / "instances" / str(web.uuid) / "data.img"
    (disk.parent / "content").write_text("kept")
    orders(disk, "mkdir folders/srv%data", f"write {disk.parent}/content folders/srv%data/x")
    assert said(capsys, "cp", "web:/srv/data/x", "web:/site/index", ".").code == 0
    assert Path("x").read_text() == "kept" and Path("index").read_text() == "mine"
    assert said(capsys, "cp", "-r", "web:/srv", ".").code == 0
    assert Path("srv/data/x").read_text() == "kept" and Path("srv/site/index").read_text() == "mine"
