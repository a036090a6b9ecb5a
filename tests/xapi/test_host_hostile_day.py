"""A hostile day: others act in the pool at the same moment, and commands are killed at any step."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Conflict, SkinnyboxError
from skinnybox.hosts.base import Contents
from skinnybox.hosts.xapi import tags, xenstore_data
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.issues import Deed, Finding
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.emulators.xapi import EmulatedPool
from tests.xapi import records
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import host_on, machine, make_one, may_format, plain_disk

pytestmark = pytest.mark.image
LONG_AGO = {tags.MADE: "2020-01-01T00:00:00+00:00"}


@pytest.fixture
def another(pool: EmulatedPool, tmp_path: Path) -> Iterator[Callable[..., XapiHost]]:
    """A host as another command on the same state folder has it."""
    with contextlib.ExitStack() as opened:

        def opens(**chosen: Any) -> XapiHost:
            host = host_on(pool, tmp_path / "state", make_disk=plain_disk, **chosen)
            opened.callback(host.close)
            return host

        yield opens
        pool.faults.clear()


@pytest.fixture
def host(another: Callable[..., XapiHost], sealed: Sealed) -> XapiHost:
    opened = another()
    opened.add_master(*sealed, Operation())
    return opened


@pytest.fixture
def made(host: XapiHost, new_instance: Callable[..., Instance]) -> Instance:
    instance = new_instance()
    make_one(host, instance, Operation())
    return instance


def disks(pool: EmulatedPool, instance: Instance) -> dict[str, dict[str, Any]]:
    with pool.database() as database:
        everything = {ref: dict(record) for ref, record in database.tables["VDI"].items()}
    return {ref: each for ref, each in everything.items() if tags.instance_of(each) == instance.uuid}


def vm_of(pool: EmulatedPool, instance: Instance) -> str:
    with pool.database() as database:
        return next(ref for ref, each in database.where("VM") if tags.instance_of(each) == instance.uuid)


def copied(pool: EmulatedPool, disk: str) -> str:
    """As XenCenter copies a disk: with all its marks. The pool tells of the copy first from then on."""
    with pool.session() as api:
        copy = str(api.VDI.copy(disk, api.VDI.get_SR(disk)))
        api.VDI.set_name_description(disk, "told of last")
    return copy


def detached(pool: EmulatedPool, disk: str) -> None:
    with pool.session() as api:
        for drive in api.VDI.get_VBDs(disk):
            api.VBD.destroy(drive)


def rescue(pool: EmulatedPool, disk: str) -> str:
    """A machine of somebody else's with this disk."""
    template = pool.add_template("Rescue")
    with pool.session() as api:
        vm = str(api.VM.clone(template, "rescue"))
        api.VM.provision(vm)
        api.VBD.create(records.drive(vm, disk, "1"))
    return vm


def left(pool: EmulatedPool, host: XapiHost, instance: Instance) -> list[Finding]:
    """What repair finds a day later."""
    theirs = disks(pool, instance)
    with pool.database() as database:
        for ref in theirs:
            config = database.get("VDI", ref, "other_config")
            database.set("VDI", ref, "other_config", config | LONG_AGO)
    return [finding for finding in host.leftovers([instance.uuid]) if "/VDI/" in str(finding.path)]


def renewed(host: XapiHost, instance: Instance, identity: bytes = b"") -> None:
    told = xenstore_data.contents_of(instance)
    host.replace_overlay(instance, Contents(base=told.base, seed=told.seed, identity=identity), Operation())


def rebuilt(host: XapiHost, instance: Instance, *meanwhile: Callable[[], object]) -> None:
    def build(old: Path, new: Path) -> None:
        new.write_bytes(old.read_bytes())
        for act in meanwhile:
            act()

    host.rebuild_overlay(instance, instance.overlay.size, build, Operation())


def test_a_copied_overlay_never_takes_its_place(
    pool: EmulatedPool, another: Callable[..., XapiHost], made: Instance, sealed: Sealed
) -> None:
    (overlay,) = disks(pool, made)
    copy, host = copied(pool, overlay), another()
    host.start(made, *sealed, Operation())
    assert disks(pool, made)[overlay]["VBDs"] and not disks(pool, made)[copy]["VBDs"]
    host.power_off(made)
    renewed(host, made)
    assert overlay not in disks(pool, made) and copy in disks(pool, made)
    assert [finding.deed for finding in left(pool, host, made)] == [Deed.KEEP]
    with pytest.raises(Conflict, match="perhaps a copy"):
        host.delete(made)
    assert len(disks(pool, made)) == 2 and machine(pool, made)
    with pool.session() as api:
        api.VDI.remove_from_other_config(copy, tags.INSTANCE)
    host.delete(made)
    assert disks(pool, made) == {} and pool.file_of(copy).exists()


def test_nobody_can_say_which_is_the_copy(
    pool: EmulatedPool, another: Callable[..., XapiHost], made: Instance, sealed: Sealed
) -> None:
    (overlay,) = disks(pool, made)
    detached(pool, overlay)
    copy = copied(pool, overlay)
    for refused in (lambda: another().start(made, *sealed, Operation()), lambda: renewed(another(), made)):
        with pytest.raises(Conflict, match="2 overlays"):
            refused()
    assert set(disks(pool, made)) == {overlay, copy}


