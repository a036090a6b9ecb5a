"""What the other functions tell and do: version, list, capacity, delete."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import skinnybox
from tests.emulators.xapi import EmulatedPool, guests
from tests.emulators.xapi.context import Xapi
from tests.plugin.conftest import GIB, MIB, Dom0, details, furnished
from tests.xapi import records

FUNCTIONS = [
    "attach",
    "batch",
    "capacity",
    "create_template",
    "delete",
    "layers",
    "list",
    "provision",
    "version",
]


def test_version(bare: Dom0) -> None:
    told = bare.call("version")
    assert told["version"] == skinnybox.__version__ and told["functions"] == FUNCTIONS
    assert told["messages"] == {"base": 1, "seed": 1}


def reports(xapi: Xapi, vm: str) -> None:
    """A guest that says it is ready, and for web-02 one that repeats what another start had to say."""
    record = xapi.database.record("VM", vm)
    nonce = record["xenstore_data"]["vm-data/skinnybox/nonce"]
    nonce = "0" * 32 if record["name_label"] == "web-02" else nonce
    guests.write(xapi, vm, {"data/ts": f"1 ready {nonce} - 1", "data/updated": "1"})


@pytest.fixture
def answering(plugins: Path) -> Any:
    with EmulatedPool(plugins=plugins, guest=reports) as pool, pool.session() as api:
        dom0 = furnished(pool, api)
        dom0.thin_template(overlay="1G")
        yield dom0


def test_list(answering: Dom0) -> None:
    dom0 = answering
    dom0.batch(last=2, start="true")
    dom0.provision("idle")
    listed = dom0.call("list")
    idle, first, second = listed["machines"]
    assert [each["name"] for each in listed["machines"]] == ["idle", "web-01", "web-02"]
    assert (idle["state"], idle["host"], idle["report"], idle["missing"]) == ("Halted", None, None, [])
    assert (first["state"], first["host"], first["report"]) == ("Running", "alpha", "ready")
    assert second["report"] is None
    assert first["overlay"] == GIB and first["master"] == "lamp:1"
    assert first["master_vdi"] == dom0.api.VDI.get_uuid(dom0.master)
    assert (listed["orphans"], listed["unfinished"]) == ([], [])


def test_the_order_to_format_is_taken_back_from_who_is_ready(answering: Dom0) -> None:
    """Only from the one whose report is of this very start."""
    dom0 = answering
    dom0.batch(last=2, start="true")
    dom0.provision("idle")
    for _ in range(2):
        dom0.call("list")
        ordered = {
            name: "vm-data/skinnybox/format" in dom0.vm(name)["xenstore_data"]
            for name in ("idle", "web-01", "web-02")
        }
        assert ordered == {"idle": True, "web-01": False, "web-02": True}


def test_list_asks_the_same_number_of_calls_for_any_number(dom0: Dom0) -> None:
    asked = []
    for name in ("one", "two"):
        dom0.provision(name)
        dom0.pool.log.clear()
        dom0.call("list")
        asked.append(dom0.pool.log.count())
    assert asked == [6, 6]  # host.call_plugin itself, and five of the plugin


def test_an_overlay_whose_machine_is_gone_is_shown_and_kept(dom0: Dom0) -> None:
    made = dom0.provision()
    vm = dom0.api.VM.get_by_name_label("web-01")[0]
    dom0.api.VM.set_blocked_operations(vm, {})
    dom0.api.VM.destroy(vm)
    dom0.provision("web-02")
    (orphan,) = dom0.call("list")["orphans"]
    assert (orphan["name"], orphan["instance"]) == ("web-01 overlay", made["instance"])


def test_delete_takes_the_overlay_and_never_the_master(dom0: Dom0) -> None:
    before = dom0.counts()
    dom0.batch()
    extra = dom0.api.VDI.create(records.disk(dom0.sr, 64 * MIB, name_label="data"))
    vm = dom0.api.VM.get_by_name_label("web-01")[0]
    dom0.api.VBD.create(records.drive(vm, extra, "2"))
    gone = dom0.call("delete", name="web-01")
    assert gone["overlays"] == 1
    assert set(gone["kept"]) == {dom0.api.VDI.get_uuid(each) for each in (extra, dom0.master)}
    dom0.call("delete", name=dom0.vm("web-02")["uuid"])
    dom0.api.VDI.destroy(extra)
    assert dom0.counts() == before and dom0.api.VDI.get_uuid(dom0.master)


def test_a_running_machine_is_deleted_only_by_force(dom0: Dom0) -> None:
    dom0.provision(start="true")
    refused = dom0.refused("delete", name="web-01")
    assert refused == ["VM_BAD_POWER_STATE", dom0.vm("web-01")["uuid"], "halted", "running"]
    dom0.call("delete", name="web-01", force="true")
    assert dom0.names() == []


def test_a_delete_that_broke_off_goes_on_the_next_time(dom0: Dom0) -> None:
    before = dom0.counts()
    dom0.provision()
    dom0.pool.faults.fail("VM.destroy", "INTERNAL_ERROR", "no")
    assert dom0.refused("delete", name="web-01") == ["INTERNAL_ERROR", "no"]
    dom0.call("delete", name="web-01")
    assert dom0.counts() == before


def test_nothing_is_lost_when_the_machine_may_not_be_deleted(dom0: Dom0) -> None:
    dom0.provision()
    vm = dom0.api.VM.get_by_name_label("web-01")[0]
    dom0.api.VM.set_blocked_operations(vm, {"destroy": "MINE"})
    assert dom0.refused("delete", name="web-01") == ["OPERATION_BLOCKED", vm, "MINE"]
    assert dom0.call("list")["machines"][0]["overlay_vdi"]


def test_only_what_skinnybox_made_is_deleted(dom0: Dom0) -> None:
    vm = dom0.api.VM.clone(dom0.api.VM.get_by_name_label("thin")[0], "stranger")
    dom0.api.VM.provision(vm)
    assert dom0.refused("delete", name="stranger") == ["SKINNYBOX_NOT_FOUND", "machine", "stranger"]
    assert dom0.refused("delete", name="thin")[0] == "SKINNYBOX_NOT_FOUND"


@pytest.mark.parametrize(("gib", "mib"), [(1, 1032), (2, 2060), (4, 4112), (10, 10268), (100, 102608)])
def test_thick_storage_costs_whole_volumes(plugins: Path, gib: int, mib: int) -> None:
    """The sizes of volumes that SM's own formula gives."""
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api, sr="lvmoiscsi")
        (room,) = dom0.call("capacity", overlay=f"{gib}G", machines="40", master="lamp:1")["srs"]
    assert room["each"] == room["each_full"] == mib * MIB and room["take"] == 40 * mib * MIB
    assert room["clone_each"] == 2060 * MIB and room["clones_take"] == 40 * 2060 * MIB
    assert room["fit"] == room["free"] // (mib * MIB) and not room["estimate"]


