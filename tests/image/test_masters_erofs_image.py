"""Reading images as mkfs.erofs makes them, against the tree they were made of. Requirements: mkfs.erofs."""

import os
import random
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, NotFound, Unsupported
from skinnybox.masters import erofs, lz4
from skinnybox.masters.erofs_image import ErofsImage
from skinnybox.masters.index import scan
from skinnybox.masters.survey import survey
from skinnybox.model import ImageKind
from skinnybox.operation import Operation

pytestmark = pytest.mark.image
NEWEST = 1_700_000_000
WORDS = [f"word{number}".encode() for number in range(300)]


def _text(chance: random.Random, size: int) -> bytes:
    """Packs to about half, as what packages say does."""
    return b" ".join(chance.choice(WORDS) for _ in range(size // 6))[:size]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sizes around the blocks and the sixteens of a packed file's table; contents that pack and not."""
    tree, chance = tmp_path_factory.mktemp("tree"), random.Random(7)
    (tree / "many").mkdir()
    for size in (0, 1, 3000, 4095, 4096, 4097, 8192, 20_000, 65_536, 65_537, 300_000, 2_000_001):
        (tree / f"text-{size}").write_bytes(_text(chance, size))
        (tree / f"zeros-{size}").write_bytes(bytes(size))
        (tree / f"random-{size}").write_bytes(chance.randbytes(size))
        (tree / f"mixed-{size}").write_bytes(_text(chance, size // 2) + chance.randbytes(size // 2))
    for number in range(700):
        (tree / f"many/{number}-{'x' * chance.randrange(90)}").write_text(str(number))
    (tree / "short").symlink_to("many/1")
    (tree / "long").symlink_to("x" * 4000)
    os.setxattr(tree / "text-3000", "user.note", b"1" * 300)
    for path in [tree, *tree.rglob("*")]:
        os.utime(path, (1, NEWEST), follow_symlinks=False)
    return tree


LINUX = ("5.10", "6.1")
"""Kernels for which images are packed in different ways (erofs.make)."""
OTHERS = (
    ["-zlz4hc,6", "-C65536"],
    ["-zlz4hc", "-C16384", "-Elegacy-compress"],
)
"""What nobody makes here: larger pieces, and tables in the long form."""


def _made(tree: Path, folder: Path, kind: ImageKind, linux: str = "5.10") -> Path:
    image = folder / f"{kind}-{linux}.erofs"
    erofs.make(tree, image, kind, newest=survey(tree).newest, operation=Operation(), linux=linux)
    erofs.stamp(image)
    return image


_NEEDS = slice(1024 + 80, 1024 + 84)


def _needs(image: bytes) -> int:
    """Flags of its superblock: what a kernel has to know."""
    return int.from_bytes(image[_NEEDS], "little")


KINDS = (ImageKind.EROFS_LZ4HC, ImageKind.EROFS_PLAIN)


def _opened(image: Path) -> Iterator[ErofsImage]:
    descriptor = os.open(image, os.O_RDONLY)
    yield ErofsImage(lambda at, length: os.pread(descriptor, length, at))
    os.close(descriptor)


@pytest.fixture(
    scope="module", params=[*((kind, linux) for kind in KINDS for linux in LINUX), *OTHERS], ids=str
)
def image(
    request: pytest.FixtureRequest, tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ErofsImage]:
    folder = tmp_path_factory.mktemp("image")
    if request.param in OTHERS:
        run.run(["mkfs.erofs", "--quiet", *request.param, folder / "image", tree])
        if not _needs((folder / "image").read_bytes()) & 1:
            pytest.skip("this mkfs.erofs makes it as before Linux 5.4, and that is refused")
        yield from _opened(folder / "image")
    else:
        yield from _opened(_made(tree, folder, *request.param))


def test_images_for_later_kernels_are_packed_otherwise(tree: Path, tmp_path: Path) -> None:
    """Or the tests here would try one way only."""
    small, large = (_made(tree, tmp_path, ImageKind.EROFS_LZ4HC, linux) for linux in LINUX)
    assert large.stat().st_size < small.stat().st_size


def test_one_packed_as_before_linux_5_4_is_refused(tree: Path, tmp_path: Path) -> None:
    file = _made(tree, tmp_path, ImageKind.EROFS_LZ4HC, LINUX[0])
    content = bytearray(file.read_bytes())
    content[_NEEDS] = (_needs(bytes(content)) & ~1).to_bytes(4, "little")
    old = ErofsImage(lambda at, length: bytes(content[at : at + length]))
    with pytest.raises(Unsupported, match=r"before Linux 5\.4"):
        old.read(old.lookup(b"text-20000"), 100)


def test_every_entry_is_as_in_the_tree(tree: Path, image: ErofsImage) -> None:
    for entry in scan(tree, Operation()):
        node = image.lookup(entry.path)
        assert (stat.S_IMODE(node.mode), node.uid, node.gid) == (entry.mode, entry.uid, entry.gid)
        if entry.type == "-":
            content = (tree / os.fsdecode(entry.path)).read_bytes()
            assert image.read(node, 1 << 30) == content, entry.path
            assert image.read(node, 5000) == content[:5000]
            for at in sorted(
                {0, 1, 4095, 4096, 70_000, len(content) // 2, max(len(content) - 1, 0), len(content)}
            ):
                for length in (1, 100_000):
                    assert image.part(node, at, length) == content[at : at + length]
        if entry.type == "l":
            assert image.read(node, 5000) == entry.target
        if entry.type == "d":
            there = {os.fsencode(item.name) for item in (tree / os.fsdecode(entry.path)).iterdir()}
            assert set(image.children(entry.path)) == there


def test_what_is_not_there_is_told_and_no_symlink_followed(image: ErofsImage) -> None:
    for path in (b"none", b"text-1/x", b"many/..", b"short/x", b"/many"):
        with pytest.raises(NotFound):
            image.lookup(path)
    assert image.children(b"short") == image.children(b"none") == {}
    assert image.target(image.children(b"")[b"short"][0]) == b"many/1"
    with pytest.raises(Corrupt):
        image.target(image.children(b"")[b"text-1"][0])


def test_what_was_never_packed_so_by_us_is_refused(tree: Path, tmp_path: Path) -> None:
    data = bytearray(_made(tree, tmp_path, ImageKind.EROFS_LZ4HC).read_bytes())
    data[1024 + 80] |= 32  # the tails of files packed together
    with pytest.raises(Unsupported):
        ErofsImage(lambda at, length: bytes(data[at : at + length]))


@pytest.mark.parametrize(
    "block", [b"", b"\xf0", b"\x10a\x01", b"\x00\x00\x00", b"\x10a\x05\x00\x00", b"\xf0" + b"\xff" * 9]
)
def test_a_block_that_is_none_is_corrupt(block: bytes) -> None:
    with pytest.raises(Corrupt):
        lz4.unpack(block, 100)


def test_a_piece_that_repeats_itself_is_unpacked() -> None:
    assert lz4.unpack(b"\x2fab\x02\x00\x05" + b"\x10c", 27) == b"ab" * 13 + b"c"
    assert lz4.unpack(b"\x2fab\x02\x00\x05" + b"\x10c", 7) == b"abababa"
