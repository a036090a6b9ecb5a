"""What the gate reads of overlays on which a guest's root altered any number of any inode, and of files that
are made to hurt: findings, or an error of ours, in a bounded time."""

import random
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.delta.rebase.examining import Examination
from skinnybox.delta.rebase.findings import LIBRARIES, OWNERS, Finding
from skinnybox.errors import SkinnyboxError
from skinnybox.ext4 import open_volume
from tests.fuzz.test_rebase_do import _altered
from tests.unit.elves import an_elf
from tests.unit.rebased import WHITEOUT, Index, d, f, l
from tests.unit.rebased_disk import Model, Tree, overlay, raw, whole

pytestmark = pytest.mark.image

LIB = "usr/lib/libs.so"
ELF = an_elf(["libs.so"], wanted={"libs.so": ["S_1"]}, interpreter="/lib/ld.so", runpath="$ORIGIN")
LIBRARY = an_elf(soname="libs.so", defined=["S_1"])
UPPER = {
    b"usr/bin/own": f(mode=0o4755, uid=101), b"etc/ld.so.conf": f("include ld.so.conf.d/*\n/opt\n"),
    b"etc/ld.so.conf.d": l("."), b"opt/libs.so": f(), b"usr/lib/gone.so": WHITEOUT, b"srv": d(uid=101),
    b"etc/group": f("root:x:0:\nmy:x:102:\n"), b"etc/passwd": f("root:x:0:0::/:/bin/sh\n"),
}  # fmt: skip
LOWER = {
    b"usr/bin/web": f(mode=0o755),
    b"usr/lib/libs.so": f(),
    b"usr/lib/gone.so": f(),
    b"lib": l("usr/lib"),
}


class Parts(Model):
    def part(self, path: str, at: int, length: int) -> bytes | None:
        thing = self.tree.get(raw(path))
        return thing.content[at : at + length] if thing is not None and thing.type == "-" else None


def _with_programs(tree: Tree, chance: random.Random | None = None) -> Tree:
    found = dict(tree)
    for path, content in ((b"usr/bin/own", ELF), (b"opt/libs.so", LIBRARY), (b"usr/bin/web", ELF)):
        spoiled = bytearray(content)
        for _ in range(chance.randrange(4) if chance else 0):
            assert chance is not None
            spoiled[chance.randrange(4, len(spoiled))] = chance.randrange(256)
        if path in found:
            found[path] = replace(found[path], content=bytes(spoiled))
    return found


def test_whatever_is_read_of_an_altered_disk(tmp_path: Path, chance: random.Random, few: int) -> None:
    good = overlay(tmp_path / "good.img", tmp_path / "cache", _with_programs(UPPER))
    bad = overlay(tmp_path / "bad.img", tmp_path / "cache", _with_programs(UPPER, chance))
    disk, done, begun = tmp_path / "disk.img", 0, time.process_time()
    lower = whole(_with_programs(LOWER))
    for _ in range(few // 5):
        shutil.copyfile(chance.choice((good, bad)), disk)
        _altered(disk, chance)
        try:
            with open_volume(good) as old, open_volume(disk) as new:
                sides = Parts(lower), Parts(lower)
                examination = Examination((old, new), sides)
                indexes = [Index(lower) for _ in sides]
                found = list(examination.findings(indexes[0], indexes[1], OWNERS | LIBRARIES))
            assert all(type(each) is Finding and each.text.isprintable() for each in found)
            done += 1
        except SkinnyboxError as error:
            assert error.message
    assert done
    assert time.process_time() - begun < 5 * few