@pytest.mark.parametrize(("sr", "gib", "kib"), [("ext", 4, 12), ("nfs", 100, 212)])
def test_files_cost_what_is_written(plugins: Path, sr: str, gib: int, kib: int) -> None:
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api, sr=sr)
        (room,) = dom0.call("capacity", overlay=f"{gib}G")["srs"]
    assert room["each"] == kib * 1024 and room["each_full"] > gib * GIB and "clone_each" not in room


@pytest.mark.parametrize("sr", ["nfs", "lvm", "linstor"])
def test_capacity_foretells_what_a_batch_takes(plugins: Path, sr: str) -> None:
    """Against the pool's own books, before and after."""
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api, sr=sr)
        dom0.thin_template(overlay="1G")
        (before,) = dom0.call("capacity", overlay="1G", machines="3")["srs"]
        dom0.batch(last=3)
        (after,) = dom0.call("capacity", overlay="1G", machines="3")["srs"]
    assert before["free"] - after["free"] == before["take"]
    assert after["estimate"] is (sr == "linstor")


def test_linstor_keeps_copies(plugins: Path) -> None:
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api, sr="linstor")
        (plain,) = dom0.call("capacity")["srs"]
        with pool.database() as database:
            (pbd,) = database.tables["PBD"]
            database.put("PBD", pbd, "device_config", "redundancy", "3")
        (three,) = dom0.call("capacity")["srs"]
    assert three["each"] == 3 * plain["each"] and three["each_full"] == 3 * plain["each_full"]


