"""A disk with a small system, for all tests of imports; a machine with an overlay, for those of deltas."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from tests.image.disks import as_ext4, write_system
from tests.image.overlaid import Machine


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A system on a whole disk, by mke2fs."""
    folder = tmp_path_factory.mktemp("plain")
    return as_ext4(folder / "disk.raw", write_system(folder / "tree"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("templates")


@pytest.fixture
def machine(tmp_path: Path, cache: Path) -> Machine:
    machine = Machine(tmp_path, cache)
    for folder in ("etc/app", "usr/share/doc", "opt/redo/sub", "var/log", "srv"):
        (machine.lower / folder).mkdir(parents=True)
    for number, file in enumerate(
        ("etc/app.conf", "etc/app/one", "etc/app/two", "etc/hostname", "etc/a-b", "usr/share/doc/x",
         "usr/share/doc/y", "opt/redo/old", "opt/redo/sub/older", "var/log/messages", "srv/data")
    ):  # fmt: skip
        (machine.lower / file).write_text(f"{file}\n")
        os.utime(machine.lower / file, (1_600_000_000 + number, 1_600_000_000 + number))
    (machine.lower / "bin").symlink_to("usr/bin")
    os.utime(machine.lower / "bin", (1, 1), follow_symlinks=False)
    (machine.lower / "srv/empty").touch()
    os.utime(machine.lower / "srv/empty", (1, 1))
    os.setxattr(machine.lower / "srv/data", "user.kept", b"1")
    (machine.lower / "dev").mkdir()
    for name, kind in (("null", "c 1 3"), ("sda", "b 8 0"), ("p", "p")):
        run.run(["mknod", machine.lower / "dev" / name, *kind.split()])
    return machine


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A folder of the namespace's root, where that may reach it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 100_000, 100_000)
        yield Path(folder)
