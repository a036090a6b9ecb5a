"""Disks of 4 GiB and more: what works on them does so with a thread for each processor."""

from pathlib import Path

import pytest

from skinnybox.model import Allocation
from skinnybox.operation import Operation
from skinnybox.overlays import edit, journal
from skinnybox.overlays.grow import grow
from skinnybox.overlays.make import make
from skinnybox.overlays.template import template
from skinnybox.sizes import GIB

BASE = b"skinnybox-base 1\nimage sha256:1 2\nend\n"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "overlay.img"
    make(template(tmp_path, 5 * GIB), path, base=BASE, seed=b"s\n", allocation=Allocation.SPARSE)
    return path


def test_they_are_checked_and_altered(disk: Path) -> None:
    """Here it ended with "Operation not permitted while retrying to read bitmaps"."""
    edit.prepared(disk)
    with (disk.parent / "contents").open("w+b") as contents:
        assert edit.edited(disk, [], contents.fileno(), Operation()) == 0
    edit.settled(disk)
    journal.replay(disk)


def test_they_grow(disk: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.img"
    with new.open("xb") as file:
        file.truncate(7 * GIB)
    grow(disk, new, Operation())
    edit.prepared(new)
