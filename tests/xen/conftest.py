"""The sealed Debian of the boot tests, and Debian's Xen."""

from pathlib import Path

import pytest

from skinnybox import run
from tests.boot.conftest import fleet, master
from tests.xen import packages

__all__ = ["fleet", "master"]


@pytest.fixture(scope="session")
def xen() -> Path:
    """A folder with the files of Debian's packages."""
    tree = packages.unpacked()
    if tree is None:
        pytest.skip("Debian's Xen is not in .cache/xen-tier and cannot be fetched by apt-get")
    return tree


@pytest.fixture(scope="session")
def busybox() -> Path:
    found = run.find("busybox")
    if found is None or b"/ld-linux" in found.read_bytes()[:4096]:
        pytest.skip("no static busybox (Debian: busybox-static)")
    return found
