"""How an image is compressed follows the kernel that will mount it. Requirements: mkfs.erofs, fsck.erofs."""

from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.masters import erofs
from skinnybox.masters.kernel import reads_large_clusters
from skinnybox.model import ImageKind
from skinnybox.operation import Operation

pytestmark = pytest.mark.image
BIG_PCLUSTER = 2


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    source = Path(erofs.__file__).parents[1]
    (tmp_path / "tree").mkdir()
    texts = [file.read_text() for file in sorted(source.glob("*/*.py"))]
    (tmp_path / "tree/text").write_text("".join(texts))
    return tmp_path / "tree"


def _made(tree: Path, linux: str, kind: ImageKind = ImageKind.EROFS_LZ4HC) -> bytes:
    image = tree.parent / f"image-{linux}"
    erofs.make(tree, image, kind, newest=2_000_000_000, operation=Operation(), linux=linux)
    run.run(["fsck.erofs", image])
    return image.read_bytes()


def _incompatible(image: bytes) -> int:
    return int.from_bytes(image[1024 + 80 : 1024 + 84], "little")


def test_an_old_kernel_gets_an_image_that_it_mounts(tree: Path) -> None:
    for linux in ("5.10.0-46-cloud-amd64", "5.4", "unknown", ""):
        assert not _incompatible(_made(tree, linux)) & BIG_PCLUSTER


def test_a_newer_one_gets_a_smaller_image_the_same_each_time(tree: Path) -> None:
    image = _made(tree, "6.1.0-37-cloud-amd64")
    assert _incompatible(image) & BIG_PCLUSTER
    assert image == _made(tree, "6.1.0-38-cloud-amd64")
    assert len(image) < len(_made(tree, "5.12"))


def test_what_is_mapped_is_not_compressed(tree: Path) -> None:
    assert _made(tree, "6.1", ImageKind.EROFS_PLAIN) == _made(tree, "5.4", ImageKind.EROFS_PLAIN)


@pytest.mark.parametrize(
    ("version", "reads"),
    [
        ("5.12.19", False),
        ("5.13.0", True),
        ("6.1.0-37-cloud-amd64", True),
        ("4.19", False),
        ("unknown", False),
    ],
)
def test_the_first_kernel_that_reads_them(version: str, reads: bool) -> None:
    assert reads_large_clusters(version) is reads
