"""Which image a master gets, by its kernel and by what was asked for."""

from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.masters.image_format import chosen
from skinnybox.model import ImageFormat, ImageKind
from skinnybox.operation import Operation
from tests.image.families import module

AUTO, EROFS, EXT4 = ImageFormat.AUTO, ImageFormat.EROFS, ImageFormat.EXT4


def _tree(folder: Path, version: str, *names: str) -> Path:
    """With a kernel that has these as modules."""
    place = folder / f"lib/modules/{version}/kernel/fs"
    place.mkdir(parents=True)
    for name in names:
        (place / f"{name}.ko").write_bytes(module(""))
    return folder


def _chosen(
    tree: Path, version: str, asked: ImageFormat = AUTO, *, dax: bool = False
) -> tuple[ImageKind, list[str]]:
    told = list[str]()
    return chosen(tree, version, asked, dax=dax, operation=Operation(log=told.append)), told


@pytest.mark.parametrize(
    ("version", "has_erofs", "kind"),
    [
        ("4.4.0-210-generic", False, ImageKind.EXT4),
        ("4.15.0-213-generic", False, ImageKind.EXT4),
        ("4.19.0-27-amd64", True, ImageKind.EXT4),  # one of staging, which reads no image of ours
        ("5.3.0-76-generic", True, ImageKind.EXT4),
        ("5.4.0-216-generic", True, ImageKind.EROFS_LZ4HC),
        ("5.4.0-216-generic", False, ImageKind.EXT4),
        ("6.12.1", False, ImageKind.EXT4),
        ("unknown", True, ImageKind.EROFS_LZ4HC),
        ("unknown", False, ImageKind.EXT4),
    ],
)
def test_it_is_one_that_the_kernel_can_mount(
    tmp_path: Path, version: str, has_erofs: bool, kind: ImageKind
) -> None:
    tree = _tree(tmp_path, version, "overlay", "ext4", *(["erofs"] if has_erofs else []))
    found, told = _chosen(tree, version)
    assert found is kind
    assert len(told) == (kind is ImageKind.EXT4)
    assert all(f"the kernel {version} of the tree has no EROFS" in line for line in told)
    assert _chosen(tree, version, EXT4) == (ImageKind.EXT4, [])


@pytest.mark.parametrize("version", ["3.2.0-126-virtual", "3.13.0-170-generic", "3.10.0-1160.el7", "4.3.9"])
@pytest.mark.parametrize("asked", ImageFormat)
def test_a_kernel_that_mounts_no_overlay_is_refused(tmp_path: Path, version: str, asked: ImageFormat) -> None:
    tree = _tree(tmp_path, version, "overlay", "ext4")
    with pytest.raises(Unsupported, match=rf"the kernel {version} .* overlay: Linux 4\.4"):
        _chosen(tree, version, asked)


def test_a_tree_that_tells_nothing_of_its_kernel_is_not_doubted(tmp_path: Path) -> None:
    assert _chosen(tmp_path, "6.1") == (ImageKind.EROFS_LZ4HC, [])
    assert _chosen(tmp_path, "unknown") == (ImageKind.EROFS_LZ4HC, [])
    assert _chosen(tmp_path, "4.9.0")[0] is ImageKind.EXT4


@pytest.mark.parametrize(("configured", "kind"), [("y", ImageKind.EROFS_LZ4HC), ("m", ImageKind.EXT4)])
def test_what_is_built_in_counts(tmp_path: Path, configured: str, kind: ImageKind) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot/config-6.1").write_text(f"CONFIG_X=y\nCONFIG_EROFS_FS={configured}\n")
    assert _chosen(tmp_path, "6.1")[0] is kind


def test_erofs_is_refused_where_the_kernel_has_none(tmp_path: Path) -> None:
    tree = _tree(tmp_path, "5.10.1", "overlay", "ext4")
    with pytest.raises(Unsupported, match=r"the kernel 5\.10\.1 of the tree has no EROFS$") as caught:
        _chosen(tree, "5.10.1", EROFS)
    assert "`ext4`" in (caught.value.hint or "")
    with pytest.raises(Unsupported, match=r"Linux 5\.4 is the first"):
        _chosen(tmp_path, "4.15.1", EROFS)


@pytest.mark.parametrize(
    ("version", "asked", "why"),
    [
        ("5.10.1", AUTO, "Linux 5.15 is the first that can"),
        ("4.15.1", EXT4, "Linux 5.15 is the first that can"),
        ("6.1.0", EXT4, "an ext4 image was asked for: there is nothing to be mapped"),
        ("6.1.0", AUTO, "has no EROFS: there is nothing to be mapped"),
    ],
)
def test_nothing_is_mapped_of_an_ext4(tmp_path: Path, version: str, asked: ImageFormat, why: str) -> None:
    tree = _tree(tmp_path, version, "overlay", "ext4", *(["erofs"] if asked is EXT4 else []))
    with pytest.raises(Unsupported, match=why):
        _chosen(tree, version, asked, dax=True)
