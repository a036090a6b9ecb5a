"""One file of a disk that a guest wrote to, and of a sealed image, read from outside."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.content import MOST, of_image, of_overlay
from skinnybox.errors import Corrupt
from skinnybox.masters import erofs
from skinnybox.model import Allocation, Content, ImageKind
from skinnybox.operation import Operation
from skinnybox.overlays.make import make
from skinnybox.overlays.template import template
from skinnybox.sizes import MIB

pytestmark = pytest.mark.image
Act = Callable[[str], None]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    image = tmp_path / "overlay.img"
    make(
        template(tmp_path / "cache", 64 * MIB), image, base=b"b\n", seed=b"s\n", allocation=Allocation.SPARSE
    )
    return image


@pytest.fixture
def act(disk: Path, tmp_path: Path) -> Act:
    def orders(text: str) -> None:
        (tmp_path / "orders").write_text(text)
        run.run(["debugfs", "-w", "-f", tmp_path / "orders", disk])

    return orders


def written(act: Act, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "content").write_bytes(content)
    act(f"mkdir /upper/etc\nwrite {tmp_path}/content /upper/etc/file\n")


@pytest.mark.parametrize("size", [0, 1, 48 << 10, 48 << 11, 200_000])
def test_a_file_comes_as_it_is(disk: Path, act: Act, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    written(act, tmp_path, content)
    assert of_overlay(disk, b"etc/file", MOST) == Content(type="-", size=size, data=content)
    cut = of_overlay(disk, b"etc/file", 100)
    assert cut and (cut.size, cut.data, cut.whole) == (size, content[:100], size <= 100)


def test_only_what_is_in_the_upper_directory_and_no_symlink_is_followed(
    disk: Path, act: Act, tmp_path: Path
) -> None:
    written(act, tmp_path, b"x")
    act("symlink /upper/link /skinnybox/seed\nsymlink /upper/folder /skinnybox\n")
    assert of_overlay(disk, b"link", MOST) == Content(type="l", size=15, data=b"/skinnybox/seed")
    for path in (b"folder/seed", b"../skinnybox/seed", b"skinnybox/seed", b"etc/none", b"etc/file/x"):
        assert of_overlay(disk, path, MOST) is None
    assert of_overlay(disk, b"etc", MOST) == Content(type="d", size=0)


def test_what_is_made_to_hurt_is_bounded(disk: Path, act: Act, tmp_path: Path) -> None:
    written(act, tmp_path, b"x")
    act("set_inode_field /upper/etc/file size 0x00000f0000000000\n")
    found = of_overlay(disk, b"etc/file", 1000)
    assert found is None or len(found.data) <= 1000
    act("".join(f"set_inode_field /upper/etc/file block[{at}] 0xffffffff\n" for at in (2, 5)))
    with pytest.raises(Corrupt):
        of_overlay(disk, b"etc/file", 1000)
    disk.write_bytes(b"\xff" * MIB)
    with pytest.raises(Corrupt):
        of_overlay(disk, b"etc/file", 1000)


@pytest.mark.parametrize("kind", [ImageKind.EROFS_LZ4HC, ImageKind.EROFS_PLAIN])
def test_a_sealed_image_is_read_in_the_same_way(tmp_path: Path, kind: ImageKind) -> None:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    content = b"line\n" * 30_000
    (tree / "etc/file").write_bytes(content)
    (tree / "etc/link").symlink_to("file")
    image = tmp_path / "image"
    erofs.make(tree, image, kind, newest=1, operation=Operation())
    assert of_image(image, b"etc/file", MOST) == Content(type="-", size=len(content), data=content)
    assert of_image(image, b"etc/link", MOST) == Content(type="l", size=4, data=b"file")
    for path in (b"etc", b"etc/none", b"none/file", b"etc/link/x"):
        assert of_image(image, path, MOST) is None


@pytest.mark.parametrize(("path", "limit"), [(b"", 1), (b"a\0b", 1), (b"a", 0), (b"a", MOST + 1)])
def test_nobody_asks_for_more_than_there_may_be(disk: Path, path: bytes, limit: int) -> None:
    with pytest.raises(ValueError):
        of_overlay(disk, path, limit)
