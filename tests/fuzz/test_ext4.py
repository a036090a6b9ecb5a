"""Overlays that their guests wrote to as they liked: the changes or Corrupt, in bounded time and memory."""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox import run
from skinnybox.delta.listing import listed
from skinnybox.delta.upper_disk import differences
from skinnybox.errors import SkinnyboxError
from skinnybox.ext4 import open_volume
from skinnybox.masters.index import Entry, write_index
from skinnybox.model import Change
from skinnybox.overlays.inspect import read_identity
from skinnybox.overlays.journal import replayed
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import BYTES

pytestmark = pytest.mark.image

ME = UUID(int=5)
DIGEST = "sha256:" + "1" * 64
FILES = (b"etc/hosts", b"etc/motd", b"usr/bin/x")
INDEX = tuple(
    Entry(
        path=path,
        type="-" if path in FILES else "d",
        mode=0o755,
        uid=0,
        gid=0,
        mtime_ns=1,
        size=3 if path in FILES else 0,
        digest=DIGEST if path in FILES else None,
    )
    for path in (b"", b"etc", b"etc/hosts", b"etc/motd", b"usr", b"usr/bin", b"usr/bin/x")
)
FORMATS = {
    "product": ["-O", "metadata_csum_seed,^resize_inode", "-b", "4096"],
    "plain": ["-O", "^metadata_csum,^resize_inode,^has_journal", "-b", "1024"],
    "inline": ["-O", "^metadata_csum,^has_journal,inline_data", "-b", "1024", "-I", "256"],
}


def upper(tree: Path) -> None:
    """What a machine may have left: whiteouts, opaque folders, links, attributes, strange names, holes."""
    top = tree / "upper"
    for name in ("etc/new", "usr/bin", "var/log", "a b", "n" * 200):
        (top / name).mkdir(parents=True)
    (tree / "work/work").mkdir(parents=True)
    (tree / "skinnybox").mkdir()
    (tree / "skinnybox/identity").write_bytes(
        f"skinnybox-identity 1\ninstance {ME}\nssh-host-key x\n AAAA\nend\n".encode().ljust(4096, b"\n")
    )
    (top / "etc/motd").write_text("new")
    (top / "etc/hosts").write_text("abc")
    os.mknod(top / "usr/bin/x", 0o020000, os.makedev(0, 0))
    os.setxattr(top / "etc/new", "trusted.overlay.opaque", b"y")
    os.setxattr(top / "etc/motd", "user.x", b"v" * 200)
    (top / "link").symlink_to("t" * 100)
    os.link(top / "etc/motd", top / "var/motd")
    (top / "line\nbreak\x1b[2J").write_bytes(b"x" * 5000)
    for number in range(60):
        (top / "var/log" / f"a-log-with-a-name-{number}").write_bytes(b"y" * number)
    with (top / "holes").open("wb") as file:
        file.seek(900_000)
        file.write(b"end")


@pytest.fixture(scope="module", params=FORMATS)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    if os.geteuid() != 0:
        pytest.skip("an upper directory has devices and trusted attributes: only root makes one")
    folder = tmp_path_factory.mktemp("upper")
    upper(folder / "tree")
    words = ["mke2fs", "-q", "-F", "-t", "ext4", "-N", "512", *FORMATS[request.param]]
    run.run([*words, "-d", folder / "tree", folder / "image", "4M"])
    return (folder / "image").read_bytes()


@pytest.fixture
def broken(image: bytes, chance: random.Random) -> Iterator[bytes]:
    """Without an end: the image with a few of the bytes changed that say something."""
    return _broken(image, chance)


def _broken(image: bytes, chance: random.Random) -> Iterator[bytes]:
    used = [at for at in range(0, len(image), 64) if any(image[at : at + 64])]
    while True:
        data = bytearray(image)
        for _ in range(chance.choice((1, 1, 2, 5, 40))):
            at = min(chance.choice(used) + chance.randrange(64), len(data) - 8)
            match chance.randrange(4):
                case 0:
                    data[at] = chance.choice(BYTES)
                case 1:
                    data[at] ^= 1 << chance.randrange(8)
                case 2:
                    width = chance.choice((2, 4, 8))
                    data[at : at + width] = chance.choice((0, 1, 2**31, 2**15, -1)).to_bytes(
                        9, "little", signed=True
                    )[:width]
                case _:
                    other = chance.choice(used)
                    data[at : at + 64] = data[other : other + 64]
        if chance.random() < 0.02:
            del data[chance.randrange(len(data)) :]
        yield bytes(data)


def _changes(disk: Path) -> list[Change]:
    with open_volume(disk) as volume:
        return [change for change, _ in differences(volume, INDEX, quick=False)]


def test_any_upper(rounds: int, around: Path, image: bytes, broken: Iterator[bytes]) -> None:
    disk = around / "inside" / "overlay.img"
    disk.write_bytes(image)
    good = _changes(disk)
    assert {change.path for change in good} > {b"etc/motd", b"usr/bin/x", b"holes", b"line\nbreak\x1b[2J"}
    differed = refused = 0
    for _ in range(rounds // 2):
        data = next(broken)
        disk.write_bytes(data)
        found = survives(_changes, disk)
        refused += isinstance(found, SkinnyboxError)
        differed += isinstance(found, list) and found != good
        if isinstance(found, list):
            assert all(b"\0" not in change.path and change.size >= 0 for change in found)
    assert refused > rounds / 50 and differed > 0


def test_any_upper_through_the_confined_reader(
    few: int, around: Path, image: bytes, broken: Iterator[bytes]
) -> None:
    """As `changes` and `reset` read it, journal and all; the disk itself stays as it was."""
    disk, index = around / "inside" / "overlay.img", around / "inside" / "index.jsonl.gz"
    write_index(INDEX, index)
    for _ in range(few // 10):
        data = next(broken)
        disk.write_bytes(data)
        survives(_listed, disk, index)
        identity = survives(read_identity, disk, ME)
        assert isinstance(identity, bytes) and len(identity) <= 32768
        assert disk.read_bytes() == data
        assert {path.name for path in disk.parent.iterdir()} == {"overlay.img", "index.jsonl.gz"}


def _listed(disk: Path, index: Path) -> list[Change]:
    with replayed(disk) as clean, listed(clean, index) as found:
        return list(found)
