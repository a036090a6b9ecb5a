"""A fleet on the memory host: real overlays and real masters, machines only pretended."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from skinnybox.cli.main import run_command
from skinnybox.fleet.create import Specification
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.masters import imports
from skinnybox.model import GUEST_PROTOCOL, Allocation, Instance, Master, Overlay
from skinnybox.progress import silent
from skinnybox.sizes import MIB

HOST_KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA",)
SPARSE = Specification(overlay=Overlay(size=64 * MIB, allocation=Allocation.SPARSE), memory=256 * MIB, cpus=1)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def master(state: Path, tmp_path: Path) -> Master:
    return seal(state, tmp_path, "tiny", "1")


def seal(
    state: Path, scratch: Path, name: str, version: str, *, dax: bool = False, protocol: int = GUEST_PROTOCOL
) -> Master:
    """A master of a few files, that no machine could boot."""
    tree = scratch / f"tree-{name}-{version}"
    if not tree.exists():
        (tree / "etc").mkdir(parents=True)
        (tree / "etc" / "os-release").write_text(f'PRETTY_NAME="Tiny {version}"\n')
        (tree / "etc" / "motd").write_text("hello\n")
        (tree / "usr/lib/skinnybox").mkdir(parents=True)
        (tree / "usr/lib/skinnybox/protocol").write_text(f"{protocol}\n")
    for file in ("kernel", "initrd"):
        (scratch / file).write_bytes(file.encode())
    return imports.import_tree(
        tree, store=state / "masters", name=name, version=version, as_is=True,
        kernel=scratch / "kernel", initrd=scratch / "initrd", progress=silent, allow_foreign=True, dax=dax,
    )  # fmt: skip


def open_memory(state: Path) -> Fleet:
    return open_fleet(Settings(state=state, host="memory"))


@pytest.fixture
def fleet(state: Path, master: Master) -> Iterator[Fleet]:
    with open_memory(state) as opened:
        yield opened


class Said(NamedTuple):
    """How a command line ended, and what it said."""

    code: int
    out: str
    err: str


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    """Run a command line in this process."""
    capsys.readouterr()
    try:
        code = run_command(words)
    except SystemExit as ended:
        code = int(str(ended.code))
    shown = capsys.readouterr()
    return Said(code, shown.out, shown.err)


@pytest.fixture
def made(state: Path, master: Master) -> dict[str, Instance]:
    """Three machines; nobody has the state folder open any more. The first has host keys."""
    with open_memory(state) as fleet:
        instances = fleet.create(["a", "b", "c"], "tiny", SPARSE)
        fleet._state.pin_host_keys(instances[0].uuid, HOST_KEYS)
    return {instance.name: instance for instance in instances}


@pytest.fixture
def nothing_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is so new that it may be in the making."""
    from skinnybox.hosts import leftovers

    monkeypatch.setattr(leftovers, "_YOUNG", 0.0)
