"""A guest writes where it is told of itself: nothing is decided by that, and what was taken back stays so."""

import pytest

from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.xenstore_data import NONCE, ORDER, PREFIX
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.emulators.xapi import EmulatedPool
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import machine, vm_of

pytestmark = pytest.mark.image
LIES = {
    NONCE: "f" * 32, f"{PREFIX}started": "9999-01-01T00:00:00+00:00", f"{PREFIX}seed-0": "AAAA", ORDER: None,
    f"{PREFIX}base": "1000000", "vm-data/theirs": "kept",
}  # fmt: skip


def is_blank(pool: EmulatedPool, instance: Instance) -> bool:
    with pool.database() as database:
        disks = [each["other_config"] for _, each in database.where("VDI")]
    (own,) = [each for each in disks if each.get(tags.INSTANCE) == str(instance.uuid)]
    return "skinnybox:blank" in own


def test_an_order_that_was_taken_back_stays_so(
    pool: EmulatedPool, host: XapiHost, running: Instance, sealed: Sealed
) -> None:
    """In both places: the pool writes the one over the other."""
    vm = vm_of(pool, running)
    assert ORDER in pool.guest_reads(vm)
    assert host.reports([running.uuid])[running.uuid].ready
    assert ORDER not in pool.guest_reads(vm) and not is_blank(pool, running)
    pool.restart_toolstack()
    pool.guest_writes(vm, {"vm-data/theirs": "new"})
    assert ORDER not in machine(pool, running)["xenstore_data"]
    with pool.session() as api:  # nobody tells it anew when others start it
        api.VM.hard_shutdown(vm)
        api.VM.start(vm, False, False)
    assert ORDER not in pool.guest_reads(vm) and pool.guest_reads(vm)["vm-data/theirs"] == "new"


def test_a_command_killed_before_the_mark_went_is_finished(
    pool: EmulatedPool, host: XapiHost, running: Instance
) -> None:
    fault = pool.faults.fail("VDI.remove_from_other_config", "HANDLE_INVALID", "VDI", "x")
    host.reports([running.uuid])
    assert fault.met and is_blank(pool, running)
    host.reports([running.uuid])
    assert not is_blank(pool, running) and ORDER not in pool.guest_reads(vm_of(pool, running))


def test_nothing_is_decided_by_what_a_guest_may_write(
    pool: EmulatedPool, host: XapiHost, running: Instance, sealed: Sealed
) -> None:
    """It forges its nonce, the time of its start and its order to format."""
    vm, before = vm_of(pool, running), host.statuses()[running.uuid]
    pool.guest_writes(vm, LIES)
    host._pool.things.refresh(anew=True)
    after = host.statuses()[running.uuid]
    assert (after.nonce, after.since) == (before.nonce, before.since) and after.nonce
    assert machine(pool, running)["xenstore_data"][NONCE] == "f" * 32
    report = host.reports([running.uuid])[running.uuid]
    assert report.nonce == before.nonce and report.received and report.received.year < 9999
    assert not is_blank(pool, running)  # by the nonce that we remember, not by the forged one
    for _ in range(3):  # a guest that orders itself again has nobody run after it
        pool.guest_writes(vm, {ORDER: str(running.uuid)})
        pool.log.clear()
        host._pool.things.refresh(anew=True)
        host.reports([running.uuid])
        assert set(pool.log.methods()) == {"event.from"}
    host.power_off(running)
    host.start(running, *sealed, Operation())
    told = pool.guest_reads(vm)
    assert ORDER not in told and told["vm-data/theirs"] == "kept" and f"{PREFIX}started" not in told
    assert told[NONCE] == host.statuses()[running.uuid].nonce != before.nonce
    assert told[f"{PREFIX}base"] == "1" and told[f"{PREFIX}seed-0"] != "AAAA"


def test_a_guest_that_leaves_thousands_of_keys_costs_no_more_calls(
    pool: EmulatedPool, host: XapiHost, running: Instance, sealed: Sealed
) -> None:
    vm = vm_of(pool, running)
    pool.guest_writes(vm, {f"{PREFIX}junk/{number}": "x" for number in range(3000)})
    host.power_off(running)
    pool.log.clear()
    host.start(running, *sealed, Operation())
    assert len(pool.log.methods()) < 25
    assert not any("junk/" in key for key in pool.guest_reads(vm))


def test_what_an_earlier_version_started_is_still_known(
    pool: EmulatedPool, host: XapiHost, running: Instance
) -> None:
    """It noted its nonce in the record alone."""
    vm, nonce = vm_of(pool, running), host.statuses()[running.uuid].nonce
    with pool.database() as database:
        database.put("VM", vm, "other_config", tags.START, None)
    host._pool.things.refresh(anew=True)
    assert host.statuses()[running.uuid].nonce == nonce
    for forged in ("", "F" * 32, "0" * 33, "x" * 5000):
        pool.guest_writes(vm, {NONCE: forged})
        host._pool.things.refresh(anew=True)
        assert host.statuses()[running.uuid].nonce is None
