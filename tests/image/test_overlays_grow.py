"""Growing builds a larger overlay beside the old one, and refuses what is damaged or too much."""

import os
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.model import Allocation
from skinnybox.operation import Operation
from skinnybox.overlays import inspect
from skinnybox.overlays.grow import grow
from skinnybox.overlays.make import make
from skinnybox.overlays.patch import put_message
from skinnybox.overlays.template import template
from skinnybox.sizes import GIB, MIB
from skinnybox.wire import Line, encode

pytestmark = pytest.mark.image

BASE = encode("base", 1, [Line("instance", "0b6f1c1e-5f0e-4c5f-9a53-6d8f0b3a1c11")])


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    made = tmp_path / "overlay.img"
    form = template(tmp_path / "cache", 32 * MIB)
    make(form, made, base=BASE, seed=b"s\n", allocation=Allocation.SPARSE)
    return made


def blank(overlay: Path, size: int) -> Path:
    new = overlay.with_name("new.img")
    with new.open("wb") as file:
        file.truncate(size)
    return new


def test_a_grown_overlay_has_all_it_had(overlay: Path) -> None:
    content = overlay.with_name("content")
    content.write_bytes(os.urandom(3 * MIB))
    for command in (f"write {content} upper/file", "mkdir upper/folder", "symlink upper/link /target"):
        run.run(["debugfs", "-w", "-R", command, overlay])
    before = overlay.read_bytes()
    new = blank(overlay, 300 * MIB)
    grow(overlay, new, Operation())
    assert overlay.read_bytes() == before
    shape = inspect.read_shape(new)
    assert (shape.label, shape.size, shape.clean, shape.has_upper) == (
        "skinny-overlay",
        300 * MIB,
        True,
        True,
    )
    assert inspect.read_base(new) == inspect.read_base(overlay)
    run.run(["e2fsck", "-fn", new])
    listed = run.run(["debugfs", "-R", "ls -p upper", new]).stdout.decode()
    assert "/file/" in listed and "/folder/" in listed and "/link/" in listed
    assert run.run(["debugfs", "-R", "cat upper/file", new]).stdout == content.read_bytes()
    assert new.stat().st_uid == os.geteuid()


@pytest.mark.parametrize("times", [16, 32])
def test_it_grows_as_far_as_it_was_made_for_and_beyond(overlay: Path, times: int) -> None:
    new = blank(overlay, times * GIB)
    grow(overlay, new, Operation())
    assert inspect.read_shape(new).size == times * GIB
    assert new.stat().st_blocks * 512 < 64 * MIB


def test_a_journal_is_replayed_on_the_way(overlay: Path) -> None:
    run.run(["debugfs", "-w", "-R", "feature needs_recovery", overlay])
    new = blank(overlay, 64 * MIB)
    grow(overlay, new, Operation())
    assert inspect.read_shape(new).clean and not inspect.is_clean(overlay)


def test_a_damaged_one_is_refused(overlay: Path) -> None:
    with overlay.open("r+b") as file:
        for block in range(1, 8):
            file.seek(block * 4096)
            file.write(b"\xff" * 4096)
    run.run(["debugfs", "-w", "-R", "ssv state 0", overlay], ok=(0, 1))
    with pytest.raises(Corrupt):
        grow(overlay, blank(overlay, 64 * MIB), Operation())


def test_a_message_is_put_where_the_old_one_was(overlay: Path) -> None:
    message = encode("seed", 1, [Line("generation", "7")])
    put_message(overlay, "seed", message)
    run.run(["e2fsck", "-fn", overlay])
    said = run.run(["debugfs", "-R", "cat skinnybox/seed", overlay]).stdout
    assert said == message.ljust(16384, b"\n")
    with pytest.raises(Unsupported):
        put_message(overlay, "seed", b"x" * 16385)