def test_snapshots_that_others_made_stay(
    pool: EmulatedPool, host: XapiHost, made: Instance, sealed: Sealed
) -> None:
    host.start(made, *sealed, Operation())
    with pool.session() as api:
        theirs = api.VDI.snapshot(next(iter(disks(pool, made))))
    host.take_snapshot(made, "ours", Operation())
    pool.faults.fail_after("VDI.snapshot", "SR_BACKEND_FAILURE_82", "", "", "")
    with pytest.raises(SkinnyboxError):
        host.take_snapshot(made, "failed", Operation())
    assert [ref for ref, each in disks(pool, made).items() if each["is_a_snapshot"]] == [theirs]
    found = left(pool, host, made)
    assert [finding.deed for finding in found] == [Deed.KEEP], found


@pytest.mark.parametrize("change", [renewed, rebuilt])
def test_it_is_started_past_us_meanwhile(
    pool: EmulatedPool, host: XapiHost, made: Instance, change: Callable[..., None]
) -> None:
    """And is off again: what its guest wrote would be lost."""
    before, pool.xapi.guest = disks(pool, made), None

    def run_by_hand() -> None:
        with pool.session() as api:
            api.VM.start(vm_of(pool, made), False, False)
            api.VM.hard_shutdown(vm_of(pool, made))

    with pytest.raises(Conflict, match="meanwhile"):
        rebuilt(host, made, run_by_hand)
    assert disks(pool, made).keys() == before.keys()
    change(host, made)
    assert len(disks(pool, made)) == 1


def test_it_cannot_be_started_while_it_gets_another_overlay(
    host: XapiHost, another: Callable[..., XapiHost], made: Instance, sealed: Sealed
) -> None:
    def start() -> None:
        with pytest.raises(Conflict, match="another command"):
            another().start(made, *sealed, Operation())

    rebuilt(host, made, start)
    assert host.start(made, *sealed, Operation()).nonce


def test_two_starts_at_once_leave_one_nonce(
    pool: EmulatedPool, another: Callable[..., XapiHost], host: XapiHost, made: Instance, sealed: Sealed
) -> None:
    pool.faults.slow("VM.start", 0.5)
    with ThreadPoolExecutor(2) as threads:
        ended = [threads.submit(each.start, made, *sealed, Operation()) for each in (host, another())]
    assert sorted(isinstance(each.exception(), Conflict) for each in ended) == [False, True]
    found = another()
    assert found.reports([made.uuid])[made.uuid].nonce == found.statuses()[made.uuid].nonce


def test_a_disk_that_another_machine_has_is_not_deleted(
    pool: EmulatedPool, host: XapiHost, made: Instance
) -> None:
    (overlay,) = disks(pool, made)
    detached(pool, overlay)
    vm = rescue(pool, overlay)
    with pytest.raises(Conflict, match="rescue"):
        host.delete(made)
    assert overlay in disks(pool, made) and machine(pool, made)
    with pool.session() as api:
        api.VM.set_blocked_operations(vm, {})
        api.VM.destroy(vm)
    host.delete(made)
    assert disks(pool, made) == {}


def test_a_copied_machine_is_not_ours(
    pool: EmulatedPool, another: Callable[..., XapiHost], made: Instance
) -> None:
    vm, (overlay,) = vm_of(pool, made), disks(pool, made)
    with pool.session() as api:
        api.VM.set_blocked_operations(vm, {})
        for number in range(5):
            api.VM.copy(vm, f"copy {number}", api.VDI.get_SR(overlay))
    host = another()
    found = host._pool.machine(made.uuid)
    assert found and found[0] == vm and host._pool.overlay(made)[0] == overlay
    with pytest.raises(Conflict, match="was copied"):
        host.delete(made)


CHANGES: dict[str, Callable[..., None]] = {
    "reset": renewed,
    "upload": lambda host, made: renewed(host, made, b"x"),
    "rebuild": rebuilt,
}


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.full)])
@pytest.mark.parametrize("change", CHANGES)
def test_killed_at_any_step_it_starts_and_nothing_stays(
    pool: EmulatedPool,
    another: Callable[..., XapiHost],
    new_instance: Any,
    sealed: Sealed,
    change: str,
    stride: int,
) -> None:
    """It has been ready before, so its order to format was taken back."""
    step, met = 1, True
    while met:
        instance, host = new_instance(f"web-{step}"), another()
        host.add_master(*sealed, Operation())
        make_one(host, instance, Operation())
        host.start(instance, *sealed, Operation())
        assert host.reports([instance.uuid])
        host.power_off(instance)
        fault = pool.faults.drop_before("*", at=step, times=1 << 20)
        with contextlib.suppress(SkinnyboxError):
            CHANGES[change](host, instance)
        pool.faults.clear()
        comes_up_alone(pool, another(), instance, sealed)
        step, met = step + stride, bool(fault.met)
    assert step > 10


def comes_up_alone(pool: EmulatedPool, host: XapiHost, instance: Instance, sealed: Sealed) -> None:
    """With one overlay, which it may format if that is blank."""
    host.start(instance, *sealed, Operation())
    blank = "skinnybox:blank" in host._pool.overlay(instance)[1]["other_config"]
    assert may_format(machine(pool, instance)["xenstore_data"], instance) == blank
    host.power_off(instance)
    for finding in left(pool, host, instance):
        assert finding.deed is Deed.REMOVE and finding.act, finding
        finding.act()
    assert len(disks(pool, instance)) == 1
    host.delete(instance)
