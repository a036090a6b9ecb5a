"""A file that was handed out is there after a power cut: its content, and then its name."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet import output_file


def by_path(file: Path) -> None:
    with output_file.handed_out(file) as part:
        part.write_bytes(b"whole")


def nameless(file: Path) -> None:
    with output_file.appearing(file) as descriptor:
        os.write(descriptor, b"whole")


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


MADE = {"by path": by_path, "nameless": nameless}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_its_name_is_on_the_disk_once_it_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    real, synced = os.fsync, list[tuple[bool, list[str]]]()

    def fsync(descriptor: int) -> None:
        is_folder = os.fstat(descriptor).st_ino == tmp_path.stat().st_ino
        synced.append((is_folder, names(tmp_path)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    make(tmp_path / "file")
    assert [is_folder for is_folder, _ in synced] == [False, True]
    before, after = (there for _, there in synced)
    assert "file" not in before and after == ["file"]


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.EIO])
def test_a_filesystem_that_syncs_no_folder_has_it_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, make: Callable[[Path], None]
) -> None:
    """One that says that the disk failed is believed."""

    def refuses(_: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(output_file, "sync", refuses)
    if number == errno.EIO:
        with pytest.raises(SkinnyboxError):
            make(tmp_path / "file")
    else:
        make(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"whole" and names(tmp_path) == ["file"]
