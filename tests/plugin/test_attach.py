"""Drives that somebody took off a machine of the plugin, or that went with a disk: attached again."""

import pytest

from tests.plugin.conftest import DIGEST, MASTER, MIB, Dom0
from tests.xapi import records


def drives(dom0: Dom0) -> dict[str, tuple[str, str]]:
    found = [dom0.api.VBD.get_record(drive) for drive in dom0.vm("web-01")["VBDs"]]
    return {drive["userdevice"]: (drive["VDI"], drive["mode"]) for drive in found}


def missing(dom0: Dom0) -> list[str]:
    [machine] = dom0.call("list")["machines"]
    return list(machine["missing"])


@pytest.mark.parametrize(
    ("places", "lacks"), [(("0",), ["master"]), (("1",), ["overlay"]), (("0", "1"), ["master", "overlay"])]
)
def test_what_was_taken_off_is_attached_again(dom0: Dom0, places: tuple[str, ...], lacks: list[str]) -> None:
    dom0.provision()
    before = drives(dom0)
    dom0.take_off("web-01", *places)
    assert missing(dom0) == lacks
    assert dom0.call("attach", name="web-01")["attached"] == lacks
    assert drives(dom0) == before and missing(dom0) == []
    assert dom0.call("attach", name="web-01")["attached"] == []
    dom0.api.VM.start(dom0.api.VM.get_by_name_label("web-01")[0], False, False)


def test_a_master_that_was_deleted_and_uploaded_again(dom0: Dom0) -> None:
    """It is known by the digest of its image, whatever its disk is called."""
    dom0.provision()
    dom0.api.VDI.destroy(dom0.master)
    assert missing(dom0) == ["master"]
    assert dom0.refused("attach", name="web-01") == ["SKINNYBOX_NOT_FOUND", "master", DIGEST]
    other = {**MASTER, "skinnybox:digest": "sha256:" + "00" * 32}
    dom0.api.VDI.create(
        records.disk(dom0.sr, 64 * MIB, name_label="Skinnybox master lamp:1", other_config=other)
    )
    assert dom0.refused("attach", name="web-01")[0] == "SKINNYBOX_NOT_FOUND"
    again = dom0.api.VDI.create(records.disk(dom0.sr, 64 * MIB, name_label="again", other_config=MASTER))
    assert dom0.call("attach", name="web-01")["attached"] == ["master"]
    assert drives(dom0)["0"] == (again, "RO")


def test_a_machine_of_an_earlier_plugin(dom0: Dom0) -> None:
    """It knows its master by the name only."""
    dom0.provision()
    dom0.api.VM.remove_from_other_config(dom0.api.VM.get_by_name_label("web-01")[0], "skinnybox:digest")
    dom0.take_off("web-01", "0")
    assert dom0.call("attach", name="web-01")["attached"] == ["master"]
    assert drives(dom0)["0"] == (dom0.master, "RO")


def test_what_is_not_attached(dom0: Dom0) -> None:
    made = dom0.provision()
    dom0.take_off("web-01", "0")
    vm = dom0.api.VM.get_by_name_label("web-01")[0]
    dom0.api.VM.start(vm, False, False)
    assert dom0.refused("attach", name="web-01") == ["VM_BAD_POWER_STATE", made["uuid"], "halted", "running"]
    dom0.api.VM.hard_shutdown(vm)
    rescue = dom0.api.VM.clone(dom0.api.VM.get_by_name_label("thin")[0], "rescue")
    dom0.api.VM.provision(rescue)
    writer = dom0.api.VBD.create(records.drive(rescue, dom0.master, "3"))
    assert dom0.refused("attach", name="web-01")[0] == "SKINNYBOX_MASTER_WRITABLE"
    dom0.api.VBD.destroy(writer)
    [overlay] = [vdi for place, (vdi, _) in drives(dom0).items() if place == "1"]
    dom0.api.VDI.copy(overlay, dom0.sr)
    dom0.take_off("web-01", "1")
    assert dom0.refused("attach", name="web-01")[:2] == ["SKINNYBOX_AMBIGUOUS", "overlay"]
    assert dom0.refused("attach", name="rescue")[0] == "SKINNYBOX_NOT_FOUND"
    assert drives(dom0) == {}


def test_a_layers_disk_is_no_master_and_nobodys_to_delete(dom0: Dom0) -> None:
    """As `skinnybox` puts it into the pool, for machines that it made."""
    marks = {"skinnybox:layer": DIGEST, "skinnybox:role": "layer"}
    layer = dom0.api.VDI.create(records.disk(dom0.sr, 64 * MIB, name_label="site", other_config=marks))
    for wanted in ("site", dom0.api.VDI.get_uuid(layer)):
        assert dom0.refused("provision", template="thin", master=wanted, name="other")[0] == (
            "SKINNYBOX_NOT_A_MASTER"
        )
    dom0.provision()
    [before] = dom0.call("list")["machines"]
    vm = dom0.api.VM.get_by_name_label("web-01")[0]
    dom0.api.VBD.create(records.drive(vm, layer, "4", "RO"))
    assert dom0.call("list")["machines"] == [before]
    dom0.take_off("web-01", "0")
    assert dom0.call("attach", name="web-01")["attached"] == ["master"]
    done = dom0.call("delete", name="web-01")
    assert dom0.api.VDI.get_uuid(layer) in done["kept"] and done["overlays"] == 1
