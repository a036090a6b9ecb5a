"""Reading after a crash: on a copy, repaired, and the overlay's own bytes stay as they were."""

import hashlib
import os
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt
from skinnybox.ext4 import open_volume
from skinnybox.model import Allocation
from skinnybox.overlays.journal import replayed
from skinnybox.overlays.make import make
from skinnybox.overlays.template import template
from skinnybox.sizes import MIB

pytestmark = pytest.mark.image
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting an image needs root")

# the copy is taken while the filesystem is mounted, right after the journal was written: as after a power cut
CRASH = """
mount -o loop,commit=60 "$1" "$2"
mkdir "$2/upper/made" && echo content >"$2/upper/made/file"
sync
cp --sparse=always "$1" "$3"
umount "$2"
"""


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    made = tmp_path / "overlay.img"
    form = template(tmp_path / "cache", 32 * MIB)
    make(form, made, base=b"b\n", seed=b"s\n", allocation=Allocation.RESERVED)
    return made


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_clean_overlay_is_read_where_it_is(overlay: Path) -> None:
    with replayed(overlay) as path:
        assert path == overlay


@needs_root
def test_the_journal_is_replayed_on_a_copy(overlay: Path, tmp_path: Path) -> None:
    crashed, mount = tmp_path / "crashed.img", tmp_path / "mount"
    mount.mkdir()
    run.run(["unshare", "-m", "sh", "-ec", CRASH, "sh", overlay, mount, crashed])
    before, names = digest(crashed), sorted(tmp_path.iterdir())
    with open_volume(crashed) as volume:
        assert volume.superblock.needs_recovery
        assert not volume.superblock.clean
    with replayed(crashed) as path:
        assert path != crashed
        assert path.stat().st_blocks <= crashed.stat().st_blocks + 4096
        with open_volume(path) as volume:
            assert volume.superblock.clean
            assert b"".join(volume.read(volume.lookup(b"upper/made/file"))) == b"content\n"
    assert not path.exists()
    assert (digest(crashed), sorted(tmp_path.iterdir())) == (before, names)


@pytest.mark.parametrize("mark", ["feature needs_recovery", "ssv state 0", "ssv state 3"])
def test_every_sign_of_a_crash_counts(overlay: Path, tmp_path: Path, mark: str) -> None:
    run.run(["debugfs", "-w", "-R", mark, overlay])
    before = digest(overlay)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with replayed(overlay, scratch=scratch) as path:
        assert scratch in path.parents
        with open_volume(path) as volume:
            assert volume.superblock.clean
    assert not list(scratch.iterdir())
    assert digest(overlay) == before


def test_damage_that_needs_more_than_the_journal_is_repaired(overlay: Path) -> None:
    for command in ("feature needs_recovery", "clri /upper", "ssv free_blocks_count 5"):
        run.run(["debugfs", "-w", "-R", command, overlay])
    with replayed(overlay) as path, open_volume(path) as volume:
        assert volume.lookup(b"skinnybox/seed").type == "-"


def test_what_nobody_can_repair_is_corrupt(overlay: Path) -> None:
    run.run(["debugfs", "-w", "-R", "ssv state 0", overlay])
    with overlay.open("r+b") as file:
        for block in range(1, 8):
            file.seek(block * 4096)
            file.write(b"\xff" * 4096)
    with pytest.raises(Corrupt), replayed(overlay) as path, open_volume(path) as volume:
        volume.lookup(b"upper")
    assert [item.name for item in overlay.parent.iterdir() if item.name.startswith(".settle")] == []
