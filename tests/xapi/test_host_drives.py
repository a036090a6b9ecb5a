"""Disks and drives that others deleted or detached, masters that they may write: told, refused, mended."""

from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Conflict
from skinnybox.fleet.repair import repair
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.issues import Check, Deed, Finding
from tests.emulators.xapi import EmulatedPool
from tests.xapi import records
from tests.xapi.furnished import SMALL, at_work

pytestmark = pytest.mark.image
GUEST = at_work


@pytest.fixture
def fleet(fleet: Fleet) -> Fleet:
    """Two machines, `web` and `db`, that are off."""
    fleet.create(["web", "db"], "tiny", SMALL)
    return fleet


def disk(pool: EmulatedPool, role: str, name: str = "") -> tuple[str, dict[str, Any]]:
    with pool.database() as database:
        [found] = [
            (ref, dict(record))
            for ref, record in database.tables["VDI"].items()
            if tags.role_of(record) == role and record["name_label"].startswith(name)
        ]
        return found


def vm(pool: EmulatedPool, name: str = "web") -> str:
    with pool.session() as api:
        [found] = api.VM.get_by_name_label(name)
        return str(found)


def detach(pool: EmulatedPool, role: str) -> None:
    _, record = disk(pool, role, "web" if role == "overlay" else "")
    with pool.session() as api:
        machine = api.VM.get_by_name_label("web")[0]
        for drive in record["VBDs"]:
            if api.VBD.get_VM(drive) == machine:
                api.VBD.destroy(drive)


def delete(pool: EmulatedPool, role: str) -> None:
    """As every client may that deletes disks: the drives of machines that are off go along."""
    reference, _ = disk(pool, role, "web" if role == "overlay" else "")
    with pool.session() as api:
        api.VDI.destroy(reference)


def host_of(fleet: Fleet) -> XapiHost:
    host = fleet._host
    assert isinstance(host, XapiHost)
    return host


def seen(fleet: Fleet, name: str = "web") -> MachineView:
    host_of(fleet)._pool.things.refresh(anew=True)
    return fleet.machine(name)


def checked(fleet: Fleet, name: str) -> list[Check]:
    host_of(fleet)._pool.things.refresh(anew=True)
    return [check for check in fleet.upkeep.doctor() if check.name == name]


def repaired(fleet: Fleet, state: Path) -> list[Finding]:
    done = [
        outcome for outcome in repair.repair(state, host_of(fleet)) if outcome.value and outcome.value.what
    ]
    assert [outcome.error for outcome in done] == [None] * len(done)
    return [outcome.value for outcome in done if outcome.value and "web" in outcome.value.what]


@pytest.mark.parametrize("role", ["overlay", "master"])
def test_a_drive_that_was_taken_off(pool: EmulatedPool, fleet: Fleet, tmp_path: Path, role: str) -> None:
    detach(pool, role)
    machine = seen(fleet)
    assert machine.condition is Condition.DAMAGED and machine.trouble
    assert machine.trouble.brief == f"{role} detached" and "`skinnybox repair`" in (machine.reason or "")
    assert seen(fleet, "db").condition is Condition.STOPPED
    [check] = checked(fleet, "drives")
    assert check.status == "fail" and f"web ({role} detached)" in check.detail and "db" not in check.detail
    [finding] = repaired(fleet, tmp_path / "state")
    assert finding.deed is Deed.ATTACH
    assert seen(fleet).condition is Condition.STOPPED
    assert [check.status for check in checked(fleet, "drives")] == ["ok"]
    assert repaired(fleet, tmp_path / "state") == []
    assert [outcome.error for outcome in fleet.start(["*"])] == [None, None]


@pytest.mark.parametrize("role", ["overlay", "master"])
def test_a_start_attaches_it_as_well(pool: EmulatedPool, fleet: Fleet, role: str) -> None:
    detach(pool, role)
    seen(fleet)
    assert [outcome.error for outcome in fleet.start(["web"])] == [None]
    assert seen(fleet).condition is Condition.READY


