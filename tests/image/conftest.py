"""A disk with a small system, for all tests of imports."""

from pathlib import Path

import pytest

from tests.image.disks import as_ext4, write_system


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system on a whole disk, by mke2fs."""
    folder = tmp_path_factory.mktemp("plain")
    return as_ext4(folder / "disk.raw", write_system(folder / "tree"))
