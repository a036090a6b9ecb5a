"""Layers in a pool: one read-only disk each, for all machines, guarded and found again as masters' are."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Blocked, Conflict, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.fleet.repair import repair
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.xenstore_data import PREFIX, told
from skinnybox.issues import Check, Deed
from skinnybox.model import Instance, Layer
from skinnybox.model.datadisk import data_disk
from skinnybox.operation import UNATTENDED
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.layered import planted
from tests.samples import seal
from tests.xapi import records
from tests.xapi.furnished import SMALL, at_work, host_on, machine, plain_disk
from tests.xapi.layered import LAYERED, NAMES, drives, lying, sealed

pytestmark = pytest.mark.image
GUEST = at_work
ATTACHED = {
    "0": ("master", "tiny:1", "RO"), "1": ("overlay", "overlay", "RW"),
    "4": ("layer", "low:1", "RO"), "5": ("layer", "top:1", "RO"),
}  # fmt: skip


@pytest.fixture
def layers(fleet: Fleet, tmp_path: Path) -> dict[str, Layer]:
    return sealed(fleet, tmp_path)


@pytest.fixture
def web(fleet: Fleet, layers: dict[str, Layer]) -> Instance:
    """Off, and never started."""
    [made] = fleet.create(["web"], "tiny", LAYERED)
    return made


def host_of(fleet: Fleet) -> XapiHost:
    host = fleet._host
    assert isinstance(host, XapiHost)
    return host


def checked(fleet: Fleet, name: str) -> list[Check]:
    host_of(fleet)._pool.things.refresh(anew=True)
    return [check for check in fleet.upkeep.doctor() if check.name == name]


def bytes_of(pool: EmulatedPool, reference: str, count: int) -> bytes:
    with pool.file_of(reference).open("rb") as file:
        return file.read(count)


def test_each_is_one_disk_read_only_for_all_machines(
    pool: EmulatedPool, fleet: Fleet, layers: dict[str, Layer]
) -> None:
    data = replace(LAYERED, data=data_disk(40 * MIB, ["/srv/data"]))
    [web] = fleet.create(["web"], "tiny", data)
    [db] = fleet.create(["db"], "tiny", LAYERED)
    assert drives(pool, db) == ATTACHED
    assert drives(pool, web) == {**ATTACHED, "2": ("data", "data", "RW")}
    for name, layer in layers.items():
        [disk] = lying(pool, "layer", name)
        assert disk["name_label"] == f"Skinnybox layer {name}:1 [NOBAK] [NOSNAP]"
        assert disk["other_config"][tags.LAYER] == layer.images[0].digest
        assert tags.DIGEST not in disk["other_config"]  # what an earlier version takes masters by
        whole = (fleet.layers.folder(layer) / layer.images[0].file).read_bytes()
        assert bytes_of(pool, disk["ref"], len(whole)) == whole
    assert machine(pool, web)["xenstore_data"][f"{PREFIX}layers"] == "xvde,xvdf"
    assert [started.error for started in fleet.start(["*"])] == [None, None]
    assert {view.condition for view in fleet.machines()} == {Condition.READY}
    report = fleet.machine("web").current_report
    assert report is not None and len(report.images) == 3


def test_machines_without_hear_nothing_of_them(pool: EmulatedPool, fleet: Fleet) -> None:
    [plain] = fleet.create(["plain"], "tiny", SMALL)
    assert f"{PREFIX}layers" not in machine(pool, plain)["xenstore_data"]
    assert sorted(drives(pool, plain)) == ["0", "1"]


@pytest.mark.full
def test_sixteen_have_places_and_no_more(
    pool: EmulatedPool, fleet: Fleet, tmp_path: Path, layers: dict[str, Layer]
) -> None:
    names = []
    for number in range(1, 17):
        tree = planted(tmp_path / f"tree{number}", {f"opt/{number}": str(number)})
        names.append(fleet.layers.import_tree(tree, f"l{number}:1", above="tiny").reference)
    [many] = fleet.create(["many"], "tiny", replace(SMALL, layers=tuple(names)))
    found = drives(pool, many)
    assert list(found) == [str(place) for place in (0, 1, *range(4, 20))]
    assert [found[str(place)][1] for place in range(4, 20)] == names
    said = machine(pool, many)["xenstore_data"][f"{PREFIX}layers"]
    assert said.split(",") == [f"xvd{letter}" for letter in "efghijklmnopqrst"]
    [started] = fleet.start(["many"])
    assert started.error is None and fleet.machine("many").condition is Condition.READY
    with pytest.raises(UsageError, match="17 layers: a machine has at most 16"):
        fleet.create(["more"], "tiny", replace(SMALL, layers=(*names, "low")))
    stack = replace(many.stack, images=(*many.stack.images, "sha256:" + "0" * 64))
    with pytest.raises(Unsupported, match="17 layers"):  # as only a record that somebody wrote could say
        told(replace(many, stack=stack), blank=True)


def test_the_same_files_under_two_names_are_one_disk_and_are_refused(
    fleet: Fleet, layers: dict[str, Layer], tmp_path: Path
) -> None:
    fleet.layers.import_tree(tmp_path / "low-of", "only:1", above="tiny", only=True)
    with pytest.raises(UsageError, match="the layers low:1 and only:1 hold the same files"):
        fleet.create(["web"], "tiny", replace(SMALL, layers=("low", "only")))
    assert fleet.names() == []


def test_it_is_uploaded_once_for_everybody(
    pool: EmulatedPool, fleet: Fleet, web: Instance, layers: dict[str, Layer], tmp_path: Path
) -> None:
    uploads = pool.log.count("import_raw_vdi")
    fleet.create(["db"], "tiny", LAYERED)
    assert pool.log.count("import_raw_vdi") == uploads
    theirs = tmp_path / "theirs"
    seal(theirs, tmp_path, "tiny", "1")
    with Fleet(theirs, host_on(pool, theirs, make_disk=plain_disk), boots_at_once=1) as other:
        sealed(other, tmp_path)
        [made] = other.create(["web"], "tiny", LAYERED)
        assert pool.log.count("import_raw_vdi") == uploads and drives_of(pool, made) == 4
        assert [outcome.error for outcome in fleet.delete(["*"])] == [None, None]
        with pytest.raises(Blocked, match="1 machines of the pool still have low:1"):
            fleet.layers.remove("low")
        assert other.delete(["web"])[0].error is None
    assert fleet.layers.remove("low") == layers["low"]
    assert [lying(pool, role, "low") for role in ("layer", "source", "upload")] == [[], [], []]
    assert len(lying(pool, "layer", "top")) == 1


def drives_of(pool: EmulatedPool, instance: Instance) -> int:
    """Of one whose name others have as well."""
    with pool.database() as database:
        [found] = [r for r in database.tables["VM"].values() if tags.instance_of(r) == instance.uuid]
        return len(found["VBDs"])


def detach(pool: EmulatedPool, fleet: Fleet, name: str = "top") -> None:
    with pool.session() as api:
        for drive in lying(pool, "layer", name)[0]["VBDs"]:
            api.VBD.destroy(drive)
    host_of(fleet)._pool.things.refresh(anew=True)


def delete(pool: EmulatedPool, fleet: Fleet, name: str = "top") -> None:
    with pool.session() as api:
        api.VDI.destroy(lying(pool, "layer", name)[0]["ref"])
    host_of(fleet)._pool.things.refresh(anew=True)


def test_one_that_was_detached_is_told_and_attached_again(
    pool: EmulatedPool, fleet: Fleet, web: Instance, state: Path
) -> None:
    detach(pool, fleet)
    view = fleet.machine("web")
    assert view.condition is Condition.DAMAGED and "its layer top:1 is detached" in (view.reason or "")
    [check] = checked(fleet, "drives")
    assert check.status == "fail" and "web (layer detached)" in check.detail
    found = [outcome.value for outcome in repair.repair(state, host_of(fleet)) if outcome.value]
    assert [finding.deed for finding in found if "top:1" in finding.what] == [Deed.ATTACH]
    assert drives(pool, web) == ATTACHED and [c.status for c in checked(fleet, "drives")] == ["ok"]
    detach(pool, fleet, "low")
    assert fleet.start(["web"])[0].error is None and drives(pool, web) == ATTACHED


def test_one_that_was_deleted_is_told_and_uploaded_again(
    pool: EmulatedPool, fleet: Fleet, web: Instance, state: Path
) -> None:
    delete(pool, fleet)
    view = fleet.machine("web")
    assert view.condition is Condition.DAMAGED and "its layer top:1 is gone" in (view.reason or "")
    found = [outcome.value for outcome in repair.repair(state, host_of(fleet)) if outcome.value]
    assert [finding.deed for finding in found if "its layer top:1" in finding.what] == [Deed.KEEP]
    assert fleet.start(["web"])[0].error is None and drives(pool, web) == ATTACHED
    assert fleet.machine("web").condition is Condition.READY


@pytest.mark.parametrize("whose", ["a stranger's", pytest.param("its own", marks=pytest.mark.full)])
def test_while_somebody_may_write_to_one_nothing_starts(
    pool: EmulatedPool, fleet: Fleet, web: Instance, whose: str
) -> None:
    [disk] = lying(pool, "layer", "low")
    with pool.session() as api:
        if whose == "its own":
            writer = disk["VBDs"][0]
            api.VBD.set_mode(writer, "RW")
        else:
            stranger = api.VM.clone(pool.add_template("Rescue"), "rescue")
            api.VM.provision(stranger)
            writer = api.VBD.create(records.drive(stranger, disk["ref"], "1"))
        name = "web" if whose == "its own" else "rescue"
        [check] = checked(fleet, "masters")
        assert check.status == "fail" and name in check.detail and "layer low:1" in check.detail
        error = fleet.start(["web"])[0].error
        assert isinstance(error, Conflict) and name in error.message and "layer low:1" in error.message
        with pytest.raises(Conflict, match=name):
            fleet.create(["new"], "tiny", LAYERED)
        assert fleet.names() == ["web"]
        api.VBD.set_mode(writer, "RO")
    assert checked(fleet, "masters") == [] and fleet.start(["web"])[0].error is None


@pytest.mark.full
def test_a_place_that_somebody_took_is_said(pool: EmulatedPool, fleet: Fleet, web: Instance) -> None:
    detach(pool, fleet, "low")
    with pool.session() as api:
        vm = api.VM.get_by_name_label("web")[0]
        own = api.VDI.create(records.disk(api.SR.get_by_name_label("shared")[0], 64 * MIB))
        drive = api.VBD.create(records.drive(vm, own, "4"))
        error = fleet.start(["web"])[0].error
        assert isinstance(error, Conflict) and "the place 4 is taken" in error.message
        api.VBD.destroy(drive)
    assert fleet.start(["web"])[0].error is None and drives(pool, web) == ATTACHED


@pytest.mark.full
def test_a_snapshot_that_somebody_took_of_one_is_told_and_never_attached(
    pool: EmulatedPool, fleet: Fleet, web: Instance
) -> None:
    with pool.session() as api:
        api.VDI.snapshot(lying(pool, "layer", "top")[0]["ref"])
    assert any("snapshot of the shared disk" in check.detail for check in checked(fleet, "copies"))
    [other] = fleet.create(["other"], "tiny", LAYERED)
    assert drives(pool, other) == ATTACHED
    whole = {disk["ref"] for disk in lying(pool, "layer") if not disk["is_a_snapshot"]}
    with pool.database() as database:
        attached = [r["VDI"] for r in database.tables["VBD"].values() if r["userdevice"] == "5"]
    assert set(attached) <= whole


def test_a_guest_part_that_would_not_find_them_is_refused(
    fleet: Fleet, state: Path, tmp_path: Path, layers: dict[str, Layer]
) -> None:
    seal(state, tmp_path, "tiny", "0", protocol=5)
    with pytest.raises(Unsupported, match="tiny:0 finds no layers on this host: it speaks protocol 5"):
        fleet.create(["web"], "tiny:0", LAYERED)
    assert fleet.names() == []
    [plain] = fleet.create(["plain"], "tiny:0", SMALL)
    odd = replace(plain, stack=replace(plain.stack, layers=("low:1",), layer_ids=(layers["low"].id,)))
    with pytest.raises(Unsupported, match="finds no layers on a pool"):  # whoever recorded it so
        master = fleet.masters.find("tiny:0")
        fleet._host.start(odd, master, fleet.masters.folder(master), UNATTENDED)


def test_capacity_counts_each_once(pool: EmulatedPool, fleet: Fleet, web: Instance) -> None:
    before = fleet.capacity(MIB)
    disks = [disk for role in ("layer", "source") for disk in lying(pool, role, "Skinnybox layer")]
    taken = sum(int(disk["physical_utilisation"]) for disk in disks)
    fleet.create(["more"], "tiny", LAYERED)
    assert fleet.capacity(MIB).space.layers == before.space.layers == taken > 0


def test_each_says_above_which_master_machines_have_it(
    pool: EmulatedPool, fleet: Fleet, web: Instance
) -> None:
    """For the dom0 plugin. Once, and again where that was not written; who may not goes on without."""
    key, [low] = f"{tags.ABOVE}{web.stack.images[0]}", lying(pool, "layer", "low")
    assert [disk["other_config"].get(key) for disk in lying(pool, "layer")] == ["tiny:1", "tiny:1"]
    assert [disk["other_config"].get(key) for disk in lying(pool, "source", "layer")] == [None, None]
    pool.log.clear()
    fleet.create(["other"], "tiny", LAYERED)
    assert pool.log.count("VDI.add_to_other_config") == 0
    for refused in (True, False):
        with pool.session() as api:
            api.VDI.remove_from_other_config(low["ref"], key)
        host_of(fleet)._pool.things.refresh(anew=True)
        if refused:
            pool.faults.fail("VDI.add_to_other_config", "RBAC_PERMISSION_DENIED", "VDI.add_to_other_config")
        assert fleet.start(["web" if refused else "other"])[0].error is None
        assert (key in lying(pool, "layer", "low")[0]["other_config"]) is not refused


CALLS = ["VDI.create", "import_raw_vdi", "VDI.clone", "VDI.remove_from_other_config"]


@pytest.mark.parametrize("call", [CALLS[1], *(pytest.param(c, marks=pytest.mark.full) for c in CALLS)])
def test_an_upload_that_failed_leaves_nothing(
    pool: EmulatedPool, fleet: Fleet, layers: dict[str, Layer], call: str
) -> None:
    """The master is there, so the first such call is a layer's."""
    fleet.create(["plain"], "tiny", SMALL)
    pool.faults.drop_after(call, at=1)
    try:
        fleet.create(["web"], "tiny", LAYERED)
    except SkinnyboxError:
        assert [lying(pool, role, "layer") for role in ("layer", "source", "upload")] == [[], [], []]
    pool.faults.clear()
    if "web" not in fleet.names():
        fleet.create(["web"], "tiny", LAYERED)
    assert drives(pool, fleet.machine("web").instance) == ATTACHED
    assert sorted(len(lying(pool, "layer", name)) for name in NAMES) == [1, 1]


