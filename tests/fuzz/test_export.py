"""Disks of guests that are to be exported: a whole archive or an error comes of them, soon, and no more than
they can hold."""

import os
import random
import tempfile
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.archive import writing
from skinnybox.delta.archive.manifest import manifest_text
from skinnybox.delta.archive.members import Out
from skinnybox.errors import SkinnyboxError
from skinnybox.ext4 import open_descriptor
from skinnybox.model import DiskKind
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import BYTES
from tests.unit.archived import BASE, manifest

pytestmark = pytest.mark.image
METADATA = 200 << 10
MOST = 64 << 20


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small one with names of every kind that takes no rights to make."""
    disk = tmp_path_factory.mktemp("overlay") / "disk"
    for name in ("upper/etc", "upper/usr/lib", "direct/var%lib%docker", "skinnybox"):
        (disk / name).mkdir(parents=True)
    (disk / "skinnybox/base").write_bytes(BASE)
    (disk / "upper/etc/passwd").write_text("root")
    (disk / "upper/bin").symlink_to("usr/bin")
    os.link(disk / "upper/etc/passwd", disk / "upper/usr/lib/passwd")
    os.mkfifo(disk / "upper/pipe")
    os.setxattr(disk / "upper/etc", "user.x", b"v")
    with (disk / "upper/holes").open("wb") as file:
        for at in (0, 100_000, 400_000):
            file.seek(at)
            file.write(b"data")
    image = disk.with_name("image")
    words: list[str | Path] = ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-b"]
    run.run([*words, "1024", "-d", disk, image, "2M"])
    return image.read_bytes()


class Bounded(tempfile.SpooledTemporaryFile[bytes]):
    def write(self, data: bytes) -> int:  # type: ignore[override]
        assert self.tell() + len(data) < MOST
        return super().write(data)


def exported(image: bytes) -> int:
    """Bytes of the archive."""
    with tempfile.TemporaryFile() as file, Bounded() as target, tempfile.TemporaryFile() as lines:
        file.write(image)
        file.flush()
        volume = open_descriptor(file.fileno())
        writing.tell(manifest_text(manifest()), {DiskKind.OVERLAY: volume}, Out(target), lines)  # type: ignore[arg-type]
        return target.tell()


def test_any_damage_to_an_overlay(rounds: int, chance: random.Random, overlay: bytes) -> None:
    whole, refused = exported(overlay), 0
    assert whole > 10_000
    used = [at for at in range(METADATA) if overlay[at]]
    for _ in range(rounds // 3):
        broken = bytearray(overlay)
        for _ in range(chance.choice((1, 2, 8))):
            broken[chance.choice(used)] = chance.choice(BYTES)
        refused += isinstance(survives(exported, bytes(broken)), SkinnyboxError)
    assert refused