def test_storage_that_takes_no_overlays_is_left_out(bare: Dom0) -> None:
    bare.pool.add_sr("isos", "iso")
    unplugged = bare.pool.add_sr("away", "nfs")
    for pbd in bare.api.SR.get_PBDs(unplugged):
        bare.api.PBD.unplug(pbd)
    assert [each["name"] for each in bare.call("capacity")["srs"]] == ["shared"]
    assert bare.refused("capacity", sr="isos")[:2] == ["SKINNYBOX_NOT_FOUND", "SR"]


def test_a_batch_that_does_not_fit_is_refused_before_anything_is_made(plugins: Path) -> None:
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api, sr="lvm")
        dom0.thin_template()
        before = dom0.counts()
        refused = details(dom0.batch, last=99)
        assert refused[0] == "SKINNYBOX_NO_SPACE" and int(refused[2]) == 99 * 1032 * MIB
        assert dom0.counts() == before


@pytest.mark.parametrize("function", ["provision", "batch", "create_template", "delete", "attach"])
def test_a_call_reads_all_machines_once(dom0: Dom0, function: str) -> None:
    """With 500 of them each look takes seconds."""
    dom0.provision("old")
    calls: dict[str, Callable[[], Any]] = {
        "provision": dom0.provision,
        "batch": lambda: dom0.batch(last=3),
        "create_template": lambda: dom0.thin_template(name="another"),
        "delete": lambda: dom0.call("delete", name="old"),
        "attach": lambda: dom0.call("attach", name="old"),
    }
    dom0.pool.log.clear()
    calls[function]()
    assert [dom0.pool.log.count(name) for name in ("VM.get_all_records", "VDI.get_all_records")] == [1, 1]


CALL = "11111111-2222-4333-8444-555555555555"


def cancelling(dom0: Dom0, at: str, number: int) -> Callable[[Any], None]:
    """A client that wants the call no more when the n-th call of that name is made."""
    left = [number]

    def act(call: Any) -> None:
        left[0] -= call.name == at
        if call.name == at and left[0] == 0:
            database, ref = call.xapi.database, call.xapi.pool
            database.put("pool", ref, "other_config", f"skinnybox:cancel:{CALL}", "1")

    return act


def refused_batch(dom0: Dom0, last: str, call: str) -> list[str]:
    return dom0.refused("batch", template="thin", master="lamp:1", prefix="web-", last=last, call=call)


@pytest.mark.parametrize(("at", "number"), [("VM.clone", 1), ("VM.clone", 3), ("VM.provision", 2)])
def test_a_call_that_is_cancelled_takes_back_what_it_made(dom0: Dom0, at: str, number: int) -> None:
    before = dom0.counts()
    dom0.pool.xapi.others = cancelling(dom0, at, number)
    expected = ["SKINNYBOX_CANCELLED", CALL]
    assert refused_batch(dom0, "3", CALL) == expected
    assert dom0.counts() == before


def test_a_cancelled_call_starts_no_more_machines(dom0: Dom0) -> None:
    dom0.pool.xapi.others = cancelling(dom0, "VM.start", 2)
    made = dom0.batch(last=3, start="true", call=CALL)["machines"]
    assert [each["started"] for each in made] == [True, True, False]
    assert dom0.names() == ["web-01", "web-02", "web-03"]


def test_cancelled_by_its_own_uuid_alone(dom0: Dom0) -> None:
    dom0.pool.xapi.others = cancelling(dom0, "VM.clone", 1)
    assert len(dom0.batch(last=2)["machines"]) == 2


@pytest.mark.parametrize("call", ["", "x", CALL.replace("1", "A"), f"{CALL}\n"])
def test_a_call_is_a_uuid(dom0: Dom0, call: str) -> None:
    assert refused_batch(dom0, "1", call)[:2] == ["SKINNYBOX_BAD_ARGUMENT", "call"]


def test_a_uuid_is_one_calls_alone(dom0: Dom0) -> None:
    """One that another call has would make its leftovers ours."""
    with dom0.pool.database() as database:
        entry = {"host": "elsewhere", "boot": "b", "pid": 1, "ticks": "1", "since": int(time.time())}
        database.put("pool", dom0.pool.xapi.pool, "other_config", f"skinnybox:call:{CALL}", json.dumps(entry))
    assert refused_batch(dom0, "1", CALL)[:2] == ["SKINNYBOX_BAD_ARGUMENT", "call"]
