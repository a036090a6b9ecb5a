"""What the plugin is asked wrongly, and what it finds in the pool that it must not build on."""

from pathlib import Path

import pytest

from tests.emulators.xapi import EmulatedPool
from tests.plugin.conftest import DIGEST, GIB, MASTER, Dom0, furnished
from tests.xapi import records

GOOD = {"template": "thin", "master": "lamp:1", "name": "web-01"}
RANGE = {"template": "thin", "master": "lamp:1", "prefix": "web-", "last": "2"}


@pytest.mark.parametrize(
    ("function", "args", "expected"),
    [
        ("provision", {"template": "thin", "name": "web-01"}, ["SKINNYBOX_MISSING_ARGUMENT", "master"]),
        ("provision", {**GOOD, "nmae": "x"}, ["SKINNYBOX_UNKNOWN_ARGUMENT", "nmae"]),
        ("provision", {**GOOD, "name": ""}, ["SKINNYBOX_BAD_ARGUMENT", "name", ""]),
        ("provision", {**GOOD, "name": "Web 01"}, ["SKINNYBOX_BAD_ARGUMENT", "name", "Web 01"]),
        ("provision", {**GOOD, "name": "wéb-01"}, ["SKINNYBOX_BAD_ARGUMENT", "name", "w\\xe9b-01"]),
        ("provision", {**GOOD, "name": "web-01\n"}, ["SKINNYBOX_BAD_ARGUMENT", "name", "web-01\n"]),
        ("provision", {**GOOD, "name": "a" * 100_000}, ["SKINNYBOX_BAD_ARGUMENT", "name", "a" * 80]),
        ("provision", {**GOOD, "overlay": "1e9"}, ["SKINNYBOX_BAD_ARGUMENT", "overlay", "1e9"]),
        ("provision", {**GOOD, "overlay": "99999999T"}, ["SKINNYBOX_BAD_ARGUMENT", "overlay", "99999999T"]),
        ("provision", {**GOOD, "overlay": "٣G"}, ["SKINNYBOX_BAD_ARGUMENT", "overlay", "\\u0663G"]),
        ("provision", {**GOOD, "start": "maybe"}, ["SKINNYBOX_BAD_ARGUMENT", "start", "maybe"]),
        ("provision", {**GOOD, "user": "root x"}, ["SKINNYBOX_BAD_ARGUMENT", "user", "root x"]),
        ("provision", {**GOOD, "authorized_keys": "k" * 9000}, ["SKINNYBOX_BAD_ARGUMENT", "authorized_keys"]),
        (
            "provision",
            {**GOOD, "authorized_keys": "é"},
            ["SKINNYBOX_BAD_ARGUMENT", "authorized_keys", "\\xe9"],
        ),
        ("provision", {**GOOD, "template": "nothing"}, ["SKINNYBOX_NOT_FOUND", "template", "nothing"]),
        ("provision", {**GOOD, "template": "日本"}, ["SKINNYBOX_NOT_FOUND", "template", "\\u65e5\\u672c"]),
        ("provision", {**GOOD, "master": "nothing"}, ["SKINNYBOX_NOT_FOUND", "master", "nothing"]),
        ("provision", {**GOOD, "sr": "nothing"}, ["SKINNYBOX_NOT_FOUND", "SR", "nothing"]),
        ("provision", {**GOOD, "network": "nothing"}, ["SKINNYBOX_NOT_FOUND", "network", "nothing"]),
        ("provision", {**GOOD, "template": "Stock"}, ["SKINNYBOX_TEMPLATE_NOT_UEFI", "Stock", "bios"]),
        ("batch", {**RANGE, "last": "-1"}, ["SKINNYBOX_BAD_ARGUMENT", "last", "-1"]),
        ("batch", {**RANGE, "last": "0"}, ["SKINNYBOX_BAD_ARGUMENT", "last", "0"]),
        ("batch", {**RANGE, "last": "501"}, ["SKINNYBOX_BAD_ARGUMENT", "last", "501"]),
        ("batch", {**RANGE, "padding": "10"}, ["SKINNYBOX_BAD_ARGUMENT", "padding", "10"]),
        ("batch", {**RANGE, "prefix": "-x"}, ["SKINNYBOX_BAD_ARGUMENT", "prefix", "-x"]),
        ("batch", {**RANGE, "prefix": "a" * 62, "padding": "9"}, ["SKINNYBOX_BAD_ARGUMENT", "prefix"]),
        ("create_template", {"template": "Stock", "name": "t", "overlay": "1M"}, ["SKINNYBOX_BAD_ARGUMENT"]),
        ("delete", {"name": "x" * 201}, ["SKINNYBOX_BAD_ARGUMENT", "name", "x" * 80]),
        ("list", {"name": "web-01"}, ["SKINNYBOX_UNKNOWN_ARGUMENT", "name", ""]),
        ("fly", {}, ["UNKNOWN_XENAPI_PLUGIN_FUNCTION", "fly"]),
    ],
)
def test_asked_wrongly(shared: Dom0, function: str, args: dict[str, str], expected: list[str]) -> None:
    before = shared.counts()
    assert shared.refused(function, **args)[: len(expected)] == expected
    assert shared.counts() == before


