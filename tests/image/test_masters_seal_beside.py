"""What is made while mkfs.erofs writes the image, and what becomes of that when it fails."""

import time
from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.masters import catalogue, erofs, seal
from skinnybox.masters.images import FILES
from skinnybox.model import ImageKind, Master
from skinnybox.operation import Operation
from tests.pace import within

pytestmark = pytest.mark.image


def _seal(tmp_path: Path) -> Master:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(b"x" * 100_000)
    kernel = tmp_path / "vmlinuz-6.1"
    kernel.write_bytes(b"kernel")
    return seal.seal(
        tree, store=tmp_path / "masters", name="m", version="1", kernel=kernel, operation=Operation()
    )


def test_the_initramfs_is_made_beside_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(tree: Path, kernel: Path, target: Path, operation: Operation, *, erofs: bool) -> None:
        end = time.monotonic() + within(20)
        while not (target.parent / FILES[ImageKind.EROFS_LZ4HC]).exists():
            assert time.monotonic() < end, "nobody has begun with the image"
            time.sleep(0.01)
        target.write_bytes(b"initramfs")

    monkeypatch.setattr(seal, "make_initramfs", make)
    master = _seal(tmp_path)
    catalogue.verify(tmp_path / "masters", master, Operation())


def test_a_tree_that_cannot_boot_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no modules of its kernel"):
        _seal(tmp_path)
    left = [path.name for path in (tmp_path / "masters").iterdir() if path.name != catalogue.LOCK]
    assert left == []


def _sealed(tmp_path: Path, *, spent: bool) -> tuple[Path, Master]:
    tree, kernel = tmp_path / "tree", tmp_path / "vmlinuz-6.1"
    (tree / "folder").mkdir(parents=True)
    (tree / "folder/file").write_bytes(b"x" * 100_000)
    kernel.write_bytes(b"kernel")
    return tree, seal.seal(
        tree, store=tmp_path / "masters", name="m", version="1", kernel=kernel, initrd=kernel,
        operation=Operation(), unread=catalogue.deleting(tree) if spent else seal.NOTHING_MORE,
    )  # fmt: skip


def test_a_tree_that_is_spent_goes_beside_the_last_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = erofs.stamp

    def waiting(image: Path) -> str:
        end = time.monotonic() + within(20)
        while (tmp_path / "tree").exists():
            assert time.monotonic() < end, "nobody has begun to delete it"
            time.sleep(0.01)
        return stamp(image)

    monkeypatch.setattr(erofs, "stamp", waiting)
    _, master = _sealed(tmp_path, spent=True)
    catalogue.verify(tmp_path / "masters", master, Operation())


def test_a_tree_that_is_somebodys_stays(tmp_path: Path) -> None:
    tree, _ = _sealed(tmp_path, spent=False)
    assert (tree / "folder/file").stat().st_size == 100_000
