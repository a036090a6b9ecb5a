"""A fleet on the fake host: real overlays and real masters, machines only pretended."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from skinnybox.cli.main import run_command
from skinnybox.fleet.catalog import ports
from skinnybox.fleet.catalog.rows import Doing
from skinnybox.fleet.lease import leased
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.model import Allocation, Instance, Master, Overlay
from skinnybox.sizes import MIB
from tests.fleet.fleetfile import BASIC, File
from tests.samples import seal

HOST_KEYS = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",)
SPARSE = Specification(overlay=Overlay(size=64 * MIB, allocation=Allocation.SPARSE), memory=256 * MIB, cpus=1)


@pytest.fixture(autouse=True)
def nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines that boot beside these tests take no port from those that are only pretended."""
    monkeypatch.setattr(ports, "listening", frozenset[int])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def master(state: Path, tmp_path: Path) -> Master:
    return seal(state, tmp_path, "tiny", "1")


def open_fake(state: Path) -> Fleet:
    return open_fleet(Settings(state=state, host="memory"))


@pytest.fixture
def fleet(state: Path, master: Master) -> Iterator[Fleet]:
    with open_fake(state) as opened:
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
    with open_fake(state) as fleet:
        instances = fleet.create(["a", "b", "c"], "tiny", SPARSE)
        fleet._catalog.pin_host_keys(instances[0].uuid, HOST_KEYS)
    return {instance.name: instance for instance in instances}


@pytest.fixture
def file(fleet: Fleet, tmp_path: Path) -> File:
    found = File(fleet, tmp_path / "fleet.yaml")
    found.write(BASIC)
    return found


def rewritten(fleet: Fleet, instance: Instance) -> None:
    """Record and row of a machine, as if some command had made them so."""
    with leased(fleet._host, fleet._catalog, instance, Doing.SET) as held:
        held.commit(instance)
