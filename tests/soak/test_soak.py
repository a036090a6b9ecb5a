"""Two hundred lives of a machine: nothing is left behind by any of them, and nothing grows."""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import Condition
from skinnybox.model import Allocation, Change, Network, Overlay
from skinnybox.sizes import KIB, MIB
from tests.faults import small_guest
from tests.pace import within

pytestmark = [pytest.mark.boot, pytest.mark.full]

LIVES = int(os.environ.get("SKINNYBOX_SOAK_LIVES", "200"))
TOGETHER = 2
WARM_UP = 5
MOST_SECONDS = 120
# Logs that are bounded, each tested where it is written.
BOUNDED = re.compile(r"run/(events|supervisor)[.].*|state[.]db.*")
SPECIFICATION = Specification(
    overlay=Overlay(size=64 * MIB, allocation=Allocation.RESERVED),
    memory=160 * MIB,
    cpus=1,
    network=Network.RESTRICTED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What a life may leave: open descriptors, processes, files and bytes of the state folder, memory."""

    own_descriptors: int
    processes: int
    supervisor_descriptors: int
    supervisor_memory: int
    files: frozenset[str] = field(repr=False)
    written: int


@pytest.fixture
def fleet(tmp_path: Path, test_kernel: Path) -> Iterator[Fleet]:
    state = tmp_path / "state"
    small_guest.sealed(state / "masters", tmp_path, test_kernel)
    with open_fleet(Settings(state=state, parallel=TOGETHER, reach=False)) as opened:  # there is no sshd
        yield opened
        if opened.names():
            opened.delete(["*"], force=True)


def test_nothing_is_left_behind(fleet: Fleet, tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = None
    for number in range(LIVES // TOGETHER):
        _live(fleet)
        if number == WARM_UP:
            before = _traces(state)
    assert before is not None
    after = _traces(state)
    print(f"\nafter {WARM_UP * TOGETHER} lives: {before}\nafter {LIVES} lives: {after}")
    assert after.files == before.files
    assert after.own_descriptors <= before.own_descriptors
    assert after.processes <= before.processes
    assert after.supervisor_descriptors <= before.supervisor_descriptors
    assert after.supervisor_memory <= before.supervisor_memory * 1.1
    assert after.written <= before.written + 64 * KIB


def _live(fleet: Fleet) -> None:
    """Two machines at once, from create to delete."""
    fleet.create([f"soak-{{1..{TOGETHER}}}"], "small", SPECIFICATION)
    for started in fleet.start(["soak-*"], timeout=within(MOST_SECONDS)):
        assert started.error is None
    for name in fleet.names():
        _told(fleet, name, "echo lived >/srv/it; sync; poweroff -f")
    for name in fleet.names():
        _await_stopped(fleet, name)
        assert b"srv/it" in {change.path for change in _changes(fleet, name)}
    for reset in fleet.overlays.reset(["soak-*"]):
        assert reset.error is None
    assert _changes(fleet, "soak-1") == []
    for deleted in fleet.delete(["soak-*"]):
        assert deleted.error is None


def _told(fleet: Fleet, name: str, line: str) -> None:
    with fleet.console(name) as console:
        console.sendall(line.encode() + b"\n")


def _await_stopped(fleet: Fleet, name: str) -> None:
    deadline = time.monotonic() + within(MOST_SECONDS)
    while fleet.machine(name).condition is not Condition.STOPPED:
        assert time.monotonic() < deadline, fleet.machine(name)
        time.sleep(0.1)


def _changes(fleet: Fleet, name: str) -> list[Change]:
    with fleet.overlays.changes(name) as found:
        return list(found)


def _traces(state: Path) -> Traces:
    supervisor = _mentioning(f"{state}/run")
    files = {str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()}
    kept = frozenset(file for file in files if not BOUNDED.fullmatch(file))
    return Traces(
        own_descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        processes=len(_mentioning(str(state))),
        supervisor_descriptors=sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in supervisor),  # noqa: PTH208
        supervisor_memory=sum(_memory(pid) for pid in supervisor),
        files=kept,
        written=sum((state / file).stat().st_blocks * 512 for file in kept),
    )


def _mentioning(text: str) -> list[int]:
    """Processes with this on their command line: ours are known by the state folder they serve."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if text.encode() in words and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def _memory(pid: int) -> int:
    """Bytes that nobody else shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE)) * KIB
