"""What edits do to a disk beside what a rebase asks of them: further names, holes, flags and times."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt
from skinnybox.ext4 import open_volume
from skinnybox.operation import Operation
from skinnybox.overlays import contents, edit
from skinnybox.overlays.edits import RUN, Alteration, Creation, Edit, Holed, Link, Stretch
from tests.unit.rebased import f
from tests.unit.rebased_disk import cache, creations, overlay, read, without_confinement

__all__ = ["cache"]
TOP = b"upper"
ODD = b'a\n"\\\xff <12>'


@pytest.fixture
def disk(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    without_confinement(monkeypatch)
    return overlay(tmp_path / "disk.img", cache, {b"etc/a": f("one")})


def top(disk: Path) -> int:
    with open_volume(disk) as volume:
        return volume.lookup(TOP).inode


def done(disk: Path, edits: list[Edit], file: Any = None) -> None:
    with tempfile.TemporaryFile() as nothing:
        (file or nothing).flush()
        edit.edited(disk, edits, (file or nothing).fileno(), Operation())
    edit.settled(disk, index=True)
    run.run(["e2fsck", "-fn", disk])


def link(disk: Path, path: bytes, of: bytes = b"etc/a") -> Link:
    folder, _, name = path.rpartition(b"/")
    below = tuple(folder.split(b"/")) if folder else ()
    return Link(folder=top(disk), below=below, name=name, path=TOP + b"/" + path, of=TOP + b"/" + of)


def test_further_names_are_the_same_inode_and_are_counted(disk: Path) -> None:
    names = [b"etc/b", b"c", b"etc/" + ODD, b"etc/<12>"]
    done(disk, [link(disk, name) for name in names])
    with open_volume(disk) as volume:
        first = volume.lookup(TOP + b"/etc/a")
        assert first.links == len(names) + 1
        assert {volume.lookup(TOP + b"/" + name).inode for name in names} == {first.inode}


def test_further_names_of_what_has_an_odd_one(disk: Path) -> None:
    with tempfile.TemporaryFile() as file:
        edits = [*creations({b"etc/" + ODD: f("two")}, top(disk), TOP, file)]
        done(disk, [*edits, link(disk, b"plain", of=b"etc/" + ODD)], file)
    assert read(disk)[b"plain"].content == b"two"


@pytest.mark.parametrize("odd", [False, pytest.param(True, marks=pytest.mark.full)])
def test_a_folder_without_room_for_a_name_gets_more(disk: Path, odd: bool) -> None:
    """debugfs's own `ln` leaves the name out then, and says so to nobody."""
    end = b"\n" if odd else b""
    names = [b"etc/%03d" % number + b"x" * 200 + end for number in range(20)]
    done(disk, [link(disk, name) for name in names])
    assert {path for path, thing in read(disk).items() if thing.type == "-"} == {b"etc/a", *names}


def test_a_name_of_what_is_not_there_is_no_name(disk: Path) -> None:
    before = read(disk)
    done(disk, [link(disk, b"b", of=b"nowhere"), link(disk, b"c", of=b"etc/a/b")])
    assert read(disk) == before


def holed(file: Any, size: int, *runs: tuple[int, bytes]) -> Holed:
    table = b"".join(RUN.pack(offset, len(data)) for offset, data in runs)
    start = file.tell()
    file.write(table)
    data = b"".join(data for _, data in runs)
    file.write(data)
    return Holed(size, Stretch(start, len(table)), Stretch(start + len(table), len(data)))


def made(disk: Path, path: bytes, content: Stretch | Holed | None, **more: Any) -> Creation:
    return Creation(
        folder=top(disk), name=path, path=TOP + b"/" + path, mode=more.pop("mode", 0o100600), uid=1, gid=2,
        mtime_ns=3, content=content, **more,
    )  # fmt: skip