def test_a_master_that_was_deleted_is_uploaded_again(
    pool: EmulatedPool, fleet: Fleet, tmp_path: Path
) -> None:
    delete(pool, "master")
    assert [seen(fleet, name).condition for name in ("web", "db")] == [Condition.DAMAGED] * 2
    [check] = checked(fleet, "drives")
    assert "2 machines" in check.detail and "web (no master)" in check.detail
    assert [finding.deed for finding in repaired(fleet, tmp_path / "state")] == [Deed.KEEP]
    assert [outcome.error for outcome in fleet.start(["*"])] == [None, None]
    assert seen(fleet).condition is Condition.READY


def test_an_overlay_that_was_deleted(pool: EmulatedPool, fleet: Fleet, tmp_path: Path) -> None:
    delete(pool, "overlay")
    machine = seen(fleet)
    assert machine.condition is Condition.DAMAGED and "is lost" in (machine.reason or "")
    assert [finding.deed for finding in repaired(fleet, tmp_path / "state")] == [Deed.KEEP]
    [outcome] = fleet.start(["web"])
    assert outcome.error and "has no overlay" in outcome.error.message
    assert [outcome.error for outcome in fleet.delete(["web"])] == [None]
    assert seen(fleet, "db").condition is Condition.STOPPED


def test_an_overlay_that_is_not_on_its_sr(pool: EmulatedPool, fleet: Fleet) -> None:
    reference, _ = disk(pool, "overlay", "web")
    with pool.database() as database:
        database.set("VDI", reference, "missing", True)
    assert (seen(fleet).trouble, seen(fleet).condition) != (None, Condition.STOPPED)


def test_a_machine_that_was_deleted(pool: EmulatedPool, fleet: Fleet) -> None:
    """By a client that knows how to take the block off."""
    with pool.session() as api:
        machine = api.VM.get_by_name_label("web")[0]
        api.VM.remove_from_blocked_operations(machine, "destroy")
        api.VM.destroy(machine)
    assert seen(fleet).condition is Condition.DAMAGED and "deleted it in the pool" in (
        seen(fleet).reason or ""
    )
    assert [outcome.error for outcome in fleet.start(["web"])] == [None]
    assert seen(fleet).condition is Condition.READY


@pytest.fixture
def writer(pool: EmulatedPool, fleet: Fleet) -> str:
    """The drive of a stranger's machine, `rescue`, that may write our master."""
    template = pool.add_template("Rescue")
    reference, _ = disk(pool, "master")
    with pool.session() as api:
        machine = api.VM.clone(template, "rescue")
        api.VM.provision(machine)
        return str(api.VBD.create(records.drive(machine, reference, "1")))


def test_a_master_that_a_stranger_may_write(pool: EmulatedPool, fleet: Fleet, writer: str) -> None:
    [check] = checked(fleet, "masters")
    assert check.status == "fail" and "rescue" in check.detail
    with pool.session() as api:
        assert check.hint and f"xe vbd-destroy uuid={api.VBD.get_uuid(writer)}" in check.hint
    [outcome] = fleet.start(["web"])
    assert isinstance(outcome.error, Conflict) and "rescue" in outcome.error.message
    with pytest.raises(Conflict, match="rescue"):
        fleet.create(["new"], "tiny", SMALL)
    assert "new" not in fleet.names()
    with pool.session() as api:
        api.VBD.set_mode(writer, "RO")
    assert checked(fleet, "masters") == []
    assert [outcome.error for outcome in fleet.start(["web"])] == [None]


def test_one_of_ours_that_somebody_made_writable(pool: EmulatedPool, fleet: Fleet) -> None:
    _, master = disk(pool, "master")
    with pool.session() as api:
        [drive] = [each for each in master["VBDs"] if api.VBD.get_VM(each) == vm(pool)]
        api.VBD.set_mode(drive, "RW")
    [outcome] = fleet.start(["db"])
    assert isinstance(outcome.error, Conflict) and "web" in outcome.error.message
