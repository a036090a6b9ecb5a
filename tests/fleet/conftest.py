"""A fleet on the memory host: real overlays and real masters, machines only pretended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.fleet.create import Specification
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.masters import imports
from skinnybox.model import Allocation, Master, Overlay, silent
from skinnybox.sizes import MIB

SPARSE = Specification(overlay=Overlay(size=64 * MIB, allocation=Allocation.SPARSE), memory=256 * MIB, cpus=1)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def master(state: Path, tmp_path: Path) -> Master:
    return seal(state, tmp_path, "tiny", "1")


def seal(state: Path, scratch: Path, name: str, version: str) -> Master:
    """A master of three files, that no machine could boot."""
    tree = scratch / f"tree-{name}-{version}"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "os-release").write_text(f'PRETTY_NAME="Tiny {version}"\n')
    (tree / "etc" / "motd").write_text("hello\n")
    for file in ("kernel", "initrd"):
        (scratch / file).write_bytes(file.encode())
    return imports.import_tree(
        tree, store=state / "masters", name=name, version=version, as_is=True,
        kernel=scratch / "kernel", initrd=scratch / "initrd", progress=silent, allow_foreign=True,
    )  # fmt: skip


def open_memory(state: Path) -> Fleet:
    return open_fleet(Settings(state=state, host="memory"))


@pytest.fixture
def fleet(state: Path, master: Master) -> Iterator[Fleet]:
    with open_memory(state) as opened:
        yield opened