def test_holes_stay_holes(disk: Path) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"others")
        runs = ((8192, b"b" * 4096), (1 << 39, b"c"))
        large, none = holed(file, 1 << 40, *runs), holed(file, 1 << 33)
        done(disk, [made(disk, b"large", large), made(disk, b"none", none)], file)
    with open_volume(disk) as volume:
        first, second = volume.lookup(TOP + b"/large"), volume.lookup(TOP + b"/none")
        assert (first.size, second.size) == (1 << 40, 1 << 33)
        assert [logical for logical, _, _ in volume.extents(first)] == [8192, 1 << 39]
        assert volume.part(first, 8191, 4098) == b"\0" + b"b" * 4096 + b"\0"
        assert volume.part(first, (1 << 39) - 1, 3) == b"\0c\0"
        assert list(volume.extents(second)) == [] and second.sectors == 0


@pytest.mark.parametrize("runs", [((0, 7),), ((8, 3),), ((0, 5), (5, 2)), ((0, 1 << 63),)])
def test_runs_that_do_not_fit_are_refused(tmp_path: Path, runs: tuple[tuple[int, int], ...]) -> None:
    """The child that says them has read an archive of a stranger."""
    with tempfile.TemporaryFile() as file:
        table = b"".join(RUN.pack(*each) for each in runs)
        file.write(table + b"sixsix")
        file.flush()
        content = Holed(10, Stretch(0, len(table)), Stretch(len(table), 6))
        with pytest.raises(Corrupt, match="do not fit it"):
            contents.put(file.fileno(), content, tmp_path / "new")


def test_a_file_without_end_is_none(tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as file, pytest.raises(Corrupt, match="before its end"):
        contents.put(file.fileno(), Stretch(0, 1), tmp_path / "new")


def test_flags_and_times_come_to_what_is_made_and_to_what_is_there(disk: Path) -> None:
    """Beside those that say how it is stored; a short symlink and a device have none of these."""
    with tempfile.TemporaryFile() as file:
        file.write(b"content")
        wanted: list[Edit] = [
            made(disk, b"file", Stretch(0, 7), flags=0x30),
            made(disk, b"folder", None, mode=0o040755, flags=0x80),
            made(disk, b"short", None, mode=0o120777, target=b"x" * 59, flags=0x80),
            made(disk, b"long", None, mode=0o120777, target=b"x" * 60, flags=0x80),
            made(disk, b"pipe", None, mode=0o010600, flags=0x80),
            Alteration(inode=top(disk), mtime_ns=-1_500_000_000, flags=0x40),
        ]
        done(disk, wanted, file)
    with open_volume(disk) as volume:
        places = ("file", "folder", "short", "long", "pipe", "")
        found = {place: volume.lookup(TOP + b"/" + place.encode()) for place in places}
        assert {place: node.flags for place, node in found.items()} == {
            "file": 0x80030, "folder": 0x80080, "short": 0x80, "long": 0x80080, "pipe": 0x80, "": 0x80040,
        }  # fmt: skip
        assert found[""].mtime_ns == -1_500_000_000 and found["file"].mtime_ns == 3
        assert b"".join(volume.read(found["file"])) == b"content"
        assert volume.target(found["long"]) == b"x" * 60


def test_devices_have_the_numbers_that_were_said(disk: Path) -> None:
    """debugfs itself makes none with a number above 65,535."""
    numbers = [
        (0, 0),
        (1, 3),
        (0, 5),
        (255, 255),
        (255, 256),
        (256, 255),
        (8, 65_535),
        (8, 65_536),
        (4095, 0xFFFFF),
    ]
    edits: list[Edit] = [
        made(disk, b"%s-%d" % (letter, at), None, mode=mode | 0o600, rdev=rdev)
        for letter, mode in ((b"c", 0o020000), (b"b", 0o060000))
        for at, rdev in enumerate(numbers)
    ]
    done(disk, edits)
    with open_volume(disk) as volume:
        for letter in "cb":
            found = [volume.lookup(TOP + f"/{letter}-{at}".encode()) for at in range(len(numbers))]
            assert [(node.type, node.rdev) for node in found] == [(letter, rdev) for rdev in numbers]