def test_a_stranger_s_disk_is_no_master(dom0: Dom0) -> None:
    other = {**MASTER, "skinnybox:role": "source"}
    for number, marks in enumerate(
        [{}, {"skinnybox:digest": "x"}, {"skinnybox:digest": f"{DIGEST}\n"}, other]
    ):
        name = f"disk {number}"
        disk = dom0.api.VDI.create(records.disk(dom0.sr, GIB, name_label=name, other_config=marks))
        uuid = dom0.api.VDI.get_uuid(disk)
        assert dom0.refused("provision", **{**GOOD, "master": name})[:2] == ["SKINNYBOX_NOT_A_MASTER", uuid]


def test_a_master_that_somebody_may_write_to(dom0: Dom0) -> None:
    """Halted or not: the day it starts all the others fail, or the master changes under them."""
    vm = dom0.api.VM.clone(dom0.api.VM.get_by_name_label("thin")[0], "writer")
    dom0.api.VM.provision(vm)
    dom0.api.VBD.create(records.drive(vm, dom0.master, "0"))
    uuids = [dom0.api.VDI.get_uuid(dom0.master), dom0.api.VM.get_uuid(vm)]
    assert dom0.refused("provision", **GOOD) == ["SKINNYBOX_MASTER_WRITABLE", *uuids]


def test_a_name_that_several_have(dom0: Dom0) -> None:
    other = dom0.api.VDI.create(records.disk(dom0.sr, GIB, name_label="lamp:1", other_config=MASTER))
    both = sorted(dom0.api.VDI.get_uuid(each) for each in (dom0.master, other))
    assert dom0.refused("provision", **GOOD) == ["SKINNYBOX_AMBIGUOUS", "master", "lamp:1", *both]
    assert dom0.call("provision", **{**GOOD, "master": both[0]})["name"] == "web-01"


def test_a_snapshot_of_the_master_does_not_stand_for_it(dom0: Dom0) -> None:
    dom0.api.VDI.snapshot(dom0.master)
    dom0.provision()
    drives = [dom0.api.VBD.get_record(each) for each in dom0.vm("web-01")["VBDs"]]
    assert dom0.master in [each["VDI"] for each in drives]


def test_a_template_with_a_disk_would_copy_it(dom0: Dom0) -> None:
    template = dom0.api.VM.get_by_name_label("thin")[0]
    disk = dom0.api.VDI.create(records.disk(dom0.sr, GIB, name_label="own"))
    dom0.api.VBD.create(records.drive(template, disk, "2"))
    assert dom0.refused("provision", **GOOD) == ["SKINNYBOX_TEMPLATE_HAS_DISKS", "thin", "2"]


def test_disks_that_no_host_sees_both_of(plugins: Path) -> None:
    with EmulatedPool(hosts=("alpha", "beta"), plugins=plugins) as pool, pool.session() as api:
        here, there = pool.add_sr("here", "ext", on=[0]), pool.add_sr("there", "ext", on=[1])
        dom0 = furnished(pool, api)
        dom0.thin_template()
        api.VDI.create(records.disk(here, GIB, name_label="local:1", other_config=MASTER))
        before = dom0.counts()
        refused = dom0.refused("provision", **{**GOOD, "master": "local:1", "sr": "there"})
        assert refused[:2] == ["SKINNYBOX_NO_COMMON_HOST", api.SR.get_uuid(there)]
        assert dom0.counts() == before


def test_only_an_administrator_of_the_pool_may(dom0: Dom0) -> None:
    dom0.pool.add_user("anna", "secret", "vm-admin")
    with dom0.pool.session("anna", "secret") as api:
        anna = Dom0(dom0.pool, api, dom0.sr, dom0.master)
        assert anna.refused("list")[0] == "RBAC_PERMISSION_DENIED"
