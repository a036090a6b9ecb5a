"""A disk with packages on it, for machines that have no way out: a folder of files, and their list."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from skinnybox.masters import ext4_image
from skinnybox.masters.workspace import no_space
from skinnybox.operation import Operation
from skinnybox.package_cache.archive import Archive

_TIME = 1_000_000_000
"""When all of it was made: the same packages are the same bytes."""


def made(
    archive: Archive, wanted: Sequence[str], removed: Sequence[str], disk: Path, operation: Operation
) -> int:
    """Put an ext4 in the place of a file that has /packages: what `wanted` need beside the master, when
    `removed` go; how many bytes of them. Raises as Archive.fetched does."""
    with _root(disk) as root:
        size = archive.fetched(wanted, removed, root / "packages", operation)
        _written(disk, root, operation)
    return size


def empty(disk: Path, operation: Operation) -> None:
    """The same with no package."""
    with _root(disk) as root:
        (root / "packages/Packages").touch()
        _written(disk, root, operation)


@contextmanager
def _root(disk: Path) -> Iterator[Path]:
    with (
        TemporaryDirectory(dir=disk.parent, prefix=".packages-", suffix=".new") as folder,
        no_space(disk.parent),
    ):
        root = Path(folder, "root")
        (root / "packages").mkdir(parents=True)
        yield root


def _written(disk: Path, root: Path, operation: Operation) -> None:
    beside = root.parent / "disk"
    for place in (*root.rglob("*"), root):
        place.chmod(0o755 if place.is_dir() else 0o644)
        os.utime(place, (_TIME, _TIME))
    with ext4_image.making(root, beside, newest=_TIME, operation=operation):
        pass
    ext4_image.stamp(beside)
    beside.replace(disk)
