"""What was cut off is refused, whatever it is and wherever it was cut: nothing arrives with zeros inside.

Requirements: mke2fs, qemu-img, xz, zstd; root, or root of a namespace.
"""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Corrupt, SkinnyboxError
from skinnybox.masters import namespace
from skinnybox.masters.archives.bring import brought
from skinnybox.operation import Operation
from tests.image import archives
from tests.image.disks import as_ext4, describe, unpack, with_gpt, write_system

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(namespace.needed(), reason="needs root, or root of a namespace"),
]
by_places = pytest.mark.parametrize("places", [5, pytest.param(20, marks=pytest.mark.full)])
"""At how many places each is cut, besides one byte before its end."""
IMAGES = {
    "qcow2": ("qcow2", []),
    "qcow2-packed": ("qcow2", ["-c"]),
    "qcow2-zstd": ("qcow2", ["-c", "-o", "compression_type=zstd"]),
    "qcow2-old": ("qcow2", ["-o", "compat=0.10"]),
    "qcow2-parts": ("qcow2", ["-o", "extended_l2=on"]),
    "qcow2-small": ("qcow2", ["-o", "cluster_size=512"]),
    "qcow2-large": ("qcow2", ["-o", "cluster_size=2M"]),
    "vmdk-mono": ("vmdk", []),
    "vmdk-stream": ("vmdk", ["-o", "subformat=streamOptimized"]),
    "vdi": ("vdi", []),
    "vdi-static": ("vdi", ["-o", "static=on"]),
    "vhdx": ("vhdx", []),
    "vhdx-fixed": ("vhdx", ["-o", "subformat=fixed"]),
    "vpc": ("vpc", []),
    "vpc-fixed": ("vpc", ["-o", "subformat=fixed"]),
    "raw": ("raw", []),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system with files whose blocks lie to the end of its disk, and would not be missed."""
    tree = write_system(tmp_path_factory.mktemp("cut") / "tree")
    for number in range(40):
        (tree / f"file-{number}").write_bytes(random.Random(number).randbytes(150_000) + bytes(50_000))
    return tree


@pytest.fixture(scope="module")
def disk(tree: Path) -> Path:
    volume = as_ext4(tree.parent / "volume", tree, "-O", "^has_journal", size="12M")
    return with_gpt(tree.parent / "disk.gpt", {1: volume.read_bytes()})


def is_refused_everywhere(
    file: Path, whole: Path, places: int, unpacked: Callable[[Path, Path], Path]
) -> None:
    """At each of the places, and one byte before the end. Where it is not, nothing of it may be missing."""
    wanted = describe(unpacked(whole, file.parent / "work"))
    shutil.rmtree(file.parent / "work")
    size = whole.stat().st_size
    shutil.copyfile(whole, file)
    for cut in [size - 1, *(size * place // places for place in range(places - 1, -1, -1))]:
        os.truncate(file, cut)
        try:
            tree = unpacked(file, file.parent / "work")
        except SkinnyboxError as error:
            assert error.hint, error.message
            assert not isinstance(error, Corrupt) or "Traceback" not in error.message
        else:
            assert cut == size - 1, f"{file.name} came through, cut at {cut} of {size}"
            assert describe(tree) == wanted
        shutil.rmtree(file.parent / "work", ignore_errors=True)


@by_places
@pytest.mark.parametrize("kind", IMAGES)
def test_a_disk_image_that_was_cut_off_is_refused(tmp_path: Path, disk: Path, kind: str, places: int) -> None:
    driver, options = IMAGES[kind]
    whole = tmp_path / "whole"
    run.run(["qemu-img", "convert", "-f", "raw", "-O", driver, *options, disk, whole])
    is_refused_everywhere(tmp_path / "cut", whole, places, unpack)


def bring(file: Path, work: Path) -> Path:
    work.mkdir()
    return brought(file, work, Operation())[0]


ARCHIVES: dict[str, Callable[[Path, Path, Path], Path]] = {
    "tar": lambda file, tree, disk: archives.tar_of(file, tree),
    "tar.gz": lambda file, tree, disk: archives.packed(archives.tar_of(file, tree), "gzip"),
    "tar.xz": lambda file, tree, disk: archives.packed(archives.tar_of(file, tree), "xz"),
    "tar.zst": lambda file, tree, disk: archives.packed(archives.tar_of(file, tree), "zstd"),
    "tar.bz2": lambda file, tree, disk: archives.packed(archives.tar_of(file, tree), "bzip2"),
    "raw.gz": lambda file, tree, disk: archives.packed(disk, "gzip"),
    "raw.xz": lambda file, tree, disk: archives.packed(disk, "xz"),
    "raw.zst": lambda file, tree, disk: archives.packed(disk, "zstd"),
    "disk.raw in tar": lambda file, tree, disk: archives.tar_with(file, {"disk.raw": disk}),
    "ova": lambda file, tree, disk: archives.ova_of(file, disk),
    "xva": lambda file, tree, disk: archives.xva_of(file, disk),
    "xva without sums": lambda file, tree, disk: archives.xva_of(file, disk, checksums=""),
    "docker": lambda file, tree, disk: archives.docker_of(
        file, [archives.layer_of(file.parent, "1.tar", tree)]
    ),
    "squashfs": lambda file, tree, disk: archives.squashfs_of(file, tree),
}


@by_places
@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_was_cut_off_is_refused(
    tmp_path: Path, tree: Path, disk: Path, kind: str, places: int
) -> None:
    if kind == "squashfs" and not (run.find("sqfs2tar") and run.find("tar2sqfs")):
        pytest.skip("no squashfs-tools-ng")
    whole = ARCHIVES[kind](tmp_path / "whole", tree, disk)
    is_refused_everywhere(tmp_path / "cut", whole, places, bring)


def test_a_tar_that_ends_between_two_members_is_refused(tmp_path: Path, tree: Path) -> None:
    """Which GNU tar takes for whole."""
    whole = archives.tar_of(tmp_path / "whole", tree).read_bytes()
    at = whole.index(b"./file-7\0")
    for length in (at, at + 512 + 200_192):
        (tmp_path / "t").write_bytes(whole[:length])
        (tmp_path / "work").mkdir()
        with pytest.raises(Corrupt, match="cut off"):
            brought(tmp_path / "t", tmp_path / "work", Operation())
        shutil.rmtree(tmp_path / "work")