def test_half_an_upload_is_found(pool: EmulatedPool, fleet: Fleet, web: Instance) -> None:
    [disk] = lying(pool, "source", "low")
    with pool.database() as database:
        config = {**disk["other_config"], tags.ROLE: "upload", tags.MADE: "2020-01-01T00:00:00+00:00"}
        database.set("VDI", disk["ref"], "other_config", config)
    found = [f for f in fleet._host.leftovers({web.uuid}) if "not finished" in f.what]
    assert [(f.deed, "layer low:1" in f.what) for f in found] == [(Deed.REMOVE, True)]


@pytest.mark.full
def test_it_stays_when_machines_go(pool: EmulatedPool, fleet: Fleet, web: Instance) -> None:
    assert fleet.delete(["web"])[0].ok
    assert sorted(disk["VBDs"] for disk in lying(pool, "layer")) == [[], []]
    assert lying(pool, "overlay") == []


@pytest.mark.full
def test_a_layer_that_is_gone_here_and_there(pool: EmulatedPool, fleet: Fleet, web: Instance) -> None:
    delete(pool, fleet)
    run.run(["rm", "-rf", fleet.layers.folder(fleet.layers.find("top"))])
    error = fleet.start(["web"])[0].error
    assert isinstance(error, NotFound) and "the layer top:1 is gone" in error.message
