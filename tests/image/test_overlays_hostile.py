"""Volumes made to hurt their reader: the answer is right or Corrupt, and it comes soon."""

import itertools
import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, NotFound, Unsupported
from skinnybox.ext4 import Volume, open_volume

pytestmark = pytest.mark.image

ROUNDS = 400
MOST_SECONDS = 5.0
MOST_BYTES = 1 << 20
FORMATS = {
    "extents": ["-O", "^has_journal,^metadata_csum,^resize_inode", "-b", "1024"],
    "map-inline": [
        "-O",
        "^has_journal,^metadata_csum,^resize_inode,^extent,^64bit,inline_data",
        "-b",
        "1024",
    ],
    "checksums": ["-O", "^has_journal,^resize_inode", "-b", "4096"],
}


def read_everything(volume: Volume) -> int:
    """As a caller would: every name, attribute, target, and the beginning of every file."""
    count = 0
    for _, node in volume.walk(b""):
        count += 1
        volume.xattrs(node)
        if node.type == "l":
            volume.target(node)
        if node.type == "-":
            assert sum(map(len, volume.read(node, MOST_BYTES))) == min(node.size, MOST_BYTES)
    return count


def sure(image: Path) -> str:
    """Read it all; what was found to be wrong."""
    start = time.process_time()  # ours: what others take of the processor does not count
    try:
        with open_volume(image) as volume:
            read_everything(volume)
    except (Corrupt, NotFound, Unsupported) as error:
        return error.message
    finally:
        assert time.process_time() - start < MOST_SECONDS
    return ""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("hostile")
    (tree / "many").mkdir()
    for number in range(120):
        (tree / "many" / f"a-name-that-takes-some-room-{number}").touch()
    (tree / "deep" / "er" / "est").mkdir(parents=True)
    (tree / "file").write_bytes(os.urandom(30_000))
    (tree / "small").write_bytes(b"inline" * 10)
    with (tree / "combed").open("wb") as combed:
        for number in range(40):
            combed.seek(number * 9000)
            combed.write(b"tooth")
    for length in (10, 59, 200):
        (tree / f"link-{length}").symlink_to("t" * length)
    os.setxattr(tree / "file", "user.large", b"v" * 300)
    os.setxattr(tree / "deep", "user.small", b"v")
    return tree


def made(image: Path, tree: Path, options: list[str], size: str = "2M") -> Path:
    run.run(["mke2fs", "-q", "-F", "-t", "ext4", "-N", "256", *options, "-d", tree, image, size])
    return image


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS.keys())
def test_flipped_bytes(tmp_path: Path, tree: Path, options: list[str]) -> None:
    image = made(tmp_path / "image", tree, options)
    assert sure(image) == ""
    whole = image.read_bytes()
    used = [at for at in range(0, len(whole), 64) if any(whole[at : at + 64]) or at < 4096]
    chance = random.Random(20)
    complaints = set()
    for _ in range(ROUNDS):
        broken = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3, 20))):
            at = min(chance.choice(used) + chance.randrange(64), len(broken) - 1)
            broken[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, broken[at] ^ 1 << chance.randrange(8)))
        image.write_bytes(broken)
        complaints.add(sure(image))
    assert len(complaints) > 3, complaints


def test_every_length_is_survived(tmp_path: Path, tree: Path) -> None:
    image = made(tmp_path / "image", tree, FORMATS["extents"])
    whole = image.read_bytes()
    for length in range(0, len(whole), 37_001):
        image.write_bytes(whole[:length])
        assert sure(image)


Poke = Callable[[int, bytes], None]


class Forger:
    """Writes into a volume where its own reader says that something lies."""

    def __init__(self, image: Path) -> None:
        self.image = image

    def inode(self, path: bytes) -> tuple[int, int]:
        """Number and offset."""
        with open_volume(self.image) as volume:
            number = volume.lookup(path).inode
            return number, volume.offset(number)

    def first_block(self, path: bytes) -> int:
        with open_volume(self.image) as volume:
            return next(volume.extents(volume.lookup(path)))[1]

    def poke(self, offset: int, data: bytes) -> None:
        with self.image.open("r+b") as file:
            file.seek(offset)
            file.write(data)


@pytest.fixture
def forger(tmp_path: Path, tree: Path) -> Forger:
    return Forger(made(tmp_path / "image", tree, FORMATS["extents"]))


def header(entries: int, level: int, most: int = 4) -> bytes:
    return struct.pack("<HHHHI", 0xF30A, entries, most, level, 0)


def test_a_directory_within_itself(forger: Forger) -> None:
    number, _ = forger.inode(b"deep/er")
    entries = forger.first_block(b"deep/er")
    forger.poke(entries + 24, struct.pack("<IHBB", number, 1000, 4, 2) + b"self")
    assert "two places" in sure(forger.image)


def test_the_root_within_itself(forger: Forger) -> None:
    forger.poke(forger.first_block(b"deep/er") + 24, struct.pack("<IHBB", 2, 1000, 4, 2) + b"root")
    assert "reserved inode 2" in sure(forger.image)


def test_a_name_twice_and_a_name_with_a_slash(forger: Forger) -> None:
    number, _ = forger.inode(b"file")
    entries = forger.first_block(b"deep/er")
    first = struct.pack("<IHBB", number, 12, 4, 1) + b"name"
    forger.poke(entries + 24, first + struct.pack("<IHBB", number, 988, 4, 1) + b"name")
    assert "twice" in sure(forger.image)
    forger.poke(entries + 24, struct.pack("<IHBB", number, 1000, 4, 1) + b"a/.b")
    assert "no proper name" in sure(forger.image)


