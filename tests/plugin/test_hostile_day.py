"""Others act in the pool while the plugin works, and its hosts' clocks differ."""

import json
import time

import pytest

from tests.emulators.xapi import vms
from tests.emulators.xapi.context import Call
from tests.plugin.conftest import Dom0
from tests.xapi import records

CALL = "0b6f1c1e-5f0e-4c5f-9a53-6d8f0b3a1c11"
NONCE, ORDER = "vm-data/skinnybox/nonce", "vm-data/skinnybox/format"


def overlay(dom0: Dom0) -> str:
    found = dom0.api.VDI.get_all_records().items()
    return str(next(ref for ref, record in found if record["name_label"] == "web-01 overlay"))


@pytest.mark.parametrize("ahead", [-90, 90])
def test_a_call_of_a_host_with_another_clock_is_at_work(dom0: Dom0, ahead: int) -> None:
    pool = dom0.api.pool.get_all()[0]
    dom0.api.VM.clone(dom0.api.VM.get_by_name_label("thin")[0], f"skinnybox is making web-01 ({CALL})")
    entry = {"host": "beta", "boot": "another", "pid": 1, "ticks": "1", "since": int(time.time()) + ahead}
    dom0.api.pool.add_to_other_config(pool, f"skinnybox:call:{CALL}", json.dumps(entry))
    assert dom0.refused("provision", template="thin", master="lamp:1", name="web-01") == [
        "SKINNYBOX_NAME_TAKEN",
        "web-01",
    ]


def test_a_machine_deleted_meanwhile_does_not_end_the_list(dom0: Dom0) -> None:
    dom0.provision()
    (vm,) = dom0.api.VM.get_by_name_label("web-01")
    nonce = dom0.vm("web-01")["xenstore_data"]["vm-data/skinnybox/nonce"]
    dom0.api.VM.start(vm, False, False)
    dom0.pool.guest_writes(vm, {"data/ts": f"1 ready {nonce} - 1", "data/updated": "1"})
    dom0.pool.faults.fail("VM.get_xenstore_data", "HANDLE_INVALID", "VM", vm)
    assert [each["report"] for each in dom0.call("list")["machines"]] == ["ready"]


def test_nothing_is_decided_by_what_a_guest_may_write(dom0: Dom0) -> None:
    """It forges its nonce and orders itself to format again; and what was taken back does not return when
    xapi reads anew what its machines have."""
    dom0.provision()
    (vm,) = dom0.api.VM.get_by_name_label("web-01")
    dom0.api.VM.start(vm, False, False)
    nonce = dom0.vm("web-01")["other_config"]["skinnybox:nonce"]
    for said, report in (("f" * 32, None), (nonce, "ready")):
        told = {NONCE: "f" * 32, "data/ts": f"1 ready {said} - 1", "data/updated": "1"}
        dom0.pool.guest_writes(vm, told)
        assert [each["report"] for each in dom0.call("list")["machines"]] == [report]
    assert ORDER not in dom0.pool.guest_reads(vm)
    dom0.pool.restart_toolstack()
    assert ORDER not in dom0.vm("web-01")["xenstore_data"]
    dom0.pool.guest_writes(vm, {ORDER: "again"})
    dom0.pool.log.clear()
    dom0.call("list")
    assert dom0.pool.log.count() == 6


def test_an_order_of_an_earlier_version_is_taken_back(dom0: Dom0) -> None:
    """It marked neither the machine nor its overlay."""
    dom0.provision()
    (vm,) = dom0.api.VM.get_by_name_label("web-01")
    nonce = dom0.vm("web-01")["other_config"]["skinnybox:nonce"]
    dom0.api.VM.remove_from_other_config(vm, "skinnybox:nonce")
    dom0.api.VDI.remove_from_other_config(overlay(dom0), "skinnybox:blank")
    dom0.api.VM.start(vm, False, False)
    dom0.pool.guest_writes(vm, {"data/ts": f"1 ready {nonce} - 1", "data/updated": "1"})
    assert [each["report"] for each in dom0.call("list")["machines"]] == ["ready"]
    assert ORDER not in dom0.pool.guest_reads(vm)


@pytest.mark.parametrize("settled", [False, True])
def test_another_call_claims_the_name_between_our_look_and_our_claim(dom0: Dom0, settled: bool) -> None:
    """It is in the journal by then; or has ended, and the machine has its name."""
    xapi = dom0.pool.xapi

    def claim(call: Call) -> None:
        if call.name == "VM.clone":
            xapi.others = None
            name = "web-01" if settled else f"skinnybox is making web-01 ({CALL})"
            entry = {"host": "beta", "boot": "another", "pid": 1, "ticks": "1", "since": int(time.time())}
            vms.make(xapi, {"name_label": name, "is_a_template": not settled})
            call.database.put("pool", xapi.pool, "other_config", f"skinnybox:call:{CALL}", json.dumps(entry))

    xapi.others = claim
    assert dom0.refused("provision", template="thin", master="lamp:1", name="web-01") == [
        "SKINNYBOX_NAME_TAKEN",
        "web-01",
    ]
    assert xapi.others is None and dom0.counts()["VDI"] == 1


def test_an_overlay_that_another_machine_has_as_well_stays(dom0: Dom0) -> None:
    dom0.provision()
    rescue = dom0.api.VM.clone(dom0.api.VM.get_by_name_label("thin")[0], "rescue")
    dom0.api.VM.provision(rescue)
    disk = overlay(dom0)
    drive = dom0.api.VBD.create(records.drive(rescue, disk, "1"))
    assert dom0.refused("delete", name="web-01")[0] == "VDI_IN_USE"
    assert disk in dom0.api.VDI.get_all() and "web-01" in dom0.names()
    dom0.api.VBD.destroy(drive)
    dom0.call("delete", name="web-01")
    assert disk not in dom0.api.VDI.get_all()


def test_a_machine_that_is_only_named_like_one_in_the_making(dom0: Dom0) -> None:
    own = dom0.api.VM.clone(dom0.pool.add_template("Plain"), "precious")
    dom0.api.VM.provision(own)
    dom0.api.VM.set_name_label(own, f"skinnybox is making x ({CALL})")
    assert dom0.provision()["repaired"] == []
    assert own in dom0.api.VM.get_all()
