"""What is chosen in the address of a pool: storage, a template, a network."""

import dataclasses
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import NotFound, Unsupported
from skinnybox.model import Allocation, Instance, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import GIB, MIB
from tests.emulators.xapi import EmulatedPool
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import all_of, host_on, machine, make_one, plain_disk

New = Callable[..., Instance]


def test_a_transfer_goes_to_who_sees_the_disk(our_pool: EmulatedPool, sealed: Sealed, tmp_path: Path) -> None:
    our_pool.add_sr("of-beta", "ext", on=[1])
    host = host_on(our_pool, tmp_path / "state", make_disk=plain_disk, sr="of-beta")
    host.add_master(*sealed, Operation())
    assert our_pool.log.count("import_raw_vdi") == 2
    found = next(
        each for each in all_of(our_pool, "VDI") if each["other_config"]["skinnybox:role"] == "source"
    )
    with our_pool.database() as database:
        reference = database.by_uuid("VDI", found["uuid"])
    assert our_pool.file_of(reference).read_bytes()[:MIB] == b"m" * MIB
    host.close()


def test_thick_storage_gets_no_clone(
    our_pool: EmulatedPool, sealed: Sealed, tmp_path: Path, new_instance: New
) -> None:
    our_pool.add_sr("thick", "lvmoiscsi")
    host = host_on(our_pool, tmp_path / "state", make_disk=plain_disk, sr="thick")
    assert host.features.allocations == {Allocation.RESERVED}
    host.add_master(*sealed, Operation())
    assert [each["other_config"]["skinnybox:role"] for each in all_of(our_pool, "VDI")] == ["master"]
    instance = dataclasses.replace(new_instance(), overlay=Overlay(size=32 * MIB))
    make_one(host, instance, Operation())
    assert host.written([instance])[instance.uuid] > instance.overlay.size
    host.close()


def test_templates(our_pool: EmulatedPool, new_instance: New, tmp_path: Path) -> None:
    our_pool.add_template("Stock", disk_size=8 * GIB, default=True)
    our_pool.add_template("Old", uefi=False)
    host = host_on(our_pool, tmp_path / "state", template="Stock")
    instance = new_instance()
    make_one(host, instance, Operation())
    found = machine(our_pool, instance)
    assert found["other_config"]["base_template_name"] == "Stock" and "disks" not in found["other_config"]
    assert "default_template" not in found["other_config"] and found["platform"]["viridian"] == "false"
    host.close()
    for name, kind in (("Old", Unsupported), ("None", NotFound)):
        other = host_on(our_pool, tmp_path / "state", template=name)
        with pytest.raises(kind):
            other.define(new_instance("web-02"))
        assert [check.status for check in other.doctor() if check.name == "template"] == ["fail"]
        other.close()


@pytest.mark.parametrize("asked", ["true", "auto"])
def test_secure_boot_of_a_template_is_off(
    our_pool: EmulatedPool, new_instance: New, sealed: Sealed, tmp_path: Path, asked: str
) -> None:
    """Firmware that asks for a signature boots no master: nobody signed that."""
    template = our_pool.add_template("Signed")
    with our_pool.database() as database:
        database.put("VM", template, "platform", "secureboot", asked)
    with closing(host_on(our_pool, tmp_path / "state", template="Signed", make_disk=plain_disk)) as host:
        [check] = [check for check in host.doctor() if check.name == "template"]
        assert check.status == "ok" and "Secure Boot" in check.detail
        instance = new_instance()
        make_one(host, instance, Operation())
        assert machine(our_pool, instance)["platform"]["secureboot"] == "false"
        with our_pool.database() as database:
            vm = next(ref for ref, each in database.where("VM", name_label=instance.name))
            database.put("VM", vm, "platform", "secureboot", asked)
        host.start(instance, *sealed, Operation())
        found = machine(our_pool, instance)["platform"]
        assert found["secureboot"] == "false" and found["viridian"] == "false"


def test_what_is_not_there_is_said(our_pool: EmulatedPool, new_instance: New, tmp_path: Path) -> None:
    choices: list[dict[str, Any]] = [{"sr": "none"}, {"network": "none"}]
    for chosen in choices:
        host = host_on(our_pool, tmp_path / "state", **chosen)
        with pytest.raises(NotFound, match="has no"):
            make_one(host, dataclasses.replace(new_instance(), bridge=None), Operation())
        assert "fail" in [check.status for check in host.doctor()]
        host.close()


def test_the_usual_network_is_the_management_network(our_pool: EmulatedPool, tmp_path: Path) -> None:
    """Bonds and VLANs are called xapiN, before xenbrN: by name a storage network would be first."""
    storage, lan = our_pool.add_network("Storage VLAN 30"), our_pool.add_network("DMZ VLAN 99")
    with our_pool.database() as database:
        database.set("network", storage, "bridge", "xapi0")
        database.set("network", lan, "bridge", "xapi1")
    with closing(host_on(our_pool, tmp_path / "state")) as host:
        assert host.features.default_bridge == "lan"
    with our_pool.database() as database:
        for pif in database.tables["PIF"]:
            database.set("PIF", pif, "management", False)
    with closing(host_on(our_pool, tmp_path / "other")) as host:
        assert host.features.default_bridge is None
        [check] = [check for check in host.doctor() if check.name == "network"]
    assert check.status == "fail"
    assert "several" in check.detail and "DMZ VLAN 99, Storage VLAN 30, lan" in check.detail