def test_an_extent_tree_that_leads_to_itself(forger: Forger) -> None:
    _, offset = forger.inode(b"file")
    block = forger.first_block(b"file")
    index = struct.pack("<IIHH", 0, block // 1024, 0, 0)
    forger.poke(offset + 0x28, header(1, 5) + index)
    forger.poke(block, header(1, 5, 80) + index)
    assert "broken branch" in sure(forger.image)


def test_an_extent_tree_with_one_leaf_a_million_times(forger: Forger) -> None:
    """Four levels of eighty pointers, all to the same block, would be 40 million visits."""
    _, offset = forger.inode(b"file")
    with open_volume(forger.image) as volume:
        blocks = [
            at + step
            for _, at, length in volume.extents(volume.lookup(b"file"))
            for step in range(0, length, 1024)
        ]
    forger.poke(offset + 0x28, header(4, 4) + struct.pack("<IIHH", 0, blocks[0] // 1024, 0, 0) * 4)
    for level, (block, child) in enumerate(itertools.pairwise(blocks[:4])):
        forger.poke(block, header(80, 3 - level, 80) + struct.pack("<IIHH", 0, child // 1024, 0, 0) * 80)
    forger.poke(blocks[3], header(1, 0, 80) + struct.pack("<IHHI", 0, 1, 0, blocks[4] // 1024))
    assert "overlap or are out of order" in sure(forger.image)


def test_a_deeper_tree_than_there_can_be(forger: Forger) -> None:
    _, offset = forger.inode(b"file")
    forger.poke(offset + 0x28, header(1, 6))
    assert "6 levels" in sure(forger.image)


def test_an_extent_outside_the_volume(forger: Forger) -> None:
    _, offset = forger.inode(b"file")
    for physical in (0, 1, 2048, 1 << 31):
        forger.poke(offset + 0x28, header(1, 0) + struct.pack("<IHHI", 0, 30, 0, physical))
        assert "outside the volume" in sure(forger.image)


def test_a_huge_file_costs_only_what_is_asked_for(forger: Forger) -> None:
    _, offset = forger.inode(b"file")
    forger.poke(offset + 0x6C, struct.pack("<I", 0x1000))
    assert sure(forger.image) == ""
    with open_volume(forger.image) as volume:
        node = volume.lookup(b"file")
        assert node.size > 1 << 44
        assert len(b"".join(volume.read(node, 100_000))) == 100_000


def test_a_huge_directory(forger: Forger) -> None:
    _, offset = forger.inode(b"many")
    forger.poke(offset + 0x04, struct.pack("<I", 1 << 31))
    assert "larger than the volume" in sure(forger.image)
    with open_volume(forger.image) as volume, pytest.raises(Corrupt, match="a directory of"):
        volume.lookup(b"many/none")


def test_directories_that_share_their_blocks(forger: Forger) -> None:
    """Each is small enough; together they are larger than the volume."""
    for path in (b"deep", b"deep/er", b"deep/er/est", b"many"):
        _, offset = forger.inode(path)
        forger.poke(offset + 0x04, struct.pack("<I", 1 << 20))
    assert "larger than the volume" in sure(forger.image)


def test_values_that_overlap_do_not_multiply(forger: Forger) -> None:
    with open_volume(forger.image) as volume:
        block = volume.lookup(b"file").attributes * 1024
    entry = struct.pack("<BBHIII", 1, 1, 224, 0, 800, 0)
    forger.poke(block + 32, b"".join(entry + bytes([65 + n, 0, 0, 0]) for n in range(8)) + bytes(4))
    assert "outside its space" in sure(forger.image)


def test_a_path_without_end(tmp_path: Path) -> None:
    folder = tree = tmp_path / "tree"
    for _ in range(25):
        folder = folder / ("d" * 200)
    folder.parent.parent.parent.parent.parent.parent.mkdir(parents=True)
    image = made(tmp_path / "image", tree, FORMATS["extents"])
    commands = "".join(f"mkdir {'d' * 200}\ncd {'d' * 200}\n" for _ in range(30))
    run.run(["debugfs", "-w", "-f", "-", image], stdin=commands.encode())
    with open_volume(image) as volume, pytest.raises(Corrupt, match="a path of more than"):
        read_everything(volume)


def test_a_superblock_that_divides_by_nothing(forger: Forger) -> None:
    whole = forger.image.read_bytes()
    for field, size in (
        (0x18, 4),
        (0x20, 4),
        (0x28, 4),
        (0x58, 2),
        (0x00, 4),
        (0x04, 4),
        (0x14, 4),
        (0xFE, 2),
    ):
        for value in (0, 1, 3, 7, (1 << 8 * size) - 1):
            forger.poke(1024 + field, value.to_bytes(size, "little"))
            sure(forger.image)
            forger.image.write_bytes(whole)


def test_unknown_features_are_refused_by_name(forger: Forger) -> None:
    forger.poke(1024 + 0x60, struct.pack("<I", 0x2 | 0x40 | 0x8))
    assert "a journal device" in sure(forger.image)


def test_a_large_attribute_in_its_own_inode_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    image = made(tmp_path / "image", tmp_path / "tree", ["-O", "ea_inode"], size="8M")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "value").write_bytes(b"v" * 20_000)
    for command in (f"write {tmp_path}/file file", f"ea_set -f {tmp_path}/value file user.large"):
        run.run(["debugfs", "-w", "-R", command, image])
    with open_volume(image) as volume, pytest.raises(Unsupported, match="ea_inode"):
        volume.xattrs(volume.lookup(b"file"))
