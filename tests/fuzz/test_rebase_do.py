"""Overlays on which a guest's root altered any number of any inode, checksums and all: the rebase of one is
whole, or an error of ours, and the old one is as it was."""

import random
import shutil
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.errors import SkinnyboxError
from tests.unit.rebased import OPAQUE, WHITEOUT, a_system, d, f, l
from tests.unit.rebased_disk import ORIGIN, Rebase, overlay

pytestmark = pytest.mark.image

UPPER = {
    b"etc/x": f("A\nb\nc\n", xattrs=ORIGIN), b"usr/a": f("1", mode=0o600, xattrs=ORIGIN), b"usr/b": f("1"),
    b"usr/w": WHITEOUT, b"opt/app": d(xattrs=OPAQUE), b"opt/app/own": f("9" * 9000, uid=101),
    b"srv/long": l("x" * 200), b"srv/tagged": f("2", xattrs={"user.a": b"1" * 3000}),
    **{b"srv/many/%04d" % number: f("1") for number in range(200)},
}  # fmt: skip
OLD = {b"etc/x": f("a\nb\nc\n"), b"usr/a": f("1"), b"usr/b": f("1"), b"usr/w": f("1"), b"opt/app/z": f("1")}
NEW = {b"etc/x": f("a\nb\nC\n"), b"usr/a": f("2"), b"usr/w": f("1"), b"opt/app/z": f("2"), b"var": d()}
FIELDS = (
    "mode", "uid", "gid", "size", "links_count", "flags", "blocks", "file_acl", "block[0]", "block[1]",
    "block[2]", "block[3]", "block[4]", "block[5]", "extra_isize", "generation", "mtime_extra", "size_high",
)  # fmt: skip
VALUES = (0, 1, 2, 8, 12, 0x7FFF, 0xF30A, 0x80000, 0x1000, 0x10000000, 0xFFFF, 0xFFFFFFFF)


def _altered(disk: Path, chance: random.Random) -> None:
    orders = []
    for _ in range(chance.choice((1, 1, 3, 10))):
        inode = chance.randrange(2, 60)
        match chance.randrange(6):
            case 0:
                orders.append(f"ln <{inode}> /upper/srv/twin-{chance.randrange(99)}")
            case 1:
                orders.append(
                    f"ea_set <{inode}> trusted.overlay.{chance.choice(('opaque', 'origin', 'x'))} y"
                )
            case 2:
                orders.append(f"clri <{inode}>")
            case _:
                orders.append(f"sif <{inode}> {chance.choice(FIELDS)} {chance.choice(VALUES)}")
    script = disk.with_name("orders")
    script.write_text("".join(f"{order}\n" for order in orders))
    run.run(["debugfs", "-w", "-f", script, disk], ok=range(256))


def test_whatever_a_guests_root_makes_of_its_disk(
    tmp_path: Path, chance: random.Random, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = overlay(tmp_path / "whole.img", tmp_path / "cache", UPPER)
    systems = tuple(a_system(manager=None, users={"x": number}) for number in (101, 102))
    disk, done = tmp_path / "disk.img", 0
    for _ in range(few // 5):
        shutil.copyfile(whole, disk)
        _altered(disk, chance)
        before = disk.read_bytes()
        policy = Policy(on_conflict=chance.choice((Choice.OURS, Choice.THEIRS)))
        try:
            Rebase(tmp_path, monkeypatch, policy, systems).of(disk, OLD, NEW)  # type: ignore[arg-type]
            run.run(["e2fsck", "-fn", tmp_path / "new.img"])
            done += 1
        except SkinnyboxError as error:
            assert error.message
        assert disk.read_bytes() == before
    assert done
