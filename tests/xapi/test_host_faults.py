"""Whatever fails while a machine is made: nothing of it stays, or the next command repairs it."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NoSpace, SkinnyboxError
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import FULL, furnished, host_on, make_one, plain_disk

New = Callable[..., Instance]
STEPS = [
    ("VDI.create", 1),
    ("VM.create", 1),
    ("VBD.create", 1),
    ("VBD.create", 2),
    ("VIF.create", 1),
    ("VM.set_blocked_operations", 1),
]

Fault = Callable[[EmulatedPool, str, int], object]
FAULTS: dict[str, Fault] = {
    "fail": lambda pool, step, at: pool.faults.fail(step, *FULL, at=at),
    "fail_after": lambda pool, step, at: pool.faults.fail_after(step, *FULL, at=at),
    "drop_before": lambda pool, step, at: pool.faults.drop_before(step, at=at),
    "drop_after": lambda pool, step, at: pool.faults.drop_after(step, at=at),
    "busy for long": lambda pool, step, at: pool.faults.busy(step, at=at, times=100),
}
HARMLESS: dict[str, Fault] = {
    "busy": lambda pool, step, at: pool.faults.busy(step, at=at, times=2),
    "expired": lambda pool, step, at: pool.faults.expire_session(step, at=at),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[EmulatedPool]:
    with furnished() as pool:
        yield pool


@pytest.fixture
def host(pool: EmulatedPool, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[XapiHost]:
    """Its patience ends soon only where that is what is tried: a machine that pauses must not end it."""
    patience = 0.6 if "busy for long" in request.node.name else 60.0
    opened = host_on(pool, tmp_path / "state", patience=patience, make_disk=plain_disk)
    yield opened
    pool.faults.clear()
    opened.close()


def there(pool: EmulatedPool, uuid: uuid.UUID) -> list[str]:
    """Everything of one machine in the pool."""
    with pool.database() as database:
        marked = [
            f"{of} {record['name_label']}"
            for of in ("VM", "VDI")
            for record in database.tables[of].values()
            if record["other_config"].get("skinnybox:instance") == str(uuid)
        ]
        links = [(of, r["VM"]) for of in ("VBD", "VIF") for r in database.tables[of].values()]
        loose = [of for of, vm in links if not database.valid("VM", vm)]
        lost = {"task"} if any(r["status"] == "pending" for r in database.tables["task"].values()) else set()
        return [*marked, *loose, *lost]


def ready_then_gone(pool: EmulatedPool, host: XapiHost, instance: Instance) -> None:
    """It has said that it is ready; when it is deleted, nothing of it stays."""
    assert instance.uuid in host.reports([instance.uuid])
    host.power_off(instance)
    host.delete(instance)
    assert there(pool, instance.uuid) == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("step", "at"), STEPS)
def test_nothing_stays(
    pool: EmulatedPool, host: XapiHost, sealed: Sealed, new_instance: New, step: str, at: int, fault: str
) -> None:
    host.add_master(*sealed, Operation())
    instance = new_instance()
    FAULTS[fault](pool, step, at)
    try:
        make_one(host, instance, Operation())
    except SkinnyboxError as error:
        expected = {"fail": NoSpace, "fail_after": NoSpace, "busy for long": Conflict}
        assert isinstance(error, expected.get(fault, SkinnyboxError)), error
        pool.faults.clear()
        overlay = [] if step == "VDI.create" else ["VDI web-01 overlay"]
        assert there(pool, instance.uuid) == overlay  # of the step before, which the fleet undoes:
        host.delete(instance)
        assert there(pool, instance.uuid) == []
    else:
        assert step == "VM.set_blocked_operations" and fault.startswith("drop")  # sent again: it only sets
    pool.faults.clear()
    host.delete(instance)
    make_one(host, instance, Operation())
    host.start(instance, *sealed, Operation())
    ready_then_gone(pool, host, instance)


@pytest.mark.parametrize("fault", HARMLESS)
@pytest.mark.parametrize(("step", "at"), [*STEPS, ("VM.add_to_xenstore_data", 1), ("VM.start", 1)])
def test_what_passes_is_waited_for(
    pool: EmulatedPool, host: XapiHost, sealed: Sealed, new_instance: New, step: str, at: int, fault: str
) -> None:
    host.add_master(*sealed, Operation())
    instance = new_instance()
    HARMLESS[fault](pool, step, at)
    make_one(host, instance, Operation())
    host.start(instance, *sealed, Operation())
    ready_then_gone(pool, host, instance)


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "fail"])
@pytest.mark.parametrize(
    "step",
    ["VDI.create", "import_raw_vdi", "VDI.clone", "VDI.add_to_other_config", "VDI.remove_from_other_config"],
)
def test_an_interrupted_upload_is_swept(
    pool: EmulatedPool, host: XapiHost, sealed: Sealed, new_instance: New, step: str, fault: str
) -> None:
    host.remove_master(sealed.master)
    FAULTS[fault](pool, step, 1)
    try:
        host.add_master(*sealed, Operation())
    except SkinnyboxError:
        with pool.database() as database:
            assert not database.tables["VDI"]
    pool.faults.clear()
    host.add_master(*sealed, Operation())
    with pool.database() as database:
        roles = sorted(record["other_config"]["skinnybox:role"] for record in database.tables["VDI"].values())
    assert roles == ["master", "source"]


def test_a_full_sr_stops_an_upload(
    pool: EmulatedPool, host: XapiHost, sealed: Sealed, new_instance: New
) -> None:
    host.remove_master(sealed.master)
    with pool.database() as database:
        sr = next(iter(database.tables["SR"]))
    pool.faults.fill(sr, MIB // 2)
    with pytest.raises(NoSpace):
        host.add_master(*sealed, Operation())
    with pool.database() as database:
        assert not database.tables["VDI"]


@pytest.mark.parametrize("fault", ["fail", "fail_after", "drop_before", "drop_after"])
def test_a_start_that_fails_can_be_repeated(
    pool: EmulatedPool, host: XapiHost, sealed: Sealed, new_instance: New, fault: str
) -> None:
    instance = new_instance()
    make_one(host, instance, Operation())
    FAULTS[fault](pool, "VM.start", 1)
    with pytest.raises(SkinnyboxError):
        host.start(instance, *sealed, Operation())
    pool.faults.clear()
    if instance.uuid not in host.statuses():
        host.start(instance, *sealed, Operation())
    ready_then_gone(pool, host, instance)
