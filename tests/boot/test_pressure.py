"""A disk that fills up: grown while its machine runs, shrunk by what is deleted where it is sparse, and never
where its room is reserved."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, DiskKind, Overlay
from skinnybox.model.datadisk import data_disk
from skinnybox.sizes import MIB
from tests.boot.conftest import CACHE, Create

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

OVERLAY, DATA = DiskKind.OVERLAY, DiskKind.DATA
FILL = """
head -c 150000000 /dev/urandom >/srv/dump; head -c 120000000 /dev/urandom >/srv/data/dump; sync
"""


def place(machine: MachineView, kind: DiskKind) -> Path:
    return CACHE / "instances" / str(machine.instance.uuid) / f"{kind}.img"


def taken(machine: MachineView, kind: DiskKind) -> int:
    return place(machine, kind).stat().st_blocks * 512


def test_disks_under_pressure(fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh) -> None:
    data = data_disk(48 * MIB, ["/srv/data"], Allocation.RESERVED)
    made = create("full", overlay=Overlay(size=96 * MIB, allocation=Allocation.SPARSE), data=data)
    up("full")
    assert "SystemMaxUse=8388608" in sh("full", "cat /run/systemd/journald.conf.d/10-skinnybox.conf")
    for kind, size in ((OVERLAY, 256 * MIB), (DATA, 160 * MIB)):
        grown = fleet.overlays.grow(["full"], size, disk=kind)[0]
        assert grown.error is None and grown.value is not None
        assert (grown.value.after, grown.value.followed, grown.value.why) == (size, True, None)
    assert fleet.machine("full").instance.disks[OVERLAY].size == 256 * MIB
    assert taken(made, DATA) >= 160 * MIB
    room = sh("full", "df -m --output=size / /srv/data | tail -n 2").split()
    assert int(room[0]) > 230 and int(room[1]) > 140
    before = taken(made, OVERLAY)

    sh("full", FILL)
    assert taken(made, OVERLAY) > before + 140 * MIB
    [found] = fleet.overlays.use(["full"], depth=2, rows=3)
    assert found.value is not None and found.value.largest[0].path == b"/srv/dump"
    assert "/srv" in sh("full", "skinnybox-guest usage")
    sh("full", "rm /srv/dump /srv/data/dump; sync; skinnybox-guest trim; sync")
    assert taken(made, OVERLAY) < before + 20 * MIB
    assert taken(made, DATA) >= 160 * MIB
    down("full")
    for kind in (OVERLAY, DATA):
        run.run(["e2fsck", "-fn", place(made, kind)])
